"""Accounts and modes over HTTP: who has which, what goes live, and a key that never comes back."""

from typing import Any

import pytest

from algohost.broker.openalgo_http import BROKER_REFUSES_KEY
from algohost.domain.errors import Invalid, Unavailable
from algohost.domain.ids import AccountId
from algohost.domain.strategies import Phase
from algohost.domain.users import paper_account
from tests.web.asgi import Browser
from tests.web.conftest import People
from tests.web.world import World

KEY = "k3y-of-the-upstream-5e0d9b7a"
LIVE = {
    "name": "Zerodha",
    "broker": "openalgo",
    "base_url": "https://algo.example.in/",
    "feed_url": "",
    "api_key": KEY,
}


@pytest.fixture
def strategy_id(people: People) -> str:
    return str(people.strategy.strategy.id)


@pytest.fixture
def browser(world: World, people: People) -> Browser:
    return world.browser(people.owner)


def add(browser: Browser, **fields: Any) -> str:
    """Adds a live account and returns its id."""
    answer = browser.post("/api/accounts", {**LIVE, **fields})
    assert answer.status == 200, answer.json()
    return str(answer.json()["account"]["id"])


def test_everybody_has_a_paper_account_under_the_id_it_always_had(
    browser: Browser, people: People, strategy_id: str
) -> None:
    (first,) = browser.get("/api/accounts").json()["accounts"]
    assert first == {
        "id": paper_account(people.owner),
        "name": "Paper",
        "broker": "paper",
        "mode": "paper",
        "base_url": "",
        "feed_url": "",
        "is_disabled": False,
        "created_at": None,
        "strategies": [strategy_id],
    }


def test_a_key_goes_in_and_never_comes_out(
    world: World, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    account_id = add(browser)
    answers = [
        browser.get("/api/accounts"),
        browser.post("/api/accounts/rename", {"id": account_id, "name": "Other"}),
        browser.post("/api/accounts/test", {"id": account_id}),
        browser.post("/api/accounts/key", {"id": account_id, "api_key": KEY + " with a space"}),
        browser.post("/api/accounts", {**LIVE, "name": "", "api_key": KEY}),
        browser.post("/api/accounts", {**LIVE, "base_url": f"https://{KEY}@x.in", "name": "N"}),
    ]
    assert [one.status for one in answers] == [200, 200, 200, 400, 400, 400]
    assert KEY not in "".join(str(one.json()) for one in answers)
    assert KEY not in caplog.text
    assert world.servers_asked == [("https://algo.example.in", KEY)]
    raw = b"".join(bytes(str(row), "utf-8") for row in world.database.read(_everything))
    assert KEY.encode() not in raw


def _everything(connection: Any) -> list[Any]:
    tables = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")
    return [
        row
        for (name,) in tables.fetchall()
        for row in connection.exec_driver_sql(f'SELECT * FROM "{name}"').fetchall()
    ]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": " "}, "An account's name has 1 to 64 letters"),
        ({"name": "paper"}, "You have an account “paper” already"),
        ({"broker": "nobody"}, "“nobody” is not a broker here"),
        ({"base_url": "ftp://x.in"}, "Write the address as https://"),
        ({"base_url": "https://x.in/?a=b"}, "Write the address as https://"),
        ({"base_url": "http://algo.example.in"}, "The key would cross the internet in the open"),
        ({"feed_url": "ws://algo.example.in"}, "The key would cross the internet in the open"),
        ({"api_key": "short"}, "An API key has 16 to 256"),
    ],
)
def test_what_cannot_be_an_account_is_refused_in_a_sentence(
    browser: Browser, fields: dict[str, str], sentence: str
) -> None:
    answer = browser.post("/api/accounts", {**LIVE, **fields})
    assert answer.status in {400, 409}
    assert answer.json()["message"].startswith(sentence)


@pytest.mark.parametrize("url", ["http://localhost:5000", "http://192.168.1.4:5000/", "http://nas"])
def test_a_server_of_ones_own_network_needs_no_tls_and_is_an_administrators(
    world: World, people: People, browser: Browser, url: str
) -> None:
    assert add(world.browser(people.admin), base_url=url)
    if "nas" in url:  # a name is judged where it leads to, when it is connected to
        assert add(browser, base_url=url)
        return
    refused = browser.post("/api/accounts", {**LIVE, "base_url": url})
    assert (refused.status, refused.json()["error_code"]) == (400, "ADDRESS_NOT_ALLOWED")
    assert refused.json()["details"]["field"] == "base_url"


def test_a_feed_may_not_be_nearer_than_its_server(browser: Browser) -> None:
    refused = browser.post("/api/accounts", {**LIVE, "feed_url": "ws://127.0.0.1:8765"})
    assert refused.json()["error_code"] == "ADDRESS_NOT_ALLOWED"


def test_an_account_reaches_as_far_as_its_owner_does(
    world: World, people: People, browser: Browser
) -> None:
    theirs = AccountId(add(browser))
    admins = AccountId(add(world.browser(people.admin)))
    reach = world.host.accounts.reach_of
    assert [reach(one).is_wide for one in (theirs, admins, AccountId("live-nobody-1"))] == [
        False,
        True,
        False,
    ]


def test_live_takes_the_name_of_the_strategy(browser: Browser, strategy_id: str) -> None:
    path = f"/python/mode/{strategy_id}"
    name = browser.get("/python/status").json()["strategies"][0]["name"]
    assert browser.post(path, {"mode": "live"}).json()["error_code"] == "WHICH_ACCOUNT"
    account_id = add(browser)
    refused = browser.post(path, {"mode": "live", "confirmation": "yes"})
    assert (refused.status, refused.json()["error_code"]) == (400, "NOT_CONFIRMED")
    assert browser.get(path).json()["mode"] == "paper"
    told = browser.post(path, {"mode": "live", "confirmation": name}).json()
    assert (told["mode"], told["account"]["id"]) == ("live", account_id)
    row = browser.get("/python/status").json()["strategies"][0]
    assert (row["mode"], row["account_id"]) == ("live", account_id)
    assert browser.post(path, {"mode": "paper"}).json()["mode"] == "paper"


def test_a_mode_is_not_changed_while_the_strategy_runs_and_a_token_is_of_its_account(
    world: World, browser: Browser, people: People, strategy_id: str
) -> None:
    account_id = add(browser)
    name = people.strategy.strategy.name
    path = f"/python/mode/{strategy_id}"
    browser.post(path, {"mode": "live", "confirmation": name})
    browser.post(f"/python/start/{strategy_id}")
    view = world.host.strategies.get(people.owner, strategy_id)
    assert view.phase in {Phase.STARTING, Phase.RUNNING}, view.gates
    refused = browser.post(path, {"mode": "paper"})
    assert (refused.status, refused.json()["error_code"]) == (409, "STRATEGY_RUNNING")
    assert world.servers_asked == [("https://algo.example.in", KEY)]
    removed = browser.post("/api/accounts/remove", {"id": account_id})
    assert (removed.status, removed.json()["error_code"]) == (409, "ACCOUNT_IN_USE")


def test_a_live_start_waits_while_its_server_is_not_logged_in(
    world: World, browser: Browser, people: People, strategy_id: str
) -> None:
    add(browser)
    name = people.strategy.strategy.name
    browser.post(f"/python/mode/{strategy_id}", {"mode": "live", "confirmation": name})
    world.server_says = Invalid("Log in there.", code=BROKER_REFUSES_KEY)
    browser.post(f"/python/start/{strategy_id}")
    (gate,) = world.host.strategies.get(people.owner, strategy_id).gates
    assert gate.code == "BROKER_LOGGED_OUT"
    assert "Zerodha" in gate.sentence
    browser.post(f"/python/stop/{strategy_id}")
    world.clock.advance(60)
    world.server_says = Unavailable("Nobody is there.")
    browser.post(f"/python/start/{strategy_id}")
    (gate,) = world.host.strategies.get(people.owner, strategy_id).gates
    assert (gate.code, "Nobody is there" in gate.sentence) == ("GATE_TROUBLE", True)


def test_a_disabled_account_starts_nothing(
    world: World, browser: Browser, people: People, strategy_id: str
) -> None:
    paper = paper_account(people.owner)
    assert browser.post("/api/accounts/disable", {"id": paper}).status == 200
    browser.post(f"/python/start/{strategy_id}")
    (gate,) = world.host.strategies.get(people.owner, strategy_id).gates
    assert gate.code == "ACCOUNT_DISABLED"
    assert browser.post("/api/accounts/enable", {"id": paper}).status == 200


def test_others_have_no_such_account(world: World, browser: Browser, people: People) -> None:
    account_id = add(browser)
    other = world.browser(people.other)
    for act in ("rename", "disable", "remove", "test"):
        answer = other.post(f"/api/accounts/{act}", {"id": account_id, "name": "Mine"})
        assert (answer.status, answer.json()["error_code"]) == (404, "NO_ACCOUNT")


def test_an_account_that_nothing_uses_can_be_removed_and_the_first_one_cannot(
    browser: Browser, people: People
) -> None:
    answer = browser.post("/api/accounts", {"name": "Second", "broker": "paper"})
    second = answer.json()["account"]["id"]
    world_sees = browser.get("/api/accounts").json()["accounts"]
    assert [one["name"] for one in world_sees] == ["Paper", "Second"]
    first = browser.post("/api/accounts/remove", {"id": paper_account(people.owner)})
    assert (first.status, first.json()["error_code"]) == (409, "FIRST_ACCOUNT")
    removed = browser.post("/api/accounts/remove", {"id": second})
    assert [one["name"] for one in removed.json()["accounts"]] == ["Paper"]


def test_the_page_shows_accounts_strategies_and_what_a_server_says(
    world: World, browser: Browser, strategy_id: str
) -> None:
    account_id = add(browser)
    page = browser.page("/accounts").text
    assert all(one in page for one in ("Zerodha", "https://algo.example.in", strategy_id))
    assert "It trades live" in browser.page("/accounts", query=f"test={account_id}").text
    world.server_says = Unavailable("Nobody is there.")
    tested = browser.page("/accounts", query=f"test={account_id}").text
    assert "Nobody is there." in tested
    assert KEY not in page + tested
    moved = browser.post(f"/python/mode/{strategy_id}", {"account": account_id})
    assert moved.json()["error_code"] == "NOT_CONFIRMED"

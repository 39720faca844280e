"""The JSON routes of strategies, over the real commands and a fake agent."""

import json
from decimal import Decimal
from typing import cast

import pytest

from algohost.broker.views import Scope
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.orders import Action, Book, OrderRequest
from algohost.domain.strategies import Phase
from algohost.domain.users import User, paper_account
from algohost.web.rows import Status
from tests.web.conftest import People
from tests.web.world import SOURCE, World

ROW = {
    "id", "name", "owner", "file_name", "exchange", "mode", "account_id", "phase",
    "sentence", "since", "run_id",
    "pid", "outcome", "pnl", "problem", "order_count", "restart", "flags", "gates",
    "schedule", "next_start", "last_start",
}  # fmt: skip


def test_an_uploaded_file_is_a_strategy_of_its_uploader(world: World, people: People) -> None:
    browser = world.browser(people.owner)
    for path in ("/python/upload", "/python/new"):
        answer = browser.upload(path, SOURCE, name="Opening range", exchange="NFO").json()
        row = answer["strategy"]
        assert answer["success"] is True
        assert answer["message"] == "“Opening range” was uploaded."
        assert set(row) == ROW
        assert row["id"] == answer["strategy_id"]
        assert row["id"].startswith("opening_range_20250602093000")
        assert (row["owner"], row["exchange"], row["phase"]) == ("ravi", "NFO", "stopped")
        assert (row["run_id"], row["pid"], row["pnl"], row["problem"]) == (None,) * 4
        source = browser.get(f"/python/source/{row['id']}").json()
        assert source["source"].encode() == SOURCE
        assert source["file_name"] == "ema.py"


def test_a_file_that_does_not_compile_is_kept_as_a_draft_that_does_not_start(
    world: World, people: People
) -> None:
    browser = world.browser(people.owner)
    answer = browser.upload("/python/upload", b"x = 1\ndef broken(:\n", name="B").json()
    assert answer["message"] == "“B” was kept as a draft: line 2 does not compile."
    assert answer["strategy"]["problem"]["line"] == 2
    refused = browser.post(f"/python/start/{answer['strategy_id']}")
    assert (refused.status, refused.json()["error_code"]) == (400, "SOURCE_PROBLEM")


@pytest.mark.parametrize(
    ("file_name", "content", "fields", "status", "code"),
    [
        ("ema.txt", SOURCE, {}, 400, "NOT_PYTHON"),
        ("ema.py", b"  \n", {}, 400, "EMPTY_FILE"),
        ("ema.py", SOURCE, {"name": "n" * 81}, 400, "BAD_NAME"),
        ("ema.py", SOURCE, {"exchange": "LSE"}, 400, "INVALID"),
        ("ema.py", b"#" * 1_048_577, {}, 413, "FILE_TOO_LARGE"),
        ("ema.py", b"#" * 21_100_000, {}, 413, "TOO_LARGE"),
        ("", SOURCE, {}, 400, "NO_FILE"),
    ],
)
def test_what_cannot_be_a_strategy_is_refused(
    world: World, people: People, file_name: str, content: bytes, fields: dict[str, str],
    status: int, code: str,
) -> None:  # fmt: skip
    browser = world.browser(people.owner)
    answer = browser.upload("/python/upload", content, file_name, **fields)
    assert (answer.status, answer.json()["error_code"]) == (status, code)
    assert len(browser.get("/python/status").json()["strategies"]) == 1


def test_a_form_with_too_many_parts_is_refused(world: World, people: People) -> None:
    fields = {f"f{number}": "x" for number in range(40)}
    answer = world.browser(people.owner).upload("/python/upload", SOURCE, **fields)
    assert answer.status == 400


@pytest.mark.parametrize("kind", ["application/json", "text/x-python", ""])
def test_an_upload_that_is_no_form_is_refused(world: World, people: People, kind: str) -> None:
    browser = world.browser(people.owner)
    answer = browser.ask("POST", "/python/upload", SOURCE, {"content-type": kind})
    assert (answer.status, answer.json()["error_code"]) == (415, "WRONG_CONTENT_TYPE")


def test_a_broken_form_is_refused_with_a_sentence(world: World, people: People) -> None:
    browser = world.browser(people.owner)
    for body in (b"", b"--edge", b"--other\r\n\r\nx", b"--edge\r\nx"):
        kind = {"content-type": "multipart/form-data; boundary=edge"}
        answer = browser.ask("POST", "/python/upload", body, kind)
        assert answer.status == 400
        assert answer.json()["message"].endswith(".")
    no_boundary = browser.ask(
        "POST", "/python/upload", b"x", {"content-type": "multipart/form-data"}
    )
    assert no_boundary.status == 400


def test_a_life_from_start_to_stop(world: World, people: People) -> None:
    browser, strategy_id = world.browser(people.owner), people.strategy.strategy.id
    started = browser.post(f"/python/start/{strategy_id}")
    assert started.status == 200
    assert started.json()["strategy"]["phase"] in {"pending", "starting", "running"}
    world.settle(strategy_id)
    row = browser.get("/python/status").json()["strategies"][0]
    assert row["phase"] == "running"
    assert (row["run_id"], row["pid"]) != (None, None)
    again = browser.post(f"/python/start/{strategy_id}")
    assert (again.status, again.json()["error_code"]) == (409, "ALREADY_RUNNING")
    assert again.json()["details"] == {"run_id": row["run_id"]}
    assert browser.post(f"/python/save/{strategy_id}", {"source": "x = 1\n"}).status == 409
    assert browser.post(f"/python/delete/{strategy_id}").status == 409
    assert browser.post(f"/python/stop/{strategy_id}").json()["success"] is True
    world.keeper.exits(row["run_id"])
    world.settle(strategy_id)
    ended = browser.get("/python/status").json()["strategies"][0]
    assert (ended["phase"], ended["outcome"], ended["pid"]) == ("stopped", "stopped", None)
    nothing = browser.post(f"/python/stop/{strategy_id}")
    assert (nothing.status, nothing.json()["error_code"]) == (409, "NOT_RUNNING")


def test_a_crash_is_an_error_with_its_code(world: World, people: People) -> None:
    browser, strategy_id = world.browser(people.owner), people.strategy.strategy.id
    browser.post(f"/python/start/{strategy_id}")
    world.settle(strategy_id)
    run_id = browser.get("/python/status").json()["strategies"][0]["run_id"]
    world.keeper.exits(run_id, code=1)
    world.settle(strategy_id)
    status = browser.get("/python/status").json()
    row = status["strategies"][0]
    assert (row["phase"], row["outcome"]) == ("error", "exited(1)")
    assert row["sentence"].startswith("Exited with code 1 at ")
    assert status["counts"] == {phase.value: int(phase is Phase.ERROR) for phase in Phase}


def test_saving_makes_a_version_or_a_draft(world: World, people: People) -> None:
    browser, path = world.browser(people.owner), f"/python/save/{people.strategy.strategy.id}"
    assert browser.post(path, {"source": "x = 2\n"}).json()["message"] == "Saved."
    draft = browser.post(path, {"source": "x = = 2\n"}).json()
    assert draft["message"].startswith("Saved as a draft")
    assert draft["strategy"]["problem"]["line"] == 1
    newlines = "#\n" * 500_000  # a megabyte, in JSON half as much again
    assert browser.post(path, {"source": newlines}).status == 200
    for bad, status in [({}, 400), ({"source": 7}, 400), ({"source": "é" * 600_000}, 413)]:
        assert browser.post(path, bad).status == status


def test_a_deleted_strategy_is_gone_for_everybody(world: World, people: People) -> None:
    browser, strategy_id = world.browser(people.owner), people.strategy.strategy.id
    assert browser.post(f"/python/delete/{strategy_id}").json()["message"] == "“EMA” was deleted."
    assert browser.get("/python/status").json()["strategies"] == []
    for asker in (people.owner, people.admin):
        assert world.browser(asker).get(f"/python/source/{strategy_id}").status == 404


def test_somebody_elses_strategy_and_none_are_told_apart_by_nobody(
    world: World, people: People
) -> None:
    browser = world.browser(people.other)
    foreign = people.strategy.strategy.id
    for verb in ("start", "stop", "delete", "save"):
        one = browser.post(f"/python/{verb}/{foreign}", {"source": "x"})
        none = browser.post(f"/python/{verb}/nothing_20250602093000", {"source": "x"})
        assert one.status == none.status == 404
        assert one.body == none.body
    assert browser.get(f"/python/source/{foreign}").status == 404


def test_an_administrator_sees_and_acts_on_all_with_their_owners(
    world: World, people: People
) -> None:
    world.strategy(people.admin, "Own")
    browser = world.browser(people.admin)
    rows = browser.get("/python/status").json()["strategies"]
    assert [(row["name"], row["owner"]) for row in rows] == [("EMA", "ravi"), ("Own", "asha")]
    assert browser.post(f"/python/start/{people.strategy.strategy.id}").status == 200
    assert world.browser(people.other).get("/python/status").json()["strategies"] == []


def test_the_status_is_made_again_only_when_something_changed(
    world: World, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = world.app.state.status_board
    make, made = board._make, []

    def counted(user: User) -> Status:
        made.append(user.name)
        return cast("Status", make(user))

    monkeypatch.setattr(board, "_make", counted)
    owner, admin = world.browser(people.owner), world.browser(people.admin)
    for _ in range(5):
        plain, packed = (
            owner.get("/python/status"),
            owner.get("/python/status", accept_encoding="gzip, br"),
        )
        assert packed.header("content-encoding") == "gzip"
        assert packed.text == plain.text
        admin.get("/python/status")
    assert made == ["ravi", "asha"]
    owner.post(f"/python/start/{people.strategy.strategy.id}")
    assert owner.get("/python/status").json()["counts"]["stopped"] == 0
    assert made == ["ravi", "asha", "ravi"]


def test_profit_and_orders_of_the_day_are_in_the_row(world: World, people: People) -> None:
    strategy_id = people.strategy.strategy.id
    browser = world.browser(people.owner)
    key = InstrumentKey(exchange=Exchange.NSE, symbol="RELIANCE")
    book = Book(account_id=paper_account(people.owner), strategy_id=strategy_id)
    scope = Scope(account_id=book.account_id, strategy_id=strategy_id)

    def gained() -> Decimal:
        return world.host.gateway.day_pnls(scope)[strategy_id].total

    before = browser.get("/python/status").json()["strategies"][0]
    assert (before["pnl"], before["order_count"]) == (None, 0)
    order = OrderRequest(key=key, action=Action.BUY, quantity=10)
    world.run(world.host.gateway.place(book, order))
    row = browser.get("/python/status").json()["strategies"][0]
    assert row["order_count"] == 1
    assert Decimal(row["pnl"]) == gained()
    for _ in range(30):  # prices move; the cached figure is at most a second old
        world.clock.advance(1)
        world.market.tick()
    row = browser.get("/python/status").json()["strategies"][0]
    assert row["pnl"] == f"{gained():.2f}"


def test_figures_of_an_account_that_cannot_be_read_are_unknown_and_not_zero(
    world: World, people: People
) -> None:
    late = world.run(world.host.identity.create_user("late", "a boat on the river", is_admin=False))
    world.strategy(late)
    row = world.browser(late).get("/python/status").json()["strategies"][0]
    assert (row["pnl"], row["order_count"]) == (None, None)


def test_a_new_key_is_shown_once_and_is_the_askers(world: World, people: People) -> None:
    browser = world.browser(people.owner)
    first = browser.post("/python/key").json()["api_key"]
    second = browser.post("/python/key").json()["api_key"]
    assert world.host.identity.principal(first) is None
    principal = world.host.identity.principal(second)
    assert principal is not None
    assert principal.user == people.owner
    assert second not in browser.page("/python").text


def test_healthz_tells_the_version_and_nothing_else(world: World) -> None:
    assert json.loads(world.browser().get("/healthz").body) == {
        "status": "ok",
        "version": "0.1.0",
    }

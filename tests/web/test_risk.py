"""Limits, the governor's queue and what a kill switch is asked for, over HTTP."""

from collections.abc import Mapping
from typing import Any

import pytest

from algohost.domain.users import paper_account
from tests.web.conftest import People
from tests.web.world import World

ORDER = {
    "strategy": "x",
    "symbol": "RELIANCE",
    "exchange": "NSE",
    "action": "BUY",
    "quantity": 1,
    "pricetype": "MARKET",
    "product": "MIS",
}


def test_limits_are_set_shown_and_taken_away_by_their_owner(world: World, people: People) -> None:
    owner, made = world.browser(people.owner), people.strategy.strategy.id
    mine: dict[str, Any] = {"scope": "strategy", "id": made}
    answer = owner.post("/api/risk/set", {**mine, "limits": {"most_quantity": 10}}).json()
    assert answer["message"] == "The limits of the strategy hold from now on."
    assert (answer["target"]["limits"]["most_quantity"], answer["target"]["by"]) == (10, "ravi")
    told = owner.ask("GET", "/api/risk/target", query=f"scope=strategy&id={made}").json()
    assert (told["target"]["is_set"], [one["whose"] for one in told["above"]]) == (
        True,
        ["the host", "the account"],
    )
    assert [one["scope"] for one in owner.get("/api/risk").json()["limits"]] == ["strategy"]
    assert world.browser(people.other).get("/api/risk").json()["limits"] == []
    cleared = owner.post("/api/risk/clear", mine).json()
    assert (cleared["target"]["is_set"], cleared["message"]) == (
        False,
        "The strategy has no limits of its own any more.",
    )


@pytest.mark.parametrize(
    ("who", "body", "status", "code"),
    [
        ("other", {"scope": "strategy"}, 404, "NO_TARGET"),
        ("other", {"scope": "account"}, 404, "NO_TARGET"),
        ("owner", {"scope": "host"}, 403, "ADMIN_ONLY"),
        ("owner", {"scope": "planet"}, 400, "INVALID"),
        ("owner", {"limits": {"most_quantity": 0}}, 400, "RISK_BAD_LIMIT"),
        ("owner", {"limits": {"most_lots": 1}}, 400, "RISK_UNKNOWN_LIMIT"),
        ("owner", {"limits": [1]}, 400, "BAD_FIELDS"),
    ],
)
def test_what_is_not_theirs_or_cannot_be_is_refused(
    world: World, people: People, who: str, body: Mapping[str, Any], status: int, code: str
) -> None:
    browser = world.browser(getattr(people, who))
    ids = {"strategy": people.strategy.strategy.id, "account": paper_account(people.owner)}
    scope = body.get("scope", "account")
    target = {"scope": scope, "id": ids.get(scope, "") if who == "other" else ""}
    sent = {**target, "limits": {"most_quantity": 5}, **body}
    answer = browser.post("/api/risk/set", sent)
    assert (answer.status, answer.json()["error_code"]) == (status, code)


def test_what_an_administrator_sets_its_user_does_not_change(world: World, people: People) -> None:
    admin, owner = world.browser(people.admin), world.browser(people.owner)
    account = paper_account(people.owner)
    body = {"scope": "account", "id": account, "limits": {"most_orders_a_day": 5}}
    assert admin.post("/api/risk/set", body).status == 200
    answer = owner.post("/api/risk/clear", {"scope": "account"})
    assert (answer.status, answer.json()["error_code"]) == (403, "RISK_OF_OTHER")
    assert owner.get("/api/risk/target").json()["target"]["may_set"] is False


def test_a_breach_is_refused_in_the_clients_envelope_and_told_on_the_strategy(
    world: World, people: People
) -> None:
    owner, browser = world.browser(people.owner), world.browser()
    key = world.run(world.host.identity.new_key(people.owner.id))
    owner.post("/api/risk/set", {"limits": {"most_quantity": 1, "products": "MIS"}})
    answer = browser.post("/api/v1/placeorder", {**ORDER, "apikey": key, "quantity": 2})
    assert (answer.status, answer.json()["status"]) == (409, "error")
    assert (
        "2 units are more than the 1 that one order of the account may have"
        in (answer.json()["message"])
    )
    world.run(world.host.risk._write_down())
    [refused, _set] = owner.get("/api/risk/target").json()["events"]
    assert refused["kind"] == "risk_quantity"
    assert refused["sentence"].startswith("BUY 2 NSE:RELIANCE MIS was refused. 2 units")
    assert browser.post("/api/v1/placeorder", {**ORDER, "apikey": key}).status == 200


def test_the_page_of_a_strategy_has_its_limits(world: World, people: People) -> None:
    page = world.browser(people.owner).page(f"/python/{people.strategy.strategy.id}").text
    assert f'data-scope="strategy" data-id="{people.strategy.strategy.id}"' in page
    assert "Risk limits" in page


def test_the_queue_is_there_for_whom_it_concerns(world: World, people: People) -> None:
    assert world.browser(people.owner).get("/api/governor").json()["queues"] == []


def test_a_drill_over_http_engages_nothing(world: World, people: People) -> None:
    owner = world.browser(people.owner)
    key = world.run(world.host.identity.new_key(people.owner.id))
    order = {**ORDER, "apikey": key, "pricetype": "LIMIT", "price": 1500}
    assert world.browser().post("/api/v1/placeorder", order).status in {200, 400}
    told = owner.post("/api/kill-switch/engage", {"steps": ["flatten", "stop"], "drill": True})
    assert told.json()["message"].startswith("A drill: nothing was done")
    assert set(told.json()["drill"]) == {
        "orders", "gtts", "positions", "strategies", "troubles", "sentence"
    }  # fmt: skip
    assert owner.get("/api/kill-switch").json()["kill_switches"] == []
    denied = owner.post("/api/kill-switch/engage", {"scope": "host", "drill": True})
    assert (denied.status, denied.json()["error_code"]) == (403, "ADMIN_ONLY")


def test_what_a_switch_is_asked_for_is_told_with_it(world: World, people: People) -> None:
    owner = world.browser(people.owner)
    answer = owner.post("/api/kill-switch/engage", {"steps": ["stop", "flatten"]}).json()
    assert answer["message"] == (
        "The kill switch of your account is engaged."
        " It will cancel open orders, close positions and stop strategies."
    )
    [task] = answer["kill_tasks"]
    assert (task["state"], task["steps"]) == ("working", ["cancel", "flatten", "stop"])
    assert world.browser(people.other).get("/api/kill-switch").json()["kill_tasks"] == []
    bad = owner.post("/api/kill-switch/engage", {"steps": ["explode"]})
    assert (bad.status, bad.json()["message"]) == (
        400,
        "“explode” is not a step of the kill switch; use cancel, flatten, stop.",
    )
    owner.post("/api/kill-switch/release", {})
    [ended] = owner.get("/api/kill-switch").json()["kill_tasks"]
    assert ended["state"] == "released"

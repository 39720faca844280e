"""Broker sessions, “Check & start” and the kill switch over HTTP."""

from collections.abc import Mapping
from typing import Any

import pytest

from algohost.domain.users import paper_account
from tests.web.conftest import People
from tests.web.world import World

SESSION = "/api/broker/session"


def test_a_session_is_shown_ended_and_opened(world: World, people: People) -> None:
    browser, other = world.browser(people.owner), world.browser(people.other)
    first = browser.get(SESSION).json()["session"]
    assert first == {
        "account_id": paper_account(people.owner),
        "broker": "paper",
        "state": "logged_in",
        "word": "Logged in",
        "since": None,
        "by": "",
        "expires_at": None,
        "is_expiring": False,
        "fields": [],
        "running": 0,
        "waiting": 0,
    }
    ended = browser.post("/api/broker/logout", {})
    assert (ended.status, ended.json()["session"]["state"]) == (200, "logged_out")
    again = browser.post("/api/broker/logout", {})
    assert (again.status, again.json()["error_code"]) == (409, "BROKER_LOGGED_OUT")
    assert other.get(SESSION).json()["session"]["state"] == "logged_in"
    opened = browser.post("/api/broker/login", {})
    assert (opened.status, opened.json()["session"]["state"]) == (200, "logged_in")
    told = [event["sentence"] for event in browser.get(SESSION).json()["events"]]
    assert told == ["ravi logged in.", "ravi logged out."]


@pytest.mark.parametrize("body", [{"pin": 1}, {"pin": None}, {f"f{n}": "x" for n in range(17)}])
def test_what_is_no_answer_to_a_login_is_refused_and_not_repeated(
    world: World, people: People, body: Mapping[str, Any]
) -> None:
    answer = world.browser(people.owner).post("/api/broker/login", body)
    assert (answer.status, answer.json()["message"]) == (
        400,
        "Send the fields of the login as texts.",
    )


def test_a_start_waits_for_the_login_and_check_and_start_begins_it(
    world: World, people: People
) -> None:
    browser, made = world.browser(people.owner), people.strategy.strategy.id
    assert browser.post("/python/check-contracts").json() == {
        "success": True,
        "message": "Nothing waits.",
        "started": [],
        "waiting": [],
    }
    browser.post("/api/broker/logout", {})
    row = browser.post(f"/python/start/{made}").json()["strategy"]
    assert row["phase"] == "waiting"
    [gate] = row["gates"]
    assert (gate["code"], gate["action"], gate["until"]) == ("BROKER_LOGGED_OUT", "login", None)
    assert row["sentence"] == gate["sentence"]
    assert browser.get(SESSION).json()["session"]["waiting"] == 1
    stranger = world.browser(people.other).post("/python/check-contracts").json()
    assert (stranger["started"], stranger["waiting"]) == ([], [])
    checked = browser.post("/python/check-contracts").json()
    assert checked["message"].startswith("1 strategy still waiting: The broker session")
    assert [(one["id"], one["gates"]) for one in checked["waiting"]] == [(made, [gate])]
    browser.post("/api/broker/login", {})
    found = browser.post("/python/check-contracts").json()
    assert (found["message"], found["started"]) == ("1 strategy started.", [made])


def test_a_kill_switch_is_engaged_shown_to_whom_it_concerns_and_released(
    world: World, people: People
) -> None:
    owner, other = world.browser(people.owner), world.browser(people.other)
    engaged = owner.post("/api/kill-switch/engage", {"reason": "Wrong prices"}).json()
    [switch] = engaged["kill_switches"]
    assert engaged["message"] == (
        "The kill switch of your account is engaged. Running strategies go on until stopped."
    )
    assert (switch["scope"], switch["covers"], switch["by"], switch["may_release"]) == (
        "account", "your account", "ravi", True
    )  # fmt: skip
    assert other.get("/api/kill-switch").json()["kill_switches"] == []
    admins = world.browser(people.admin).get("/api/kill-switch").json()["kill_switches"]
    assert [one["covers"] for one in admins] == [f"account {paper_account(people.owner)}"]
    row = owner.post(f"/python/start/{people.strategy.strategy.id}").json()["strategy"]
    assert [(one["code"], one["action"]) for one in row["gates"]] == [("KILL_SWITCH", "release")]
    page = owner.page("/python").text
    assert "The kill switch of your account is engaged by ravi" in page
    assert "(Wrong prices)" in page
    released = owner.post("/api/kill-switch/release", {}).json()
    assert released["kill_switches"] == []


def test_the_hosts_switch_and_what_belongs_to_others_are_out_of_reach(
    world: World, people: People
) -> None:
    owner, other = world.browser(people.owner), world.browser(people.other)
    made, account = people.strategy.strategy.id, paper_account(people.owner)
    cases = [
        (other, {"scope": "strategy", "id": made}, 404, "NO_TARGET"),
        (other, {"scope": "account", "id": account}, 404, "NO_TARGET"),
        (other, {"scope": "host"}, 403, "ADMIN_ONLY"),
        (owner, {"scope": "host"}, 403, "ADMIN_ONLY"),
        (owner, {"scope": "planet"}, 400, "INVALID"),
        (owner, {"scope": 7}, 400, "BAD_FIELDS"),
        (owner, {"reason": "x" * 201}, 400, "BAD_FIELDS"),
    ]
    for browser, body, status, code in cases:
        for verb in ("engage", "release"):
            answer = browser.post(f"/api/kill-switch/{verb}", body)
            assert (answer.status, answer.json()["error_code"]) == (status, code), (verb, body)
    assert world.host.kill_switch.engaged(people.admin) == []


def test_an_order_while_it_is_engaged_is_refused_in_the_clients_envelope(
    world: World, people: People
) -> None:
    admin, browser = world.browser(people.admin), world.browser()
    key = world.run(world.host.identity.new_key(people.owner.id))
    admin.post("/api/kill-switch/engage", {"scope": "host", "reason": "A drill"})
    order = {
        "apikey": key, "strategy": "x", "symbol": "RELIANCE", "exchange": "NSE", "action": "BUY",
        "quantity": 1, "pricetype": "MARKET", "product": "MIS",
    }  # fmt: skip
    answer = browser.post("/api/v1/placeorder", order)
    assert (answer.status, answer.json()["status"]) == (409, "error")
    assert "The kill switch of the whole server was engaged by asha" in answer.json()["message"]
    owner = world.browser(people.owner)
    owner.post("/api/kill-switch/engage", {})
    assert "Another one is engaged" in owner.post("/api/kill-switch/release", {}).json()["message"]
    admin.post("/api/kill-switch/release", {"scope": "host"})
    assert browser.post("/api/v1/placeorder", order).status == 200

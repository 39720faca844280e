"""The master contract on the pages' routes: how it stands, asking for a new one, a search."""

import asyncio

import pytest

from tests.web.conftest import People
from tests.web.world import World

STATUS = "/api/master-contract/status"
DOWNLOAD = "/api/master-contract/download"
SEARCH = "/api/master-contract/search"


def test_the_status_has_the_fields_that_clients_know(world: World, people: People) -> None:
    answer = world.browser(people.owner).get(STATUS).json()
    total = len(world.market.instruments())
    assert answer == {
        "success": True,
        "message": f"{total} instruments, made 02 Jun 2025 09:30 IST; the next list is due"
        " 03 Jun 2025 08:00 IST.",
        "broker": "paper",
        "status": "success",
        "last_updated": "2025-06-02T04:00:00.000+00:00",
        "total_symbols": total,
        "is_ready": True,
        "percent": None,
    }


def test_a_list_that_is_not_of_today_is_not_ready(world: World, people: People) -> None:
    world.clock.advance(23 * 3600)
    answer = world.browser(people.owner).get(STATUS).json()
    assert (answer["status"], answer["is_ready"], answer["total_symbols"] > 0) == (
        "pending",
        False,
        True,
    )


def test_ready_is_a_short_answer(world: World, people: People) -> None:
    ready = "/api/master-contract/ready"
    assert world.browser(people.owner).get(ready).json()["ready"] is True
    world.clock.advance(23 * 3600)
    assert world.browser(people.owner).get(ready).json()["ready"] is False


def test_a_failed_download_is_told_with_its_reason(world: World, people: People) -> None:
    world.clock.advance(23 * 3600)
    world.contract_source.fail()
    world.run(world.host.master_contracts.step())
    answer = world.browser(people.owner).get(STATUS).json()
    assert (answer["status"], answer["is_ready"]) == ("error", False)
    assert "The broker does not answer." in answer["message"]


def test_a_new_list_is_made_when_asked_for_by_force(world: World, people: People) -> None:
    browser = world.browser(people.owner)
    skipped = browser.post(DOWNLOAD).json()
    assert (skipped["status"], skipped["started"]) == ("skipped", False)
    world.clock.advance(60)
    started = browser.post(DOWNLOAD, {"force": True}).json()
    assert started == {
        "success": True,
        "message": "Master contract download started",
        "status": "success",
        "started": True,
        "should_download": True,
    }
    world.run(world.host.master_contracts.step())
    assert world.contract_source.fetched == 2


def test_asking_again_at_once_is_too_many(world: World, people: People) -> None:
    answer = world.browser(people.owner).post(DOWNLOAD, {"force": True})
    assert (answer.status, answer.json()["error_code"]) == (429, "JUST_DOWNLOADED")


@pytest.mark.parametrize(
    ("query", "symbols"),
    [
        ("q=RELIANCE", ["RELIANCE"]),
        ("q=reliance&exchange=NSE", ["RELIANCE"]),
        ("q=RELIANCE&exchange=BSE", []),
        ("q=nosuchthing", []),
        ("", []),
    ],
)
def test_instruments_are_searched(
    world: World, people: People, query: str, symbols: list[str]
) -> None:
    answer = world.browser(people.owner).ask("GET", SEARCH, query=query).json()
    assert [one["symbol"] for one in answer["instruments"]] == symbols
    assert all(one["has_prices"] for one in answer["instruments"])


@pytest.mark.parametrize(
    "query",
    ["q=a&exchange=NOWHERE", "q=a&limit=0", "q=a&limit=9999", "q=a&limit=x", "q=a&limit=0000501"],
)
def test_a_search_that_makes_no_sense_is_refused(world: World, people: People, query: str) -> None:
    assert world.browser(people.owner).ask("GET", SEARCH, query=query).status == 400


def test_strategies_wait_behind_the_gate_of_the_list(world: World) -> None:
    """The gate is the list's own: nothing else decides when it opens."""
    closed = world.host.master_contracts.closed
    assert asyncio.run(closed(None)) == ()  # type: ignore[arg-type]
    world.clock.advance(23 * 3600)
    [gate] = asyncio.run(closed(None))  # type: ignore[arg-type]
    assert gate.code == "MASTER_CONTRACT"

"""The page "Tomorrow": what starts on a day, for whom, and what became of it."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from algohost.domain.kill_switch import WHOLE_HOST
from algohost.host.views import StrategyView
from tests.web.asgi import Answer, Browser
from tests.web.conftest import People
from tests.web.world import World

WINDOWS = {"start_time": "09:35", "stop_time": "15:15"}


@pytest.fixture
def scheduled(world: World, people: People) -> StrategyView:
    """One strategy of the owner's that starts at 09:35; it is 09:30 on Mon 2 Jun 2025."""
    path = f"/python/schedule/{people.strategy.strategy.id}"
    assert world.browser(people.owner).post(path, WINDOWS).status == 200
    world.run(world.scheduler.look())
    return people.strategy


def day(browser: Browser, date: str = "") -> dict[str, Any]:
    query = f"date={date}" if date else ""
    found: dict[str, Any] = browser.ask("GET", "/schedule/day", query=query).json()
    return found


def embedded(page: Answer) -> dict[str, Any]:
    (text,) = re.findall(r"data-agenda>(.*?)</script>", page.text, re.DOTALL)
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_page_opens_at_the_next_day_with_a_start(
    world: World, people: People, scheduled: StrategyView
) -> None:
    browser = world.browser(people.owner)
    today = day(browser)
    assert (today["date"], today["title"]) == ("2025-06-02", "Today")
    (start,) = today["starts"]
    assert (start["strategy_id"], start["span"], start["word"]) == (
        scheduled.strategy.id,
        "09:35–15:15",
        "Will start",
    )
    assert (start["gates"], today["skipped"], today["always"]) == ([], [], [])
    assert today["exchanges"][0]["hours"] == "09:15–15:30"
    world.clock.advance(timedelta(minutes=10))
    world.run(world.scheduler.look())
    later = day(browser)
    assert (later["date"], later["title"]) == ("2025-06-03", "Tomorrow")
    assert embedded(browser.page("/schedule")) == {
        key: value for key, value in later.items() if key not in {"success", "message"}
    }


def test_a_day_that_has_been_says_what_became_of_each_start(
    world: World, people: People, scheduled: StrategyView
) -> None:
    world.clock.advance(timedelta(minutes=5, milliseconds=7))
    world.run(world.scheduler.look())
    world.settle(scheduled.strategy.id)
    world.run(world.scheduler.look())
    world.clock.advance(timedelta(days=1))
    (start,) = day(world.browser(people.owner), "2025-06-02")["starts"]
    run = world.host.strategies.get(people.owner, scheduled.strategy.id).latest
    assert run is not None
    assert (start["state"], start["run_id"], start["late_ms"]) == ("started", run.id, 7)


@pytest.mark.parametrize("later", ["unschedule", "schedule"])
def test_what_became_of_a_start_stays_when_the_schedule_is_changed_afterwards(
    world: World, people: People, scheduled: StrategyView, later: str
) -> None:
    """The server sleeps over the window; then somebody takes the schedule away, or changes it."""
    world.clock.advance(timedelta(hours=9))
    world.run(world.scheduler.look())
    browser = world.browser(people.owner)
    told = day(browser, "2025-06-02")
    assert [one["state"] for one in told["starts"]] == ["missed"]
    body = {"start_time": "10:00"} if later == "schedule" else None
    assert browser.post(f"/python/{later}/{scheduled.strategy.id}", body).status == 200
    world.run(world.scheduler.look())
    (start,) = [one for one in day(browser, "2025-06-02")["starts"] if one["state"] == "missed"]
    assert (start["span"], start["sentence"]) == ("09:35–15:15", told["starts"][0]["sentence"])


def test_a_holiday_is_left_out_with_its_name(
    world: World, people: People, scheduled: StrategyView
) -> None:
    found = day(world.browser(people.owner), "2025-08-15")
    assert found["starts"] == []
    (left_out,) = found["skipped"]
    assert (left_out["name"], left_out["word"]) == (scheduled.strategy.name, "Left out")
    assert "Independence Day" in left_out["sentence"]
    assert found["exchanges"] == [
        {
            "exchange": "NSE",
            "kind": "holiday",
            "hours": "",
            "sentence": "Holiday: Independence Day",
            "knowledge": "published",
        }
    ]


def test_gates_that_are_closed_now_stand_beside_the_start(
    world: World, people: People, scheduled: StrategyView
) -> None:
    world.run(world.host.kill_switch.engage(people.admin, WHOLE_HOST))
    (start,) = day(world.browser(people.owner))["starts"]
    assert [gate["code"] for gate in start["gates"]] == ["KILL_SWITCH"]


def test_what_runs_around_the_clock_is_listed_apart(world: World, people: People) -> None:
    path = f"/python/schedule/{people.strategy.strategy.id}"
    world.browser(people.owner).post(path, {"kind": "always"})
    found = day(world.browser(people.owner), "2025-06-10")
    assert [one["name"] for one in found["always"]] == [people.strategy.strategy.name]
    assert (found["starts"], found["skipped"]) == ([], [])


def test_each_sees_their_own_and_an_administrator_everything(
    world: World, people: People, scheduled: StrategyView
) -> None:
    """The page of somebody else names nothing of it."""
    other = world.browser(people.other)
    found = day(other, "2025-06-02")
    assert (found["starts"], found["skipped"], found["always"]) == ([], [], [])
    page = other.page("/schedule", query="date=2025-06-02").text
    assert scheduled.strategy.id not in page
    assert "Nothing starts by the clock yet" in page
    (seen,) = day(world.browser(people.admin), "2025-06-02")["starts"]
    assert (seen["strategy_id"], seen["owner"]) == (scheduled.strategy.id, people.owner.name)


def test_without_any_schedule_it_is_tomorrow(world: World, people: People) -> None:
    assert day(world.browser(people.other))["title"] == "Tomorrow"


@pytest.mark.parametrize("text", ["2025-02-30", "tomorrow", "1999-01-01", "2101-01-01", "20250602"])
def test_what_is_no_day_is_refused_with_a_sentence(world: World, people: People, text: str) -> None:
    browser = world.browser(people.owner)
    refused = browser.ask("GET", "/schedule/day", query=f"date={text}")
    assert (refused.status, refused.json()["error_code"]) == (400, "BAD_DAY")
    assert browser.page("/schedule", query=f"date={text}").status == 400


def test_the_ends_of_the_calendar_have_a_page_without_a_way_beyond(
    world: World, people: People
) -> None:
    browser = world.browser(people.owner)
    assert (
        'aria-label="The day before"' not in browser.page("/schedule", query="date=2000-01-01").text
    )
    assert (
        'aria-label="The day after"' not in browser.page("/schedule", query="date=2100-12-31").text
    )


def test_the_states_of_the_exchanges_can_be_asked_for_anew(world: World, people: People) -> None:
    world.clock.set(datetime(2026, 11, 24, 12, 0, tzinfo=UTC))
    found = world.browser(people.other).get("/calendar/now").json()
    first = found["states"][0]
    assert (first["text"], first["also"], first["open"]) == (
        "NSE closed: Guru Nanak Jayanti",
        "MCX evening session",
        False,
    )
    assert first["at"] < found["until"]

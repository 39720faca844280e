"""The routes of a strategy's schedule, over the real service and scheduler."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from algohost.domain.schedules import Schedule, ScheduleKind
from algohost.domain.timetable_json import to_json
from tests.web.asgi import Answer, Browser
from tests.web.conftest import People
from tests.web.world import World

WORKDAYS = ["mon", "tue", "wed", "thu", "fri"]
WINDOW = {"start": "09:20", "stop": "15:25", "weekdays": WORKDAYS, "ends_next_day": False}
PLAIN = {"kind": "windows", "windows": [WINDOW]}
BEFORE_A_HOLIDAY = datetime(2025, 8, 13, 12, 0, tzinfo=UTC)
"""A Wednesday evening; Friday is Independence Day."""


@pytest.fixture
def strategy_id(people: People) -> str:
    return str(people.strategy.strategy.id)


@pytest.fixture
def browser(world: World, people: People) -> Browser:
    """The owner's, who is no administrator."""
    return world.browser(people.owner)


def schedule_of(world: World, people: People, strategy_id: str) -> Schedule:
    return world.host.timetables.schedule(people.owner, strategy_id)


def asked(browser: Browser, path: str, query: str) -> Answer:
    return browser.ask("GET", path, query=query)


def look(world: World) -> None:
    """What the loop does each second."""
    world.run(world.scheduler.look())


def test_a_new_strategy_has_no_schedule_and_is_offered_some(
    browser: Browser, strategy_id: str
) -> None:
    found = browser.get(f"/python/schedule/{strategy_id}").json()
    assert (found["is_set"], found["next_at"], found["locked"]) == (False, None, "")
    assert found["sentence"] == "No schedule: it starts and stops when somebody says so."
    assert found["schedule"] == to_json(Schedule())
    assert [one["label"] for one in found["presets"]] == [
        "NSE session",
        "MCX evening",
        "24×7",
        "Manual",
    ]
    assert found["history"] == {"occurrences": [], "older": None}


@pytest.mark.parametrize(
    ("body", "window", "exchange"),
    [
        (
            {"start_time": "09:35", "stop_time": "15:15", "days": ["mon", "fri"]},
            {"start": "09:35", "stop": "15:15", "weekdays": ["mon", "fri"]},
            "NSE",
        ),
        (
            {"start_time": "9:35", "stop_time": "", "days": ["Monday", "TUE"], "exchange": "mcx"},
            {"start": "09:35", "stop": None, "weekdays": ["mon", "tue"]},
            "MCX",
        ),
        (
            {"start_time": "09:35", "stop_time": None},
            {"start": "09:35", "stop": None, "weekdays": WORKDAYS},
            "NSE",
        ),
    ],
)
def test_what_existing_clients_send_makes_one_window(
    world: World,
    people: People,
    browser: Browser,
    strategy_id: str,
    body: dict[str, object],
    window: dict[str, object],
    exchange: str,
) -> None:
    answer = browser.post(f"/python/schedule/{strategy_id}", body)
    told = answer.json()
    assert (answer.status, told["success"]) == (200, True)
    assert told["schedule"]["windows"] == [{**window, "ends_next_day": False}]
    assert (told["exchange"], told["strategy"]["exchange"]) == (exchange, exchange)
    assert told["message"].startswith("Runs ")
    assert "Next start Mon 2 Jun 09:35 IST." in told["message"]
    assert told["strategy"]["next_start"] == told["next_at"] == "2025-06-02T04:05:00.000+00:00"
    assert schedule_of(world, people, strategy_id).kind is ScheduleKind.WINDOWS


@pytest.mark.parametrize(
    ("body", "field", "window", "sentence"),
    [
        ({"start_time": "25:00", "days": ["mon"]}, "start", 0, "'25:00' is no time"),
        ({"start_time": "<script>", "days": ["mon"]}, "start", 0, "is no time"),
        ({"days": ["mon"]}, "start", 0, "start is missing"),
        ({"start_time": "09:20", "days": []}, "weekdays", 0, "choose at least one"),
        ({"start_time": "09:20", "days": ["funday"]}, "weekdays", 0, "weekdays must be one of"),
        ({"start_time": "09:20", "days": "mon"}, "weekdays", 0, "weekdays must be a list"),
        ({"start_time": "09:20", "stop_time": "09:20"}, "stop", 0, "ends before it starts"),
        ({"start_time": "09:20", "exchange": "LSE"}, "exchange", None, "There is no calendar of"),
        ({"start_time": "09:20", "exchange": 5}, "exchange", None, "exchange must be text"),
        ({"start_time": "09:20", "colour": "red"}, "colour", None, "has no field 'colour'"),
        ({**PLAIN, "colour": "red"}, "colour", None, "has no field 'colour'"),
        ({**PLAIN, "zone": "Mars"}, "zone", None, "There is no time zone 'Mars'"),
        ({**PLAIN, "windows": []}, "windows", None, "has 0 windows"),
        (
            {**PLAIN, "windows": [WINDOW, {**WINDOW, "start": "15:30", "stop": "15:26"}]},
            "stop",
            1,
            "Window 15:30–15:26 ends before it starts",
        ),
        ({**PLAIN, "windows": [WINDOW, WINDOW]}, "windows", None, "overlap"),
        (
            {**PLAIN, "first_day": "2026-02-01", "last_day": "2026-01-01"},
            "last_day",
            None,
            "is before the first day",
        ),
        ({**PLAIN, "late": "never"}, "late", None, "late must be one of catch_up, wait"),
        ({"kind": "sometimes"}, "kind", None, "kind must be one of"),
        ({}, "kind", None, "says nothing of when"),
        ({"stop_time": "15:25"}, "kind", None, "says nothing of when"),
        ({"kind": "always", "last_day": "9999-12-31"}, "last_day", None, "is out of reach"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_wrong_and_in_the_preview_too(
    world: World,
    people: People,
    browser: Browser,
    strategy_id: str,
    body: dict[str, object],
    field: str,
    window: int | None,
    sentence: str,
) -> None:
    answer = browser.post(f"/python/schedule/{strategy_id}", body)
    refusal = answer.json()
    assert (answer.status, refusal["error_code"]) == (400, "BAD_SCHEDULE")
    assert sentence in refusal["message"]
    assert refusal["details"].get("field") == field
    assert refusal["details"].get("window") == window
    shown = browser.post(f"/python/schedule/{strategy_id}/preview", body)
    assert (shown.status, shown.json()["entries"]) == (200, [])
    assert shown.json()["problem"] == {
        "field": field,
        "window": window,
        "message": refusal["message"],
    }
    assert schedule_of(world, people, strategy_id) == Schedule()


def test_all_of_a_schedule_is_kept_and_comes_back_as_it_was(
    browser: Browser, strategy_id: str
) -> None:
    sent = {
        "kind": "windows",
        "windows": [
            {**WINDOW, "start": "open+5", "stop": "close-10", "weekdays": ["mon", "tue"]},
            {"start": "21:00", "stop": "01:30", "weekdays": ["fri"], "ends_next_day": True},
        ],
        "first_day": "2025-06-09",
        "last_day": "2025-12-31",
        "skipped": ["2025-06-10"],
        "special_days": "follow",
        "late": "wait",
        "zone": "Asia/Kolkata",
    }
    kept = browser.post(f"/python/schedule/{strategy_id}", sent).json()["schedule"]
    assert kept == sent
    assert browser.get(f"/python/schedule/{strategy_id}").json()["schedule"] == sent
    assert browser.post(f"/python/schedule/{strategy_id}", kept).status == 200


def test_the_preview_shows_five_starts_and_the_holiday_between_them_and_keeps_nothing(
    world: World, people: People, strategy_id: str
) -> None:
    world.clock.set(BEFORE_A_HOLIDAY)
    browser = world.browser(people.owner)
    shown = browser.post(f"/python/schedule/{strategy_id}/preview", PLAIN).json()
    assert [(one["day"], one["span"], one["skipped"]) for one in shown["entries"]] == [
        ("Thu 14 Aug", "09:20–15:25", False),
        ("Fri 15 Aug", "09:20–15:25", True),
        ("Mon 18 Aug", "09:20–15:25", False),
        ("Tue 19 Aug", "09:20–15:25", False),
        ("Wed 20 Aug", "09:20–15:25", False),
        ("Thu 21 Aug", "09:20–15:25", False),
    ]
    assert "Independence Day" in shown["entries"][1]["sentence"]
    assert shown["entries"][0]["in"] == "in 15 h 50 min"
    assert schedule_of(world, people, strategy_id) == Schedule()


def test_the_preview_says_where_a_year_is_only_tentative_or_nothing_ever_starts(
    world: World, people: People, strategy_id: str
) -> None:
    world.clock.set(datetime(2026, 12, 30, 12, 0, tzinfo=UTC))
    browser = world.browser(people.owner)
    path = f"/python/schedule/{strategy_id}/preview"
    entries = browser.post(path, PLAIN).json()["entries"]
    assert [one["knowledge"] for one in entries][:3] == ["published", "tentative", "tentative"]
    over = {**PLAIN, "first_day": "2025-01-01", "last_day": "2025-12-31"}
    assert browser.post(path, over).json()["never"] is True


def test_a_window_that_has_begun_already_is_said_to_be_left_out(
    browser: Browser, strategy_id: str
) -> None:
    """The clock stands at 09:30 on a Monday."""
    told = browser.post(f"/python/schedule/{strategy_id}", PLAIN).json()
    assert told["next_text"] == (
        "The window until Mon 2 Jun 15:25 began before it was set, and is left out;"
        " next start Tue 3 Jun 09:20 IST"
    )


def test_a_start_makes_history_that_the_page_and_the_status_tell(
    world: World, people: People, browser: Browser, strategy_id: str
) -> None:
    browser.post(f"/python/schedule/{strategy_id}", {"start_time": "09:35", "stop_time": "15:15"})
    look(world)
    (status,) = browser.get("/python/status").json()["strategies"]
    assert (status["phase"], status["schedule"]) == ("stopped", "Mon–Fri 09:35–15:15")
    assert status["next_start"] == "2025-06-02T04:05:00.000+00:00"
    world.clock.advance(timedelta(minutes=5, milliseconds=40))
    look(world)
    world.settle(people.strategy.strategy.id)
    look(world)
    found = browser.get(f"/python/schedule/{strategy_id}").json()
    (made,) = found["history"]["occurrences"]
    assert (made["state"], made["word"], made["at_text"]) == (
        "started",
        "Started",
        "Mon 2 Jun 09:35",
    )
    run = world.host.strategies.get(people.owner, strategy_id).latest
    assert run is not None
    assert (made["run_id"], made["late_ms"]) == (run.id, 40)
    assert found["next_text"].startswith("In its window until Mon 2 Jun 15:15; next start Tue")
    (status,) = browser.get("/python/status").json()["strategies"]
    assert (status["phase"], status["last_start"]["state"]) == ("running", "started")


def test_while_it_runs_nothing_of_it_can_be_changed(
    world: World, people: People, browser: Browser, strategy_id: str
) -> None:
    browser.post(f"/python/schedule/{strategy_id}", PLAIN)
    browser.post(f"/python/start/{strategy_id}")
    world.settle(people.strategy.strategy.id)
    for path in ("schedule", "unschedule"):
        refused = browser.post(f"/python/{path}/{strategy_id}", {"start_time": "10:00"})
        assert (refused.status, refused.json()["error_code"]) == (409, "STRATEGY_RUNNING")
    locked = browser.get(f"/python/schedule/{strategy_id}").json()["locked"]
    assert (
        locked == "It is running. Stop it to change its schedule; what runs keeps the one it has."
    )
    assert to_json(schedule_of(world, people, strategy_id))["windows"] == [WINDOW]


def test_a_schedule_is_cleared(
    world: World, people: People, browser: Browser, strategy_id: str
) -> None:
    browser.post(f"/python/schedule/{strategy_id}", PLAIN)
    told = browser.post(f"/python/unschedule/{strategy_id}").json()
    assert (told["message"], told["is_set"], told["next_at"]) == (
        "The schedule was cleared.",
        False,
        None,
    )
    assert told["strategy"]["next_start"] is None
    assert schedule_of(world, people, strategy_id) == Schedule()


def test_a_missed_start_is_told_wherever_the_strategy_is_shown(
    world: World, browser: Browser, strategy_id: str
) -> None:
    """The server sleeps over a whole window."""
    browser.post(f"/python/schedule/{strategy_id}", {"start_time": "09:35", "stop_time": "15:15"})
    look(world)
    world.clock.advance(timedelta(hours=9))
    look(world)
    found = browser.get(f"/python/schedule/{strategy_id}").json()
    assert found["warning"].startswith("Missed on Mon 2 Jun 09:35 IST: ")
    assert found["history"]["occurrences"][0]["word"] == "Missed"
    (event,) = browser.get(f"/python/schedule/{strategy_id}/history").json()["events"]
    assert event["kind"] == "missed_start"
    assert event["sentence"].startswith("The start at Mon 2 Jun 2025 09:35:00 IST was missed.")
    (status,) = browser.get("/python/status").json()["strategies"]
    assert (status["phase"], status["sentence"]) == ("stopped", found["warning"])
    browser.post(f"/python/schedule/{strategy_id}", PLAIN)
    assert browser.get(f"/python/schedule/{strategy_id}").json()["warning"] == ""


def test_a_missed_start_is_not_hidden_by_how_an_older_run_ended(
    world: World, browser: Browser, people: People, strategy_id: str
) -> None:
    """It ran and was stopped at 09:30; then the server sleeps over the window from 09:35."""
    browser.post(f"/python/start/{strategy_id}")
    world.settle(people.strategy.strategy.id)
    (status,) = browser.get("/python/status").json()["strategies"]
    browser.post(f"/python/stop/{strategy_id}")
    world.keeper.exits(status["run_id"])
    world.settle(people.strategy.strategy.id)
    (status,) = browser.get("/python/status").json()["strategies"]
    assert status["phase"] == "stopped"
    assert status["sentence"].startswith("Stopped by ravi at ")
    browser.post(f"/python/schedule/{strategy_id}", {"start_time": "09:35", "stop_time": "15:15"})
    look(world)
    world.clock.advance(timedelta(hours=9))
    look(world)
    (status,) = browser.get("/python/status").json()["strategies"]
    assert status["sentence"].startswith("Missed on Mon 2 Jun 09:35 IST: ")


def test_older_history_is_asked_for(world: World, people: People, strategy_id: str) -> None:
    path = f"/python/schedule/{strategy_id}"
    world.browser(people.owner).post(path, {"start_time": "09:35", "stop_time": "15:15"})
    for _ in range(40):
        look(world)
        world.clock.advance(timedelta(days=1))
    browser = world.browser(people.owner)
    first = browser.get(path).json()["history"]
    assert (len(first["occurrences"]), first["older"]) == (25, 75)
    more = asked(browser, f"{path}/history", "limit=75").json()
    assert more["occurrences"][:25] == first["occurrences"]
    assert (len(more["occurrences"]) > 25, more["older"]) == (True, None)
    for limit in ("x", "-1", "99999"):
        assert asked(browser, f"{path}/history", f"limit={limit}").status == 400


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"[]", "application/json", 400),
        (b"{", "application/json", 400),
        (b"start_time=09:20", "application/x-www-form-urlencoded", 415),
        (b'{"windows": "' + b"x" * 70_000 + b'"}', "application/json", 413),
    ],
)
def test_what_is_no_json_object_is_refused(
    browser: Browser, strategy_id: str, content: bytes, kind: str, status: int
) -> None:
    for path in (f"/python/schedule/{strategy_id}", f"/python/schedule/{strategy_id}/preview"):
        assert browser.ask("POST", path, content, {"content-type": kind}).status == status


def test_a_page_with_a_schedule_has_no_markup_of_its_users(world: World, people: People) -> None:
    name = "</script><img src=x onerror=alert(1)>"
    view = world.strategy(people.owner, name)
    browser = world.browser(people.owner)
    browser.post(f"/python/schedule/{view.strategy.id}", PLAIN)
    look(world)
    pages: list[Any] = [browser.page(f"/python/{view.strategy.id}"), browser.page("/python")]
    pages += [browser.page("/schedule"), browser.page("/schedule", query="date=2025-06-03")]
    for page in pages:
        assert page.status == 200
        assert "<img src=x" not in page.text

"""``algohost strategy schedule`` and ``algohost schedule``, over the real service and scheduler."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from algohost.cli.app import run
from algohost.cli.scheduling import weekdays
from algohost.domain.errors import Invalid
from algohost.domain.schedules import Schedule, ScheduleKind
from algohost.domain.timetable_json import to_json
from tests.cli.fakes import FakeHost, control_server
from tests.host.harness import ASHA
from tests.host.scheduled import ScheduledHost

WINDOW = {
    "start": "09:20",
    "stop": "15:25",
    "weekdays": ["mon", "tue", "wed", "thu", "fri"],
    "ends_next_day": False,
}


class Shell:
    """Types commands about one strategy; it is Mon 23 Nov 2026 09:00 IST, the 24th a holiday."""

    def __init__(self, inner: ScheduledHost, capture: Any) -> None:
        self.inner = inner
        self.strategy_id = asyncio.run(inner.add(name="EMA", owner=ASHA)).strategy.id
        self._capture = capture

    def __call__(self, words: str, *more: str) -> int:
        """``ID`` in the words is the strategy's."""
        typed = [self.strategy_id if word == "ID" else word for word in words.split()]
        code = run([*typed, *more, "--data-dir", str(self.inner.folder)])
        self.out, self.err = self._capture.readouterr()
        return code

    def json(self, words: str, *more: str) -> dict[str, Any]:
        self(words, *more, "--json")
        return dict(json.loads(self.out))

    @property
    def schedule(self) -> Schedule:
        return self.inner.timetables.schedule(ASHA, self.strategy_id)

    def look(self, after: timedelta = timedelta()) -> None:
        """Time goes by, and the scheduler looks."""
        self.inner.clock.advance(after)
        asyncio.run(self.inner.scheduler.look())


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Shell]:
    """A control server over the real service."""
    inner = ScheduledHost(tmp_path)
    host: Any = FakeHost(tmp_path)
    host.identity.known.append(ASHA)
    host.identity.known.pop(0)
    host.clock = inner.clock
    host.strategies, host.timetables = inner.service, inner.timetables
    host.calendars = inner.calendars.real
    with control_server(host):
        yield Shell(inner, capsys)
    inner.database.close()


def test_without_options_the_schedule_is_shown(shell: Shell) -> None:
    assert shell("strategy schedule ID") == 0
    assert shell.out == "No schedule: it starts and stops when somebody says so.\n"


def test_a_schedule_is_set_by_times_and_days_and_its_next_starts_are_listed(shell: Shell) -> None:
    assert shell("strategy schedule ID --at 9:20 --until 15:25") == 0
    lines = shell.out.splitlines()
    assert lines[0] == "Runs Mon–Fri 09:20–15:25 IST on NSE. Next start Mon 23 Nov 09:20 IST."
    assert [" ".join(line.split()) for line in lines[3:5]] == [
        "Mon 23 Nov 09:20–15:25 in 20 min -",
        "Tue 24 Nov 09:20–15:25 left out NSE on Tue 24 Nov 2026 is closed: Guru Nanak Jayanti.",
    ]
    assert to_json(shell.schedule)["windows"] == [WINDOW]
    assert shell("strategy schedule ID") == 0
    assert shell.out.splitlines()[1] == "Next start Mon 23 Nov 09:20 IST, in 20 min."


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--at open+5 --until close-10 --days mon,wed", "Mon, Wed 5 min after open to 10 min"),
        (
            "--at 17:00 --until 1:30 --next-day --exchange mcx",
            "17:00–01:30 the next day IST on MCX",
        ),
        ("--at 09:20", "Runs Mon–Fri from 09:20 IST on NSE."),
        ("--at 09:20 --days daily", "Runs every day from 09:20 IST on NSE."),
        ("--always", "Runs around the clock, every day."),
    ],
)
def test_every_sort_of_window_can_be_typed(shell: Shell, words: str, said: str) -> None:
    assert shell(f"strategy schedule ID {words}") == 0
    assert said in shell.out


def test_all_of_a_schedule_is_taken_from_a_file_as_it_was_shown(
    shell: Shell, tmp_path: Path
) -> None:
    shell("strategy schedule ID --at 09:20 --until 15:25")
    shown = shell.json("strategy schedule ID")
    shown["schedule"]["skipped"] = ["2026-12-24"]
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(shown))
    assert shell("strategy schedule ID --json-file", str(file)) == 0
    assert "except on Thu 24 Dec" in shell.out
    file.write_text(json.dumps({"kind": "always"}))
    assert shell("strategy schedule ID --json-file", str(file)) == 0
    assert shell.schedule.kind is ScheduleKind.ALWAYS
    for text, code in (("{", "NOT_JSON"), ("[]", "NOT_JSON"), ('{"kind": 1}', "BAD_SCHEDULE")):
        file.write_text(text)
        refused = shell.json("strategy schedule ID --json-file", str(file))
        assert (refused["success"], refused["error_code"]) == (False, code)


def test_a_file_that_is_nested_too_deeply_is_refused_with_a_sentence(
    shell: Shell, tmp_path: Path
) -> None:
    file = tmp_path / "deep.json"
    file.write_text("[" * 100_000 + "]" * 100_000)
    refused = shell.json("strategy schedule ID --json-file", str(file))
    assert (refused["error_code"], "nested too deeply" in refused["message"]) == ("NOT_JSON", True)


def test_a_schedule_is_cleared(shell: Shell) -> None:
    shell("strategy schedule ID --at 09:20")
    assert shell("strategy schedule ID --clear") == 0
    assert shell.out == "The schedule was cleared.\n"
    assert shell.schedule == Schedule()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--at 25:00", "'25:00' is no time; write 09:20, open+5 or close-10."),
        ("--at 09:20 --until 09:10", "Window 09:20–09:10 ends before it starts"),
        ("--at 09:20 --days mon,funday", "There is no weekday 'funday'"),
        ("--at 09:20 --exchange LSE", "There is no calendar of 'LSE'"),
        ("--until 15:25", "Give --until with --at"),
        ("--days mon", "Give --days with --at"),
        ("--exchange NSE", "Give --exchange with --at"),
        ("--at 09:20 --clear", "Give one of --at and --clear."),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(
    shell: Shell, words: str, said: str
) -> None:
    assert shell(f"strategy schedule ID {words}") == 1
    assert said in shell.err
    assert shell.schedule == Schedule()


def test_while_it_runs_its_schedule_stays_as_it_is(shell: Shell) -> None:
    asyncio.run(shell.inner.service.start(ASHA, shell.strategy_id))
    refused = shell.json("strategy schedule ID --at 09:20")
    assert refused["error_code"] == "STRATEGY_RUNNING"


def test_the_preview_shows_the_next_day_with_a_start_or_the_one_that_is_named(
    shell: Shell,
) -> None:
    assert shell("schedule preview") == 0
    assert "Nothing is scheduled for that day." in shell.out
    shell("strategy schedule ID --at 09:20 --until 15:25")
    shell.look()
    assert shell("schedule preview") == 0
    lines = [" ".join(line.split()) for line in shell.out.splitlines()]
    assert lines[:2] == ["Mon 23 Nov 2026 (today), times in IST", "NSE 09:15–15:30"]
    assert f"09:20–15:25 {shell.strategy_id} EMA NSE Will start" in lines
    assert shell("schedule preview --date 2026-11-24") == 0
    assert "NSE     Holiday: Guru Nanak Jayanti" in shell.out
    assert "Left out" in shell.out
    found = shell.json("schedule preview --date 2026-11-24")
    assert (found["date"], found["starts"]) == ("2026-11-24", [])
    shell.inner.broker.is_closed = True
    assert shell("schedule preview") == 0
    assert "The broker session has expired." in shell.out
    assert shell("schedule preview --date soon") == 1
    assert "There is no day 'soon'" in shell.err


def test_the_history_says_what_became_of_each_start(shell: Shell) -> None:
    assert shell("schedule history ID") == 0
    assert shell.out == "Nothing was due yet.\n"
    shell("strategy schedule ID --at 09:20 --until 15:25")
    shell.look()
    shell.look(timedelta(hours=9))
    assert shell("schedule history ID") == 0
    assert "23 Nov 2026 09:20:00 IST  Missed" in shell.out
    (found,) = shell.json("schedule history ID")["occurrences"]
    assert (found["state"], found["run_id"]) == ("missed", None)
    assert shell("schedule history ID --limit 0") == 1
    assert shell("schedule history nobody_20260101000000") == 1


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon-fri", "mon tue wed thu fri"),
        ("fri-mon", "mon fri sat sun"),
        (" Sat , sun", "sat sun"),
        ("mon,mon-tue", "mon tue"),
        ("daily", "mon tue wed thu fri sat sun"),
    ],
)
def test_days_are_typed_as_people_write_them(text: str, days: str) -> None:
    assert weekdays(text) == days.split()


@pytest.mark.parametrize("text", ["", "monday", "mon-", "-fri", "mon;tue", "1-5"])
def test_days_that_nobody_knows_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        weekdays(text)

"""Promise 5 over a real database, registry and reconciler: starts fire once, or say why not."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from algohost.domain.errors import Conflict, Invalid, Unavailable
from algohost.domain.instruments import Exchange
from algohost.domain.restarts import Backoff
from algohost.domain.runs import OutcomeKind
from algohost.domain.schedules import Schedule
from algohost.domain.strategies import Gate, Phase, Strategy
from algohost.store import occurrences as stored
from tests.domain.test_timetable import schedule
from tests.host.harness import ASHA, RAVI
from tests.host.scheduled import BROKER, ScheduledHost, at, play

MONDAY = "2026-11-23/09:15–15:30"


def test_a_start_fires_at_its_time_and_its_stop_too(tmp_path: Path) -> None:
    """R9: nobody ever opens a page."""

    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        assert host.view(strategy_id).is_scheduled
        assert host.view(strategy_id).next_start == at("09:15")
        await host.look(at("09:14:59"))
        assert host.rows(strategy_id) == []
        await host.look(at("09:15") + timedelta(milliseconds=3))
        view = await host.shows(strategy_id, Phase.RUNNING)
        [row] = host.rows(strategy_id)
        assert view.latest is not None
        assert (row.key, row.state.value, row.run_id) == (MONDAY, "started", view.latest.id)
        assert row.lateness_ms == 3
        assert view.strategy.intent.by == "schedule"
        assert view.next_start == at("09:15", 25)  # the 24th is a holiday
        await host.look(at("15:29:59"))
        assert host.view(strategy_id).phase is Phase.RUNNING
        await host.look(at("15:30"))
        await host.stopped(strategy_id)
        view = await host.shows(strategy_id, Phase.STOPPED)
        assert view.latest is not None
        assert view.latest.stop_asked_by == "schedule"
        assert view.is_scheduled
        assert host.events(strategy_id) == []

    play(tmp_path, scenario)


def test_looking_again_and_again_starts_once(tmp_path: Path) -> None:
    """R10: many ticks in one minute."""

    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        for _ in range(5):
            await host.look(max(host.clock.now(), at("09:15")))
            await host.look(host.clock.now() + timedelta(milliseconds=300))
        await host.shows(strategy_id, Phase.RUNNING)
        assert len(host.keeper.launches) == 1
        assert host.view(strategy_id).strategy.intent.number == 1

    play(tmp_path, scenario)


def test_two_schedulers_on_one_database_start_once(tmp_path: Path) -> None:
    """R10: the key is unique in the database, whatever two programs have in mind."""

    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        other = ScheduledHost.__new__(ScheduledHost)
        other.__dict__.update(host.__dict__)
        other._open()  # another server: its own registry, scheduler and connections
        await other.scheduler.look()
        host.clock.advance(at("09:15") - host.clock.now())
        await asyncio.gather(host.scheduler.look(), other.scheduler.look())
        assert host.scheduler.failures + other.scheduler.failures == 1
        await other.scheduler._close()
        other.database.close()
        [(key, state, _)] = host.told(strategy_id)
        assert key == MONDAY
        assert state in {"due", "started"}
        await host.until(lambda: len(host.keeper.launches) <= 1, "at most one")
        with host.database._engine.connect() as connection:
            counted = connection.exec_driver_sql(
                "SELECT count(*) FROM intents WHERE wanted = 'running'"
            ).scalar()
        assert counted == 1

    play(tmp_path, scenario)


def test_a_restart_a_second_before_the_start_changes_nothing(tmp_path: Path) -> None:
    """R9: 09:14:59."""

    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        await host.look(at("09:14:59"))
        await host.crash()
        await host.look(at("09:15"))
        await host.shows(strategy_id, Phase.RUNNING)
        assert [row.lateness_ms for row in host.rows(strategy_id)] == [0]

    play(tmp_path, scenario)


def test_a_server_that_comes_back_inside_a_window_starts_what_should_run(tmp_path: Path) -> None:
    """``catch_up``: with its lateness, the span of absence and an event."""

    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        await host.look(at("09:10"))
        await host.scheduler._keep_look(host.clock.now(), None)
        await host.crash(away=at("11:00") - at("09:10"))
        await host.look()
        await host.shows(strategy_id, Phase.RUNNING)
        [row] = host.rows(strategy_id)
        assert (row.state.value, row.lateness_ms) == ("started", 105 * 60 * 1000)
        said = "The server was away from Mon 23 Nov 2026 09:10:00 to 11:00:00 IST."
        assert row.sentence == said
        assert host.events(strategy_id) == ["late_start"]
        await host.look(at("11:00:20"))
        assert host.events(strategy_id) == ["late_start"]

    play(tmp_path, scenario)


def test_a_schedule_may_wait_for_the_next_window_instead(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled(schedule("09:15 15:30", late="wait"))
        await host.scheduler._keep_look(host.clock.now(), None)
        await host.crash(away=timedelta(hours=2))
        await host.look()
        [row] = host.rows(strategy_id)
        assert (row.state.value, row.run_id) == ("missed", None)
        assert row.sentence == (
            "The server was away from Mon 23 Nov 2026 09:00:00 to 11:00:00 IST."
            " The schedule waits for the next start."
        )
        assert host.events(strategy_id) == ["missed_start"]
        assert host.view(strategy_id).phase is Phase.STOPPED
        await host.look(at("09:15", 25))
        await host.shows(strategy_id, Phase.RUNNING)

    play(tmp_path, scenario)


def test_windows_that_were_over_when_the_server_came_back_are_missed(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        await host.scheduler._keep_look(host.clock.now(), None)
        await host.crash(away=timedelta(days=3, hours=8))
        await host.look()
        assert host.told(strategy_id) == [
            (MONDAY, "missed", "schedule"),
            ("2026-11-24/09:15–15:30", "skipped", "timetable"),
            ("2026-11-25/09:15–15:30", "missed", "schedule"),
            ("2026-11-26/09:15–15:30", "missed", "schedule"),
        ]
        assert "from Mon 23 Nov 2026 09:00:00 to Thu 26 Nov" in host.rows(strategy_id)[0].sentence
        assert "Guru Nanak" in host.rows(strategy_id)[1].sentence
        assert len(host.events(strategy_id)) == 3

    play(tmp_path, scenario)


CRASHES = ["before the commit", "after the commit", "before the launch", "after the launch"]


@pytest.mark.parametrize("point", CRASHES)
def test_a_crash_between_intent_and_launch_leaves_exactly_one_start(
    tmp_path: Path, point: str
) -> None:
    """R10, at each boundary."""

    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        if point != "after the launch":
            await super(ScheduledHost, host).halt()  # the reconciler does not act
        if point == "before the launch":
            host.keeper.is_away = True
            host.begin()
        if point == "before the commit":
            host.clock.advance(at("09:15") - host.clock.now())
        else:
            await host.look(at("09:15"))
        if point == "after the launch":
            await host.shows(strategy_id, Phase.RUNNING)
        await host.crash()
        host.keeper.returns()
        await host.look()
        await host.shows(strategy_id, Phase.RUNNING)
        assert len(host.keeper.launches) == 1
        [row] = host.rows(strategy_id)
        assert (row.state.value, row.run_id) == ("started", host.keeper.launches[0])

    play(tmp_path, scenario)


def test_what_waits_at_a_gate_starts_when_it_opens_and_is_told_of_once(tmp_path: Path) -> None:
    """R26: with its reason, also over a death of the server."""

    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        host.broker.is_closed = True
        await host.look(at("09:15"))
        await host.shows(strategy_id, Phase.WAITING)
        assert host.told(strategy_id) == [(MONDAY, "due", "schedule")]
        for second in (4, 5, 6, 7):
            await host.look(at(f"09:15:0{second}"))
        assert host.events(strategy_id) == ["late_start"]
        [event] = host.timetables.events(ASHA, strategy_id)
        assert event.sentence.endswith("not running 5 s later. The broker session has expired.")
        await host.crash()
        await host.look(at("09:20"))
        host.broker.is_closed = False
        host.gates.changed()
        await host.shows(strategy_id, Phase.RUNNING)
        await host.look()
        assert host.told(strategy_id) == [(MONDAY, "started", "schedule")]
        assert host.rows(strategy_id)[0].lateness_ms == 5 * 60 * 1000
        assert host.events(strategy_id) == ["late_start"]

    play(tmp_path, scenario)


def test_a_window_that_ends_at_a_closed_gate_was_blocked_by_it(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        host.broker.is_closed = True
        await host.look(at("09:15"))
        await host.shows(strategy_id, Phase.WAITING)
        await host.look(at("15:30"))
        [row] = host.rows(strategy_id)
        assert (row.state.value, row.gate_code) == ("blocked", "BROKER_SESSION")
        assert row.sentence == "The broker session has expired."
        assert host.events(strategy_id)[-1] == "blocked_start"
        await host.shows(strategy_id, Phase.STOPPED)
        host.broker.is_closed = False
        host.gates.changed()
        await host.look(at("15:31"))
        assert host.keeper.launches == []

    play(tmp_path, scenario)


def test_somebody_who_stops_what_waits_has_it_skipped(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        host.broker.is_closed = True
        await host.look(at("09:15"))
        await host.shows(strategy_id, Phase.WAITING)
        await host.service.stop(ASHA, strategy_id)
        await host.look(at("09:16"))
        assert host.told(strategy_id) == [(MONDAY, "skipped", "user:asha")]
        assert host.rows(strategy_id)[0].sentence.startswith("Asha stopped it while it waited.")

    play(tmp_path, scenario)


def test_a_draft_is_blocked_and_says_so(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        await host.service.save(ASHA, strategy_id, b"def (:\n")
        await host.look(at("09:15"))
        [row] = host.rows(strategy_id)
        assert (row.state.value, row.gate_code) == ("blocked", "SOURCE_PROBLEM")
        assert host.view(strategy_id).phase is Phase.STOPPED

    play(tmp_path, scenario)


def test_a_stop_by_a_person_holds_until_the_next_window(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled(schedule("09:15 11:00", "13:00 15:00"))
        await host.look(at("09:15"))
        await host.shows(strategy_id, Phase.RUNNING)
        await host.service.stop(ASHA, strategy_id)
        await host.stopped(strategy_id)
        await host.look(at("10:00"))
        await host.crash()
        await host.look(at("10:30"))
        assert host.view(strategy_id).phase is Phase.STOPPED
        await host.look(at("13:00"))
        await host.shows(strategy_id, Phase.RUNNING)
        assert len(host.keeper.launches) == 2

    play(tmp_path, scenario)


def test_what_a_person_starts_outside_of_windows_runs_to_the_end_of_the_next(
    tmp_path: Path,
) -> None:
    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        await host.service.start(ASHA, strategy_id)
        await host.shows(strategy_id, Phase.RUNNING)
        await host.look(at("09:14"))
        await host.look(at("09:15"))
        [row] = host.rows(strategy_id)
        assert (row.state.value, row.sentence) == ("started", "It was running already.")
        assert len(host.keeper.launches) == 1
        await host.look(at("15:30"))
        await host.stopped(strategy_id)
        assert host.events(strategy_id) == []

    play(tmp_path, scenario)


def test_a_start_inside_a_window_by_a_person_ends_with_it(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        view = await host.add()
        strategy_id = view.strategy.id
        await host.look(at("10:00"))
        await host.timetables.set_schedule(ASHA, strategy_id, schedule("09:15 15:30"))
        await host.look()
        [row] = host.rows(strategy_id)
        assert (row.state.value, row.by) == ("skipped", "user:asha")
        assert host.view(strategy_id).phase is Phase.STOPPED
        await host.service.start(ASHA, strategy_id)
        await host.shows(strategy_id, Phase.RUNNING)
        await host.look(at("15:30"))
        await host.stopped(strategy_id)

    play(tmp_path, scenario)


def test_a_crash_stays_an_error_beside_the_next_start(tmp_path: Path) -> None:
    """Promise 4: never shown as scheduled; the end of the window hides it no more."""

    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        await host.look(at("09:15"))
        await host.shows(strategy_id, Phase.RUNNING)
        host.keeper.exits(host.keeper.launches[0], code=1, reason="ValueError: no data")
        view = await host.shows(strategy_id, Phase.ERROR)
        await host.look(at("15:31"))
        view = host.view(strategy_id)
        assert (view.phase, view.is_scheduled) == (Phase.ERROR, False)
        assert view.next_start == at("09:15", 25)
        await host.look(at("09:15", 25))
        await host.shows(strategy_id, Phase.RUNNING)

    play(tmp_path, scenario)


def test_the_end_of_a_window_ends_restarts(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        await host.service.configure(ASHA, strategy_id, {"restart": "always"})
        await host.look(at("15:29:50"))
        await host.shows(strategy_id, Phase.RUNNING)
        host.keeper.exits(host.keeper.launches[0], code=1, at=host.clock.now())
        await host.shows(strategy_id, Phase.BACKING_OFF)
        await host.look(at("15:30"))
        await host.shows(strategy_id, Phase.ERROR)
        host.clock.advance(timedelta(hours=1))
        host.reconciler.look_at_all()
        await host.look()
        assert len(host.keeper.launches) == 1

    play(tmp_path, scenario, backoff=Backoff(first_seconds=100, jitter=lambda _: 1.0))


def test_what_a_reboot_interrupted_inside_a_window_runs_again(tmp_path: Path) -> None:
    """R4: by ``restore``, without a restart policy, and only inside the window."""

    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        await host.look(at("09:15"))
        await host.shows(strategy_id, Phase.RUNNING)
        host.keeper.reboots()
        await host.crash(away=timedelta(minutes=4))
        await host.until(
            lambda: (run := host.view(strategy_id).latest) is not None and not run.is_live, "lost"
        )
        await host.look()
        view = await host.shows(strategy_id, Phase.RUNNING)
        assert view.strategy.intent.by == "restore"
        first = host.service.runs(ASHA, strategy_id)[-1]
        assert first.outcome is not None
        assert first.outcome.kind is OutcomeKind.LOST
        assert len(host.keeper.alive()) == 1
        assert len(host.rows(strategy_id)) == 1

    play(tmp_path, scenario)


def test_after_the_window_nothing_is_restored(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        await host.look(at("09:15"))
        await host.shows(strategy_id, Phase.RUNNING)
        host.keeper.reboots()
        await host.crash(away=timedelta(hours=9))
        await host.look()
        await host.until(
            lambda: (run := host.view(strategy_id).latest) is not None and not run.is_live, "lost"
        )
        await host.look(host.clock.now() + timedelta(seconds=2))
        assert len(host.keeper.launches) == 1
        assert host.keeper.alive() == []

    play(tmp_path, scenario)


def test_a_server_that_was_away_at_the_end_stops_what_runs_on(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        await host.look(at("09:15"))
        await host.shows(strategy_id, Phase.RUNNING)
        await host.crash(away=timedelta(hours=8))
        await host.look()
        await host.stopped(strategy_id)
        assert host.told(strategy_id) == [(MONDAY, "started", "schedule")]

    play(tmp_path, scenario)


def test_a_run_that_outlived_its_window_and_the_night_begins_anew(tmp_path: Path) -> None:
    """The script of a new day is a new run: it would else go on with yesterday's levels."""

    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        await host.look(at("09:15"))
        await host.shows(strategy_id, Phase.RUNNING)
        await host.crash(away=timedelta(days=2, hours=1))
        await host.look()
        await host.until(lambda: _stopping_ends(host) and len(host.keeper.launches) == 2, "anew")
        await host.shows(strategy_id, Phase.RUNNING)
        assert [row.state.value for row in host.rows(strategy_id)] == [
            "started", "skipped", "started",
        ]  # fmt: skip

    play(tmp_path, scenario)


def test_what_had_died_unseen_is_not_taken_for_running(tmp_path: Path) -> None:
    """One window follows the other, and the server was away when the run crashed in the first."""

    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled(schedule("09:15 11:00", "11:00 13:00"))
        await host.look(at("09:15"))
        await host.shows(strategy_id, Phase.RUNNING)
        await super(ScheduledHost, host).halt()
        host.keeper._listener = lambda _run_id: None
        host.keeper.exits(host.keeper.launches[0], code=1, at=at("10:30"))
        await host.crash(away=timedelta(hours=2))
        await host.look()
        await host.until(lambda: len(host.keeper.launches) == 1, "no doubt yet")

        async def looked() -> None:
            await host.until(
                lambda: (run := host.view(strategy_id).latest) is not None and not run.is_live,
                "its end is known",
            )
            await host.look()

        await looked()
        await host.shows(strategy_id, Phase.RUNNING)
        assert len(host.keeper.launches) == 2
        assert [row.state.value for row in host.rows(strategy_id)] == ["started", "started"]

    play(tmp_path, scenario)


def test_a_schedule_set_by_a_clock_that_ran_ahead_is_not_asleep(tmp_path: Path) -> None:
    """Its starts count from when the clock was set right."""

    async def scenario(host: ScheduledHost) -> None:
        host.clock.set(at("09:00", 27))
        strategy_id = await host.scheduled()
        host.clock.set(at("09:00"))
        await host.look()
        await host.look(host.clock.now() + timedelta(seconds=1))
        assert host.view(strategy_id).next_start == at("09:15")
        await host.look(at("09:15"))
        await host.shows(strategy_id, Phase.RUNNING)
        await host.crash()
        await host.look(at("09:16"))
        assert host.view(strategy_id).strategy.schedule_set_at == at("09:00")

    play(tmp_path, scenario)


def _stopping_ends(host: ScheduledHost) -> bool:
    for run_id in host.keeper.alive():
        if host.keeper.known[run_id].state == "stopping":
            host.keeper.exits(run_id)
    return True


@pytest.mark.parametrize("hours", [1, 24])
def test_a_clock_set_back_starts_nothing_twice(tmp_path: Path, hours: int) -> None:
    """R11: and what was stopped by a person stays so."""

    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        await host.look(at("09:15"))
        await host.shows(strategy_id, Phase.RUNNING)
        await host.service.stop(ASHA, strategy_id)
        await host.stopped(strategy_id)
        await host.look(at("10:10"))
        host.clock.set(host.clock.now() - timedelta(hours=hours))
        await host.look()
        await host.look(at("09:15"))
        await host.look(at("10:20"))
        assert len(host.keeper.launches) == 1
        assert len(host.rows(strategy_id)) == 1

    play(tmp_path, scenario)


def test_a_clock_that_ran_ahead_for_a_moment_costs_no_start(tmp_path: Path) -> None:
    """R11: what was stopped or given up by it is taken up again."""

    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        await host.look(at("09:15"))
        await host.shows(strategy_id, Phase.RUNNING)
        host.clock.set(at("16:00"))
        await host.look()
        await host.stopped(strategy_id)
        host.clock.set(at("09:16"))
        await host.look()
        await host.shows(strategy_id, Phase.RUNNING)
        assert len(host.keeper.alive()) == 1
        await host.look(at("15:30"))
        await host.stopped(strategy_id)

    play(tmp_path, scenario)


def test_an_unknown_year_closes_the_trading_day_until_somebody_enters_it(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        host.clock.set(at("09:00", 3, 1, 2028))
        strategy_id = await host.scheduled()
        await host.look(at("09:15", 3, 1, 2028))
        view = await host.shows(strategy_id, Phase.WAITING)
        assert [gate.code for gate in view.gates] == ["TRADING_DAY"]
        assert "2028" in view.sentence
        await host.calendars.real.enter_year(ASHA, [Exchange.NSE], 2028)
        await host.shows(strategy_id, Phase.RUNNING)
        await host.look()
        assert host.told(strategy_id) == [("2028-01-03/09:15–15:30", "started", "schedule")]

    play(tmp_path, scenario)


def test_an_unknown_day_that_turns_out_a_holiday_is_skipped(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        host.clock.set(at("09:00", 3, 1, 2028))
        strategy_id = await host.scheduled()
        await host.look(at("09:15", 3, 1, 2028))
        await host.shows(strategy_id, Phase.WAITING)
        row = {"date": "2028-01-03", "exchanges": "NSE", "kind": "holiday", "name": "Test"}
        await host.calendars.real.put_day(ASHA, row)
        await host.look()
        await host.shows(strategy_id, Phase.STOPPED)
        assert host.told(strategy_id) == [("2028-01-03/09:15–15:30", "skipped", "timetable")]

    play(tmp_path, scenario)


def test_a_failing_calendar_neither_starts_nor_stops_anything(tmp_path: Path) -> None:
    """And what was due meanwhile is decided as soon as it answers again."""

    async def scenario(host: ScheduledHost) -> None:
        running = await host.scheduled(schedule("09:15 09:30"), name="runs")
        await host.look(at("09:15"))
        await host.shows(running, Phase.RUNNING)
        later = await host.scheduled(schedule("09:20 15:30"), name="later")
        host.calendars.fails = True
        await host.look(at("09:40"))
        assert host.scheduler.failures == 2
        assert host.view(running).phase is Phase.RUNNING
        assert host.rows(later) == []
        host.calendars.fails = False
        await host.look(at("09:41"))
        await host.shows(later, Phase.RUNNING)
        await host.until(lambda: _stopping_ends(host) and len(host.keeper.alive()) == 1, "one")

    play(tmp_path, scenario)


def test_a_failing_database_loses_no_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        real = host.database.write

        async def fails(_: object) -> None:
            raise Unavailable("The disk is full.")

        monkeypatch.setattr(host.database, "write", fails)
        await host.look(at("09:15"))
        assert host.scheduler.failures >= 1
        assert host.view(strategy_id).strategy.intent.number == 0
        monkeypatch.setattr(host.database, "write", real)
        await host.look(at("09:15:02"))
        await host.shows(strategy_id, Phase.RUNNING)
        assert len(host.keeper.launches) == 1

    play(tmp_path, scenario)


def test_one_strategy_that_cannot_be_kept_holds_back_no_other(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        good = await host.scheduled(name="good")
        bad = await host.scheduled(name="bad")
        taken = "INSERT INTO intents VALUES (:s, 1, 'stopped', 'user:x', '2026-11-23')"
        await host.database.write(lambda c: c.exec_driver_sql(taken.replace(":s", f"'{bad}'")))
        await host.look(at("09:15"))
        await host.shows(good, Phase.RUNNING)
        assert host.rows(bad) == []
        assert host.scheduler.failures == 1

    play(tmp_path, scenario)


def test_a_strategy_whose_lock_is_held_does_not_delay_the_others(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        slow, quick = await host.scheduled(name="slow"), await host.scheduled(name="quick")
        async with host.registry.lock(host.view(slow).strategy.id):
            host.clock.advance(at("09:15") - host.clock.now())
            await host.scheduler.look()
            await host.shows(quick, Phase.RUNNING)
            assert host.rows(slow) == []
        await host.shows(slow, Phase.RUNNING)

    play(tmp_path, scenario)


def test_the_ledger_goes_back_four_hundred_days(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        await host.look(at("09:15"))
        await host.shows(strategy_id, Phase.RUNNING)
        now = host.clock.now()
        cut = now + timedelta(days=401) - timedelta(days=400)
        assert await host.database.write(lambda c: stored.forget_before(c, cut)) == 1
        assert host.rows(strategy_id) == []

    play(tmp_path, scenario)


# ---- edits


def test_a_schedule_is_not_changed_while_it_runs(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        await host.look(at("09:15"))
        await host.shows(strategy_id, Phase.RUNNING)
        for change in (
            host.timetables.set_schedule(ASHA, strategy_id, schedule("10:00 11:00")),
            host.timetables.clear_schedule(ASHA, strategy_id),
        ):
            with pytest.raises(Conflict) as refused:
                await change
            assert refused.value.code == "STRATEGY_RUNNING"
            assert "given another schedule once it is stopped" in refused.value.message

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("edited", "starts"),
    [("09:15 15:30", 1), ("09:15 15:00", 1), ("09:16 15:30", 2), ("14:00 15:30", 2)],
)
def test_an_edit_starts_nothing_again_and_loses_nothing(
    tmp_path: Path, edited: str, starts: int
) -> None:
    """R10: after a crash in its first seconds, the schedule is edited in the same minute."""

    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        await host.look(at("09:15"))
        await host.shows(strategy_id, Phase.RUNNING)
        host.keeper.exits(host.keeper.launches[0], code=1)
        await host.shows(strategy_id, Phase.ERROR)
        await host.look(at("09:15:20"))
        await host.timetables.set_schedule(ASHA, strategy_id, schedule(edited))
        for now in ("09:15:21", "09:15:59", "09:16", "09:17", "14:00", "14:00:01"):
            await host.look(at(now))
            await asyncio.sleep(0.01)
        await host.until(lambda: len(host.keeper.launches) == starts, f"{starts} starts")

    play(tmp_path, scenario)


def test_a_cleared_schedule_starts_nothing(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        view = await host.timetables.clear_schedule(ASHA, strategy_id)
        assert view.strategy.schedule == Schedule()
        await host.look(at("09:15"))
        assert (host.view(strategy_id).next_start, host.rows(strategy_id)) == (None, [])

    play(tmp_path, scenario)


def test_always_starts_when_it_is_set_and_comes_back_after_a_reboot(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled(schedule(kind="always"))
        await host.shows(strategy_id, Phase.RUNNING)
        host.keeper.reboots()
        await host.crash(away=timedelta(days=30))
        await host.until(
            lambda: (run := host.view(strategy_id).latest) is not None and not run.is_live, "lost"
        )
        await host.look()
        await host.shows(strategy_id, Phase.RUNNING)
        await host.service.stop(ASHA, strategy_id)
        await host.stopped(strategy_id)
        await host.crash(away=timedelta(days=30))
        await host.look()
        assert len(host.rows(strategy_id)) == 1
        assert len(host.keeper.launches) == 2

    play(tmp_path, scenario)


def test_somebody_else_sees_and_sets_no_schedule(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        for ask in (host.timetables.schedule, host.timetables.occurrences):
            with pytest.raises(Exception, match="no such strategy"):
                ask(RAVI, strategy_id)
        with pytest.raises(Exception, match="no such strategy"):
            await host.timetables.clear_schedule(RAVI, strategy_id)
        assert await host.timetables.preview(RAVI, at("09:15").date()) == []

    play(tmp_path, scenario)


def test_a_schedule_that_makes_no_sense_is_refused_with_its_field(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        with pytest.raises(Invalid) as refused:
            await host.timetables.set_schedule(ASHA, strategy_id, schedule("15:30 09:15"))
        assert refused.value.details == {"field": "stop"}
        with pytest.raises(Invalid):
            host.timetables.preview_schedule(schedule("15:30 09:15"), Exchange.NSE)

    play(tmp_path, scenario)


# ---- what will be


def test_tomorrow_is_data(tmp_path: Path) -> None:
    """What starts when, where, what holds it back now, and what is skipped and why."""

    async def scenario(host: ScheduledHost) -> None:
        nse = await host.scheduled(name="NSE")
        mcx = await host.scheduled(schedule("17:05 23:00"), name="MCX", exchange=Exchange.MCX)
        host.broker.is_closed = True
        plan = await host.timetables.preview(ASHA, at("09:15", 24).date())
        told = [(one.view.strategy.id, one.start_at, one.is_skipped) for one in plan]
        assert told == [(nse, at("09:15", 24), True), (mcx, at("17:05", 24), False)]
        assert "Guru Nanak" in plan[0].sentence
        assert plan[1].gates[0].code == "BROKER_SESSION"
        assert plan[1].view.strategy.exchange == "MCX"
        await host.look(at("09:20"))
        today = await host.timetables.preview(ASHA, at("09:15").date())
        assert [one.row.state.value if one.row else None for one in today] == ["due", None]

    play(tmp_path, scenario)


def test_a_day_is_planned_with_one_read_and_all_gates_asked_at_once(tmp_path: Path) -> None:
    """A gate that answers only once it is asked for both."""

    async def scenario(host: ScheduledHost) -> None:
        ids = {await host.scheduled(name=name) for name in ("EMA", "RSI")}
        both, asked, reads = asyncio.Event(), set[str](), 0
        read = host.database.read

        async def closed(strategy: Strategy) -> tuple[Gate, ...]:
            asked.add(strategy.id)
            if asked == ids:
                both.set()
            await both.wait()
            return (BROKER,)

        def counted(work: Any) -> Any:
            nonlocal reads
            reads += 1
            return read(work)

        host.gates._sources["the broker session"].closed = closed  # type: ignore[method-assign]
        host.database.read = counted  # type: ignore[assignment, method-assign]
        plan = await host.timetables.preview(ASHA, at("09:15").date())
        assert reads == 1
        assert [one.gates for one in plan] == [(BROKER,), (BROKER,)]

    play(tmp_path, scenario)


def test_the_next_five_starts_of_a_schedule_that_is_not_set(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        found = host.timetables.preview_schedule(schedule("09:15 15:30 mon tue"), Exchange.NSE)
        days = [(one.date.month, one.date.day) for one in found]
        assert days == [(11, 23), (11, 30), (12, 1), (12, 7), (12, 8)]
        strategy_id = await host.scheduled()
        [first, *_] = host.timetables.next_starts(ASHA, strategy_id, count=2)
        assert first.start_at == at("09:15")

    play(tmp_path, scenario)

"""One strategy with a schedule, lived through years in seconds: the real decisions, a played
journal and agent, a clock that jumps, a server that dies at any point of any look."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from algohost.domain.calendars import Calendar, Knowledge
from algohost.domain.decide import Conclude, Launch, Sighting, Start, Stop, decide
from algohost.domain.expected import Expected, expected
from algohost.domain.ids import RunId, StrategyId, UserId, VersionId
from algohost.domain.ledger import ALWAYS, LedgerRow, OccurrenceState, answered
from algohost.domain.occurrences import look
from algohost.domain.runs import (
    Ended,
    Outcome,
    OutcomeKind,
    ProcessIdentity,
    Run,
    Started,
    StopAsked,
    apply,
    lost,
)
from algohost.domain.schedule_looks import RESTORE_AFTER, Decision, Facts, Gap
from algohost.domain.schedules import Schedule
from algohost.domain.strategies import (
    RESTORE,
    SCHEDULE,
    Gate,
    Intent,
    Mode,
    Strategy,
    Wanted,
    restart_of,
)
from algohost.domain.strategy_settings import StrategySettings
from algohost.domain.timetable import Occurrence

TICK = timedelta(seconds=1)
BACK, AHEAD, GOOD_FOR = timedelta(days=3), timedelta(days=8), timedelta(days=4)
BROKER = Gate(code="BROKER_SESSION", sentence="The broker session has expired.")
UNKNOWN_DAY = Gate(code="TRADING_DAY", sentence="Nobody knows.")


class Crash(Exception):
    """The server dies here."""


@dataclass
class Disk:
    """What survives the server."""

    strategy: Strategy
    rows: dict[str, LedgerRow] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    looked: datetime | None = None
    starts: list[tuple[str, int]] = field(default_factory=list)
    """Each intent of the schedule to start, with the occurrence for which it was committed."""


class World:
    """Moves from one interesting instant to the next."""

    def __init__(
        self,
        schedule: Schedule,
        calendar: Calendar,
        start: datetime,
        seed: int,
        settings: StrategySettings,
    ) -> None:
        self.chance = random.Random(seed)
        self.calendar = calendar
        self.wall = start
        self.boot = 0
        self.alive: dict[RunId, bool] = {}
        """Runs with a process; whether they are asked to stop."""
        self.gate_closed = False
        self.disk = Disk(
            strategy=Strategy(
                id=StrategyId("s"),
                owner_id=UserId("asha"),
                name="s",
                file_name="s.py",
                exchange=calendar.exchange.value,
                mode=Mode.PAPER,
                version_id=VersionId("v"),
                problem=None,
                intent=Intent(number=1, wanted=Wanted.STOPPED, by="user:asha", at=start),
                created_at=start,
                settings=settings,
                schedule=schedule,
                schedule_set_at=start,
                schedule_set_by="user:asha",
            )
        )
        self.crash_at: str | None = None
        self.is_sure = True
        """Whether the clock was not set back since somebody last said what is wanted."""
        self.looks = 0
        self._boot_server()

    # ---- the server

    def _boot_server(self) -> None:
        """Everything in memory is new."""
        self.rows: dict[str, LedgerRow] = {}
        self.gates: tuple[Gate, ...] = ()
        self.gap: Gap | None = None
        self.last_look = self.disk.looked
        self.settled = self.disk.looked or self.disk.strategy.schedule_set_at
        self.intent_number = 0
        self.wanted_since = self.wall
        self.expected: Sequence[Expected] = ()
        self.since = self.until = datetime.min.replace(tzinfo=UTC)
        self.look_at: datetime | None = self.wall
        self.was_away = True
        """Whether it is no wonder if it looks late."""
        if self.last_look is not None and self.wall > self.last_look:
            self.gap = Gap(since=self.last_look, until=self.wall)

    def pass_by(self, point: str) -> None:
        if self.crash_at == point:
            self.crash_at = None
            raise Crash(point)

    def turn(self) -> None:
        """One look, and the reconciler's steps after it; dies where it is told to."""
        for run_id in [one for one, is_stopping in self.alive.items() if is_stopping]:
            self.end(run_id, Outcome(kind=OutcomeKind.STOPPED))  # the agent's ladder goes on
        self.looks += 1
        if self.last_look is not None and self.wall - self.last_look > timedelta(seconds=5):
            self.gap = Gap(since=self.last_look, until=self.wall)
        decision = self._decide()
        self._check_punctual(decision)
        self.pass_by("before commit")
        self._commit(decision)
        self.pass_by("after commit")
        self._reconcile()
        self.last_look = self.disk.looked = self.wall
        self.was_away = False
        if decision.set_at is not None:
            self.turn()

    def _decide(self) -> Decision:
        strategy, now = self.disk.strategy, self.wall
        set_at = strategy.schedule_set_at
        assert set_at is not None
        assert self.settled is not None
        if not (self.since + BACK <= now < self.until):
            self.since = min(max(min(self.settled, now) - BACK, set_at - BACK), now - BACK)
            self.until = now + GOOD_FOR
            self.rows = {
                key: row
                for key, row in self.disk.rows.items()
                if row.start_at >= self.since - BACK
                or row.state is OccurrenceState.DUE
                or key.startswith(ALWAYS)
            }
            self.expected = expected(
                strategy.schedule, self.calendar, set_at, self.since, now + AHEAD
            )
        self._mirror()
        if strategy.intent.number != self.intent_number:
            self.intent_number, self.wanted_since = strategy.intent.number, strategy.intent.at
        self.wanted_since = min(self.wanted_since, now)
        latest, earlier = self.runs()
        facts = Facts(
            strategy=strategy,
            latest=latest,
            earlier=earlier,
            gates=self.gates,
            expected=self.expected,
            rows=self.rows,
            wanted_since=self.wanted_since,
            gap=self.gap,
        )
        return look(facts, now)

    def _mirror(self) -> None:
        latest, earlier = self.runs()
        for run in (*reversed(earlier), *((latest,) if latest else ())):
            for key, row in self.rows.items():
                self.rows[key] = answered(row, run)

    def _commit(self, decision: Decision) -> None:
        disk = self.disk
        for row in decision.rows:
            disk.rows[row.key] = self.rows[row.key] = row
            if (
                row.state is OccurrenceState.DUE
                and decision.intent is not None
                and row.intent_number == decision.intent.number
            ):
                disk.starts.append((row.key, row.intent_number))
        if decision.intent is not None:
            assert decision.intent.by in {SCHEDULE, RESTORE}
            assert decision.intent.number == disk.strategy.intent.number + 1
            disk.strategy = replace(disk.strategy, intent=decision.intent)
        if decision.set_at is not None:
            disk.strategy = replace(disk.strategy, schedule_set_at=decision.set_at)
            self.since = self.until = datetime.min.replace(tzinfo=UTC)
        self.look_at, self.settled = decision.look_at, self.wall

    def runs(self) -> tuple[Run | None, Sequence[Run]]:
        if not self.disk.runs:
            return None, ()
        latest = self.disk.runs[-1]
        same = [r for r in self.disk.runs[-6:-1] if r.intent_number == latest.intent_number]
        return latest, tuple(reversed(same))

    def _put_run(self, run: Run) -> None:
        if self.disk.runs and self.disk.runs[-1].id == run.id:
            self.disk.runs[-1] = run
        else:
            assert not (self.disk.runs and self.disk.runs[-1].is_live), "two live rows"
            self.disk.runs.append(run)
            for key, row in self.disk.rows.items():
                self.disk.rows[key] = answered(row, run)

    def _reconcile(self) -> None:
        for _ in range(12):
            latest, earlier = self.runs()
            self._absorb(latest)
            latest, earlier = self.runs()
            self.gates = self._closed()
            action = decide(
                self.disk.strategy,
                latest,
                self._sighting(latest),
                self.gates,
                now=self.wall,
                earlier=earlier,
                boot_id=str(self.boot),
            )
            match action:
                case Start(attempt=attempt):
                    run = Run(
                        id=RunId(f"{len(self.disk.runs):016x}"),
                        strategy_id=self.disk.strategy.id,
                        version_id=VersionId("v"),
                        intent_number=self.disk.strategy.intent.number,
                        created_at=self.wall,
                        attempt=attempt,
                    )
                    self._put_run(run)
                    self.pass_by("between intent and launch")
                case Launch(run_id=run_id):
                    self.alive[run_id] = False
                    self.pass_by("after launch")
                    self.check_one_life()
                case Stop(run_id=run_id):
                    assert latest is not None
                    self.alive[run_id] = True
                    intent = self.disk.strategy.intent
                    by = intent.by if intent.wanted is Wanted.STOPPED else "host"
                    self._put_run(apply(latest, StopAsked(at=self.wall, by=by)))
                    self.pass_by("after stop")
                    self.end(run_id, Outcome(kind=OutcomeKind.STOPPED))
                case Conclude(outcome=outcome):
                    assert latest is not None
                    self._put_run(apply(latest, Ended(at=self.wall, outcome=outcome)))
                case _:
                    return
        raise AssertionError("the reconciler does not come to rest")

    def _absorb(self, run: Run | None) -> None:
        """The agent's fact of a live run is written down."""
        if run is not None and run.is_live and run.process is None and run.id in self.alive:
            process = ProcessIdentity(boot_id=str(self.boot), pid=1, start_ticks=1)
            self._put_run(apply(run, Started(at=self.wall, process=process)))

    def _sighting(self, run: Run | None) -> Sighting:
        if run is None or run.id not in self.alive:
            return Sighting.UNKNOWN
        return Sighting.STOPPING if self.alive[run.id] else Sighting.ALIVE

    def _closed(self) -> tuple[Gate, ...]:
        holding = self.holding()
        gates = (BROKER,) if self.gate_closed else ()
        by_schedule = self.disk.strategy.intent.by in {SCHEDULE, RESTORE}
        if by_schedule and holding is not None and holding.knowledge is Knowledge.UNKNOWN:
            return (*gates, UNKNOWN_DAY)
        return gates

    # ---- what happens to it

    def end(self, run_id: RunId, outcome: Outcome) -> None:
        """A process ends, and the agent tells how."""
        self.alive.pop(run_id, None)
        latest, _ = self.runs()
        if latest is not None and latest.id == run_id and latest.is_live:
            process = ProcessIdentity(boot_id=str(self.boot), pid=1, start_ticks=1)
            latest = apply(latest, Started(at=self.wall, process=process))
            self._put_run(apply(latest, Ended(at=self.wall, outcome=outcome)))

    def reboot(self) -> None:
        """No process is left, and the server begins anew."""
        self.alive.clear()
        self.boot += 1
        self._boot_server()

    def kill(self) -> None:
        """The server dies; processes live on."""
        self._boot_server()

    def person(self, wanted: Wanted) -> None:
        """Somebody presses Start or Stop, as ``StrategyService`` lets them."""
        strategy, (latest, _) = self.disk.strategy, self.runs()
        is_live = latest is not None and latest.is_live
        answered_ = latest is not None and latest.intent_number >= strategy.intent.number
        on_the_way = strategy.intent.wanted is Wanted.RUNNING and not answered_
        if (wanted is Wanted.RUNNING) == (is_live or on_the_way):
            return
        intent = Intent(
            number=strategy.intent.number + 1, wanted=wanted, by="user:asha", at=self.wall
        )
        self.disk.strategy = replace(strategy, intent=intent)
        self.is_sure = True

    # ---- what must hold

    def holding(self) -> Occurrence | None:
        return next((o for e in self.expected if (o := e.occurrence) and o.holds(self.wall)), None)

    def check_one_life(self) -> None:
        assert len(self.alive) <= 1, self.alive

    def check(self) -> None:
        """After a look that was committed and acted upon."""
        self.check_one_life()
        self._check_ledger()
        self._check_decided()
        self._check_windows()
        self._check_what_should_run()

    def _check_ledger(self) -> None:
        """Each expected start so far has exactly one row, and started at most once."""
        set_at = self.disk.strategy.schedule_set_at
        assert set_at is not None
        for one in self.expected:
            if set_at <= one.start_at <= self.wall:
                assert one.key in self.disk.rows, (self.wall, one)
        answered_ = {run.intent_number for run in self.disk.runs[-40:]}
        keys = [key for key, number in self.disk.starts[-40:] if number in answered_]
        assert len(set(keys)) == len(keys), self.disk.starts[-40:]
        self._mirror()
        assert self.rows == {k: r for k, r in self.disk.rows.items() if k in self.rows}

    def _check_decided(self) -> None:
        """What waits may still start, and what was given up was not by a clock that ran ahead."""
        gone = {OccurrenceState.MISSED, OccurrenceState.BLOCKED}
        for row in self.rows.values():
            is_over = row.ends_at is not None and row.ends_at <= self.wall
            if row.state is OccurrenceState.DUE and row.start_at <= self.wall:
                assert row.intent_number == self.disk.strategy.intent.number, (self.wall, row)
                assert not is_over, (self.wall, row)
            if row.state in gone and row.start_at <= self.wall < row.decided_at:
                assert is_over, (self.wall, row)

    def _check_punctual(self, decision: Decision) -> None:
        """A server that sleeps until it said it would look misses neither a start nor an end."""
        if self.was_away or self.last_look is None:
            return
        for row in decision.rows:
            if row.key not in self.rows or self.rows[row.key] != row:
                late = row.decided_at - max(row.start_at, self.last_look)
                is_new = row.state is OccurrenceState.DUE and row.key not in self.disk.rows
                assert not is_new or late <= TICK, row
                assert row.state is not OccurrenceState.MISSED, row
        for one in self.expected:
            ends_at = one.occurrence.ends_at if one.occurrence else None
            is_over = ends_at is not None and self.last_look < ends_at < self.wall - TICK
            assert not (is_over and self.alive), (self.last_look, one)

    def check_all(self, start: datetime) -> None:
        """Over all the years: each start that was expected has its row, and nothing else has."""
        strategy = self.disk.strategy
        set_at = strategy.schedule_set_at
        assert set_at is not None
        since = min(start, set_at)  # which was moved where the clock was set back at once
        whole = expected(strategy.schedule, self.calendar, set_at, since, self.wall)
        due = {one.key for one in whole if set_at <= one.start_at}
        rows = {k for k, row in self.disk.rows.items() if set_at <= row.start_at < self.wall}
        assert due == rows, sorted(due ^ rows)
        runs = {run.id for run in self.disk.runs}
        for row in self.disk.rows.values():
            assert (row.run_id in runs) == (row.state is OccurrenceState.STARTED), row
            is_silent = row.state in {OccurrenceState.MISSED, OccurrenceState.BLOCKED}
            assert row.sentence or row.state in {OccurrenceState.STARTED, OccurrenceState.DUE}, row
            assert not is_silent or row.alerted_at is not None, row

    def _check_windows(self) -> None:
        """What lives outside of all windows was started there by somebody."""
        if not self.alive or self.holding() is not None:
            return
        intent, begun = (
            self.disk.strategy.intent,
            [e.occurrence for e in self.expected if e.occurrence and e.start_at <= self.wall],
        )
        if any(window.stop is None for window in self.disk.strategy.schedule.windows) and not (
            begun and begun[-1].stops
        ):
            return
        assert intent.by.startswith("user:"), (self.wall, intent, begun[-1:])
        ended = [one.ends_at for one in begun if one.stops and one.ends_at is not None]
        between = [at for at in ended if intent.at < at <= self.wall]
        is_over = any(not any(one.holds(at) for one in begun) for at in between)
        assert not (self.is_sure and is_over), (self.wall, intent, between)

    def _check_what_should_run(self) -> None:
        """Inside a window that was started, it runs; unless it ended, or somebody stopped it."""
        holding = next((e for e in self.expected if e.holds(self.wall)), None)
        if holding is None or self.alive:
            return
        strategy, row, (latest, earlier) = (
            self.disk.strategy,
            self.disk.rows[holding.key],
            self.runs(),
        )
        intent = strategy.intent
        if latest is not None and latest.outcome is not None and latest.ended_at is not None:
            is_lost = latest.outcome.kind is OutcomeKind.LOST and latest.ended_at < self.wall
            is_long_ago = self.wall - latest.created_at >= RESTORE_AFTER
            is_wanted = intent.wanted is Wanted.RUNNING and latest.intent_number == intent.number
            is_left = restart_of(strategy, latest, earlier) is None
            assert not (is_lost and is_long_ago and is_wanted and is_left), (self.wall, latest)
        if row.state is not OccurrenceState.STARTED or intent.by.startswith("user:"):
            return
        assert intent.wanted is Wanted.RUNNING, (self.wall, row, intent)
        ended = latest is not None and latest.outcome is not None
        waits = self.gates or (latest is not None and latest.intent_number < intent.number)
        assert ended or waits, (self.wall, row, intent, latest)


POINTS = (
    "before commit", "after commit", "between intent and launch", "after launch", "after stop",
)  # fmt: skip
JUMPS = (1, 60, 3600, 86_400)


class Life:
    """Years of a world: mostly it looks when something is due, and at times all goes wrong."""

    def __init__(self, world: World, *, trouble: float) -> None:
        self.world, self.chance, self.trouble = world, world.chance, trouble

    def until(self, end: datetime) -> None:
        """Lives until then. A clock set back by a day is made up for."""
        world = self.world
        while world.wall < end:
            self._pass_time()
            if self.chance.random() < self.trouble:
                self._trouble()
            self._look()

    def _look(self) -> None:
        world = self.world
        while True:
            try:
                world.turn()
                break
            except Crash:
                world.kill()
                world.wall += timedelta(seconds=self.chance.choice((0, 1, 7, 90, 4000)))
        world.check()

    def _pass_time(self) -> None:
        """To the next due instant, as a rule; a look is late by some milliseconds."""
        world = self.world
        due_at = world.look_at or world.wall + timedelta(days=3)
        due_at = min(due_at, world.wall + timedelta(days=3))
        late = timedelta(milliseconds=self.chance.randint(0, 40))
        if due_at > world.wall and self.chance.random() < 0.2:
            due_at = world.wall + (due_at - world.wall) * self.chance.random()
        world.wall = max(due_at, world.wall) + late

    def _trouble(self) -> None:
        world, chance = self.world, self.chance
        match chance.randrange(11):
            case 0 | 1:
                world.crash_at = chance.choice(POINTS)
            case 2:  # the server is away for a while; what runs, runs on
                world.kill()
                world.wall += timedelta(seconds=chance.choice((1, 30, 300, 7000, 90_000, 900_000)))
            case 3:
                world.was_away = True
                world.wall += timedelta(seconds=chance.choice(JUMPS))
            case 4:
                world.was_away, world.is_sure = True, False
                world.wall -= timedelta(seconds=chance.choice(JUMPS))
            case 5:
                world.reboot()
                world.wall += timedelta(seconds=chance.choice((5, 300, 20_000)))
            case 6:
                world.person(Wanted.RUNNING)
            case 7:
                world.person(Wanted.STOPPED)
            case 8:
                world.gate_closed = not world.gate_closed and chance.random() < 0.3
            case 9 if world.alive:
                code = chance.choice((0, 1))
                world.end(next(iter(world.alive)), Outcome(kind=OutcomeKind.EXITED, exit_code=code))
            case 10 if world.alive:  # a process that vanishes, and nobody saw how
                world.end(next(iter(world.alive)), lost(None, boot_id=None))


def outcome_counts(world: World) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in world.disk.rows.values():
        found[row.state.value] = found.get(row.state.value, 0) + 1
    return found

"""What people do with schedules: set, clear, look at what was and what will be."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Protocol

from sqlalchemy import Connection

from algohost.domain import timetable_json
from algohost.domain.calendars import Calendar, Knowledge, day_text
from algohost.domain.expected import expected, upcoming
from algohost.domain.ids import IST, StrategyId
from algohost.domain.instruments import Exchange
from algohost.domain.ledger import TIMETABLE, LedgerRow
from algohost.domain.ports import Clock
from algohost.domain.schedules import Schedule
from algohost.domain.strategies import Gate, Strategy, draft_gate
from algohost.domain.timetable import Occurrence, Skipped
from algohost.domain.timetable_rules import check
from algohost.domain.users import User
from algohost.host.gates import GateSource
from algohost.host.refusals import refuse_while_running
from algohost.host.registry import Registry
from algohost.host.schedule_memory import Calendars
from algohost.host.trading_day import unknown_day
from algohost.host.views import StrategyView
from algohost.store import audit, host_events
from algohost.store import occurrences as stored
from algohost.store import strategies as stored_strategies
from algohost.store.database import Database
from algohost.store.host_events import HostEvent

EVENTS = frozenset({"late_start", "missed_start", "blocked_start"})
"""The kinds of events that schedules cause."""

_DAY = timedelta(days=1)


class Strategies(Protocol):
    """Who may see which strategy; ``StrategyService`` is the real one."""

    def get(self, user: User, strategy_id: str) -> StrategyView:
        """One strategy. Raises ``NotFound``."""

    def list(self, user: User) -> Sequence[StrategyView]:
        """All that the user may see."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One entry of a day's plan."""

    view: StrategyView
    entry: Occurrence | Skipped
    gates: tuple[Gate, ...] = ()
    """What would hold the start back if it were now."""
    row: LedgerRow | None = None
    """What became of it, once it is due."""

    @property
    def start_at(self) -> datetime:
        """When it starts, or would have."""
        return self.entry.start_at

    @property
    def is_skipped(self) -> bool:
        """Whether it does not come."""
        return isinstance(self.entry, Skipped)

    @property
    def is_ahead(self) -> bool:
        """Whether it comes, and nothing has become of it yet."""
        return self.row is None and not self.is_skipped

    @property
    def sentence(self) -> str:
        """What became of it, why it does not come, or what would hold it back now."""
        if self.row is not None and self.row.sentence:
            return self.row.sentence
        if isinstance(self.entry, Skipped):
            return self.entry.sentence
        return self.gates[0].sentence if self.gates else self.entry.note


class Timetables:
    """Commands and looks, each checked for its user. Used on the server's loop only."""

    def __init__(
        self,
        *,
        clock: Clock,
        database: Database,
        registry: Registry,
        strategies: Strategies,
        calendars: Calendars,
        gates: GateSource,
    ) -> None:
        self._clock = clock
        self._database = database
        self._registry = registry
        self._strategies = strategies
        self._calendars = calendars
        self._gates = gates

    # ---- looking

    def schedule(self, user: User, strategy_id: str) -> Schedule:
        """When it should run. Raises ``NotFound``."""
        return self._strategies.get(user, strategy_id).strategy.schedule

    def occurrences(self, user: User, strategy_id: str, *, limit: int = 50) -> Sequence[LedgerRow]:
        """What became of its expected starts, newest first. Raises ``NotFound``."""
        view = self._strategies.get(user, strategy_id)
        return self._database.read(lambda c: stored.newest(c, view.strategy.id, limit=limit))

    def events(self, user: User, strategy_id: str, *, limit: int = 50) -> Sequence[HostEvent]:
        """Late, missed and blocked starts of a strategy, newest first. Raises ``NotFound``."""
        view = self._strategies.get(user, strategy_id)
        found = self._database.read(
            lambda c: host_events.of_subject(c, view.strategy.id, limit=limit)
        )
        return [event for event in found if event.kind in EVENTS]

    def next_starts(self, user: User, strategy_id: str, *, count: int = 5) -> Sequence[Occurrence]:
        """The next starts of a strategy; none where only people start it."""
        strategy = self._strategies.get(user, strategy_id).strategy
        after = max(self._clock.now(), strategy.schedule_set_at or self._clock.now())
        return upcoming(strategy.schedule, self._calendar(strategy.exchange), after, count)

    def preview_schedule(
        self, schedule: Schedule, exchange: Exchange, *, count: int = 5
    ) -> Sequence[Occurrence]:
        """The next starts of a schedule that nobody has set. Raises ``Invalid``."""
        calendar = self._calendars.of(exchange)
        return upcoming(check(schedule, calendar), calendar, self._clock.now(), count)

    async def preview(self, user: User, day: date) -> Sequence[Planned]:
        """What the user's strategies will do, did or leave out on a date of India, by time."""
        start = datetime.combine(day, time(0), IST)
        # a day more on either side: an edit of the calendar may have moved a start since
        rows = self._database.read(lambda c: stored.between(c, start - _DAY, start + 2 * _DAY))
        found: list[Planned] = []
        for view in self._strategies.list(user):
            found += self._planned(view, rows.get(view.strategy.id, ()), start)
        gates = await self._gates_of([one.view.strategy for one in found if one.is_ahead])
        made = [
            _held_back(one, gates[one.view.strategy.id]) if one.is_ahead else one for one in found
        ]
        return sorted(made, key=lambda one: (one.start_at, one.view.strategy.name))

    def _planned(
        self, view: StrategyView, ledger: Sequence[LedgerRow], start: datetime
    ) -> Sequence[Planned]:
        """What is planned for one strategy, before anybody has looked at gates; and what became
        of starts that a schedule expected which has been changed since."""
        strategy, end = view.strategy, start + _DAY
        set_at = strategy.schedule_set_at or start
        rows = {row.key: row for row in ledger}
        entries = expected(strategy.schedule, self._calendar(strategy.exchange), set_at, start, end)
        planned = [
            Planned(view=view, entry=one.entry, row=rows.pop(one.key, None))
            for one in entries
            # what is always wanted belongs to the day on which it was set
            if start <= one.start_at < end and (one.start_at >= set_at or one.key in rows)
        ]
        former = [row for row in rows.values() if row.by != TIMETABLE]
        return planned + [
            Planned(view=view, entry=_entry_of(row), row=row)
            for row in former
            if start <= row.start_at < end
        ]

    async def _gates_of(
        self, strategies: Sequence[Strategy]
    ) -> Mapping[StrategyId, tuple[Gate, ...]]:
        """What holds each back now; all are asked at once: one that hangs is waited for once."""
        distinct = {strategy.id: strategy for strategy in strategies}
        found = await asyncio.gather(*map(self._gates.closed, distinct.values()))
        return dict(zip(distinct, found, strict=True))

    # ---- setting

    async def set_schedule(
        self,
        user: User,
        strategy_id: str,
        schedule: Schedule,
        *,
        exchange: Exchange | None = None,
    ) -> StrategyView:
        """Arms the strategy from now on; a window that has begun already is not started any more.

        Raises ``Invalid`` (``BAD_SCHEDULE``, the field in its details), ``NotFound``, and
        ``Conflict`` (``STRATEGY_RUNNING``) while it runs or is on its way.
        """
        view = self._strategies.get(user, strategy_id)
        async with self._registry.lock(view.strategy.id):
            view = self._strategies.get(user, strategy_id)
            refuse_while_running(view, "given another schedule")
            chosen = exchange or Exchange(view.strategy.exchange)
            check(schedule, self._calendars.of(chosen))
            now, by = self._clock.now(), f"user:{user.name}"
            changed = replace(
                view.strategy,
                schedule=schedule,
                schedule_set_at=now,
                schedule_set_by=by,
                exchange=chosen.value,
            )

            def keep(connection: Connection) -> None:
                stored_strategies.save_schedule(connection, changed)
                said = f"{user.name} set another schedule while it waited."
                stored.withdraw(connection, changed.id, by=by, sentence=said, at=now)
                audit.note(
                    connection, "schedule_set", at=now, by=by, subject=changed.id,
                    exchange=chosen.value, schedule=json.dumps(timetable_json.to_json(schedule)),
                )  # fmt: skip

            await self._database.write(keep)
            return self._registry.put_strategy(changed)

    async def clear_schedule(self, user: User, strategy_id: str) -> StrategyView:
        """Only people start it from now on. Raises as ``set_schedule`` does."""
        return await self.set_schedule(user, strategy_id, Schedule())

    def _calendar(self, exchange: str) -> Calendar:
        return self._calendars.of(Exchange(exchange))


def _entry_of(row: LedgerRow) -> Occurrence:
    """The window that a row is about, where the schedule does not have it any more."""
    return Occurrence(
        date=row.start_at.astimezone(IST).date(),
        window=0,
        start_at=row.start_at,
        ends_at=row.ends_at,
        stops=row.stops,
    )


def _held_back(planned: Planned, gates: tuple[Gate, ...]) -> Planned:
    """With everything that would hold the start back."""
    strategy = planned.view.strategy
    draft = () if strategy.problem is None else (draft_gate(strategy.problem),)
    return replace(planned, gates=(*gates, *draft, *_gate_of(strategy, planned.entry)))


def _gate_of(strategy: Strategy, entry: Occurrence | Skipped) -> tuple[Gate, ...]:
    """What the calendar has to say on that day."""
    if isinstance(entry, Skipped) or entry.knowledge is not Knowledge.UNKNOWN:
        return ()
    return (unknown_day(strategy.exchange, entry.date.year, day_text(entry.date)),)

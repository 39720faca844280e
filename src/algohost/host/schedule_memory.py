"""What the scheduler remembers of each strategy, so that a due start costs no query."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from algohost.domain.calendars import Calendar
from algohost.domain.expected import Expected, expected, upcoming
from algohost.domain.ids import StrategyId
from algohost.domain.instruments import Exchange
from algohost.domain.ledger import TIMETABLE, LedgerRow, OccurrenceState, answered
from algohost.domain.occurrences import look
from algohost.domain.schedule_looks import Decision, Facts, Gap
from algohost.domain.schedules import Schedule
from algohost.domain.strategies import Strategy
from algohost.host.views import StrategyView
from algohost.store import occurrences as stored
from algohost.store.database import Database

LOOK_BACK: Final = timedelta(days=3)
"""Longer than any window: what holds now, or was cut short, began within it."""
LOOK_AHEAD: Final = timedelta(days=8)
_GOOD_FOR: Final = timedelta(days=4)
_MOST: Final = timedelta(days=400)
_SOON: Final = timedelta(seconds=1.5)
_MICROSECOND: Final = timedelta(microseconds=1)


class Calendars(Protocol):
    """Where the exchanges' calendars come from; ``CalendarService`` is the real one."""

    def of(self, exchange: Exchange) -> Calendar:
        """The exchange's calendar."""

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls ``listener`` after every edit."""


@dataclass(kw_only=True)
class Remembered:
    """One strategy: what its schedule expects, what its ledger has, when to look again."""

    schedule: Schedule
    exchange: str
    set_at: datetime
    calendar: Calendar
    expected: Sequence[Expected]
    rows: dict[str, LedgerRow]
    since: datetime
    until: datetime
    look_at: datetime | None = None
    intent_number: int
    wanted_since: datetime
    settled_at: datetime
    """The last look that left nothing undecided."""
    _ahead: tuple[StrategyView, Gap | None, Decision] | None = None

    def is_for(self, strategy: Strategy, calendar: Calendar, now: datetime) -> bool:
        """Whether it was made from the same schedule and calendar, for a span with ``now``."""
        return (
            self.schedule is strategy.schedule
            and self.set_at == strategy.schedule_set_at
            and self.exchange == strategy.exchange
            and self.calendar is calendar
            and self.since + LOOK_BACK <= now + _MICROSECOND
            and now < self.until
        )

    def facts(self, view: StrategyView, now: datetime, gap: Gap | None) -> Facts:
        """Everything that a look is given; what runs answer for is first written in."""
        runs = [*view.earlier, *((view.latest,) if view.latest is not None else ())]
        for row in tuple(self.rows.values()):
            if row.state is OccurrenceState.DUE:
                for run in reversed(runs):
                    self.rows[row.key] = row = answered(row, run)
        intent = view.strategy.intent
        if self.intent_number != intent.number:
            self.intent_number, self.wanted_since = intent.number, intent.at
        self.wanted_since = min(self.wanted_since, now)
        return Facts(
            strategy=view.strategy,
            latest=view.latest,
            earlier=view.earlier,
            gates=view.gates,
            expected=self.expected,
            rows=self.rows,
            wanted_since=self.wanted_since,
            gap=gap,
        )

    def decide(self, view: StrategyView, now: datetime, gap: Gap | None) -> Decision:
        """What follows now; what was decided ahead holds if nothing has happened since."""
        if self._ahead is not None:
            seen, seen_gap, decision = self._ahead
            self._ahead = None
            is_time = timedelta(0) <= now - decision.at < _SOON
            if is_time and seen is view and seen_gap is gap:
                return decision
        return look(self.facts(view, now, gap), now)

    def decide_ahead(self, view: StrategyView, now: datetime, gap: Gap | None) -> None:
        """Works out what the next instant will bring where that is near: a thousand starts may
        be due in it."""
        at = self.look_at
        if at is not None and now < at <= now + _SOON and self._ahead is None:
            self._ahead = (view, gap, look(self.facts(view, at, gap), at))

    def keep(self, decision: Decision) -> None:
        """What is committed is known."""
        self.rows.update({row.key: row for row in decision.rows})
        if decision.intent is not None:
            self.intent_number = decision.intent.number
            self.wanted_since = decision.intent.at

    def next_start(self, now: datetime) -> datetime | None:
        """The next start that is expected, where one is within reach."""
        coming = (o.start_at for one in self.expected if (o := one.occurrence) is not None)
        return next((at for at in coming if at > now and at >= self.set_at), None)

    @property
    def newest(self) -> LedgerRow | None:
        """The newest row, leaving out what the timetable skips."""
        rows = [row for row in self.rows.values() if row.by != TIMETABLE]
        return max(rows, key=lambda row: row.start_at, default=None)


class Memory:
    """What is remembered of all strategies with a schedule."""

    def __init__(self, database: Database, calendars: Calendars) -> None:
        self._database = database
        self._calendars = calendars
        self._known: dict[StrategyId, Remembered] = {}
        self._loaded: dict[StrategyId, Sequence[LedgerRow]] = {}
        self.last_look: datetime | None = None

    def load(self, now: datetime) -> None:
        """Reads when was looked last, and the rows from about then, in one go."""
        self.last_look = self._database.read(stored.last_look)
        before = min(self.last_look or now, now) - 2 * LOOK_BACK
        self._loaded = dict(self._database.read(lambda c: stored.since(c, before)))

    def find(self, strategy_id: StrategyId) -> Remembered | None:
        """What is remembered of a strategy, without looking anything up."""
        return self._known.get(strategy_id)

    def all(self) -> Iterable[tuple[StrategyId, Remembered]]:
        """Everything that is remembered."""
        return self._known.items()

    def forget(self, strategy_id: StrategyId) -> None:
        """Drops it: the next look reads its rows again."""
        self._known.pop(strategy_id, None)
        self._loaded.pop(strategy_id, None)

    def of(self, view: StrategyView, now: datetime) -> Remembered:
        """What is known of a strategy with a schedule, brought up to date where that is needed.

        Raises what the database or the calendar raises.
        """
        strategy = view.strategy
        calendar = self._calendars.of(Exchange(strategy.exchange))
        known = self._known.get(strategy.id)
        if known is None or not known.is_for(strategy, calendar, now):
            known = self._made(strategy, calendar, now, known)
            self._known[strategy.id] = known
        return known

    def _made(
        self, strategy: Strategy, calendar: Calendar, now: datetime, old: Remembered | None
    ) -> Remembered:
        set_at = strategy.schedule_set_at or now
        settled_at = old.settled_at if old is not None else self.last_look or set_at
        since = max(min(settled_at, now) - LOOK_BACK, set_at - LOOK_BACK, now - _MOST)
        since = min(since, now - LOOK_BACK)
        rows = self._loaded.pop(strategy.id, None)
        if rows is None or self.last_look is None or old is not None:
            found = self._database.read(lambda c: stored.since(c, since - LOOK_BACK, strategy.id))
            rows = found.get(strategy.id, ())
        return Remembered(
            schedule=strategy.schedule,
            exchange=strategy.exchange,
            set_at=set_at,
            calendar=calendar,
            expected=_expected(strategy, calendar, set_at, since, now),
            rows={row.key: row for row in rows},
            since=since,
            until=now + _GOOD_FOR,
            intent_number=strategy.intent.number if old is None else old.intent_number,
            wanted_since=strategy.intent.at if old is None else old.wanted_since,
            settled_at=settled_at,
        )


def _expected(
    strategy: Strategy, calendar: Calendar, set_at: datetime, since: datetime, now: datetime
) -> Sequence[Expected]:
    """From then on to at least the next start."""
    schedule = strategy.schedule
    found = list(expected(schedule, calendar, set_at, since, now + LOOK_AHEAD))
    if any(one.occurrence is not None and one.start_at > now for one in found):
        return found
    for one in upcoming(schedule, calendar, max(now, set_at), 1):
        found += expected(schedule, calendar, set_at, one.start_at, one.start_at + _MICROSECOND)
    return found


def with_decision(strategy: Strategy, decision: Decision) -> Strategy:
    """The strategy once the decision is committed."""
    return replace(
        strategy,
        intent=decision.intent or strategy.intent,
        schedule_set_at=decision.set_at or strategy.schedule_set_at,
    )

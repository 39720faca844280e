"""Schedules in memory, by the real timetable and the real rules; nothing fires by itself."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from algohost.domain.errors import Conflict
from algohost.domain.expected import upcoming
from algohost.domain.ids import IST, RunId, StrategyId
from algohost.domain.instruments import Exchange
from algohost.domain.ledger import LedgerRow, OccurrenceState, key_of
from algohost.domain.schedules import Schedule
from algohost.domain.strategies import Gate, Phase
from algohost.domain.timetable import Entry, Occurrence, Skipped, plan
from algohost.domain.timetable_rules import check
from algohost.domain.users import User
from algohost.host.calendars import CalendarService
from algohost.host.views import StrategyView

if TYPE_CHECKING:
    from tests.browser.fake_host import FakeStrategies

_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class FakePlanned:
    """A window on a day, as the service plans it."""

    view: StrategyView
    entry: Entry
    gates: tuple[Gate, ...] = ()
    row: LedgerRow | None = None

    @property
    def start_at(self) -> datetime:
        return self.entry.start_at

    @property
    def is_skipped(self) -> bool:
        return isinstance(self.entry, Skipped)

    @property
    def sentence(self) -> str:
        if isinstance(self.entry, Skipped):
            return self.entry.sentence
        return self.entry.note or (self.gates[0].sentence if self.gates else "")


class FakeTimetables:
    """The service's face over the registry of ``FakeStrategies``."""

    def __init__(self, strategies: "FakeStrategies", calendars: CalendarService) -> None:
        self.strategies = strategies
        self.calendars = calendars
        self.ledger: dict[str, list[LedgerRow]] = {}
        self.gates: dict[str, tuple[Gate, ...]] = {}

    async def set_schedule(
        self, user: User, wanted: str, schedule: Schedule, *, exchange: Exchange | None = None
    ) -> StrategyView:
        view = self._at_rest(user, wanted)
        strategy = view.strategy
        exchange = exchange or Exchange(strategy.exchange)
        check(schedule, self.calendars.of(exchange))
        changed = replace(
            strategy,
            schedule=schedule,
            exchange=exchange.value,
            schedule_set_at=datetime.now(UTC),
            schedule_set_by=f"user:{user.name}",
        )
        self.strategies.registry.put_strategy(changed)
        return self.expect(strategy.id)

    async def clear_schedule(self, user: User, wanted: str) -> StrategyView:
        strategy = self._at_rest(user, wanted).strategy
        self.strategies.registry.put_strategy(replace(strategy, schedule=Schedule()))
        return self.expect(strategy.id)

    def _at_rest(self, user: User, wanted: str) -> StrategyView:
        view = self.strategies.get(user, wanted)
        if view.phase not in {Phase.STOPPED, Phase.ERROR}:
            message = f"“{view.strategy.name}” is {view.phase}; stop it first."
            raise Conflict(message, code="STRATEGY_RUNNING")
        return view

    def next_starts(self, user: User, wanted: str, *, count: int = 5) -> Sequence[Occurrence]:
        strategy = self.strategies.get(user, wanted).strategy
        calendar = self.calendars.of(Exchange(strategy.exchange))
        return upcoming(strategy.schedule, calendar, datetime.now(UTC), count)

    def events(self, user: User, wanted: str, *, limit: int = 50) -> Sequence[Any]:
        return []

    def occurrences(self, user: User, wanted: str, *, limit: int = 50) -> Sequence[LedgerRow]:
        return self.ledger.get(self.strategies.get(user, wanted).strategy.id, [])[:limit]

    async def preview(self, user: User, day: date) -> Sequence[FakePlanned]:
        start = datetime.combine(day, time(0), IST)
        found = []
        for view in self.strategies.list(user):
            rows = {row.key: row for row in self.ledger.get(view.strategy.id, [])}
            for entry in self._plan(view, start, start + _DAY):
                row = rows.get(key_of(view.strategy.schedule, entry))
                gates = () if isinstance(entry, Skipped) else self.gates.get(view.strategy.id, ())
                found.append(FakePlanned(view=view, entry=entry, gates=gates, row=row))
        return sorted(found, key=lambda one: one.start_at)

    def _plan(self, view: StrategyView, start: datetime, end: datetime) -> Sequence[Entry]:
        calendar = self.calendars.of(Exchange(view.strategy.exchange))
        return plan(view.strategy.schedule, calendar, start, end)

    # ---- for tests

    def give(self, wanted: StrategyId, schedule: Schedule) -> None:
        """Gives a schedule to a strategy, whatever it is doing."""
        view = self.strategies.registry.find(wanted)
        assert view is not None
        since = datetime.now(UTC) - _DAY * 60
        self.strategies.registry.put_strategy(
            replace(view.strategy, schedule=schedule, schedule_set_at=since, schedule_set_by="user")
        )
        self.expect(wanted)

    def note(self, wanted: StrategyId, at: datetime, state: OccurrenceState, **more: Any) -> None:
        """Writes what became of a start."""
        view = self.strategies.registry.find(wanted)
        assert view is not None
        windows = view.strategy.schedule.windows
        window = str(windows[0]) if windows else "09:20–15:25"
        row = LedgerRow(
            strategy_id=wanted,
            key=f"{at.astimezone(IST).date()}/{window}",
            start_at=at,
            ends_at=at + timedelta(hours=6),
            state=state,
            decided_at=at,
            by="schedule",
            **more,
        )
        self.ledger.setdefault(wanted, []).insert(0, row)
        self.expect(wanted)

    def started(self, wanted: StrategyId, at: datetime, run: RunId, late_ms: int = 4) -> None:
        """Writes that a run answered a start."""
        self.note(wanted, at, OccurrenceState.STARTED, run_id=run, lateness_ms=late_ms)

    def expect(self, wanted: StrategyId) -> StrategyView:
        """Shows the next start, as the loop of the service does."""
        view = self.strategies.registry.find(wanted)
        assert view is not None
        now = datetime.now(UTC)
        found = self._plan(view, now, now + _DAY * 60)
        starts = [one.start_at for one in found if isinstance(one, Occurrence)]
        rows = [r for r in self.ledger.get(wanted, []) if r.state is not OccurrenceState.SKIPPED]
        self.strategies.registry.put_expected(
            view.strategy, starts[0] if starts else None, rows[0] if rows else None
        )
        after = self.strategies.registry.find(wanted)
        assert after is not None
        return after

"""A host with the scheduler, over a fake clock that tests move: each look is theirs to take."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from algohost.domain.calendars import Calendar
from algohost.domain.instruments import Exchange
from algohost.domain.ledger import LedgerRow
from algohost.domain.schedules import Schedule
from algohost.domain.strategies import Gate, Phase, Strategy
from algohost.host.calendars import CalendarService
from algohost.host.scheduler import Scheduler
from algohost.host.timetables import Timetables
from algohost.host.trading_day import TradingDay
from algohost.host.views import StrategyView
from algohost.market.calendars import shipped
from tests.domain.test_timetable import schedule
from tests.host.harness import ASHA, HostUnderTest

BROKER = Gate(code="BROKER_SESSION", sentence="The broker session has expired.")
DAY = schedule("09:15 15:30")

Scenario = Callable[["ScheduledHost"], Awaitable[None]]


def at(clock: str, day: int = 23, month: int = 11, year: int = 2026) -> datetime:
    """That time of India; 23 November 2026 is a trading Monday, the 24th a holiday."""
    local = datetime.combine(date(year, month, day), time.fromisoformat(clock), UTC)
    return local - timedelta(hours=5, minutes=30)


class Broker:
    """A gate that tests close and open."""

    is_closed = False

    async def closed(self, strategy: Strategy) -> tuple[Gate, ...]:
        return (BROKER,) if self.is_closed else ()


class FailingCalendars:
    """``CalendarService`` that fails when it is told to."""

    def __init__(self, real: CalendarService) -> None:
        self.real, self.fails = real, False

    def of(self, exchange: Exchange) -> Calendar:
        if self.fails:
            raise OSError("the calendar cannot be read")
        return self.real.of(exchange)

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        return self.real.listen(listener)


class ScheduledHost(HostUnderTest):
    """``HostUnderTest`` with a scheduler that looks when it is told to."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.broker = Broker()
        super().__init__(folder, gates={"the broker session": self.broker}, **more)
        self.clock.set(at("09:00"))

    def _open(self) -> None:
        super()._open()
        self.calendars = FailingCalendars(
            CalendarService(clock=self.clock, database=self.database, tables=shipped())
        )
        trading_day = TradingDay(self.clock, self.calendars)
        self.gates._sources["the trading day"] = trading_day
        self.calendars.listen(self.gates.changed)
        self.scheduler = Scheduler(
            clock=self.clock,
            database=self.database,
            registry=self.registry,
            calendars=self.calendars,
            wake=self.reconciler.look_at,
        )
        self.timetables = Timetables(
            clock=self.clock,
            database=self.database,
            registry=self.registry,
            strategies=self.service,
            calendars=self.calendars,
            gates=self.gates,
        )

    async def halt(self) -> None:
        await super().halt()
        await self.scheduler._close()

    async def crash(self, *, away: timedelta = timedelta(0)) -> None:
        """The server dies without a farewell; another one begins after ``away``."""
        await super().halt()
        self.database.close()
        self.clock.advance(away)
        self._open()
        self.begin()

    async def scheduled(
        self, made: Schedule = DAY, *, name: str = "EMA", exchange: Exchange = Exchange.NSE
    ) -> str:
        """A strategy with a schedule."""
        view = await self.add(name)
        await self.timetables.set_schedule(ASHA, view.strategy.id, made, exchange=exchange)
        await self.scheduler.look()
        return view.strategy.id

    async def look(self, now: datetime | None = None) -> None:
        """The clock moves on to ``now`` as clocks do, and the scheduler looks."""
        if now is not None:
            self.clock.advance(now - self.clock.now())
        await self.scheduler.look()
        await asyncio.gather(*self.scheduler._alone.values())  # whose lock was held just then

    def view(self, strategy_id: str) -> StrategyView:
        return self.service.get(ASHA, strategy_id)

    async def shows(self, strategy_id: str, phase: Phase) -> StrategyView:
        await self.until(lambda: self.view(strategy_id).phase is phase, phase.value)
        return self.view(strategy_id)

    async def stopped(self, strategy_id: str) -> None:
        """What is asked to stop does so."""

        def is_stopped() -> bool:
            for run_id in self.keeper.alive():
                if self.keeper.known[run_id].state == "stopping":
                    self.keeper.exits(run_id)
            return not self.keeper.alive()

        await self.until(is_stopped, "nothing lives")
        await self.until(lambda: not self._is_live(strategy_id), "its end is known")

    def _is_live(self, strategy_id: str) -> bool:
        latest = self.view(strategy_id).latest
        return latest is not None and latest.is_live

    def rows(self, strategy_id: str) -> list[LedgerRow]:
        """The ledger, oldest first."""
        return [*reversed(self.timetables.occurrences(ASHA, strategy_id))]

    def told(self, strategy_id: str) -> list[tuple[str, str, str]]:
        """Of each row its key, what became of it and by whom."""
        return [(row.key, row.state.value, row.by) for row in self.rows(strategy_id)]

    def events(self, strategy_id: str) -> list[str]:
        """Kinds of events, oldest first."""
        return [one.kind for one in reversed(self.timetables.events(ASHA, strategy_id))]


def play(folder: Path, scenario: Scenario, **more: Any) -> None:
    async def main() -> None:
        async with ScheduledHost(folder, **more) as host:
            await scenario(host)

    asyncio.run(main())

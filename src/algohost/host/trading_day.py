"""The gate "trading day": a schedule starts nothing on a day that the calendar does not know."""

from algohost.domain.calendars import Knowledge, day_text
from algohost.domain.instruments import Exchange
from algohost.domain.ports import Clock
from algohost.domain.strategies import RESTORE, SCHEDULE, Gate, Strategy
from algohost.domain.timetable import wanted_at
from algohost.host.schedule_memory import Calendars

TRADING_DAY = "TRADING_DAY"


class TradingDay:
    """A ``GateSource``. It holds back what a schedule wants, never what a person starts."""

    def __init__(self, clock: Clock, calendars: Calendars) -> None:
        self._clock = clock
        self._calendars = calendars

    async def closed(self, strategy: Strategy) -> tuple[Gate, ...]:
        """As ``GateSource.closed``, which needs no look here."""
        return self.glance(strategy)

    def glance(self, strategy: Strategy) -> tuple[Gate, ...]:
        """Closed inside a window on a day of which nobody knows whether there is trading."""
        if not strategy.is_armed or strategy.intent.by not in {SCHEDULE, RESTORE}:
            return ()
        calendar = self._calendars.of(Exchange(strategy.exchange))
        wanted = wanted_at(strategy.schedule, calendar, self._clock.now())
        if wanted is None or wanted.knowledge is not Knowledge.UNKNOWN:
            return ()
        return (unknown_day(strategy.exchange, wanted.date.year, day_text(wanted.date)),)


def unknown_day(exchange: str, year: int, day: str) -> Gate:
    """The gate, in words."""
    sentence = (
        f"Nobody has entered whether {exchange} trades on {day}; enter or import its calendar of"
        f" {year}, or start the strategy by hand."
    )
    return Gate(code=TRADING_DAY, sentence=sentence)

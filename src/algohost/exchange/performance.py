"""How a book has done: by day, by round trip, and how far it fell from its peak.

Everything here is of closed units, after charges: what was realised, not what a price might
still give or take. A round trip goes from flat to flat in one instrument and product; a fill that
crosses zero ends one and begins the next, and its charges are shared by units.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from algohost.domain.ids import IST
from algohost.domain.instruments import InstrumentKey
from algohost.domain.money import ZERO
from algohost.domain.orders import Position, Product
from algohost.domain.values import changed

_SHARE: Final = Decimal("1E-8")
Place = tuple[InstrumentKey, Product]


@dataclass(frozen=True, kw_only=True)
class DayResult:
    """One day in IST of one book, in rupees."""

    realised: Decimal = ZERO
    """Without charges."""
    charges: Decimal = ZERO
    turnover: Decimal = ZERO
    fills: int = 0
    round_trips: int = 0
    wins: int = 0

    @property
    def net(self) -> Decimal:
        """What the day added to the account's cash."""
        return self.realised - self.charges


@dataclass(frozen=True, kw_only=True)
class Totals:
    """A book over its whole life, in rupees."""

    realised: Decimal = ZERO
    charges: Decimal = ZERO
    turnover: Decimal = ZERO
    fills: int = 0
    round_trips: int = 0
    wins: int = 0
    """Round trips that gained after charges."""
    gained: Decimal = ZERO
    """All of the winning round trips together."""
    lost: Decimal = ZERO
    """All of the others together, not above zero."""
    peak: Decimal = ZERO
    """The highest that net realised P&L ever stood; it begins at zero."""
    drawdown: Decimal = ZERO
    """The farthest that net realised P&L ever fell below the peak before it."""

    @property
    def net(self) -> Decimal:
        """Realised P&L after charges."""
        return self.realised - self.charges

    @property
    def win_rate(self) -> Decimal | None:
        """The share of finished round trips that gained, 0 to 1; ``None`` before the first."""
        return Decimal(self.wins) / self.round_trips if self.round_trips else None

    @property
    def profit_factor(self) -> Decimal | None:
        """Rupees gained for each rupee lost; ``None`` where nothing was lost."""
        return self.gained / -self.lost if self.lost else None


@dataclass
class Performance:
    """The accumulators of one book, fed with each change of one of its positions, in order."""

    totals: Totals = field(default_factory=Totals)
    days: dict[date, DayResult] = field(default_factory=dict)
    """By day in IST, oldest first; days without a fill are not there."""
    _under_way: dict[Place, Decimal] = field(default_factory=dict)
    """Net P&L so far of each round trip that is not finished."""

    def took(self, before: Position, after: Position, *, charges: Decimal, at: datetime) -> None:
        """A fill or a settlement turned ``before`` into ``after`` and cost ``charges``."""
        realised = after.realised - before.realised
        place, traded = (before.key, before.product), abs(after.quantity - before.quantity)
        closed = _closed(before.quantity, after.quantity)
        of_close = (charges * closed / traded).quantize(_SHARE) if 0 < closed < traded else charges
        net = self._under_way.pop(place, ZERO) + realised - (of_close if closed else charges)
        is_end = closed > 0 and closed == abs(before.quantity)
        if not is_end:
            self._under_way[place] = net
        elif after.quantity:
            self._under_way[place] = of_close - charges
        self._add(
            DayResult(
                realised=realised,
                charges=charges,
                turnover=_turnover(before, after),
                fills=1,
                round_trips=int(is_end),
                wins=int(is_end and net > 0),
            ),
            day=at.astimezone(IST).date(),
            trip=net if is_end else None,
        )

    def begin_anew(self) -> None:
        """The account was reset: what was before counts no more."""
        self.totals = Totals()
        self.days.clear()
        self._under_way.clear()

    def _add(self, one: DayResult, *, day: date, trip: Decimal | None) -> None:
        self.days[day] = _sum(self.days.get(day, DayResult()), one)
        totals = self.totals
        net = totals.net + one.net
        peak = max(totals.peak, net)
        self.totals = changed(
            totals,
            realised=totals.realised + one.realised,
            charges=totals.charges + one.charges,
            turnover=totals.turnover + one.turnover,
            fills=totals.fills + one.fills,
            round_trips=totals.round_trips + one.round_trips,
            wins=totals.wins + one.wins,
            gained=totals.gained + (trip if trip is not None and trip > 0 else ZERO),
            lost=totals.lost + (trip if trip is not None and trip <= 0 else ZERO),
            peak=peak,
            drawdown=max(totals.drawdown, peak - net),
        )


def _closed(before: int, after: int) -> int:
    """Units of ``before`` that are held no longer."""
    if before == 0 or (after - before) * before >= 0:
        return 0
    return abs(before) if after * before <= 0 else abs(before) - abs(after)


def _turnover(before: Position, after: Position) -> Decimal:
    bought = after.bought_value - before.bought_value
    return bought + after.sold_value - before.sold_value


def _sum(one: DayResult, other: DayResult) -> DayResult:
    return DayResult(
        realised=one.realised + other.realised,
        charges=one.charges + other.charges,
        turnover=one.turnover + other.turnover,
        fills=one.fills + other.fills,
        round_trips=one.round_trips + other.round_trips,
        wins=one.wins + other.wins,
    )

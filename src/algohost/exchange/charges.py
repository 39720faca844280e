"""What a trade costs beyond its price: a broker's plan, and what the state and exchanges take.

Charges are those of an order as a whole, and each fill carries what it adds to them: an order
that fills in many pieces pays its brokerage once, up to the cap, and the sum over its fills is
what one fill of all its units at those prices would have cost. Every part is rounded half up to
paise on the order's total of a day; an order that trades on two days is billed on each. Contract
notes differ by paise: they round STT and stamp duty to whole rupees for each instrument and day.

A delivery trade is billed as one when it happens. Brokers bill shares that were bought and sold
with CNC on one day as intraday trades at the day's end; here they keep the dearer delivery rates.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, Protocol, Self

from algohost.domain.ids import IST
from algohost.domain.instruments import InstrumentKey
from algohost.domain.money import ZERO
from algohost.domain.orders import Action, Product
from algohost.exchange.charge_rates import Levy, RateTable
from algohost.exchange.segments import Segment, segment_of

PAISA: Final = Decimal("0.01")


@dataclass(frozen=True, kw_only=True, slots=True)
class Charges:
    """What was taken, in rupees, by whom it is asked."""

    brokerage: Decimal = ZERO
    stt: Decimal = ZERO
    """Securities transaction tax; commodities transaction tax (CTT) on MCX and NCO."""
    exchange: Decimal = ZERO
    """The exchange's transaction charge, with what it collects for its investors' fund."""
    sebi: Decimal = ZERO
    stamp: Decimal = ZERO
    dp: Decimal = ZERO
    """The depository participant's fee for shares that leave the demat account."""
    gst: Decimal = ZERO
    """On brokerage, exchange charge, SEBI's fee and the depository participant's."""

    @property
    def total(self) -> Decimal:
        """All of it together."""
        return (
            self.brokerage + self.stt + self.exchange + self.sebi + self.stamp + self.dp + self.gst
        )

    def __add__(self, other: Self) -> Self:
        """Part by part."""
        return type(self)(**{n: getattr(self, n) + getattr(other, n) for n in PARTS})

    def __sub__(self, other: Self) -> Self:
        """Part by part."""
        return type(self)(**{n: getattr(self, n) - getattr(other, n) for n in PARTS})


PARTS: Final = tuple(part.name for part in fields(Charges))
NO_CHARGES: Final = Charges()


@dataclass(frozen=True, kw_only=True, slots=True)
class Bill:
    """What one order has traded on one day, and was charged for it."""

    day: date
    turnover: Decimal = ZERO
    charges: Charges = NO_CHARGES


@dataclass(frozen=True, kw_only=True, slots=True)
class Dealt:
    """A trade about to be charged for."""

    key: InstrumentKey
    product: Product
    action: Action
    turnover: Decimal
    """Rupees traded: quantity times price, the premium for an option."""
    at: datetime
    leaves_demat: bool = False
    """Whether it takes shares out of the demat account for which no fee was taken that day."""


class ChargeModel(Protocol):
    """What a broker charges."""

    def of(self, dealt: Dealt, bill: Bill | None) -> Charges:
        """What a trade adds to what ``bill`` says its order was charged; no part below zero."""

    def exercised(self, key: InstrumentKey, value: Decimal, *, at: datetime) -> Charges:
        """What the holder of an option pays that expires with ``value`` rupees in it."""


@dataclass(frozen=True, kw_only=True)
class Free:
    """Nothing, as many simulators have it."""

    def of(self, dealt: Dealt, bill: Bill | None) -> Charges:  # noqa: ARG002
        """As ``ChargeModel.of``."""
        return NO_CHARGES

    def exercised(self, key: InstrumentKey, value: Decimal, *, at: datetime) -> Charges:  # noqa: ARG002
        """As ``ChargeModel.exercised``."""
        return NO_CHARGES


FREE: Final = Free()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A discount broker's brokerage: a share of the turnover, at most so much an order.

    The defaults are those that Zerodha publishes (zerodha.com/charges, seen November 2026):
    nothing on delivery, ₹20 or 0.03 %, whichever is lower, and ₹20 flat on equity options.
    """

    per_order: Decimal = Decimal(20)
    """Rupees that no order pays more than."""
    percent: Decimal = Decimal("0.03")
    charges_delivery: bool = False
    flat: frozenset[Segment] = field(
        default=frozenset({Segment.NFO_OPTIONS, Segment.BFO_OPTIONS, Segment.BFO_OTHER_OPTIONS})
    )
    """Where an order pays ``per_order`` whatever its size."""

    def brokerage(self, segment: Segment, turnover: Decimal) -> Decimal:
        """Rupees for an order of that turnover, not rounded."""
        if segment.is_delivery and not self.charges_delivery:
            return ZERO
        if segment in self.flat:
            return self.per_order
        return min(self.per_order, turnover * self.percent / 100)


DISCOUNT_PLAN: Final = Plan()


@dataclass(frozen=True, kw_only=True)
class PublishedCharges:
    """A plan, and the rates in force on the day of the trade. See ``charge_rates`` for sources."""

    rates: RateTable
    plan: Plan = DISCOUNT_PLAN

    def of(self, dealt: Dealt, bill: Bill | None) -> Charges:
        """As ``ChargeModel.of``."""
        segment = segment_of(dealt.key, dealt.product)
        if segment is None:
            return NO_CHARGES
        day = dealt.at.astimezone(IST).date()
        before = bill if bill is not None and bill.day == day else Bill(day=day)
        rates = self.rates.on(day, segment, dealt.action)
        turnover = before.turnover + dealt.turnover
        brokerage = _paise(self.plan.brokerage(segment, turnover))
        dp = before.charges.dp
        if dealt.leaves_demat and not dp:
            dp = rates[Levy.DP]
        whole = self._whole(rates, turnover, brokerage=brokerage, dp=dp)
        return whole if before.charges is NO_CHARGES else whole - before.charges

    def exercised(self, key: InstrumentKey, value: Decimal, *, at: datetime) -> Charges:
        """As ``ChargeModel.exercised``: the tax on exercised options, and nothing else."""
        segment = segment_of(key, Product.NRML)
        if segment is None:
            return NO_CHARGES
        rate = self.rates.on(at.astimezone(IST).date(), segment, Action.BUY)[Levy.EXERCISE]
        return Charges(stt=_paise(value * rate))

    def _whole(
        self,
        rates: Mapping[Levy, Decimal],
        turnover: Decimal,
        *,
        brokerage: Decimal,
        dp: Decimal,
    ) -> Charges:
        exchange = _paise(turnover * rates[Levy.EXCHANGE])
        sebi = _paise(turnover * rates[Levy.SEBI])
        return Charges(
            brokerage=brokerage,
            stt=_paise(turnover * rates[Levy.STT]),
            exchange=exchange,
            sebi=sebi,
            stamp=_paise(turnover * rates[Levy.STAMP]),
            dp=dp,
            gst=_paise((brokerage + exchange + sebi + dp) * rates[Levy.GST]),
        )


def billed(bill: Bill | None, *, turnover: Decimal, charges: Charges, at: datetime) -> Bill:
    """``bill`` with a trade on it; a new one where it is of another day, or there was none."""
    day = at.astimezone(IST).date()
    before = bill if bill is not None and bill.day == day else Bill(day=day)
    return Bill(day=day, turnover=before.turnover + turnover, charges=before.charges + charges)


def _paise(amount: Decimal) -> Decimal:
    return amount.quantize(PAISA, ROUND_HALF_UP)

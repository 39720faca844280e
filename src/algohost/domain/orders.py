"""Orders, trades and positions, in the words of Indian brokers."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from algohost.domain.ids import AccountId, OrderId, StrategyId
from algohost.domain.instruments import InstrumentKey


class Action(StrEnum):
    """Which way an order trades."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for a purchase, −1 for a sale."""
        return 1 if self is Action.BUY else -1


class PriceType(StrEnum):
    """How an order's price is set."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    SL = "SL"
    SL_M = "SL-M"

    @property
    def needs_price(self) -> bool:
        """Whether a limit price is part of the order."""
        return self in {PriceType.LIMIT, PriceType.SL}

    @property
    def needs_trigger(self) -> bool:
        """Whether the order sleeps until a trigger price is touched."""
        return self in {PriceType.SL, PriceType.SL_M}


class Product(StrEnum):
    """For how long, and with which margin, a position is held."""

    MIS = "MIS"
    NRML = "NRML"
    CNC = "CNC"


class Validity(StrEnum):
    """How long an order may wait."""

    DAY = "DAY"
    """Until the session of its exchange ends."""
    IOC = "IOC"
    """Not at all: what cannot trade when the order meets the market is cancelled."""


class OrderStatus(StrEnum):
    """Where an order stands, in the words that the API gives to scripts."""

    INTENDED = "intended"
    """On disk, not yet sent."""
    UNKNOWN = "unknown"
    """Sent, and not known to have arrived: stays so until reconciled."""
    OPEN = "open"
    TRIGGER_PENDING = "trigger pending"
    COMPLETE = "complete"
    REJECTED = "rejected"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more can happen to the order."""
        return self in {OrderStatus.COMPLETE, OrderStatus.REJECTED, OrderStatus.CANCELLED}


@dataclass(frozen=True, kw_only=True)
class Book:
    """Whose orders these are: one strategy's inside an account, or the account's unattributed."""

    account_id: AccountId
    strategy_id: StrategyId | None


@dataclass(frozen=True, kw_only=True)
class OrderRequest:
    """What somebody wants traded. Quantities in units, prices in rupees."""

    key: InstrumentKey
    action: Action
    quantity: int
    price_type: PriceType = PriceType.MARKET
    product: Product = Product.MIS
    price: Decimal = Decimal(0)
    trigger_price: Decimal = Decimal(0)
    disclosed_quantity: int = 0
    validity: Validity = Validity.DAY
    label: str = ""
    """The ``strategy`` text that the client sent; shown, never trusted."""


@dataclass(frozen=True, kw_only=True)
class OrderChanges:
    """What somebody wants changed in an open order; ``None`` leaves a field as it is."""

    quantity: int | None = None
    price_type: PriceType | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    disclosed_quantity: int | None = None
    by: str = ""
    """Who wants it, for the record: ``strategy:<id>`` or ``account:<id>``."""

    def applied_to(self, request: OrderRequest) -> OrderRequest:
        """``request`` with these changes."""
        given = {n: value for n, value in vars(self).items() if n != "by" and value is not None}
        return replace(request, **given)


@dataclass(frozen=True, kw_only=True)
class Order:
    """One order through its life."""

    id: OrderId
    book: Book
    request: OrderRequest
    status: OrderStatus
    placed_at: datetime
    updated_at: datetime
    filled_quantity: int = 0
    average_price: Decimal = Decimal(0)
    reason: str = ""
    """Why it was rejected or cancelled, in a broker's words."""

    @property
    def open_quantity(self) -> int:
        """Units that may still trade."""
        return 0 if self.status.is_final else self.request.quantity - self.filled_quantity


@dataclass(frozen=True, kw_only=True)
class Trade:
    """One fill."""

    id: str
    order_id: OrderId
    book: Book
    key: InstrumentKey
    action: Action
    product: Product
    quantity: int
    price: Decimal
    at: datetime
    charges: Decimal = Decimal(0)
    """Brokerage, taxes and fees of this fill, in rupees; the price is without them."""


@dataclass(frozen=True, kw_only=True)
class Position:
    """What one book holds of one instrument under one product."""

    book: Book
    key: InstrumentKey
    product: Product
    quantity: int = 0
    """Net units; below zero is short."""
    average_price: Decimal = Decimal(0)
    """Average cost of the open units; zero when flat."""
    realised: Decimal = Decimal(0)
    bought_quantity: int = 0
    sold_quantity: int = 0
    bought_value: Decimal = Decimal(0)
    sold_value: Decimal = Decimal(0)
    open_value: Decimal = Decimal(0)
    """What the open units cost, below zero for a short: the average price before its division."""
    charges: Decimal = Decimal(0)
    """Brokerage, taxes and fees of its trades; costs and P&L here are without them."""

    def unrealised(self, last: Decimal) -> Decimal:
        """What the open units would gain if they were closed at ``last``; exact."""
        return self.quantity * last - self.open_value


@dataclass(frozen=True, kw_only=True)
class Funds:
    """An account's money, in rupees."""

    cash: Decimal
    """Opening cash and realised P&L less charges: what is there with no position open."""
    used_margin: Decimal
    realised: Decimal
    unrealised: Decimal
    collateral: Decimal = field(default=Decimal(0))
    """Always zero on paper: holdings are not pledged."""
    charges: Decimal = Decimal(0)
    """The day's, which ``realised`` is without."""
    covered: Decimal = Decimal(0)
    """What of the open losses is on shares and options paid in full, whose cost is used margin."""

    @property
    def available(self) -> Decimal:
        """What a new order may use."""
        losses = min(self.unrealised + self.covered, Decimal(0))
        return self.cash + self.collateral + losses - self.used_margin

"""What can happen to a paper account: facts in the past tense, never changed once written."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from algohost.domain.ids import AccountId, OrderId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Book, Order, OrderRequest, OrderStatus, Product, Trade
from algohost.exchange.charges import NO_CHARGES, Charges
from algohost.exchange.gtt_events import (
    GttCancelled,
    GttEvent,
    GttExpired,
    GttModified,
    GttPlaced,
    GttTriggered,
)


@dataclass(frozen=True, kw_only=True)
class AccountOpened:
    """The first event of every account."""

    at: datetime
    account_id: AccountId
    account_number: int
    """The six digits of this account in its order and trade numbers."""
    cash: Decimal


@dataclass(frozen=True, kw_only=True)
class CashSet:
    """Somebody set the account's cash; realised P&L of before is part of it."""

    at: datetime
    cash: Decimal


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """The exchange took an order: it is open, or waits for its trigger."""

    at: datetime
    order: Order
    reserve: Decimal
    """The price per unit at which margin is held until the order has filled."""


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """The exchange refused an order; ``order.reason`` says why."""

    at: datetime
    order: Order


@dataclass(frozen=True, kw_only=True)
class Triggered:
    """The last price touched the trigger of a stop order, which is now open."""

    at: datetime
    order_id: OrderId


@dataclass(frozen=True, kw_only=True)
class Filled:
    """So many units of an order traded at a price: one trade."""

    at: datetime
    order_id: OrderId
    trade_id: str
    quantity: int
    price: Decimal
    charges: Charges = NO_CHARGES
    """What the fill adds to the charges of its order; old records have none."""


@dataclass(frozen=True, kw_only=True)
class Settled:
    """A contract expired: a book's units of it were closed at ``price``, without an order."""

    at: datetime
    book: Book
    key: InstrumentKey
    product: Product
    price: Decimal
    charges: Charges = NO_CHARGES


@dataclass(frozen=True, kw_only=True)
class AccountReset:
    """The account began anew: no positions, no P&L, this cash. Its orders and trades stay known.

    There are no open orders then: their cancellations stand before it.
    """

    at: datetime
    cash: Decimal


@dataclass(frozen=True, kw_only=True)
class Modified:
    """An open order now asks for something else."""

    at: datetime
    order_id: OrderId
    request: OrderRequest
    """The whole request as it stands after the change."""
    status: OrderStatus
    reserve: Decimal
    by: str = ""
    """Who wanted it, as ``OrderChanges.by``; old records do not say."""


@dataclass(frozen=True, kw_only=True)
class Cancelled:
    """What was still open of an order is withdrawn."""

    at: datetime
    order_id: OrderId
    reason: str


Event = (
    AccountOpened
    | CashSet
    | AccountReset
    | Accepted
    | Rejected
    | Triggered
    | Filled
    | Modified
    | Cancelled
    | Settled
    | GttEvent
)


def order_id_of(event: Event) -> OrderId | None:
    """The order that an event is about; ``None`` for one about the account."""
    match event:
        case AccountOpened() | CashSet() | AccountReset() | Settled():
            return None
        case Accepted() | Rejected():
            return event.order.id
        case Triggered() | Filled() | Modified() | Cancelled():
            return event.order_id
        case GttPlaced() | GttModified() | GttTriggered() | GttCancelled() | GttExpired():
            return None


def trade_of(order: Order, event: Filled) -> Trade:
    """The trade that a fill of ``order`` is."""
    return Trade(
        id=event.trade_id,
        order_id=order.id,
        book=order.book,
        key=order.request.key,
        action=order.request.action,
        product=order.request.product,
        quantity=event.quantity,
        price=event.price,
        at=event.at,
        charges=event.charges.total,
    )

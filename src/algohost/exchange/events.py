"""What can happen to a paper account: facts in the past tense, never changed once written."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from algohost.domain.ids import AccountId, OrderId
from algohost.domain.orders import Order, OrderRequest, OrderStatus


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


@dataclass(frozen=True, kw_only=True)
class Modified:
    """An open order now asks for something else."""

    at: datetime
    order_id: OrderId
    request: OrderRequest
    """The whole request as it stands after the change."""
    status: OrderStatus
    reserve: Decimal


@dataclass(frozen=True, kw_only=True)
class Cancelled:
    """What was still open of an order is withdrawn."""

    at: datetime
    order_id: OrderId
    reason: str


Event = AccountOpened | CashSet | Accepted | Rejected | Triggered | Filled | Modified | Cancelled


def order_id_of(event: Event) -> OrderId | None:
    """The order that an event is about; ``None`` for one about the account."""
    match event:
        case AccountOpened() | CashSet():
            return None
        case Accepted() | Rejected():
            return event.order.id
        case Triggered() | Filled() | Modified() | Cancelled():
            return event.order_id

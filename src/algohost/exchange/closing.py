"""What ends by itself: MIS positions at square-off, contracts at their expiry, an account at reset.

Functions of the state that return events, or what is left to do. All of them look at what there
is, not at what was done: asked twice, the second time there is nothing left.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, Generic, NamedTuple, TypeVar

from algohost.domain.contract_symbols import ContractKind, ContractParts
from algohost.domain.errors import Invalid
from algohost.domain.gtt import Gtt, GttStatus
from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.money import ZERO
from algohost.domain.orders import Order, Product
from algohost.exchange.account import AccountState, PositionKey
from algohost.exchange.charges import NO_CHARGES
from algohost.exchange.events import AccountReset, Cancelled, Event, Settled
from algohost.exchange.gtt_events import GttCancelled
from algohost.exchange.hours import TradingHours
from algohost.exchange.segments import contract_of

EXPIRED: Final = "The contract expired."
RESET: Final = "The account was reset."

T = TypeVar("T")


def square_off_reason(at: datetime) -> str:
    """Why orders were cancelled and positions closed: ``MIS square-off of 24-11-2026 15:15``."""
    return f"MIS square-off of {at.astimezone(IST):%d-%m-%Y %H:%M}"


class Ending(NamedTuple, Generic[T]):
    """Something that should have ended, and when."""

    what: T
    at: datetime


def intraday_orders(
    state: AccountState, hours: TradingHours, now: datetime
) -> Sequence[Ending[Order]]:
    """Open MIS orders whose session's square-off has come, oldest first."""
    return [
        Ending(order, ends)
        for order in sorted(state.open_orders(), key=lambda order: order.id)
        if order.request.product is Product.MIS
        and (ends := hours.square_off_after(order.request.key.exchange, order.placed_at))
        and ends <= now
    ]


def intraday_positions(
    state: AccountState, hours: TradingHours, now: datetime
) -> Sequence[Ending[PositionKey]]:
    """MIS positions whose session's square-off has come, in a fixed order.

    One that an order opened in the moment between a square-off and its own cancellation ends at
    once.
    """
    found = [
        Ending(place, ends)
        for place, group in state.groups().items()
        if place.product is Product.MIS
        and group.position.quantity
        and group.opened_at is not None
        and (ends := _ends(hours, place.key.exchange, group.opened_at))
        and ends <= now
    ]
    return sorted(found, key=lambda one: (one.what.key, one.what.book.strategy_id or ""))


def _ends(hours: TradingHours, exchange: Exchange, opened_at: datetime) -> datetime | None:
    over = hours.intraday_over_since(exchange, opened_at)
    return over or hours.square_off_after(exchange, opened_at)


def expired_contracts(
    state: AccountState, hours: TradingHours, now: datetime
) -> Sequence[Ending[InstrumentKey]]:
    """Contracts that are held, or ordered, and have expired."""
    held = {place.key for place, group in state.groups().items() if group.position.quantity}
    wanted = {order.request.key for order in state.open_orders()}
    wanted |= {gtt.request.key for gtt in _active_gtts(state)}
    return [Ending(key, at) for key in sorted(held | wanted) if (at := hours.expired_at(key, now))]


def expire(
    state: AccountState, key: InstrumentKey, close: Decimal | None, *, at: datetime
) -> Sequence[Event]:
    """Cancels the orders and GTTs of a contract that expired and closes its positions in cash.

    ``close`` is the underlying's; it may be ``None`` where there are orders only. A future is
    closed at it, an option at what it has in it, which is nothing out of the money. The holder
    of an option in the money pays the tax on its exercise.
    """
    contract = contract_of(key)
    if contract is None:
        raise Invalid(f"{key} is no contract that expires.")
    happened: list[Event] = [
        Cancelled(at=at, order_id=order_id, reason=EXPIRED) for order_id in state.resting(key)
    ]
    happened += [
        GttCancelled(at=at, gtt_id=gtt.id, reason=EXPIRED)
        for gtt in _active_gtts(state)
        if gtt.request.key == key
    ]
    for place, group in state.groups().items():
        if place.key != key or not group.position.quantity:
            continue
        if close is None:
            raise Invalid(f"{key} is held, and the close of what it is on is not known.")
        price = settlement_price(contract, close)
        charges = NO_CHARGES
        if contract.kind.is_option and price and group.position.quantity > 0:
            worth = group.position.quantity * price
            charges = state.charge_model().exercised(key, worth, at=at)
        happened.append(
            Settled(
                at=at,
                book=place.book,
                key=key,
                product=place.product,
                price=price,
                charges=charges,
            )
        )
    return happened


def settlement_price(contract: ContractParts, close: Decimal) -> Decimal:
    """What one unit of a contract is closed at, with its underlying at ``close``."""
    if contract.strike is None:
        return close
    worth = close - contract.strike
    return max(worth if contract.kind is ContractKind.CE else -worth, ZERO)


def reset(state: AccountState, cash: Decimal, *, at: datetime) -> Sequence[Event]:
    """Cancels orders and GTTs and begins anew with ``cash``. Raises ``Invalid`` below zero."""
    if not cash.is_finite() or cash < 0:
        raise Invalid(f"An account cannot begin with {cash}. Give zero or more.")
    cancelled: list[Event] = [
        Cancelled(at=at, order_id=order.id, reason=RESET)
        for order in sorted(state.open_orders(), key=lambda order: order.id)
    ]
    withdrawn = [GttCancelled(at=at, gtt_id=gtt.id, reason=RESET) for gtt in _active_gtts(state)]
    return [*cancelled, *withdrawn, AccountReset(at=at, cash=cash)]


def _active_gtts(state: AccountState) -> Sequence[Gtt]:
    return [gtt for gtt in state.gtts.all() if gtt.status is GttStatus.ACTIVE]

"""What ends with the session: orders, and GTTs that have waited long enough."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import chain

from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange
from algohost.domain.orders import Order, Validity
from algohost.exchange import gtt as gtts
from algohost.exchange.account import AccountState
from algohost.exchange.events import Cancelled, Event
from algohost.exchange.hours import TradingHours
from algohost.exchange.rules import IOC_REST

_A_DAY = timedelta(days=1)


def over(state: AccountState, hours: TradingHours, *, at: datetime) -> Sequence[Event]:
    """Cancels the orders whose session has ended, oldest first, and ends old GTTs.

    An IOC order is among them where it was on its way to the exchange and no price came after it.

    An order that was placed after a day's last session, which only a market without hours
    takes, is of the next session.
    """
    cancelled = [
        Cancelled(at=at, order_id=order.id, reason=_reason(order, ends))
        for order in sorted(state.open_orders(), key=lambda order: order.id)
        if (ends := session_end(hours, order.request.key.exchange, order.placed_at)) and ends <= at
    ]
    return list(chain(cancelled, gtts.expired(state, at=at)))


def _reason(order: Order, ends: datetime) -> str:
    if order.request.validity is Validity.IOC:
        return IOC_REST
    return reason_at(order.request.key.exchange, ends)


def session_end(hours: TradingHours, exchange: Exchange, placed_at: datetime) -> datetime | None:
    """The end of the session that an order was placed in."""
    day = placed_at.astimezone(IST).date()
    for candidate in (day, day + _A_DAY):
        ends = hours.closes_at(exchange, candidate)
        if ends is not None and placed_at < ends:
            return ends
    return None


def reason_at(exchange: Exchange, ends: datetime) -> str:
    """Why a DAY order was cancelled."""
    return (
        f"The session of {exchange} ended at {ends.astimezone(IST):%H:%M}, and a DAY order ends "
        "with it."
    )

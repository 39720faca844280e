"""What becomes of commands and quotes for GTTs: functions that return events, change nothing.

A triggered GTT places its order through the same rules as anybody: the events of both are one
list, kept in one piece, so that there is never a trigger without its order or an order twice.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Final

from algohost.domain.errors import Conflict, Invalid, NotFound
from algohost.domain.gtt import (
    GTT_LIFE,
    MOST_ACTIVE_GTTS,
    Gtt,
    GttId,
    GttKind,
    GttLeg,
    GttRequest,
    GttStatus,
)
from algohost.domain.ids import IST, OrderId
from algohost.domain.instruments import Instrument
from algohost.domain.orders import (
    Book,
    Order,
    OrderRequest,
    OrderStatus,
    PriceType,
    Product,
)
from algohost.domain.quotes import Quote
from algohost.exchange import rules
from algohost.exchange.account import AccountState
from algohost.exchange.checks import CASH_EXCHANGES, no_shares_carried, refusal_of_terms
from algohost.exchange.events import Event
from algohost.exchange.gtt_events import (
    GttCancelled,
    GttExpired,
    GttModified,
    GttPlaced,
    GttTriggered,
)

_KINDS_OF_ORDER: Final = frozenset({PriceType.LIMIT, PriceType.MARKET})


def place(
    state: AccountState,
    book: Book,
    request: GttRequest,
    scene: rules.Scene,
    *,
    numbers: tuple[OrderId, OrderId],
) -> Sequence[Event]:
    """Placed, under the first of two new order numbers; the second is kept for its order.

    Raises ``Invalid`` where it is refused.
    """
    request = _sorted(request)
    quote = _checked(request, scene)
    if state.gtts.active >= MOST_ACTIVE_GTTS:
        raise Invalid(
            f"{MOST_ACTIVE_GTTS} GTTs are active in this account, which is as many as there may "
            "be. Cancel one first."
        )
    gtt = Gtt(
        id=GttId(numbers[0]),
        book=book,
        request=request,
        status=GttStatus.ACTIVE,
        order_id=numbers[1],
        last_price=quote.last,
        placed_at=scene.at,
        updated_at=scene.at,
        expires_at=_expiry(scene),
    )
    return [GttPlaced(at=scene.at, gtt=gtt)]


def modify(
    state: AccountState, gtt_id: GttId, request: GttRequest, scene: rules.Scene
) -> Sequence[Event]:
    """Modified: ``request`` replaces the whole of the old one.

    Raises ``NotFound`` for an unknown GTT, ``Conflict`` for one that is not active, ``Invalid``
    where the new one is refused or is of another instrument, side or kind.
    """
    old, request = active(state, gtt_id).request, _sorted(request)
    if (old.key, old.action, old.kind) != (request.key, request.action, request.kind):
        raise Invalid(
            "A GTT keeps its instrument, its side and its kind. Cancel it and place a new one."
        )
    quote = _checked(request, scene)
    return [GttModified(at=scene.at, gtt_id=gtt_id, request=request, last_price=quote.last)]


def cancel(state: AccountState, gtt_id: GttId, *, at: datetime, reason: str) -> Sequence[Event]:
    """Cancelled, both legs. Raises as ``modify``."""
    active(state, gtt_id)
    return [GttCancelled(at=at, gtt_id=gtt_id, reason=reason)]


def expired(state: AccountState, *, at: datetime) -> Sequence[Event]:
    """The end of all that have waited long enough."""
    return [
        GttExpired(at=at, gtt_id=gtt.id)
        for gtt in state.gtts.all()
        if gtt.status is GttStatus.ACTIVE and at >= gtt.expires_at
    ]


def on_quote(
    draft: AccountState,
    gtt: Gtt,
    scene: rules.Scene,
    *,
    refusal: Callable[[Book, OrderRequest], str | None],
) -> Iterator[Event]:
    """What a quote of its instrument does to an active GTT, on the draft, telling each step."""
    if scene.quote is None or gtt.status is not GttStatus.ACTIVE:
        return
    if scene.at >= gtt.expires_at:
        yield from _applied(draft, [GttExpired(at=scene.at, gtt_id=gtt.id)])
        return
    leg = _leg(gtt, scene.quote, by_bar=scene.fills.by_bar)
    if leg is None:
        return
    yield from _applied(draft, [GttTriggered(at=scene.at, gtt_id=gtt.id, leg=leg)])
    order = Order(
        id=gtt.order_id,
        book=gtt.book,
        request=gtt.request.order(gtt.request.legs[leg]),
        status=OrderStatus.INTENDED,
        placed_at=scene.at,
        updated_at=scene.at,
    )
    why = refusal(gtt.book, order.request)
    if why:
        yield from _applied(draft, [rules.rejection(order, at=scene.at, reason=why)])
        return
    yield from _applied(draft, rules.place(draft, order, scene))


def active(state: AccountState, gtt_id: GttId) -> Gtt:
    """The GTT, where it may still change. Raises ``NotFound`` and ``Conflict``."""
    gtt = known(state, gtt_id)
    if gtt.status is not GttStatus.ACTIVE:
        raise Conflict(
            f"GTT {gtt_id} is {gtt.status} and cannot change any more.",
            details={"gtt_id": gtt_id, "status": gtt.status.value},
        )
    return gtt


def known(state: AccountState, gtt_id: GttId) -> Gtt:
    """The GTT of that number. Raises ``NotFound``."""
    gtt = state.gtts.get(gtt_id)
    if gtt is None:
        raise NotFound(f"There is no GTT {gtt_id}. Look at the GTT order book for its number.")
    return gtt


def _applied(draft: AccountState, events: Sequence[Event]) -> Iterator[Event]:
    for event in events:
        draft.apply(event)
        yield event


def _leg(gtt: Gtt, quote: Quote, *, by_bar: bool) -> int | None:
    """The leg that a quote triggers. Where a bar reaches both, the lower one."""
    if not by_bar:
        return gtt.touched_by(quote.last)
    low = gtt.touched_by(quote.low)
    return gtt.touched_by(quote.high) if low is None else low


def _sorted(request: GttRequest) -> GttRequest:
    legs = sorted(request.legs, key=lambda leg: leg.trigger_price)
    return replace(request, legs=tuple(legs))


def _checked(request: GttRequest, scene: rules.Scene) -> Quote:
    """The quote by which a request is good. Raises ``Invalid`` with the reason where it is not.

    Whether the market is open, what the account holds and the circuit limits are looked at when
    it is triggered, which may be on another day.
    """
    why = _wrong_terms(request)
    for leg in request.legs:
        why = why or _wrong_leg(request, leg, scene.instrument)
    quote = scene.quote
    if quote is None or quote.last <= 0:
        why = why or f"There is no price for {request.key} now. Try again when it has traded."
    why = why or (_wrong_side(request, quote.last) if quote else None)
    if why or quote is None:
        raise Invalid(why or "There is no price now.")
    return quote


def _wrong_terms(request: GttRequest) -> str | None:
    if request.product is Product.MIS:
        return "A GTT may wait for days, and MIS ends with the day. Use CNC or NRML."
    if request.product is Product.NRML and request.key.exchange in CASH_EXCHANGES:
        return no_shares_carried(request.key.exchange)
    wanted = 2 if request.kind is GttKind.OCO else 1
    if len(request.legs) != wanted:
        return f"A GTT of the kind {request.kind} has {wanted} trigger prices."
    if any(leg.price_type not in _KINDS_OF_ORDER for leg in request.legs):
        return "A GTT places a LIMIT or a MARKET order. Its trigger is the GTT's own."
    return None


def _wrong_leg(request: GttRequest, leg: GttLeg, instrument: Instrument) -> str | None:
    """What is wrong with the order of a leg, or with its trigger price, on any day."""
    order = request.order(leg)
    stop = replace(order, price_type=PriceType.SL_M, trigger_price=leg.trigger_price)
    return refusal_of_terms(order, instrument) or refusal_of_terms(stop, instrument)


def _wrong_side(request: GttRequest, last: Decimal) -> str | None:
    triggers = [leg.trigger_price for leg in request.legs]
    if last in triggers:
        return f"Trigger price {last} is the last price. Give one above or below it."
    if request.kind is GttKind.OCO and not triggers[0] < last < triggers[1]:
        return (
            f"The trigger prices {triggers[0]} and {triggers[1]} of an OCO must lie below and "
            f"above the last price {last}."
        )
    return None


def _expiry(scene: rules.Scene) -> datetime:
    """After a year, or at the end of its contract's last day in India if that is before."""
    year, last_day = scene.at + GTT_LIFE, scene.instrument.expiry
    if last_day is None:
        return year
    ends = datetime.combine(last_day + timedelta(days=1), time(0), tzinfo=IST)
    return min(year, ends.astimezone(scene.at.tzinfo))

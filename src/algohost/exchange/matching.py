"""What changed quotes do to the orders and GTTs that wait for them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from algohost.domain.ids import OrderId
from algohost.domain.instruments import Instrument, InstrumentKey
from algohost.domain.orders import Book, Order, OrderRequest, OrderStatus
from algohost.domain.quotes import Depth, Quote
from algohost.exchange import gtt as gtts
from algohost.exchange import rules
from algohost.exchange.account import AccountState, Marks
from algohost.exchange.bands import band_of
from algohost.exchange.checks import shortfall
from algohost.exchange.events import Cancelled, Event, Filled, Triggered
from algohost.exchange.fills import AT_TOUCH, Fill, FillModel, Shown, trigger_touched
from algohost.exchange.memory import Memory, Track
from algohost.exchange.numbers import serial_of


def _unlisted(_key: InstrumentKey) -> None:
    return None


def _no_depth(_quote: Quote) -> None:
    return None


def _no_refusal(_book: Book, _request: OrderRequest) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class Venue:
    """What matching asks of the market, beyond the quotes it is given."""

    find: Callable[[InstrumentKey], Instrument | None] = _unlisted
    depth: Callable[[Quote], Depth | None] = _no_depth
    """The levels around a quote that the market showed."""
    refusal: Callable[[Book, OrderRequest], str | None] = _no_refusal
    """Why a book may not place an order now; asked for the orders that GTTs place."""
    memory: Memory = field(default_factory=Memory)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tick:
    """One tick on its way through the orders that it wakes."""

    draft: AccountState
    at: datetime
    marks: Marks
    fills: FillModel
    venue: Venue


class _Hit(NamedTuple):
    """An order, or a GTT, and the quote that may concern it."""

    serial: int
    number: str
    quote: Quote
    traded: int | None


def on_quotes(
    state: AccountState,
    quotes: Iterable[Quote],
    *,
    at: datetime,
    marks: Marks,
    fills: FillModel = AT_TOUCH,
    venue: Venue | None = None,
) -> Sequence[Event]:
    """Triggers and fills that the quotes of one tick cause, in the order the orders came.

    Looks only at what the quotes wake. Whether an exchange is open is for the caller: pass
    quotes of open exchanges only. With the same state, quotes and ``venue`` the same happens.
    """
    venue = Venue() if venue is None else venue
    touched = _touched(state, quotes, fills, venue)
    if not touched:
        return []
    tick = _Tick(draft=state.draft(), at=at, marks=marks, fills=fills, venue=venue)
    touched.sort(key=lambda hit: hit.serial)
    return [event for hit in touched for event in _woken(tick, hit)]


def _touched(
    state: AccountState, quotes: Iterable[Quote], fills: FillModel, venue: Venue
) -> list[_Hit]:
    """Whom the quotes may concern, in no order.

    Written out in one piece: it runs for every quote there is, and hardly one wakes anybody.
    """
    touched: list[_Hit] = []
    tracks, by_bar, counts = venue.memory.tracks, fills.by_bar, fills.counts_queue
    for quote in quotes:
        track = tracks.get(quote.key)
        if track is None:
            wake = state.wake_of(quote.key)
            if wake is None:
                continue
            track = tracks[quote.key] = Track(wake=wake)
        wake, before, track.volume = track.wake, track.volume, quote.volume
        if by_bar:
            low, high = quote.low, quote.high
        else:
            low = high = quote.last
            if quote.ask < low:
                low = quote.ask or low
            if quote.bid > high:
                high = quote.bid
        is_seen = track.version == wake.version or not counts
        if is_seen and low > wake.top and high < wake.bottom and not wake.eager:
            continue
        woken = wake.touched(low, high)
        if not is_seen:
            woken = [*dict.fromkeys([*woken, *venue.memory.unseen(state.resting(quote.key))])]
            track.version = wake.version
        traded = _traded(before, quote)
        touched.extend(_Hit(serial_of(number), number, quote, traded) for number in woken)
    return touched


def _traded(before: int | None, quote: Quote) -> int | None:
    """Units traded between two quotes; a smaller volume than before is that of a new day."""
    if before is None or not quote.volume:
        return None
    return quote.volume - before if quote.volume >= before else quote.volume


def _woken(tick: _Tick, hit: _Hit) -> Iterator[Event]:
    """What a quote does to one order, or GTT, on the draft, telling each step."""
    quote = hit.quote
    item = tick.draft.resting(quote.key).get(OrderId(hit.number))
    if item is not None:
        yield from _advance(tick, item.order, quote, hit.traded)
        return
    gtt = tick.draft.gtts.get(hit.number)
    instrument = tick.venue.find(quote.key)
    if gtt is not None and instrument is not None:
        scene = rules.Scene(
            at=tick.at,
            instrument=instrument,
            quote=quote,
            is_open=True,
            marks=tick.marks,
            fills=tick.fills,
            depth=tick.venue.depth(quote),
            memory=tick.venue.memory,
        )
        yield from gtts.on_quote(tick.draft, gtt, scene, refusal=tick.venue.refusal)


def _advance(tick: _Tick, order: Order, quote: Quote, traded: int | None) -> Iterator[Event]:
    fills, draft, memory = tick.fills, tick.draft, tick.venue.memory
    is_sleeping = order.status is OrderStatus.TRIGGER_PENDING
    if is_sleeping and not _is_touched(order, quote, by_bar=fills.by_bar):
        return
    shown = _shown(tick, order, quote, traded)
    if is_sleeping:
        triggered = Triggered(at=tick.at, order_id=order.id)
        draft.apply(triggered)
        yield triggered
        found = fills.triggered(draft.resting(quote.key)[order.id].order, shown)
    else:
        found = fills.resting(order, shown, memory.place_of(order))
        if fills.is_under_way(order, tick.at):
            return
    for fill in found:
        event = _affordable(tick, order, fill)
        memory.use(quote, order.request.action, fill.price, fill.quantity)
        draft.apply(event)
        yield event
        if isinstance(event, Cancelled):
            break
    yield from rules.rest_of_ioc(draft, order.id, at=tick.at)
    if order.id not in draft.resting(quote.key):
        memory.forget(order.id)


def _is_touched(order: Order, quote: Quote, *, by_bar: bool) -> bool:
    """Whether a quote wakes a stop; a bar does with any of its prices."""
    if not by_bar:
        return trigger_touched(order, quote)
    request = order.request
    reach = quote.high if request.action.sign > 0 else quote.low
    return (reach - request.trigger_price) * request.action.sign >= 0


def _shown(tick: _Tick, order: Order, quote: Quote, traded: int | None) -> Shown:
    instrument = tick.venue.find(quote.key)
    return Shown(
        at=tick.at,
        quote=quote,
        depth=tick.venue.depth(quote),
        band=None if instrument is None else band_of(instrument, quote),
        traded=traded,
        used=tick.venue.memory.used(quote, order.request.action),
    )


def _affordable(tick: _Tick, order: Order, fill: Fill) -> Filled | Cancelled:
    """The fill; or, where a gap made it dearer than the account can carry, its cancellation.

    At or below the price that margin is held at, a fill never needs more than is held.
    """
    draft = tick.draft
    item = draft.resting(order.request.key)[order.id]
    (event,) = rules.filled(draft, item.order, fill, at=tick.at)
    if fill.price <= item.reserve:
        return event
    trial = draft.draft()
    trial.apply(event)
    why = shortfall(draft, trial, tick.marks)
    return Cancelled(at=tick.at, order_id=order.id, reason=why) if why else event

"""The order book around the last price: a pure function, the same in every mode.

A recording has no book and a synthetic market needs none of its own: from the instrument, the
second, the last price and the seed follow bid, ask and five levels, so the same question has
the same answer whenever it is asked. The mixing function is SplitMix64 (Steele, Lea and Flood,
"Fast splittable pseudorandom number generators", 2014); a numpy generator costs fifty times
as much for a handful of draws.
"""

from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

from algohost.domain.instruments import InstrumentKey
from algohost.domain.quotes import Depth, DepthLevel, Quote
from algohost.market.bars import DAY_SECONDS, IST_OFFSET, SESSION_END, SESSION_START
from algohost.market.money import rupees

LEVELS: Final = 5
_MASK: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
_SPREAD_SHARE: Final = 0.00004
"""A liquid stock's spread is about this share of its price."""
_WIDEST_SHARE: Final = 0.2
_ORDER_RUPEES: Final = 500_000
"""That rest on the best level of a liquid stock, on average."""


class Best(NamedTuple):
    """The best bid and ask in paise."""

    bid: int
    ask: int


@lru_cache(maxsize=4096)
def _stream(key: InstrumentKey, seed: int) -> int:
    digest = blake2b(f"book:{seed}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest)


def _mix(value: int) -> int:
    value = (value + _GOLDEN) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def _draws(key: InstrumentKey, instant: int, seed: int) -> Iterator[int]:
    state = _mix(_stream(key, seed) ^ (instant & _MASK))
    while True:
        yield state
        state = _mix(state)


def best(
    key: InstrumentKey,
    instant: int,
    last: int,
    tick: int,
    seed: int,
    *,
    spread_share: float | None = 0.0,
) -> Best:
    """Bid and ask around ``last`` at the epoch second ``instant``; ``last`` and ``tick`` in parts
    of a rupee.

    One to three ticks apart, wider for a high price and outside 09:15–15:30 IST; the last
    trade was at one of the two. With a ``spread_share`` the two are that share of the price
    apart, and the last trade was somewhere between. An index has no book, and nor has what
    ``spread_share`` is ``None`` of: both are 0.
    """
    if key.exchange.is_index or spread_share is None:
        return Best(0, 0)
    draw = next(_draws(key, instant, seed))
    if spread_share:
        apart = max(round(last * min(spread_share, _WIDEST_SHARE) / tick), 1)
        bid = max(last - (draw >> 4) % (apart + 1) * tick, tick)
        return Best(bid, bid + apart * tick)
    ticks = round(last * _SPREAD_SHARE / tick) + (draw & 7 == 0)
    if not SESSION_START <= (instant + IST_OFFSET) % DAY_SECONDS < SESSION_END:
        ticks += 1
    spread = min(max(ticks, 1), 3) * tick
    floor = last // tick * tick
    bid = floor if draw & 8 or floor != last else floor - spread
    bid = max(bid, tick)
    return Best(bid, bid + spread)


def depth(quote: Quote, tick: int, seed: int, *, unit: int = 100, lot: int = 1) -> Depth:
    """Five levels a side that begin at the quote's own bid and ask, in whole lots; ``tick`` in
    parts of a rupee, of which one has ``unit``. What has no bid and no ask has none."""
    key, instant = quote.key, int(quote.at.timestamp())
    if not quote.bid and not quote.ask:
        empty = (DepthLevel(price=rupees(0), quantity=0, orders=0),) * LEVELS
        return Depth(
            quote=quote, bids=empty, asks=empty, total_bid_quantity=0, total_ask_quantity=0
        )
    draws = _draws(key, instant, seed ^ 1)
    bids = _side(draws, first=int(quote.bid * unit), step=-tick, unit=unit, lot=lot)
    asks = _side(draws, first=int(quote.ask * unit), step=tick, unit=unit, lot=lot)
    # The total on a side is of the whole book, of which five levels are the front.
    return Depth(
        quote=quote,
        bids=bids,
        asks=asks,
        total_bid_quantity=sum(level.quantity for level in bids) * (20 + next(draws) % 30),
        total_ask_quantity=sum(level.quantity for level in asks) * (20 + next(draws) % 30),
    )


def _side(
    draws: Iterator[int], *, first: int, step: int, unit: int, lot: int
) -> tuple[DepthLevel, ...]:
    levels = []
    price = first
    for number in range(LEVELS):
        if price <= 0:
            levels.append(DepthLevel(price=rupees(0), quantity=0, orders=0))
            continue
        draw = next(draws)
        share = (1 + number * 0.5) * (0.2 + (draw & 0xFFFF) / 0xFFFF * 1.6)
        lots = max(int(_ORDER_RUPEES * unit / price * share / lot), 1)
        orders = min(lots, 1 + (draw >> 16) % (4 + 4 * number))
        levels.append(DepthLevel(price=rupees(price, unit), quantity=lots * lot, orders=orders))
        price += step
    return tuple(levels)

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
_ORDER_VALUE: Final = 50_000_000
"""Paise that rest on the best level of a liquid stock, on average."""


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


def best(key: InstrumentKey, instant: int, last: int, tick: int, seed: int) -> Best:
    """Bid and ask around ``last`` at the epoch second ``instant``; ``last`` and ``tick`` in paise.

    One to three ticks apart, wider for a high price and outside 09:15–15:30 IST; the last
    trade was at one of the two. An index has no book: both are 0.
    """
    if key.exchange.is_index:
        return Best(0, 0)
    draw = next(_draws(key, instant, seed))
    ticks = round(last * _SPREAD_SHARE / tick) + (draw & 7 == 0)
    if not SESSION_START <= (instant + IST_OFFSET) % DAY_SECONDS < SESSION_END:
        ticks += 1
    spread = min(max(ticks, 1), 3) * tick
    floor = last // tick * tick
    bid = floor if draw & 8 or floor != last else floor - spread
    bid = max(bid, tick)
    return Best(bid, bid + spread)


def depth(quote: Quote, tick: int, seed: int) -> Depth:
    """Five levels a side that begin at the quote's own bid and ask; ``tick`` in paise."""
    key, instant = quote.key, int(quote.at.timestamp())
    if key.exchange.is_index:
        empty = (DepthLevel(price=rupees(0), quantity=0, orders=0),) * LEVELS
        return Depth(
            quote=quote, bids=empty, asks=empty, total_bid_quantity=0, total_ask_quantity=0
        )
    draws = _draws(key, instant, seed ^ 1)
    bids = _side(draws, first=int(quote.bid * 100), step=-tick)
    asks = _side(draws, first=int(quote.ask * 100), step=tick)
    # The total on a side is of the whole book, of which five levels are the front.
    return Depth(
        quote=quote,
        bids=bids,
        asks=asks,
        total_bid_quantity=sum(level.quantity for level in bids) * (20 + next(draws) % 30),
        total_ask_quantity=sum(level.quantity for level in asks) * (20 + next(draws) % 30),
    )


def _side(draws: Iterator[int], *, first: int, step: int) -> tuple[DepthLevel, ...]:
    levels = []
    price = first
    for number in range(LEVELS):
        if price <= 0:
            levels.append(DepthLevel(price=rupees(0), quantity=0, orders=0))
            continue
        draw = next(draws)
        share = (1 + number * 0.5) * (0.2 + (draw & 0xFFFF) / 0xFFFF * 1.6)
        quantity = max(int(_ORDER_VALUE / price * share), 1)
        orders = min(quantity, 1 + (draw >> 16) % (4 + 4 * number))
        levels.append(DepthLevel(price=rupees(price), quantity=quantity, orders=orders))
        price += step
    return tuple(levels)

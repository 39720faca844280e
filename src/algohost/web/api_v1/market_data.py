"""Prices: quotes, depth and history."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
from starlette.responses import Response

from algohost.domain.errors import Invalid, NotFound, Unavailable
from algohost.domain.ids import IST
from algohost.domain.instruments import InstrumentKey
from algohost.domain.quotes import DepthLevel, Interval, Quote
from algohost.web.api_v1.answers import json_response, mode_fields, price, success
from algohost.web.api_v1.call import Call
from algohost.web.api_v1.contracts import listed, refuse_unpriced
from algohost.web.api_v1.requests import (
    MOST_SYMBOLS,
    Asked,
    AskedOfInstrument,
    AskedOfInstruments,
    History,
    day_start,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from algohost.market.bars import BarColumns
    from algohost.market.service import MarketService
    from algohost.web.services import Host

MOST_BARS: Final = 200_000
"""Bars in one answer of ``history``, some 20 MB."""
_BARS_AT_A_TIME: Final = 2_000
"""Bars that are written before others get their turn; about a millisecond."""
_QUOTES_AT_A_TIME: Final = 16
"""Quotes that are made before others get their turn: the first of a stock may cost 3 ms."""
_IST_OFFSET_SECONDS: Final = 19_800
_BAR: Final = b'{"timestamp":%b,"open":%b,"high":%b,"low":%b,"close":%b,"volume":%b,"oi":0}'


async def quotes(call: Call[AskedOfInstrument]) -> Response:
    """``quotes``."""
    refuse_unpriced(call.host, call.asked.key)
    return success(data=quote_row(call.host.market.quote(call.asked.key)))


async def multi_quotes(call: Call[AskedOfInstruments]) -> Response:
    """``multiquotes``: an unknown instrument gets an ``error`` and does not spoil the others."""
    keys = [one.key for one in call.asked.symbols]
    if not 0 < len(keys) <= MOST_SYMBOLS:
        raise Invalid(
            f"symbols names {len(keys)} instruments; name 1 to {MOST_SYMBOLS} in one call."
        )
    results = []
    for key in keys:
        results.append(_result(call.host, key))
        if len(results) % _QUOTES_AT_A_TIME == 0:
            await asyncio.sleep(0)
    return success(results=results)


async def depth(call: Call[AskedOfInstrument]) -> Response:
    """``depth``: five levels a side, best first."""
    refuse_unpriced(call.host, call.asked.key)
    book = call.host.market.depth(call.asked.key)
    row = quote_row(book.quote)
    row["ltq"] = book.quote.last_quantity
    row["totalbuyqty"] = book.total_bid_quantity
    row["totalsellqty"] = book.total_ask_quantity
    row["asks"] = [_level(level) for level in book.asks]
    row["bids"] = [_level(level) for level in book.bids]
    return success(data=row)


async def history(call: Call[History]) -> Response:
    """``history``: bars of whole IST days, ``end_date`` included, oldest first."""
    asked, market = call.asked, call.host.market
    listed(call.host, asked.key)
    refuse_reversed("start_date", asked.start_date, "end_date", asked.end_date)
    rows = [bars_json(columns, asked.interval, part) async for columns, part in bars(market, asked)]
    head = orjson.dumps({"status": "success", **mode_fields()})[:-1]
    return json_response(b'%b,"data":[%b]}' % (head, b",".join(rows)))


def refuse_reversed(first: str, start: date, last: str, end: date) -> None:
    """Raises ``Invalid``, by the fields' names, for a span that ends before it begins."""
    if end < start:
        raise Invalid(f"{last} {end} is before {first} {start}; swap them.")


async def bars(
    market: "MarketService", asked: History
) -> AsyncIterator[tuple["BarColumns", slice]]:
    """The bars, some thousand at a time; in between, others get their turn.

    A bar is of the day on which it begins, so the days can be asked for one part at a time.
    """
    day, last = asked.start_date, min(asked.end_date, market.now().astimezone(IST).date())
    step, count = _days_at_a_time(asked.interval), 0
    while day <= last:
        until = min(day + step, last + timedelta(days=1))
        columns = market.history_columns(
            asked.key, asked.interval, day_start(day), day_start(until)
        )
        count += len(columns)
        if count > MOST_BARS:
            raise Invalid(
                f"These are more than {MOST_BARS:,} bars of {asked.interval.value};"
                " ask for a shorter span or a longer interval.",
                code="SPAN_TOO_LONG",
            )
        for first in range(0, len(columns), _BARS_AT_A_TIME):
            yield columns, slice(first, first + _BARS_AT_A_TIME)
            await asyncio.sleep(0)
        day = until


def _days_at_a_time(interval: Interval) -> timedelta:
    """A span that the market answers within some ten milliseconds."""
    if interval.length is None:
        return timedelta(days=92)
    return timedelta(days=1 if interval.length < timedelta(minutes=1) else 7)


def bars_json(columns: "BarColumns", interval: Interval, part: slice) -> bytes:
    """The bars of ``part`` as the objects of ``history``, with commas between them.

    Timestamps are epoch seconds, except for bars of days and longer: those clients read as a
    calendar date without a zone, so theirs is that date's midnight in UTC.
    """
    shift = 0 if interval.length is not None else _IST_OFFSET_SECONDS
    arrays = (
        columns.timestamps + shift,
        columns.open,
        columns.high,
        columns.low,
        columns.close,
        columns.volume,
    )
    texts = (tokens(array[part]) for array in arrays)
    return b",".join([_BAR % row for row in zip(*texts, strict=True)])


def tokens(column: "NDArray[Any]") -> list[bytes]:
    """The JSON text of each number. A template filled with them beats a dictionary a bar."""
    text = orjson.dumps(np.ascontiguousarray(column), option=orjson.OPT_SERIALIZE_NUMPY)
    return text[1:-1].split(b",")


async def intervals(call: Call[Asked]) -> Response:
    """``intervals``: what ``history`` answers, by unit."""
    units: dict[str, list[str]] = {
        name: [] for name in ("seconds", "minutes", "hours", "days", "weeks", "months")
    }
    by_mark = {"s": "seconds", "m": "minutes", "h": "hours", "D": "days", "W": "weeks",
               "M": "months"}  # fmt: skip
    kept = call.host.market.intervals()
    for interval in Interval:
        if interval in kept:
            units[by_mark[interval.value[-1]]].append(interval.value)
    return success(data=units)


def quote_row(quote: Quote) -> dict[str, Any]:
    """A quote as ``quotes`` shows it."""
    return {
        "open": price(quote.open),
        "high": price(quote.high),
        "low": price(quote.low),
        "ltp": price(quote.last),
        "ask": price(quote.ask),
        "bid": price(quote.bid),
        "prev_close": price(quote.previous_close),
        "volume": quote.volume,
        "oi": quote.open_interest,
    }


def _result(host: "Host", key: InstrumentKey) -> dict[str, Any]:
    named = {"symbol": key.symbol, "exchange": key.exchange.value}
    try:
        refuse_unpriced(host, key)
        return {**named, "data": quote_row(host.market.quote(key))}
    except (NotFound, Unavailable) as error:
        return {**named, "error": error.message}


def _level(level: DepthLevel) -> dict[str, Any]:
    return {"price": price(level.price), "quantity": level.quantity}

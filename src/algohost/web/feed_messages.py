"""The words of the feed: what clients say, and the frames they are sent.

Market data is the shape that ``FeedAPI`` of the openalgo client stores and calls back with:
``{"type": "market_data", "symbol", "exchange", "mode": 1 | 2 | 3, "data": {…}, "broker"}``.
A frame is whole when it leaves this module: JSON inside a WebSocket text frame, made once and
written to every client as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any, Final

import orjson
from websockets.frames import Frame, Opcode

from algohost.domain.accounts import mode_of
from algohost.domain.errors import Invalid
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.orders import Order, OrderStatus
from algohost.domain.quotes import Depth, DepthLevel, Quote
from algohost.domain.strategies import Mode
from algohost.web.api_v1.answers import BROKER, MODE, price
from algohost.web.api_v1.orders import status_word

MOST_IN_ONE_MESSAGE: Final = 5_000
"""Instruments that one subscribe message may name."""
_LONGEST_SYMBOL: Final = 64


class FeedMode(IntEnum):
    """How much of an instrument a client wants; each includes what the lower ones tell."""

    LTP = 1
    QUOTE = 2
    DEPTH = 3


_MODES: Final[dict[int | str, FeedMode]] = {
    word: mode for mode in FeedMode for word in (mode.value, str(mode.value), mode.name)
}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One instrument of a subscribe or unsubscribe message, or what was wrong with it."""

    symbol: str
    exchange: str
    mode: FeedMode | None
    """``None`` in an unsubscribe message means every mode."""
    key: InstrumentKey | None
    problem: str = ""


def read(message: str | bytes) -> dict[str, Any]:
    """The JSON object in ``message``. Raises ``Invalid`` for anything else."""
    try:
        said = orjson.loads(message)
    except orjson.JSONDecodeError:
        raise Invalid("The message is not JSON; send one JSON object.", code="NOT_JSON") from None
    if not isinstance(said, dict):
        raise Invalid("The message is JSON but no object; send one object.", code="NOT_JSON")
    return said


def wanted(said: Mapping[str, Any], default: FeedMode | None) -> list[Wanted]:
    """The instruments that ``said`` names, in the list or the single form.

    A bad one is in the list with its problem. Raises ``Invalid`` when none is named, when there
    are too many, or when the message's own mode is no mode.
    """
    items = said.get("symbols", said.get("instruments"))
    if items is None and ("symbol" in said or "exchange" in said):
        items = [{"symbol": said.get("symbol"), "exchange": said.get("exchange")}]
    if not isinstance(items, list) or not items:
        raise Invalid(
            "No instrument is named; send symbols, a list of {symbol, exchange}.",
            code="NO_SYMBOLS",
        )
    if len(items) > MOST_IN_ONE_MESSAGE:
        raise Invalid(
            f"{len(items)} instruments in one message; send at most {MOST_IN_ONE_MESSAGE}.",
            code="TOO_MANY_SYMBOLS",
        )
    mode = _mode(said["mode"]) if said.get("mode") is not None else default
    return [_one(item, mode) for item in items]


def _mode(value: object) -> FeedMode:
    word = value.strip().upper() if isinstance(value, str) else value
    if isinstance(word, int | str) and not isinstance(word, bool) and word in _MODES:
        return _MODES[word]
    raise Invalid("mode must be 1 (LTP), 2 (Quote) or 3 (Depth).", code="BAD_MODE")


def _one(item: object, mode: FeedMode | None) -> Wanted:
    if not isinstance(item, dict):
        return Wanted(symbol="", exchange="", mode=mode, key=None, problem="It is no object.")
    symbol, exchange = item.get("symbol"), item.get("exchange")
    problem, key = "", None
    if not isinstance(symbol, str) or not 0 < len(symbol) <= _LONGEST_SYMBOL:
        problem = f"symbol must be text of 1 to {_LONGEST_SYMBOL} characters."
    elif not isinstance(exchange, str) or exchange not in Exchange.__members__:
        problem = f"exchange must be one of {', '.join(Exchange)}."
    else:
        key = InstrumentKey(exchange=Exchange(exchange), symbol=symbol)
    try:
        mode = _mode(item["mode"]) if item.get("mode") is not None else mode
    except Invalid as error:
        problem, key = error.message, None
    return Wanted(
        symbol=str(symbol)[:_LONGEST_SYMBOL],
        exchange=str(exchange)[:_LONGEST_SYMBOL],
        mode=mode,
        key=key,
        problem=problem,
    )


def since_of(said: Mapping[str, Any]) -> int | None:
    """From which instant on ``said`` asks for order updates, in milliseconds since 1970.

    ``None`` where it asks for those to come. Raises ``Invalid`` for what is no instant.
    """
    since = said.get("since")
    if since is None:
        return None
    if isinstance(since, bool) or not isinstance(since, int) or since < 0:
        raise Invalid(
            "since must be a timestamp in milliseconds, as order updates have it.",
            code="BAD_SINCE",
        )
    return since


def framed(body: Mapping[str, Any]) -> bytes:
    """``body`` as JSON in a WebSocket text frame of a server, ready for the wire."""
    return Frame(Opcode.TEXT, orjson.dumps(body)).serialize(mask=False)


def market_frame(mode: FeedMode, quote: Quote, depth: Depth | None = None) -> bytes:
    """What clients of ``mode`` are sent for one tick; ``depth`` is needed for DEPTH alone."""
    key = quote.key
    if mode is FeedMode.LTP:
        data = _last(quote)
    elif mode is FeedMode.QUOTE or depth is None:
        data = _quote(quote)
    else:
        data = _depth(depth)
    return framed(
        {
            "type": "market_data",
            "symbol": key.symbol,
            "exchange": key.exchange.value,
            "mode": mode.value,
            "broker": BROKER,
            "data": data,
        }
    )


def epoch_ms(at: datetime) -> int:
    """Milliseconds since 1970, the feed's way of writing time."""
    return round(at.timestamp() * 1000)


def _last(quote: Quote) -> dict[str, Any]:
    return {"ltp": price(quote.last), "timestamp": epoch_ms(quote.at)}


def _quote(quote: Quote) -> dict[str, Any]:
    last, before = price(quote.last), price(quote.previous_close)
    change = round(last - before, 4)
    return {
        "open": price(quote.open),
        "high": price(quote.high),
        "low": price(quote.low),
        "close": before,
        "ltp": last,
        "bid": price(quote.bid),
        "ask": price(quote.ask),
        "volume": quote.volume,
        "oi": quote.open_interest,
        "last_trade_quantity": quote.last_quantity,
        "avg_trade_price": price(quote.average_price),
        "change": change,
        "change_percent": round(change / before * 100, 2) if before else 0.0,
        "timestamp": epoch_ms(quote.at),
    }


def _depth(depth: Depth) -> dict[str, Any]:
    return {
        **_quote(depth.quote),
        "totalbuyqty": depth.total_bid_quantity,
        "totalsellqty": depth.total_ask_quantity,
        "depth": {"buy": _levels(depth.bids), "sell": _levels(depth.asks)},
    }


def _levels(levels: Sequence[DepthLevel]) -> list[dict[str, Any]]:
    return [
        {"price": price(level.price), "quantity": level.quantity, "orders": level.orders}
        for level in levels
    ]


def order_frame(order: Order) -> bytes:
    """An ``order_update``: how an order stands now."""
    request, is_paper = order.request, mode_of(order.book.account_id) is Mode.PAPER
    return framed(
        {
            "type": "order_update",
            **({"mode": MODE, "broker": BROKER} if is_paper else {"broker": "live"}),
            "orderid": order.id,
            "symbol": request.key.symbol,
            "exchange": request.key.exchange.value,
            "action": request.action.value,
            "quantity": request.quantity,
            "price": price(request.price),
            "trigger_price": price(request.trigger_price),
            "pricetype": request.price_type.value,
            "product": request.product.value,
            "order_status": status_word(order.status),
            "filled_quantity": order.filled_quantity,
            "pending_quantity": order.open_quantity,
            "average_price": price(order.average_price),
            "rejection_reason": order.reason if order.status is OrderStatus.REJECTED else "",
            "timestamp": epoch_ms(order.updated_at),
        }
    )

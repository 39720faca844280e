"""``GET ticker/EXCHANGE:SYMBOL``: bars by address, as JSON or as lines for charting programs."""

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from algohost.domain.accounts import mode_of
from algohost.domain.errors import AlgohostError, Invalid
from algohost.domain.instruments import Exchange
from algohost.domain.quotes import Interval
from algohost.domain.strategies import Mode
from algohost.web.access import HttpEndpoint
from algohost.web.api_v1.call import Call, Endpoint
from algohost.web.api_v1.contracts import listed
from algohost.web.api_v1.market_data import bars, history, refuse_reversed, tokens
from algohost.web.api_v1.requests import History, Ticker, TickerFormat

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from algohost.market.bars import BarColumns

_IST_OFFSET_SECONDS: Final = 19_800


async def ticker(call: Call[Ticker]) -> Response:
    """``ticker``: what ``history`` answers; with ``format=txt`` a line for each bar.

    A line is ``Ticker,Date,Time,Open,High,Low,Close,Volume``, in IST, without the time for bars
    of days and longer. A refusal is a line of text then, too.
    """
    if mode_of(call.principal.account_id) is Mode.LIVE:
        raise Invalid(
            "Ask history for the bars of a live account, which are its broker's: these are of this"
            " host's own market.",
            code="NOT_LIVE",
        )
    if call.asked.format is TickerFormat.JSON:
        return await history(_as_history(call))
    try:
        return PlainTextResponse(await _lines(_as_history(call)))
    except AlgohostError as error:
        return PlainTextResponse(f"{error.message}\n", status_code=error.http_status)


def by_path(answer: Endpoint[Ticker]) -> HttpEndpoint:
    """``answer`` for a GET: the ticker stands in the path, the other fields in the query."""

    async def asked(request: Request) -> Response:
        request.state.body = {**request.query_params, "ticker": request.path_params["ticker"]}
        return await answer(request)

    return asked


def _as_history(call: Call[Ticker]) -> Call[History]:
    asked = call.asked
    exchange, colon, symbol = asked.ticker.partition(":")
    if not (colon and symbol and exchange in set(Exchange)):
        raise Invalid(
            "The address ends with EXCHANGE:SYMBOL, such as NSE:RELIANCE; the exchange is one of"
            f" {', '.join(Exchange)}.",
            code="BAD_FIELDS",
        )
    refuse_reversed("from", asked.start_date, "to", asked.end_date)
    fields = History(
        symbol=symbol,
        exchange=Exchange(exchange),
        interval=asked.interval,
        start_date=asked.start_date.isoformat(),
        end_date=asked.end_date.isoformat(),
    )
    return Call(host=call.host, principal=call.principal, asked=fields)


async def _lines(call: Call[History]) -> str:
    asked = call.asked
    listed(call.host, asked.key)
    name = f"{asked.exchange}:{asked.symbol}"
    lines: list[str] = []
    async for columns, part in bars(call.host.market, asked):
        lines += _lines_of(name, columns, asked.interval, part)
    return "\n".join(lines)


def _lines_of(name: str, columns: "BarColumns", interval: Interval, part: slice) -> list[str]:
    seconds = columns.timestamps[part] + _IST_OFFSET_SECONDS
    local: NDArray[np.datetime64] = seconds.astype("datetime64[s]")
    unit: Literal["s", "D"] = "s" if interval.length is not None else "D"
    stamps = [text.replace("T", ",") for text in np.datetime_as_string(local, unit=unit).tolist()]
    prices = (columns.open, columns.high, columns.low, columns.close, columns.volume)
    figures = (tokens(column[part]) for column in prices)
    return [
        ",".join((name, stamp, *(figure.decode() for figure in row)))
        for stamp, *row in zip(stamps, *figures, strict=True)
    ]

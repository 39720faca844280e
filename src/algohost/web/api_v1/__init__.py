"""The REST API that OpenAlgo clients call: ``POST /api/v1/…`` with the key in the body."""

from functools import cache
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from algohost.web.access import Access, Route
from algohost.web.api_v1 import (
    account,
    analyzer,
    batches,
    calendars,
    contracts,
    gtt,
    market_data,
    notices,
    option_orders,
    option_requests,
    options,
    orders,
    shapes,
    shapes_market,
    ticker,
)
from algohost.web.api_v1.answers import failure, json_response
from algohost.web.api_v1.call import Endpoint, endpoint
from algohost.web.api_v1.gtt_requests import CancelGtt, GttBook, ModifyGtt, PlaceGtt
from algohost.web.api_v1.limits import Kind, RateLimits
from algohost.web.api_v1.live import for_live_accounts, with_live
from algohost.web.api_v1.openapi import Described, document
from algohost.web.api_v1.option_order_requests import OptionsMultiOrder, OptionsOrder
from algohost.web.api_v1.order_requests import (
    Basket,
    Margin,
    ModifyOrder,
    OneOrder,
    OpenPosition,
    PlaceOrder,
    PlaceSmartOrder,
    SplitOrder,
)
from algohost.web.api_v1.requests import (
    AnalyzerToggle,
    Asked,
    AskedOfInstrument,
    AskedOfInstruments,
    AskedOfStrategy,
    Expiry,
    History,
    Instruments,
    Search,
    Ticker,
)

__all__ = ["MAX_BODY_BYTES", "ROUTES", "Kind", "RateLimits"]

PREFIX: Final = "/api/v1"
MAX_BODY_BYTES: Final = 1_048_576

_ON_PAPER: Final[dict[str, Endpoint[Any]]] = {
    "placeorder": endpoint(PlaceOrder, orders.place_order, Kind.ORDERS, shape=shapes.OrderAnswer),
    "placesmartorder": endpoint(
        PlaceSmartOrder, orders.place_smart_order, Kind.SMART_ORDERS, shape=shapes.OrderAnswer
    ),
    "modifyorder": endpoint(
        ModifyOrder, orders.modify_order, Kind.ORDERS, shape=shapes.OrderNumber
    ),
    "cancelorder": endpoint(OneOrder, orders.cancel_order, Kind.ORDERS, shape=shapes.OrderNumber),
    "basketorder": endpoint(Basket, batches.basket_order, Kind.ORDERS, shape=shapes.BasketAnswer),
    "splitorder": endpoint(SplitOrder, batches.split_order, Kind.ORDERS, shape=shapes.SplitAnswer),
    "optionsorder": endpoint(
        OptionsOrder, option_orders.options_order, Kind.ORDERS, shape=shapes.OptionsAnswer
    ),
    "optionsmultiorder": endpoint(
        OptionsMultiOrder, option_orders.options_multi_order, Kind.ORDERS, shape=shapes.LegsAnswer
    ),
    "placegttorder": endpoint(PlaceGtt, gtt.place_gtt, Kind.ORDERS, shape=shapes.TriggerAnswer),
    "modifygttorder": endpoint(ModifyGtt, gtt.modify_gtt, Kind.ORDERS, shape=shapes.TriggerAnswer),
    "cancelgttorder": endpoint(CancelGtt, gtt.cancel_gtt, Kind.ORDERS, shape=shapes.TriggerAnswer),
    "gttorderbook": endpoint(GttBook, gtt.gtt_book, shape=shapes.GttBookAnswer),
    "cancelallorder": endpoint(AskedOfStrategy, orders.cancel_all_orders, shape=shapes.Cancelled),
    "closeposition": endpoint(AskedOfStrategy, orders.close_positions, shape=shapes.Closed),
    "orderstatus": endpoint(OneOrder, orders.order_status, shape=shapes.OrderStatusAnswer),
    "openposition": endpoint(OpenPosition, orders.open_position, shape=shapes.OpenPositionAnswer),
    "quotes": endpoint(AskedOfInstrument, market_data.quotes, shape=shapes_market.QuoteAnswer),
    "multiquotes": endpoint(
        AskedOfInstruments, market_data.multi_quotes, shape=shapes_market.QuotesAnswer
    ),
    "depth": endpoint(AskedOfInstrument, market_data.depth, shape=shapes_market.DepthAnswer),
    "history": endpoint(History, market_data.history, shape=shapes_market.HistoryAnswer),
    "intervals": endpoint(Asked, market_data.intervals, shape=shapes_market.IntervalsAnswer),
    "symbol": endpoint(AskedOfInstrument, contracts.symbol, shape=shapes_market.SymbolAnswer),
    "search": endpoint(Search, contracts.search, shape=shapes_market.InstrumentsAnswer),
    "expiry": endpoint(Expiry, contracts.expiry, shape=shapes_market.ExpiryAnswer),
    "instruments": endpoint(
        Instruments, contracts.instruments, shape=shapes_market.InstrumentsAnswer
    ),
    "optionsymbol": endpoint(
        option_requests.OptionSymbol, options.option_symbol, shape=shapes_market.OptionSymbolAnswer
    ),
    "optionchain": endpoint(
        option_requests.OptionChain, options.option_chain, shape=shapes_market.ChainAnswer
    ),
    "optiongreeks": endpoint(
        option_requests.OptionGreeks, options.option_greeks, shape=shapes_market.GreeksAnswer
    ),
    "multioptiongreeks": endpoint(
        option_requests.MultiOptionGreeks,
        options.multi_option_greeks,
        shape=shapes_market.ManyGreeksAnswer,
    ),
    "syntheticfuture": endpoint(
        option_requests.SyntheticFuture, options.synthetic, shape=shapes_market.SyntheticAnswer
    ),
    "funds": endpoint(Asked, account.funds, shape=shapes.FundsAnswer),
    "orderbook": endpoint(Asked, account.order_book, shape=shapes.OrderBookAnswer),
    "tradebook": endpoint(Asked, account.trade_book, shape=shapes.TradeBookAnswer),
    "positionbook": endpoint(Asked, account.position_book, shape=shapes.PositionBookAnswer),
    "holdings": endpoint(Asked, account.holdings, shape=shapes.HoldingsAnswer),
    "pnl/symbols": endpoint(Asked, account.pnl_symbols, shape=shapes.PnlSymbolsAnswer),
    "pnl/books": endpoint(Asked, account.pnl_books, shape=shapes_market.BooksAnswer),
    "analyzer": endpoint(Asked, analyzer.analyzer_status, shape=shapes.AnalyzerAnswer),
    "analyzer/toggle": endpoint(
        AnalyzerToggle, analyzer.analyzer_toggle, shape=shapes.AnalyzerAnswer
    ),
    "margin": endpoint(Margin, account.margin, shape=shapes.MarginAnswer),
    "ping": endpoint(Asked, account.ping, shape=shapes.PingAnswer),
    "telegram/notify": endpoint(notices.Notify, notices.telegram_notify, shape=shapes.NotifyAnswer),
    "whatsapp/notify": endpoint(
        notices.WhatsAppNotify, notices.whatsapp_notify, shape=shapes.NotifyAnswer
    ),
    "market/holidays": endpoint(
        calendars.Holidays, calendars.holidays, shape=shapes_market.HolidaysAnswer
    ),
    "market/timings": endpoint(
        calendars.Timings, calendars.timings, shape=shapes_market.TimingsAnswer
    ),
}
ENDPOINTS: Final[dict[str, Endpoint[Any]]] = for_live_accounts(_ON_PAPER)
"""What answers each name below ``/api/v1/``, to POST."""
TICKER: Final = with_live(
    "ticker", endpoint(Ticker, ticker.ticker, shape=shapes_market.HistoryAnswer)
)
"""What answers ``GET /api/v1/ticker/EXCHANGE:SYMBOL``."""
BY_GET: Final = ("market/holidays", "market/timings", "instruments")
"""Those that answer to GET too."""
KEY_IN_QUERY: Final = frozenset({"instruments"})
"""Those of them whose key existing clients put into the address."""

DOCUMENT: Final = "openapi.json"
"""Where the OpenAPI document is, below the prefix."""


STRATEGY_MODULE: Final = (
    "OpenAlgo's strategy module, which builds strategies of option legs in a browser, is not here:"
    " strategies here are Python files, started, stopped and watched on the pages and with"
    " 'algohost strategy'."
)


async def no_such_endpoint(request: Request) -> Response:
    """Says in the API's own envelope that there is no such path, or that it wants a POST."""
    name = request.path_params["rest"][:64]
    if name in ENDPOINTS:
        or_get = ", or with GET and its fields in the address" if name in BY_GET else ""
        said = f"{PREFIX}/{name} is called with POST and a JSON body{or_get}."
        return _not_by_that_method(said, "GET, HEAD, POST" if or_get else "POST")
    if name == DOCUMENT or name.startswith("ticker/"):
        return _not_by_that_method(f"{PREFIX}/{name} is called with GET.", "GET, HEAD")
    if name.startswith("strategy/"):
        return failure(STRATEGY_MODULE, 404)
    return failure(
        f"There is no such endpoint in this version; {PREFIX} has {', '.join(sorted(ENDPOINTS))}.",
        404,
    )


def _not_by_that_method(said: str, allowed: str) -> Response:
    refusal = failure(said, 405)
    refusal.headers["Allow"] = allowed
    return refusal


DESCRIBED: Final = Described(
    prefix=PREFIX,
    endpoints=_ON_PAPER,
    ticker=TICKER,
    by_get=BY_GET,
    key_in_query=KEY_IN_QUERY,
)
"""What the OpenAPI document describes."""


@cache
def _document() -> bytes:
    return orjson.dumps(document(DESCRIBED))


async def openapi_document(request: Request) -> Response:  # noqa: ARG001 - as every endpoint
    """``GET /api/v1/openapi.json``: what this API takes and answers, for programs and tools."""
    return json_response(_document())


ROUTES: Final[list[Route]] = [
    Route(
        method="GET",
        path=f"{PREFIX}/{DOCUMENT}",
        endpoint=openapi_document,
        access=Access.PUBLIC,
    ),
    *(
        Route(
            method="POST",
            path=f"{PREFIX}/{name}",
            endpoint=answer,
            access=Access.KEY,
            max_body_bytes=MAX_BODY_BYTES,
        )
        for name, answer in ENDPOINTS.items()
    ),
    *(
        Route(
            method="GET",
            path=f"{PREFIX}/{name}",
            endpoint=calendars.by_query(ENDPOINTS[name]),
            access=Access.KEY,
            key_in_query=name in KEY_IN_QUERY,
        )
        for name in BY_GET
    ),
    Route(
        method="GET",
        path=f"{PREFIX}/ticker/{{ticker}}",
        endpoint=ticker.by_path(TICKER),
        access=Access.KEY,
        key_in_query=True,
    ),
    *(
        Route(
            method=method,
            path=f"{PREFIX}/{{rest:path}}",
            endpoint=no_such_endpoint,
            access=Access.PUBLIC,
        )
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
    ),
]

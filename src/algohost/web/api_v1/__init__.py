"""The REST API that OpenAlgo clients call: ``POST /api/v1/…`` with the key in the body."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from algohost.web.access import Access, HttpEndpoint, Route
from algohost.web.api_v1 import account, calendars, contracts, market_data, orders
from algohost.web.api_v1.answers import failure
from algohost.web.api_v1.call import endpoint
from algohost.web.api_v1.limits import Kind, RateLimits
from algohost.web.api_v1.requests import (
    Asked,
    AskedOfInstrument,
    AskedOfInstruments,
    AskedOfStrategy,
    Expiry,
    History,
    Instruments,
    ModifyOrder,
    OneOrder,
    OpenPosition,
    PlaceOrder,
    PlaceSmartOrder,
    Search,
)

__all__ = ["MAX_BODY_BYTES", "ROUTES", "Kind", "RateLimits"]

PREFIX: Final = "/api/v1"
MAX_BODY_BYTES: Final = 1_048_576

ENDPOINTS: Final[dict[str, HttpEndpoint]] = {
    "placeorder": endpoint(PlaceOrder, orders.place_order, Kind.ORDERS),
    "placesmartorder": endpoint(PlaceSmartOrder, orders.place_smart_order, Kind.SMART_ORDERS),
    "modifyorder": endpoint(ModifyOrder, orders.modify_order, Kind.ORDERS),
    "cancelorder": endpoint(OneOrder, orders.cancel_order, Kind.ORDERS),
    "cancelallorder": endpoint(AskedOfStrategy, orders.cancel_all_orders),
    "closeposition": endpoint(AskedOfStrategy, orders.close_positions),
    "orderstatus": endpoint(OneOrder, orders.order_status),
    "openposition": endpoint(OpenPosition, orders.open_position),
    "quotes": endpoint(AskedOfInstrument, market_data.quotes),
    "multiquotes": endpoint(AskedOfInstruments, market_data.multi_quotes),
    "depth": endpoint(AskedOfInstrument, market_data.depth),
    "history": endpoint(History, market_data.history),
    "intervals": endpoint(Asked, market_data.intervals),
    "symbol": endpoint(AskedOfInstrument, contracts.symbol),
    "search": endpoint(Search, contracts.search),
    "expiry": endpoint(Expiry, contracts.expiry),
    "instruments": endpoint(Instruments, contracts.instruments),
    "funds": endpoint(Asked, account.funds),
    "orderbook": endpoint(Asked, account.order_book),
    "tradebook": endpoint(Asked, account.trade_book),
    "positionbook": endpoint(Asked, account.position_book),
    "holdings": endpoint(Asked, account.holdings),
    "ping": endpoint(Asked, account.ping),
    "market/holidays": endpoint(calendars.Holidays, calendars.holidays),
    "market/timings": endpoint(calendars.Timings, calendars.timings),
}
"""What answers each name below ``/api/v1/``."""
BY_GET: Final = ("market/holidays", "market/timings", "instruments")
"""Those that answer to GET too."""


async def no_such_endpoint(request: Request) -> Response:
    """Says in the API's own envelope that there is no such path, or that it wants a POST."""
    name = request.path_params["rest"][:64]
    if name in ENDPOINTS:
        refusal = failure(f"{PREFIX}/{name} is called with POST and a JSON body.", 405)
        refusal.headers["Allow"] = "POST"
        return refusal
    return failure(
        f"There is no such endpoint in this version; {PREFIX} has {', '.join(sorted(ENDPOINTS))}.",
        404,
    )


ROUTES: Final[list[Route]] = [
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
        )
        for name in BY_GET
    ),
    *(
        Route(
            method=method,
            path=f"{PREFIX}/{{rest:path}}",
            endpoint=no_such_endpoint,
            access=Access.PUBLIC,
        )
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
    ),
]

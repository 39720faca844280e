"""What the openalgo client has, and what its answers are said to hold: the facts of the page.

Fields are those that the docstrings of the client (1.0.47 and 2.0.5) and OpenAlgo's page of each
endpoint name, beside ``status`` and ``mode``. Paths are dotted; ``[]`` is each entry of a list.
"""

from typing import Final

FEED: Final = "feed"
NOT_HERE: Final = "not here"
BOTH: Final = {
    "analyzerstatus": "analyzer",
    "analyzertoggle": "analyzer/toggle",
    "basketorder": "basketorder",
    "cancelallorder": "cancelallorder",
    "cancelorder": "cancelorder",
    "closeposition": "closeposition",
    "connect": FEED,
    "depth": "depth",
    "disconnect": FEED,
    "expiry": "expiry",
    "funds": "funds",
    "get_depth": FEED,
    "get_ltp": FEED,
    "get_quotes": FEED,
    "history": "history",
    "holdings": "holdings",
    "holidays": "market/holidays",
    "instruments": "instruments",
    "interval": "intervals",
    "intervals": "intervals",
    "margin": "margin",
    "modifyorder": "modifyorder",
    "multiquotes": "multiquotes",
    "openposition": "openposition",
    "optionchain": "optionchain",
    "optiongreeks": "optiongreeks",
    "optionsmultiorder": "optionsmultiorder",
    "optionsorder": "optionsorder",
    "optionsymbol": "optionsymbol",
    "orderbook": "orderbook",
    "orderstatus": "orderstatus",
    "placeorder": "placeorder",
    "placesmartorder": "placesmartorder",
    "positionbook": "positionbook",
    "quotes": "quotes",
    "search": "search",
    "splitorder": "splitorder",
    "subscribe_depth": FEED,
    "subscribe_ltp": FEED,
    "subscribe_quote": FEED,
    "symbol": "symbol",
    "syntheticfuture": "syntheticfuture",
    "telegram": "telegram/notify",
    "timings": "market/timings",
    "tradebook": "tradebook",
    "unsubscribe_depth": FEED,
    "unsubscribe_ltp": FEED,
    "unsubscribe_quote": FEED,
}
"""What answers each method that both versions have."""
SECOND_ONLY: Final = {
    "cancelgttorder": "cancelgttorder",
    "close": FEED,
    "get_orders": FEED,
    "gttorderbook": "gttorderbook",
    "modifygttorder": "modifygttorder",
    "placegttorder": "placegttorder",
    "strategycloseall": NOT_HERE,
    "strategycloseleg": NOT_HERE,
    "strategyevents": NOT_HERE,
    "strategylist": NOT_HERE,
    "strategyorders": NOT_HERE,
    "strategyruns": NOT_HERE,
    "strategystart": NOT_HERE,
    "strategystatus": NOT_HERE,
    "strategystop": NOT_HERE,
    "subscribe_orders": FEED,
    "unsubscribe_orders": FEED,
    "whatsapp": "whatsapp/notify",
}
"""What answers each method that only 2.x has."""


def below(parent: str, names: str) -> tuple[str, ...]:
    """The paths of fields of one object."""
    return tuple(f"{parent}.{name}" for name in names.split())


_QUOTE: Final = "open high low ltp ask bid prev_close volume oi"
_ORDER: Final = (
    "action average_price exchange order_status orderid price pricetype product quantity symbol"
    " timestamp trigger_price"
)
_STATE: Final = below("data", "analyze_mode mode total_logs")
_ROW: Final = "symbol name exchange token expiry strike lotsize instrumenttype"
_OPTION: Final = (
    "symbol exchange underlying strike option_type expiry_date days_to_expiry spot_price"
    " option_price interest_rate implied_volatility"
)
_CHAIN: Final = f"symbol label {_QUOTE} lotsize tick_size"
FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "analyzer": _STATE,
    "analyzer/toggle": (*_STATE, "data.message"),
    "basketorder": below("results[]", "symbol status orderid"),
    "cancelallorder": ("message", "canceled_orders", "failed_cancellations"),
    "cancelorder": ("orderid",),
    "closeposition": ("message",),
    "depth": (
        *below("data", f"{_QUOTE} ltq totalbuyqty totalsellqty"),
        *below("data.asks[]", "price quantity"),
        *below("data.bids[]", "price quantity"),
    ),
    "expiry": ("message", "data"),
    "funds": below("data", "availablecash collateral m2mrealized m2munrealized utiliseddebits"),
    "history": below("data[]", "timestamp open high low close volume oi"),
    "holdings": (
        *below("data.holdings[]", "symbol exchange product quantity pnl pnlpercent"),
        *below(
            "data.statistics",
            "totalholdingvalue totalinvvalue totalprofitandloss totalpnlpercentage",
        ),
    ),
    "market/holidays": (
        "year",
        "timezone",
        *below("data[]", "date description holiday_type closed_exchanges"),
        *below("data[].open_exchanges[]", "exchange start_time end_time"),
    ),
    "instruments": below("data[]", f"{_ROW} brsymbol tick_size"),
    "intervals": below("data", "seconds minutes hours days weeks months"),
    "margin": below("data", "total_margin_required span_margin exposure_margin"),
    "modifyorder": ("orderid",),
    "multiquotes": (
        *below("results[]", "symbol exchange"),
        *below("results[].data", _QUOTE),
    ),
    "openposition": ("quantity",),
    "optionchain": (
        *("underlying", "underlying_ltp", "expiry_date", "atm_strike", "chain[].strike"),
        *below("chain[].ce", _CHAIN),
        *below("chain[].pe", _CHAIN),
    ),
    "optiongreeks": (*_OPTION.split(), *below("greeks", "delta gamma theta vega rho")),
    "optionsmultiorder": (
        *("underlying", "underlying_ltp"),
        *below("results[]", "leg symbol offset option_type action status orderid message"),
    ),
    "optionsorder": (
        "orderid",
        "symbol",
        "exchange",
        "underlying",
        "underlying_ltp",
        "offset",
        "option_type",
    ),
    "optionsymbol": ("symbol", "exchange", "lotsize", "tick_size", "underlying_ltp"),
    "orderbook": (
        *below("data.orders[]", _ORDER),
        *below(
            "data.statistics",
            "total_buy_orders total_sell_orders total_completed_orders total_open_orders"
            " total_rejected_orders",
        ),
    ),
    "orderstatus": below("data", _ORDER),
    "placeorder": ("orderid",),
    "placesmartorder": ("orderid", "message"),
    "positionbook": below("data[]", "symbol exchange product quantity average_price ltp pnl"),
    "quotes": below("data", _QUOTE),
    "search": ("message", *below("data[]", _ROW)),
    "splitorder": (
        *("split_size", "total_quantity"),
        *below("results[]", "order_num orderid quantity status"),
    ),
    "symbol": below("data", f"{_ROW} brsymbol brexchange tick_size"),
    "syntheticfuture": (
        "underlying",
        "underlying_ltp",
        "expiry",
        "atm_strike",
        "synthetic_future_price",
    ),
    "telegram/notify": ("message",),
    "market/timings": below("data[]", "exchange start_time end_time"),
    "tradebook": below(
        "data[]",
        "action average_price exchange orderid product quantity symbol timestamp trade_value",
    ),
    "cancelgttorder": ("trigger_id",),
    "gttorderbook": (
        *below(
            "data[]",
            "trigger_id trigger_type status symbol exchange trigger_prices last_price created_at"
            " updated_at expires_at",
        ),
        "data[].legs",
    ),
    "modifygttorder": ("trigger_id",),
    "placegttorder": ("trigger_id",),
    "whatsapp/notify": ("message", "queued", "data.sent", "data.failed", "data.skipped"),
}
"""What the success of each endpoint is said to hold."""

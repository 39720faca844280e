"""The page ``docs/compatibility.md``: the client's facts, the shapes, and why they differ.

``python -m tests.api.compatibility`` writes it anew.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, get_args

from pydantic import BaseModel

from algohost.web.api_v1 import ENDPOINTS
from tests.api.client_methods import BOTH, FEED, FIELDS, NOT_HERE, SECOND_ONLY

PAGE: Final = Path(__file__).parents[2] / "docs/compatibility.md"
BEHAVIOUR: Final[Mapping[str, str]] = {
    "analyzertoggle": "Switches nothing: the mode belongs to each strategy and is set by its owner,"
    " not by a script. The answer says so; a live strategy that asks for paper gets a 409.",
    "basketorder": "At most 100 orders. A malformed order refuses all. Where none was placed, the"
    " answer is a failure that has the results, and never a success.",
    "cancelallorder": "A run's token acts on its strategy's orders; only an account key acts on the"
    " whole account. `strategy` is a label and decides nothing.",
    "closeposition": "As `cancelallorder`: a strategy closes its own positions.",
    "history": "`source` is ignored: there is one. At most 200,000 bars. `Q` and `Y`, and intervals"
    " that `intervals` does not name, are refused.",
    "holidays": "A year that is not entered is a 404: an empty list would say that nothing closes.",
    "timings": "A date that is not entered is a 404: an empty list would say that all are closed.",
    "margin": "As if the account held nothing; approximate by segment on paper.",
    "modifyorder": "Symbol, exchange, action and product must be the order's own.",
    "multiquotes": "At most 500 instruments in a call.",
    "openposition": "Of the caller's book.",
    "optionsmultiorder": "At most 20 legs, all found at the same prices. A leg may be split."
    " `strike_int` is ignored: strikes are those of the master contract.",
    "optionsorder": "`strike_int` is ignored: strikes are those of the master contract.",
    "optionsymbol": "`strike_int` and `strategy` are ignored.",
    "placeorder": "`target`, `stoploss`, `trailing_sl`, `amo` and `variety` are refused unless they"
    " are empty: no order here has them, and who sends one relies on it. A rejected order is a 400"
    " with the reason and its number. `idempotency_key` keeps a repeated call from trading twice.",
    "placesmartorder": "Against the caller's book. Where nothing is to be done, a sentence and no"
    " number.",
    "search": "At most 500 rows. `NCDEX` and `MCX_INDEX` are not here.",
    "splitorder": "At most 100 pieces.",
    "telegram": "Reaches the user's notification targets, Telegram or others; `username` is the"
    " user's own. Nobody else can be written to.",
    "whatsapp": "As `telegram`. Recipients and attachments are refused; nobody waits for delivery.",
    "gttorderbook": "`status` `all` adds those that have ended.",
    "placegttorder": "On paper only. CNC and NRML only, for up to a year.",
    "modifygttorder": "On paper only. Instrument, action and type stay.",
    "cancelgttorder": "On paper only.",
    "subscribe_orders": "Updates of the caller's book.",
}
"""What each method does otherwise than in OpenAlgo, where it does."""
WHY: Final[Mapping[tuple[str, str], str]] = {
    ("analyzer", "data.message"): "after a toggle alone",
    ("basketorder", "message"): "how many of the orders were placed, where not all were",
    ("basketorder", "results[].message"): "why one was not placed",
    ("cancelallorder", "failed_cancellations"): "objects with `orderid` and `reason`",
    ("closeposition", "orderids"): "the orders that close",
    ("funds", "*"): "a number; OpenAlgo's brokers give text, and `float()` takes both",
    ("holdings", "data.holdings[].average_price"): "what was paid",
    ("holdings", "data.holdings[].ltp"): "the last price",
    ("market/holidays", "data[].tentative"): "whether no exchange has published the day yet",
    ("market/holidays", "warnings"): "what is uncertain about the calendars",
    ("market/timings", "warnings"): "what is uncertain about the date",
    ("instruments", "message"): "how many rows there are; the client shows rows alone",
    ("instruments", "data[].brexchange"): "as in `symbol`",
    ("instruments", "data[].freeze_qty"): "units in one order at most; 0 for no limit",
    ("instruments", "data[].has_prices"): "whether this server's market can quote it",
    ("search", "data[].brexchange"): "as in `symbol`",
    ("search", "data[].brsymbol"): "as in `symbol`",
    ("search", "data[].freeze_qty"): "as in `symbol`",
    ("search", "data[].has_prices"): "as in `symbol`",
    ("search", "data[].tick_size"): "as in `symbol`",
    ("symbol", "data.freeze_qty"): "units in one order at most; 0 for no limit",
    ("symbol", "data.has_prices"): "whether this server's market can quote it",
    ("multiquotes", "results[].error"): "why an instrument has no quote; the others have theirs",
    ("optiongreeks", "note"): "why there is no volatility, where the price has no time value",
    ("optionsmultiorder", "message"): "how many of the orders were placed, where not all were",
    ("optionsmultiorder", "results[].total_quantity"): "of a split leg",
    ("optionsmultiorder", "results[].split_size"): "of a split leg",
    ("optionsmultiorder", "results[].split_results[].*"): "of a split leg, as in `splitorder`",
    ("optionsorder", "message"): "that an order is not confirmed yet",
    ("optionsorder", "split_size"): "where `splitsize` was sent",
    ("optionsorder", "total_quantity"): "where `splitsize` was sent",
    ("optionsorder", "results[].*"): "where `splitsize` was sent, as in `splitorder`",
    ("optionsymbol", "freeze_qty"): "units in one order at most; 0 for no limit",
    ("orderbook", "data.orders[].order_status"): "also `unknown`, until it is known whether an"
    " order arrived",
    ("orderbook", "data.orders[].rejection_reason"): "of a rejected order",
    ("orderstatus", "data.order_status"): "also `unknown`, until it is known whether an order"
    " arrived",
    ("orderstatus", "data.rejection_reason"): "of a rejected order",
    ("placeorder", "message"): "that an order is not confirmed yet",
    ("positionbook", "data[].average_price"): "a number, where some brokers give text",
    ("splitorder", "message"): "how many of the pieces were placed, where not all were",
    ("splitorder", "results[].message"): "why one was not placed",
    ("telegram/notify", "queued"): "to how many targets the message goes",
    ("whatsapp/notify", "data.*"): "nobody waits for the delivery; the user's list of notices says"
    " how it went",
    ("gttorderbook", "data[].orderid"): "of one that has fired",
    ("gttorderbook", "data[].reason"): "why one has ended without an order",
}
"""Why a field is different, more or less than in OpenAlgo; ``*`` is any."""
_FEED_TEXT: Final = (
    "The feed speaks OpenAlgo's protocol on its port: LTP, quote and depth of five levels, with the"
    " latest price at once on subscribing. Fields are those that the client stores: `ltp`,"
    " `timestamp`; `open`, `high`, `low`, `close` (the previous day's), `volume`, `oi`, `change`,"
    " `change_percent`, `last_trade_quantity`, `avg_trade_price`; `depth` with `price`, `quantity`"
    " and `orders`: the same. Different: a client that reads too slowly is given the newest price"
    " and not every one that it missed."
)
_HEAD: Final = """# Compatibility with the openalgo client

Every method of the client, 1.0.47 (Python 3.11) and 2.0.5 (Python 3.12 and later), and every field
that its docstrings or OpenAlgo's pages name. This page is made by the tests from the shapes that
they hold this server's answers to; `python -m tests.api.compatibility` writes it anew. What the
calls take is in `GET /api/v1/openapi.json`; [the API for programs](api.md) tells of both.

The table tells what a method does, the lists below what its answer holds; “more” are fields that
OpenAlgo does not name. For all: `status` is the same; on paper `mode` is `analyze`, in a live
account there is none. Money and quantities are numbers. A failure is never a 200, and its `message`
says what to do. In a [live account](live.md) prices, instruments, options and `margin` are its own
server's answers.
"""


def fields_of(shape: type[BaseModel], parent: str = "") -> Iterator[str]:
    """The path of every field of a shape, to the last level."""
    for name, field in shape.model_fields.items():
        path = f"{parent}{name}"
        inner = list(_shapes_in(field.annotation))
        if not inner:
            yield path
        for is_list, one in inner:
            yield from fields_of(one, f"{path}[]." if is_list else f"{path}.")


def _shapes_in(kind: object, *, is_list: bool = False) -> Iterator[tuple[bool, type[BaseModel]]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield is_list, kind
    for part in get_args(kind):
        yield from _shapes_in(part, is_list=is_list or getattr(kind, "__origin__", None) is list)


def here(endpoint: str) -> set[str]:
    """The fields that this server's success has."""
    shape = ENDPOINTS[endpoint].shape
    return set(fields_of(shape)) - {"status", "mode"} if shape is not None else set()


def documented(endpoint: str) -> set[str]:
    """The fields that OpenAlgo's has; a list of which nothing more is said stands for its rows."""
    return set(FIELDS[endpoint])


def why(endpoint: str, path: str) -> str | None:
    """Why a field is not the same, if that is written down."""
    for known in ((endpoint, path), *(_wider(endpoint, path))):
        if known in WHY:
            return WHY[known]
    return None


def _wider(endpoint: str, path: str) -> Iterator[tuple[str, str]]:
    parts = path.split(".")
    for length in range(len(parts) - 1, -1, -1):
        yield endpoint, ".".join([*parts[:length], "*"])


def _is_in(path: str, others: set[str]) -> bool:
    """Whether the field is there: itself, or the rows of which it is the list."""
    return path in others or any(
        other.startswith((f"{path}[].", f"{path}.")) or path.startswith(f"{other}[].")
        for other in others
    )


def lines_of(endpoint: str) -> Iterator[str]:
    """What the page says of the fields of an endpoint's success."""
    ours, theirs = here(endpoint), documented(endpoint)
    shared = [path for path in FIELDS[endpoint] if _is_in(path, ours)]
    same = [path for path in shared if why(endpoint, path) is None]
    if same:
        yield f"- same: {_named(same)}"
    yield from _with_reasons("different", endpoint, [one for one in shared if one not in same])
    gone = [one for one in FIELDS[endpoint] if one not in shared]
    yield from _with_reasons("not here", endpoint, gone)
    more = [one for one in sorted(ours) if not _is_in(one, theirs)]
    yield from _with_reasons("more", endpoint, more)


def _with_reasons(word: str, endpoint: str, paths: list[str]) -> Iterator[str]:
    for reason in dict.fromkeys(why(endpoint, path) for path in paths):
        named = _named([path for path in paths if why(endpoint, path) == reason])
        yield f"- {word}: {named}: {reason}"


def unexplained(endpoint: str) -> list[str]:
    """The lines that name a difference and no reason."""
    ours, theirs = here(endpoint), documented(endpoint)
    apart = [path for path in theirs if not _is_in(path, ours)]
    apart += [path for path in ours if not _is_in(path, theirs)]
    return sorted(path for path in apart if why(endpoint, path) is None)


def _named(paths: list[str]) -> str:
    return ", ".join(f"`{path}`" for path in paths)


def page() -> str:
    """The whole page."""
    parts = [_HEAD, "## Methods\n", "| method | client | answered by | here |\n|---|---|---|---|"]
    for name, endpoint in sorted({**BOTH, **SECOND_ONLY}.items()):
        versions = "1.x, 2.x" if name in BOTH else "2.x"
        by = {FEED: "the feed", NOT_HERE: "–"}.get(endpoint, f"`{endpoint}`")
        parts.append(f"| `{name}` | {versions} | {by} | {verdict(name, endpoint)} |")
    parts += ["\n## The feed\n", _FEED_TEXT, "\n## Fields"]
    for endpoint in sorted(FIELDS):
        parts.append(f"\n### {endpoint}\n")
        parts += lines_of(endpoint)
    return "\n".join(parts) + "\n"


def verdict(name: str, endpoint: str) -> str:
    """Same, different and why, or not here and why."""
    if endpoint == NOT_HERE:
        return (
            "not here: OpenAlgo's strategy module builds strategies of option legs in a browser;"
            " strategies here are Python files. A 404 that says so."
        )
    return f"different: {BEHAVIOUR[name]}" if name in BEHAVIOUR else "same"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

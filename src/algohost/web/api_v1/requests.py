"""What clients may send: one model per request, each field checked where it enters.

The fields are in ``fields``, the models of orders in ``order_requests``. What no model names is
ignored.
"""

from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from algohost.domain.errors import Invalid
from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.quotes import Interval
from algohost.web.api_v1.fields import (
    Day,
    ExchangeWord,
    IntervalWord,
    Label,
    Symbol,
    YesOrNo,
    none_but,
    word_of,
)

MOST_SYMBOLS: Final = 500
"""Instruments that one call of ``multiquotes`` may name."""


class Asked(BaseModel):
    """A request with nothing but a key."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class AskedOfStrategy(Asked):
    """A request that may carry the client's name for its strategy."""

    strategy: Label = ""


class AskedOfInstrument(Asked):
    """A request about one instrument."""

    symbol: Symbol
    exchange: ExchangeWord

    @property
    def key(self) -> InstrumentKey:
        """The instrument that was named; it may not be listed."""
        return InstrumentKey(exchange=self.exchange, symbol=self.symbol)


class AskedOfInstruments(Asked):
    """A request about many instruments."""

    symbols: Annotated[
        list[AskedOfInstrument], Field(json_schema_extra={"minItems": 1, "maxItems": MOST_SYMBOLS})
    ]


class History(AskedOfInstrument):
    """A request for bars of whole days in IST, the last day included."""

    interval: IntervalWord
    start_date: Day
    end_date: Day
    source: Label = "api"


class TickerFormat(StrEnum):
    """How ``ticker`` writes bars."""

    JSON = "json"
    TXT = "txt"


class Ticker(Asked):
    """A request for bars by address; ``from`` and ``to`` are whole days in IST."""

    ticker: Symbol
    interval: IntervalWord = Interval.D
    start_date: Annotated[Day, Field(alias="from")]
    end_date: Annotated[Day, Field(alias="to")]
    sort: Annotated[None, none_but({"", "asc"}, "must be asc: the oldest bar comes first")] = None
    format: Annotated[TickerFormat, word_of(TickerFormat)] = TickerFormat.JSON


class AnalyzerToggle(Asked):
    """A request for another mode: true for analyze, false for live."""

    mode: YesOrNo


class Search(Asked):
    """A request for instruments by a part of their name."""

    query: Symbol
    exchange: ExchangeWord | None = None


class DerivativeKind(StrEnum):
    """What ``expiry`` is asked about."""

    FUTURES = "futures"
    OPTIONS = "options"


_DERIVATIVE_EXCHANGES: Final = (
    Exchange.NFO, Exchange.BFO, Exchange.MCX, Exchange.CDS, Exchange.BCD, Exchange.NCO,
)  # fmt: skip


class Expiry(Asked):
    """A request for the days on which an underlying's contracts expire."""

    symbol: Symbol
    exchange: Annotated[Exchange, word_of(Exchange, _DERIVATIVE_EXCHANGES)]
    instrumenttype: Annotated[DerivativeKind, word_of(DerivativeKind)]


class ListFormat(StrEnum):
    """How ``instruments`` writes its rows."""

    JSON = "json"
    CSV = "csv"


class Instruments(Asked):
    """A request for all instruments of one exchange, or of all."""

    exchange: ExchangeWord | None = None
    format: Annotated[ListFormat, word_of(ListFormat)] = ListFormat.JSON


M = TypeVar("M", bound=Asked)


def parse(model: type[M], body: dict[str, Any]) -> M:
    """``body`` as a ``model``. Raises ``Invalid`` with one sentence over all bad fields."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise Invalid(_sentence(error.errors(include_url=False)), code="BAD_FIELDS") from None


def _sentence(problems: Sequence[ErrorDetails]) -> str:
    shown = [_phrase(problem) for problem in problems[:8]]
    return f"{'; '.join(shown)}."


def _phrase(problem: ErrorDetails) -> str:
    name = ".".join(str(part) for part in problem["loc"]) or "the body"
    kind, value = problem["type"], problem.get("input")
    if kind == "missing":
        return f"{name} is missing"
    if kind == "not_taken":
        return f"{name} {problem['msg']}"
    what = problem["msg"] if kind == "refused" else _plain(kind)
    if isinstance(value, str | int | float) and what != "is empty":
        return f"{name} {what}, not {_quoted(value)}"
    return f"{name} {what}"


def _plain(kind: str) -> str:
    return {
        "list_type": "must be a list",
        "model_type": "must be an object",
        "model_attributes_type": "must be an object",
    }.get(kind, "cannot be accepted")


def _quoted(value: str | float) -> str:
    text = "".join(c if c.isprintable() else "?" for c in str(value))
    return f"'{text[:40]}…'" if len(text) > 40 else f"'{text}'"


def day_start(day: date) -> datetime:
    """Midnight in IST with which ``day`` begins."""
    return datetime(day.year, day.month, day.day, tzinfo=IST)

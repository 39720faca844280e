"""What clients may send: one model per request, each field checked where it enters.

Numbers are accepted as JSON numbers and as strings, since clients send quantities as ``1``
and as ``"1"``. As in OpenAlgo, ``action`` may be written in capitals or in small letters,
and the other words in capitals only. Fields that no model names are ignored.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from algohost.domain.errors import Invalid
from algohost.domain.ids import IST, OrderId
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.orders import Action, OrderRequest, PriceType, Product
from algohost.domain.quotes import Interval

_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,12}(?:\.0{1,8})?")
_AMOUNT: Final = re.compile(
    r"[+-]?(?:[0-9]{1,32}(?:\.[0-9]{0,32})?|\.[0-9]{1,32})(?:[eE][+-]?[0-9]{1,3})?"
)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FIRST_YEAR: Final = 1980
_LAST_YEAR: Final = 2199
_MOST_UNITS: Final = 1_000_000_000
_MOST_RUPEES: Final = Decimal(1_000_000_000)
_MOST_DECIMALS: Final = 8
MOST_SYMBOLS: Final = 500
"""Instruments that one call of ``multiquotes`` may name."""


def _refuse(what: str) -> PydanticCustomError:
    return PydanticCustomError("refused", "{what}", {"what": what})


def _whole(value: object, least: int, rule: str) -> int:
    text = str(value).strip() if isinstance(value, int | float | str) else ""
    if isinstance(value, bool) or _WHOLE.fullmatch(text) is None:
        raise _refuse(f"must be {rule}")
    number = int(text.partition(".")[0])
    if not least <= number <= _MOST_UNITS:
        raise _refuse(f"must be {rule}")
    return number


def _above_zero(value: object) -> int:
    return _whole(value, 1, "a whole number above 0")


def _zero_or_above(value: object) -> int:
    return _whole(value, 0, "a whole number, 0 or above")


def _signed(value: object) -> int:
    return _whole(value, -_MOST_UNITS, "a whole number (below 0 for a short position)")


def _amount(value: object) -> Decimal:
    rule = "must be a number, 0 or above"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _refuse(rule)
    text = str(value).strip()
    if _AMOUNT.fullmatch(text) is None:  # Decimal reads much more: 1_0, १०, Infinity
        raise _refuse(rule)
    amount = Decimal(text)
    if not 0 <= amount <= _MOST_RUPEES:
        raise _refuse(rule)
    if -int(amount.as_tuple().exponent) > _MOST_DECIMALS:
        raise _refuse(f"must have at most {_MOST_DECIMALS} decimals")
    return amount


def _text(value: object, longest: int) -> str:
    if not isinstance(value, str):
        raise _refuse("must be text")
    text = value.strip()
    if not text:
        raise _refuse("is empty")
    if len(text) > longest or not text.isprintable():
        raise _refuse(f"must be at most {longest} printable characters")
    return text


def _symbol(value: object) -> str:
    return _text(value, 64)


def _order_id(value: object) -> str:
    number = isinstance(value, int) and not isinstance(value, bool)
    return _text(str(value) if number else value, 64)


def _label(value: object) -> str:
    """A name for show only, so that whatever was sent is cut to size rather than refused."""
    return "".join(c for c in str(value or "")[:128] if c.isprintable())


def _day(value: object) -> date:
    if isinstance(value, str) and _DATE.fullmatch(value.strip()):
        with suppress(ValueError):
            day = date.fromisoformat(value.strip())
            if _FIRST_YEAR <= day.year <= _LAST_YEAR:
                return day
    raise _refuse(f"must be a date of {_FIRST_YEAR} to {_LAST_YEAR} written YYYY-MM-DD")


def _action(value: object) -> Action:
    if isinstance(value, str) and value in {"BUY", "SELL", "buy", "sell"}:
        return Action(value.upper())
    raise _refuse("must be BUY or SELL")


W = TypeVar("W", bound=StrEnum)


def _word_of(kind: type[W], words: Sequence[W] | None = None) -> BeforeValidator:
    allowed = {word.value: word for word in (words or list(kind))}
    rule = f"must be one of {', '.join(allowed)}"

    def check(value: object) -> W:
        if isinstance(value, str) and value in allowed:
            return allowed[value]
        raise _refuse(rule)

    return BeforeValidator(check)


Units = Annotated[int, BeforeValidator(_above_zero)]
UnitsOrNone = Annotated[int, BeforeValidator(_zero_or_above)]
SignedUnits = Annotated[int, BeforeValidator(_signed)]
Amount = Annotated[Decimal, BeforeValidator(_amount)]
Symbol = Annotated[str, BeforeValidator(_symbol)]
OrderIdText = Annotated[str, BeforeValidator(_order_id)]
Label = Annotated[str, BeforeValidator(_label)]
Day = Annotated[date, BeforeValidator(_day)]
ActionWord = Annotated[Action, BeforeValidator(_action)]
ExchangeWord = Annotated[Exchange, _word_of(Exchange)]
PriceTypeWord = Annotated[PriceType, _word_of(PriceType)]
ProductWord = Annotated[Product, _word_of(Product)]
IntervalWord = Annotated[Interval, _word_of(Interval)]


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

    symbols: list[AskedOfInstrument]


class PlaceOrder(AskedOfInstrument, AskedOfStrategy):
    """A new order."""

    action: ActionWord
    quantity: Units
    pricetype: PriceTypeWord = PriceType.MARKET
    product: ProductWord = Product.MIS
    price: Amount = Decimal(0)
    trigger_price: Amount = Decimal(0)
    disclosed_quantity: UnitsOrNone = 0

    def order(self) -> OrderRequest:
        """The order in the gateway's terms."""
        return OrderRequest(
            key=self.key,
            action=self.action,
            quantity=self.quantity,
            price_type=self.pricetype,
            product=self.product,
            price=self.price,
            trigger_price=self.trigger_price,
            disclosed_quantity=self.disclosed_quantity,
            label=self.strategy,
        )


class PlaceSmartOrder(PlaceOrder):
    """An order towards a target position: ``position_size`` units, below zero when short."""

    quantity: UnitsOrNone
    position_size: SignedUnits


class OneOrder(AskedOfStrategy):
    """A request about one order."""

    orderid: OrderIdText

    @property
    def order_id(self) -> OrderId:
        """The order that was named; it may not exist."""
        return OrderId(self.orderid)


class ModifyOrder(PlaceOrder, OneOrder):
    """New terms for an order that still works."""

    pricetype: PriceTypeWord
    product: ProductWord
    price: Amount


class OpenPosition(AskedOfInstrument, AskedOfStrategy):
    """A request for the net quantity of one instrument under one product."""

    product: ProductWord


class History(AskedOfInstrument):
    """A request for bars of whole days in IST, the last day included."""

    interval: IntervalWord
    start_date: Day
    end_date: Day
    source: Label = "api"


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
    exchange: Annotated[Exchange, _word_of(Exchange, _DERIVATIVE_EXCHANGES)]
    instrumenttype: Annotated[DerivativeKind, _word_of(DerivativeKind)]


class Instruments(Asked):
    """A request for all instruments of one exchange, or of all."""

    exchange: ExchangeWord | None = None
    format: Label = "json"


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

"""The fields that clients send, each checked where it enters.

Numbers are accepted as JSON numbers and as strings, since clients send quantities as ``1``
and as ``"1"``. As in OpenAlgo, ``action`` may be written in capitals or in small letters,
and the other words in capitals only. What is refused is said as a phrase that follows the
field's name: ``quantity`` *must be a whole number above 0*.
"""

import re
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_before_validator_function

from algohost.domain.instruments import Exchange
from algohost.domain.orders import Action, PriceType, Product, Validity
from algohost.domain.quotes import Interval
from algohost.web.api_v1 import field_schemas as schemas
from algohost.web.api_v1.field_schemas import taken

_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,12}(?:\.0{1,8})?")
_AMOUNT: Final = re.compile(
    r"[+-]?(?:[0-9]{1,32}(?:\.[0-9]{0,32})?|\.[0-9]{1,32})(?:[eE][+-]?[0-9]{1,3})?"
)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EXACT: Final = 2**53
"""Below this, a whole number is itself in JSON, however a program writes it."""
_FIRST_YEAR: Final = 1980
_LAST_YEAR: Final = 2199
_MOST_UNITS: Final = 1_000_000_000
_MOST_RUPEES: Final = Decimal(1_000_000_000)
_MOST_DECIMALS: Final = 8
_NOISE: Final = Decimal("1e-14")
"""Part of an amount that binary fractions may add: ``round(x / 0.05) * 0.05`` has 13 decimals."""


def refuse(what: str) -> PydanticCustomError:
    """What a validator raises: a phrase that follows the field's name."""
    return PydanticCustomError("refused", "{what}", {"what": what})


def _whole(value: object, least: int, rule: str) -> int:
    text = str(value).strip() if isinstance(value, int | float | str) else ""
    if isinstance(value, bool) or _WHOLE.fullmatch(text) is None:
        raise refuse(f"must be {rule}")
    number = int(text.partition(".")[0])
    if not least <= number <= _MOST_UNITS:
        raise refuse(f"must be {rule}")
    return number


def _above_zero(value: object) -> int:
    return _whole(value, 1, "a whole number above 0")


def _zero_or_above(value: object) -> int:
    return _whole(value, 0, "a whole number, 0 or above")


def _signed(value: object) -> int:
    return _whole(value, -_MOST_UNITS, "a whole number (below 0 for a short position)")


def read_amount(value: object) -> Decimal:
    """A number of rupees or percent, with at most 8 decimals."""
    rule = "must be a number, 0 or above"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise refuse(rule)
    text = str(value).strip()
    if _AMOUNT.fullmatch(text) is None:  # Decimal reads much more: 1_0, १०, Infinity
        raise refuse(rule)
    amount = Decimal(text)
    if not 0 <= amount <= _MOST_RUPEES:
        raise refuse(rule)
    if -int(amount.as_tuple().exponent) <= _MOST_DECIMALS:
        return amount
    rounded = round(amount, _MOST_DECIMALS)
    if abs(amount - rounded) > amount * _NOISE:
        raise refuse(f"must have at most {_MOST_DECIMALS} decimals")
    return rounded


def _text(value: object, longest: int) -> str:
    if not isinstance(value, str):
        raise refuse("must be text")
    text = value.strip()
    if not text:
        raise refuse("is empty")
    if len(text) > longest or not text.isprintable():
        raise refuse(f"must be at most {longest} printable characters")
    return text


def _symbol(value: object) -> str:
    text = _text(value, 64)
    if not text.isascii():
        raise refuse("must be at most 64 printable characters of ASCII")
    return text


def _order_id(value: object) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    number = isinstance(value, int) and not isinstance(value, bool)
    return _symbol(str(value) if number else value)


def _label(value: object) -> str:
    """A name for show only, so that whatever was sent is cut to size rather than refused."""
    return "".join(c for c in str(value or "")[:128] if c.isprintable())


def _day(value: object) -> date:
    if isinstance(value, str) and _DATE.fullmatch(value.strip()):
        with suppress(ValueError):
            day = date.fromisoformat(value.strip())
            if _FIRST_YEAR <= day.year <= _LAST_YEAR:
                return day
    raise refuse(f"must be a date of {_FIRST_YEAR} to {_LAST_YEAR} written YYYY-MM-DD")


def _action(value: object) -> Action:
    if isinstance(value, str) and value in {"BUY", "SELL", "buy", "sell"}:
        return Action(value.upper())
    raise refuse("must be BUY or SELL")


W = TypeVar("W", bound=StrEnum)


def word_of(kind: type[W], words: Sequence[W] | None = None) -> BeforeValidator:
    """Takes the words of ``kind``, or those of ``words`` only."""
    allowed = {word.value: word for word in (words or list(kind))}
    rule = f"must be one of {', '.join(allowed)}"

    def check(value: object) -> W:
        if isinstance(value, str) and value in allowed:
            return allowed[value]
        raise refuse(rule)

    return taken(check, schemas.words(list(allowed)))


SYMBOL: Final = taken(_symbol, schemas.visible(64))
Units = Annotated[int, taken(_above_zero, schemas.whole(1))]
UnitsOrNone = Annotated[int, taken(_zero_or_above, schemas.whole(0))]
SignedUnits = Annotated[int, taken(_signed, schemas.whole(-_MOST_UNITS))]
Amount = Annotated[Decimal, taken(read_amount, schemas.AMOUNT)]
Symbol = Annotated[str, SYMBOL]
OrderIdText = Annotated[str, taken(_order_id, schemas.NUMBER_OR_NAME)]
Label = Annotated[str, taken(_label, schemas.ANYTHING)]
Day = Annotated[date, taken(_day, schemas.DAY)]
ActionWord = Annotated[Action, taken(_action, schemas.words(["BUY", "SELL", "buy", "sell"]))]
ExchangeWord = Annotated[Exchange, word_of(Exchange)]
PriceTypeWord = Annotated[PriceType, word_of(PriceType)]
ProductWord = Annotated[Product, word_of(Product)]
ValidityWord = Annotated[Validity, word_of(Validity)]
IntervalWord = Annotated[Interval, word_of(Interval)]


def whole_of(least: int, most: int, what: str = "a whole number") -> BeforeValidator:
    """Takes a whole number of that span."""
    rule = f"{what} from {least} to {most}"

    def check(value: object) -> int:
        number = _whole(value, least, rule)
        if number > most:
            raise refuse(f"must be {rule}")
        return number

    return taken(check, schemas.whole_within(least, most))


@dataclass(frozen=True, slots=True)
class ListOf:
    """Takes a list of 1 to ``most`` entries."""

    most: int

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """The check, before those of the entries."""
        return no_info_before_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """What a document says of it."""
        return {**handler(schema), "minItems": 1, "maxItems": self.most}

    def _check(self, value: object) -> object:
        if isinstance(value, list) and not 0 < len(value) <= self.most:
            raise refuse(f"must have 1 to {self.most} entries; it has {len(value)}")
        return value


def list_of(most: int) -> ListOf:
    """Takes a list of 1 to ``most`` entries."""
    return ListOf(most)


def _yes_or_no(value: object) -> bool:
    """``true`` or ``false``, as JSON or as text."""
    words = {"true": True, "false": False}
    said = str(value).strip().lower()[:8] if isinstance(value, bool | str) else ""
    if said not in words:
        raise refuse("must be true or false")
    return words[said]


YesOrNo = Annotated[bool, taken(_yes_or_no, schemas.YES_OR_NO)]


def or_nothing(check: BeforeValidator) -> BeforeValidator:
    """Takes an empty text for nothing, as clients fill in what they leave out."""
    read: Callable[[Any], Any] = check.func  # type: ignore[assignment]

    def look(value: object) -> object:
        return None if value is None or value == "" else read(value)

    return taken(look, schemas.or_nothing(schemas.schema_of(check)))


def none_but(empty: Container[str], rule: str) -> BeforeValidator:
    """Takes only what says nothing, such as an empty text; ``rule`` says what to do instead."""

    def check(value: object) -> None:
        said = "" if value is None else str(value).strip().lower()[:64]
        if said not in empty:
            raise PydanticCustomError("not_taken", "{what}", {"what": rule})

    return taken(check, schemas.nothing(empty, rule))

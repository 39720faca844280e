"""What the API's document says of each sort of field, beside the check that enforces it.

The patterns are of texts as they are sent: spaces around a text are taken off before it is read.
"""

from collections.abc import Callable, Container, Sequence
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, WithJsonSchema

JsonSchema = dict[str, Any]

_SPACE: Final = r"[\s\x1c-\x1f]*"
_MOST: Final = 1_000_000_000
ANYTHING: Final[JsonSchema] = {}


def taken(check: Callable[[Any], Any], schema: JsonSchema) -> BeforeValidator:
    """``check`` as a validator, and ``schema`` as what the document says that it takes."""
    return BeforeValidator(check, json_schema_input_type=Annotated[Any, WithJsonSchema(schema)])


def schema_of(validator: BeforeValidator) -> JsonSchema:
    """What the document says of a validator that ``taken`` made."""
    found: JsonSchema = validator.json_schema_input_type.__metadata__[0].json_schema
    return found


def text(pattern: str, **more: Any) -> JsonSchema:
    """A text that reads so, with spaces around it or none."""
    return {"type": "string", "pattern": f"^{_SPACE}(?:{pattern}){_SPACE}$", **more}


def visible(most: int, **more: Any) -> JsonSchema:
    """1 to ``most`` characters of printable ASCII."""
    rest = f"(?:[ -~]{{0,{most - 2}}}[!-~])?" if most > 1 else ""
    return text(f"[!-~]{rest}", **more)


def any_text(most: int) -> JsonSchema:
    """1 to ``most`` printable characters of any script."""
    return {"type": "string", "minLength": 1, "maxLength": most}


def any_case(word: str) -> str:
    """A pattern of the word in capitals, small letters or both."""
    return "".join(f"[{letter.upper()}{letter.lower()}]" for letter in word)


def whole(least: int) -> JsonSchema:
    """A whole number from ``least`` up, as a number or as text."""
    digits = "[1-9][0-9]{0,8}|1000000000"
    if least <= 0:
        digits += "|0"
    sign = r"[+-]?" if least < 0 else r"\+?"
    return {
        "anyOf": [
            {"type": "integer", "minimum": least, "maximum": _MOST},
            text(rf"{sign}0{{0,2}}(?:{digits})(?:\.0{{1,8}})?"),
        ]
    }


def whole_within(least: int, most: int) -> JsonSchema:
    """A whole number of a short span, as a number or as text."""
    return {
        "anyOf": [
            {"type": "integer", "minimum": least, "maximum": most},
            text("|".join(str(number) for number in range(least, most + 1))),
        ]
    }


AMOUNT: Final[JsonSchema] = {
    "description": "Rupees, 0 to 1,000,000,000, with at most 8 decimals.",
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": _MOST},
        text(r"\+?0{0,2}(?:[0-9]{1,9}(?:\.[0-9]{0,8})?|\.[0-9]{1,8}|1000000000)"),
    ],
}
PERCENT: Final[JsonSchema] = {
    "description": "Percent a year, 0 to 100.",
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": 100},
        text(r"\+?0{0,2}(?:[0-9]{1,2}(?:\.[0-9]{0,8})?|\.[0-9]{1,8}|100)"),
    ],
}
DAY: Final[JsonSchema] = text(
    "(?:19[89][0-9]|2[01][0-9]{2})-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])",
    description="A date from 1980 to 2199, YYYY-MM-DD, in IST.",
)
NUMBER_OR_NAME: Final[JsonSchema] = {
    "anyOf": [{"type": "integer", "minimum": 0, "maximum": 2**53 - 1}, visible(64)]
}
YES_OR_NO: Final[JsonSchema] = {"enum": [True, False, "true", "false"]}


def words(allowed: Sequence[str]) -> JsonSchema:
    """One of a few words."""
    return {"type": "string", "enum": list(allowed)}


def or_nothing(schema: JsonSchema, *, nothing: Sequence[object] = (None, "")) -> JsonSchema:
    """What ``schema`` says, or what clients send for a field that they leave out."""
    return {"anyOf": [schema, {"enum": list(nothing)}]}


def nothing(empty: Container[str], rule: str) -> JsonSchema:
    """Only what says nothing."""
    said: list[object] = [
        one
        for one, written in ((None, "none"), (False, "false"), (0, "0"))
        if one is None or written in empty
    ]
    texts = ("", "0", "0.0", "0.00", "none", "null", "false", "no", "regular", "normal", "[]")
    said += [one for one in texts if one in empty]
    return {"enum": said, "description": f"This field {rule}."}

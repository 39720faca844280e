"""Reading the parts of a JSON message, each of the type that was agreed."""

from collections.abc import Mapping
from typing import TypeVar, cast

T = TypeVar("T")


class MessageError(ValueError):
    """A message that is not of the agreed form; the sentence says which part and why."""


def object_of(data: object, what: str) -> Mapping[str, object]:
    """A JSON object. Raises ``MessageError``."""
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise MessageError(f"{what} is not a JSON object.")
    return cast("Mapping[str, object]", data)


def of_type(fields: Mapping[str, object], name: str, kind: type[T]) -> T:
    """The field of exactly that type: ``True`` is no number. Raises ``MessageError``."""
    value = fields.get(name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise MessageError(f"{name} is not of type {kind.__name__}.")
    return value


def text(fields: Mapping[str, object], name: str) -> str:
    """A text. Raises ``MessageError``."""
    return of_type(fields, name, str)


def optional(fields: Mapping[str, object], name: str, kind: type[T]) -> T | None:
    """A field that may be missing or ``null``. Raises ``MessageError``."""
    return None if fields.get(name) is None else of_type(fields, name, kind)


def number(fields: Mapping[str, object], name: str) -> float:
    """A number, as float. Raises ``MessageError``."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MessageError(f"{name} is not a number.")
    return float(value)


def optional_number(fields: Mapping[str, object], name: str) -> float | None:
    """A number that may be missing or ``null``. Raises ``MessageError``."""
    return None if fields.get(name) is None else number(fields, name)


def texts(fields: Mapping[str, object], name: str) -> tuple[str, ...]:
    """A list of texts. Raises ``MessageError``."""
    values = fields.get(name)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise MessageError(f"{name} is not a list of texts.")
    return tuple(values)


def mapping(fields: Mapping[str, object], name: str) -> dict[str, str]:
    """An object of texts. Raises ``MessageError``."""
    values = object_of(fields.get(name), name)
    if not all(isinstance(value, str) for value in values.values()):
        raise MessageError(f"{name} has a value that is not a text.")
    return cast("dict[str, str]", dict(values))


def integers(fields: Mapping[str, object], name: str) -> tuple[int, ...]:
    """A list of whole numbers. Raises ``MessageError``."""
    values = fields.get(name)
    if not isinstance(values, list) or not all(type(value) is int for value in values):
        raise MessageError(f"{name} is not a list of whole numbers.")
    return tuple(values)

"""Limits as somebody writes them: JSON values in, limits or a sentence out."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from algohost.domain.errors import Invalid
from algohost.domain.instruments import Exchange
from algohost.domain.orders import Product
from algohost.domain.risk import RiskLimits

MOST_UNITS: Final = 10**9
MOST_RUPEES: Final = Decimal(10**13)
MOST_SYMBOLS: Final = 200
_NAME: Final = re.compile(r"[A-Z0-9&_.-]{0,60}\*?")

NAMES: Final = {
    "most_quantity": "Units in one order",
    "most_value": "Value of one order",
    "most_open_orders": "Open orders",
    "most_orders_a_day": "Orders a day",
    "most_daily_loss": "Daily loss",
    "price_band_percent": "Price band",
    "symbols": "Symbols",
    "products": "Products",
    "stops_at_loss": "Stop at the daily loss",
}
"""What people call each limit."""


def changed(limits: RiskLimits, changes: Mapping[str, object]) -> RiskLimits:
    """``limits`` with what is given changed; null, or an empty text or list, takes one away.

    Raises ``Invalid`` with a sentence that names the limit; ``details`` has its ``field``.
    """
    given: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in _READERS:
            known = ", ".join(_READERS)
            raise Invalid(
                f"“{name[:40]}” is not a limit; there are {known}.", code="RISK_UNKNOWN_LIMIT"
            )
        try:
            given[name] = _READERS[name](value)
        except Invalid as error:
            raise Invalid(
                f"{NAMES[name]}: {error.message}", code="RISK_BAD_LIMIT", details={"field": name}
            ) from None
    made = replace(limits, **given)
    if made.stops_at_loss and made.most_daily_loss is None:
        raise Invalid(
            "There is no daily loss at which to stop. Give one, or do not ask for the stop.",
            code="RISK_BAD_LIMIT",
            details={"field": "stops_at_loss"},
        )
    return made


def in_words(limits: RiskLimits) -> str:
    """What is set, for people: ``Units in one order 100, Symbols NSE:INFY NFO:NIFTY*``."""
    said = []
    for name, called in NAMES.items():
        value = getattr(limits, name)
        if value is True:
            said.append(called)
        elif value:
            text = " ".join(value) if isinstance(value, tuple) else str(value)
            said.append(f"{called} {text}")
    return ", ".join(said)


def _whole(most: int) -> Callable[[object], int | None]:
    def read(value: object) -> int | None:
        if value is None or value == "":
            return None
        text = str(value).strip() if isinstance(value, int | str) else ""
        is_whole = not isinstance(value, bool) and text.isascii() and text.isdigit()
        if not is_whole or len(text) > 12 or not 1 <= int(text) <= most:
            raise Invalid(f"give a whole number from 1 to {most}, or nothing for no limit.")
        return int(text)

    return read


def _amount(most: Decimal, places: int) -> Callable[[object], Decimal | None]:
    def read(value: object) -> Decimal | None:
        if value is None or value == "":
            return None
        number = None
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            try:
                number = Decimal(str(value).strip())
            except InvalidOperation:
                number = None
        if number is None or not number.is_finite() or not 0 < number <= most:
            raise Invalid(f"give a number above 0 and at most {most}, or nothing for no limit.")
        if number != round(number, places):
            raise Invalid(f"give at most {places} decimals.")
        return number

    return read


def _texts(value: object, what: str) -> Sequence[str]:
    if value is None:
        return ()
    found = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(found, list | tuple) or not all(isinstance(one, str) for one in found):
        raise Invalid(f"give a list of {what}.")
    return list(dict.fromkeys(one.strip().upper() for one in found if one.strip()))


def _symbols(value: object) -> tuple[str, ...]:
    found = _texts(value, "symbols such as NSE:INFY")
    if len(found) > MOST_SYMBOLS:
        raise Invalid(f"give at most {MOST_SYMBOLS}; a star stands for many, as in NFO:NIFTY*.")
    for one in found:
        exchange, _, name = one.partition(":")
        if exchange not in set(Exchange) or not name or not _NAME.fullmatch(name):
            raise Invalid(
                f"“{one[:60]}” is none; write exchange and symbol, as in NSE:INFY or NFO:NIFTY*."
            )
    return tuple(found)


def _products(value: object) -> tuple[Product, ...]:
    found = _texts(value, "products")
    known = ", ".join(Product)
    if bad := [one for one in found if one not in set(Product)]:
        raise Invalid(f"“{bad[0][:20]}” is none; there are {known}.")
    return tuple(Product(one) for one in found)


def _yes_no(value: object) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise Invalid("give true or false.")
    return value


_READERS: Final[Mapping[str, Callable[[object], object]]] = {
    "most_quantity": _whole(MOST_UNITS),
    "most_value": _amount(MOST_RUPEES, 2),
    "most_open_orders": _whole(100_000),
    "most_orders_a_day": _whole(1_000_000),
    "most_daily_loss": _amount(MOST_RUPEES, 2),
    "price_band_percent": _amount(Decimal(100), 4),
    "symbols": _symbols,
    "products": _products,
    "stops_at_loss": _yes_no,
}

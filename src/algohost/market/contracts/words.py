"""What the words of a search ask of an instrument's contract: its kind, expiry and strike.

A word may mean several things: ``24`` is a day, the beginning of a strike, or a part of a name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from algohost.domain.contract_symbols import MONTHS, ContractKind

MOST_WORDS: Final = 8
MOST_CHARACTERS: Final = 100

KIND_WORDS: Final = {
    "CE": (ContractKind.CE,),
    "CALL": (ContractKind.CE,),
    "CALLS": (ContractKind.CE,),
    "PE": (ContractKind.PE,),
    "PUT": (ContractKind.PE,),
    "PUTS": (ContractKind.PE,),
    "FUT": (ContractKind.FUT,),
    "FUTURE": (ContractKind.FUT,),
    "FUTURES": (ContractKind.FUT,),
    "OPTION": (ContractKind.CE, ContractKind.PE),
    "OPTIONS": (ContractKind.CE, ContractKind.PE),
}
"""Words for kinds."""
_MONTH: Final = "|".join(MONTHS)
_EXPIRY: Final = re.compile(rf"(?P<day>\d{{1,2}})?-?(?P<month>{_MONTH})-?(?P<year>\d\d|20\d\d)?")
_NUMBER: Final = re.compile(r"\d{1,9}(?:\.\d{1,4})?")
_STRIKE_AND_KIND: Final = re.compile(r"(?P<strike>\d{1,9}(?:\.\d{1,4})?)(?P<kind>CE|PE)")
_REST: Final = re.compile(
    r"(?P<day>\d{2})(?:(?P<begun>[A-Z]{1,2})|(?P<month>[A-Z]{3})"
    r"(?:(?P<year>\d{2})(?:(?P<fut>FUT?|F)|(?P<strike>\d{1,9}(?:\.\d{0,4})?)(?P<kind>CE?|PE?)?)?)?)?"
)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What one reading of a word asks for; what is ``None`` or empty does not matter."""

    kinds: tuple[ContractKind, ...] = ()
    day: int | None = None
    months: tuple[int, ...] = ()
    year: int | None = None
    """Two digits."""
    strike: Decimal | None = None
    strike_begins: str = ""
    """The digits with which the strike begins."""
    base: str = ""
    """The base that the word names as well."""
    is_exact: bool = True
    """Whether what fits is just what was asked for, not the beginning of it."""


def split(text: str) -> list[str]:
    """The words of a search in capitals; more than anybody types are left out."""
    return text[:MOST_CHARACTERS].upper().replace(",", " ").split()[:MOST_WORDS]


def readings(word: str) -> Sequence[Terms]:
    """What a word may ask of a contract, whatever its base."""
    kinds = KIND_WORDS.get(word)
    if kinds is not None:
        return [Terms(kinds=kinds)]
    day = _iso_day(word)
    if day is not None:
        return [Terms(day=day.day, months=(day.month,), year=day.year % 100)]
    expiry = _EXPIRY.fullmatch(word)
    if expiry is not None:
        return [_of_expiry(expiry)]
    both = _STRIKE_AND_KIND.fullmatch(word)
    if both is not None:
        return [Terms(strike=Decimal(both["strike"]), kinds=(ContractKind(both["kind"]),))]
    return _of_number(word) if _NUMBER.fullmatch(word) else []


def readings_after(base: str, rest: str) -> Sequence[Terms]:
    """What the word ``base + rest`` may ask for, as the beginning of a symbol, or as base, strike
    and kind without an expiry."""
    found: list[Terms] = []
    both = _STRIKE_AND_KIND.fullmatch(rest)
    if both is not None:
        kinds = (ContractKind(both["kind"]),)
        found.append(Terms(base=base, strike=Decimal(both["strike"]), kinds=kinds))
    symbol = _REST.fullmatch(rest)
    if symbol is not None:
        begun = symbol["month"] or symbol["begun"] or ""
        months = tuple(n for n, one in enumerate(MONTHS, 1) if begun and one.startswith(begun))
        if months or not begun:
            found.append(_of_symbol(base, symbol, months))
    return found


def _of_expiry(found: "re.Match[str]") -> Terms:
    day, year = found["day"], found["year"]
    return Terms(
        day=int(day) if day else None,
        months=(MONTHS.index(found["month"]) + 1,),
        year=int(year[-2:]) if year else None,
    )


def _of_number(word: str) -> Sequence[Terms]:
    found = [Terms(strike=Decimal(word)), Terms(strike_begins=word, is_exact=False)]
    if word.isdigit() and 1 <= int(word) <= 31:
        found.append(Terms(day=int(word), is_exact=False))
    return found


def _of_symbol(base: str, found: "re.Match[str]", months: tuple[int, ...]) -> Terms:
    kind, strike = found["kind"], found["strike"]
    kinds: tuple[ContractKind, ...] = ()
    if found["fut"]:
        kinds = (ContractKind.FUT,)
    elif kind:
        kinds = (ContractKind.CE if kind[0] == "C" else ContractKind.PE,)
    return Terms(
        base=base,
        kinds=kinds,
        day=int(found["day"]),
        months=months,
        year=int(found["year"]) if found["year"] else None,
        strike=Decimal(strike) if kind else None,
        strike_begins=strike if strike and not kind else "",
        is_exact=bool(kind or found["fut"]),
    )


def _iso_day(word: str) -> date | None:
    try:
        return date.fromisoformat(word) if len(word) == 10 else None
    except ValueError:
        return None

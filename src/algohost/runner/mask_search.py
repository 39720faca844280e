"""Finding forms of secrets in text: short ones by an expression, long ones by their beginning.

Compiling an expression takes microseconds for each character, which for a key of 32 KB is seconds.
So of a longer form only the head is in one, and the rest is compared by hand. That finds the same.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

Search = Callable[..., "re.Match[bytes] | None"]
"""``search`` of a compiled expression."""
Ways = list[list[bytes]]
"""For each character of a form the ways in which it may be written."""

_HEAD: Final = 64
"""Characters of a longer form that are in an expression."""
_SHORT_HEAD: Final = 8
"""The same where all together are very many: a key of many lines."""
_MOST: Final = 4096
"""Characters in all that an expression should have."""
_SHARED: Final = 4
"""Characters by which forms are told apart before they are compared one by one."""
_LEAST_WORK: Final = 500_000
_WORK_A_BYTE: Final = 4
"""Characters that are compared by hand for each byte of a text."""


class Character(Protocol):
    """One character of a form, or a whole encoding."""

    @property
    def expression(self) -> bytes:
        """Any way of writing it."""

    @property
    def beginnings(self) -> list[bytes]:
        """The ways of writing it as a first one."""

    @property
    def ways(self) -> list[bytes]:
        """The ways of writing it."""


@dataclass(slots=True)
class _Work:
    """What may still be done."""

    left: int


class FormSearch:
    """Where any of some forms is in a text."""

    def __init__(self, forms: Sequence[Sequence[Character]]) -> None:
        cost = sum(len(form[0].beginnings) * min(len(form), _HEAD) for form in forms)
        self._head = _HEAD if cost <= _MOST else _SHORT_HEAD
        self._forms = forms
        self._tails = _grouped([form for form in forms if len(form) > self._head])

    def first(self, text: bytes, start: int = 0) -> "re.Match[bytes] | None":
        """The first place at or after ``start`` that may be one, ``None`` where none is left."""
        found = [self._search_short(text, start)]
        if self._tails:
            found.append(self._search_head(text, start))
        return min((one for one in found if one), key=lambda one: one.start(), default=None)

    def spans(self, text: bytes) -> list[tuple[int, int]]:
        """Begin and end of each, those that overlap too."""
        found = []
        match = self._search_short(text)
        while match is not None:
            found.append(match.span())
            match = self._search_short(text, match.start() + 1)
        return [*found, *self._long_spans(text)] if self._tails else found

    def _long_spans(self, text: bytes) -> list[tuple[int, int]]:
        """The work is bounded: in a text that begins a long form over and over, each beginning is
        taken for as much as the longest form has."""
        found: list[tuple[int, int]] = []
        work = _Work(_LEAST_WORK + _WORK_A_BYTE * len(text))
        match = self._search_head(text)
        while match is not None:
            at = match.start()
            if work.left <= 0:
                found.append((at, min(at + self._longest, len(text))))
            for shared, rests in self._tails if work.left > 0 else ():
                places = _places_after(shared, text, {at}, work)
                for rest in rests if places else ():
                    found += [(at, end) for end in _places_after(rest, text, places, work)]
            match = self._search_head(text, at + 1)
        return found

    @cached_property
    def _longest(self) -> int:
        return max(sum(max(map(len, atom.ways)) for atom in form) for form in self._forms)

    @cached_property
    def _search_short(self) -> Search:
        # compiled when a text first may hold a secret: most runs never print one
        expressions = sorted(
            (
                (sum(max(map(len, atom.ways)) for atom in form), re.escape(first) + rest)
                for form in self._forms
                if len(form) <= self._head
                for rest in [b"".join(atom.expression for atom in form[1:])]
                for first in form[0].beginnings
            ),
            reverse=True,
        )
        return re.compile(b"|".join(one for _, one in expressions) or rb"(?!)").search

    @cached_property
    def _search_head(self) -> Search:
        """Each head once, whatever its first character may look like; a look at one byte comes
        first, which the module for expressions cannot find out by itself then."""
        long = [form for form in self._forms if len(form) > self._head]
        first = {re.escape(way[:1]) for form in long for way in form[0].beginnings}
        heads = {
            b"(?:" + b"|".join(map(re.escape, form[0].beginnings)) + b")" + rest
            for form in long
            for rest in [b"".join(atom.expression for atom in form[1 : self._head])]
        }
        look = b"(?=[" + b"".join(sorted(first)) + b"])"
        return re.compile(look + b"(?:" + b"|".join(sorted(heads)) + b")").search


def _grouped(forms: Sequence[Sequence[Character]]) -> list[tuple[Ways, list[Ways]]]:
    """What forms begin with, and how each of those that begin so goes on."""
    groups: dict[tuple[Character, ...], list[Ways]] = {}
    for form in forms:
        rest = [atom.ways for atom in form[_SHARED:]]
        groups.setdefault(tuple(form[:_SHARED]), []).append(rest)
    return [
        ([shared[0].beginnings, *(atom.ways for atom in shared[1:])], rests)
        for shared, rests in groups.items()
    ]


def _places_after(row: Ways, text: bytes, places: Iterable[int], work: _Work) -> set[int]:
    """Where a row of characters that begins at any of ``places`` may end."""
    found = set(places)
    for ways in row:
        work.left -= 1
        if len(ways) == 1:
            (way,) = ways
            found = {place + len(way) for place in found if text.startswith(way, place)}
        else:
            found = {p + len(way) for p in found for way in ways if text.startswith(way, p)}
        if not found:
            break
    return found

"""Searching a list: every word must fit the base, the name, the kind, the expiry or the strike.

Names are looked at once a group (some three thousand), expiries and strikes as columns. What is
best comes first: what trades or is quoted as it is, and futures, before options; among those, the
base that is just the word, then one that begins with it, contains it, then names.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from algohost.domain.instruments import Exchange, Instrument
from algohost.market.contracts.table import (
    EXCHANGES,
    KINDS,
    OPTIONS,
    PART,
    ContractTable,
    Groups,
    Rows,
    day_of,
    to_parts,
)
from algohost.market.contracts.words import KIND_WORDS, Terms, readings, readings_after, split

_NO: Final = 31
"""The score of what does not fit; lower is better."""
_EXACT, _BEGINS, _WITHIN, _NAME_BEGINS, _NAME = range(5)
_LONGEST_STRIKE: Final = 7

Scores = NDArray[np.uint8]
Places = NDArray[np.int64]


class SearchableTable(ContractTable):
    """Implements ``ContractList``."""

    def __init__(self, *, made_at: datetime, groups: Groups, rows: Rows) -> None:
        """Raises ``ValueError`` where the columns do not fit each other."""
        super().__init__(made_at=made_at, groups=groups, rows=rows)
        sizes = np.diff(groups.start)
        self._group_of = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        self._bases = _Haystack(groups.base)
        self._names = _Haystack(tuple(name.upper() for name in groups.name))
        self._of_base = _numbers(groups.base)
        self._of_name = _numbers(name.upper().replace(" ", "") for name in groups.name)
        strikes, strike_of = np.unique(rows.strike, return_inverse=True)
        self._strikes, self._strike_of = strikes, strike_of.astype(np.int32)
        days, place = np.unique(rows.expiry, return_inverse=True)
        dates = [day_of(int(day)) for day in days]
        is_dated = rows.expiry > 0
        self._day, self._month, self._year = (
            np.where(is_dated, np.array(values, dtype=np.uint8)[place], 0).astype(np.uint8)
            for values in (
                [d.day for d in dates],
                [d.month for d in dates],
                [d.year % 100 for d in dates],
            )
        )
        self._nowhere = np.full(len(groups.base), _NO, dtype=np.uint8)
        self._words: Callable[[str], Scores] = lru_cache(maxsize=128)(self._score_groups)

    def search(self, text: str, exchange: Exchange | None, *, limit: int) -> Sequence[Instrument]:
        """As ``ContractList.search``."""
        words = split(text)
        if not words or limit < 1:
            return []
        asked = [self._reading(word, is_alone=len(words) == 1) for word in words]
        asked.sort(key=_leaves_many)
        places = self._candidates(asked, exchange)
        groups = self._group_of[places]
        score = np.zeros(len(places), dtype=np.int64)
        for of_groups, terms in asked:
            of_word = of_groups[groups]
            for one in terms:
                np.minimum(of_word, self._score_rows(one, places, groups), out=of_word)
            fits = of_word < _NO
            places, groups, score = places[fits], groups[fits], score[fits] + of_word[fits]
        if len(words) > 1:
            together = self._words("".join(words))[groups]
            score = np.where(together <= _BEGINS, together, score)
        return self._best(places, score, limit)

    def _candidates(
        self, asked: Sequence[tuple[Scores, Sequence[Terms]]], exchange: Exchange | None
    ) -> Places:
        """The rows of groups that fit every word which can only be a name."""
        fits = np.ones(len(self.groups.base), dtype=bool)
        if exchange is not None:
            fits &= self.groups.exchange == EXCHANGES.index(exchange)
        for of_groups, terms in asked:
            if not terms:
                fits &= of_groups < _NO
            elif all(one.base for one in terms):
                named = np.zeros(len(fits), dtype=bool)
                named[[g for one in terms for g in self._of_base[one.base]]] = True
                fits &= named | (of_groups < _NO)
        return np.flatnonzero(fits[self._group_of])

    def _best(self, places: Places, score: NDArray[np.int64], limit: int) -> list[Instrument]:
        groups = self._group_of[places].astype(np.int64)
        is_option = (self.rows.kind[places] >= OPTIONS).astype(np.int64)
        # one number for each, by what counts most: 8 bits of score, 16 of group, 20 of its row
        key = is_option << 1 | self.groups.is_made_up[groups]
        key = (key << 8 | score) << 16 | groups
        key = key << 20 | self.rows.order[places]
        if len(key) > limit:
            chosen = np.argpartition(key, limit - 1)[:limit]
            key, places, groups = key[chosen], places[chosen], groups[chosen]
        shown = np.argsort(key)
        return [
            self.instrument(group, place)
            for group, place in zip(groups[shown].tolist(), places[shown].tolist(), strict=True)
        ]

    # ---- one word

    def _reading(self, word: str, *, is_alone: bool) -> tuple[Scores, Sequence[Terms]]:
        """What a word fits by its text, and what else it may mean.

        A word for a kind is only that, unless it stands alone: ``ce`` is the start of CESC too.
        """
        if word in KIND_WORDS and not is_alone:
            return self._nowhere, readings(word)
        found = list(readings(word))
        for cut in range(1, len(word)):
            base = word[:cut]
            if word[cut].isdigit() and base in self._of_base:
                found += readings_after(base, word[cut:])
        return self._words(word), found

    def _score_groups(self, word: str) -> Scores:
        score = np.full(len(self.groups.base), _NO, dtype=np.uint8)
        for group, is_start in self._names.holding(word, also_words=True):
            score[group] = _NAME_BEGINS if is_start else _NAME
        for group, is_start in self._bases.holding(word):
            score[group] = _BEGINS if is_start else _WITHIN
        score[self._of_name.get(word, [])] = _EXACT
        score[self._of_base.get(word, [])] = _EXACT
        return score

    def _score_rows(self, terms: Terms, places: Places, groups: NDArray[np.int32]) -> Scores:
        rows, fits = self.rows, np.ones(len(places), dtype=bool)
        if terms.base:
            fits &= np.isin(groups, self._of_base[terms.base])
        if terms.kinds:
            kind = rows.kind[places]
            fits &= np.logical_or.reduce([kind == KINDS.index(one) for one in terms.kinds])
        if terms.months:
            fits &= np.isin(self._month[places], terms.months)
        for column, wanted in ((self._day, terms.day), (self._year, terms.year)):
            if wanted is not None:
                fits &= column[places] == wanted
        if terms.strike is not None or terms.strike_begins:
            fits &= self._strikes_that_fit(terms)[self._strike_of[places]]
        return np.where(fits, np.uint8(_EXACT if terms.is_exact else _BEGINS), np.uint8(_NO))

    def _strikes_that_fit(self, terms: Terms) -> NDArray[np.bool_]:
        """Which of the different strikes fit; that of what has none never does."""
        if terms.strike is None:
            fits = _begins(self._strikes, terms.strike_begins)
        else:
            fits = np.equal(self._strikes, to_parts(terms.strike))
        fits[self._strikes == 0] = False
        return fits


class _Haystack:
    """Texts in one string, so that one search goes through all of them."""

    def __init__(self, texts: tuple[str, ...]) -> None:
        self._whole = "\n" + "\n".join(texts) + "\n"
        self._starts = list(accumulate((len(one) + 1 for one in texts), initial=1))

    def holding(self, word: str, *, also_words: bool = False) -> list[tuple[int, bool]]:
        """The numbers of the texts that hold ``word``, and whether it stands at their start, or
        at that of any of their words. A single character is looked for there alone."""
        if len(word) == 1:
            first = self._each(f"\n{word}")
            return [*first, *(self._each(f" {word}") if also_words else ())]
        found, whole, starts = [], self._whole, self._starts
        at = whole.find(word)
        while at >= 0:
            group = bisect_right(starts, at) - 1
            before = whole[at - 1]
            found.append((group, before == "\n" or (also_words and before == " ")))
            at = whole.find(word, starts[group + 1])
        return found

    def _each(self, start: str) -> list[tuple[int, bool]]:
        found, at = [], self._whole.find(start)
        while at >= 0:
            found.append((bisect_right(self._starts, at + 1) - 1, True))
            at = self._whole.find(start, at + 1)
        return found


def _leaves_many(reading: tuple[Scores, Sequence[Terms]]) -> bool:
    """Whether many rows fit it: strikes come first, so that the rest has few to look at."""
    return all(one.strike is None for one in reading[1])


def _numbers(texts: Iterable[str]) -> dict[str, list[int]]:
    """The places of each text."""
    found: dict[str, list[int]] = {}
    for number, text in enumerate(texts):
        found.setdefault(text, []).append(number)
    return found


def _begins(strikes: NDArray[np.int64], digits: str) -> NDArray[np.bool_]:
    """Which strikes are written with ``digits`` first."""
    fits = np.zeros(len(strikes), dtype=np.bool_)
    for lowest, width in _ranges(digits):
        fits |= (strikes >= lowest) & (strikes < lowest + width)
    return fits


def _ranges(digits: str) -> list[tuple[int, int]]:
    """Where strikes that begin with ``digits`` begin, and how far they go, in parts of a rupee."""
    whole, point, decimals = digits.partition(".")
    if point:
        width = PART // 10 ** len(decimals)
        return [(int(whole) * PART + (int(decimals) * width if decimals else 0), width)]
    if whole.startswith("0"):
        return [(0, PART)]
    powers = range(max(_LONGEST_STRIKE - len(whole), 0) + 1)
    return [(int(whole) * PART * 10**more, PART * 10**more) for more in powers]

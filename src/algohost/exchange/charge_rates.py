"""What state and exchanges take, by segment, side and date: ``tables/charges.csv``.

Each row says since when it counts and where it is from; the newest row that is not later than
the trade wins, and trades from before the first row are charged by the first. A row whose date
or rate could not be confirmed says so in its ``note``.
"""

import csv
import io
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Final

from algohost.domain.errors import Invalid
from algohost.domain.orders import Action
from algohost.exchange.segments import Segment


class Levy(StrEnum):
    """What is taken, by the table's names."""

    STT = "stt"
    EXCHANGE = "exchange"
    SEBI = "sebi"
    STAMP = "stamp"
    GST = "gst"
    """Percent of brokerage, exchange charge, SEBI's fee and the depository participant's."""
    DP = "dp"
    """Rupees for each instrument and day."""
    EXERCISE = "exercise"
    """Percent of what an option has in it when it expires, paid by its holder."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """One row: rupees for ``Levy.DP``, a share of the turnover (0.001 is 0.1 %) for others."""

    since: date
    levy: Levy
    segments: frozenset[Segment]
    actions: frozenset[Action]
    rate: Decimal
    source: str
    note: str = ""


class RateTable:
    """The rates of every day. Two tables of the same rows are equal."""

    def __init__(self, rows: Sequence[Rate]) -> None:
        self.rows = tuple(rows)
        self._in_force: dict[tuple[Segment, Action], tuple[list[date], list[_Rates]]] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RateTable) and self.rows == other.rows

    def __hash__(self) -> int:
        return hash(self.rows)

    def on(self, day: date, segment: Segment, action: Action) -> Mapping[Levy, Decimal]:
        """Every levy's rate for a trade of ``day``; zero for those that do not concern it."""
        found = self._in_force.get((segment, action))
        if found is None:
            found = self._in_force[segment, action] = self._history(segment, action)
        days, rates = found
        return rates[max(bisect_right(days, day) - 1, 0)]

    def _history(self, segment: Segment, action: Action) -> tuple[list[date], "list[_Rates]"]:
        rows = [row for row in self.rows if segment in row.segments and action in row.actions]
        days = sorted({row.since for row in rows})
        return days or [date.min], [_rates_on(rows, day) for day in days or [date.max]]


_Rates = Mapping[Levy, Decimal]


def _rates_on(rows: Sequence[Rate], day: date) -> _Rates:
    rates = dict.fromkeys(Levy, Decimal(0))
    for levy in Levy:
        of_levy = sorted((r for r in rows if r.levy is levy), key=lambda row: row.since)
        if of_levy:
            begun = [row for row in of_levy if row.since <= day]
            rates[levy] = (begun[-1] if begun else of_levy[0]).rate
    return rates


@cache
def published() -> RateTable:
    """The rates that the program comes with. Raises ``Invalid`` where the table is damaged."""
    file = resources.files(__package__) / "tables" / "charges.csv"
    return parse_rates(file.read_text(encoding="utf-8"))


def parse_rates(text: str) -> RateTable:
    """A table from CSV: since, levy, segments, side, percent, source, note.

    ``segments`` are names with spaces between, a ``*`` at the end of one stands for anything;
    ``side`` is ``buy``, ``sell`` or ``both``; ``percent`` is rupees for ``dp``. Raises ``Invalid``
    with the number of the first bad row.
    """
    rows = []
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), start=2):
        try:
            rows.append(_rate(row))
        except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise Invalid(f"Row {number} of the charges cannot be read: {error!r}.") from None
    return RateTable(rows)


_SIDES: Final = {
    "buy": frozenset({Action.BUY}),
    "sell": frozenset({Action.SELL}),
    "both": frozenset(Action),
}


def _rate(row: Mapping[str, str]) -> Rate:
    levy, amount = Levy(row["levy"]), Decimal(row["percent"])
    if amount < 0:
        message = f"{amount} is below zero"
        raise ValueError(message)
    return Rate(
        since=date.fromisoformat(row["since"]),
        levy=levy,
        segments=frozenset(s for word in row["segments"].split() for s in _segments(word)),
        actions=_SIDES[row["side"]],
        rate=amount if levy is Levy.DP else amount / 100,
        source=row["source"],
        note=row["note"],
    )


def _segments(word: str) -> Sequence[Segment]:
    stem, star, _ = word.partition("*")
    if not star:
        return [Segment(word)]
    return [segment for segment in Segment if segment.value.startswith(stem)]

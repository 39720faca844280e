"""How answers are written: one envelope, numbers as scripts expect them, times in IST.

OpenAlgo itself answers with strings in live mode and with numbers in analyze mode. Numbers
serve both kinds of script: ``float(x)`` and ``int(x)`` accept them, and so does arithmetic.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

import orjson
from starlette.responses import Response

from algohost.domain.ids import IST

BROKER: Final = "paper"
MODE: Final = "analyze"
"""OpenAlgo's word for orders that reach no exchange."""

_ROWS_AT_A_TIME: Final = 500

T = TypeVar("T")

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun",
                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")  # fmt: skip


def json_response(body: bytes, status: int = 200) -> Response:
    """``body`` as it is, marked as JSON."""
    return Response(body, status_code=status, media_type="application/json")


def success(**fields: Any) -> Response:
    """``{"status": "success", "mode": "analyze", …fields}``."""
    return json_response(orjson.dumps({"status": "success", "mode": MODE, **fields}))


def failure(message: str, status: int, *, fields: dict[str, Any] | None = None) -> Response:
    """``{"status": "error", "message": …}``: the one form of a refusal."""
    body = {"status": "error", "message": message, **(fields or {})}
    return json_response(orjson.dumps(body), status)


async def in_turns(items: Sequence[T], row: Callable[[T], dict[str, Any]]) -> list[dict[str, Any]]:
    """The row of each item; in a long list, others get their turn every few milliseconds."""
    made: list[dict[str, Any]] = []
    for first in range(0, len(items), _ROWS_AT_A_TIME):
        made += [row(item) for item in items[first : first + _ROWS_AT_A_TIME]]
        await asyncio.sleep(0)
    return made


def price(amount: Decimal) -> float:
    """A price or average in rupees as a JSON number, to four decimals (currency ticks)."""
    return round(float(amount), 4)


def rupees(amount: Decimal) -> float:
    """A sum of money as a JSON number, to the paisa."""
    return round(float(amount), 2)


def ist_text(at: datetime) -> str:
    """``28-Aug-2025 09:59:10``: how order and trade times are written, in IST."""
    t = at.astimezone(IST)
    return f"{t.day:02d}-{_MONTHS[t.month - 1]}-{t.year} {t.hour:02d}:{t.minute:02d}:{t.second:02d}"


def expiry_text(day: date | None) -> str:
    """``28-OCT-25``, or nothing for what does not expire."""
    if day is None:
        return ""
    return f"{day.day:02d}-{_MONTHS[day.month - 1].upper()}-{day.year % 100:02d}"

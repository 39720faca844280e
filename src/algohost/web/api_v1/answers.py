"""How answers are written: one envelope, numbers as scripts expect them, times in IST.

OpenAlgo itself answers with strings in live mode and with numbers in analyze mode. Numbers
serve both kinds of script: ``float(x)`` and ``int(x)`` accept them, and so does arithmetic.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

import orjson
from starlette.responses import Response

from algohost.domain.accounts import mode_of
from algohost.domain.ids import IST, AccountId
from algohost.domain.strategies import Mode

BROKER: Final = "paper"
MODE: Final = "analyze"
"""OpenAlgo's word for orders that reach no exchange."""

_ROWS_AT_A_TIME: Final = 500

T = TypeVar("T")

_mode: ContextVar[Mode] = ContextVar("mode", default=Mode.PAPER)

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun",
                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")  # fmt: skip


def json_response(body: bytes, status: int = 200) -> Response:
    """``body`` as it is, marked as JSON."""
    return Response(body, status_code=status, media_type="application/json")


def answering_for(account_id: AccountId) -> None:
    """Says for which account the answers of this request are, which decides about their mode."""
    _mode.set(mode_of(account_id))


def mode_fields() -> dict[str, str]:
    """``{"mode": "analyze"}`` on paper; nothing where orders are live, as in OpenAlgo."""
    return {"mode": MODE} if _mode.get() is Mode.PAPER else {}


def success(**fields: Any) -> Response:
    """``{"status": "success", "mode": "analyze", …fields}``; the mode on paper only."""
    return json_response(orjson.dumps({"status": "success", **mode_fields(), **fields}))


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

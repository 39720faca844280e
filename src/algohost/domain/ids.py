"""Ids are types, made in one place and matched whole."""

import re
from datetime import datetime, timedelta, timezone
from typing import Final, NewType

StrategyId = NewType("StrategyId", str)
RunId = NewType("RunId", str)
UserId = NewType("UserId", str)
VersionId = NewType("VersionId", str)
"""The SHA-256 of a version's content, in lower-case hexadecimal."""
OrderId = NewType("OrderId", str)
AccountId = NewType("AccountId", str)

IST: Final = timezone(timedelta(hours=5, minutes=30), "IST")

_STRATEGY_ID: Final = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,79})_\d{14}(?:_\d{1,3})?")
_RUN_ID: Final = re.compile(r"[0-9a-f]{16}")


def is_strategy_id(text: str) -> bool:
    """Whether ``text`` has the form that ``strategy_id`` makes."""
    return _STRATEGY_ID.fullmatch(text) is not None


def is_run_id(text: str) -> bool:
    """Whether ``text`` has the form of a run's id: sixteen hexadecimal digits."""
    return _RUN_ID.fullmatch(text) is not None


def strategy_id(name: str, at: datetime, *, attempt: int = 0) -> StrategyId:
    """The id of a new strategy: its name reduced to ``[a-z0-9_]`` and the second in IST.

    ``attempt`` above zero adds a counter, for a second strategy of one name in one second.
    """
    stem = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:60] or "strategy"
    stamp = at.astimezone(IST).strftime("%Y%m%d%H%M%S")
    return StrategyId(f"{stem}_{stamp}_{attempt}" if attempt else f"{stem}_{stamp}")

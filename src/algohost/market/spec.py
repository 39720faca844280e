"""The text that names a market in settings: ``synthetic:7``, ``recorded:may.parquet?speed=10``."""

import math
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from algohost.domain.errors import Invalid

FORMS: Final = "Write synthetic, synthetic:SEED or recorded:FILE?day=YYYY-MM-DD&speed=N&from=HH:MM."
MAX_SPEED: Final = 10_000.0


@dataclass(frozen=True, kw_only=True)
class SyntheticSpec:
    """``synthetic`` or ``synthetic:SEED``."""

    seed: int


@dataclass(frozen=True, kw_only=True)
class RecordedSpec:
    """``recorded:FILE`` with its options; ``None`` is the recording's own default."""

    file: Path
    day: date | None
    speed: float
    start: time | None
    """The time of day, in IST, at which the market stands when the server starts."""


def parse(spec: str, *, seed: int) -> SyntheticSpec | RecordedSpec:
    """What ``spec`` names; ``seed`` where it names none. Raises ``Invalid`` for anything else."""
    kind, colon, rest = spec.strip().partition(":")
    if kind == "synthetic":
        return SyntheticSpec(seed=_seed(spec, rest) if colon else _checked(spec, seed))
    if kind == "recorded" and rest:
        return _recorded(spec, rest)
    raise _refusal(f"{spec!r} names no market.")


def _refusal(sentence: str) -> Invalid:
    return Invalid(f"{sentence} {FORMS}", code="MARKET_SPEC")


def _seed(spec: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise _refusal(f"The seed in {spec!r} is not a whole number from 0.")
    return int(text)


def _checked(spec: str, seed: int) -> int:
    if seed < 0:
        raise _refusal(f"The seed {seed} for {spec!r} is below 0.")
    return seed


def _recorded(spec: str, rest: str) -> RecordedSpec:
    file, _, query = rest.partition("?")
    if not file:
        raise _refusal(f"{spec!r} names no file.")
    try:
        options = (
            dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True)) if query else {}
        )
    except ValueError:
        raise _refusal(
            f"The options {query!r} are not of the form name=value&name=value."
        ) from None
    unknown = sorted(options.keys() - {"day", "speed", "from"})
    if unknown:
        raise _refusal(f"{unknown[0]!r} is no option of a recorded market.")
    return RecordedSpec(
        file=Path(file).expanduser(),
        day=_day(options["day"]) if "day" in options else None,
        speed=_speed(options["speed"]) if "speed" in options else 1.0,
        start=_time(options["from"]) if "from" in options else None,
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise _refusal(f"The day {text!r} is not a date like 2021-05-27.") from None


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 < speed <= MAX_SPEED:
        raise _refusal(f"The speed {text!r} is not a number above 0 and up to {MAX_SPEED:g}.")
    return speed


def _time(text: str) -> time:
    try:
        at = time.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is not None:
        raise _refusal(f"The time {text!r} is not a time of day like 10:00.")
    return at

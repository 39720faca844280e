"""Whether a live run is well: judged from what it used and when it was last heard. Pure.

Nothing here ends a run. A flag is a hint for a person, with the figures that led to it; a
strategy's own setting decides whether anything follows.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Final

_MEGABYTE: Final = 1 << 20
_MOST_POINTS: Final = 31
"""Of memory: one a minute. Every pair of them is looked at."""


class Ailment(StrEnum):
    """What can be wrong with a run that lives."""

    SILENT = "silent"
    BUSY = "busy"
    GROWING = "growing"
    THROTTLED = "throttled"
    """It gets only what others leave; it is no ground to stop it."""


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One thing that is wrong, in a sentence with its figures."""

    ailment: Ailment
    sentence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a run had used at one moment."""

    at: float
    """Seconds of a clock that never runs backwards."""
    wanted_seconds: float
    """Processor time so far, and the time it was ready to run and had to wait for a processor:
    a busy loop is one on a full machine, too."""
    memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class Rules:
    """From when on something is an ailment."""

    silent_seconds: float = 0.0
    """0 is never: only its author knows how long a strategy may say nothing."""
    busy_share: float = 0.95
    """Of one core."""
    busy_seconds: float = 60.0
    growth_seconds: float = 1800.0
    least_growth_bytes: int = 64 * _MEGABYTE
    least_growth_share: float = 0.2
    """Of what it had at first."""


def judge(readings: Sequence[Reading], *, quiet_seconds: float, rules: Rules) -> tuple[Flag, ...]:
    """What is wrong with a run, worst first.

    ``readings`` are in their order and reach back as far as the rules ask; ``quiet_seconds`` is
    how long there was no output, no call of the API and no tick.
    """
    found = (silent(quiet_seconds, rules), busy(readings, rules), growing(readings, rules))
    return tuple(flag for flag in found if flag is not None)


def silent(quiet_seconds: float, rules: Rules) -> Flag | None:
    """Whether it lives and says nothing."""
    if rules.silent_seconds <= 0 or quiet_seconds < rules.silent_seconds:
        return None
    return Flag(
        ailment=Ailment.SILENT,
        sentence=f"Silent for {_time(quiet_seconds)}: no output, no API call, no tick.",
    )


def busy(readings: Sequence[Reading], rules: Rules) -> Flag | None:
    """Whether it has wanted a core all the time, in every interval of the last while."""
    if not readings:
        return None
    newest = readings[-1]
    least = 1.0
    for later, earlier in zip(reversed(readings), reversed(readings[:-1]), strict=False):
        seconds = later.at - earlier.at
        if seconds <= 0:
            continue
        share = (later.wanted_seconds - earlier.wanted_seconds) / seconds
        if share < rules.busy_share:
            return None
        least = min(least, share)
        if newest.at - earlier.at >= rules.busy_seconds:
            lasted = _time(newest.at - earlier.at)
            sentence = f"Keeps a core busy: {least:.0%} or more for {lasted}."
            return Flag(ailment=Ailment.BUSY, sentence=sentence)
    return None


def growing(readings: Sequence[Reading], rules: Rules) -> Flag | None:
    """Whether memory has grown steadily: by enough, and by nearly any two moments compared.

    The median of all slopes between two moments does not move for a few high readings; that
    even the lower quarter of them rises tells a leak from a cache that was filled once.
    """
    points = _thinned(readings, rules.growth_seconds)
    if len(points) < _MOST_POINTS // 2 or points[-1].at - points[0].at < rules.growth_seconds * 0.9:
        return None
    slopes = sorted(
        (later.memory_bytes - earlier.memory_bytes) / (later.at - earlier.at)
        for index, earlier in enumerate(points)
        for later in points[index + 1 :]
        if later.at > earlier.at
    )
    if not slopes or slopes[len(slopes) // 4] <= 0:
        return None
    seconds = points[-1].at - points[0].at
    grown = median(slopes) * seconds
    at_first = median(one.memory_bytes for one in points[: max(1, len(points) // 6)])
    if grown < max(rules.least_growth_bytes, rules.least_growth_share * at_first):
        return None
    return Flag(
        ailment=Ailment.GROWING,
        sentence=f"Memory grows: by {grown / _MEGABYTE:.0f} MB in {_time(seconds)}, steadily.",
    )


def _thinned(readings: Sequence[Reading], seconds: float) -> list[Reading]:
    """Readings of the last while, at most one for each of equal parts of it."""
    if not readings:
        return []
    since, step = readings[-1].at - seconds, seconds / (_MOST_POINTS - 1)
    points: list[Reading] = []
    for one in readings:
        if one.at < since - step / 2:
            continue
        if not points or one.at - points[-1].at >= step * 0.99:
            points.append(one)
    return points


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A line of a strategy's own code, and in how many of the samples it was there."""

    file: str
    line: int
    function: str
    times: int
    samples: int

    def __str__(self) -> str:
        """For the end of a sentence: ``line 12 of ema.py, in on_bar (6 of 7 looks)``."""
        inside = "" if self.function == "<module>" else f", in {self.function}"
        return f"line {self.line} of {self.file}{inside} ({self.times} of {self.samples} looks)"


def blame(stacks: Sequence[Sequence[tuple[str, int, str]]], folder: str) -> Place | None:
    """The line that a busy run is at most often: the innermost one in ``folder``.

    A stack is (file, line, function) from the inside out. One that is nowhere in the folder
    counts by its innermost frame, whoever wrote that.
    """
    prefix = folder.rstrip("/") + "/"
    found: Counter[tuple[str, int, str]] = Counter()
    for stack in stacks:
        own = [frame for frame in stack if frame[0].startswith(prefix)]
        if own or stack:
            found[(own or list(stack))[0]] += 1
    if not found:
        return None
    (file, line, function), times = found.most_common(1)[0]
    return Place(
        file=file.removeprefix(prefix),
        line=line,
        function=function,
        times=times,
        samples=found.total(),
    )

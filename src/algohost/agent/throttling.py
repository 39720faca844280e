"""Runs that keep a core busy yield to everything else until they calm down.

Nothing is taken from a run on a machine that has processors to spare, and nothing from one that
waits for prices as strategies do. What is throttled gets what the server, the other runs and other
programs leave. It is undone after the run has calmed down, so it is done only where it can be
undone: in a control group of the run's own, or where this user may lower niceness again.

Judged at each look that is made for a server: without one nobody is waited for.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from algohost.runner.bounds import NICENESS
from algohost.runner.measures import UsageSample

log = logging.getLogger(__name__)

BUSY_SHARE: Final = 0.9
"""Of one core, wanted in every interval of the last ``BUSY_SECONDS``; waiting for one counts.

With several threads only in intervals that lie between two busy ones is it known to have lasted."""
BUSY_SECONDS: Final = 10.0
CALM_SECONDS: Final = 10.0
"""For so long it must want less than that."""
_MOST_OF_ONE: Final = 1.1
"""A single thread's share, measured with all that rounding and two clocks add."""
_NICEST: Final = 19
_CAN_RENICE: Final = 1 << 23
"""``CAP_SYS_NICE``."""


class Lever(Protocol):
    """What makes a run yield."""

    def yields(self, run_id: str, pids: Sequence[int]) -> bool:
        """Whether it does, as the kernel says: another agent may have seen to it."""

    def throttle(self, run_id: str, pids: Sequence[int]) -> bool:
        """Makes it yield; whether that could be done."""

    def let_go(self, run_id: str, pids: Sequence[int]) -> bool:
        """Puts it back among the others; whether that could be done."""


@dataclass(slots=True)
class _Pace:
    """One run's."""

    at: float
    wanted_seconds: float
    since: float
    """From when on it has been as it is: busy or calm."""
    threads: int
    is_busy: bool
    is_throttled: bool


class Throttling:
    """Throttles and lets go."""

    def __init__(self, lever: Lever) -> None:
        self._lever = lever
        self._paces: dict[str, _Pace] = {}

    def look(
        self, samples: Sequence[UsageSample], *, now: float, trees: dict[str, Sequence[int]]
    ) -> tuple[UsageSample, ...]:
        """Judges each run by its sample; returns them with what is true of it now.

        ``now`` is of the monotonic clock, ``trees`` has the pids of each run.
        """
        for gone in self._paces.keys() - {one.run_id for one in samples}:
            del self._paces[gone]
        return tuple(self._judged(one, now, trees.get(one.run_id, ())) for one in samples)

    def _judged(self, sample: UsageSample, now: float, pids: Sequence[int]) -> UsageSample:
        wanted = sample.cpu_seconds + sample.waited_seconds
        pace = self._paces.get(sample.run_id)
        if pace is None:
            # one that has wanted less was throttled by nobody: its script has made itself so nice
            has_worked = wanted >= BUSY_SECONDS * BUSY_SHARE
            is_throttled = has_worked and self._lever.yields(sample.run_id, pids)
            pace = _Pace(now, wanted, now, sample.threads, is_throttled, is_throttled)
            self._paces[sample.run_id] = pace
        elif now > pace.at:
            share = (wanted - pace.wanted_seconds) / (now - pace.at)
            is_busy = share >= BUSY_SHARE
            # several threads want so much in a part of it: an interval at either end does not count
            is_whole = not is_busy or (sample.threads == pace.threads == 1 and share < _MOST_OF_ONE)
            if is_busy != pace.is_busy:
                pace.is_busy, pace.since = is_busy, pace.at if is_whole else now
            lasted = (now if is_whole else pace.at) - pace.since
            pace.at, pace.wanted_seconds, pace.threads = now, wanted, sample.threads
            self._act(sample.run_id, pace, pids, lasted)
        return replace(sample, is_throttled=pace.is_throttled)

    def _act(self, run_id: str, pace: _Pace, pids: Sequence[int], lasted: float) -> None:
        if pace.is_busy and not pace.is_throttled and lasted >= BUSY_SECONDS:
            pace.is_throttled = self._lever.throttle(run_id, pids)
            if pace.is_throttled:
                log.info("run_throttled run=%s", run_id)
        elif not pace.is_busy and pace.is_throttled and lasted >= CALM_SECONDS:
            pace.is_throttled = not self._lever.let_go(run_id, pids)
            log.info("run_let_go run=%s is_throttled=%s", run_id, pace.is_throttled)
        elif pace.is_busy and pace.is_throttled:
            self._lever.throttle(run_id, pids)  # what it has started meanwhile, too


class Niceness:
    """The lever where a run has no control group: its threads, and its session where those count.

    ``usual`` is a run's niceness when it begins.
    """

    def __init__(self, usual: int, *, can_undo: bool) -> None:
        self._usual = min(usual, _NICEST)
        self._can_undo = can_undo and self._usual < _NICEST

    def yields(self, _run_id: str, pids: Sequence[int]) -> bool:
        """By its main process, which is the first of ``pids``."""
        if sys.platform == "win32" or not self._can_undo or not pids:
            return False
        with contextlib.suppress(OSError):
            return os.getpriority(os.PRIO_PROCESS, pids[0]) == _NICEST
        return False

    def throttle(self, _run_id: str, pids: Sequence[int]) -> bool:
        """Every thread goes behind all others."""
        return self._can_undo and self._set(pids, _NICEST, _NICEST)

    def let_go(self, _run_id: str, pids: Sequence[int]) -> bool:
        """Every thread has the niceness of a run's beginning again."""
        return self._set(pids, self._usual, NICENESS)

    @staticmethod
    def _set(pids: Sequence[int], niceness: int, session: int) -> bool:
        if sys.platform == "win32":
            return False
        is_done = True
        for thread in _threads(pids):
            try:
                os.setpriority(os.PRIO_PROCESS, thread, niceness)
            except ProcessLookupError:
                continue
            except OSError:
                is_done = False
        for pid in pids:
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/autogroup").write_text(str(session), encoding="ascii")
        return is_done


def niceness_lever() -> Niceness:
    """As this agent may use it."""
    if sys.platform == "win32":
        return Niceness(_NICEST, can_undo=False)
    usual = os.getpriority(os.PRIO_PROCESS, 0) + NICENESS
    return Niceness(usual, can_undo=can_lower_niceness(usual))


class FirstThatCan:
    """The first of several levers that moves a run."""

    def __init__(self, levers: Collection[Lever]) -> None:
        self._levers = levers

    def yields(self, run_id: str, pids: Sequence[int]) -> bool:
        """By any of them."""
        return any(one.yields(run_id, pids) for one in self._levers)

    def throttle(self, run_id: str, pids: Sequence[int]) -> bool:
        """By the first that can."""
        return any(one.throttle(run_id, pids) for one in self._levers)

    def let_go(self, run_id: str, pids: Sequence[int]) -> bool:
        """By each that holds it."""
        return all(one.let_go(run_id, pids) for one in self._levers if one.yields(run_id, pids))


def can_lower_niceness(
    to: int, *, status: Path = Path("/proc/self/status"), proc: Path = Path("/proc")
) -> bool:
    """Whether this user may make a run of its own less nice again, and that has an effect.

    With a group for each session niceness counts inside the session only, and the session's own
    can be set by root alone, for nobody else may write to the folder of a run in ``/proc``.
    """
    if sys.platform != "linux":
        return False
    import resource

    try:
        has_sessions = (proc / "sys/kernel/sched_autogroup_enabled").read_text().strip() == "1"
    except OSError:
        has_sessions = False
    if has_sessions and os.geteuid() != 0:
        return False
    most = resource.getrlimit(resource.RLIMIT_NICE)[0]  # counted from 20 downwards
    if most == resource.RLIM_INFINITY or most >= 20 - to:
        return True
    try:
        text = status.read_text(encoding="ascii", errors="replace")
        line = next(line for line in text.splitlines() if line.startswith("CapEff:"))
        return bool(int(line.split()[1], 16) & _CAN_RENICE)
    except (OSError, StopIteration, ValueError, IndexError):
        return False


def _threads(pids: Sequence[int]) -> Iterator[int]:
    for pid in pids:
        with contextlib.suppress(OSError):
            yield from (int(name) for name in os.listdir(f"/proc/{pid}/task"))

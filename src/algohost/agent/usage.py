"""What the live runs use: one look at ``/proc`` for all of them, every few seconds.

A run is not dumpable, so only root may read ``smaps`` of it. Memory is therefore its anonymous
resident pages (``statm``, which everybody may read); where ``smaps_rollup`` opens, the
proportional share is read every two minutes for each process and moved by the anonymous pages in
between: reading it every time would cost more than all the rest.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from algohost.agent.loop import Loop, Timer
from algohost.agent.runs import Run
from algohost.agent.throttling import Throttling
from algohost.agent.trees import members
from algohost.runner.measures import MemoryKind, Usage, UsageSample
from algohost.runner.processes import HAS_PROC, Seen
from algohost.runner.system import system

log = logging.getLogger(__name__)

SHARE_SECONDS: Final = 120.0
"""How long a proportional share is believed."""
_SHARES_A_LOOK: Final = 20
_KERNEL_THREAD: Final = 0x00200000
_SHORTEST_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class _Process:
    """What one read of ``/proc/PID/stat`` says."""

    seen: Seen
    cpu_ticks: int
    threads: int


@dataclass(slots=True)
class _Share:
    """By how much the proportional share differs from the anonymous pages, and until when."""

    difference: int
    good_until: float


class Sizes(Protocol):
    """Who knows how much is in a run's folder, and what its control group holds."""

    def folder_bytes(self, run_id: str) -> int:
        """0 until it was measured."""

    def group_memory_bytes(self, run_id: str) -> int | None:
        """``None`` for a run without a group."""


class Meter:
    """Looks at processes. Keeps what need not be read again for as long as they live."""

    def __init__(self, sizes: Sizes, *, proc: str = "/proc") -> None:
        self._sizes = sizes
        self._proc = proc
        self._ticks_a_second, self._page = 100, 4096
        if sys.platform != "win32":
            self._ticks_a_second = os.sysconf("SC_CLK_TCK")
            self._page = os.sysconf("SC_PAGE_SIZE")
        self._marks: dict[tuple[int, int], tuple[int | None, int]] = {}
        self._shares: dict[tuple[int, int], _Share] = {}
        self._cpu: dict[str, float] = {}
        self._can_share = True
        self.trees: dict[str, Sequence[int]] = {}
        """The pids of each run at the last look, its main process first."""

    def look(self, runs: Collection[Run], *, spared: Collection[int]) -> tuple[UsageSample, ...]:
        """A sample of each run that has a living process; none where there is no ``/proc``."""
        living = [run for run in runs if run.pid is not None]
        if not HAS_PROC or not living:
            self._forget(set(), set())
            self.trees = {}
            return ()
        table = self._table()
        trees = members(living, [one.seen for one in table.values()], spared=spared)
        now, budget = time.monotonic(), [_SHARES_A_LOOK]
        samples = []
        for run in living:
            tree = [table[seen.pid] for seen in trees[run.run_id]]
            if tree:
                samples.append(self._sample(run, tree, now, budget))
        self.trees = {
            run.run_id: sorted((s.pid for s in trees[run.run_id]), key=lambda pid: pid != run.pid)
            for run in living
        }
        self._forget(
            {(one.seen.pid, one.seen.start_ticks) for one in table.values()},
            {run.run_id for run in living},
        )
        return tuple(samples)

    def _sample(
        self, run: Run, tree: Sequence[_Process], now: float, budget: list[int]
    ) -> UsageSample:
        cpu = sum(one.cpu_ticks for one in tree) / self._ticks_a_second
        cpu = self._cpu[run.run_id] = max(cpu, self._cpu.get(run.run_id, 0.0))
        memory, kind = self._memory(run, tree, now, budget)
        return UsageSample(
            run_id=run.run_id,
            cpu_seconds=round(cpu, 2),
            waited_seconds=round(self._waited(run), 3),
            memory_bytes=memory,
            memory_kind=kind,
            threads=sum(one.threads for one in tree),
            processes=len(tree),
            folder_bytes=self._sizes.folder_bytes(run.run_id),
            log_bytes=_size(run.log_path),
        )

    def _memory(
        self, run: Run, tree: Sequence[_Process], now: float, budget: list[int]
    ) -> tuple[int, MemoryKind]:
        charged = self._sizes.group_memory_bytes(run.run_id)
        if charged is not None:
            return charged, "cgroup"
        kind: MemoryKind = "pss"
        total = 0
        for one in tree:
            anonymous = self._anonymous(one.seen.pid)
            share = self._share(one.seen, anonymous, now, budget)
            if share is None:
                kind = "anonymous"
            total += max(0, anonymous + (share.difference if share else 0))
        return total, kind

    def _share(self, seen: Seen, anonymous: int, now: float, budget: list[int]) -> _Share | None:
        key = (seen.pid, seen.start_ticks)
        known = self._shares.get(key)
        is_due = known is None or known.good_until <= now
        if not is_due or not self._can_share or budget[0] <= 0:
            return known
        budget[0] -= 1
        pss = self._pss(seen.pid)
        if pss is None:
            return known
        # a little apart, so that a hundred runs that began together are not read together for ever
        good_until = now + SHARE_SECONDS + seen.pid % 20
        self._shares[key] = _Share(pss - anonymous, good_until)
        return self._shares[key]

    def _pss(self, pid: int) -> int | None:
        try:
            text = _read(f"{self._proc}/{pid}/smaps_rollup")
        except PermissionError:
            self._can_share = False
            return None
        except OSError:
            return None
        at = text.find(b"Pss:")
        return None if at < 0 else int(text[at + 4 :].split(None, 1)[0]) * 1024

    def _anonymous(self, pid: int) -> int:
        try:
            fields = _read(f"{self._proc}/{pid}/statm").split(None, 3)
        except OSError:
            return 0
        return max(0, int(fields[1]) - int(fields[2])) * self._page

    def _waited(self, run: Run) -> float:
        """Nanoseconds on the run queue: busy on a full machine is busy all the same."""
        try:
            return int(_read(f"{self._proc}/{run.pid}/schedstat").split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            return 0.0

    def _table(self) -> dict[int, _Process]:
        table = {}
        for name in os.listdir(self._proc):
            if name.isdecimal():
                process = self._process(int(name))
                if process is not None:
                    table[process.seen.pid] = process
        return table

    def _process(self, pid: int) -> _Process | None:
        try:
            text = _read(f"{self._proc}/{pid}/stat")
        except OSError:
            return None
        fields = text[text.rindex(b")") + 2 :].split()
        if int(fields[6]) & _KERNEL_THREAD:
            return None
        ticks = int(fields[19])
        seen = Seen(
            pid=pid,
            parent=int(fields[1]),
            session=int(fields[3]),
            start_ticks=ticks,
            mark=self._mark(pid, ticks),
            is_zombie=fields[0] in (b"Z", b"X"),
        )
        cpu_ticks = sum(int(field) for field in fields[11:15])
        return _Process(seen, cpu_ticks, int(fields[17]))

    def _mark(self, pid: int, ticks: int) -> int | None:
        """Read twice and then believed: a process that is just being set up has none yet."""
        mark, reads = self._marks.get((pid, ticks), (None, 0))
        if reads < 2:
            mark = _mark_in(f"{self._proc}/{pid}/limits")
            self._marks[pid, ticks] = (mark, reads + 1)
        return mark

    def _forget(self, processes: set[tuple[int, int]], runs: set[str]) -> None:
        for gone in self._marks.keys() - processes:
            del self._marks[gone]
        for gone in self._shares.keys() - processes:
            del self._shares[gone]
        for ended in self._cpu.keys() - runs:
            del self._cpu[ended]


class Sampling:
    """Measures for as long as somebody listens."""

    def __init__(
        self,
        loop: Loop,
        meter: Meter,
        *,
        runs: Callable[[], Collection[Run]],
        spared: Callable[[], Collection[int]],
        wanted_seconds: Callable[[], float | None],
        tell: Callable[[Usage], None],
        throttling: Throttling,
    ) -> None:
        self._throttling = throttling
        self._loop = loop
        self._meter = meter
        self._runs = runs
        self._spared = spared
        self._wanted_seconds = wanted_seconds
        self._tell = tell
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Somebody has begun to listen: measures now, and goes on while one is there."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.soon(self._measure)

    def _measure(self) -> None:
        self._timer = None
        seconds = self._wanted_seconds()
        if seconds is None:
            return
        self._timer = self._loop.later(max(_SHORTEST_SECONDS, seconds), self._measure)
        samples = self._meter.look(self._runs(), spared={os.getpid(), *self._spared()})
        if samples:
            now = time.monotonic()
            judged = self._throttling.look(samples, now=now, trees=self._meter.trees)
            self._tell(Usage(at=time.time(), monotonic=now, samples=judged))


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | system.FILE_FLAGS)
    try:
        return os.read(descriptor, 8192)
    finally:
        os.close(descriptor)


def _mark_in(path: str) -> int | None:
    try:
        text = _read(path)
    except OSError:
        return None
    start = text.find(b"Max file locks")
    if start < 0:
        return None
    hard = text[start:].split(b"\n", 1)[0].split()[4]
    return int(hard) if hard.isdigit() else None


def _size(path: str) -> int:
    try:
        return os.lstat(path).st_size if path else 0
    except OSError:
        return 0

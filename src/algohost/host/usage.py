"""What the live runs use: heard from the agent, shown at once, kept for a day in small rows.

The newest minutes are in memory, every few seconds; on disk there is a row for each run every
half minute, which for two hundred runs is some 60 MB a day.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from algohost.domain.errors import Unavailable
from algohost.domain.health import Reading
from algohost.domain.ids import RunId
from algohost.domain.ports import Clock
from algohost.host.registry import Registry
from algohost.runner.measures import MemoryKind, Usage, UsageSample
from algohost.store import events as stored_events
from algohost.store import samples as stored
from algohost.store.database import Database

log = logging.getLogger(__name__)

KEPT: Final = timedelta(days=1)
WINDOW: Final = timedelta(minutes=30)
"""What a page shows, and what health looks at."""
_RECENT: Final = 150
_STORE_SECONDS: Final = 30.0
_FLUSH_SECONDS: Final = 10.0
_PRUNE_SECONDS: Final = 3600.0
_MOST_WAITING: Final = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """What a run used at one moment."""

    at: datetime
    reading: Reading
    cpu_seconds: float
    threads: int
    processes: int
    folder_bytes: int
    log_bytes: int
    memory_kind: MemoryKind
    is_throttled: bool = False

    @property
    def written_bytes(self) -> int:
        """What is in its folder and has gone to its log."""
        return self.folder_bytes + self.log_bytes


@dataclass(slots=True)
class _Run:
    recent: deque[Point] = field(default_factory=lambda: deque(maxlen=_RECENT))
    older: deque[Reading] = field(default_factory=lambda: deque(maxlen=80))
    stored_at: float = float("-inf")


Listener = Callable[[RunId], None]


class UsageLog:
    """The newest of every live run, and who wants to hear of it. Used on the server's loop."""

    def __init__(self, clock: Clock, database: Database, registry: Registry) -> None:
        self._clock = clock
        self._database = database
        self._registry = registry
        self._runs: dict[RunId, _Run] = {}
        self._waiting: deque[stored.Sample] = deque(maxlen=_MOST_WAITING)
        self._listeners: list[Listener] = []
        self.failures = 0
        """Listeners that raised."""

    def hear(self, usage: Usage) -> tuple[RunId, ...]:
        """Takes in what the agent has measured; returns the runs of ours among it."""
        live = {v.latest.id for v in self._registry if v.latest is not None and v.latest.is_live}
        for ended in self._runs.keys() - live:
            del self._runs[ended]
        heard = []
        for sample in usage.samples:
            run_id = RunId(sample.run_id)
            if run_id in live:
                self._take(run_id, usage, sample)
                heard.append(run_id)
        for run_id in heard:
            self._tell(run_id)
        return tuple(heard)

    def newest(self, run_id: RunId) -> Point | None:
        """The last that was heard of a live run."""
        run = self._runs.get(run_id)
        return run.recent[-1] if run is not None and run.recent else None

    def before(self, run_id: RunId) -> Point | None:
        """The one before ``newest``."""
        run = self._runs.get(run_id)
        return run.recent[-2] if run is not None and len(run.recent) > 1 else None

    def readings(self, run_id: RunId) -> Sequence[Reading]:
        """For health: the last half hour, oldest first."""
        run = self._runs.get(run_id)
        if run is None:
            return ()
        return (*run.older, *(point.reading for point in run.recent))

    def history(self, run_id: RunId, *, since: datetime) -> Sequence[stored.Sample]:
        """What is known of a run from ``since`` on, oldest first: from disk, then from memory.

        Raises ``Unavailable``.
        """
        rows = list(self._database.read(lambda c: stored.of_run(c, run_id, since=since)))
        run = self._runs.get(run_id)
        recent = () if run is None else tuple(run.recent)  # at once: the loop goes on adding
        if recent:
            first = max(since, recent[0].at)
            rows = [row for row in rows if row.at < first]
            rows += [_row(run_id, point) for point in recent if point.at >= first]
        return rows

    def events(self, run_id: RunId) -> Sequence[stored_events.Event]:
        """What happened to a run, newest first. Raises ``Unavailable``."""
        return self._database.read(lambda c: stored_events.of_run(c, run_id))

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls ``listener`` with each run that was heard of, until the returned is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    async def run(self) -> None:
        """Writes what waits, in batches, and throws away what is old; until it is cancelled."""
        prune_at = 0.0
        try:
            while True:
                await asyncio.sleep(_FLUSH_SECONDS)
                await self.flush()
                if self._clock.monotonic() >= prune_at:
                    prune_at = self._clock.monotonic() + _PRUNE_SECONDS
                    await self._prune()
        finally:
            await self.flush()

    async def flush(self) -> None:
        """Writes what waits. Without a disk to write to it goes on waiting, up to a bound."""
        batch = tuple(self._waiting)
        if not batch:
            return
        self._waiting.clear()  # before the write: what comes meanwhile is of the next batch
        is_written = False
        try:
            await self._database.write(lambda c: stored.add(c, batch))
            is_written = True
        except Unavailable as error:
            log.warning("samples_wait count=%d why=%s", len(batch), error)
        finally:
            if not is_written:  # the oldest go first where there is no room
                self._waiting = deque((*batch, *self._waiting), maxlen=_MOST_WAITING)

    async def _prune(self) -> None:
        before = self._clock.now() - KEPT
        try:
            gone = await self._database.write(lambda c: stored.prune(c, before=before))
        except Unavailable as error:
            log.warning("samples_not_pruned why=%s", error)
            return
        log.debug("samples_pruned rows=%d", gone)

    def _tell(self, run_id: RunId) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(run_id)
            except Exception:  # one tab that went wrong must not end the watch over every run
                self.failures += 1
                log.exception("listener_failed listener=%r", listener)

    def _take(self, run_id: RunId, usage: Usage, sample: UsageSample) -> None:
        run = self._runs.get(run_id)
        if run is None:
            run = self._runs[run_id] = _Run()
            self._recall(run_id, run, usage)
        point = _point(usage, sample)
        if len(run.recent) == _RECENT and _is_due(run.older, run.recent[0].reading):
            run.older.append(run.recent[0].reading)
        run.recent.append(point)
        if usage.monotonic - run.stored_at >= _STORE_SECONDS:
            run.stored_at = usage.monotonic
            self._waiting.append(_row(run_id, point))

    def _recall(self, run_id: RunId, run: _Run, usage: Usage) -> None:
        """A run that is older than this server: its last half hour is on disk."""
        since = datetime.fromtimestamp(usage.at, UTC) - WINDOW
        try:
            rows = self._database.read(lambda c: stored.of_run(c, run_id, since=since))
        except Unavailable:
            return
        for row in rows:
            reading = Reading(
                at=usage.monotonic - (usage.at - row.at.timestamp()),
                wanted_seconds=row.cpu_seconds,
                memory_bytes=row.memory_bytes,
            )
            if reading.at < usage.monotonic and _is_due(run.older, reading):
                run.older.append(reading)


def _is_due(older: Sequence[Reading], reading: Reading) -> bool:
    return not older or reading.at - older[-1].at >= _STORE_SECONDS * 0.9


def _point(usage: Usage, sample: UsageSample) -> Point:
    return Point(
        at=datetime.fromtimestamp(usage.at, UTC),
        reading=Reading(
            at=usage.monotonic,
            wanted_seconds=sample.cpu_seconds + sample.waited_seconds,
            memory_bytes=sample.memory_bytes,
        ),
        cpu_seconds=sample.cpu_seconds,
        threads=sample.threads,
        processes=sample.processes,
        folder_bytes=sample.folder_bytes,
        log_bytes=sample.log_bytes,
        memory_kind=sample.memory_kind,
        is_throttled=sample.is_throttled,
    )


def _row(run_id: RunId, point: Point) -> stored.Sample:
    return stored.Sample(
        run_id=run_id,
        at=point.at,
        cpu_seconds=point.cpu_seconds,
        memory_bytes=point.reading.memory_bytes,
        threads=point.threads,
        written_bytes=point.written_bytes,
    )

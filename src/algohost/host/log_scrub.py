"""Covers secrets in the log files themselves: while a run lives, and before its end is written.

A run appends to its log and nobody else does; what is found is overwritten in its place, so that
no offset changes and no line is lost. It is looked at again just before: a log that was cut, or
whose beginning became a hole meanwhile, is left as it is and looked at again later. And just
after, for a write waits until a hole is made, and then lies in it.
"""

import asyncio
import logging
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from algohost.domain.ids import RunId, StrategyId
from algohost.domain.runs import Run
from algohost.host.log_cover import Cover
from algohost.host.registry import Registry
from algohost.runner.log_holes import data_from, drop_before, read_at

log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 2.0
_BEFORE_THE_END_SECONDS: Final = 0.5
"""So long the end of a run may wait to be written down; the rest is done after it."""
_TURN_SECONDS: Final = 0.25
_HEAD_BYTES: Final = 64
_MUCH_SECONDS: Final = 0.002
_CHUNK_BYTES: Final = 262_144
_LEAST_CHUNK_BYTES: Final = 16_384
_LONG_SECONDS: Final = 0.01
"""For a piece: while an expression is matched the loop waits, and that of many secrets is long."""
_FLAGS: Final = (
    os.O_RDWR
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)
"""Not to append: what is written with an offset would go to the end all the same."""


@dataclass(frozen=True, kw_only=True)
class _Place:
    """How far a log was looked through: this file, up to this byte."""

    file: tuple[int, int]
    offset: int
    head: bytes
    """What it began with: a log that was cut to nothing is soon as long again."""

    def is_in(self, file: tuple[int, int], size: int, head: bytes) -> bool:
        """Whether it is a place in that file; a dropped beginning is a hole."""
        begins_so = head.startswith((self.head, b"\0"))
        return self.file == file and self.offset <= size and begins_so


class LogScrubber:
    """Looks through the logs of strategies that have secrets."""

    def __init__(
        self, *, folder: Path, registry: Registry, cover: Callable[[StrategyId], Cover]
    ) -> None:
        self._folder = folder
        self._registry = registry
        self._cover = cover
        self._places: dict[RunId, _Place] = {}
        self._unfinished: dict[RunId, Run] = {}
        self._refused: set[RunId] = set()
        self._ending = threading.Event()
        self.failures = 0

    async def run(self) -> None:
        """Goes on for as long as the task does, one log at a time, in a thread of its own."""
        for view in self._registry:  # a server may have died between an end and its log's
            if view.latest is not None:
                self._unfinished[view.latest.id] = view.latest
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(1, thread_name_prefix="log-scrub")
        self._ending.clear()
        try:
            while True:
                is_behind = await loop.run_in_executor(thread, self._turn, tuple(self._wanted()))
                await asyncio.sleep(_TURN_SECONDS if is_behind else _LOOK_SECONDS)
        finally:
            self._ending.set()
            thread.shutdown(wait=False, cancel_futures=True)

    def before_the_end(self, run: Run) -> None:
        """Covers what it can in half a second; the rest is done in the loop's turns."""
        if not self._looked_through(run, seconds=_BEFORE_THE_END_SECONDS, has_ended=True):
            self._unfinished[run.id] = run

    def scrub(self, run: Run, *, seconds: float, has_ended: bool) -> bool:
        """Covers what was written since it was asked last; says whether it came to the end.

        The end of a live log is left to the next time, for a secret may go on there.
        Raises ``OSError``.
        """
        cover = self._cover(run.strategy_id)
        path = self._folder / run.log_name
        if not cover.has_secrets or not run.log_name or path.parent != self._folder:
            return True
        with _opened(path) as descriptor:
            if descriptor is None:
                return True
            status = os.fstat(descriptor)
            file, size = (status.st_dev, status.st_ino), status.st_size
            place, begin = self._places.get(run.id), 0
            if place is not None and place.is_in(file, size, _head(descriptor)):
                begin = place.offset
            if has_ended:  # a beginning of a secret was left for what would follow
                begin = min(begin, max(0, size - 1))
            reached = _cover_from(descriptor, begin, size, cover, seconds, is_open=has_ended)
            head = _head(descriptor)
        if reached < size or not has_ended:
            self._places[run.id] = _Place(file=file, offset=max(reached, begin), head=head)
        else:
            self._places.pop(run.id, None)
        return reached >= size

    def _wanted(self) -> Iterator[tuple[Run, bool]]:
        live = [view.latest for view in self._registry if view.latest and view.latest.is_live]
        for run in live:
            self._unfinished.pop(run.id, None)
            yield run, False
        for run in tuple(self._unfinished.values()):
            yield run, True

    def _turn(self, wanted: Sequence[tuple[Run, bool]]) -> bool:
        """A while for each of them; says whether something is left to do.

        It rests for as long as it works, for the loop needs the interpreter, too.
        """
        is_behind = False
        for gone in self._places.keys() - {run.id for run, _ in wanted}:
            self._places.pop(gone, None)
        for run, has_ended in wanted:
            began = time.monotonic()
            if not self._looked_through(run, seconds=_TURN_SECONDS, has_ended=has_ended):
                is_behind = True
            elif has_ended:
                self._unfinished.pop(run.id, None)
            worked = time.monotonic() - began
            if self._ending.wait(worked) if worked > _MUCH_SECONDS else self._ending.is_set():
                break
        return is_behind

    def _looked_through(self, run: Run, *, seconds: float, has_ended: bool) -> bool:
        """Whether nothing is left to do; a log that cannot be looked at is left as it is."""
        try:
            return self.scrub(run, seconds=seconds, has_ended=has_ended)
        except OSError as error:
            if run.id not in self._refused:
                self._refused.add(run.id)
                log.warning("log_not_scrubbed run=%s reason=%s", run.id, error)
        except Exception:  # an end is written down whatever its log is like
            self.failures += 1
            log.exception("log_scrub_failed run=%s", run.id)
        return True


def _head(descriptor: int) -> bytes:
    return read_at(descriptor, _HEAD_BYTES, 0)


def _cover_from(
    descriptor: int, begin: int, size: int, cover: Cover, seconds: float, *, is_open: bool
) -> int:
    """Covers what is in the file from ``begin`` on; returns up to where it came."""
    began = time.monotonic()
    deadline, count = began + seconds, _CHUNK_BYTES
    while begin < size:
        begin, stop = data_from(descriptor, begin, size)
        if begin >= size:
            break
        stop = min(stop, begin + count)
        start = max(0, begin - cover.margin)
        text = read_at(descriptor, min(stop + cover.margin, size) - start, start)
        if not text:
            break
        is_end = is_open and start + len(text) >= size
        for first, last in cover.spans(text, is_open=is_end):
            _overwrite(descriptor, start + first, text[first:last], text[last : last + 1])
        begin = stop
        now = time.monotonic()
        if now > deadline:
            break
        if now - began > _LONG_SECONDS:
            count = max(count // 2, min(count, max(_LEAST_CHUNK_BYTES, cover.margin)))
        began = now
    return begin


def _overwrite(descriptor: int, offset: int, found: bytes, following: bytes) -> None:
    covered = b"*" * len(found)
    if found == covered or read_at(descriptor, len(found), offset) != found:
        return
    if sys.platform == "win32":
        os.lseek(descriptor, offset, os.SEEK_SET)
        os.write(descriptor, covered)
    else:
        os.pwrite(descriptor, covered, offset)
    end = offset + len(found)
    if following not in (b"", b"\0") and read_at(descriptor, 1, end) == b"\0":
        _drop_again(descriptor, end)


def _drop_again(descriptor: int, end: int) -> None:
    """All that is before ``end`` was dropped when it was written into."""
    block = getattr(os.fstat(descriptor), "st_blksize", 4096)
    stop = -(-end // block) * block
    is_kept = read_at(descriptor, stop - end, end).strip(b"\0")
    drop_before(descriptor, end if is_kept else stop)


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    """A plain file of this user with one name, by its name in its folder; else nothing."""
    try:
        if sys.platform == "win32":
            descriptor = os.open(path, _FLAGS)
        else:
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                descriptor = os.open(path.name, _FLAGS, dir_fd=folder)
            finally:
                os.close(folder)
    except OSError:
        yield None
        return
    try:
        status = os.fstat(descriptor)
        is_ours = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
        is_log = stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and is_ours
        yield descriptor if is_log else None
    finally:
        os.close(descriptor)

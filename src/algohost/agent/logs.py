"""Keeps the logs of live runs within their bounds, and where they belong.

A run writes its log itself, so that nobody has to be alive for it; what it may hold of its
newest output is seen to from here. Of a quiet log only the size is asked for, four times a
second and of all in one turn; looks come quickly after one another for one that grows fast: a
flood is cut, and never blocks or ends its run.

The descriptor of a live log is held. If somebody deletes or replaces the file, the run goes on
into what has no name any more; from there its output is carried over to the name.
"""

import contextlib
import logging
import os
import stat
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from algohost.agent.loop import Loop
from algohost.agent.runs import Run
from algohost.agent.table import Table
from algohost.runner.log_holes import (
    drop_before,
    dropped_words,
    line_end_after,
    read_at,
    size_on_disk,
)

log = logging.getLogger(__name__)

_LONGEST_WAIT: Final = 0.25
_SHORTEST_WAIT: Final = 0.02
_QUIET_SECONDS: Final = 2.0
"""After which a log that does not grow is looked for under its name again."""
_MOST_HELD: Final = 256
"""Descriptors; further logs are looked at by name and opened when they are too large."""
_MOST_CARRIED: Final = 8 << 20
_FLAGS: Final = (
    os.O_RDWR
    | os.O_APPEND
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
)


class NotOurLog(OSError):
    """What lies in a log's place is not a plain file of this user with one name."""


@dataclass(kw_only=True)
class _Watched:
    """One live log."""

    run: Run
    path: Path
    due: float
    looked: float
    """When its size was known last, on the monotonic clock."""
    is_fast: bool = False
    """Whether it grows so fast that it is not left until the next turn."""
    on_disk: int = 0
    size: int = 0
    descriptor: int | None = None
    carried: int | None = None
    """How far the output of a file without name has been carried over."""
    is_refused: bool = False


class LogKeeper:
    """Looks after the logs of all live runs of a table."""

    def __init__(self, table: Table, loop: Loop) -> None:
        self._table = table
        self._loop = loop
        self._watched: dict[str, _Watched] = {}
        self._next_turn = 0.0
        table.listen(self._changed)

    def begin(self) -> None:
        """Looks from now on."""
        now = time.monotonic()
        for run in self._table.live():
            self._watch(run, now)
        self._look()

    def _changed(self, run: Run) -> None:
        if not run.has_ended:
            self._watch(run, time.monotonic())
        elif run.run_id in self._watched:
            watched = self._watched.pop(run.run_id)
            self._look_at(watched, time.monotonic())  # what it wrote last
            if watched.descriptor is not None:
                os.close(watched.descriptor)

    def _watch(self, run: Run, now: float) -> None:
        if run.log_path and run.run_id not in self._watched:
            self._watched[run.run_id] = _Watched(
                run=run, path=Path(run.log_path), due=now + _SHORTEST_WAIT, looked=now
            )

    def _look(self) -> None:
        """Looks at what is due; in a turn, also at whatever is not as it was."""
        now = time.monotonic()
        is_turn = now >= self._next_turn
        if is_turn:
            self._next_turn = now + _LONGEST_WAIT
        soonest = self._next_turn
        for watched in list(self._watched.values()):
            if watched.due <= now or (is_turn and not _is_unchanged(watched, now)):
                self._look_at(watched, now)
            if watched.is_fast and watched.due < soonest:
                soonest = watched.due
        self._loop.later(max(soonest - time.monotonic(), _SHORTEST_WAIT), self._look)

    def _look_at(self, watched: _Watched, now: float) -> None:
        before, elapsed = watched.on_disk, max(now - watched.looked, 1e-3)
        watched.looked, watched.due, watched.is_fast = now, now + _QUIET_SECONDS, False
        try:
            grown = self._keep_small(watched) - before
        except NotOurLog as error:
            if not watched.is_refused:
                watched.is_refused = True
                log.warning("log_refused run=%s why=%r", watched.run.run_id, str(error))
            return
        except OSError as error:
            log.warning("log_not_kept run=%s why=%r", watched.run.run_id, str(error))
            return
        if grown > 0 and watched.run.limits.log_bytes:
            seconds = watched.run.limits.log_bytes / 4 / (grown / elapsed)
            watched.due = now + min(max(seconds, _SHORTEST_WAIT), _LONGEST_WAIT)
            watched.is_fast = seconds < _LONGEST_WAIT

    def _keep_small(self, watched: _Watched) -> int:
        """Drops what is too much; returns what the log took up before."""
        if watched.descriptor is None:
            status = _status(watched.path)
            if status is None:
                return 0
            if len(self._watched) <= _MOST_HELD:
                watched.descriptor = _open(watched.path)
        else:
            status = os.fstat(watched.descriptor)
            named = _status(watched.path)
            if named is None or named.st_ino != status.st_ino:
                return _carry_over(watched, watched.descriptor)
        found = size_on_disk(status)
        watched.on_disk, watched.size = found, status.st_size
        if 0 < watched.run.limits.log_bytes < found:
            watched.on_disk = self._drop(watched)
        return found

    @staticmethod
    def _drop(watched: _Watched) -> int:
        if watched.descriptor is not None:
            return _drop_oldest(watched.descriptor, watched.run.limits.log_bytes)
        descriptor = _open(watched.path)
        try:
            return _drop_oldest(descriptor, watched.run.limits.log_bytes)
        finally:
            os.close(descriptor)


def _is_unchanged(watched: _Watched, now: float) -> bool:
    """Whether a log has the size it had; the cheapest question there is about a file."""
    try:
        if watched.descriptor is not None:
            size = os.fstat(watched.descriptor).st_size
        else:
            size = os.lstat(watched.path).st_size
    except OSError:
        return False
    if size != watched.size:
        return False
    watched.looked = now
    return True


def _drop_oldest(descriptor: int, most_bytes: int) -> int:
    """Keeps the newest half of what is allowed, from a line's beginning on."""
    size = os.fstat(descriptor).st_size
    size = drop_before(descriptor, line_end_after(descriptor, max(0, size - most_bytes // 2)))
    return size_on_disk(os.fstat(descriptor))


def _carry_over(watched: _Watched, source: int) -> int:
    """Appends what the run has written into a file without name to the one with the name."""
    size = os.fstat(source).st_size
    start = watched.size if watched.carried is None else watched.carried
    if watched.carried is None:
        log.warning("log_replaced run=%s path=%r", watched.run.run_id, str(watched.path))
        watched.carried = start
    if start >= size:
        return watched.on_disk
    descriptor = _open(watched.path, os.O_CREAT)
    try:
        most = min(_MOST_CARRIED, watched.run.limits.log_bytes or _MOST_CARRIED)
        skipped = max(0, size - start - most)
        if skipped:
            _write(descriptor, f"\n{dropped_words(skipped)}\n".encode())
        _write(descriptor, read_at(source, size - start - skipped, start + skipped))
        watched.carried = size
        with contextlib.suppress(OSError):
            drop_before(source, size)
        watched.on_disk = size_on_disk(os.fstat(descriptor))
        if 0 < watched.run.limits.log_bytes < watched.on_disk:
            watched.on_disk = _drop_oldest(descriptor, watched.run.limits.log_bytes)
    finally:
        os.close(descriptor)
    return watched.on_disk + size - start


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _open(path: Path, flags: int = 0) -> int:
    """A log, by its name in its folder, whatever may have been put there. Raises ``OSError``."""
    if sys.platform != "win32":
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            descriptor = os.open(path.name, _FLAGS | flags, 0o640, dir_fd=folder)
        finally:
            os.close(folder)
    else:
        descriptor = os.open(path, _FLAGS | flags, 0o640)
    status = os.fstat(descriptor)
    is_ours = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and is_ours:
        return descriptor
    os.close(descriptor)
    message = f"{path} is not a plain file of this user with one name; it is left alone."
    raise NotOurLog(message)

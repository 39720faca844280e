"""What a run's working folder holds on disk, watched: the kernel bounds one file, not many.

A folder is walked a few hundred entries for each turn of the loop, without following links and
without leaving its file system. The nearer it is to its limit by its present growth, the sooner
it is looked at again. A file that was deleted and is still held open is in no folder: it is not
seen here. A folder that its owner has closed against itself is opened again: what is in it counts.
"""

import errno
import logging
import os
import stat
import sys
import time
from collections.abc import Callable, Collection, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from algohost.agent.loop import Loop
from algohost.agent.runs import Run
from algohost.runner.processes import errno_words

log = logging.getLogger(__name__)

MOST_ENTRIES: Final = 1_000_000
"""A folder with more is over any limit: no script needs them, and measuring takes a minute."""
_ENTRIES_A_TURN: Final = 400
_LOOK_SECONDS: Final = 1.0
_SHORTEST_SECONDS: Final = 1.0
_LONGEST_SECONDS: Final = 10.0
_MOST_OF_TIME: Final = 0.02
"""Of one core, which measuring one large folder may take."""
_BLOCK: Final = 512
_OPEN: Final = stat.S_IRUSR | stat.S_IXUSR
CAN_MEASURE: Final = os.scandir in os.supports_fd and os.open in os.supports_dir_fd


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was found in a folder."""

    bytes: int
    """Allocated on disk: a file of holes takes none. A file with two names counts once."""
    entries: int
    unseen: int
    """Folders that could not be looked into, even after their rights were put right."""
    is_too_deep: bool
    """Whether folders are nested beyond what a path can name."""


def measure(folder: str) -> Generator[None, None, Measured]:
    """Walks in steps; the generator's return value is the result. Raises ``OSError`` for
    a folder that is not there."""
    if sys.platform == "win32":
        raise OSError("Folders cannot be measured on this system.")
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        root = os.open(folder, flags)
    except PermissionError:
        if not _reopen(folder, None, None):
            return Measured(bytes=0, entries=0, unseen=1, is_too_deep=False)
        root = os.open(folder, flags)
    try:
        walk = _Walk(root, flags)
        while walk.waiting:
            yield from walk.step()
        return walk.result()
    finally:
        os.close(root)


class _Walk:
    def __init__(self, root: int, flags: int) -> None:
        self._root, self._flags = root, flags
        here = os.fstat(root)
        self._device = here.st_dev
        self.waiting: list[tuple[str, int]] = [(".", here.st_ino)]
        self._linked: set[int] = set()
        self._bytes = self._entries = self._unseen = 0
        self._is_too_deep = False

    def result(self) -> Measured:
        return Measured(
            bytes=self._bytes,
            entries=self._entries,
            unseen=self._unseen,
            is_too_deep=self._is_too_deep,
        )

    def step(self) -> Generator[None, None, None]:
        """One folder of those that wait."""
        path, inode = self.waiting.pop()
        descriptor = self._open(path, inode)
        if descriptor is None:
            return
        try:
            opened = os.fstat(descriptor)
            if (opened.st_dev, opened.st_ino) != (self._device, inode):
                return  # another was put in its place since it was listed
            _let_in(descriptor, opened)
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    self._count(path, entry)
                    if self._entries > MOST_ENTRIES:
                        self.waiting.clear()
                        return
                    if self._entries % _ENTRIES_A_TURN == 0:
                        yield
        finally:
            os.close(descriptor)

    def _open(self, path: str, inode: int) -> int | None:
        try:
            try:
                return os.open(path, self._flags, dir_fd=self._root)
            except PermissionError:
                if not _reopen(path, self._root, (self._device, inode)):
                    raise
                return os.open(path, self._flags, dir_fd=self._root)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                self._is_too_deep = True
            elif error.errno in (errno.EACCES, errno.EPERM):
                self._unseen += 1
            elif error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
            return None

    def _count(self, path: str, entry: "os.DirEntry[str]") -> None:
        self._entries += 1
        try:
            found = entry.stat(follow_symlinks=False)
        except PermissionError:
            self._unseen += 1
            return
        except OSError:  # gone meanwhile
            return
        if sys.platform == "win32" or found.st_dev != self._device:
            return
        if stat.S_ISDIR(found.st_mode):
            self.waiting.append((f"{path}/{entry.name}", found.st_ino))
        elif found.st_nlink > 1:
            if found.st_ino in self._linked:
                return
            self._linked.add(found.st_ino)
        self._bytes += found.st_blocks * _BLOCK


def _reopen(path: str, root: int | None, wanted: tuple[int, int] | None) -> bool:
    """Gives a folder back the rights that its owner took from it; says whether it could.

    What is opened is only named, so that no rights are needed for it and no link is followed.
    """
    if sys.platform != "linux":
        return False
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        named = os.open(path, flags, dir_fd=root)
    except OSError:
        return False
    try:
        found = os.fstat(named)
        if wanted is not None and wanted != (found.st_dev, found.st_ino):
            return False  # another was put in its place since it was listed
        os.chmod(f"/proc/self/fd/{named}", stat.S_IMODE(found.st_mode) | _OPEN)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(named)


def _let_in(descriptor: int, opened: os.stat_result) -> None:
    """In a folder that may be listed and not entered, no entry can be looked at."""
    if sys.platform == "win32":  # a mode shuts nothing there
        return
    if opened.st_mode & _OPEN != _OPEN and opened.st_uid == os.geteuid():
        with suppress(OSError):  # then its entries are unseen
            os.fchmod(descriptor, stat.S_IMODE(opened.st_mode) | _OPEN)


@dataclass(slots=True)
class _Watched:
    due: float
    bytes: int = 0
    measured_at: float | None = None


class Quota:
    """Measures the folders of the live runs, one at a time, and says which hold too much."""

    def __init__(
        self,
        loop: Loop,
        *,
        runs: Callable[[], Collection[Run]],
        breach: Callable[[Run, str, str], None],
    ) -> None:
        self._loop = loop
        self._runs = runs
        self._breach = breach
        self._watched: dict[str, _Watched] = {}
        self._is_walking = False

    def begin(self) -> None:
        """Watches for as long as the loop runs."""
        if CAN_MEASURE:
            self._loop.later(_LOOK_SECONDS, self._look)

    def folder_bytes(self, run_id: str) -> int:
        """What was in the run's folder when it was last measured; 0 before."""
        watched = self._watched.get(run_id)
        return 0 if watched is None else watched.bytes

    def _look(self) -> None:
        self._loop.later(_LOOK_SECONDS, self._look)
        runs = {run.run_id: run for run in self._runs() if run.cwd and run.pid is not None}
        for gone in self._watched.keys() - runs.keys():
            del self._watched[gone]
        now = time.monotonic()
        for run_id in runs.keys() - self._watched.keys():
            self._watched[run_id] = _Watched(now)
        due = [run_id for run_id in runs if self._watched[run_id].due <= now]
        if due and not self._is_walking:
            due.sort(key=lambda run_id: self._watched[run_id].due)
            self._is_walking = True
            self._next([runs[run_id] for run_id in due])

    def _next(self, waiting: list[Run]) -> None:
        while waiting and (waiting[0].has_ended or waiting[0].run_id not in self._watched):
            waiting.pop(0)
        if not waiting:
            self._is_walking = False
            return
        run = waiting.pop(0)
        self._step(run, measure(run.cwd), waiting, spent=0.0)

    def _step(
        self, run: Run, walk: Generator[None, None, Measured], waiting: list[Run], *, spent: float
    ) -> None:
        began = time.monotonic()
        try:
            next(walk)
        except StopIteration as end:
            self._measured(run, end.value, spent + time.monotonic() - began)
        except OSError as error:
            self._failed(run, error)
        else:
            spent += time.monotonic() - began
            self._loop.soon(lambda: self._step(run, walk, waiting, spent=spent))
            return
        self._loop.soon(lambda: self._next(waiting))

    def _failed(self, run: Run, error: OSError) -> None:
        log.warning("folder_not_measured run=%s why=%r", run.run_id, errno_words(error))
        watched = self._watched.get(run.run_id)
        if watched is not None:
            watched.due = time.monotonic() + _LONGEST_SECONDS

    def _measured(self, run: Run, found: Measured, spent: float) -> None:
        watched = self._watched.get(run.run_id)
        if watched is None or run.has_ended:
            return
        now = time.monotonic()
        seconds = _pause(watched, found.bytes, run.limits.disk_bytes, now)
        watched.due = now + max(seconds, spent / _MOST_OF_TIME)
        watched.bytes, watched.measured_at = found.bytes, now
        why = over_limit(found, run.limits.disk_bytes)
        if why is not None:
            self._breach(run, "disk", why)


def over_limit(found: Measured, most_bytes: int) -> str | None:
    """The sentence for a folder that holds too much; ``None`` within the limit, or without one."""
    if most_bytes <= 0:
        return None
    if found.bytes > most_bytes:
        holds = _more(found.bytes, most_bytes)
        return f"Its folder holds {holds}, the limit is {in_words(most_bytes)}."
    if found.entries > MOST_ENTRIES:
        return f"Its folder holds more than {MOST_ENTRIES:,} files, which is over any limit."
    if found.unseen:
        return (
            f"{found.unseen} of its folders cannot be looked into, so what they hold cannot be"
            " measured, which counts as over the limit. Give their owner back the right to read"
            " them, or remove them."
        )
    if found.is_too_deep:
        return "Its folder is nested too deeply to be measured, which counts as over the limit."
    return None


def _pause(watched: _Watched, found_bytes: int, most_bytes: int, now: float) -> float:
    """Seconds until the next look: half the time in which the limit would be reached."""
    if watched.measured_at is None:
        return 2 * _SHORTEST_SECONDS
    growth = (found_bytes - watched.bytes) / max(0.001, now - watched.measured_at)
    if growth <= 0 or most_bytes <= 0:
        return _LONGEST_SECONDS
    left = (most_bytes - found_bytes) / (2 * growth)
    return min(_LONGEST_SECONDS, max(_SHORTEST_SECONDS, left))


def _more(count: int, most_bytes: int) -> str:
    """``in_words``, rounded up where it would read as the very limit that it is over."""
    words, step = in_words(count), (1 << 30) // 100 if count >= 1 << 30 else (1 << 20) // 10
    return words if words != in_words(most_bytes) else in_words(count + step)


def in_words(count: int) -> str:
    """Bytes for a person: ``1.20 GB``, ``64.0 MB``, of 1024 × 1024 bytes as everywhere here."""
    if count >= 1 << 30:
        return f"{count / (1 << 30):.2f} GB"
    return f"{count / (1 << 20):.1f} MB"

"""Reading the log of a run: its tail, any part of it, and what is being written now.

A log is addressed by its run, never by a name from outside. Offsets are bytes in the file, so
that a reader who lost the line goes on exactly where it was.
"""

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from algohost.domain.errors import NotFound
from algohost.domain.ids import RunId
from algohost.domain.runs import Run
from algohost.host.inotify import FileWatcher

TAIL_BYTES: Final = 262_144
_CHUNK_BYTES: Final = 65_536
_LONGEST_LINE: Final = 16_384
_LOOK_SECONDS: Final = 1.0

_CONTROL: Final = {c: 0x2400 + c for c in range(0x20) if c != 0x09} | {0x7F: 0x2421}
_C1: Final = dict.fromkeys(range(0x80, 0xA0), "\ufffd")  # to some terminals one is a whole escape
_BIDI: Final = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\ufffd")
_NEUTRAL: Final = _CONTROL | _C1 | _BIDI


@dataclass(frozen=True, kw_only=True)
class LogChunk:
    """Whole lines of a log, made harmless for showing; ``start`` and ``end`` are byte offsets."""

    lines: list[str]
    start: int
    end: int
    truncated: bool = False
    """Whether there is more before ``start`` that was not asked for."""


class Logs:
    """The logs of all runs, in one folder."""

    def __init__(self, folder: Path, watcher: FileWatcher) -> None:
        self._folder = folder
        self._watcher = watcher

    def path(self, run: Run) -> Path:
        """Where the run's log lies. Raises ``NotFound`` where there is none.

        A run may put whatever it likes in its log's place; what is not a plain file that has
        this one name is no log, and is neither waited for nor shown.
        """
        path = self._folder / run.log_name
        if not run.log_name or path.parent != self._folder:
            raise _no_log()
        with contextlib.suppress(FileNotFoundError):
            _require_plain(path.lstat())
        return path

    def tail(self, run: Run, *, max_bytes: int = TAIL_BYTES) -> LogChunk:
        """The last whole lines, at most ``max_bytes`` of them."""
        path = self.path(run)
        size = _size(path)
        start = max(0, size - max_bytes)
        chunk = self.read(run, start, max_bytes)
        if start == 0:
            return chunk
        # the first one is cut, and shown all the same where it is all there is
        lines = chunk.lines[1:] or chunk.lines
        return LogChunk(lines=lines, start=start, end=chunk.end, truncated=True)

    def read(self, run: Run, start: int, max_bytes: int = _CHUNK_BYTES) -> LogChunk:
        """Whole lines from byte ``start`` on; an unfinished last line waits for its end."""
        data = _read_bytes(self.path(run), start, max_bytes)
        cut = data.rfind(b"\n") + 1
        if cut == 0 and len(data) >= min(max_bytes, _LONGEST_LINE):
            cut = len(data)  # a line longer than anyone reads is shown in pieces
        return LogChunk(lines=_lines(data[:cut]), start=start, end=start + cut)

    def rest(self, run: Run, start: int) -> LogChunk:
        """What is left after byte ``start``, the unfinished last line too: for ended runs."""
        data = _read_bytes(self.path(run), start, _CHUNK_BYTES)
        return LogChunk(lines=_lines(data), start=start, end=start + len(data))

    async def follow(
        self, run: Run, start: int, still_live: Callable[[RunId], bool]
    ) -> AsyncIterator[LogChunk]:
        """Lines as they are written, from byte ``start`` on; ends after the run has ended."""
        path = self.path(run)
        while not path.exists():
            if not still_live(run.id):
                return
            await asyncio.sleep(0.02)
        at = start
        with self._watcher.watching(path) as written:
            while True:
                live = still_live(run.id)  # asked before reading: nothing comes after a "no"
                chunk = self.read(run, at)
                if not chunk.lines and not live:
                    chunk = self.rest(run, at)
                if chunk.lines:
                    at = chunk.end
                    yield chunk
                elif not live:
                    return
                else:
                    await self._watcher.wait(written, at_most_seconds=_LOOK_SECONDS)


def neutralise(text: str) -> str:
    """``text`` with control characters shown as symbols and direction marks taken out."""
    return text.translate(_NEUTRAL)


def _lines(data: bytes) -> list[str]:
    text = data.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    parts = text.split("\n")
    if parts and parts[-1] == "":
        parts.pop()
    return [neutralise(part) for part in parts]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _no_log() -> NotFound:
    return NotFound("This run has no log.", code="NO_LOG")


def _require_plain(found: os.stat_result) -> None:
    """Another name for the same bytes (a hard link) may be that of a file of the server's."""
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise _no_log()


def _read_bytes(path: Path, start: int, count: int) -> bytes:
    flags = os.O_RDONLY
    for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):  # a pipe would block us
        flags |= getattr(os, name, 0)
    try:
        fd = os.open(path, flags)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise _no_log() from error
    try:
        _require_plain(os.fstat(fd))
        os.lseek(fd, start, os.SEEK_SET)
        return os.read(fd, count)
    finally:
        os.close(fd)

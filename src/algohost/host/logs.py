"""Reading the log of a run: its tail, any part of it, and what is being written now.

A log is addressed by its run, never by a name from outside. Offsets are bytes in the file, so
that a reader who lost the line goes on exactly where it was. Where the beginning of a log was
dropped, one line says how much; what is read at a time is bounded, whatever is in the file.
"""

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from algohost.domain.errors import NotFound
from algohost.domain.ids import RunId, StrategyId
from algohost.domain.runs import Run
from algohost.host.inotify import FileWatcher
from algohost.host.log_cover import Cover
from algohost.runner.log_holes import (
    data_before,
    data_from,
    dropped_words,
    first_kept,
    hole_words,
)

TAIL_BYTES: Final = 262_144
MOST_LAST_LINES: Final = 200
"""Of a run that has ended, so many lines are kept with its outcome, and of bytes the next."""
MOST_LAST_BYTES: Final = 65_536
_CHUNK_BYTES: Final = 65_536
_LONGEST_LINE: Final = 16_384
_LOOK_SECONDS: Final = 1.0
_MOST_STRETCHES: Final = 64
"""Of a log with holes in it, the tail goes back over so many."""
_NO_SECRETS: Final = Cover()

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
    offsets: tuple[int, ...] = ()
    """Where each line begins; told by ``around`` only."""


class Logs:
    """The logs of all runs, in one folder."""

    def __init__(
        self,
        folder: Path,
        watcher: FileWatcher,
        *,
        kept: Callable[[RunId], list[str] | None] = lambda _run_id: None,
        cover: Callable[[StrategyId], Cover] = lambda _strategy_id: _NO_SECRETS,
        secrets_of: Callable[[StrategyId], Sequence[str]] = lambda _strategy_id: (),
    ) -> None:
        """``kept`` tells the lines that were kept with a run's outcome, ``cover`` what covers
        the secrets of a strategy; everything that is given out here went through it.

        ``secrets_of`` are what a search must cover."""
        self.folder = folder
        self.kept_lines = kept
        self.secrets_of = secrets_of
        self._cover = cover
        self._watcher = watcher

    def path(self, run: Run) -> Path:
        """Where the run's log lies. Raises ``NotFound`` where there is none.

        A run may put whatever it likes in its log's place; what is not a plain file that has
        this one name is no log, and is neither waited for nor shown.
        """
        path = self.folder / run.log_name
        if not run.log_name or path.parent != self.folder:
            raise _no_log()
        with contextlib.suppress(FileNotFoundError):
            _require_plain(path.lstat())
        return path

    def _opened(self, run: Run) -> contextlib.AbstractContextManager["_OpenLog | None"]:
        return _opened(self.path(run), self._cover(run.strategy_id))

    def tail(self, run: Run, *, max_bytes: int = TAIL_BYTES) -> LogChunk:
        """The last whole lines, at most ``max_bytes`` of them."""
        with self._opened(run) as log:
            if log is None:
                return LogChunk(lines=[], start=0, end=0)
            start = log.start_of_last(max_bytes)
            pieces = list(log.pieces(start, max_bytes))
        lines: list[str] = []
        end = start
        for piece in pieces:
            end, found = piece.shown(max_bytes)
            lines += found
        if start == log.first:
            return LogChunk(lines=_with_dropped(log.first, lines), start=start, end=end)
        # the first one is cut, and shown all the same where it is all there is
        return LogChunk(lines=lines[1:] or lines, start=start, end=end, truncated=True)

    def read(self, run: Run, start: int, max_bytes: int = _CHUNK_BYTES) -> LogChunk:
        """Whole lines from byte ``start`` on; an unfinished last line waits for its end.

        What was dropped since is passed over, with a line that says so; a file that is shorter
        than ``start`` is a new one, and read from its beginning.
        """
        return self._read(run, start, max_bytes, is_last=False)

    def rest(self, run: Run, start: int) -> LogChunk:
        """What is left after byte ``start``, the unfinished last line too: for ended runs."""
        return self._read(run, start, _CHUNK_BYTES, is_last=True)

    def _read(self, run: Run, start: int, max_bytes: int, *, is_last: bool) -> LogChunk:
        with self._opened(run) as log:
            if log is None:
                return LogChunk(lines=[], start=start, end=start)
            begin = start if start <= log.size else 0
            begin = max(begin, log.first)
            piece = log.piece(begin, max_bytes)
        end, lines = piece.shown(max_bytes, is_last=is_last)
        if begin == log.first != start:
            lines = _with_dropped(log.first, lines)
        return LogChunk(lines=lines, start=begin, end=end)

    def around(self, run: Run, offset: int, *, max_bytes: int = _CHUNK_BYTES) -> LogChunk:
        """Whole lines on both sides of byte ``offset``, for whoever was led there."""
        with self._opened(run) as log:
            if log is None:
                raise _no_log()
            at = min(offset, log.size)
            wanted = log.start_before(at + 1, max_bytes // 2 + 1)
            piece = log.piece(wanted, max_bytes)
        data, start = piece.data, piece.start
        if log.first < wanted == at - max_bytes // 2:  # in the middle of a line
            skipped = min(data.find(b"\n") + 1, max_bytes // 2)
            data, start = data[skipped:], start + skipped
        is_end = piece.is_before_hole or wanted + max_bytes >= log.size
        cut = len(data) if is_end else _whole_lines(data, max_bytes)
        return LogChunk(
            lines=_lines(data[:cut]),
            start=start,
            end=start + cut,
            truncated=start > log.first,
            offsets=tuple(_offsets(data[:cut], start)),
        )

    def last_lines(self, run: Run) -> list[str]:
        """What a run said before its end, at most 200 lines and 64 KB; nothing without a log."""
        try:
            chunk = self.tail(run, max_bytes=MOST_LAST_BYTES)
            rest = self.rest(run, chunk.end)
        except (NotFound, OSError):  # an outcome is recorded whatever its log is like
            return []
        return _newest([*chunk.lines, *rest.lines])

    def pieces(self, run: Run) -> Iterator[bytes]:
        """The whole log, covered and else as it is, in pieces. Raises ``NotFound`` at the first."""
        with self._opened(run) as log:
            if log is None:
                raise _no_log()
            if log.first:
                yield dropped_words(log.first).encode() + b"\n"
            at, last = log.first, b"\n"
            while at < log.size:
                piece = log.piece(at, _CHUNK_BYTES * 4)
                if piece.passed:
                    begin = b"" if last.endswith(b"\n") else b"\n"
                    yield begin + hole_words(piece.passed).encode() + b"\n"
                if piece.end == at:  # it was cut short meanwhile
                    return
                at, last = piece.end, piece.data or last
                yield piece.data

    async def follow(
        self, run: Run, start: int, still_live: Callable[[RunId], bool]
    ) -> AsyncIterator[LogChunk]:
        """Lines as they are written, from byte ``start`` on; ends after the run has ended.

        A log that was deleted or replaced is followed where it goes on.
        """
        path = self.path(run)
        at = start
        while True:
            while (identity := _identity(path)) is None:
                if not still_live(run.id):
                    return
                await asyncio.sleep(0.02)
            with self._watcher.watching(path) as written:
                while identity == (now := _identity(path)) or now is None:
                    live = still_live(run.id)  # asked before reading: nothing comes after a "no"
                    chunk = await asyncio.to_thread(self.read, run, at)
                    if chunk.end == at and not live:
                        chunk = await asyncio.to_thread(self.rest, run, at)
                    has_moved, at = chunk.end != at, chunk.end  # back, where it was cut short
                    if chunk.lines:
                        yield chunk
                    elif not live and not has_moved:
                        return
                    elif not has_moved:
                        await self._watcher.wait(written, at_most_seconds=_LOOK_SECONDS)
            at = 0


@dataclass(frozen=True, kw_only=True)
class _OpenLog:
    descriptor: int
    size: int
    first: int
    """Where what was not dropped begins."""
    cover: Cover

    def piece(self, start: int, count: int) -> "_Piece":
        """What is written from ``start`` on, up to the next hole; a hole itself is passed over."""
        begin, stop = data_from(self.descriptor, start, self.size)
        data = self._read(min(count, stop - begin), begin) if begin < stop else b""
        end, passed = begin + len(data), begin - start
        is_before_hole = end == stop < self.size
        if is_before_hole:  # holes are of whole blocks: NULs beside them belong to them
            data = data.rstrip(b"\0")
        if passed:
            passed += len(data) - len(data.lstrip(b"\0"))
            data = data.lstrip(b"\0")
        return _Piece(
            start=start + passed, data=data, end=end, passed=passed, is_before_hole=is_before_hole
        )

    def _read(self, count: int, offset: int) -> bytes:
        return self.cover.read(self.descriptor, count, offset, self.size)

    def pieces(self, start: int, count: int) -> Iterator["_Piece"]:
        """Every piece from ``start`` on, as long as they hold ``count`` bytes together."""
        while start < self.size and count > 0:
            piece = self.piece(start, count)
            yield piece
            if piece.end == start:
                return
            start, count = piece.end, count - len(piece.data)

    def start_before(self, offset: int, count: int) -> int:
        """Where the stretch that ends at ``offset`` begins, at most ``count`` bytes before."""
        return max(self.first, data_before(self.descriptor, offset, count)[0])

    def start_of_last(self, count: int) -> int:
        """Where the last ``count`` bytes begin that were written; holes do not count."""
        start = self.size
        for _ in range(_MOST_STRETCHES):
            begin, stop = data_before(self.descriptor, start, count)
            if stop <= self.first:
                return self.first
            start, count = max(self.first, begin), count - (stop - begin)
            if count <= 0 or start == self.first:
                break
        return start


@dataclass(frozen=True, kw_only=True)
class _Piece:
    start: int
    data: bytes
    end: int
    """Where the next one begins."""
    passed: int
    """So many bytes before it hold nothing."""
    is_before_hole: bool

    def shown(self, max_bytes: int, *, is_last: bool = False) -> tuple[int, list[str]]:
        """Its whole lines, and where they end; before a hole no line waits for its end."""
        lines = [hole_words(self.passed)] if self.passed else []
        if is_last or self.is_before_hole:
            return self.end, lines + _lines(self.data)
        cut = _whole_lines(self.data, max_bytes)
        return self.start + cut, lines + _lines(self.data[:cut])


@contextlib.contextmanager
def _opened(path: Path, cover: Cover) -> Iterator[_OpenLog | None]:
    """The log, whatever a run may have put in its place; ``None`` where there is none (yet)."""
    descriptor = _open(path)
    if descriptor is None:
        yield None
        return
    try:
        status = os.fstat(descriptor)
        _require_plain(status)
        first = first_kept(descriptor, status.st_size)
        yield _OpenLog(descriptor=descriptor, size=status.st_size, first=first, cover=cover)
    finally:
        os.close(descriptor)


def _offsets(data: bytes, start: int) -> Iterator[int]:
    at = 0
    while at < len(data):
        yield start + at
        at = data.find(b"\n", at) + 1 or len(data)


def _whole_lines(data: bytes, max_bytes: int) -> int:
    cut = data.rfind(b"\n") + 1
    if cut == 0 and len(data) >= min(max_bytes, _LONGEST_LINE):
        return len(data)  # a line longer than anyone reads is shown in pieces
    return cut


def _with_dropped(count: int, lines: list[str]) -> list[str]:
    return [dropped_words(count), *lines] if count else lines


def _newest(lines: list[str]) -> list[str]:
    kept: list[str] = []
    room = MOST_LAST_BYTES
    for line in reversed(lines[-MOST_LAST_LINES:]):
        room -= len(line.encode()) + 1
        if room < 0 and kept:
            break
        kept.append(line)
    return kept[::-1]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def neutralise(text: str) -> str:
    """``text`` with control characters shown as symbols and direction marks taken out."""
    return text.translate(_NEUTRAL)


def _lines(data: bytes) -> list[str]:
    text = data.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    parts = text.split("\n")
    if parts and parts[-1] == "":
        parts.pop()
    return [neutralise(_shortened(part)) for part in parts]


def _shortened(line: str) -> str:
    if len(line) <= _LONGEST_LINE:
        return line
    head, end = line[: _LONGEST_LINE * 3 // 4], line[-_LONGEST_LINE // 4 :]
    return f"{head} … [{len(line) - _LONGEST_LINE} characters left out] … {end}"


def _no_log() -> NotFound:
    return NotFound("This run has no log.", code="NO_LOG")


def _require_plain(found: os.stat_result) -> None:
    """Another name for the same bytes (a hard link) may be that of a file of the server's."""
    is_ours = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1 or not is_ours:
        raise _no_log()


def _open(path: Path) -> int | None:
    flags = os.O_RDONLY
    for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):  # a pipe would block us
        flags |= getattr(os, name, 0)
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _no_log() from error

"""Finds lines in log files, newest first; imports next to nothing.

It is also a program: an expression that somebody typed is run in a process of its own, because
one that takes for ever holds the interpreter for ever, and a process can be ended. The program
reads a ``Job`` as JSON from its input and writes the found lines as JSON to its output.
"""

import json
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Final

from algohost.runner.log_holes import data_before, first_kept, read_at

CHUNK_BYTES: Final = 1 << 20
LONGEST_SHOWN: Final = 2_000
"""Bytes of a line that are given back."""
_SHORTEST_PART: Final = 3
_END: Final = 1 << 62
"""An offset that is behind the end of every file."""
RANKS: Final = {"": 1, "debug": 0, "info": 1, "warning": 2, "error": 3}
_STAMP: Final = re.compile(rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:[.,]\d+)? IST ?")
_WORD: Final = re.compile(rb"\b(?:(CRITICAL|ERROR|FATAL)|(WARN(?:ING)?)|(INFO)|(DEBUG))\b")
_TRACE: Final = re.compile(
    rb"Traceback \(most recent call last\):|  File \"|\w{0,200}(?:Error|Exception|Interrupt|Exit)\b"
)
_TROUBLE: Final = (b"ERROR", b"Error", b"CRITICAL", b"FATAL", b"Exception", b"Traceback")
_WARNING: Final = (b"WARN",)
_IN_TRACEBACKS: Final = (b'  File "', b"Interrupt", b"Exit")


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is looked for, and where."""

    paths: list[str]
    """In the order in which they are looked through: the newest run first."""
    text: str = ""
    is_expression: bool = False
    level: str = ""
    """The lowest that counts; empty is every line."""
    since: str = ""
    """``YYYY-MM-DD HH:MM:SS`` in IST, as the lines begin; empty is from the beginning."""
    until: str = ""
    """Lines of this second count."""
    before: int | None = None
    """In the first file, only lines that begin before this byte."""
    limit: int = 200
    seconds: float = 1.0
    """When it is over, what was found by then is given back."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """One line: in which file of the job, at which byte, what it says."""

    file: int
    offset: int
    at: str
    """Its time in IST, or the time of the line before it that has one; empty for none."""
    level: str
    line: bytes


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Lines, newest first, and how far the search has come."""

    found: list[Found]
    stopped: tuple[int, int] | None
    """File and byte from which to go on; ``None`` where everything was looked through."""


def scan(job: Job) -> Findings:
    """Looks the files through until the limit or the time is reached. Raises ``re.error``."""
    scanner = _Scanner(job)
    for number, path in enumerate(job.paths):
        if len(scanner.found) >= job.limit or (number and scanner.is_late()):
            return Findings(found=scanner.found, stopped=(number, _END))
        before = job.before if number == 0 else None
        stopped = scanner.scan(number, path, before)
        if stopped is not None:
            return Findings(found=scanner.found, stopped=(number, stopped))
    return Findings(found=scanner.found, stopped=None)


class _Scanner:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._deadline = time.monotonic() + job.seconds
        self._since, self._until = job.since.encode(), job.until.encode()
        self._rank = RANKS[job.level] if job.level else -1
        self._positions = _finder(job, self._rank)
        self.found: list[Found] = []

    def is_late(self) -> bool:
        """Whether the job's time is over."""
        return time.monotonic() > self._deadline

    def scan(self, number: int, path: str, before: int | None) -> int | None:
        """Adds the lines of one file; the byte before which to go on where it had to stop."""
        with _opened(path) as log:
            if log is None:
                return None
            descriptor, first, size = log
            end = size if before is None else min(before, size)
            while end > first:
                begin, end = data_before(descriptor, end, CHUNK_BYTES)
                start = max(first, begin)
                if end <= start:
                    return None
                chunk = read_at(descriptor, end - start, start).rstrip(b"\0")
                start += len(chunk) - len(chunk.lstrip(b"\0"))
                chunk = chunk.lstrip(b"\0")
                if start > first and chunk:
                    # a line longer than a chunk is taken in pieces
                    cut = chunk.find(b"\n", 0, len(chunk) - 1) + 1
                    start, chunk = start + cut, chunk[cut:]
                stopped = self._scan_chunk(number, chunk, start) if chunk else None
                if stopped is not None:
                    return stopped
                if self._is_before_span(chunk):
                    return None
                if self.is_late() and start > first:
                    return start
                end = start
        return None

    def _scan_chunk(self, number: int, chunk: bytes, start: int) -> int | None:
        lines = []
        at = 0
        for position in self._positions(chunk):
            if position < at:
                continue
            begin = chunk.rfind(b"\n", 0, position) + 1
            end = chunk.find(b"\n", position)
            at = (len(chunk) if end < 0 else end) + 1
            found = self._judge(number, chunk, begin, at - 1, start)
            if found is not None:
                lines.append(found)
        room = self._job.limit - len(self.found)
        self.found += lines[::-1][:room]
        if len(lines) > room or (len(lines) == room and start > 0):
            return self.found[-1].offset
        return None

    def _judge(self, number: int, chunk: bytes, begin: int, end: int, start: int) -> Found | None:
        line = chunk[begin : min(end, begin + 65_536)]
        stamp = _STAMP.match(line)
        text = line[stamp.end() :] if stamp else line
        level = level_of(text)
        if RANKS[level] < self._rank or (self._rank > 1 and not level):
            return None
        at = stamp[1] if stamp else _stamp_before(chunk, begin)
        if (self._since and at < self._since) or (self._until and (at > self._until or not at)):
            return None
        return Found(
            file=number, offset=start + begin, at=at.decode(), level=level,
            line=text[:LONGEST_SHOWN].rstrip(b"\r"),
        )  # fmt: skip

    def _is_before_span(self, chunk: bytes) -> bool:
        """Whether all that is before ``chunk`` was written before the time asked for."""
        stamp = _STAMP.match(chunk)
        return bool(self._since) and stamp is not None and stamp[1] < self._since


def level_of(text: bytes) -> str:
    """``error``, ``warning``, ``info``, ``debug`` or nothing, as the page's log view has it."""
    if _TRACE.match(text):
        return "error"
    word = _WORD.search(text, 0, 200)
    if word is None:
        return ""
    return ("error", "warning", "info", "debug")[(word.lastindex or 1) - 1]


def _finder(job: Job, rank: int) -> Callable[[bytes], Iterator[int]]:
    """What gives the places in a chunk at which a line may be a finding, in their order."""
    if job.is_expression and job.text:
        is_exact = re.search(r"(?<!\\)[A-Z]", job.text) is not None
        flags = 0 if is_exact else re.IGNORECASE
        expression = re.compile(job.text.encode(), flags | re.MULTILINE)
        part = literal_part(job.text).encode()
        if not part:
            return lambda chunk: _matches(expression, chunk)
        return lambda chunk: _matching_lines(
            expression, chunk, _places(chunk, part, is_exact=is_exact)
        )
    if job.text:
        needle = job.text.encode()
        return lambda chunk: _places(chunk, needle, is_exact=needle != needle.lower())
    if rank > 1:
        words = _TROUBLE if rank == RANKS["error"] else _TROUBLE + _WARNING
        return lambda chunk: _places_of_trouble(chunk, words)
    return _line_starts


def literal_part(expression: str) -> str:
    """Text that is in everything that the expression matches; empty where none is seen.

    It is looked for first, for it is found many times faster than the expression is matched.
    """
    if "|" in expression or "(?" in expression:
        return ""
    expression = expression.removeprefix("^")
    head = re.match(r"[\w ,:;=/<>@#%&'\"~!-]*", expression, re.ASCII)
    first = head[0] if head else ""
    if expression[len(first) : len(first) + 1] in ("?", "*", "{"):
        first = first[:-1]
    tail = re.search(r"(?:\\[dwsDWS]|[.)\]])[+*?]*([\w ,:;=/<>@#%&'\"~!-]+)$", expression, re.ASCII)
    last = tail[1] if tail else ""
    best = max(first, last, key=len)
    return best if len(best) >= _SHORTEST_PART else ""


def _matching_lines(
    expression: re.Pattern[bytes], chunk: bytes, places: Iterator[int]
) -> Iterator[int]:
    for place in places:
        end = chunk.find(b"\n", place)
        line = chunk[chunk.rfind(b"\n", 0, place) + 1 : len(chunk) if end < 0 else end]
        if expression.search(line):
            yield place


def _places_of_trouble(chunk: bytes, words: tuple[bytes, ...]) -> Iterator[int]:
    if b"Traceback" in chunk:
        words += _IN_TRACEBACKS
    found = {place for word in words for place in _places(chunk, word, is_exact=True)}
    return iter(sorted(found))


def _matches(expression: re.Pattern[bytes], chunk: bytes) -> Iterator[int]:
    """A match belongs to one line: what needs the next line to match is none."""
    at = 0
    while (match := expression.search(chunk, at)) is not None:
        begin = chunk.rfind(b"\n", 0, match.start()) + 1
        end = chunk.find(b"\n", match.start())
        end = len(chunk) if end < 0 else end
        if match.end() <= end or expression.search(chunk[begin:end]):
            yield match.start()
        at = end + 1
        if at > len(chunk):
            return


def _places(chunk: bytes, needle: bytes, *, is_exact: bool) -> Iterator[int]:
    searched = chunk if is_exact else chunk.lower()
    at = searched.find(needle)
    while at >= 0:
        yield at
        line_end = searched.find(b"\n", at)
        if line_end < 0:
            return
        at = searched.find(needle, line_end)


def _line_starts(chunk: bytes) -> Iterator[int]:
    at = 0
    while at < len(chunk):
        yield at
        end = chunk.find(b"\n", at)
        if end < 0:
            return
        at = end + 1


def _stamp_before(chunk: bytes, begin: int) -> bytes:
    """The time of the nearest line before that has one: C code and tracebacks have none."""
    for _ in range(200):
        if begin <= 0:
            return b""
        begin = chunk.rfind(b"\n", 0, begin - 1) + 1
        stamp = _STAMP.match(chunk, begin, begin + 64)
        if stamp:
            return stamp[1]
    return b""


@contextmanager
def _opened(path: str) -> Iterator[tuple[int, int, int] | None]:
    """A plain file that has one name: its descriptor, where its bytes begin, and their end.

    It is read and not mapped: whoever cuts a mapped file short ends its reader.
    """
    flags = os.O_RDONLY
    for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        descriptor = os.open(path, flags)
    except OSError:
        yield None
        return
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            yield None
            return
        yield descriptor, first_kept(descriptor, status.st_size), status.st_size
    finally:
        os.close(descriptor)


def main(_search_path: list[str] | None = None) -> None:
    """The program."""
    job = Job(**json.load(sys.stdin.buffer))
    try:
        findings = scan(job)
    except re.error as error:
        json.dump({"error": str(error)}, sys.stdout)
        return
    found = [{**asdict(one), "line": one.line.decode("latin-1")} for one in findings.found]
    json.dump({"found": found, "stopped": findings.stopped}, sys.stdout)

"""Finds lines in log files, newest first; imports next to nothing.

It is also a program: an expression that somebody typed is run in a process of its own, because
one that takes for ever holds the interpreter for ever, and a process can be ended. The program
reads a ``Job`` as JSON from each line of its input and answers each with the found lines as JSON
in a line.
"""

import faulthandler
import json
import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Final

from algohost.host.log_cover import Cover
from algohost.host.log_find import Finder, line_starts, text_finder, trouble_finder
from algohost.runner import slices
from algohost.runner.log_holes import data_before, first_kept, read_at

CHUNK_BYTES: Final = 1 << 20
LONGEST_SHOWN: Final = 2_000
"""Bytes of a line that are given back."""
_LONGEST_LINE: Final = 65_536
_MANY_LOOKS: Final = 16
_MANY_JUDGED: Final = 256
_END: Final = 1 << 62
"""An offset that is behind the end of every file."""
_MOST_SECONDS: Final = 6.0
"""Whoever asked has given up by then, or is gone and cannot end this process."""
RANKS: Final = {"": 1, "debug": 0, "info": 1, "warning": 2, "error": 3}
_STAMP: Final = re.compile(rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:[.,]\d+)? IST ?")
_WORD: Final = re.compile(rb"\b(?:(CRITICAL|ERROR|FATAL)|(WARN(?:ING)?)|(INFO)|(DEBUG))\b")
_TRACE: Final = re.compile(
    rb"Traceback \(most recent call last\):|  File \"|\w{0,200}(?:Error|Exception|Interrupt|Exit)\b"
)


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
    secrets: list[str] = field(default_factory=list, repr=False)
    """Covered before a line is given back; a text that is in them only is not found."""


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


@dataclass(frozen=True, kw_only=True)
class _Log:
    descriptor: int
    first: int
    """Where its bytes begin."""
    size: int


class _Scanner:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._deadline = time.monotonic() + job.seconds
        self._since, self._until = job.since.encode(), job.until.encode()
        self._rank = RANKS[job.level] if job.level else -1
        self._positions = self._finder()
        self._log = _Log(descriptor=-1, first=0, size=0)
        self._looks = 0
        """Lines of the present chunk that were covered."""
        self._covered: bytes | None = None
        self.found: list[Found] = []

    def _finder(self) -> Finder:
        job = self._job
        if job.text:
            return text_finder(job.text, is_expression=job.is_expression)
        if self._rank > 1:
            return trouble_finder(with_warnings=self._rank < RANKS["error"])
        return line_starts

    @cached_property
    def _cover(self) -> Cover:
        return Cover(self._job.secrets)

    def is_late(self) -> bool:
        """Whether the job's time is over."""
        return time.monotonic() > self._deadline

    def scan(self, number: int, path: str, before: int | None) -> int | None:
        """Adds the lines of one file; the byte before which to go on where it had to stop."""
        with _opened(path) as log:
            if log is None:
                return None
            self._log = log
            end = log.size if before is None else min(before, log.size)
            while end > log.first:
                begin, end = data_before(log.descriptor, end, CHUNK_BYTES)
                start = max(log.first, begin)
                if end <= start:
                    return None
                chunk = read_at(log.descriptor, end - start, start).rstrip(b"\0")
                start += len(chunk) - len(chunk.lstrip(b"\0"))
                chunk = chunk.lstrip(b"\0")
                if start > log.first and chunk:
                    # a line longer than a chunk is taken in pieces
                    cut = chunk.find(b"\n", 0, len(chunk) - 1) + 1
                    start, chunk = start + cut, chunk[cut:]
                stopped = self._scan_chunk(number, chunk, start) if chunk else None
                if stopped is not None:
                    return stopped
                if self._is_before_span(chunk):
                    return None
                if self.is_late() and start > log.first:
                    return start
                end = start
        return None

    def _scan_chunk(self, number: int, chunk: bytes, start: int) -> int | None:
        self._looks, self._covered = 0, None
        for place, (begin, end) in enumerate(self._candidates(chunk)[::-1], 1):
            found = self._judge(number, chunk, begin, end, start)
            if found is None:
                if place % _MANY_JUDGED == 0 and self.is_late() and start + begin > 0:
                    return start + begin
                continue
            if len(self.found) == self._job.limit:
                return self.found[-1].offset
            self.found.append(found)
        is_full = len(self.found) == self._job.limit
        return self.found[-1].offset if is_full and start > 0 else None

    def _candidates(self, chunk: bytes) -> list[tuple[int, int]]:
        """Where the lines begin and end that may be findings."""
        lines, at = [], 0
        for position in self._positions(chunk):
            if position < at:
                continue
            begin = chunk.rfind(b"\n", 0, position) + 1
            end = chunk.find(b"\n", position)
            at = (len(chunk) if end < 0 else end) + 1
            lines.append((begin, at - 1))
        return lines

    def _judge(self, number: int, chunk: bytes, begin: int, end: int, start: int) -> Found | None:
        line = chunk[begin : min(end, begin + _LONGEST_LINE)]
        stamp = _STAMP.match(line)
        text = line[stamp.end() :] if stamp else line
        level = level_of(text)
        if RANKS[level] < self._rank or (self._rank > 1 and not level):
            return None
        at = stamp[1] if stamp else _stamp_before(chunk, begin)
        if (self._since and at < self._since) or (self._until and (at > self._until or not at)):
            return None
        covered = self._shown(chunk, start, begin, len(line))
        if covered != line:
            if self._job.text and next(self._positions(covered), None) is None:
                return None
            text = covered[len(line) - len(text) :]
        return Found(
            file=number, offset=start + begin, at=at.decode(), level=level,
            line=text[:LONGEST_SHOWN].rstrip(b"\r"),
        )  # fmt: skip

    def _shown(self, chunk: bytes, start: int, begin: int, count: int) -> bytes:
        """A part of the chunk, covered: by itself, or where many are asked for all of it once."""
        log = self._log
        self._looks += 1
        if self._looks <= _MANY_LOOKS:
            return self._cover.read(log.descriptor, count, start + begin, log.size)
        if self._covered is None:
            self._covered = self._cover.read(log.descriptor, len(chunk), start, log.size)
        return self._covered[begin : begin + count]

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
def _opened(path: str) -> Iterator["_Log | None"]:
    """A plain file that has one name.

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
        size = status.st_size
        yield _Log(descriptor=descriptor, first=first_kept(descriptor, size), size=size)
    finally:
        os.close(descriptor)


def main(_search_path: list[str] | None = None) -> None:
    """The program."""
    slices.ask_for(slices.USUAL)  # the server's own are shorter
    for line in sys.stdin.buffer:
        # by a thread in C: Python's own get no turn, nor do signals, while an expression is matched
        faulthandler.dump_traceback_later(_MOST_SECONDS, exit=True)
        answer = json.dumps(_answer(Job(**json.loads(line))))
        faulthandler.cancel_dump_traceback_later()
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _answer(job: Job) -> dict[str, object]:
    try:
        findings = scan(job)
    except re.error as error:
        return {"error": str(error)}
    found = [{**asdict(one), "line": one.line.decode("latin-1")} for one in findings.found]
    return {"found": found, "stopped": findings.stopped}

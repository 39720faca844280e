"""The agent's memory on disk: one line of JSON per fact, appended before anyone is told.

Agent and zygotes append to one file. Each append is one ``O_APPEND`` write under a shared
lock; compaction replaces the file under the exclusive lock, and an append that finds itself
on the replaced file opens the new one. A line that cannot be read is reported and kept.
"""

import fcntl
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Fact = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a journal holds."""

    facts: tuple[Fact, ...]
    """In the order they were written."""
    broken: tuple[tuple[int, bytes], ...]
    """Line number from 1 and content of each line that is not a fact; never thrown away."""


class Journal:
    """Appends and reads facts. Any number of processes may hold one on the same path."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, fact: Fact) -> None:
        """Writes one fact. Raises ``OSError`` where it could not be written whole."""
        line = json.dumps(fact, separators=(",", ":")).encode("ascii") + b"\n"
        descriptor = self._open_locked(fcntl.LOCK_SH)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line  # after a torn line, so that only the torn one is lost
            written = os.write(descriptor, line)
            if written != len(line):
                os.write(descriptor, line[written:])  # a full disk raises its errno here
        finally:
            os.close(descriptor)

    def read(self) -> Reading:
        """All facts; the empty reading where there is no journal yet."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return Reading(facts=(), broken=())
        return _parse(data)

    def size(self) -> int:
        """Bytes on disk."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def compact(self, gone: Iterable[str]) -> None:
        """Rewrites the journal without the facts of the runs ``gone``; broken lines are kept.

        Safe against a crash at any point: the old file or the new one is there, whole.
        """
        dropped = frozenset(gone)
        descriptor = self._open_locked(fcntl.LOCK_EX)
        try:
            kept = []
            for line in self.path.read_bytes().splitlines():
                fact = _fact(line)
                run = None if fact is None else fact.get("run")
                if line.strip() and not (isinstance(run, str) and run in dropped):
                    kept.append(line + b"\n")
            temporary = self.path.with_name(self.path.name + ".new")
            with temporary.open("wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.writelines(kept)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
            _sync_folder(self.path.parent)
        finally:
            os.close(descriptor)

    def _open_locked(self, lock: int) -> int:
        while True:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            descriptor = os.open(self.path, flags, 0o600)
            try:
                fcntl.flock(descriptor, lock)
                if os.fstat(descriptor).st_ino == self.path.stat().st_ino:
                    return descriptor
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # compacted between open and lock


def _parse(data: bytes) -> Reading:
    facts, broken = [], []
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.strip():
            continue
        fact = _fact(line)
        if fact is None:
            broken.append((number, line))
        else:
            facts.append(fact)
    return Reading(facts=tuple(facts), broken=tuple(broken))


def _fact(line: bytes) -> Fact | None:
    try:
        fact = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return fact if isinstance(fact, dict) and isinstance(fact.get("fact"), str) else None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The agent's memory on disk: one line of JSON per fact, appended before anyone is told.

Agent and zygotes append to one file. Each append is one ``O_APPEND`` write under a shared
lock; compaction replaces the file under the exclusive lock, and an append that finds itself
on the replaced file opens the new one. A line that cannot be read is reported and kept.
"""

import contextlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algohost.runner.system import system

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
        descriptor = self._open_locked(is_shared=True)
        try:
            _write(descriptor, fact)
        finally:
            os.close(descriptor)

    def hold(self) -> int:
        """A descriptor for ``append_to``, for a process that will not reach the file later.

        Raises ``OSError``.
        """
        return os.open(self.path, os.O_RDWR | os.O_APPEND | system.FILE_FLAGS)

    def append_to(self, descriptor: int, fact: Fact) -> bool:
        """Writes one fact as ``append``; whether it did, for the file may have been replaced."""
        system.lock(descriptor, is_shared=True)
        if os.fstat(descriptor).st_ino != self.path.stat().st_ino:
            return False
        _write(descriptor, fact)
        return True

    def rehearse(self, fact: Fact) -> None:
        """Makes a fact ready to be written, and writes nothing."""
        with contextlib.suppress(OSError):
            self.size()
        _line(fact)

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
        descriptor: int | None = self._open_locked(is_shared=False)
        try:
            kept = []
            for line in self.path.read_bytes().splitlines():
                fact = _fact(line)
                run = None if fact is None else fact.get("run")
                if line.strip() and not (isinstance(run, str) and run in dropped):
                    kept.append(line + b"\n")
            temporary = self.path.with_name(self.path.name + ".new")
            with temporary.open("wb") as file:
                temporary.chmod(0o600)
                file.writelines(kept)
                file.flush()
                os.fsync(file.fileno())
            if not system.REPLACES_OPEN_FILES and descriptor is not None:
                os.close(descriptor)  # nobody can slip in there: the agent writes alone
                descriptor = None
            temporary.replace(self.path)
            system.sync_folder(self.path.parent)
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _open_locked(self, *, is_shared: bool) -> int:
        while True:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | system.FILE_FLAGS
            descriptor = os.open(self.path, flags, 0o600)
            try:
                system.lock(descriptor, is_shared=is_shared)
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


def _line(fact: Fact) -> bytes:
    return json.dumps(fact, separators=(",", ":")).encode("ascii") + b"\n"


def _write(descriptor: int, fact: Fact) -> None:
    line = _line(fact)
    size = os.fstat(descriptor).st_size
    if size and _byte_at(descriptor, size - 1) != b"\n":
        line = b"\n" + line  # after a torn line, so that only the torn one is lost
    written = os.write(descriptor, line)
    if written != len(line):
        os.write(descriptor, line[written:])  # a full disk raises its errno here


def _byte_at(descriptor: int, position: int) -> bytes:
    os.lseek(descriptor, position, os.SEEK_SET)  # appends go to the end whatever it is
    return os.read(descriptor, 1)

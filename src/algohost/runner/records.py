"""Exit records: how a script ended, in its own words, for when nobody was its parent.

Written by the run itself at a normal exit or an uncaught exception; a signal or ``os._exit``
leaves none. Believed last, after everyone who can know better.
"""

import contextlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from algohost.runner.system import system

LONGEST_REASON: Final = 300
LONGEST_ERROR: Final = 500
_LARGEST_NUMBER: Final = 1 << 32
_LARGEST_BYTES: Final = 16_384
_TO_READ: Final = (
    os.O_RDONLY | system.FILE_FLAGS | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
)


@dataclass(frozen=True, kw_only=True)
class Record:
    """One exit record."""

    code: int | None = None
    signal: int | None = None
    error: str | None = None
    """Why the script could not be started."""
    reason: str | None = None
    """The last line of its traceback, at most ``LONGEST_REASON`` characters, masked."""
    is_out_of_memory: bool = False
    """Whether it was a ``MemoryError`` that nobody caught."""

    @property
    def tells_an_end(self) -> bool:
        """Whether it says how the script ended, and not only why it never began."""
        return self.error is None and (self.code is not None or self.signal is not None)

    def agrees_with(self, code: int | None, number: int | None) -> bool:
        """Whether it tells of that exit: a process may have been killed on its way out."""
        return (self.code, self.signal) == (code, number)


def record_path(state_dir: Path, run_id: str) -> Path:
    """Where the record of a run is."""
    return state_dir / "exits" / run_id


def journal_path(record: str) -> Path:
    """Where the journal is whose runs leave their records beside ``record``."""
    return Path(record).parent.parent / "journal.jsonl"


def make_room(path: str) -> None:
    """Puts an empty record in place for a process that will be able to change that file only.

    Raises ``OSError``.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | system.FILE_FLAGS
    os.close(os.open(path, flags, 0o600))


def write(path: str, record: Record) -> None:
    """Puts the record in place whole. A failure is kept silent: the run is ending anyway."""
    text = json.dumps(record.__dict__).encode()
    temporary = f"{path}.new"
    try:
        _put(temporary, text, os.O_CREAT)
        os.replace(temporary, path)
    except PermissionError:  # confined: there is room for it
        with contextlib.suppress(OSError):
            _put(path, text)
    except OSError:
        return


def _put(path: str, text: bytes, more_flags: int = 0) -> None:
    flags = os.O_WRONLY | os.O_TRUNC | system.FILE_FLAGS | more_flags
    descriptor = os.open(path, flags, 0o600)
    try:
        os.write(descriptor, text)
    finally:
        os.close(descriptor)


def read(path: Path) -> Record | None:
    """The record of a run; ``None`` where there is none that can be read.

    The run may have put anything there. Only a file is read, so that nothing is waited for.
    """
    try:
        descriptor = os.open(path, _TO_READ)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            data = json.loads(os.read(descriptor, _LARGEST_BYTES))
        finally:
            os.close(descriptor)
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    return Record(
        code=_number(data.get("code")),
        signal=_number(data.get("signal")),
        error=_line(data.get("error"), LONGEST_ERROR),
        reason=_line(data.get("reason"), LONGEST_REASON),
        is_out_of_memory=data.get("is_out_of_memory") is True,
    )


def _number(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if abs(value) < _LARGEST_NUMBER else None


def _line(value: object, longest: int) -> str | None:
    """A text of one line without control characters."""
    if not isinstance(value, str):
        return None
    return "".join(char if char.isprintable() else " " for char in value[:longest])

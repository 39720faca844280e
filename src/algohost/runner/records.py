"""Exit records: how a script ended, in its own words, for when nobody was its parent.

Written by the run itself at a normal exit or an uncaught exception; a signal or ``os._exit``
leaves none. Believed last, after everyone who can know better.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Record:
    """One exit record."""

    code: int | None = None
    signal: int | None = None
    error: str | None = None
    """Why the script could not be started."""


def record_path(state_dir: Path, run_id: str) -> Path:
    """Where the record of a run is."""
    return state_dir / "exits" / run_id


def write(path: str, record: Record) -> None:
    """Puts the record in place whole. A failure is kept silent: the run is ending anyway."""
    temporary = f"{path}.new"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600)
        try:
            os.write(descriptor, json.dumps(record.__dict__).encode())
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except OSError:
        return


def read(path: Path) -> Record | None:
    """The record of a run; ``None`` where there is none that can be read."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(data, dict):
        return None
    code, signal, error = data.get("code"), data.get("signal"), data.get("error")
    return Record(
        code=code if isinstance(code, int) else None,
        signal=signal if isinstance(signal, int) else None,
        error=error if isinstance(error, str) else None,
    )

"""What is kept of a chaos run that broke a promise: all that is needed to reason about it."""

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

_KEPT = (
    "*.log",
    "agent/*.log",
    "agent/*.jsonl",
    "agent/*.json",
    "log/strategies/*.log",
    "work/*/sent*",
)


class Timeline:
    """What was done to the world and what it answered, each with its moment."""

    def __init__(self, *, is_shown: bool) -> None:
        self._began = time.monotonic()
        self._is_shown = is_shown
        self.lines: list[str] = []

    def note(self, words: str) -> None:
        """Seconds since the beginning, the time in UTC, and the words."""
        clock = datetime.now(UTC).strftime("%H:%M:%S.%f")[:-3]
        line = f"{time.monotonic() - self._began:8.3f} {clock} {words}"
        self.lines.append(line)
        if self._is_shown:
            print(line, flush=True)


def keep(data_dir: Path, folder: Path, timeline: Timeline, breaches: Sequence[str]) -> None:
    """Copies logs, journals, the database and what traders wrote down, with the timeline."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "timeline.txt").write_text("\n".join(timeline.lines) + "\n")
    (folder / "breaches.txt").write_text("\n".join(breaches) + "\n")
    for pattern in _KEPT:
        for path in data_dir.glob(pattern):
            target = folder / path.relative_to(data_dir)
            target.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # it may be replaced at this moment
                shutil.copyfile(path, target)
    _keep_database(data_dir / "algohost.db", folder)


def _keep_database(database: Path, folder: Path) -> None:
    """One whole file; where it is damaged, its files as they are."""
    if not database.exists():
        return
    try:
        with (
            contextlib.closing(sqlite3.connect(database)) as source,
            contextlib.closing(sqlite3.connect(folder / database.name)) as target,
        ):
            source.backup(target)
    except sqlite3.Error:
        for path in database.parent.glob(f"{database.name}*"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(path, folder / path.name)

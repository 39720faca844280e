"""The environments on disk: one folder each, there as a whole or not at all.

An environment is made beside its place, synced, and renamed into it. What a killed server has
left half made has another name, and is swept away at the next start.
"""

import json
import os
import re
import secrets
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_KEY: Final = re.compile(r"[0-9a-f]{64}")
_FACTS: Final = "environment.json"
_RUNS: Final = ".runs"


@dataclass(frozen=True, kw_only=True)
class EnvironmentFacts:
    """What an environment is, as it was when it was made."""

    key: str
    python: str
    packages: tuple[tuple[str, str], ...]
    """Names and versions, sorted."""
    size_bytes: int
    """On disk; files that are shared with uv's cache count in full."""
    made_at: str
    """UTC, ISO 8601."""


class EnvironmentFolders:
    """Finds, publishes and removes environments below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, EnvironmentFacts | None] = {}

    def interpreter(self, key: str) -> Path:
        """The Python of an environment."""
        windows = self.root / key / "Scripts" / "python.exe"
        return windows if os.name == "nt" else self.root / key / "bin" / "python"

    def look(self, key: str) -> EnvironmentFacts | None:
        """What the environment is, if all of it is there: what it was made as, and its Python."""
        facts = self.facts(key)
        whole = facts if facts is not None and self.interpreter(key).exists() else None
        self._known[key] = whole
        return whole

    def known(self, key: str) -> EnvironmentFacts | None:
        """What the last look at it found; no disk is read but for the first."""
        return self._known[key] if key in self._known else self.look(key)

    def facts(self, key: str) -> EnvironmentFacts | None:
        """What was written when it was made; ``None`` where that cannot be read."""
        try:
            found = json.loads((self.root / key / _FACTS).read_text(encoding="utf-8"))
            packages = tuple((str(name), str(version)) for name, version in found.pop("packages"))
            return EnvironmentFacts(packages=packages, **found)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def begin(self) -> Path:
        """A new folder to make an environment in. Settings of folders above do not reach it."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        place = self.root / f".making-{secrets.token_hex(8)}"
        place.mkdir(mode=0o700)
        (place / "uv.toml").touch()
        return place

    def finish(self, made: Path, key: str, *, python: str, lock: str, at: datetime) -> None:
        """Writes down what a made environment is, and has it on disk before anyone can see it."""
        facts = EnvironmentFacts(
            key=key,
            python=python,
            packages=packages_of(lock),
            size_bytes=_size(made),
            made_at=at.astimezone(UTC).isoformat(timespec="seconds"),
        )
        (made / _FACTS).write_text(json.dumps(asdict(facts)), encoding="utf-8")
        if hasattr(os, "sync"):
            os.sync()

    def swap(self, made: Path, key: str) -> Path | None:
        """Puts a finished environment in its place; returns what is left of an older one."""
        old = self.take_aside(key)
        made.replace(self.root / key)
        self.look(key)
        return old

    def take_aside(self, key: str) -> Path | None:
        """Takes an environment away for whoever looks; its files are left to be removed."""
        place = self.root / key
        self._known[key] = None
        if not place.exists() and not place.is_symlink():
            return None
        aside = self.root / f".old-{secrets.token_hex(8)}"
        return place.replace(aside)

    def leftovers(self) -> list[Path]:
        """What an earlier server left half made or half removed, asked before any is begun."""
        return [one for one in self._entries() if one.name.startswith((".making-", ".old-"))]

    def all_keys(self) -> list[str]:
        """Every environment that is there."""
        return sorted(place.name for place in self._entries() if _KEY.fullmatch(place.name))

    def mark_used(self, key: str, run_id: str) -> bool:
        """Notes that a run uses the environment from now on; nothing of one that is not whole."""
        if self.look(key) is None:
            return False
        runs = self.root / key / _RUNS
        runs.mkdir(exist_ok=True, mode=0o700)
        (runs / run_id).touch()
        return True

    def is_in_use(self, key: str, live: Collection[str]) -> bool:
        """Whether one of the live runs was started from it; markers of the others are dropped."""
        markers = list(_listed(self.root / key / _RUNS))
        for marker in markers:
            if marker.name not in live:
                marker.unlink(missing_ok=True)
        return any(marker.name in live for marker in markers)

    def used_at(self, key: str) -> datetime:
        """When a run was last started from it, or when it was made."""
        runs, facts = self.root / key / _RUNS, self.root / key / _FACTS
        for path in (runs, facts, self.root / key):
            try:
                return datetime.fromtimestamp(path.stat().st_mtime, UTC)
            except OSError:
                continue
        return datetime.fromtimestamp(0, UTC)

    def _entries(self) -> list[Path]:
        return list(_listed(self.root))


def packages_of(lock: str) -> tuple[tuple[str, str], ...]:
    """Names and versions in a lock; an address stands for the version where there is one."""
    found = []
    for line in lock.splitlines():
        plain = line.partition(" ;")[0].strip(" \\")
        name, mark, version = (
            re.split(r"\s*(==| @ )\s*", plain, maxsplit=1) if plain[:1].isalnum() else ("", "", "")
        )
        if mark:
            found.append((name.strip(), version.strip()))
    return tuple(sorted(found))


def _listed(folder: Path) -> Iterator[Path]:
    try:
        yield from list(folder.iterdir())
    except OSError:
        return


def _size(folder: Path) -> int:
    total, seen = 0, set()
    for where, _, names in os.walk(folder):
        for name in names:
            found = os.lstat(os.path.join(where, name))
            if found.st_ino not in seen:
                seen.add(found.st_ino)
                total += found.st_size
    return total

"""``algohost doctor``: is this machine fit, and is this installation whole; one line each."""

import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from algohost import __version__
from algohost.cli import kernel, ports
from algohost.cli.console import Exit, answer
from algohost.cli.control_client import Control
from algohost.domain.errors import AlgohostError
from algohost.host.launch import Folders
from algohost.settings import Loaded, load

_GIB: Final = 1024**3
_LITTLE_DISK: Final = _GIB
_NO_DISK: Final = _GIB // 10


class Health(StrEnum):
    """How a check came out."""

    OK = "ok"
    NOTE = "note"
    """Works, with something to know."""
    BROKEN = "broken"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of the doctor's."""

    name: str
    health: Health
    sentence: str


@dataclass(frozen=True, kw_only=True)
class _Patient:
    loaded: Loaded
    server: dict[str, Any] | None
    """What the running server says of itself."""


def doctor(data_dir: Path | None, *, config: Path | None, as_json: bool) -> int:
    """Prints every check. Returns 1 where something is broken."""
    found = examine(load({"data_dir": data_dir}, config=config))
    broken = [check.name for check in found if check.health is Health.BROKEN]
    width = max(len(check.name) for check in found)
    lines = [f"{c.health.value:6}  {c.name.ljust(width)}  {c.sentence}" for c in found]
    data = {"success": not broken, "checks": [asdict(c) for c in found], "broken": broken}
    answer(as_json, data, *lines)
    return Exit.REFUSED if broken else Exit.DONE


def examine(loaded: Loaded) -> list[Check]:
    """Every check, in the order in which they are shown."""
    try:
        server = Control(loaded.settings.data_dir).ask("GET", "/v1/server", timeout_seconds=5)
    except AlgohostError:
        server = None
    patient = _Patient(loaded=loaded, server=server)
    return [
        Check(name=name, health=health, sentence=sentence)
        for name, check in _CHECKS
        for health, sentence in check(patient)
    ]


_Findings = list[tuple[Health, str]]


def _python(_: _Patient) -> _Findings:
    said = f"Python {platform.python_version()} at {sys.executable}, algohost {__version__}."
    return [(Health.OK, said)]


def _settings(patient: _Patient) -> _Findings:
    unknown = patient.loaded.unknown_variables
    if unknown:
        return [(Health.NOTE, f"Ignored, because they name no setting: {', '.join(unknown)}.")]
    file = patient.loaded.config_file
    return [(Health.OK, f"Read from {file}." if file else "No configuration file; none is needed.")]


def _data_dir(patient: _Patient) -> _Findings:
    place = patient.loaded.settings.data_dir
    if not place.exists():
        return [(Health.NOTE, f"{place} does not exist yet; the first start makes it.")]
    if not os.access(place, os.R_OK | os.W_OK | os.X_OK) or not place.is_dir():
        return [(Health.BROKEN, f"{place} cannot be written; let your user write there.")]
    if os.name == "posix" and place.stat().st_mode & 0o077:
        return [(Health.NOTE, f"Others may look into {place}; 'chmod 700 {place}' shuts it.")]
    return [(Health.OK, f"{place} is yours alone.")]


def _disk(patient: _Patient) -> _Findings:
    place = patient.loaded.settings.data_dir
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    said = f"{free / _GIB:.1f} GiB free."
    if free < _NO_DISK:
        return [(Health.BROKEN, f"{said} Make room: nothing can be recorded on a full disk.")]
    return [(Health.NOTE if free < _LITTLE_DISK else Health.OK, said)]


def _database(patient: _Patient) -> _Findings:
    path = Folders(data=patient.loaded.settings.data_dir).database
    if not path.exists():
        return [(Health.NOTE, "There is none yet; the first start makes it.")]
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)
        try:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            tables = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
        finally:
            connection.close()
    except (sqlite3.Error, TypeError) as error:
        return [(Health.BROKEN, f"{path} cannot be read ({error}); restore it from a backup.")]
    if verdict != "ok":
        return [(Health.BROKEN, f"{path} is damaged ({verdict}); restore it from a backup.")]
    return [_tables_verdict(str(tables))]


def _tables_verdict(tables: str) -> tuple[Health, str]:
    from algohost.store import schema

    if tables == schema.HEAD:
        return Health.OK, f"Whole, with the tables of this version ({tables})."
    older = {path.name.split("_")[0] for path in (schema.MIGRATIONS / "versions").glob("*.py")}
    if tables in older:
        return Health.NOTE, f"Whole, with older tables ({tables}); the next start renews them."
    return (
        Health.BROKEN,
        f"A newer algohost wrote it (tables {tables}); start that one, or restore a backup.",
    )


def _server(patient: _Patient) -> _Findings:
    if patient.server is None:
        return [(Health.NOTE, "None runs on this data directory; 'algohost up' starts one.")]
    found = patient.server
    said = f"Process {found['pid']}, version {found['version']}, at {found['web']}."
    if found["version"] != __version__:
        said += f" This program is {__version__}: 'algohost down', then 'up', to renew it."
        return [(Health.NOTE, said)]
    return [(Health.OK, said)]


def _agent(patient: _Patient) -> _Findings:
    if patient.server is None:
        return [(Health.NOTE, "Not asked, because no server runs.")]
    if patient.server["agent"]:
        return [(Health.OK, "Answers the server.")]
    return [(Health.BROKEN, "Does not answer the server, so nothing can be started; see agent/.")]


def _launcher(_: _Patient) -> _Findings:
    missing = [part.name for part in kernel.zygote_parts() if not part.offered]
    if not missing:
        return [(Health.OK, "Strategies can start from a warm process (fork, pidfd, subreaper).")]
    said = f"This system has no {', '.join(missing)}: strategies start as plain processes, slower."
    return [(Health.NOTE, said)]


def _ports(patient: _Patient) -> _Findings:
    settings = patient.loaded.settings
    running = patient.server or {}
    findings: _Findings = []
    for name, port, url in (
        ("port", settings.port, settings.web_url),
        ("feed_port", settings.feed_port, settings.feed_url),
    ):
        if url in {running.get("web"), running.get("feed")}:
            findings.append((Health.OK, f"{port} is our server's."))
            continue
        try:
            ports.refuse_if_taken(settings.host, {name: port})
        except AlgohostError as error:
            # a server that runs elsewhere does not need them
            health = Health.NOTE if patient.server else Health.BROKEN
            findings.append((health, error.message))
        else:
            findings.append((Health.OK, f"{port} is free."))
    return findings


def _pages(_: _Patient) -> _Findings:
    spec = find_spec("algohost.web")
    places = [Path(p) / "static" for p in (spec.submodule_search_locations or [])] if spec else []
    if any(place.is_dir() and any(place.iterdir()) for place in places):
        return [(Health.OK, "The pages' scripts and styles are built.")]
    said = "The pages' scripts and styles are missing; in a checkout './algohost up' builds them."
    return [(Health.BROKEN, said)]


def _confinement(_: _Patient) -> _Findings:
    offered = [part.name for part in kernel.confinement_parts() if part.offered]
    what = f"This kernel offers {', '.join(offered)}." if offered else "This system offers none."
    said = (
        f"{what} Not enforced in this version: a strategy can read what your user can read. "
        "Run only code that you trust."
    )
    return [(Health.NOTE, said)]


_CHECKS: Final[tuple[tuple[str, Callable[[_Patient], _Findings]], ...]] = (
    ("program", _python),
    ("settings", _settings),
    ("data directory", _data_dir),
    ("disk", _disk),
    ("database", _database),
    ("server", _server),
    ("agent", _agent),
    ("launcher", _launcher),
    ("ports", _ports),
    ("pages", _pages),
    ("confinement", _confinement),
)

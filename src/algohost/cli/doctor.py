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
from algohost.cli import exposure, kernel, ports
from algohost.cli.console import Exit, answer
from algohost.cli.control_client import Control, running_ports
from algohost.domain.errors import AlgohostError
from algohost.host.launch import Folders
from algohost.runner import confine
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


def doctor(*, data_dir: Path | None, config: Path | None, as_json: bool) -> int:
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
    server = Control(loaded.settings.data_dir).server()
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
    exposed = exposure.problem_of(place)
    if exposed is not None:
        return [(Health.BROKEN, exposed)]
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


def _keys(patient: _Patient) -> _Findings:
    from algohost.store import vault

    folders = Folders(data=patient.loaded.settings.data_dir)
    path = folders.keys / vault.KEY_FILE
    try:
        count = len(vault.read_keys(path))
    except vault.KeyLost as lost:
        if _has_secrets(folders.database):
            return [(Health.BROKEN, lost.message)]
        return [(Health.NOTE, "There is no key for secrets yet; the first start makes it.")]
    except vault.VaultProblem as problem:
        return [(Health.BROKEN, problem.message)]
    if count > 1:
        said = f"{path} holds {count} keys; 'algohost keys rotate' finishes a rotation."
        return [(Health.NOTE, said)]
    return [(Health.OK, f"{path} is yours alone.")]


def _has_secrets(database: Path) -> bool:
    try:
        connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=5)
        try:
            found = connection.execute("SELECT 1 FROM variables WHERE sealed IS NOT NULL LIMIT 1")
            return found.fetchone() is not None
        finally:
            connection.close()
    except sqlite3.Error:
        return False  # there is none, or the line about the database says what is wrong


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
    findings: _Findings = []
    for name, wanted in (("port", settings.port), ("feed_port", settings.feed_port)):
        real = running_ports(patient.server).get(name)
        if real is not None:
            findings.append((Health.OK, f"{real} is our server's."))
        if wanted == real:
            continue
        then = " It is what the settings say for the next start." if real else ""
        try:
            ports.refuse_if_taken(settings.host, {name: wanted})
        except AlgohostError as error:
            # a server that runs with other ports does not need them
            findings.append((Health.NOTE if real else Health.BROKEN, f"{error.message}{then}"))
        else:
            findings.append((Health.OK, f"{wanted} is free.{then}"))
    return findings


def _pages(_: _Patient) -> _Findings:
    spec = find_spec("algohost.web")
    places = [Path(p) / "static" for p in (spec.submodule_search_locations or [])] if spec else []
    if any(place.is_dir() and any(place.iterdir()) for place in places):
        return [(Health.OK, "The pages' scripts and styles are built.")]
    said = "The pages' scripts and styles are missing; in a checkout './algohost up' builds them."
    return [(Health.BROKEN, said)]


def _confinement(_: _Patient) -> _Findings:
    return [
        (Health.OK if one.is_on else Health.NOTE, f"{one.name}: {one.how}")
        for one in confine.offers()
    ]


_CHECKS: Final[tuple[tuple[str, Callable[[_Patient], _Findings]], ...]] = (
    ("program", _python),
    ("settings", _settings),
    ("data directory", _data_dir),
    ("disk", _disk),
    ("database", _database),
    ("keys", _keys),
    ("server", _server),
    ("agent", _agent),
    ("launcher", _launcher),
    ("ports", _ports),
    ("pages", _pages),
    ("confinement", _confinement),
)

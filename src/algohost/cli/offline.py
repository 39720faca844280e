"""The parts of a data directory while no server runs on it.

Each is opened with the data directory held against a server that starts meanwhile, and raises
``Invalid`` where the settings or the folder cannot be used, ``Conflict`` where a server holds it,
``Unavailable`` where the database cannot be opened.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from algohost import bootstrap
from algohost.cli.rundir import RunDir
from algohost.settings import Settings, load

if TYPE_CHECKING:
    from algohost.host.auditing import Audit
    from algohost.host.calendars import CalendarService
    from algohost.host.identity import Identity
    from algohost.store.database import Database
    from algohost.store.vault import Vault

T = TypeVar("T")


def open_identity(data_dir: Path | None, config: Path | None) -> "AbstractContextManager[Identity]":
    """The users."""
    return _held(bootstrap.open_identity, data_dir, config)


def open_vault(
    data_dir: Path | None, config: Path | None
) -> "AbstractContextManager[tuple[Database, Vault]]":
    """Database and vault."""
    return _held(bootstrap.open_vault, data_dir, config)


def open_calendars(
    data_dir: Path | None, config: Path | None
) -> "AbstractContextManager[tuple[CalendarService, Identity]]":
    """Calendars and users."""
    return _held(bootstrap.open_calendars, data_dir, config)


def open_audit(data_dir: Path | None, config: Path | None) -> "AbstractContextManager[Audit]":
    """The audit."""
    return _held(bootstrap.open_audit, data_dir, config)


@contextmanager
def _held(
    opening: Callable[[Settings], AbstractContextManager[T]],
    data_dir: Path | None,
    config: Path | None,
) -> Iterator[T]:
    settings = load({"data_dir": data_dir}, config=config).settings
    run_dir = RunDir(settings.data_dir)
    run_dir.make()
    with run_dir.locked(), opening(settings) as opened:
        yield opened

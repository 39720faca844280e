"""The users and the keys of a data directory while no server runs on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from algohost import bootstrap
from algohost.cli.rundir import RunDir
from algohost.settings import load

if TYPE_CHECKING:
    from algohost.host.calendars import CalendarService
    from algohost.host.identity import Identity
    from algohost.store.database import Database
    from algohost.store.vault import Vault


@contextmanager
def open_identity(data_dir: Path | None, config: Path | None) -> "Iterator[Identity]":
    """The users, with the data directory held against a server that starts meanwhile.

    Raises ``Invalid`` where the settings or the folder cannot be used, ``Conflict`` where a
    server holds it, ``Unavailable`` where the database cannot be opened.
    """
    settings = load({"data_dir": data_dir}, config=config).settings
    run_dir = RunDir(settings.data_dir)
    run_dir.make()
    with run_dir.locked(), bootstrap.open_identity(settings) as identity:
        yield identity


@contextmanager
def open_vault(data_dir: Path | None, config: Path | None) -> "Iterator[tuple[Database, Vault]]":
    """Database and vault, held as ``open_identity`` does; raises the same."""
    settings = load({"data_dir": data_dir}, config=config).settings
    run_dir = RunDir(settings.data_dir)
    run_dir.make()
    with run_dir.locked(), bootstrap.open_vault(settings) as opened:
        yield opened


@contextmanager
def open_calendars(
    data_dir: Path | None, config: Path | None
) -> "Iterator[tuple[CalendarService, Identity]]":
    """Calendars and users, held as ``open_identity`` does; raises the same."""
    settings = load({"data_dir": data_dir}, config=config).settings
    run_dir = RunDir(settings.data_dir)
    run_dir.make()
    with run_dir.locked(), bootstrap.open_calendars(settings) as opened:
        yield opened

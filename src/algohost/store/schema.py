"""Which form the tables have, and how an older form becomes this one.

Alembic keeps the migrations (``migrations/versions``). It is imported only when there is
something to migrate: the check that there is not takes one query.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

from algohost.domain.errors import Unavailable

HEAD: Final = "0013"
"""The newest revision that this program knows; a test holds it against the migrations."""
MIGRATIONS: Final = Path(__file__).parent / "migrations"


def current(connection: Connection) -> str | None:
    """The revision of the tables in the database, ``None`` for an empty file."""
    known = connection.execute(
        text("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")
    ).first()
    if known is None:
        return None
    row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
    return None if row is None else str(row[0])


def bring_up_to_date(connection: Connection, path: Path) -> None:
    """Migrates in one transaction; does nothing where the tables are those of ``HEAD``.

    Raises ``Unavailable`` where a newer program has written the database.
    """
    have = current(connection)
    if have == HEAD:
        return
    if have is not None and have not in _known_revisions():
        raise Unavailable(
            f"The database {path} was written by a newer algohost (tables {have}, this program"
            f" knows up to {HEAD}); start the newer version, or restore an older backup.",
            code="DATABASE_NEWER",
        )
    _upgrade(connection)


def _known_revisions() -> frozenset[str]:
    return frozenset(p.name.split("_")[0] for p in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        command.upgrade(config, HEAD)
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")

"""How our values lie in columns."""

from datetime import UTC, datetime

from sqlalchemy import String, Table
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


def utc_text(at: datetime | None) -> str | None:
    """An instant as it lies in a column. Raises ``ValueError`` for a naive one."""
    if at is None:
        return None
    if at.tzinfo is None:
        raise ValueError(f"The instant {at!r} has no time zone.")
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def insertion(table: Table) -> str:
    """The statement that the driver is given to insert many rows, values in column order."""
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    marks = ", ".join("?" for _ in table.columns)
    return f"INSERT INTO {table.name} ({names}) VALUES ({marks})"  # noqa: S608 - our own names


class Utc(TypeDecorator[datetime]):
    """An aware instant, kept as fixed-width ISO text in UTC, so that text order is time order."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - its form is given
        """Refuses a naive instant: which moment it means is anybody's guess."""
        return utc_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """The instant, aware, in UTC."""
        return None if value is None else datetime.fromisoformat(value)

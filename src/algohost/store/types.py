"""How our values lie in columns."""

from datetime import UTC, datetime

from sqlalchemy import String
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class Utc(TypeDecorator[datetime]):
    """An aware instant, kept as fixed-width ISO text in UTC, so that text order is time order."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - its form is given
        """Refuses a naive instant: which moment it means is anybody's guess."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"The instant {value!r} has no time zone.")
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """The instant, aware, in UTC."""
        return None if value is None else datetime.fromisoformat(value)

"""The time of this machine."""

import time
from datetime import UTC, datetime


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return datetime.now(UTC)  # noqa: TID251 - this is the port

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()

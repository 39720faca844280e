"""A clock that stands still until a test moves it."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """The ``Clock`` port over an instant that only ``advance`` and ``set`` change."""

    def __init__(self, now: datetime = datetime(2025, 6, 2, 4, 0, tzinfo=UTC)) -> None:
        self.set(now)
        self._monotonic = 0.0

    def now(self) -> datetime:
        """The instant the test chose, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds advanced so far; ``set`` does not move it, as a clock jump would not."""
        return self._monotonic

    def advance(self, by: timedelta | float) -> None:
        """Moves both clocks forward by ``by``, a span or seconds. Refuses to go back."""
        span = by if isinstance(by, timedelta) else timedelta(seconds=by)
        if span < timedelta(0):
            raise ValueError("A fake clock advances forwards; use set() for a clock jump.")
        self._now += span
        self._monotonic += span.total_seconds()

    def set(self, now: datetime) -> None:
        """Jumps the wall clock alone to ``now``, which must be aware."""
        if now.tzinfo is None:
            raise ValueError("A fake clock needs an aware instant.")
        self._now = now.astimezone(UTC)

"""What waits to be written to one client of the feed: bounded, however long it does not read.

Of market data it holds no frames, only which topics have news: what is taken is the newest frame
of each, whose news have waited longest first. Order updates are all kept, in their order, and
come first.
"""

from collections import deque
from typing import Final, Generic, Protocol, TypeVar

MOST_UNSENT_ORDERS: Final = 2_000
"""Order updates are never dropped; a client that leaves more unread is disconnected."""


class HasFrame(Protocol):
    """Something whose newest frame clients want."""

    @property
    def frame(self) -> bytes:
        """The newest, ready for the wire."""


T = TypeVar("T", bound=HasFrame)


class Outbox(Generic[T]):
    """News of topics, each at most once, and order updates."""

    def __init__(self) -> None:
        self._news: dict[T, None] = {}
        self._orders: deque[bytes] = deque()

    def __len__(self) -> int:
        """How many frames wait."""
        return len(self._news) + len(self._orders)

    @property
    def room_for_orders(self) -> int:
        """How many order updates may still be added."""
        return max(0, MOST_UNSENT_ORDERS - len(self._orders))

    def note(self, topic: T) -> None:
        """Notes that ``topic`` has a newer frame; it keeps the place it has."""
        self._news[topic] = None

    def forget(self, topic: T) -> None:
        """Nobody wants the news of ``topic`` any more."""
        self._news.pop(topic, None)

    def add_order(self, frame: bytes) -> bool:
        """Keeps an order update; false, and nothing is kept, where there is no room for it."""
        if not self.room_for_orders:
            return False
        self._orders.append(frame)
        return True

    def take(self, most_bytes: int) -> list[bytes]:
        """The frames to be written next, about so many bytes of them, and at least one if any."""
        taken: list[bytes] = []
        size = 0
        while self._orders and size < most_bytes:
            taken.append(self._orders.popleft())
            size += len(taken[-1])
        told: list[T] = []
        for topic in self._news:
            if size >= most_bytes:
                break
            told.append(topic)
            taken.append(topic.frame)
            size += len(topic.frame)
        for topic in told:
            del self._news[topic]
        return taken

    def clear(self) -> None:
        """Forgets everything: there is nobody to tell."""
        self._news.clear()
        self._orders.clear()

"""One connection of the feed: what it wants, and what it has still to be sent.

A topic is an instrument in one mode, with its newest frame. A client keeps no frames of its
own, only which of its topics have news; so a client that reads slowly gets, when it reads
again, the newest frame of each topic and nothing in between.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Book
from algohost.domain.users import Principal
from algohost.web.feed_messages import FeedMode

UNSENT_BYTES: Final = 65_536
"""With more than this in its write buffer a client is slow, and is written to later."""
MOST_UNSENT_ORDERS: Final = 2_000
"""Order updates are never dropped; a client that leaves so many unread is disconnected."""


@dataclass(eq=False, kw_only=True, slots=True)
class Topic:
    """One instrument in one mode, who wants it, and its newest frame."""

    key: InstrumentKey
    mode: FeedMode
    frame: bytes = b""
    clients: "set[FeedClient]" = field(default_factory=set)


class FeedClient:
    """What the server knows of one connection."""

    def __init__(
        self,
        connection: ServerConnection,
        *,
        taken: Callable[[str | None], None] = lambda _run_id: None,
    ) -> None:
        """``taken`` is told of each write to a run: it reads what it asked for."""
        self.connection = connection
        self._taken = taken
        self.key = ""
        self.principal: Principal | None = None
        self.topics: set[Topic] = set()
        self.wants_orders = False
        self._news: dict[Topic, None] = {}
        self._orders: list[bytes] = []

    @property
    def is_behind(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._news or self._orders)

    def may_see(self, book: Book) -> bool:
        """Whether orders of ``book`` are this client's: its strategy's, or its account's."""
        principal = self.principal
        if principal is None or principal.account_id != book.account_id:
            return False
        return principal.strategy_id is None or principal.strategy_id == book.strategy_id

    def has_news(self, topic: Topic) -> None:
        """Notes that ``topic`` has a newer frame than the client was sent."""
        self._news[topic] = None

    def forget(self, topic: Topic) -> None:
        """Stops wanting ``topic``."""
        self.topics.discard(topic)
        self._news.pop(topic, None)

    def add_order(self, frame: bytes) -> bool:
        """Keeps an order update to be sent; false when the client left too many unread."""
        self._orders.append(frame)
        return len(self._orders) <= MOST_UNSENT_ORDERS

    def flush(self) -> None:
        """Writes what waits, in one write, unless the client is slow: then it goes on waiting.

        The frames go past ``connection.send``, which would cost one serialisation and one
        system call for each. It is safe where a text message may begin: on an open
        connection that is not within a fragmented message, and we never send those.
        """
        connection = self.connection
        if connection.protocol.state is not State.OPEN:
            self._news.clear()
            self._orders.clear()
            return
        if connection.transport.get_write_buffer_size() > UNSENT_BYTES:
            return
        frames = [*self._orders, *(topic.frame for topic in self._news)]
        if frames:
            self._orders.clear()
            self._news.clear()
            connection.transport.write(b"".join(frames))
            if self.principal is not None:
                self._taken(self.principal.run_id)

"""One connection of the feed: what it wants, and what it has still to be sent.

A topic is an instrument in one mode, with its newest frame. A client keeps no frames of its
own, only which of its topics have news; so a client that reads slowly gets, when it reads
again, the newest frame of each topic and nothing in between.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Book
from algohost.domain.users import Principal
from algohost.web.feed_messages import FeedMode
from algohost.web.feed_outbox import Outbox

UNSENT_BYTES: Final = 65_536
"""With more than this in its write buffer a client is slow, and is written to later."""
_BYTES_AT_ONCE: Final = 65_536
"""About how much is written at once: more waits for the client to take it."""
CLOSE_SECONDS: Final = 10.0
"""For how long a client may leave its close unread before it is cut off."""


class FeedConnection(ServerConnection):
    """A connection that tells when it can be written to again, and since when it cannot."""

    full_since: float | None = None
    """By the loop's clock; ``None`` while the client takes what it is sent."""
    on_writable: Callable[[], None] = staticmethod(lambda: None)

    def pause_writing(self) -> None:
        """The transport's word that its buffer is full."""
        super().pause_writing()
        self.full_since = self.loop.time()

    def resume_writing(self) -> None:
        """The transport's word that the client has taken what was in its buffer."""
        super().resume_writing()
        self.full_since = None
        self.on_writable()


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
        connection: FeedConnection,
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
        self.is_ending = False
        self._outbox: Outbox[Topic] = Outbox()
        connection.on_writable = self.flush

    @property
    def is_behind(self) -> bool:
        """Whether something waits to be written."""
        return len(self._outbox) > 0

    @property
    def peer(self) -> str:
        """The address it came from."""
        address = self.connection.remote_address
        return str(address[0]) if address else "unknown"

    def full_seconds(self) -> float:
        """For how long it has taken nothing of what was written to it."""
        since = self.connection.full_since
        return 0.0 if since is None else self.connection.loop.time() - since

    def may_see(self, book: Book) -> bool:
        """Whether orders of ``book`` are this client's: its strategy's, or its account's."""
        principal = self.principal
        if principal is None or principal.account_id != book.account_id:
            return False
        return principal.strategy_id is None or principal.strategy_id == book.strategy_id

    def has_news(self, topic: Topic) -> None:
        """Notes that ``topic`` has a newer frame than the client was sent."""
        self._outbox.note(topic)

    def forget(self, topic: Topic) -> None:
        """Stops wanting ``topic``."""
        self.topics.discard(topic)
        self._outbox.forget(topic)

    @property
    def room_for_orders(self) -> int:
        """How many order updates it may still leave unread."""
        return self._outbox.room_for_orders

    def add_order(self, frame: bytes) -> bool:
        """Keeps an order update to be sent; false when the client left too many unread."""
        return self._outbox.add_order(frame)

    def flush(self) -> None:
        """Writes what waits, unless the client is slow: then it goes on waiting.

        The frames go past ``connection.send``, which would cost one serialisation and one
        system call for each. It is safe where a text message may begin: on an open
        connection that is not within a fragmented message, and we never send those.
        """
        connection, outbox = self.connection, self._outbox
        if not outbox:
            return
        if connection.protocol.state is not State.OPEN or connection.transport.is_closing():
            outbox.clear()
            return
        was_written = False
        while outbox and connection.transport.get_write_buffer_size() <= UNSENT_BYTES:
            connection.transport.write(b"".join(outbox.take(_BYTES_AT_ONCE)))
            was_written = True
        if was_written and self.principal is not None:
            self._taken(self.principal.run_id)

    async def end(self, code: int, reason: str, *, within_seconds: float = CLOSE_SECONDS) -> None:
        """Closes the connection with a code and a sentence, and waits until it is gone.

        A client that does not read would keep it open for ever: it is cut off.
        """
        self.is_ending = True
        try:
            async with asyncio.timeout(within_seconds):
                await self.connection.close(code, reason)
        except TimeoutError:
            self.connection.transport.abort()

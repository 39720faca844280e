"""The WebSocket feed on its own port: ticks and order updates for openalgo clients.

One listener on the market encodes each tick once per instrument and mode that somebody wants,
whoever and how many they are. A connection lives by its key: when the key is replaced or the
run behind it has ended, it is closed within seconds, whether it reads or not.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

import orjson
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from algohost.domain.orders import Order
from algohost.domain.users import Principal
from algohost.web.feed_actions import Actions
from algohost.web.feed_client import CLOSE_SECONDS, FeedClient, FeedConnection
from algohost.web.feed_live import LivePrices
from algohost.web.feed_messages import order_frame
from algohost.web.feed_topics import Topics

if TYPE_CHECKING:
    from algohost.web.services import Host

log = logging.getLogger(__name__)

UNAUTHENTICATED: Final = 4401
"""Close code of a connection without a good key."""
GOING_AWAY: Final = 1001
TRY_AGAIN_LATER: Final = 1013
MOST_MESSAGE_BYTES: Final = 524_288
MOST_CONNECTIONS: Final = 1_024
STALLED_SECONDS: Final = 60.0
"""For how long a client may take nothing at all of what was written to it."""
_LOOK_SECONDS: Final = 1.0
"""How often keys and stalled clients are looked at."""
_STOP_SECONDS: Final = 2.0
_SEND_BUFFER_BYTES: Final = 131_072
"""Kernel buffer per connection: what a stalled client finds there is old."""


class FeedServer:
    """The feed of one host. ``start`` listens, ``stop`` disconnects everybody."""

    def __init__(
        self,
        host: "Host",
        *,
        address: str | None = None,
        port: int | None = None,
        auth_seconds: float = 15.0,
        stalled_seconds: float = STALLED_SECONDS,
        most_connections: int = MOST_CONNECTIONS,
    ) -> None:
        self._host = host
        self._address = host.settings.host if address is None else address
        self._port = host.settings.feed_port if port is None else port
        self._auth_seconds = auth_seconds
        self._stalled_seconds = stalled_seconds
        self._most_connections = most_connections
        self._topics = Topics(host.market)
        self._live = LivePrices(host)
        self._actions = Actions(host, self._topics, self._connections_of, self._live)
        self._clients: set[FeedClient] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._stop_listening: list[Callable[[], None]] = []
        self._server: Server | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def faults(self) -> int:
        """Messages and ticks that failed by a fault of ours; each is in the log."""
        return self._actions.faults + self._topics.faults

    @property
    def port(self) -> int:
        """The port that is listened on; after ``start`` the real one where 0 was asked for."""
        if self._server is None:
            return self._port
        return int(next(iter(self._server.sockets)).getsockname()[1])

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._clients)

    async def start(self) -> None:
        """Listens. Raises ``OSError`` where the port is taken."""
        library = log.getChild("connections")
        library.setLevel(logging.WARNING)  # what else it says, we say ourselves
        self._server = await serve(
            self._serve_client,
            self._address,
            self._port,
            create_connection=FeedConnection,
            process_request=self._admit,
            compression=None,
            max_size=MOST_MESSAGE_BYTES,
            ping_interval=20,
            ping_timeout=20,
            close_timeout=CLOSE_SECONDS,  # it counts from before the close is written
            logger=library,
        )
        self._stop_listening = [
            self._host.market.listen(self._topics.on_quotes, self._topics.instruments),
            self._host.gateway.listen(self._on_order),
        ]
        self._keeper = asyncio.create_task(self._keep())
        log.info("feed_started address=%s port=%d", self._address, self.port)

    async def stop(self) -> None:
        """Disconnects everybody and gives the port back; nothing to do when not started."""
        for stop_listening in self._stop_listening:
            stop_listening()
        self._stop_listening = []
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        if self._server is not None:
            self._server.close(close_connections=False)  # its own way waits for who does not read
            await asyncio.gather(
                *(
                    client.end(GOING_AWAY, "The server stops.", within_seconds=_STOP_SECONDS)
                    for client in self._clients
                )
            )
            await self._server.wait_closed()
            self._server = None
        await self._live.close()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:  # noqa: ARG002 - the signature is the library's
        if len(self._clients) < self._most_connections:
            return None
        log.warning("feed_full connections=%d", len(self._clients))
        return connection.respond(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"There are {self._most_connections} connections already; close some of them.\n",
        )

    def _connections_of(self, principal: Principal) -> int:
        return sum(client.principal == principal for client in self._clients)

    async def _serve_client(self, connection: ServerConnection) -> None:
        client = FeedClient(cast("FeedConnection", connection), taken=self._host.activity.touch)
        self._clients.add(client)
        _shrink_send_buffer(connection)
        try:
            async with asyncio.timeout(self._auth_seconds) as deadline:
                async for message in connection:
                    if client.is_ending:
                        break
                    await self._answer(client, message)
                    if client.principal is not None:
                        deadline.reschedule(None)
        except TimeoutError:
            await client.end(UNAUTHENTICATED, "Authenticate with an API key first.")
        except ConnectionClosed:
            pass
        finally:
            self._clients.discard(client)
            self._live.drop_all(client)
            self._topics.drop_all(client)

    async def _answer(self, client: FeedClient, message: str | bytes) -> None:
        reply = await self._actions.reply(client, message)
        await client.connection.send(orjson.dumps(reply), text=True)
        client.flush()
        if reply.get("type") == "auth" and client.principal is None:
            await client.end(UNAUTHENTICATED, reply["message"])

    def _on_order(self, order: Order) -> None:
        frame = b""
        for client in self._clients:
            if not client.wants_orders or not client.may_see(order.book):
                continue
            frame = frame or order_frame(order)
            if client.add_order(frame):
                client.flush()
            else:
                self._close(client, TRY_AGAIN_LATER, "Order updates are not read.")

    async def _keep(self) -> None:
        """Closes clients whose key has ended, and those that have stalled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for client in list(self._clients):
                try:
                    if not client.is_ending:
                        self._look_at(client)
                except Exception:  # one client's fault must not keep the others' keys alive
                    log.exception("feed_look_failed peer=%s", client.peer)

    def _look_at(self, client: FeedClient) -> None:
        client.flush()
        principal = client.principal
        if principal is not None and self._host.identity.principal(client.key) != principal:
            self._close(client, UNAUTHENTICATED, "The key is no longer valid.")
        elif client.full_seconds() > self._stalled_seconds:
            self._close(client, TRY_AGAIN_LATER, "What was sent has not been read for too long.")

    def _close(self, client: FeedClient, code: int, reason: str) -> None:
        """From here on the client is told nothing; its connection ends in the background."""
        log.info("feed_closed peer=%s code=%d reason=%r", client.peer, code, reason)
        client.principal = None
        client.wants_orders = False
        client.is_ending = True
        self._live.drop_all(client)
        self._topics.drop_all(client)
        task = asyncio.create_task(client.end(code, reason))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _shrink_send_buffer(connection: ServerConnection) -> None:
    raw = connection.transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)

"""The WebSocket feed on its own port: ticks and order updates for openalgo clients.

One listener on the market encodes each tick once per instrument and mode that somebody wants,
whoever and how many they are. A connection lives by its key: when the key is replaced or the
run behind it has ended, it is closed within a second.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from algohost.domain.errors import AlgohostError, Invalid
from algohost.domain.orders import Order
from algohost.web.api_v1.answers import BROKER
from algohost.web.feed_client import FeedClient
from algohost.web.feed_messages import (
    FeedMode,
    Wanted,
    epoch_ms,
    order_frame,
    read,
    wanted,
)
from algohost.web.feed_topics import Topics

if TYPE_CHECKING:
    from algohost.web.services import Host

log = logging.getLogger(__name__)

UNAUTHENTICATED: Final = 4401
"""Close code of a connection without a good key."""
TRY_AGAIN_LATER: Final = 1013
MOST_MESSAGE_BYTES: Final = 524_288
MOST_CONNECTIONS: Final = 1_024
_LOOK_SECONDS: Final = 0.2
"""How often slow clients are looked at; keys are looked at every fifth time."""
_SEND_BUFFER_BYTES: Final = 131_072
"""Kernel buffer per connection: what a stalled client finds there is old."""

Reply = dict[str, Any]


class FeedServer:
    """The feed of one host. ``start`` listens, ``stop`` disconnects everybody."""

    def __init__(
        self,
        host: "Host",
        *,
        address: str | None = None,
        port: int | None = None,
        auth_seconds: float = 15.0,
        most_connections: int = MOST_CONNECTIONS,
    ) -> None:
        self._host = host
        self._address = host.settings.host if address is None else address
        self._port = host.settings.feed_port if port is None else port
        self._auth_seconds = auth_seconds
        self._most_connections = most_connections
        self._topics = Topics(host.market)
        self._clients: set[FeedClient] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._stop_listening: list[Callable[[], None]] = []
        self._server: Server | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._actions: dict[str, Callable[[FeedClient, Reply], Reply]] = {
            "authenticate": self._authenticate,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "unsubscribe_all": self._unsubscribe_all,
            "subscribe_orders": self._subscribe_orders,
            "unsubscribe_orders": self._unsubscribe_orders,
            "ping": self._ping,
        }
        self._message_faults = 0

    @property
    def faults(self) -> int:
        """Messages and ticks that failed by a fault of ours; each is in the log."""
        return self._message_faults + self._topics.faults

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
            process_request=self._admit,
            compression=None,
            max_size=MOST_MESSAGE_BYTES,
            ping_interval=20,
            ping_timeout=20,
            close_timeout=2,
            logger=library,
        )
        self._stop_listening = [
            self._host.market.listen(self._topics.on_quotes),
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
            self._server.close()
            await self._server.wait_closed()
            self._server = None
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:  # noqa: ARG002 - the signature is the library's
        if len(self._clients) < self._most_connections:
            return None
        log.warning("feed_full connections=%d", len(self._clients))
        return connection.respond(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"There are {self._most_connections} connections already; close some of them.\n",
        )

    async def _serve_client(self, connection: ServerConnection) -> None:
        client = FeedClient(connection, taken=self._host.activity.touch)
        self._clients.add(client)
        _shrink_send_buffer(connection)
        try:
            async with asyncio.timeout(self._auth_seconds) as deadline:
                async for message in connection:
                    await self._answer(client, message)
                    if client.principal is not None:
                        deadline.reschedule(None)
        except TimeoutError:
            await connection.close(UNAUTHENTICATED, "Authenticate with an API key first.")
        except ConnectionClosed:
            pass
        finally:
            self._clients.discard(client)
            self._topics.drop_all(client)

    async def _answer(self, client: FeedClient, message: str | bytes) -> None:
        said: Reply = {}
        try:
            said = read(message)
            reply = self._do(client, said)
        except AlgohostError as error:
            reply = _refusal(error.code, error.message)
        except Exception:
            # The boundary of the message loop: one bad message must not end the connection.
            self._message_faults += 1
            log.exception("feed_message_failed")
            reply = _refusal("INTERNAL", "The message could not be handled; it is in the log.")
        if isinstance(said.get("request_id"), str | int):
            reply["request_id"] = said["request_id"]
        await client.connection.send(orjson.dumps(reply), text=True)
        client.flush()
        if reply.get("type") == "auth" and client.principal is None:
            await client.connection.close(UNAUTHENTICATED, "Invalid openalgo apikey")

    def _do(self, client: FeedClient, said: Reply) -> Reply:
        name = said.get("action", said.get("type"))
        action = self._actions.get(name) if isinstance(name, str) else None
        if action is None:
            raise Invalid(
                f"There is no such action; use one of {', '.join(self._actions)}.",
                code="UNKNOWN_ACTION",
            )
        if client.principal is None and name not in {"authenticate", "ping"}:
            raise Invalid(
                'Send {"action": "authenticate", "api_key": …} first.', code="NOT_AUTHENTICATED"
            )
        return action(client, said)

    def _authenticate(self, client: FeedClient, said: Reply) -> Reply:
        key = said.get("api_key", said.get("apikey"))
        principal = self._host.identity.principal(key) if isinstance(key, str) else None
        if principal is None or (client.principal and client.principal != principal):
            refused = "Invalid openalgo apikey" if principal is None else "Open a new connection."
            return {"type": "auth", "status": "error", "code": "INVALID_KEY", "message": refused}
        client.key, client.principal = str(key), principal
        return {
            "type": "auth",
            "status": "success",
            "message": "Authentication successful",
            "broker": BROKER,
            "user_id": principal.user.name,
            "supported_features": {"ltp": True, "quote": True, "depth": True, "orders": True},
        }

    def _subscribe(self, client: FeedClient, said: Reply) -> Reply:
        results = []
        for one in wanted(said, FeedMode.QUOTE):
            problem = one.problem or self._topics.follow(client, one)
            results.append(_result(one, problem))
        good = sum(result["status"] == "success" for result in results)
        return {
            "type": "subscribe",
            "status": _overall(good, len(results)),
            "message": f"Subscribed to {good} of {len(results)}.",
            "subscriptions": results,
            "broker": BROKER,
        }

    def _unsubscribe(self, client: FeedClient, said: Reply) -> Reply:
        successful: list[Reply] = []
        failed: list[Reply] = []
        for one in wanted(said, None):
            problem = one.problem or self._topics.unfollow(client, one)
            (failed if problem else successful).append(_result(one, problem))
        return {
            "type": "unsubscribe",
            "status": _overall(len(successful), len(successful) + len(failed)),
            "message": f"Unsubscribed from {len(successful)}.",
            "successful": successful,
            "failed": failed,
            "broker": BROKER,
        }

    def _unsubscribe_all(self, client: FeedClient, said: Reply) -> Reply:  # noqa: ARG002
        count = len(client.topics)
        self._topics.drop_all(client)
        return {
            "type": "unsubscribe_all",
            "status": "success",
            "message": f"Unsubscribed from {count}.",
        }

    def _subscribe_orders(self, client: FeedClient, said: Reply) -> Reply:  # noqa: ARG002
        client.wants_orders = True
        return {
            "type": "subscribe_orders",
            "status": "success",
            "message": "Subscribed to order updates",
        }

    def _unsubscribe_orders(self, client: FeedClient, said: Reply) -> Reply:  # noqa: ARG002
        client.wants_orders = False
        return {
            "type": "unsubscribe_orders",
            "status": "success",
            "message": "Unsubscribed from order updates",
        }

    def _ping(self, client: FeedClient, said: Reply) -> Reply:  # noqa: ARG002
        return {
            "type": "pong",
            "status": "success",
            "timestamp": epoch_ms(self._host.clock.now()),
        }

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
        """Writes to slow clients when they read again, and closes those whose key has ended."""
        look = 0
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            look += 1
            for client in list(self._clients):
                if client.is_behind:
                    client.flush()
                if look % 5 == 0 and client.principal is not None:
                    self._check_key(client)

    def _check_key(self, client: FeedClient) -> None:
        if self._host.identity.principal(client.key) != client.principal:
            client.wants_orders = False
            self._topics.drop_all(client)
            self._close(client, UNAUTHENTICATED, "The key is no longer valid.")

    def _close(self, client: FeedClient, code: int, reason: str) -> None:
        client.principal = None
        task = asyncio.create_task(client.connection.close(code, reason))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _shrink_send_buffer(connection: ServerConnection) -> None:
    raw = connection.transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)


def _refusal(code: str, message: str) -> Reply:
    return {"status": "error", "code": code, "message": message}


def _overall(good: int, all_of_them: int) -> str:
    if good == all_of_them:
        return "success"
    return "partial" if good else "error"


def _result(one: Wanted, problem: str) -> Reply:
    result: Reply = {
        "symbol": one.symbol,
        "exchange": one.exchange,
        "mode": one.mode.value if one.mode else None,
        "status": "error" if problem else "success",
        "broker": BROKER,
    }
    if problem:
        result["message"] = problem
    return result

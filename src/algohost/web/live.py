"""``WEBSOCKET /ws``: everything that is live in a tab, over one socket.

The client sends ``{"op": "sub" | "unsub", "topic"}``; the server ``{"topic", "data"}``. Topics:
``strategies``, and ``log:<id>``, ``orders:<id>``, ``runs:<id>`` of one strategy. A topic that
cannot be given, or no longer, ends with ``{"topic", "error": {"message", "error_code"}}``.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from algohost.domain.errors import AlgohostError, Invalid, NotFound
from algohost.domain.ids import StrategyId, is_strategy_id
from algohost.web import live_topics
from algohost.web.access import WEBSOCKET, Access, Route, host_of, session_is_alive, user_of
from algohost.web.live_hub import LiveHub

log = logging.getLogger(__name__)

LOGGED_OUT: Final = 4401
TOO_SLOW: Final = 4408
_NOT_UNDERSTOOD: Final = 1003
_MOST_TOPICS: Final = 16
_LONGEST_MESSAGE: Final = 512
_SESSION_LOOK_SECONDS: Final = 15.0
_SEND_SECONDS: Final = 20.0

_TOPICS: Final = {
    "log": live_topics.log,
    "orders": live_topics.orders,
    "runs": live_topics.runs,
}


async def live(socket: WebSocket) -> None:
    """Serves one tab until it goes, is too slow, or its session ends."""
    hub = _hub_of(socket)
    await socket.accept()
    tab = _Tab(socket, hub)
    with hub.viewing(user_of(socket)):
        watch = asyncio.create_task(tab.watch_session())
        try:
            await tab.listen()
        except (WebSocketDisconnect, RuntimeError):
            log.debug("live_socket_gone")  # RuntimeError: closed from our side meanwhile
        finally:
            await tab.end(watch)


def _hub_of(socket: WebSocket) -> LiveHub:
    """One hub for the application, made when the first tab comes."""
    state = socket.app.state
    hub: LiveHub | None = getattr(state, "live_hub", None)
    if hub is None:
        hub = state.live_hub = LiveHub(host_of(socket))
    return hub


class _Tab:
    """One socket and the topics it listens to."""

    def __init__(self, socket: WebSocket, hub: LiveHub) -> None:
        self._socket = socket
        self._hub = hub
        self._user = user_of(socket)
        self._topics: dict[str, asyncio.Task[None]] = {}
        self._sending = asyncio.Lock()

    async def listen(self) -> None:
        """Reads what the tab wants, until it disconnects or talks nonsense."""
        while True:
            text = await self._socket.receive_text()
            try:
                op, topic = _understood(text)
            except Invalid as error:
                await self._socket.close(_NOT_UNDERSTOOD, error.message)
                return
            if op == "unsub" and topic in self._topics:
                self._topics.pop(topic).cancel()
            elif op == "sub" and (topic not in self._topics or self._topics[topic].done()):
                if len(self._topics) >= _MOST_TOPICS:
                    await self._socket.close(_NOT_UNDERSTOOD, "That is more topics than a tab has.")
                    return
                self._topics[topic] = asyncio.create_task(self._serve(topic), name=f"live {topic}")

    async def watch_session(self) -> None:
        """Closes the socket soon after its session was ended anywhere."""
        while session_is_alive(self._socket):
            await asyncio.sleep(_SESSION_LOOK_SECONDS)
        with contextlib.suppress(RuntimeError):
            await self._socket.close(LOGGED_OUT, "The session has ended.")

    async def end(self, *others: asyncio.Task[None]) -> None:
        """Cancels all that belongs to the tab and waits for it."""
        tasks = [*self._topics.values(), *others]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, topic: str) -> None:
        try:
            await self._send_topic(topic)
        except AlgohostError as error:
            refusal = {"message": error.message, "error_code": error.code}
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await self._send({"topic": topic, "error": refusal})
        except (WebSocketDisconnect, RuntimeError):
            log.debug("live_topic_cut topic=%s", topic)
        except Exception:
            log.exception("live_topic_failed topic=%s", topic)
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await self._socket.close(1011, "A topic failed; connect again.")

    async def _send_topic(self, topic: str) -> None:
        async def send(data: Mapping[str, Any]) -> None:
            await self._send({"topic": topic, "data": data})

        kind, _, strategy_id = topic.partition(":")
        if topic == "strategies":
            await live_topics.strategies(self._hub, self._user, send)
            return
        give = _TOPICS.get(kind)
        if give is None or not is_strategy_id(strategy_id):
            raise NotFound("There is no such topic.", code="NO_TOPIC")
        self._hub.host.strategies.get(self._user, strategy_id)
        await give(self._hub, self._user, StrategyId(strategy_id), send)

    async def _send(self, message: Mapping[str, Any]) -> None:
        text = orjson.dumps(message).decode()
        async with self._sending:
            try:
                await asyncio.wait_for(self._socket.send_text(text), _SEND_SECONDS)
            except TimeoutError:
                with contextlib.suppress(RuntimeError):
                    await self._socket.close(TOO_SLOW, "The connection is too slow.")
                raise WebSocketDisconnect(TOO_SLOW) from None


def _understood(text: str) -> tuple[str, str]:
    try:
        message = orjson.loads(text) if len(text) <= _LONGEST_MESSAGE else None
    except orjson.JSONDecodeError:
        message = None
    match message:
        case {"op": ("sub" | "unsub") as op, "topic": str(topic)}:
            return op, topic
        case _:
            raise Invalid('Send {"op": "sub" or "unsub", "topic": …}.')


ROUTES: Final[list[Route]] = [
    Route(method=WEBSOCKET, path="/ws", endpoint=live, access=Access.USER)
]

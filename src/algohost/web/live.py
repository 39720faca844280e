"""``WEBSOCKET /ws``: everything that is live in a tab, over one socket.

The client sends ``{"op": "sub" | "unsub", "topic"}``; the server ``{"topic", "data"}``. Topics:
``strategies``, ``broker``, and of one strategy ``environment:<id>``, ``log:<id>``, ``orders:<id>``,
``runs:<id>``, ``usage:<id>``. A topic that cannot be given, or no longer, ends with
``{"topic", "error": {"message", "error_code"}}``.
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
from algohost.web import broker, environments, live_topics, usage
from algohost.web.access import WEBSOCKET, Access, Route, host_of, session_is_alive, user_of
from algohost.web.live_hub import LiveHub

log = logging.getLogger(__name__)

LOGGED_OUT: Final = 4401
_NOT_UNDERSTOOD: Final = 1003
_FAILED: Final = 1011
_MOST_TOPICS: Final = 16
_LONGEST_MESSAGE: Final = 512
_SESSION_LOOK_SECONDS: Final = 15.0
_SEND_SECONDS: Final = 20.0
_CLOSE_SECONDS: Final = 2.0

_TOPICS: Final = {
    "environment": environments.topic,
    "log": live_topics.log,
    "orders": live_topics.orders,
    "runs": live_topics.runs,
    "usage": usage.topic,
}


async def live(socket: WebSocket) -> None:
    """Serves one tab until it goes, reads nothing for too long, or its session ends."""
    hub = _hub_of(socket)
    await socket.accept()
    tab = _Tab(socket, hub)
    with hub.viewing(user_of(socket)):
        lives = [
            asyncio.create_task(life)
            for life in (tab.listen(), tab.watch_session(), tab.stalled.wait())
        ]
        try:
            await asyncio.wait(lives, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await tab.end(*lives)


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
        self.stalled = asyncio.Event()

    async def listen(self) -> None:
        """Reads what the tab wants, until it disconnects or talks nonsense."""
        while True:
            try:
                op, topic = _understood(await self._socket.receive_text())
            except WebSocketDisconnect:
                return
            except (Invalid, KeyError) as error:  # KeyError: bytes where text is wanted
                await self._close(_NOT_UNDERSTOOD, str(error))
                return
            if op == "unsub" and topic in self._topics:
                self._topics.pop(topic).cancel()
            elif op == "sub" and (topic not in self._topics or self._topics[topic].done()):
                if len(self._topics) >= _MOST_TOPICS:
                    await self._close(_NOT_UNDERSTOOD, "That is more topics than a tab has.")
                    return
                self._topics[topic] = asyncio.create_task(self._serve(topic), name=f"live {topic}")

    async def watch_session(self) -> None:
        """Closes the socket soon after its session was ended anywhere."""
        while session_is_alive(self._socket):
            await asyncio.sleep(_SESSION_LOOK_SECONDS)
        await self._close(LOGGED_OUT, "The session has ended.")

    async def end(self, *others: asyncio.Task[Any]) -> None:
        """Cancels all that belongs to the tab and waits for it."""
        tasks: list[asyncio.Task[Any]] = [*self._topics.values(), *others]
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
            await self._close(_FAILED, "A topic failed; connect again.")

    async def _send_topic(self, topic: str) -> None:
        async def send(data: Mapping[str, Any]) -> None:
            await self._send({"topic": topic, "data": data})

        kind, _, strategy_id = topic.partition(":")
        if topic == "strategies":
            await live_topics.strategies(self._hub, self._user, send)
            return
        if topic == "broker":
            await broker.topic(self._hub, self._user, send)
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
                self.stalled.set()  # no goodbye would reach it either; it comes back to a snapshot
                raise WebSocketDisconnect from None

    async def _close(self, code: int, reason: str) -> None:
        with contextlib.suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
            await asyncio.wait_for(self._socket.close(code, reason), _CLOSE_SECONDS)


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

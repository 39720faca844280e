"""The prices of one live account, from the feed of its OpenAlgo server: one connection for all.

What is wanted is remembered here and asked for again after every interruption. What comes is
passed on as it came; that the line is down, and that it is up again, is told.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from algohost.broker.openalgo_reach import ReachOf, address_of
from algohost.domain.errors import AlgohostError, Invalid
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.reach import PUBLIC_ONLY

log = logging.getLogger(__name__)

Wish = tuple[InstrumentKey, int]
"""An instrument, and how much of it: 1 is the last price, 2 a quote, 3 depth."""
OnPrice = Callable[[InstrumentKey, int, Mapping[str, Any]], None]
"""Is told the data of a tick in one mode, as the server has it."""
OnState = Callable[[str], None]
"""Is told why the line is down, in a sentence; with nothing when it is up."""

NOT_CONNECTED: Final = "The feed of the account's OpenAlgo server is not connected; it is tried on."
_AT_ONCE: Final = 200
_ANSWER_SECONDS: Final = 3.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_MOST_BYTES: Final = 1 << 20
_MODES: Final = {"LTP": 1, "QUOTE": 2, "DEPTH": 3, "1": 1, "2": 2, "3": 3}


class PriceLine:
    """One connection to the feed of an account's server; it begins with ``follow``."""

    def __init__(
        self,
        feed_url: str,
        key: Callable[[], str],
        *,
        on_price: OnPrice,
        on_state: OnState,
        reach: ReachOf = lambda: PUBLIC_ONLY,
        first_pause: float = _FIRST_PAUSE,
    ) -> None:
        self._feed_url = feed_url
        self._key = key
        self._on_price = on_price
        self._on_state = on_state
        self._reach = reach
        self._first_pause = first_pause
        self._wanted: dict[Wish, None] = {}
        self._socket: ClientConnection | None = None
        self._answers: dict[InstrumentKey, asyncio.Future[str]] = {}
        self._running: asyncio.Task[None] | None = None
        self._saying: set[asyncio.Task[None]] = set()
        self.down_because = NOT_CONNECTED
        """Why nothing comes; empty while the line is up."""

    def __repr__(self) -> str:
        return f"PriceLine({self._feed_url!r})"

    def follow(self) -> None:
        """Connects, and again after every end, until ``close``."""
        self._running = self._running or asyncio.create_task(self._run())

    async def close(self) -> None:
        """Ends the connection and every task."""
        tasks = [*self._saying, *([self._running] if self._running else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._running = None

    async def want(self, wishes: Collection[Wish]) -> dict[InstrumentKey, str]:
        """Asks for prices, and waits a moment for what the server says: what it refuses, and why.

        While the line is down nothing is refused: it is asked for when the line is up.
        """
        new = [wish for wish in wishes if wish not in self._wanted]
        self._wanted.update(dict.fromkeys(new))
        if self._socket is None or not new:
            return {}
        loop = asyncio.get_running_loop()
        waiting = {key: self._answers.setdefault(key, loop.create_future()) for key, _ in new}
        try:
            await self._ask(self._socket, "subscribe", new)
            await asyncio.wait(waiting.values(), timeout=_ANSWER_SECONDS)
        except WebSocketException:
            return {}
        finally:
            for key in waiting:
                self._answers.pop(key, None)
        said = {key: told.result() for key, told in waiting.items() if told.done()}
        refused = {key: why for key, why in said.items() if why}
        for wish in [one for one in new if one[0] in refused]:
            self._wanted.pop(wish, None)
        return refused

    def drop(self, wishes: Iterable[Wish]) -> None:
        """Asks for these prices no more."""
        gone = [wish for wish in wishes if self._wanted.pop(wish, wish) is None]
        if self._socket is not None and gone:
            task = asyncio.create_task(self._stop_asking(self._socket, gone))
            self._saying.add(task)
            task.add_done_callback(self._saying.discard)

    # -- inside

    async def _stop_asking(self, socket: ClientConnection, gone: list[Wish]) -> None:
        with suppress(WebSocketException):  # whoever is gone sends nothing
            await self._ask(socket, "unsubscribe", gone)

    async def _run(self) -> None:
        pause = self._first_pause
        while True:
            because = NOT_CONNECTED
            try:
                await self._once()
            except AlgohostError as error:
                because = error.message
            except (OSError, WebSocketException, ValueError, TimeoutError) as error:
                log.info("price_feed_ended url=%s reason=%s", self._feed_url, type(error).__name__)
            except Exception:  # the boundary of the line: prices that fail must not end it
                log.exception("price_feed_failed url=%s", self._feed_url)
            was_up = self._socket is not None
            self._socket = None
            pause = self._first_pause if was_up else min(pause * 2, _LONGEST_PAUSE)
            self._is_down(because)
            await asyncio.sleep(pause)

    async def _once(self) -> None:
        address = await address_of(self._feed_url, self._reach())
        async with connect(
            self._feed_url, max_size=_MOST_BYTES, proxy=None, host=address
        ) as socket:
            await socket.send(json.dumps({"action": "authenticate", "api_key": self._key()}))
            async with asyncio.timeout(_ANSWER_SECONDS * 5):
                told = await self._until_known(socket)
            if told.get("status") != "success":
                raise Invalid(
                    "The feed of the account's OpenAlgo server refuses its key; give the account"
                    " its present one.",
                    code="BROKER_REFUSES_KEY",
                )
            self._socket = socket
            await self._ask(socket, "subscribe", list(self._wanted))
            self._is_down("")
            async for message in socket:
                self._heard(json.loads(message))

    async def _until_known(self, socket: ClientConnection) -> dict[str, Any]:
        async for message in socket:
            said = json.loads(message)
            if isinstance(said, dict) and said.get("type") == "auth":
                return said
        return {}

    def _is_down(self, because: str) -> None:
        if because != self.down_because:
            self.down_because = because
            self._on_state(because)

    def _heard(self, said: object) -> None:
        if not isinstance(said, dict):
            return
        if said.get("type") == "subscribe":
            for row in _rows(said.get("subscriptions")):
                self._answered(row)
        elif said.get("type") == "market_data":
            key, mode, data = _key(said), _mode(said.get("mode")), said.get("data")
            if key is not None and isinstance(data, Mapping) and (key, mode) in self._wanted:
                self._on_price(key, mode, data)

    def _answered(self, row: Mapping[str, Any]) -> None:
        key = _key(row)
        waiting = None if key is None else self._answers.get(key)
        if waiting is None or waiting.done():
            return
        is_good = row.get("status") == "success"
        message = row.get("message")
        why = message if isinstance(message, str) and message else "The account's feed refuses it."
        waiting.set_result("" if is_good else " ".join(why.split())[:300])

    async def _ask(self, socket: ClientConnection, action: str, wishes: list[Wish]) -> None:
        for mode in sorted({mode for _, mode in wishes}):
            keys = [key for key, of_mode in wishes if of_mode == mode]
            for first in range(0, len(keys), _AT_ONCE):
                named = [
                    {"symbol": key.symbol, "exchange": key.exchange.value}
                    for key in keys[first : first + _AT_ONCE]
                ]
                await socket.send(json.dumps({"action": action, "symbols": named, "mode": mode}))


def _rows(found: object) -> list[Mapping[str, Any]]:
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []


def _key(said: Mapping[str, Any]) -> InstrumentKey | None:
    symbol, exchange = said.get("symbol"), said.get("exchange")
    if not isinstance(symbol, str) or exchange not in set(Exchange):
        return None
    return InstrumentKey(exchange=Exchange(exchange), symbol=symbol)


def _mode(word: object) -> int:
    return _MODES.get(str(word).upper(), 0)

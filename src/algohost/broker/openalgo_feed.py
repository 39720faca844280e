"""Order updates of an OpenAlgo server's feed: hints to look at its books now.

Nothing is believed of them but that something may have happened, so a missed, doubled or false
update changes nothing. A server without them is looked at at its own pace.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Final

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from algohost.broker.openalgo_reach import ReachOf, address_of
from algohost.domain.errors import Invalid
from algohost.domain.reach import PUBLIC_ONLY

log = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_MOST_BYTES: Final = 1 << 20


class OrderUpdates:
    """Implements ``Hints`` over ``subscribe_orders``."""

    def __init__(
        self, feed_url: str, key: Callable[[], str], *, reach: ReachOf = lambda: PUBLIC_ONLY
    ) -> None:
        self._feed_url = feed_url
        self._key = key
        self._reach = reach

    def __repr__(self) -> str:
        return f"OrderUpdates({self._feed_url!r})"

    async def run(self, hint: Callable[[], None]) -> None:
        """As ``Hints.run``: connects again after every end, ever more slowly."""
        pause = _FIRST_PAUSE
        while True:
            try:
                if await self._listen(hint):
                    pause = _FIRST_PAUSE
            except (OSError, WebSocketException, ValueError, TimeoutError, Invalid) as error:
                log.info("order_feed_ended url=%s reason=%s", self._feed_url, type(error).__name__)
            except Exception:  # a hint that is missed costs a second, not an order
                log.exception("order_feed_failed url=%s", self._feed_url)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _listen(self, hint: Callable[[], None]) -> bool:
        """Listens on one connection; whether anything was heard on it."""
        was_heard = False
        address = await address_of(self._feed_url, self._reach())
        async with connect(
            self._feed_url, max_size=_MOST_BYTES, proxy=None, host=address
        ) as socket:
            await socket.send(json.dumps({"action": "authenticate", "api_key": self._key()}))
            await socket.send(json.dumps({"action": "subscribe_orders"}))
            async for message in socket:
                said = json.loads(message)
                if isinstance(said, dict) and said.get("type") == "order_update":
                    was_heard = True
                    hint()
        return was_heard

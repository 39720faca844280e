"""What a client of the feed may ask for, and what it is answered."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from algohost.broker.views import Scope
from algohost.domain.accounts import mode_of
from algohost.domain.errors import AlgohostError, Invalid
from algohost.domain.orders import Order
from algohost.domain.strategies import Mode
from algohost.domain.users import Principal
from algohost.web.api_v1.answers import BROKER
from algohost.web.feed_client import FeedClient
from algohost.web.feed_guesses import Guesses
from algohost.web.feed_live import LIVE_BROKER, LivePrices
from algohost.web.feed_messages import (
    FeedMode,
    Wanted,
    epoch_ms,
    order_frame,
    read,
    since_of,
    wanted,
)
from algohost.web.feed_topics import Topics

if TYPE_CHECKING:
    from algohost.web.services import Host

log = logging.getLogger(__name__)

MOST_OF_ONE: Final = 256
"""Connections that one key or token may have at a time."""
_AT_A_TIME: Final = 20
"""Instruments of one message that are looked up before others have their turn."""

Reply = dict[str, Any]
Action = Callable[[FeedClient, Reply], Awaitable[Reply]]


class Actions:
    """Does what clients ask for. ``connections_of`` counts the connections of a key or token."""

    def __init__(
        self,
        host: "Host",
        topics: Topics,
        connections_of: Callable[[Principal], int],
        live: LivePrices,
    ) -> None:
        self._host = host
        self._topics = topics
        self._live = live
        self._connections_of = connections_of
        self._guesses = Guesses(host.clock.monotonic)
        self.faults = 0
        """Messages that failed by a fault of ours; each is in the log."""
        self._actions: Mapping[str, Action] = {
            "authenticate": self._authenticate,
            "auth": self._authenticate,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "unsubscribe_all": self._unsubscribe_all,
            "subscribe_orders": self._subscribe_orders,
            "unsubscribe_orders": self._unsubscribe_orders,
            "ping": self._ping,
        }

    async def reply(self, client: FeedClient, message: str | bytes) -> Reply:
        """Does what ``message`` asks for and returns the answer, which may be a refusal."""
        said: Reply = {}
        try:
            said = read(message)
            reply = await self._do(client, said)
        except AlgohostError as error:
            reply = {"status": "error", "code": error.code, "message": error.message}
        except Exception:
            # The boundary of the message loop: one bad message must not end the connection.
            self.faults += 1
            log.exception("feed_message_failed")
            words = "The message could not be handled; it is in the log."
            reply = {"status": "error", "code": "INTERNAL", "message": words}
        if isinstance(said.get("request_id"), str | int):
            reply["request_id"] = said["request_id"]
        return reply

    async def _do(self, client: FeedClient, said: Reply) -> Reply:
        name = said.get("action", said.get("type"))
        action = self._actions.get(name) if isinstance(name, str) else None
        if action is None:
            raise Invalid(
                f"There is no such action; use one of {', '.join(self._actions)}.",
                code="UNKNOWN_ACTION",
            )
        if name not in {"authenticate", "auth", "ping"}:
            _known(client)
        return await action(client, said)

    # -- who it is

    async def _authenticate(self, client: FeedClient, said: Reply) -> Reply:
        key = said.get("api_key", said.get("apikey"))
        principal = self._host.identity.principal(key) if isinstance(key, str) else None
        if principal is None:
            await self._wrong_key(client)
            return _not_you("Invalid openalgo apikey", code="INVALID_KEY")
        if client.principal is not None and client.principal != principal:
            return _not_you("Open a new connection.", code="INVALID_KEY")
        if client.principal is None and self._connections_of(principal) >= MOST_OF_ONE:
            words = f"This key has {MOST_OF_ONE} connections already; close some of them."
            return _not_you(words, code="TOO_MANY_CONNECTIONS")
        client.key, client.principal = str(key), principal
        return {
            "type": "auth",
            "status": "success",
            "message": "Authentication successful",
            "broker": BROKER,
            "user_id": principal.user.name,
            "supported_features": {"ltp": True, "quote": True, "depth": True, "orders": True},
        }

    async def _wrong_key(self, client: FeedClient) -> None:
        seconds = self._guesses.wrong(client.peer)
        if seconds:
            log.warning("feed_wrong_keys peer=%s answer_waits_seconds=%g", client.peer, seconds)
            with suppress(TimeoutError):  # it does not wait for one who has gone
                async with asyncio.timeout(seconds):
                    await client.connection.wait_closed()

    # -- prices

    async def _subscribe(self, client: FeedClient, said: Reply) -> Reply:
        if mode_of(_known(client).account_id) is Mode.LIVE:
            return await self._subscribe_live(client, said)
        results = []
        for place, one in enumerate(wanted(said, FeedMode.QUOTE), start=1):
            problem = one.problem or self._topics.follow(client, one)
            results.append(_result(one, problem))
            if place % _AT_A_TIME == 0:
                await asyncio.sleep(0)
                _known(client)  # its key may have ended meanwhile
        good = sum(result["status"] == "success" for result in results)
        return {
            "type": "subscribe",
            "status": _overall(good, len(results)),
            "message": f"Subscribed to {good} of {len(results)}.",
            "subscriptions": results,
            "broker": BROKER,
        }

    async def _subscribe_live(self, client: FeedClient, said: Reply) -> Reply:
        """The same for prices of the account's own server, which says what it refuses."""
        account_id, asked = _known(client).account_id, wanted(said, FeedMode.QUOTE)
        refused = await self._live.follow(client, account_id, [o for o in asked if not o.problem])
        results = [
            _result(one, one.problem or (refused.get(one.key, "") if one.key else ""))
            for one in asked
        ]
        good = sum(result["status"] == "success" for result in results)
        words = f"Subscribed to {good} of {len(results)}. {self._live.down_because(account_id)}"
        return {
            "type": "subscribe",
            "status": _overall(good, len(results)),
            "message": words.strip(),
            "subscriptions": results,
            "broker": LIVE_BROKER,
        }

    async def _unsubscribe(self, client: FeedClient, said: Reply) -> Reply:
        successful: list[Reply] = []
        failed: list[Reply] = []
        is_live = mode_of(_known(client).account_id) is Mode.LIVE
        for one in wanted(said, None):
            followed = self._live if is_live else self._topics
            problem = one.problem or followed.unfollow(client, one)
            (failed if problem else successful).append(_result(one, problem))
        return {
            "type": "unsubscribe",
            "status": _overall(len(successful), len(successful) + len(failed)),
            "message": f"Unsubscribed from {len(successful)}.",
            "successful": successful,
            "failed": failed,
            "broker": BROKER,
        }

    async def _unsubscribe_all(self, client: FeedClient, said: Reply) -> Reply:  # noqa: ARG002
        count = len(client.topics)
        self._live.drop_all(client)
        self._topics.drop_all(client)
        return {
            "type": "unsubscribe_all",
            "status": "success",
            "message": f"Unsubscribed from {count}.",
        }

    # -- orders

    async def _subscribe_orders(self, client: FeedClient, said: Reply) -> Reply:
        since = since_of(said)
        missed = [] if since is None else self._changed_since(client, since)
        if len(missed) > client.room_for_orders:
            raise Invalid(
                f"{len(missed)} orders have changed since then, too many to be told one by one."
                " Subscribe without since, then ask the order book.",
                code="TOO_MANY_MISSED",
            )
        client.wants_orders = True
        for order in missed:
            client.add_order(order_frame(order))
        return {
            "type": "subscribe_orders",
            "status": "success",
            "message": "Subscribed to order updates",
            **({} if since is None else {"missed": len(missed)}),
        }

    def _changed_since(self, client: FeedClient, since: int) -> Sequence[Order]:
        principal = _known(client)
        scope = Scope(account_id=principal.account_id, strategy_id=principal.strategy_id)
        orders = self._host.gateway.orders(scope)
        changed = [order for order in orders if epoch_ms(order.updated_at) >= since]
        return sorted(changed, key=lambda order: order.updated_at)

    async def _unsubscribe_orders(self, client: FeedClient, said: Reply) -> Reply:  # noqa: ARG002
        client.wants_orders = False
        return {
            "type": "unsubscribe_orders",
            "status": "success",
            "message": "Unsubscribed from order updates",
        }

    async def _ping(self, client: FeedClient, said: Reply) -> Reply:  # noqa: ARG002
        return {
            "type": "pong",
            "status": "success",
            "timestamp": epoch_ms(self._host.clock.now()),
        }


def _known(client: FeedClient) -> Principal:
    """Who the client is. Raises ``Invalid`` while nobody knows, and when its key has ended."""
    if client.principal is None:
        raise Invalid(
            'Send {"action": "authenticate", "api_key": …} first.', code="NOT_AUTHENTICATED"
        )
    return client.principal


def _not_you(message: str, *, code: str) -> Reply:
    return {"type": "auth", "status": "error", "code": code, "message": message}


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

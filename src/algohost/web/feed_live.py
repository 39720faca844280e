"""Prices for clients of live accounts: those of the account's own server, one line each.

A frame is made once and written to all who follow it, as it is for this host's own market.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from algohost.broker.openalgo_prices import PriceLine
from algohost.domain.accounts import Account
from algohost.domain.errors import Invalid
from algohost.domain.ids import AccountId
from algohost.domain.instruments import InstrumentKey
from algohost.web.feed_client import FeedClient, Topic
from algohost.web.feed_messages import FeedMode, Wanted, framed
from algohost.web.feed_topics import MOST_TOPICS

if TYPE_CHECKING:
    from algohost.web.services import Host

log = logging.getLogger(__name__)

LIVE_BROKER: Final = "live"
"""What frames of live accounts call their broker, whichever it is."""
NO_FEED: Final = (
    "This account has no feed address, so there are no live ticks here. Ask quotes, or add the"
    " account anew with the address of its OpenAlgo server's feed."
)


@dataclass(eq=False, kw_only=True, slots=True)
class LiveTopic(Topic):
    """A topic whose prices are those of a live account."""

    line: "_Line"
    waiting: int = 0
    """Clients whose subscription the server has not answered yet; they are told nothing before."""


@dataclass(eq=False, kw_only=True)
class _Line:
    """One account's connection, and what is followed over it."""

    prices: PriceLine
    topics: dict[tuple[InstrumentKey, int], LiveTopic] = field(default_factory=dict)


class LivePrices:
    """The price lines of all live accounts that somebody follows."""

    def __init__(self, host: "Host") -> None:
        self._host = host
        self._lines: dict[AccountId, _Line] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def follow(
        self, client: FeedClient, account_id: AccountId, asked: Sequence[Wanted]
    ) -> dict[InstrumentKey, str]:
        """Has ``client`` follow what was asked; what is refused of it, and why.

        Raises ``Invalid`` where the account has no feed.
        """
        wishes = [(one.key, one.mode) for one in asked if one.key and one.mode]
        if len(client.topics) + len(wishes) > MOST_TOPICS:
            raise Invalid(
                f"One connection follows {MOST_TOPICS} at most; unsubscribe from some.",
                code="TOO_MANY_SYMBOLS",
            )
        line = self._line(account_id)
        topics = [self._topic(line, key, mode) for key, mode in wishes]
        for topic in topics:
            topic.waiting += 1
        try:
            refused = await line.prices.want([(key, mode.value) for key, mode in wishes])
        finally:
            for topic in topics:
                topic.waiting -= 1
        for topic in topics:
            is_followed = topic.key not in refused and not client.is_ending
            if is_followed:
                topic.clients.add(client)
                client.topics.add(topic)
            self._drop_if_idle(topic)
            if is_followed and topic.frame:
                client.has_news(topic)  # written after the answer
        self._end_if_idle(line)
        return refused

    def unfollow(self, client: FeedClient, one: Wanted) -> str:
        """Undoes ``follow``, in every mode where none is named; says what was wrong, if so."""
        mine = [topic for topic in client.topics if isinstance(topic, LiveTopic)]
        followed = [t for t in mine if t.key == one.key and one.mode in {None, t.mode}]
        for topic in followed:
            self._drop(client, topic)
        return "" if followed else "It was not subscribed to."

    def drop_all(self, client: FeedClient) -> None:
        """Has ``client`` follow no prices of a live account."""
        for topic in [one for one in client.topics if isinstance(one, LiveTopic)]:
            self._drop(client, topic)

    async def close(self) -> None:
        """Ends every connection."""
        for line in self._lines.values():
            await line.prices.close()
        self._lines.clear()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def down_because(self, account_id: AccountId) -> str:
        """Why nothing comes for an account; empty while its line is up."""
        line = self._lines.get(account_id)
        return "" if line is None else line.prices.down_because

    # -- inside

    def _topic(self, line: _Line, key: InstrumentKey, mode: FeedMode) -> LiveTopic:
        topic = line.topics.get((key, mode.value))
        if topic is None:
            topic = line.topics[key, mode.value] = LiveTopic(key=key, mode=mode, line=line)
        return topic

    def _line(self, account_id: AccountId) -> _Line:
        line = self._lines.get(account_id)
        if line is None:
            accounts = self._host.accounts
            account: Account = accounts.find(account_id)
            if not account.feed_url:
                raise Invalid(NO_FEED, code="NOT_LIVE")
            prices = PriceLine(
                account.feed_url,
                lambda: accounts.key_of(account_id),
                reach=lambda: accounts.reach_of(account_id),
                on_price=self._on_price(account_id),
                on_state=lambda because: self._on_state(account_id, because),
            )
            line = self._lines[account_id] = _Line(prices=prices)
            prices.follow()
        return line

    def _on_price(
        self, account_id: AccountId
    ) -> Callable[[InstrumentKey, int, Mapping[str, Any]], None]:
        def priced(key: InstrumentKey, mode: int, data: Mapping[str, Any]) -> None:
            line = self._lines.get(account_id)
            topic = None if line is None else line.topics.get((key, mode))
            if topic is None:
                return
            topic.frame = _frame(key, topic.mode, data)
            for client in list(topic.clients):
                client.has_news(topic)
                client.flush()

        return priced

    def _on_state(self, account_id: AccountId, because: str) -> None:
        """Tells everybody who follows prices of the account."""
        line = self._lines.get(account_id)
        if line is None:
            return
        log.info("live_prices account=%s up=%s", account_id, not because)
        told = {"type": "feed_status", "status": "down" if because else "up", "message": because}
        frame = framed(told)
        for client in {one for topic in line.topics.values() for one in topic.clients}:
            client.add_order(frame)  # must not be lost among ticks
            client.flush()

    def _drop(self, client: FeedClient, topic: LiveTopic) -> None:
        client.forget(topic)
        topic.clients.discard(client)
        self._drop_if_idle(topic)

    def _drop_if_idle(self, topic: LiveTopic) -> None:
        wish = (topic.key, topic.mode.value)
        if topic.clients or topic.waiting or topic.line.topics.pop(wish, None) is None:
            return
        topic.line.prices.drop([wish])
        self._end_if_idle(topic.line)

    def _end_if_idle(self, line: _Line) -> None:
        if line.topics:
            return
        self._lines = {one: kept for one, kept in self._lines.items() if kept is not line}
        task = asyncio.create_task(line.prices.close())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _frame(key: InstrumentKey, mode: FeedMode, data: Mapping[str, Any]) -> bytes:
    return framed(
        {
            "type": "market_data",
            "symbol": key.symbol,
            "exchange": key.exchange.value,
            "mode": mode.value,
            "broker": LIVE_BROKER,
            "data": data,
        }
    )

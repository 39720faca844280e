"""Who follows what, and the frames of each tick: made once, however many follow."""

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from algohost.domain.errors import Unavailable
from algohost.domain.instruments import InstrumentKey
from algohost.domain.ports import Market
from algohost.domain.quotes import Quote
from algohost.web.feed_client import FeedClient, Topic
from algohost.web.feed_messages import FeedMode, Wanted, market_frame

log = logging.getLogger(__name__)

MOST_TOPICS: Final = 3_000
"""Instruments times modes that one connection may follow."""
MOST_INSTRUMENTS: Final = 5_000
"""Instruments that all connections together may follow. An option is priced anew at each tick,
which takes some 50 µs of the server's loop."""


class Topics:
    """The topics that at least one client follows."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._topics: dict[InstrumentKey, dict[FeedMode, Topic]] = {}
        self.faults = 0
        """Frames that could not be made, by a fault of ours; each is in the log."""

    def __len__(self) -> int:
        return sum(len(modes) for modes in self._topics.values())

    def instruments(self) -> Iterable[InstrumentKey]:
        """What somebody follows."""
        return self._topics.keys()

    def follow(self, client: FeedClient, one: Wanted) -> str:
        """Has ``client`` follow and be sent the newest tick; says what was wrong, if anything."""
        key, mode = one.key, one.mode
        if key is None or mode is None:
            return "It names no instrument and mode."
        if len(client.topics) >= MOST_TOPICS:
            return f"This connection follows {MOST_TOPICS} already; unsubscribe from some."
        if self._market.find(key) is None:
            return f"{key} has no prices in this market; search for its symbol and exchange."
        if key not in self._topics and len(self._topics) >= MOST_INSTRUMENTS:
            return (
                f"The feed follows {MOST_INSTRUMENTS} instruments for its clients already; have"
                " others unsubscribe from some."
            )
        modes = self._topics.setdefault(key, {})
        topic = modes.get(mode)
        if topic is None:
            topic = modes[mode] = Topic(key=key, mode=mode)
        topic.clients.add(client)
        client.topics.add(topic)
        with suppress(Unavailable):  # listed, and without a price yet: its first tick will come
            # every tick renews the frames that somebody follows: one message may name an
            # instrument thousands of times, and costs one frame all the same
            topic.frame = topic.frame or self._frame(mode, self._market.quote(key))
            client.has_news(topic)
        return ""

    def unfollow(self, client: FeedClient, one: Wanted) -> str:
        """Undoes ``follow``, in every mode where none is named; says what was wrong, if so."""
        modes = self._topics.get(one.key, {}) if one.key else {}
        followed = [
            topic
            for mode, topic in modes.items()
            if client in topic.clients and one.mode in {None, mode}
        ]
        for topic in followed:
            self._drop(client, topic)
        return "" if followed else "It was not subscribed to."

    def drop_all(self, client: FeedClient) -> None:
        """Has ``client`` follow nothing."""
        for topic in list(client.topics):
            self._drop(client, topic)

    def on_quotes(self, quotes: Sequence[Quote]) -> None:
        """One tick: makes the frames that somebody wants and writes them to those who do."""
        touched: dict[FeedClient, None] = {}
        for quote in quotes:
            for topic in self._topics.get(quote.key, {}).values():
                try:
                    topic.frame = self._frame(topic.mode, quote)
                except Exception:
                    # The boundary of the tick loop: one instrument must not silence the others.
                    self.faults += 1
                    log.exception("feed_tick_failed instrument=%s", quote.key)
                    continue
                for client in topic.clients:
                    client.has_news(topic)
                    touched[client] = None
        for client in touched:
            client.flush()

    def _frame(self, mode: FeedMode, quote: Quote) -> bytes:
        depth = self._market.depth_of(quote) if mode is FeedMode.DEPTH else None
        return market_frame(mode, quote, depth)

    def _drop(self, client: FeedClient, topic: Topic) -> None:
        client.forget(topic)
        topic.clients.discard(client)
        if not topic.clients:
            modes = self._topics[topic.key]
            del modes[topic.mode]
            if not modes:
                del self._topics[topic.key]

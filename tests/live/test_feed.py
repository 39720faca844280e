"""Order updates of a broker's feed: hints that are heard, and silence that harms nothing."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from algohost.broker.openalgo_feed import OrderUpdates
from algohost.domain.accounts import Account
from algohost.domain.ids import AccountId
from algohost.domain.reach import PUBLIC_ONLY, WIDE, Reach
from tests.api.served import ACCOUNT_KEY, Served, running
from tests.feed.speaker import Heard, Speaker
from tests.live.world import LIVE, OWNER, SBIN, run, until

SYMBOL = {"symbol": "SBIN", "exchange": "NSE"}

ORDER = {
    "strategy": "by hand", "symbol": "SBIN", "exchange": "NSE", "action": "BUY", "quantity": 1,
    "pricetype": "MARKET", "product": "MIS",
}  # fmt: skip


def test_an_order_update_is_a_hint_to_look(served: Served) -> None:
    async def main() -> None:
        heard: list[bool] = []
        updates = OrderUpdates(served.feed_url, lambda: ACCOUNT_KEY, reach=lambda: WIDE)
        listening = asyncio.create_task(updates.run(lambda: heard.append(True)))

        def ordered() -> bool:
            served.post("placeorder", **ORDER)
            return bool(heard)

        async with asyncio.timeout(10):
            while not await asyncio.to_thread(ordered):
                await asyncio.sleep(0.05)
        assert ACCOUNT_KEY not in repr(updates)
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening

    run(main())


def test_a_feed_that_is_not_there_is_tried_again_and_raises_nothing() -> None:
    async def main() -> None:
        listening = asyncio.create_task(
            OrderUpdates("ws://127.0.0.1:9", lambda: ACCOUNT_KEY, reach=lambda: WIDE).run(
                lambda: None
            )
        )
        await asyncio.sleep(0)
        await until(lambda: not listening.done())
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
        assert listening.cancelled()

    run(main())


@dataclass
class FedAccounts:
    """The part of the accounts that the feed of live ones uses; its server is ``feed_url``."""

    feed_url: str
    upstream: Served
    key: str = ACCOUNT_KEY
    reach: Reach = WIDE
    asked: int = 0

    def find(self, account_id: AccountId) -> Account:
        return Account(
            id=account_id, owner_id=OWNER, name="Broker", broker="openalgo",
            created_at=None, feed_url=self.feed_url,
        )  # fmt: skip

    def key_of(self, _account: AccountId) -> str:
        self.asked += 1
        return self.key

    def reach_of(self, _account: AccountId) -> Reach:
        return self.reach


LIVE_KEYS = ("e" * 64, "f" * 64)


@contextmanager
def feeding(served: Served, feed_url: str | None = None) -> Iterator[FedAccounts]:
    """A server whose live account's OpenAlgo server is another of ours, with a feed."""
    for key in LIVE_KEYS:
        served.keys.known[key] = replace(served.keys.known[ACCOUNT_KEY], account_id=LIVE)
    with running() as upstream:
        address = upstream.feed_url if feed_url is None else feed_url
        accounts = FedAccounts(feed_url=address, upstream=upstream)
        served.host.accounts = accounts  # type: ignore[misc, assignment]
        yield accounts


def subscribed(speaker: Speaker, *names: str, key: str = LIVE_KEYS[0], mode: int = 1) -> Heard:
    assert speaker.ask(action="authenticate", api_key=key)["status"] == "success"
    symbols = [{"symbol": name, "exchange": "NSE"} for name in names]
    return speaker.ask(action="subscribe", symbols=symbols, mode=mode)


def is_tick(heard: Heard) -> bool:
    return str(heard["type"]) == "market_data"


def test_a_live_account_without_a_feed_says_so(served: Served) -> None:
    with feeding(served, ""), Speaker(served.feed_url) as speaker:
        refused = subscribed(speaker, "SBIN")
        assert (refused["status"], refused["code"]) == ("error", "NOT_LIVE")
        assert speaker.ask(action="subscribe_orders")["status"] == "success"


def test_a_live_strategy_gets_its_servers_prices_over_one_connection_for_all_who_follow(
    served: Served,
) -> None:
    with feeding(served) as accounts, Speaker(served.feed_url) as first:
        upstream = accounts.upstream
        subscribed(first, "SBIN")
        ltp = first.until(is_tick)
        assert (ltp["symbol"], ltp["mode"], ltp["broker"]) == ("SBIN", 1, "live")
        at_upstream = upstream.do(lambda: upstream.host.market.quote(SBIN).last)
        assert ltp["data"]["ltp"] == float(at_upstream)
        with Speaker(served.feed_url) as second:
            told = subscribed(second, "SBIN", "NOSUCH", key=LIVE_KEYS[1], mode=3)
            assert [one["status"] for one in told["subscriptions"]] == ["success", "error"]
            assert "NOSUCH" in told["subscriptions"][1]["message"]
            deep = second.until(is_tick)
            assert (deep["mode"], set(deep["data"]["depth"])) == (3, {"buy", "sell"})
            assert upstream.do(lambda: upstream.feed.connections) == 1
            assert accounts.asked == 1
        upstream.tick()
        assert first.until(lambda one: is_tick(one) and one["mode"] == 1)["symbol"] == "SBIN"
        gone = first.ask(action="unsubscribe", symbols=[SYMBOL], mode=1)
        assert gone["status"] == "success"
        wait_until(lambda: upstream.do(lambda: upstream.feed.connections) == 0)


def test_a_feed_that_ends_is_told_and_comes_back_with_all_that_was_asked_for(
    served: Served,
) -> None:
    with feeding(served) as accounts, Speaker(served.feed_url) as speaker:
        upstream = accounts.upstream
        accounts.key = "z" * 64
        refused = subscribed(speaker, "SBIN")
        assert refused["message"].startswith("Subscribed to 1 of 1. The feed of the account")
        told = speaker.until(lambda one: one["type"] == "feed_status")
        assert (told["status"], "refuses its key" in told["message"]) == ("down", True)
        accounts.key = ACCOUNT_KEY  # it is given the present one
        assert speaker.until(lambda one: one["type"] == "feed_status")["status"] == "up"
        assert speaker.until(is_tick)["symbol"] == "SBIN"
        upstream.keys.known.pop(ACCOUNT_KEY)  # and that one ends too
        assert speaker.until(lambda one: one["type"] == "feed_status")["status"] == "down"


def test_the_feed_of_a_server_that_may_not_be_reached_is_not_connected_to(served: Served) -> None:
    with feeding(served) as accounts, Speaker(served.feed_url) as speaker:
        upstream = accounts.upstream
        accounts.reach = PUBLIC_ONLY
        subscribed(speaker, "SBIN")
        told = speaker.until(lambda one: one["type"] == "feed_status")
        assert "where only accounts of administrators" in told["message"]
        assert upstream.do(lambda: upstream.feed.connections) == 0


def wait_until(what: Callable[[], bool], *, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)

"""Clients that do not read: little is kept for them, nobody waits for them, and they are ended."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from algohost.web import feed_client, feed_outbox
from algohost.web.feed import FeedServer
from algohost.web.feed_client import FeedClient
from tests.api.served import ACCOUNT_KEY, RUN_TOKEN, Served
from tests.feed.conftest import Opens
from tests.feed.test_server import RELIANCE, becomes, second_feed

BUY = {**RELIANCE, "action": "BUY", "quantity": 1, "product": "MIS"}


@contextmanager
def stalled(server: Served, feed: FeedServer, key: str = ACCOUNT_KEY) -> Iterator[ClientConnection]:
    """A client that follows the depth of everything and reads nothing until the test does."""
    everything = [
        {"symbol": i.key.symbol, "exchange": i.key.exchange.value}
        for i in server.host.market.instruments()
    ]
    with socket.create_connection(("127.0.0.1", feed.port)) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        url = f"ws://127.0.0.1:{feed.port}"
        with connect(url, sock=raw, compression=None, max_queue=1, close_timeout=0.2) as slow:
            slow.send(json.dumps({"action": "authenticate", "api_key": key}))
            slow.send(json.dumps({"action": "subscribe_orders"}))
            slow.send(json.dumps({"action": "subscribe", "symbols": everything, "mode": 3}))
            assert becomes(lambda: server.do(lambda: len(feed._topics)) == len(everything))
            for _ in range(100):
                server.tick()
                if server.do(lambda: of(feed).is_behind):
                    break
            yield slow


def of(feed: FeedServer) -> FeedClient:
    """The one client that the feed has."""
    [client] = feed._clients
    return client


def unsent(feed: FeedServer) -> int:
    """Bytes in our own memory for that client."""
    return of(feed).connection.transport.get_write_buffer_size()


def newest_of(feed: FeedServer) -> dict[tuple[str, str], Any]:
    """What each instrument's newest message says."""
    messages = [
        json.loads(topic.frame[topic.frame.index(b"{") :])
        for modes in feed._topics._topics.values()
        for topic in modes.values()
    ]
    return {(one["exchange"], one["symbol"]): one for one in messages}


def read_on(slow: ClientConnection, updates: list[dict[str, Any]]) -> None:
    """Reads until the connection is closed, and keeps the order updates among it."""
    while True:
        message = json.loads(slow.recv(timeout=10))
        if message.get("type") == "order_update":
            updates.append(message)


def say_on(slow: ClientConnection, message: str) -> None:
    """Says the same far more often than all buffers between can take."""
    with suppress(ConnectionClosed, OSError):
        for _ in range(5_000):
            slow.send(message)


def test_what_is_kept_for_a_client_does_not_grow_and_at_last_it_hears_the_newest(
    server: Served,
) -> None:
    """One frame of each topic comes after what was on its way when it stopped reading."""
    with stalled(server, server.feed) as slow:
        most = feed_client.UNSENT_BYTES + 2 * feed_client._BYTES_AT_ONCE
        sizes = []
        for _ in range(60):
            server.tick()
            sizes.append(server.do(lambda: unsent(server.feed)))
        assert max(sizes) <= most
        assert len(set(sizes)) == 1
        newest = server.do(lambda: newest_of(server.feed))
        assert server.do(lambda: len(of(server.feed)._outbox)) == len(newest)
        heard: dict[tuple[str, str], Any] = {}
        received = 0
        while heard != newest:
            message = json.loads(slow.recv(timeout=10))
            if message.get("type") == "market_data":
                heard[message["exchange"], message["symbol"]] = message
                received += 1
        assert received < 30 * len(newest)


def test_other_clients_hear_all_ticks_while_one_does_not_read(
    server: Served, client: Opens
) -> None:
    with stalled(server, server.feed):
        other = client()
        other.ask(action="subscribe", **RELIANCE, mode=1)
        times = [other.hear()["data"]["timestamp"]]
        for _ in range(5):
            server.tick()
            times.append(other.hear()["data"]["timestamp"])
        assert times == [times[0] + 1000 * second for second in range(6)]


def test_a_client_that_does_not_take_its_order_updates_is_closed_with_a_code_and_a_sentence(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that it was not told of are never passed over as if they had not been."""
    monkeypatch.setattr(feed_outbox, "MOST_UNSENT_ORDERS", 3)
    with stalled(server, server.feed) as slow:
        for _ in range(6):
            assert server.post("placeorder", **BUY).status_code == 200
        updates: list[dict[str, Any]] = []
        with pytest.raises(ConnectionClosed) as closed:
            read_on(slow, updates)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013
        assert closed.value.rcvd.reason == "Order updates are not read."
        assert updates == []
    assert becomes(lambda: server.feed.connections == 0)


def test_a_token_that_ends_ends_its_connection_even_if_nobody_reads_the_close(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays open for as long as the close may take, and is told nothing meanwhile."""
    monkeypatch.setattr(feed_client.FeedClient.end, "__kwdefaults__", {"within_seconds": 0.3})
    with stalled(server, server.feed, RUN_TOKEN):
        server.do(lambda: server.keys.known.pop(RUN_TOKEN))
        assert becomes(lambda: server.do(lambda: len(server.feed._topics)) == 0)
        assert becomes(lambda: server.feed.connections == 0)


def test_a_client_that_takes_nothing_at_all_for_a_minute_is_ended(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_client.FeedClient.end, "__kwdefaults__", {"within_seconds": 0.3})
    feed = second_feed(server, stalled_seconds=0.5)
    with stalled(server, feed):
        assert becomes(lambda: feed.connections == 0)
    server.wait_for(feed.stop())


def test_stopping_does_not_wait_for_a_client_that_does_not_read(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("algohost.web.feed._STOP_SECONDS", 0.3)
    feed = second_feed(server)
    with stalled(server, feed):
        server.wait_for(feed.stop())
        assert feed.connections == 0


def test_answers_that_are_not_read_stop_the_questions_and_do_not_pile_up(server: Served) -> None:
    """The client's own sending comes to a halt, as TCP has it."""
    feed = server.feed
    with socket.create_connection(("127.0.0.1", feed.port)) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8_192)
        url = f"ws://127.0.0.1:{feed.port}"
        with connect(url, sock=raw, compression=None, max_queue=1, close_timeout=0.2) as slow:
            question = json.dumps({"action": "x" * 10_000, "request_id": "y" * 10_000})
            saying = threading.Thread(target=say_on, args=(slow, question))
            saying.start()
            assert becomes(lambda: server.do(lambda: of(feed).full_seconds()) > 0.3)
            assert server.do(lambda: unsent(feed)) < 200_000
            assert saying.is_alive()
            raw.shutdown(socket.SHUT_RDWR)
            saying.join(10)
    assert becomes(lambda: feed.connections == 0)

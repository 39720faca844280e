"""What the feed does when clients are slow, many, silent, or no longer welcome."""

import asyncio
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from algohost.domain.errors import Unavailable
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.web import feed_actions, feed_client, feed_guesses, feed_outbox, feed_topics
from algohost.web.feed import FeedServer
from algohost.web.feed_messages import market_frame
from tests.api.served import ACCOUNT_KEY, RUN_TOKEN, Served
from tests.feed.conftest import Opens
from tests.feed.speaker import Speaker

RELIANCE = {"symbol": "RELIANCE", "exchange": "NSE"}
TCS = {"symbol": "TCS", "exchange": "NSE"}


def becomes(seen: Callable[[], bool], seconds: float = 15) -> bool:
    """Whether ``seen()`` becomes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if seen():
            return True
        time.sleep(0.01)
    return False


def second_feed(server: Served, **options: Any) -> FeedServer:
    """Another feed over the same host."""
    feed = FeedServer(server.host, port=0, **options)
    server.wait_for(feed.start())
    return feed


def test_a_connection_that_stays_silent_is_closed_with_4401(server: Served) -> None:
    feed = second_feed(server, auth_seconds=0.2)
    with Speaker(f"ws://127.0.0.1:{feed.port}") as silent:
        assert silent.ask(action="ping")["type"] == "pong"
        assert silent.closed_with() == 4401
    with Speaker(f"ws://127.0.0.1:{feed.port}") as known:
        known.ask(action="authenticate", api_key=ACCOUNT_KEY)
        time.sleep(0.5)  # longer than the deadline that no longer counts
        assert known.nothing_more()
    server.wait_for(feed.stop())


def test_more_connections_than_the_cap_are_refused_at_the_door(server: Served) -> None:
    feed = second_feed(server, most_connections=2)
    url = f"ws://127.0.0.1:{feed.port}"
    with Speaker(url), Speaker(url):
        with pytest.raises(InvalidStatus) as refused, connect(url):
            pass
        assert refused.value.response.status_code == 503
    assert becomes(lambda: feed.connections == 0)
    with Speaker(url) as again:
        assert again.nothing_more()
    server.wait_for(feed.stop())


def test_stopping_disconnects_everybody_and_stops_listening(server: Served) -> None:
    listening = len(server.host.market._listeners)
    feed = second_feed(server)
    with Speaker(f"ws://127.0.0.1:{feed.port}") as speaker:
        speaker.ask(action="authenticate", api_key=ACCOUNT_KEY)
        speaker.ask(action="subscribe", **RELIANCE, mode=1)
        server.wait_for(feed.stop())
        assert speaker.closed_with() == 1001
    assert len(server.host.market._listeners) == listening
    server.wait_for(feed.stop())  # once more does nothing


@pytest.mark.parametrize("left", ["gone", "replaced"])
def test_a_token_whose_run_has_ended_is_disconnected(
    server: Served, client: Opens, left: str
) -> None:
    ended, other = client(RUN_TOKEN), client()
    for speaker in (ended, other):
        speaker.ask(action="subscribe", **RELIANCE, mode=1)
        speaker.ask(action="subscribe_orders")
    known = server.keys.known
    if left == "gone":
        server.do(lambda: known.pop(RUN_TOKEN))
    else:
        server.do(lambda: known.update({RUN_TOKEN: known["d" * 64]}))
    assert ended.closed_with() == 4401
    assert other.nothing_more()
    assert becomes(lambda: server.feed.connections == 1)
    assert server.do(lambda: len(server.feed._topics)) == 1


def test_a_client_that_vanishes_leaves_nothing_behind(server: Served, client: Opens) -> None:
    speaker = client()
    speaker.ask(action="subscribe", symbols=[RELIANCE, TCS], mode=3)
    speaker.socket.socket.shutdown(socket.SHUT_RDWR)
    assert becomes(lambda: server.feed.connections == 0)
    assert server.do(lambda: len(server.feed._topics)) == 0
    server.tick()


def test_a_tick_is_encoded_once_however_many_follow(
    server: Served, client: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    speakers = [client() for _ in range(5)]
    for speaker in speakers:
        speaker.ask(action="subscribe", symbols=[RELIANCE, TCS], mode=2)
        speaker.data(2)
    made: list[str] = []

    def counted(mode: Any, quote: Any, depth: Any = None) -> bytes:
        made.append(quote.key.symbol)
        return market_frame(mode, quote, depth)

    monkeypatch.setattr(feed_topics, "market_frame", counted)
    server.tick()
    heard = [sorted(json.dumps(d) for d in speaker.data(2)) for speaker in speakers]
    assert sorted(made) == ["RELIANCE", "TCS"]
    assert heard == [heard[0]] * 5


def test_one_message_that_names_an_instrument_a_thousand_times_makes_one_frame(
    server: Served, client: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """5,000 times the depth of one instrument held everybody up for a quarter second."""
    made: list[str] = []

    def counted(mode: Any, quote: Any, depth: Any = None) -> bytes:
        made.append(quote.key.symbol)
        return market_frame(mode, quote, depth)

    monkeypatch.setattr(feed_topics, "market_frame", counted)
    reply = client().ask(action="subscribe", symbols=[RELIANCE] * 1_000, mode=3)
    assert (reply["status"], len(reply["subscriptions"])) == ("success", 1_000)
    assert made == ["RELIANCE"]


def test_a_slow_client_gets_the_newest_tick_and_not_a_buffer(server: Served) -> None:
    """While it does not read, little is kept for it; when it reads, the news comes last."""
    everything = [
        {"symbol": i.key.symbol, "exchange": i.key.exchange.value}
        for i in server.host.market.instruments()
    ]
    with socket.create_connection(("127.0.0.1", server.feed.port)) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        with connect(
            server.feed_url, sock=raw, compression=None, max_queue=4, close_timeout=0.5
        ) as slow:
            slow.send(json.dumps({"action": "authenticate", "api_key": ACCOUNT_KEY}))
            slow.send(json.dumps({"action": "subscribe", "symbols": everything, "mode": 3}))
            ticks = 150

            def unsent() -> int:
                return max(
                    c.connection.transport.get_write_buffer_size() for c in server.feed._clients
                )

            assert becomes(lambda: server.do(lambda: len(server.feed._topics)) > 0)
            one_tick = server.do(
                lambda: sum(
                    len(topic.frame)
                    for modes in server.feed._topics._topics.values()
                    for topic in modes.values()
                )
            )
            for _ in range(ticks):
                server.tick()
            assert server.do(unsent) <= feed_client.UNSENT_BYTES + one_tick
            newest = round(server.clock.now().timestamp() * 1000)
            received, is_newest = 0, False
            while not is_newest:
                heard = json.loads(slow.recv(timeout=10))
                received += 1
                is_newest = (
                    heard.get("type") == "market_data"
                    and heard["symbol"] == "RELIANCE"
                    and heard["data"]["timestamp"] == newest
                )
            assert received < ticks * len(everything) / 2


def test_order_updates_are_never_dropped_for_a_slow_client_who_is_disconnected_instead(
    server: Served, client: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_client, "UNSENT_BYTES", -1)  # every client counts as slow
    monkeypatch.setattr(feed_outbox, "MOST_UNSENT_ORDERS", 3)
    speaker = client()
    speaker.ask(action="subscribe_orders")
    order = {**RELIANCE, "action": "BUY", "quantity": 1, "product": "MIS"}
    for _ in range(5):
        server.post("placeorder", **order)
    assert speaker.closed_with() == 1013


def test_order_updates_that_waited_come_in_order_when_the_client_reads_again(
    server: Served, client: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaker = client()
    speaker.ask(action="subscribe_orders")
    monkeypatch.setattr(feed_client, "UNSENT_BYTES", -1)
    order = {**RELIANCE, "action": "BUY", "quantity": 1, "product": "MIS"}
    ids = [server.post("placeorder", **order).json()["orderid"] for _ in range(3)]
    monkeypatch.undo()
    heard: list[str] = []
    while ids[-1] not in heard:
        update = speaker.hear()
        if update["order_status"] == "complete":
            heard.append(update["orderid"])
    assert heard == ids


def test_a_fault_with_one_instrument_does_not_silence_the_others(
    server: Served, client: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaker = client()
    speaker.ask(action="subscribe", symbols=[RELIANCE, TCS], mode=1)
    speaker.data(2)

    def broken(mode: Any, quote: Any, depth: Any = None) -> bytes:
        if quote.key.symbol == "RELIANCE":
            raise ZeroDivisionError
        return market_frame(mode, quote, depth)

    monkeypatch.setattr(feed_topics, "market_frame", broken)
    server.tick()
    assert speaker.hear()["symbol"] == "TCS"
    assert speaker.nothing_more()
    assert server.feed.faults == 1


def test_a_fault_while_handling_a_message_is_answered_and_counted(
    server: Served, client: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaker = client()
    monkeypatch.setattr(server.host.market, "find", lambda key: 1 / 0)
    answer = speaker.ask(action="subscribe", **RELIANCE, mode=1)
    assert (answer["status"], answer["code"]) == ("error", "INTERNAL")
    monkeypatch.undo()
    assert speaker.ask(action="subscribe", **RELIANCE, mode=1)["status"] == "success"
    assert server.feed.faults == 1


def test_an_instrument_without_a_price_yet_is_followed_and_told_at_its_first_tick(
    server: Served, client: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = InstrumentKey(exchange=Exchange.NSE, symbol="RELIANCE")

    def unpriced(asked: InstrumentKey) -> None:
        raise Unavailable(f"{asked} has no price yet.")

    speaker = client()
    monkeypatch.setattr(server.host.market, "quote", unpriced)
    assert speaker.ask(action="subscribe", **RELIANCE, mode=1)["status"] == "success"
    assert speaker.nothing_more()
    monkeypatch.undo()
    server.tick()
    last = server.do(lambda: float(server.host.market.quote(key).last))
    assert speaker.hear()["data"]["ltp"] == last


def test_a_connection_cannot_follow_without_end(
    server: Served, client: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_topics, "MOST_TOPICS", 1)
    answer = client().ask(action="subscribe", symbols=[RELIANCE, TCS], mode=1)
    assert [s["status"] for s in answer["subscriptions"]] == ["success", "error"]
    assert "follows 1 already" in answer["subscriptions"][1]["message"]


def test_all_connections_together_cannot_follow_without_end(
    server: Served, client: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another mode of an instrument that ticks already costs next to nothing, and may be had."""
    monkeypatch.setattr(feed_topics, "MOST_INSTRUMENTS", 1)
    assert client().ask(action="subscribe", **RELIANCE, mode=1)["status"] == "success"
    other = client()
    answer = other.ask(action="subscribe", symbols=[RELIANCE, TCS], mode=3)
    assert [s["status"] for s in answer["subscriptions"]] == ["success", "error"]
    assert "follows 1 instruments" in answer["subscriptions"][1]["message"]


def test_one_key_cannot_have_connections_without_end(
    server: Served, client: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_actions, "MOST_OF_ONE", 1)
    first, second, other = client(RUN_TOKEN), client(None), client(ACCOUNT_KEY)
    answer = second.ask(action="auth", apikey=RUN_TOKEN)
    assert (answer["status"], answer["code"]) == ("error", "TOO_MANY_CONNECTIONS")
    assert second.closed_with() == 4401
    assert first.nothing_more()
    assert other.nothing_more()


def test_wrong_keys_are_answered_late_and_right_ones_at_once(
    server: Served, client: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All runs share an address: one with a wrong key must not shut the others out."""
    monkeypatch.setattr(feed_guesses, "_FREE", 0)
    monkeypatch.setattr(feed_guesses, "_FIRST_SECONDS", 4.0)
    guessing = client(None)
    guessing.say(action="authenticate", api_key="x" * 64)
    assert client(ACCOUNT_KEY).nothing_more()
    with pytest.raises(TimeoutError):
        guessing.hear(seconds=0.2)


def test_a_key_that_ends_while_its_message_is_handled_follows_nothing_more(
    server: Served, client: Opens
) -> None:
    """A long message is handled in slices, and others have their turn between."""
    speaker = client(RUN_TOKEN)
    [known] = server.feed._clients
    found = server.host.market.find

    def ended(key: InstrumentKey) -> Any:
        if key.symbol == "TCS":
            asyncio.get_running_loop().call_soon(server.feed._close, known, 4401, "Over.")
        return found(key)

    server.do(lambda: setattr(server.host.market, "find", ended))
    rest = [
        {"symbol": one.key.symbol, "exchange": one.key.exchange.value}
        for one in server.host.market.instruments()
    ]
    speaker.say(action="subscribe", symbols=[TCS, *rest], mode=1)
    assert speaker.closed_with() == 4401
    assert server.do(lambda: len(server.feed._topics)) == 0


def test_what_is_no_websocket_is_refused_and_the_feed_goes_on(
    server: Served, client: Opens
) -> None:
    for rubbish in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\r\n", b"\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.feed.port)) as raw:
            raw.sendall(rubbish)
            raw.settimeout(10)
            while raw.recv(4096):
                pass
    assert client().nothing_more()

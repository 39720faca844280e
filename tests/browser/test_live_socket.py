"""The live socket without a browser: what is sent, to whom, and when it ends."""

import asyncio
import json
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from algohost.domain.runs import Outcome, OutcomeKind
from algohost.web import live
from algohost.web.access import SESSION_COOKIE
from algohost.web.live_hub import LiveHub, Watcher
from tests.browser.conftest import Server

Message = dict[str, Any]


def in_a_thread(work: Coroutine[Any, Any, None]) -> None:
    """Playwright's loop runs in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result(30)


@contextmanager
def opened(server: Server, **headers: str) -> Iterator[ClientConnection]:
    """A socket with the session's cookie, as one of our own pages opens it."""
    sent = {"Origin": server.url, "Cookie": f"{SESSION_COOKIE}={server.stage.secret}", **headers}
    address = server.url.replace("http", "ws") + "/ws"
    with connect(
        address, additional_headers={k: v for k, v in sent.items() if v}, compression=None
    ) as socket:
        yield socket


def subscribe(socket: ClientConnection, topic: str) -> Message:
    """The first message of a topic."""
    socket.send(json.dumps({"op": "sub", "topic": topic}))
    return following(socket, topic)


def following(socket: ClientConnection, topic: str) -> Message:
    """The next message of a topic."""
    while True:
        message: Message = json.loads(socket.recv(timeout=10))
        if message["topic"] == topic:
            return cast("Message", message.get("data", message))


def test_a_snapshot_comes_first_and_then_only_what_changed(server: Server) -> None:
    with opened(server) as socket:
        first = subscribe(socket, "strategies")
        assert len(first["rows"]) == 10
        assert first["counts"]["running"] == 4
        crash = Outcome(kind=OutcomeKind.SIGNALLED, signal=9)
        server.do(server.stage.strategies.end, server.ids["rsi"], crash)
        second = following(socket, "strategies")
        (change,) = second["changes"]
        assert change["id"] == server.ids["rsi"]
        assert change["phase"] == "error"
        assert "name" not in change
        assert second["counts"]["error"] == 2


def test_many_changes_at_once_are_one_message(server: Server) -> None:
    def churn() -> None:
        for number in range(50):
            held = {"symbol": "INFY", "realised": str(number), "last": "1"}
            server.stage.gateway.hold(server.stage.user, server.ids["rsi"], **held)
            server.stage.gateway.add(server.stage.user, server.ids["rsi"])

    with opened(server) as socket:
        subscribe(socket, "strategies")
        server.do(churn)
        (change,) = following(socket, "strategies")["changes"]
        assert (change["pnl"], change["order_count"]) == ("49.00", 51)


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": ""}, {"Cookie": ""}], ids=str
)
def test_another_site_and_nobody_are_refused(server: Server, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as refused, opened(server, **headers):
        pass
    assert refused.value.response.status_code in {401, 403}


@pytest.mark.parametrize("topic", ["log:{}", "orders:{}", "runs:{}", "secrets:{}", "log:../etc"])
def test_a_topic_of_nothing_ends_with_its_reason(server: Server, topic: str) -> None:
    with opened(server) as socket:
        answer = subscribe(socket, topic.format("nothing_20260101000000"))
        assert answer["error"]["error_code"] in {"NOT_FOUND", "NO_STRATEGY", "NO_TOPIC"}
        assert subscribe(socket, "strategies")["rows"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"op": "drop", "topic": "x"}', "x" * 600])
def test_nonsense_closes_the_socket(server: Server, text: str) -> None:
    with opened(server) as socket:
        socket.send(text)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1003


def test_a_session_that_ends_closes_its_sockets(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_SESSION_LOOK_SECONDS", 0.05)
    identity = server.stage.host.identity
    with opened(server) as socket:
        subscribe(socket, "strategies")
        ended = asyncio.run_coroutine_threadsafe(identity.log_out(server.stage.secret), server.loop)
        ended.result(10)
        with suppress(ConnectionClosed):
            for _ in socket:  # to its end
                pass
        assert socket.close_code == live.LOGGED_OUT


def test_a_log_is_sent_as_tail_and_then_as_it_grows(server: Server) -> None:
    run = server.stage.strategies.history[server.ids["running"]][0]
    topic = f"log:{server.ids['running']}"
    with opened(server) as socket:
        first = subscribe(socket, topic)
        assert (first["reset"], first["run_id"], len(first["lines"])) == (True, run.id, 400)
        server.do(server.stage.strategies.write, run, "one", "two")
        assert following(socket, topic) == {"lines": ["one", "two"]}


def test_a_deleted_strategy_ends_its_topics(server: Server) -> None:
    topic = f"orders:{server.ids['stopped']}"
    with opened(server) as socket:
        assert subscribe(socket, topic)["orders"] == []
        server.do(server.stage.strategies.registry.remove, server.ids["stopped"])
        assert following(socket, topic)["error"]["error_code"] == "NOT_FOUND"


def test_the_last_viewer_leaves_no_listener_behind(server: Server) -> None:
    before = len(server.stage.gateway.listeners)  # of GET /python/status, and of the limits
    with opened(server) as socket:
        subscribe(socket, "strategies")
        subscribe(socket, f"orders:{server.ids['running']}")
        assert len(server.stage.gateway.listeners) == before + 1

    async def gone() -> int:
        async with asyncio.timeout(10):
            while len(server.stage.gateway.listeners) > before:
                await asyncio.sleep(0.01)
        return len(server.stage.gateway.listeners)

    assert asyncio.run_coroutine_threadsafe(gone(), server.loop).result(15) == before


async def _stalled_tab(sent: list[str]) -> None:
    async def never(text: str) -> None:
        sent.append(text)
        await asyncio.Event().wait()

    state = SimpleNamespace(user=None)
    socket = SimpleNamespace(send_text=never, state=state, close=never)
    tab = live._Tab(cast("Any", socket), cast("LiveHub", None))
    await asyncio.gather(
        *(tab._send({"topic": "strategies", "data": n}) for n in range(3)), return_exceptions=True
    )
    assert tab.stalled.is_set()


def test_a_socket_that_reads_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing piles up behind it: one message at a time, and after the limit it is left."""
    monkeypatch.setattr(live, "_SEND_SECONDS", 0.01)
    sent: list[str] = []
    in_a_thread(_stalled_tab(sent))
    assert len(sent) <= 3


def test_a_watcher_keeps_ids_and_not_changes() -> None:
    async def run() -> None:
        watcher = Watcher(lambda strategy_id: strategy_id != "other")
        for _ in range(1_000):
            watcher.add(cast("Any", "mine"))
            watcher.add(cast("Any", "other"))
        await watcher.wait()
        assert watcher.take() == {"mine"}
        await watcher.wait(at_most_seconds=0.01)
        assert watcher.take() == set()

    in_a_thread(run())

"""S24: the agent's socket, spoken to by friends, strangers and noise."""

import asyncio
import json
import os
import socket
import stat
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from algohost.agent import transport
from algohost.agent.client import AgentClient, AgentRefused, AgentUnavailable, Snapshot
from algohost.runner.frames import MAX_FRAME_BYTES, PROTOCOL, Decoder, encode
from algohost.runner.messages import RunFact
from tests.agent.driving import Driver

pytestmark = pytest.mark.processes

HELLO = encode({"id": 1, "do": "hello", "protocol": list(PROTOCOL)})


class Peer:
    """A bare connection."""

    def __init__(self, driver: Driver) -> None:
        self.socket, _ = transport.connect(driver.state_dir, timeout_seconds=5)
        self._decoder = Decoder()

    def say(self, data: bytes) -> None:
        self.socket.sendall(data)

    def hear(self) -> list[dict[str, Any]]:
        """All that comes until the agent hangs up or has answered and waits."""
        heard: list[dict[str, Any]] = []
        while True:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            heard += self._decoder.feed(data)
            if not data or heard:
                return heard

    def is_hung_up(self) -> bool:
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


@pytest.fixture
def peer(driver: Driver) -> Iterator[Peer]:
    peer = Peer(driver)
    yield peer
    peer.socket.close()


def error_of(message: dict[str, Any]) -> str:
    return str(message["error"]["code"])


def frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (encode({"id": 1, "do": "list"}), "hello_first"),
        (encode({"id": 1, "do": "hello", "protocol": [99, 0]}), "protocol"),
        (encode({"id": 1, "do": "hello"}), "protocol"),
        (frame(b"[]"), "bad_frame"),
        (frame(b"{"), "bad_frame"),
        (frame(b""), "bad_frame"),
        (struct.pack(">I", MAX_FRAME_BYTES + 1), "bad_frame"),
        (b"GET / HTTP/1.1\r\n\r\n", "bad_frame"),
        (HELLO + frame(b"null"), "bad_frame"),
    ],
)
def test_what_does_not_belong_is_answered_once_and_hung_up_on(
    driver: Driver, peer: Peer, data: bytes, code: str
) -> None:
    peer.say(data)
    heard = peer.hear()
    if heard[-1].get("ok"):
        heard = peer.hear()
    assert error_of(heard[-1]) == code
    assert heard[-1]["error"]["message"].endswith(".")
    assert peer.is_hung_up()
    assert driver.status()["callback_failures"] == 0


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"do": "__class__"}, "unknown_command"),
        ({"do": "_start"}, "unknown_command"),
        ({"do": ["start"]}, "unknown_command"),
        ({}, "unknown_command"),
        ({"do": "start"}, "bad_request"),
        ({"do": "start", "spec": {"run_id": 1}}, "bad_request"),
        ({"do": "stop", "run_id": "x", "grace_seconds": 1, "by": "me"}, "unknown_run"),
        ({"do": "stop", "run_id": ["x"], "grace_seconds": 1, "by": "me"}, "unknown_run"),
        ({"do": "stop", "run_id": "x", "grace_seconds": -1, "by": "me"}, "bad_request"),
        ({"do": "stop", "run_id": "x", "grace_seconds": True, "by": "me"}, "bad_request"),
        ({"do": "stop", "run_id": "x", "grace_seconds": 1e300, "by": "me"}, "bad_request"),
        ({"do": "stop", "run_id": "x", "grace_seconds": 1, "by": 3}, "bad_request"),
        ({"do": "stop", "run_id": "x", "signal": "SIGKILL", "grace_seconds": 1}, "bad_request"),
        ({"do": "forget", "run_ids": "abc"}, "bad_request"),
        ({"do": "forget", "run_ids": [1]}, "bad_request"),
        ({"do": "warm", "interpreter": 3}, "bad_request"),
        ({"do": "shutdown", "stop_runs": "yes"}, "bad_request"),
    ],
)
def test_a_wrong_request_is_refused_and_the_connection_goes_on(
    driver: Driver, peer: Peer, request_: dict[str, Any], code: str
) -> None:
    peer.say(HELLO)
    assert peer.hear()[0]["protocol"] == list(PROTOCOL)
    peer.say(encode({"id": 7, **request_}))
    (refusal,) = peer.hear()
    assert (refusal["id"], error_of(refusal)) == (7, code)
    peer.say(encode({"id": 8, "do": "status"}))
    assert peer.hear()[0]["pid"] == driver.status()["pid"]


chunks = st.lists(
    st.binary(max_size=64)
    | st.binary(max_size=64).map(frame)
    | st.just(HELLO)
    | st.dictionaries(
        st.sampled_from(["id", "do", "spec", "run_id", "run_ids", "by", "grace_seconds", "signal"]),
        st.none() | st.integers() | st.sampled_from(["list", "start", "stop", "status", "hello"])
        | st.lists(st.text(max_size=3), max_size=3),
    ).map(encode),
    max_size=8,
)  # fmt: skip


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(chunks)
def test_no_bytes_end_the_agent_or_hurt_a_run(driver: Driver, chunks: list[bytes]) -> None:
    peer = Peer(driver)
    try:
        for chunk in chunks:
            peer.say(chunk)
        peer.socket.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    finally:
        peer.socket.close()
    assert driver.status()["callback_failures"] == 0


def test_the_door_is_shut_to_other_users(driver: Driver) -> None:
    folder, door = driver.state_dir.stat(), (driver.state_dir / "agent.sock").stat()
    assert (stat.S_IMODE(folder.st_mode), stat.S_IMODE(door.st_mode)) == (0o700, 0o600)
    private = ["agent.lock", "agent.log", "journal.jsonl"]
    driver.start("for-the-journal", "pass")
    modes = {stat.S_IMODE((driver.state_dir / name).stat().st_mode) for name in private}
    assert modes == {0o600}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_is_hung_up_on_even_where_the_door_stands_open(
    lone: Callable[..., Driver],
) -> None:
    driver = lone()
    (driver.state_dir / "agent.sock").chmod(0o666)
    driver.state_dir.chmod(0o711)
    pid = os.fork()
    if pid == 0:
        code = 2
        try:
            os.chdir(driver.state_dir)
            os.setuid(65534)
            peer = socket.socket(socket.AF_UNIX)
            peer.settimeout(5)
            peer.connect("agent.sock")
            code = 0 if peer.recv(1) == b"" else 1
        except ConnectionResetError:
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_path_longer_than_a_socket_address_is_no_hindrance(
    lone: Callable[..., Driver],
) -> None:
    driver = lone()
    deep = driver.folder / ("d" * 60) / ("e" * 60)
    other = Driver(deep)
    try:
        assert other.start("deep", "pass").launcher == "zygote"
        assert other.ended("deep").exit is not None
    finally:
        other.close()


def test_without_unix_sockets_a_token_opens_a_port_of_the_loopback(
    lone: Callable[..., Driver],
) -> None:
    driver = lone("--transport", "tcp")
    assert driver.start("by-tcp", "print('ran')").state == "running"
    driver.ended("by-tcp")
    sign = driver.state_dir / "agent.port"
    assert stat.S_IMODE(sign.stat().st_mode) == 0o600
    facts = json.loads(sign.read_text())
    for token in (None, "wrong", facts["token"][:-1], "é"):
        peer = Peer(driver)
        peer.say(encode({"id": 1, "do": "hello", "protocol": list(PROTOCOL), "token": token}))
        assert error_of(peer.hear()[0]) == "unauthorized"
        peer.socket.close()


def test_events_are_a_snapshot_and_then_every_change(driver: Driver) -> None:
    driver.start("earlier", "pass")
    driver.ended("earlier")
    script = "print('up', flush=True)\nimport time\ntime.sleep(60)"
    spec = driver.spec("watched", script)

    async def watch() -> tuple[Snapshot, list[RunFact]]:
        seen: list[RunFact] = []
        snapshot = None
        async for event in driver.client.events():
            if isinstance(event, Snapshot):
                snapshot = event
                await driver.client.start(spec)
            elif isinstance(event, RunFact):
                seen.append(event)
                if event.state == "running":
                    await driver.client.stop("watched", grace_seconds=5, by="test")
                if event.state == "ended":
                    break
        assert snapshot is not None
        return snapshot, seen

    snapshot, seen = driver.do(watch())
    assert {"earlier": "ended"}.items() <= {run.run_id: run.state for run in snapshot.runs}.items()
    assert [fact.state for fact in seen] == ["running", "stopping", "ended"]
    assert {fact.run_id for fact in seen} == {"watched"}


def test_a_lost_agent_is_said_to_every_waiter(lone: Callable[..., Driver]) -> None:
    driver = lone()
    pid = driver.status()["pid"]

    async def wait_for_the_end() -> None:
        events = driver.client.events()
        assert isinstance(await anext(events), Snapshot)
        os.kill(pid, 9)
        with pytest.raises(AgentUnavailable):
            await anext(events)
        await driver.client._receiver
        with pytest.raises(AgentUnavailable):
            await driver.client.list()

    driver.do(wait_for_the_end())


def test_nobody_answers_in_an_empty_folder(tmp_path: Any) -> None:
    with pytest.raises(AgentUnavailable, match="No agent answers"):
        asyncio.run(AgentClient.connect(tmp_path))


def test_a_refusal_carries_its_code(driver: Driver) -> None:
    with pytest.raises(AgentRefused) as refusal:
        driver.do(driver.client._ask("dance"))
    assert refusal.value.code == "unknown_command"


def test_a_list_of_many_runs_comes_in_parts(lone: Callable[..., Driver]) -> None:
    """Ended runs of a journal longer than one frame can hold."""
    driver = lone()
    driver.start("first", "pass")
    driver.ended("first")
    driver.kill(driver.status()["pid"])
    journal = driver.state_dir / "journal.jsonl"
    lines = journal.read_text()
    with journal.open("a") as file:
        for i in range(3000):
            file.write(lines.replace('"first"', f'"copy-number-{i}"'))
    driver.connect()
    assert len(driver.facts()) == 3001

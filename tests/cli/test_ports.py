"""Ports that are taken: who has them, and which one to use instead."""

import os
import socket
from pathlib import Path

import pytest

from algohost.cli import ports
from algohost.domain.errors import Conflict, Invalid


@pytest.fixture
def taken() -> "socket.socket":
    return socket.create_server(("127.0.0.1", 0))


def test_a_taken_port_is_refused_with_its_holder_and_a_free_one(taken: socket.socket) -> None:
    with taken:
        port = taken.getsockname()[1]
        with pytest.raises(Conflict) as refusal:
            ports.refuse_if_taken("127.0.0.1", {"feed_port": port})
    details = refusal.value.details
    assert refusal.value.code == "PORT_IN_USE"
    assert details["port"] == port
    assert details["pid"] == os.getpid()
    assert f"process {os.getpid()} (" in refusal.value.message
    assert f"'--feed-port {details['suggested']}' is free" in refusal.value.message


def test_a_server_of_ours_is_named_without_its_settings(tmp_path: Path) -> None:
    (tmp_path / "cmdline").write_bytes(b'python\0-m\0algohost.cli.background\0{"flags": 1}\0')
    assert ports._command_of(tmp_path) == "an algohost server"


def test_the_suggested_port_can_be_had(taken: socket.socket) -> None:
    with taken:
        port = taken.getsockname()[1]
        free = ports.next_free("127.0.0.1", port, but_not=set())
        assert free is not None
        assert ports.why_not("127.0.0.1", free) is None


def test_a_port_that_the_other_setting_wants_is_not_suggested(taken: socket.socket) -> None:
    with taken:
        port = taken.getsockname()[1]
        first = ports.next_free("127.0.0.1", port, but_not=set())
        assert first is not None
        assert ports.next_free("127.0.0.1", port, but_not={first}) != first


def test_a_free_port_is_not_refused(taken: socket.socket) -> None:
    port = taken.getsockname()[1]
    taken.close()
    ports.refuse_if_taken("127.0.0.1", {"port": port})


def test_one_port_for_two_settings_is_refused() -> None:
    with pytest.raises(Invalid, match="port and feed_port are the same port"):
        ports.refuse_if_taken("127.0.0.1", {"port": 5000, "feed_port": 5000})


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(Invalid, match="is not an address of this machine"):
        ports.refuse_if_taken(host, {"port": 5000})


def test_nobody_is_named_for_a_free_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert ports.listener_on(port) is None

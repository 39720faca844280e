"""The control socket: who may use it, and what it carries."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from algohost.cli import control_server as module
from algohost.cli.app import run
from algohost.cli.console import NotReachable
from algohost.cli.control_client import Control
from algohost.domain.errors import AlgohostError
from tests.cli.fakes import FakeHost, control_server

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_the_server_says_where_it_is(
    tmp_path: Path, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with control_server(FakeHost(tmp_path), loop_factory):
        found = Control(tmp_path).ask("GET", "/v1/server")
    assert found["web"] == "http://127.0.0.1:5000"
    assert found["data_dir"] == str(tmp_path)
    assert found["setup_link"] is None


def test_a_server_without_users_gives_the_setup_link(tmp_path: Path) -> None:
    with control_server(FakeHost(tmp_path, users=())):
        found = Control(tmp_path).ask("GET", "/v1/server")
    assert found["setup_link"] == "http://127.0.0.1:5000/setup?token=one-time"


def test_a_key_file_that_is_gone_is_told_to_whoever_looks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``up`` and ``status`` said that all is well while no secret could be opened."""
    host = FakeHost(tmp_path)
    said = "The key file is missing, so the secrets of strategies cannot be opened."
    host.variables.trouble = lambda: said
    with control_server(host):
        for words in (["status"], ["up"]):
            assert run([*words, "--data-dir", str(tmp_path)]) == 0
            assert said in capsys.readouterr().out.splitlines()
        assert Control(tmp_path).ask("GET", "/v1/server")["secrets_trouble"] == said


def test_a_server_with_users_gives_no_setup_link(tmp_path: Path) -> None:
    """A user was added by the command line; the link that was printed before is of no use."""
    host = FakeHost(tmp_path)
    host.identity.setup_token = lambda: "one-time"  # type: ignore[method-assign]
    with control_server(host):
        assert Control(tmp_path).ask("GET", "/v1/server")["setup_link"] is None


def test_status_answers_before_there_is_a_user(tmp_path: Path) -> None:
    with control_server(FakeHost(tmp_path, users=())):
        found = Control(tmp_path).ask("GET", "/v1/status")
    assert found["setup_link"] == "http://127.0.0.1:5000/setup?token=one-time"
    assert found["strategies"] == []


@pytest.mark.parametrize("path", ["/v1/strategies/../../etc", "/v1/strategies/a/b", "/v1/nothing"])
def test_an_id_that_is_an_address_is_refused_with_a_sentence(tmp_path: Path, path: str) -> None:
    with control_server(FakeHost(tmp_path)), pytest.raises(AlgohostError) as refusal:
        Control(tmp_path).ask("GET", path)
    assert refusal.value.code == "NOT_FOUND"


def test_the_socket_is_for_its_owner_only(tmp_path: Path) -> None:
    with control_server(FakeHost(tmp_path)):
        assert (tmp_path / "run/control.sock").stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "run/control.sock").exists()


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_another_user_is_hung_up_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """The rights of the folder keep others out; should those be wrong, the kernel's word does."""
    asked: list[int | None] = []

    def peer_uid(transport: asyncio.Transport) -> int:
        asked.append(real(transport))
        return 54321

    real = module._peer_uid
    monkeypatch.setattr(module, "_peer_uid", peer_uid)
    with control_server(FakeHost(tmp_path), loop_factory), pytest.raises(NotReachable):
        Control(tmp_path).ask("GET", "/v1/server")
    import os

    assert asked == [os.getuid()]


def test_a_socket_left_by_a_dead_server_is_replaced(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "run/control.sock"))
    with control_server(host):
        assert Control(tmp_path).is_answering()


def test_without_a_unix_socket_a_token_is_needed(tmp_path: Path) -> None:
    """The path is too long for a Unix socket, as every path is on a system without them."""
    data_dir = tmp_path / ("long" * 30)
    with control_server(FakeHost(data_dir)):
        token_file = data_dir / "run/control.json"
        assert token_file.stat().st_mode & 0o777 == 0o600
        assert Control(data_dir).ask("GET", "/v1/server")["web"] == "http://127.0.0.1:5000"
        known = json.loads(token_file.read_text())
        token_file.write_text(json.dumps({**known, "token": "guess"}))
        with pytest.raises(AlgohostError, match="use the program 'algohost'"):
            Control(data_dir).ask("GET", "/v1/server")
    assert not token_file.exists()


def test_without_a_server_the_way_to_start_one_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotReachable) as refusal:
        Control(tmp_path).ask("GET", "/v1/server")
    assert refusal.value.message == f"No server runs on {tmp_path}; start one with 'algohost up'."


def test_a_refusal_arrives_with_its_code_and_details(tmp_path: Path) -> None:
    with control_server(FakeHost(tmp_path)):
        control = Control(tmp_path)
        with pytest.raises(AlgohostError) as refusal:
            control.ask("GET", "/v1/strategies/none_20260101000000")
        assert refusal.value.code == "NO_STRATEGY"


@pytest.mark.parametrize(
    ("users", "asked", "acts"),
    [
        ([("ann", True)], None, "ann"),
        ([("bob", False)], None, "bob"),
        ([("ann", True), ("bob", False)], None, "ann"),
        ([("ann", True), ("bob", False)], "bob", "bob"),
        ([("ann", True), ("bob", False)], "ANN", "ann"),
        ([("ann", True), ("eve", True)], None, "Say as whom, with --user: ann, eve."),
        ([("bob", False), ("eve", False)], None, "Say as whom, with --user: bob, eve."),
        ([("ann", True)], "zed", "There is no user 'zed'; make one with 'algohost user add'."),
        ([], None, "There is no user yet; open the setup link, or run 'algohost user add'."),
    ],
)
def test_a_request_acts_as_the_user_it_can_only_mean(
    tmp_path: Path, users: list[tuple[str, bool]], asked: str | None, acts: str
) -> None:
    with control_server(FakeHost(tmp_path, users=users)):
        control = Control(tmp_path, user=asked)
        assert acting_user(control) == acts


def acting_user(control: Control) -> str:
    body = {"name": "s", "file_name": "s.py", "exchange": "NSE", "content": ""}
    try:
        added = control.ask("POST", "/v1/strategies", body)
    except AlgohostError as error:
        return error.message
    return str(added["strategy"]["owner"])


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"name": 5}'])
def test_a_body_that_is_not_what_was_asked_for_is_refused(tmp_path: Path, body: bytes) -> None:
    with control_server(FakeHost(tmp_path)):
        control = Control(tmp_path)
        connection = control._connect(5)
        connection.request("POST", "/v1/users", body=body)
        response = connection.getresponse()
        assert response.status == 400
        assert json.loads(response.read())["error_code"] == "INVALID"
        connection.close()


def test_a_followed_log_is_streamed_and_cut_short_when_the_server_ends(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    with control_server(host):
        control = Control(tmp_path)
        body = {"name": "s", "file_name": "s.py", "exchange": "NSE", "content": ""}
        made = control.ask("POST", "/v1/strategies", body)["strategy"]["id"]
        control.ask("POST", f"/v1/strategies/{made}/start")
        log = host.log_folder / f"{made}.log"
        log.write_text("first\n")
        pieces = control.stream(f"/v1/strategies/{made}/log", follow=1)
        assert next(pieces)["lines"] == ["first"]
        with log.open("a") as file:
            file.write("second \x1b[31mred\n")
        assert next(pieces)["lines"] == ["second ␛[31mred"]
        ended = threading.Thread(target=lambda: list(_rest(pieces)))
        ended.start()
        control.ask("POST", "/v1/down", {})
        ended.join(10)
        assert not ended.is_alive()
    assert host.ends.is_set()


def test_all_runs_are_searched_over_the_socket(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    with control_server(host):
        control = Control(tmp_path)
        body = {"name": "s", "file_name": "s.py", "exchange": "NSE", "content": ""}
        made = control.ask("POST", "/v1/strategies", body)["strategy"]["id"]
        control.ask("POST", f"/v1/strategies/{made}/start")
        text = "2026-11-23 09:15:00 IST ERROR one\n2026-11-23 09:15:01 IST two\n"
        (host.log_folder / f"{made}.log").write_text(text)
        path = f"/v1/strategies/{made}/search"
        hits = control.ask("GET", path, q="O")["hits"] + control.ask("GET", path, q="o")["hits"]
        assert [hit["text"] for hit in hits] == ["ERROR one", "two", "ERROR one"]
        span: dict[str, Any] = {"from": "2026-11-23 09:15:01", "limit": 5}
        assert [hit["at"] for hit in control.ask("GET", path, **span)["hits"]] == [
            "2026-11-23 09:15:01"
        ]
        with pytest.raises(AlgohostError, match="Say what to look for"):
            control.ask("GET", path)


def _rest(pieces: object) -> list[object]:
    try:
        return list(pieces)  # type: ignore[call-overload, no-any-return]
    except NotReachable:
        return []

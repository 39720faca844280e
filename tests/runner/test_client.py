"""The pooled client answers and fails as the original does, and never sends a request twice."""

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import openalgo
import openalgo.data
import openalgo.orders
import openalgo.strategy
import pytest

from algohost.runner import client
from algohost.runner.client import _QuickHttpx

first_client = pytest.mark.skipif(
    int(openalgo.__version__.split(".")[0]) >= 2,
    reason="openalgo 2.x pools its connections by itself and is left alone",
)
MODULES = [sys.modules[f"openalgo.{name}"] for name in client._MODULES]


class Handler(BaseHTTPRequestHandler):
    """Answers by its path; counts what it has been sent."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def handle(self) -> None:
        self.server.connections += 1
        super().handle()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.seen.append((self.path, body))
        name = self.path.rpartition("/")[2]
        if name == "slow":
            self.server.release.wait(5)
        if name in ("die", "slow"):
            self.close_connection = True
            return
        self._answer({"fail": 500, "refuse": 403}.get(name, 200), name, body)

    do_GET = do_POST  # noqa: N815 - http.server's name

    def _answer(self, status: int, name: str, body: bytes) -> None:
        text = b"not json" if name == "garbage" else json.dumps(
            {"status": "success", "path": self.path, "sent": body.decode(),
             "cookie": self.headers.get("cookie"), "agent": self.headers.get("user-agent")}
        ).encode()  # fmt: skip
        self.server.calls.append(self.headers.get(client.CALL_HEADER))
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.send_header("set-cookie", "session=1; path=/")
        if name == "goodbye":
            self.send_header("connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """A server on the loopback."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.seen: list[tuple[str, bytes]] = []
        self.calls: list[str | None] = []
        self.connections = 0
        self.release = threading.Event()
        self.open: list[Any] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def get_request(self) -> Any:
        request = super().get_request()
        self.open.append(request[0])
        return request

    def handle_error(self, *_: object) -> None:
        pass

    def stop(self) -> None:
        """Closes the door and every connection."""
        self.release.set()
        self.shutdown()
        self.server_close()
        for connection in self.open:
            try:
                connection.shutdown(2)
            except OSError:
                continue

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def quick(server: Server) -> Iterator[Any]:
    quick = _QuickHttpx(httpx, frozenset({server.address}))
    yield quick
    if quick._pooled is not None:
        quick._pooled.close()


@pytest.fixture
def installed(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The client accelerated towards the server; put back afterwards."""
    monkeypatch.setattr(client, "_built", [])
    transports = client._transports()
    build = transports.create_ssl_context
    client.accelerate([server.address])
    yield server
    transports.create_ssl_context = build
    for module in MODULES:
        quick = module.httpx
        if isinstance(quick, _QuickHttpx) and quick._pooled is not None:
            quick._pooled.close()
        module.httpx = httpx  # type: ignore[attr-defined]


def outcome(call: Callable[[], httpx.Response]) -> tuple[Any, ...]:
    """What a caller sees of a call: the answer, or the kind and words of the error."""
    try:
        response = call()
    except httpx.HTTPError as error:
        return type(error).__name__, str(error)
    answer = dict(response.headers)
    answer.pop("date", None)
    return response.status_code, response.text, answer, dict(response.cookies)


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("post", "orders", {"json": {"a": 1}, "headers": {"Content-Type": "application/json"}}),
    ("post", "orders", {"json": {"é": "₹"}, "timeout": 2.0}),
    ("post", "fail", {"json": {}}),
    ("post", "refuse", {"json": {}}),
    ("post", "garbage", {"json": {}}),
    ("post", "goodbye", {"json": {}}),
    ("post", "die", {"json": {}, "timeout": 2.0}),
    ("post", "slow", {"json": {}, "timeout": 0.1}),
    ("get", "ticker", {"params": {"symbol": "NSE:SBIN", "n": 2}, "timeout": 2.0}),
    ("get", "ticker", {}),
    ("get", "x?already=1", {"params": {}}),
]


@pytest.mark.parametrize(("method", "path", "arguments"), CALLS)
def test_a_call_gives_what_the_original_gives(
    server: Server, quick: Any, method: str, path: str, arguments: dict[str, Any]
) -> None:
    url = f"http://{server.address}/api/v1/{path}"
    original = outcome(lambda: getattr(httpx, method)(url, **arguments))
    for _ in range(2):  # on a new connection and on a kept one
        assert outcome(lambda: getattr(quick, method)(url, **arguments)) == original
    assert [seen[0] for seen in server.seen] == [server.seen[0][0]] * 3


def test_a_refused_connection_is_the_same_error(server: Server, quick: Any) -> None:
    server.stop()
    url = f"http://{server.address}/api/v1/orders"
    original = outcome(lambda: httpx.post(url, json={}))
    assert outcome(lambda: quick.post(url, json={})) == original
    assert original[0] == "ConnectError"


def test_calls_share_one_connection_and_remember_no_cookie(server: Server, quick: Any) -> None:
    for _ in range(20):
        response = quick.post(f"http://{server.address}/api/v1/orders", json={})
        assert response.json()["cookie"] is None
        assert dict(response.cookies) == {"session": "1"}
    assert server.connections == 1


def test_threads_may_call_at_once(server: Server, quick: Any) -> None:
    answers: list[str] = []

    def call(i: int) -> None:
        url = f"http://{server.address}/api/v1/orders"
        answers.extend(quick.post(url, json={"i": i}).json()["sent"] for _ in range(20))

    threads = [threading.Thread(target=call, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == sorted(f'{{"i":{i}}}' for i in range(8) for _ in range(20))


def test_a_restarted_server_is_reached_on_a_new_connection(server: Server, quick: Any) -> None:
    """The kept connection is found closed before anything is sent on it."""
    url = f"http://{server.address}/api/v1/orders"
    quick.post(url, json={"order": 1})
    server.stop()
    after = Server(server.server_address[1])
    try:
        assert quick.post(url, json={"order": 2}).status_code == 200
        assert [body for _, body in after.seen] == [b'{"order":2}']
    finally:
        after.stop()
    assert [body for _, body in server.seen] == [b'{"order":1}']


def test_an_order_whose_answer_is_lost_is_not_sent_again(server: Server, quick: Any) -> None:
    """It may have been placed: the caller is told of the error, as the original tells it."""
    quick.post(f"http://{server.address}/api/v1/orders", json={})
    with pytest.raises(httpx.RemoteProtocolError):
        quick.post(f"http://{server.address}/api/v1/die", json={"order": 1})
    time.sleep(0.05)
    assert [path for path, _ in server.seen].count("/api/v1/die") == 1


def test_a_connection_that_was_idle_for_long_is_not_used_again(
    server: Server, quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_KEPT_SECONDS", 0.01)
    for _ in range(2):
        quick.post(f"http://{server.address}/api/v1/orders", json={})
        time.sleep(0.05)
    assert server.connections == 2


def test_a_forked_child_uses_a_connection_of_its_own(server: Server, quick: Any) -> None:
    url = f"http://{server.address}/api/v1/orders"
    quick.post(url, json={})
    pid = os.fork()
    if pid == 0:
        is_right = quick.post(url, json={"child": 1}).json()["sent"] == '{"child":1}'
        os._exit(0 if is_right else 1)
    answers = [quick.post(url, json={"i": i}).json()["sent"] for i in range(20)]
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert answers == [f'{{"i":{i}}}' for i in range(20)]
    assert server.connections == 2


def test_each_call_of_each_process_has_a_number_of_its_own(server: Server, quick: Any) -> None:
    """By which the server knows one that somebody on the way has sent again."""
    url, headers = f"http://{server.address}/api/v1/orders", {"Content-Type": "application/json"}
    for _ in range(3):
        quick.post(url, json={}, headers=headers)
    pid = os.fork()
    if pid == 0:
        quick.post(url, json={})
        os._exit(0)
    os.waitpid(pid, 0)
    mine, theirs = server.calls[:3], server.calls[3:]
    assert all(
        call is not None and re.fullmatch(r"[0-9a-f]{16}-\d+", call) for call in server.calls
    )
    assert len({call and call.partition("-")[0] for call in mine}) == 1
    assert len(set(mine)) == 3
    assert [call and call.partition("-")[0] for call in theirs] != [
        mine[0] and mine[0].partition("-")[0]
    ]
    assert headers == {"Content-Type": "application/json"}  # the caller's own is left alone


ELSEWHERE: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("another address", ("http://127.0.0.1:9/api",), {"json": {}}),
    ("another scheme", ("https://{address}/api",), {"json": {}}),
    ("an address that begins alike", ("http://{address}0/api",), {"json": {}}),
    ("an unknown argument", ("http://{address}/api",), {"json": {}, "follow_redirects": True}),
    ("a URL object", (httpx.URL("http://127.0.0.1:9/api"),), {"json": {}}),
]


@pytest.mark.parametrize(
    ("_what", "args", "kwargs"), ELSEWHERE, ids=[case[0] for case in ELSEWHERE]
)
def test_what_is_not_expected_goes_to_the_original(
    server: Server, _what: str, args: tuple[Any, ...], kwargs: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    calls: list[Any] = []
    original = httpx.post
    monkeypatch.setattr(httpx, "post", lambda *a, **k: calls.append((a, k)))
    quick: Any = _QuickHttpx(httpx, frozenset({server.address}))
    filled = tuple(
        arg.format(address=server.address) if isinstance(arg, str) else arg for arg in args
    )
    quick.post(*filled, **kwargs)
    assert calls == [(filled, kwargs)]
    assert original is not httpx.post


def test_a_proxy_in_the_environment_and_a_mocked_httpx_are_respected(
    server: Server, quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://{server.address}/api"
    mock: Any = lambda *_a, **_k: "mocked"  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(httpx, "post", mock)
        assert quick.post(url, json={}) == "mocked"
    monkeypatch.setenv("HTTP_PROXY", f"http://{server.address}")
    assert quick.post(url, json={}).json()["path"] == url


@first_client
def test_the_unmodified_client_is_accelerated_towards_our_server_only(installed: Server) -> None:
    api = openalgo.api(api_key="k", host=f"http://{installed.address}")
    for _ in range(10):
        assert api.quotes(symbol="SBIN", exchange="NSE")["status"] == "success"
        assert api.placeorder(strategy="s", symbol="SBIN", action="BUY", exchange="NSE")
    assert installed.connections == len({id(module.httpx) for module in MODULES}) == 1
    assert httpx.post is not openalgo.orders.httpx.post  # scripts' own httpx is untouched
    assert openalgo.orders.httpx.TimeoutException is httpx.TimeoutException


@first_client
def test_the_default_tls_context_is_built_once(
    installed: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in client._TLS_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    build = client._transports().create_ssl_context
    assert build(verify=True, cert=None, trust_env=True) is build(verify=True)
    assert build(verify=False) is not build(verify=False)
    monkeypatch.setenv("SSL_CERT_FILE", "/none")
    with pytest.raises(FileNotFoundError):
        build(verify=True)


def test_nothing_happens_without_addresses() -> None:
    before = list(sys.meta_path)
    client.accelerate(())
    assert sys.meta_path == before
    assert openalgo.orders.httpx is httpx

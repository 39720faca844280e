"""The same application behind the real HTTP server: what a raw socket can say to it (S8, S13)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn

from tests.web.asgi import Browser
from tests.web.conftest import People
from tests.web.world import World


@asynccontextmanager
async def serving(world: World) -> AsyncIterator[int]:
    """The application on a free port."""
    config = uvicorn.Config(
        world.app,
        port=0,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not task.done()
            await asyncio.sleep(0.005)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def say(port: int, text: str, *, body: bytes = b"") -> str:
    """Sends ``text`` and returns all that comes back until the connection closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(text.replace("\n", "\r\n").encode("latin-1") + body)
        answer = await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
    return answer.decode("latin-1")


def said(world: World, text: str, *, body: bytes = b"") -> str:
    """What the server answers to ``text``."""

    async def ask() -> str:
        async with serving(world) as port:
            return await say(port, text, body=body)

    return world.run(ask())


def status(answer: str) -> str:
    return answer.split(" ", 2)[1]


def session(browser: Browser) -> str:
    return f"Cookie: algohost_session={browser.cookies['algohost_session']}"


@pytest.mark.parametrize(
    ("request_line", "host", "expected"),
    [
        ("GET /healthz HTTP/1.1", "Host: localhost", "200"),
        ("GET /healthz HTTP/1.1", "Host: evil.example", "421"),
        ("GET http://evil.example/healthz HTTP/1.1", "Host: evil.example", "421"),
        ("GET /healthz HTTP/1.1", "Host: [::ffff:7f00:1]", "421"),
        ("GET /healthz HTTP/1.1", "Host: localhost\nHost: evil.example", "421"),
        ("GET /healthz HTTP/1.0", "X-Forwarded-Host: localhost", "421"),
        ("GET /healthz HTTP/1.1", "Host: evil.example\nX-Forwarded-Host: localhost", "421"),
    ],
)
def test_the_name_of_the_host_is_believed_from_one_place(
    world: World, request_line: str, host: str, expected: str
) -> None:
    answer = said(world, f"{request_line}\n{host}\nConnection: close\n\n")
    assert status(answer) == expected
    assert "content-security-policy" in answer
    assert "server:" not in answer.lower()


def test_a_head_is_answered_without_a_body(world: World, people: People) -> None:
    answer = said(world, "HEAD /login HTTP/1.1\nHost: localhost\nConnection: close\n\n")
    assert status(answer) == "200"
    assert answer.endswith("\r\n\r\n")
    assert "content-length: 0" not in answer


def test_a_body_of_ten_gigabytes_is_refused_by_its_announcement(
    world: World, people: People
) -> None:
    browser = world.browser(people.owner)
    answer = said(
        world,
        f"POST /python/upload HTTP/1.1\nHost: localhost\n{session(browser)}\n"
        f"X-CSRFToken: {browser.csrf}\nContent-Type: multipart/form-data; boundary=e\n"
        "Content-Length: 10000000000\n\n",
        body=b"--e\r\n",
    )
    assert status(answer) == "413"
    assert "connection: close" in answer


@pytest.mark.parametrize(
    "path", ["/python/source/..%2f..%2fx", "/python/source/%2e%2e/%2e%2e/x", "/python/source/a%00b"]
)
def test_an_encoded_way_out_of_the_path_leads_nowhere(
    world: World, people: People, path: str
) -> None:
    browser = world.browser(people.admin)
    text = f"GET {path} HTTP/1.1\nHost: localhost\n{session(browser)}\nConnection: close\n\n"
    assert status(said(world, text)) == "404"


SOCKET = (
    "GET /ws HTTP/1.1\nHost: localhost\nUpgrade: websocket\nConnection: Upgrade\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13\n"
)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ("Origin: http://localhost\n", "401"),
        ("Origin: http://evil.example\n", "403"),
        ("", "403"),
    ],
)
def test_a_socket_is_refused_with_the_reasons_status(
    world: World, people: People, headers: str, expected: str
) -> None:
    assert status(said(world, f"{SOCKET}{headers}\n")) == expected


def test_a_forwarded_address_does_not_reset_the_throttle(world: World, people: People) -> None:
    login = '{"name": "ravi", "password": "wrong password"}'

    async def guess() -> list[str]:
        token = "t" * 43
        async with serving(world) as port:
            return [
                status(
                    await say(
                        port,
                        f"POST /login HTTP/1.1\nHost: localhost\nX-CSRFToken: {token}\n"
                        f"Cookie: algohost_anonymous={token}\nX-Forwarded-For: 203.0.113.{n}\n"
                        "Content-Type: application/json\nConnection: close\n"
                        f"Content-Length: {len(login)}\n\n{login}",
                    )
                )
                for n in range(7)
            ]

    assert world.run(guess()) == ["401"] * 5 + ["429"] * 2


def test_a_body_that_is_a_little_too_long_is_answered_and_not_cut_off(
    world: World, people: People
) -> None:
    """S8: with bytes left unread the connection is reset, and the sender never sees why."""
    browser = world.browser(people.owner)
    path = f"/python/settings/{people.strategy.strategy.id}"
    body = b"x" * 3_000_000
    head = (
        f"POST {path} HTTP/1.1\nHost: localhost:5000\nOrigin: http://localhost:5000\n"
        f"{session(browser)}\nX-CSRFToken: {browser.csrf}\n"
        f"Content-Type: application/json\nContent-Length: {len(body)}\n\n"
    )
    answer = said(world, head.replace("\n\n", "\nConnection: close\n\n"), body=body)
    assert status(answer) == "413"
    assert "The request is larger than the 65,536 bytes accepted here" in answer

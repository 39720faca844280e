"""A server with a played host, a browser, and a page that has to stay without errors."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Route,
    sync_playwright,
)

from algohost.domain.ids import StrategyId
from algohost.web.access import SESSION_COOKIE
from algohost.web.app import create_app
from tests.browser import chromium
from tests.browser.fake_host import NAME, PASSWORD, Stage, one_of_each_phase, open_stage


@dataclass(kw_only=True)
class Server:
    """The application under uvicorn in a thread of its own."""

    url: str
    stage: Stage
    ids: dict[str, StrategyId]
    loop: asyncio.AbstractEventLoop

    def do(self, act: Callable[..., Any], *values: Any, **named: Any) -> None:
        """Lets the server's loop call ``act``, and waits until it has."""

        async def called() -> None:
            act(*values, **named)

        asyncio.run_coroutine_threadsafe(called(), self.loop).result(10)


def serve(folder: Path, *, filled: bool, has_user: bool = True) -> Iterator[Server]:
    """Runs a server until the generator is closed."""
    ready: list[Server] = []
    begun = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    async def run() -> None:
        stage = await open_stage(folder, port=port, has_user=has_user)
        ids = one_of_each_phase(stage) if filled else {}
        config = uvicorn.Config(
            create_app(stage.host),
            log_level="warning",
            timeout_graceful_shutdown=1,
        )
        servers.append(uvicorn.Server(config))
        loop = asyncio.get_running_loop()
        url = f"http://127.0.0.1:{port}"
        ready.append(Server(url=url, stage=stage, ids=ids, loop=loop))
        begun.set()
        await servers[0].serve(sockets=[listener])
        await stage.host.identity.close()
        stage.close()

    servers: list[uvicorn.Server] = []
    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert begun.wait(30)
    deadline = time.monotonic() + 30
    while not servers[0].started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield ready[0]
    servers[0].should_exit = True
    thread.join(10)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with a strategy in every phase."""
    yield from serve(tmp_path, filled=True)


@pytest.fixture
def empty_server(tmp_path: Path) -> Iterator[Server]:
    """A server with a user and nothing else."""
    yield from serve(tmp_path, filled=False)


@pytest.fixture
def base_url(server: Server) -> str:
    """Where the pages are."""
    return server.url


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium for this package; its event loop would be in the way of other packages'."""
    with sync_playwright() as playwright:
        path = chromium.find(playwright)
        opened = playwright.chromium.launch(executable_path=path, args=chromium.flags())
        yield opened
        opened.close()


@dataclass(kw_only=True)
class Watched:
    """What a page must not do, noted as it does it."""

    errors: list[str]
    foreign: list[str]

    def forget(self) -> None:
        """For tests that provoke a refusal: the browser writes each one to its console."""
        self.errors.clear()


def watch(page: Page, own: str) -> Watched:
    """Notes errors of scripts, messages of the browser, and requests that leave the server."""
    watched = Watched(errors=[], foreign=[])
    page.on("pageerror", lambda error: watched.errors.append(str(error)))
    page.on(
        "console", lambda said: watched.errors.append(said.text) if said.type == "error" else None
    )

    def only_own(route: Route) -> None:
        if route.request.url.startswith((own, "data:", "blob:")):
            route.continue_()
        else:
            watched.foreign.append(route.request.url)
            route.abort()

    page.route("**/*", only_own)
    return watched


@pytest.fixture
def context(browser: Browser, base_url: str) -> Iterator[BrowserContext]:
    """A fresh profile."""
    opened = browser.new_context(base_url=base_url, viewport={"width": 1280, "height": 800})
    yield opened
    opened.close()


@pytest.fixture
def watched(page: Page) -> Watched:
    """What the page has done wrong so far."""
    noted: Watched = page.watched  # type: ignore[attr-defined]
    return noted


@pytest.fixture
def page(context: BrowserContext, base_url: str) -> Iterator[Page]:
    """A page that must make no error and ask nobody else for anything."""
    opened = context.new_page()
    opened.watched = watch(opened, base_url)  # type: ignore[attr-defined]
    yield opened
    noted: Watched = opened.watched  # type: ignore[attr-defined]
    assert noted.foreign == []
    assert noted.errors == []


def log_in(page: Page) -> None:
    """Goes in by the form, as people do."""
    page.goto("/login")
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.locator("strategy-table:defined").wait_for(state="attached")


@pytest.fixture
def login(page: Page, server: Server) -> Page:
    """The page, with a session, at the list of strategies."""
    secret = server.stage.secret
    page.context.add_cookies([{"name": SESSION_COOKIE, "value": secret, "url": server.url}])
    page.goto("/python")
    page.locator("strategy-table:defined").wait_for(state="attached")
    return page

"""The main job as a stranger does it: set-up link, upload, Start, watch it trade, Stop, leave.

Keeps pictures of each page in ``artifacts/`` (light, dark, phone) for people to look at.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser import chromium
from tests.browser.conftest import watch
from tests.e2e.running import PASSWORD, RunningServer

pytestmark = [pytest.mark.browser, pytest.mark.processes]

EXAMPLES = Path(__file__).parents[2] / "examples"
PICTURES = Path(os.environ.get("ALGOHOST_ARTIFACTS") or Path(__file__).parents[2] / "artifacts")
LOOKS = {"light": ("light", 1440), "dark": ("dark", 1440), "phone": ("light", 390)}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server that nobody has set up yet."""
    started = RunningServer(tmp_path / "data")
    started.start()
    yield started
    started.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = chromium.find(playwright)
        opened = playwright.chromium.launch(executable_path=path, args=chromium.flags())
        yield opened
        opened.close()


def take_pictures(context: BrowserContext, url: str, path: str, name: str) -> None:
    """One picture in each look, of a page that must be free of errors and foreign requests."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for look, (scheme, width) in LOOKS.items():
        page = context.new_page()
        watched = watch(page, url)
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.set_viewport_size({"width": width, "height": 860})
        page.goto(url + path)
        page.wait_for_load_state("networkidle")
        page.screenshot(path=PICTURES / f"{name}-{look}.png")
        assert (watched.errors, watched.foreign) == ([], [])
        page.close()


def set_up(page: Page, server: RunningServer) -> None:
    link = server.ask("GET", "/v1/server")["setup_link"]
    page.goto(link)
    page.get_by_label("Name").fill("asha")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Create the account").click()
    page.wait_for_url("**/python")


def test_a_stranger_watches_an_unmodified_script_trade(
    browser: Browser, server: RunningServer
) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    watched = watch(page, server.url)
    set_up(page, server)

    page.get_by_role("link", name="Upload").first.click()
    page.set_input_files("input[type=file]", EXAMPLES / "ema_crossover.py")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("heading", name="Ema crossover")).to_be_visible()

    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    page.get_by_role("tab", name="Log").click()
    expect(page.get_by_role("log").last).to_contain_text("EMA20", timeout=20_000)
    page.get_by_role("tab", name="Orders").click()
    expect(page.locator("#panel-orders")).to_contain_text("RELIANCE", timeout=20_000)
    expect(page.locator("#panel-orders")).to_contain_text("complete", ignore_case=True)

    address = page.url.removeprefix(server.url).partition("#")[0]
    for name in ("overview", "log", "orders", "code", "runs"):
        take_pictures(context, server.url, f"{address}#{name}", f"strategy-{name}")
    take_pictures(context, server.url, "/python", "dashboard")
    take_pictures(context, server.url, "/python/new", "upload")

    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_visible(timeout=20_000)
    page.get_by_role("tab", name="Runs").click()
    expect(page.locator("#panel-runs")).to_contain_text("stopped", ignore_case=True)

    page.get_by_role("button", name="User menu: asha").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login*")
    take_pictures(context, server.url, "/login", "login")
    assert (watched.errors, watched.foreign) == ([], [])
    context.close()


def test_the_setup_link_works_once(browser: Browser, server: RunningServer) -> None:
    link = server.ask("GET", "/v1/server")["setup_link"]
    first = browser.new_context()
    set_up(first.new_page(), server)
    first.close()
    assert server.ask("GET", "/v1/server")["setup_link"] is None
    second = browser.new_context()
    answer = second.new_page().goto(link)
    assert answer is not None
    assert answer.status in {404, 200}
    assert "Create the account" not in answer.text()
    second.close()

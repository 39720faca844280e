"""The broker panel, “Check & start” and the kill switch, as people meet them on the pages."""

import asyncio
import os
import re
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from playwright.sync_api import Browser, Page, expect

from algohost.broker.login import PaperLogin
from algohost.domain.errors import Unavailable
from algohost.domain.ids import IST
from algohost.domain.strategies import Gate, GateAction
from algohost.testing.contracts import FakeContracts
from tests.browser.conftest import Server, log_in, watch
from tests.browser.test_looks import findings

pytestmark = pytest.mark.browser


def panel(page: Page) -> Page:
    """The list of strategies, once the panel and the banner live."""
    for tag in ("broker-panel", "kill-banner"):
        page.locator(f"{tag}:defined").wait_for(state="attached")
    return page


def wait(server: Server, work: Coroutine[Any, Any, object]) -> None:
    """Does something on the server's loop and waits until it is done."""
    asyncio.run_coroutine_threadsafe(work, server.loop).result(10)


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="End session").click()
    page.get_by_role("dialog").get_by_role("button", name="End session").click()


def test_the_session_is_ended_and_opened_again_from_the_list(login: Page) -> None:
    page = panel(login)
    region = page.get_by_role("region", name="Broker & contracts")
    expect(region.get_by_text("Logged in", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Log in", exact=True)).to_be_hidden()
    sign_out(page)
    expect(region.get_by_text("Logged out", exact=True)).to_be_visible()
    expect(region).to_contain_text("running, which go on")
    page.get_by_role("button", name="Log in", exact=True).click()
    dialog = page.get_by_role("dialog", name="Log in to the broker")
    expect(dialog).to_contain_text("needs no password")
    dialog.get_by_role("button", name="Log in").click()
    expect(region.get_by_text("Logged in", exact=True)).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_login_elsewhere_reaches_the_page_by_itself(login: Page, server: Server) -> None:
    page, stage = panel(login), server.stage
    sign_out(page)
    region = page.get_by_role("region", name="Broker & contracts")
    expect(region.get_by_text("Logged out", exact=True)).to_be_visible()
    wait(server, stage.host.broker_sessions.log_in(stage.user, {}))
    expect(region.get_by_text("Logged in", exact=True)).to_be_visible()


def test_a_session_that_ends_soon_can_be_renewed(login: Page, server: Server) -> None:
    """The panel says until when, and offers a new login before the old one is over."""
    stage = server.stage
    in_ten_minutes = datetime.fromtimestamp(datetime.now(UTC).timestamp() + 600, IST)
    stage.host.broker_sessions._login = PaperLogin(until=in_ten_minutes.time())
    wait(server, stage.host.broker_sessions.log_in(stage.user, {}))
    login.reload()
    region = panel(login).get_by_role("region", name="Broker & contracts")
    expect(region).to_contain_text(re.compile(f"until .*{in_ten_minutes:%H:%M}"))
    expect(region.get_by_role("button", name="Renew")).to_be_visible()


def test_contracts_that_could_not_be_had_can_be_asked_for_again(
    login: Page, server: Server
) -> None:
    """The panel follows the download: failed with its reason, then there."""
    region = panel(login).get_by_role("region", name="Broker & contracts")
    ready = region.get_by_text("Contracts ready", exact=True)
    download = region.get_by_role("button", name="Download")
    expect(ready).to_be_visible()
    expect(download).to_be_hidden()
    contracts = server.stage.host.master_contracts
    source = cast("FakeContracts", contracts._source)
    source.failures.append(Unavailable("The broker is shut."))
    contracts._list = None
    wait(server, contracts.step())
    expect(region.get_by_text("Contracts missing", exact=True)).to_be_visible()
    expect(region).to_contain_text("could not be downloaded: The broker is shut.")
    download.click()
    expect(login.locator("#toasts")).to_contain_text("Master contract download started")
    wait(server, contracts.step())
    expect(ready).to_be_visible()


def test_the_page_of_a_strategy_shows_what_its_start_waits_for(login: Page, server: Server) -> None:
    """Every closed gate, as it changes, with the way to where it is opened."""
    registry, made = server.stage.strategies.registry, server.ids["waiting"]
    panel(login).goto(f"/python/{made}")
    notice = login.locator("[data-gates]")
    expect(notice).to_contain_text("The agent does not answer")
    login.locator("strategy-page:defined").wait_for(state="attached")
    out = Gate(code="X", sentence="It waits for a login.", action=GateAction.LOG_IN)
    server.do(registry.put_gates, made, (out, Gate(code="Y", sentence="And for the day.")))
    expect(notice.get_by_role("listitem")).to_have_text(
        ["It waits for a login. Go to the login", "And for the day."]
    )
    notice.get_by_role("link", name="Go to the login").click()
    expect(login.get_by_role("heading", name="Broker & contracts")).to_be_visible()


def test_check_and_start_says_what_still_waits_and_for_what(login: Page) -> None:
    panel(login).get_by_role("button", name="Check & start").click()
    said = login.locator("#toasts")
    expect(said).to_contain_text("1 strategy still waiting: The agent does not answer")


def test_the_kill_switch_asks_first_shows_a_banner_everywhere_and_is_released(
    login: Page, server: Server
) -> None:
    page = panel(login)
    banner = page.locator("kill-banner .kill-banner")
    expect(banner).to_be_hidden()
    page.get_by_role("button", name="Kill switch").click()
    dialog = page.get_by_role("dialog", name="Engage the kill switch?")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert server.stage.host.kill_switch.engaged(server.stage.user) == []
    page.get_by_role("button", name="Kill switch").click()
    dialog.get_by_label("The whole server, all users").check()
    dialog.get_by_label("Reason").fill("Prices look wrong")
    dialog.get_by_role("button", name="Engage").click()
    expect(banner).to_contain_text("The kill switch of the whole server is engaged by asha")
    expect(banner).to_contain_text("(Prices look wrong). Nothing starts, new orders are refused.")
    page.goto("/calendar")
    expect(banner).to_contain_text("Prices look wrong")
    page.locator("kill-banner:defined").wait_for(state="attached")
    banner.get_by_role("button", name="Release").click()
    release = page.get_by_role("dialog", name="Release the kill switch?")
    release.get_by_role("button", name="Release").click()
    expect(banner).to_be_hidden()


@pytest.mark.parametrize("width", [1280, 375])
@pytest.mark.parametrize("theme", ["day", "night"])
def test_panel_banner_and_dialogs_have_no_accessibility_faults(
    browser: Browser, server: Server, width: int, theme: str
) -> None:
    stage = server.stage
    target = stage.host.kill_switch.target(stage.user, "account")
    wait(server, stage.host.kill_switch.engage(stage.user, target, reason="A drill"))
    wait(server, stage.host.broker_sessions.log_out(stage.user))
    context = browser.new_context(
        base_url=server.url,
        viewport={"width": width, "height": 812},
        reduced_motion="reduce",
        bypass_csp=True,  # axe is put in from outside
    )
    context.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    page = context.new_page()
    watched = watch(page, server.url)
    log_in(page)
    panel(page)
    if folder := os.environ.get("ALGOHOST_SHOTS"):
        page.screenshot(path=f"{folder}/broker-{width}-{theme}.png")
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) == 0
    assert findings(page) == []
    for button in ("Log in", "Kill switch"):
        page.get_by_role("button", name=button, exact=True).click()
        assert findings(page) == []
        page.keyboard.press("Escape")
    context.close()
    assert (watched.errors, watched.foreign) == ([], [])

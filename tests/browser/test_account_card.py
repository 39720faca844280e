"""A strategy's way into an account: chosen at its settings, live only for who types its name."""

import os
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Server, Watched, log_in, watch
from tests.browser.test_looks import SIZES, findings

pytestmark = pytest.mark.browser

KEY = "k3y-of-the-upstream-5e0d9b7a"
LIVE = {
    "Name": "Zerodha",
    "Address of the OpenAlgo server": "https://algo.example.in",
    "API key": KEY,
}


def add_live(page: Page, **other: str) -> Any:
    """Fills the form for a live account and sends it; returns the form's panel."""
    page.goto("/accounts")
    form = page.get_by_role("region", name="Add a live account")
    expect(form.get_by_role("button", name="Add the account")).to_be_enabled()
    for label, value in {**LIVE, **other}.items():
        form.get_by_label(label, exact=True).fill(value)
    form.get_by_role("button", name="Add the account").click()
    return form


def added(page: Page) -> Any:
    """A live account's panel, after it was added."""
    add_live(page)
    panel = page.get_by_role("region", name="Zerodha")
    expect(panel).to_be_visible()
    return panel


def card(page: Page, strategy_id: str) -> Any:
    """The card of a strategy's account, filled."""
    page.goto(f"/python/{strategy_id}#settings")
    found = page.get_by_role("region", name="Account", exact=True)
    expect(found.get_by_label("Trades in")).to_be_enabled()
    return found


def test_the_key_of_a_live_account_is_on_no_page(login: Page) -> None:
    expect(added(login)).to_contain_text("https://algo.example.in")
    assert KEY not in login.content()


def test_a_bad_address_is_told_in_the_form(login: Page, watched: Watched) -> None:
    form = add_live(login, **{"Address of the OpenAlgo server": "http://algo.example.in"})
    expect(form.get_by_text("The key would cross the internet in the open")).to_be_visible()
    watched.forget()


def test_a_strategy_goes_live_only_for_who_types_its_name_and_back_at_once(
    login: Page, server: Server
) -> None:
    added(login)
    found = card(login, server.ids["stopped"])
    expect(found.locator("[data-now]")).to_contain_text("paper exchange of this host")
    move = found.get_by_role("button", name="Move")
    expect(move).to_be_disabled()
    found.get_by_label("Trades in").select_option(label="Zerodha (live)")
    move.click()
    dialog = login.get_by_role("dialog", name="Trade with real money?")
    go = dialog.get_by_role("button", name="Trade live")
    expect(go).to_be_disabled()
    name = dialog.locator("label b").inner_text()
    dialog.get_by_role("textbox").fill(name[:-1])
    expect(go).to_be_disabled()
    dialog.get_by_role("textbox").fill(name)
    login.keyboard.press("Enter")
    expect(login.locator("#toasts")).to_contain_text("trades live, with real money")
    expect(dialog).to_be_hidden()
    expect(found.locator("[data-mode]")).to_have_text("live")
    expect(found.locator("[data-now]")).to_contain_text("real money, in “Zerodha”")
    found.get_by_label("Trades in").select_option(label="Paper (paper)")
    move.click()
    expect(found.locator("[data-mode]")).to_have_text("paper")


def test_a_running_strategy_says_why_it_is_not_moved(
    login: Page, server: Server, watched: Watched
) -> None:
    added(login)
    found = card(login, server.ids["running"])
    found.get_by_label("Trades in").select_option(label="Zerodha (live)")
    found.get_by_role("button", name="Move").click()
    dialog = login.get_by_role("dialog", name="Trade with real money?")
    dialog.get_by_role("textbox").fill(dialog.locator("label b").inner_text())
    dialog.get_by_role("button", name="Trade live").click()
    expect(dialog.get_by_role("alert").filter(has_text="stop")).to_be_visible()
    watched.forget()
    dialog.get_by_role("button", name="Stay as it is").click()
    expect(found.locator("[data-mode]")).to_have_text("paper")


@pytest.mark.parametrize("theme", ["day", "night"])
@pytest.mark.parametrize("size", SIZES)
def test_accounts_and_the_way_into_one_are_sound_in_both_themes(
    browser: Browser, server: Server, theme: str, size: str
) -> None:
    """``ALGOHOST_SHOTS`` names a folder in which the pictures are kept."""
    width, height = SIZES[size]
    context = browser.new_context(
        base_url=server.url,
        viewport={"width": width, "height": height},
        reduced_motion="reduce",
        bypass_csp=True,  # axe is put in from outside
    )
    context.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    page = context.new_page()
    watched = watch(page, server.url)
    folder = os.environ.get("ALGOHOST_SHOTS")
    serious: dict[str, Any] = {}

    def look(name: str) -> None:
        if folder:
            page.screenshot(path=f"{folder}/{name}-{size}-{theme}.png", full_page=name == "page")
        serious[name] = findings(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    log_in(page)
    added(page)
    expect(page.get_by_role("button", name="Rename").first).to_be_enabled()
    look("page")
    found = card(page, server.ids["stopped"])
    found.scroll_into_view_if_needed()
    look("card")
    found.get_by_label("Trades in").select_option(label="Zerodha (live)")
    found.get_by_role("button", name="Move").click()
    expect(page.get_by_role("dialog", name="Trade with real money?")).to_be_visible()
    look("modal")
    context.close()
    assert {name: found for name, found in serious.items() if found} == {}
    assert (watched.errors, watched.foreign) == ([], [])

"""Setting up, logging in and out."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Server, Watched, log_in, serve, watch

pytestmark = pytest.mark.browser


def test_a_page_that_needs_a_login_comes_back_after_it(page: Page, server: Server) -> None:
    page.goto(f"/python/{server.ids['running']}")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.get_by_label("Name").fill("asha")
    page.get_by_label("Password").fill("a quiet river at dawn")
    expect(page.get_by_role("button", name="Log in")).to_be_enabled()  # the script is there
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="EMA crossover")).to_be_visible()


def test_a_wrong_password_is_said_under_the_form(page: Page, watched: Watched) -> None:
    page.goto("/login?next=https://evil.example/")
    page.get_by_label("Name").fill("asha")
    page.get_by_label("Password").fill("wrong, surely wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("The name or the password is wrong")).to_be_visible()
    expect(page.locator("input[name=next]")).to_have_value("/python")
    watched.forget()


def test_logging_out_ends_the_session(login: Page) -> None:
    login.get_by_role("button", name="User menu").click()
    login.get_by_role("button", name="Log out").click()
    expect(login.get_by_role("heading", name="Log in")).to_be_visible()
    login.goto("/python")
    expect(login.get_by_role("heading", name="Log in")).to_be_visible()


def test_a_tab_whose_session_ended_elsewhere_goes_to_the_login(
    login: Page, server: Server, watched: Watched
) -> None:
    """Whether its socket is closed for that or its handshake refused: the page asks again."""
    token = login.locator("meta[name=csrf]").get_attribute("content") or ""
    login.context.request.post(f"{server.url}/logout", headers={"x-csrftoken": token})
    login.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    login.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    login.evaluate("Object.defineProperty(document, 'hidden', { value: false })")
    login.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(login.get_by_role("heading", name="Log in")).to_be_visible()
    watched.forget()


def test_the_first_administrator_is_made_from_the_one_time_link(
    browser: Browser, tmp_path: Path
) -> None:
    for made in serve(tmp_path, filled=False, has_user=False):
        context = browser.new_context(base_url=made.url)
        page = context.new_page()
        noted = watch(page, made.url)
        page.goto("/")
        expect(page.get_by_text("one-time link")).to_be_visible()
        page.goto(f"/setup?token={made.stage.host.identity.setup_token()}")
        page.get_by_label("Name").fill("asha")
        page.get_by_label("Password", exact=True).fill("short")
        page.get_by_role("button", name="Create the account").click()
        expect(page.get_by_text("Use at least 10 characters; this has 5.")).to_be_visible()
        page.get_by_label("Password", exact=True).fill("a quiet river at dawn")
        expect(page.get_by_text("Strong.")).to_be_visible()
        page.get_by_label("Password again").fill("a quiet river at dusk")
        page.get_by_role("button", name="Create the account").click()
        expect(page.get_by_text("The two are not the same")).to_be_visible()
        page.get_by_label("Password again").fill("a quiet river at dawn")
        page.get_by_role("button", name="Create the account").click()
        expect(page.get_by_role("heading", name="Run your first strategy")).to_be_visible()
        context.close()
        assert (noted.errors, noted.foreign) == ([], [])


def test_the_empty_list_leads_to_the_upload(browser: Browser, empty_server: Server) -> None:
    page = browser.new_context(base_url=empty_server.url).new_page()
    log_in(page)
    page.get_by_role("link", name="Upload a script").click()
    expect(page.get_by_role("heading", name="Upload a strategy")).to_be_visible()
    page.context.close()


def test_an_api_key_is_made_in_a_dialog_and_shown_once(login: Page, server: Server) -> None:
    login.get_by_role("button", name="User menu").click()
    login.get_by_role("button", name="API key").click()
    dialog = login.get_by_role("dialog")
    dialog.get_by_role("button", name="Make a new key").click()
    shown = dialog.get_by_label("Your new key")
    expect(shown).to_have_value(re.compile("[0-9a-f]{64}"))
    assert server.stage.host.identity.principal(shown.input_value()) is not None
    expect(dialog.get_by_role("button", name="Copy")).to_be_visible()
    login.keyboard.press("Escape")
    login.get_by_role("button", name="User menu").click()
    login.get_by_role("button", name="API key").click()
    expect(shown).to_be_hidden()
    expect(dialog.get_by_role("button", name="Make a new key")).to_be_visible()

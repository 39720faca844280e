"""Accounts, as people meet them: added, renamed, disabled and removed on one page."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Server

pytestmark = pytest.mark.browser


def test_what_takes_something_away_asks_before_and_everything_says_what_became_of_it(
    login: Page, server: Server
) -> None:
    login.goto("/accounts")
    toasts = login.locator("#toasts")
    expect(login.get_by_text("All of them trade in “Paper”.")).to_be_visible()
    added = login.get_by_role("region", name="Add a paper account")
    expect(added.get_by_role("button", name="Add the account")).to_be_enabled()
    added.get_by_label("Name").fill("Rehearsal")
    login.keyboard.press("Enter")
    expect(toasts).to_contain_text("The account “Rehearsal” was added.")
    account = login.get_by_role("region", name="Rehearsal")
    account.get_by_role("button", name="Disable").click()
    asked = login.get_by_role("dialog", name="Disable “Rehearsal”?")
    expect(asked).to_contain_text("no new order is taken")
    login.keyboard.press("Escape")
    expect(asked).to_be_hidden()
    expect(account.get_by_role("button", name="Disable")).to_be_focused()
    account.get_by_role("button", name="Disable").click()
    asked.get_by_role("button", name="Disable").click()
    expect(toasts).to_contain_text("“Rehearsal” takes no new orders")
    expect(account.get_by_text("disabled", exact=True)).to_be_visible()
    account.get_by_role("button", name="Remove").click()
    login.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(toasts).to_contain_text("The account was removed")
    assert [one.name for one in server.stage.host.accounts.list(server.stage.user)] == ["Paper"]

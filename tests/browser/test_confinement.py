"""The card that says what the kernel holds a strategy to."""

from dataclasses import replace

import pytest
from playwright.sync_api import Locator, Page, expect

from algohost.domain.runs import Enforcement
from tests.browser.conftest import Server

pytestmark = pytest.mark.browser


def held(name: str) -> Enforcement:
    """A subject that is on."""
    return Enforcement(name=name, is_on=True, how="Landlock ABI 7.")


def not_held(name: str, why: str) -> Enforcement:
    """A subject that is not."""
    return Enforcement(name=name, is_on=False, how=why)


def card(page: Page, server: Server, *enforced: Enforcement) -> Locator:
    """The card of a run that is held to these."""
    strategies = server.stage.strategies
    run = strategies.history[server.ids["running"]][0]
    server.do(strategies.show, replace(run, enforced=enforced))
    page.goto(f"/python/{server.ids['running']}")
    return page.get_by_role("region", name="Confinement")


def test_one_line_says_that_all_of_it_is_on(login: Page, server: Server) -> None:
    """Promise 9."""
    shown = card(login, server, held("files"), held("network"))
    expect(shown).to_contain_text("The kernel holds it to all limits: files, network.")
    expect(shown.locator("dl")).to_be_hidden()


def test_what_is_not_enforced_is_named_with_its_reason(login: Page, server: Server) -> None:
    """S25: reasons that several have in common are said once. It is kept current, too."""
    why = "Linux 6.7 can."
    shown = card(login, server, held("files"), not_held("network", why), not_held("signals", why))
    expect(shown).to_contain_text("The kernel holds: files. It does not hold:")
    expect(shown.locator("dt")).to_have_text(["Network, signals"])
    expect(shown.locator("dd")).to_have_text([why])
    strategies = server.stage.strategies
    run = strategies.history[server.ids["running"]][0]
    server.do(strategies.show, replace(run, enforced=(held("files"),)))
    expect(shown).to_contain_text("all limits: files.")


def test_a_run_that_has_not_said_it_yet_is_not_called_confined(login: Page, server: Server) -> None:
    expect(card(login, server)).to_contain_text("Known when its script begins.")

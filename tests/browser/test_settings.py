"""The Settings tab: variables, secrets, confinement, limits; bar S4 as far as pages go."""

import re
from dataclasses import replace

import pytest
from playwright.sync_api import Dialog, Locator, Page, expect

from algohost.domain.strategies import Strategy
from algohost.domain.strategy_settings import Restart, StrategySettings
from tests.browser.conftest import Server, Watched

pytestmark = pytest.mark.browser

CANARY = "canary-5e0d-in-the-mine"


@pytest.fixture
def tab(login: Page, server: Server) -> Locator:
    """The Settings tab of a strategy that is stopped."""
    login.goto(f"/python/{server.ids['stopped']}#settings")
    login.locator("strategy-settings:defined").wait_for()
    return login.get_by_role("tabpanel", name="Settings")


def strategy(server: Server, word: str = "stopped") -> Strategy:
    service, user = server.stage.strategies, server.stage.user
    return service.get(user, server.ids[word]).strategy


def part(tab: Locator, title: str) -> Locator:
    return tab.get_by_role("region", name=title)


def put(section: Locator, name: str, value: str) -> None:
    section.get_by_label("Name").fill(name)
    section.get_by_label("Value").fill(value)
    section.get_by_role("button", name=re.compile("^Set ")).click()


def test_a_variable_is_set_edited_and_removed(tab: Locator, server: Server) -> None:
    variables, page = part(tab, "Variables"), tab.page
    expect(variables.get_by_text("No variables.")).to_be_visible()
    put(variables, "SYMBOL", "SBIN")
    expect(page.get_by_text("SYMBOL was set. This applies from the next start.")).to_be_visible()
    row = variables.get_by_role("listitem")
    expect(row).to_contain_text("SBIN")
    row.get_by_role("button", name="Edit SYMBOL").click()
    expect(variables.get_by_label("Value")).to_be_focused()
    expect(variables.get_by_label("Value")).to_have_value("SBIN")
    put(variables, "SYMBOL", "INFY")
    expect(row).to_contain_text("INFY")
    row.get_by_role("button", name="Remove SYMBOL").click()
    dialog = page.get_by_role("dialog", name="Remove SYMBOL?")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(row).to_contain_text("INFY")
    row.get_by_role("button", name="Remove SYMBOL").click()
    dialog.get_by_role("button", name="Remove", exact=True).click()
    expect(variables.get_by_text("No variables.")).to_be_visible()
    expect(page.get_by_text("SYMBOL was removed.")).to_be_visible()
    assert server.stage.variables.list(server.stage.user, server.ids["stopped"]) == []


def test_a_secret_goes_in_and_is_never_shown_again(tab: Locator, server: Server) -> None:
    secrets, page = part(tab, "Secrets"), tab.page
    put(secrets, "BROKER_TOKEN", CANARY)
    row = secrets.get_by_role("listitem")
    expect(row).to_contain_text("••••••••")
    expect(secrets.get_by_label("Value")).to_have_value("")
    assert server.stage.variables.secrets == {"BROKER_TOKEN": CANARY}
    row.get_by_role("button", name="Replace BROKER_TOKEN").click()
    expect(secrets.get_by_label("Value")).to_have_value("")
    page.reload()
    page.locator("strategy-settings:defined").wait_for()
    expect(row).to_contain_text("BROKER_TOKEN")
    assert CANARY not in page.content()


def test_a_secret_of_several_lines_is_kept_whole(tab: Locator, server: Server) -> None:
    pem = "-----BEGIN KEY-----\nAAAA\nBBBB\n-----END KEY-----\n"
    put(part(tab, "Secrets"), "PEM", pem)
    expect(tab.page.get_by_text("The secret PEM was set.")).to_be_visible()
    assert server.stage.variables.secrets == {"PEM": pem}


def test_a_refusal_stands_at_its_field(tab: Locator, watched: Watched) -> None:
    for section, name, value, field, sentence in (
        ("Variables", "2FA", "x", "Name", "A name has 1 to 100 letters"),
        ("Variables", "PATH", "x", "Name", "PATH is set by the host at every start"),
        ("Secrets", "LD_PRELOAD", "x" * 9, "Name", "could break the interpreter"),
        ("Secrets", "PIN", "12345", "Value", "A secret has at least 6 characters"),
    ):
        where = part(tab, section)
        put(where, name, value)
        expect(where.get_by_role("alert").filter(has_text=sentence)).to_be_visible()
        expect(where.get_by_label(field)).to_be_focused()
        expect(where.get_by_label(field)).to_have_attribute("aria-invalid", "")
    watched.forget()


def test_settings_are_saved_as_a_whole_and_say_so(tab: Locator, server: Server) -> None:
    page = tab.page
    save = tab.get_by_role("button", name="Save settings")
    expect(save).to_be_disabled()
    tab.get_by_label("TCP ports").fill("443, 5432")
    tab.get_by_label("May start processes").check()
    tab.get_by_label("Readable folders").fill("/srv/data\n/usr/share/zoneinfo\n")
    tab.get_by_label("Memory, MB").fill("512")
    tab.get_by_label("Start it again").select_option("After a failure")
    tab.get_by_label("At most so many times").fill("3")
    tab.get_by_label("Silent for minutes").fill("10")
    expect(tab.get_by_text("changes not saved")).to_be_visible()
    save.click()
    expect(page.get_by_text("The settings were saved.")).to_be_visible()
    expect(save).to_be_disabled()
    assert strategy(server).settings == StrategySettings(
        ports=(443, 5432),
        may_start_processes=True,
        readable=("/srv/data", "/usr/share/zoneinfo"),
        memory_mb=512,
        restart=Restart.ON_FAILURE,
        most_restarts=3,
        silent_minutes=10,
    )


def test_a_setting_that_cannot_be_is_refused_at_its_field(
    tab: Locator, server: Server, watched: Watched
) -> None:
    for field, typed, sentence in (
        ("Memory, MB", "-1", "The memory limit in MB must be a whole number from 0 to"),
        ("Memory, MB", "", "The memory limit in MB must be a whole number from 0 to"),
        ("Log, MB", "0", "The size of a log in MB must be a whole number from 1 to"),
        ("TCP ports", "443, 70000", "“70000” is not a TCP port"),
        ("TCP ports", "https", "“https” is not a TCP port; a port is 1 to 65535."),
        ("Readable folders", "data", "“data” cannot be a readable folder"),
    ):
        tab.get_by_label(field).fill(typed)
        tab.page.keyboard.press("Control+s")
        expect(tab.get_by_role("alert").filter(has_text=sentence)).to_be_visible()
        expect(tab.get_by_label(field)).to_be_focused()
        tab.get_by_role("button", name="Undo changes").click()
    assert strategy(server).settings == StrategySettings()
    watched.forget()


def test_only_what_was_changed_here_is_sent(tab: Locator, server: Server) -> None:
    """Somebody else may have changed another setting since the page was opened."""
    service = server.stage.strategies
    meanwhile = replace(strategy(server), settings=StrategySettings(threads=7))
    server.do(service.registry.put_strategy, meanwhile)
    tab.get_by_label("Memory, MB").fill("512")
    tab.page.keyboard.press("Control+s")
    expect(tab.page.get_by_text("The settings were saved.")).to_be_visible()
    assert strategy(server).settings == StrategySettings(threads=7, memory_mb=512)
    expect(tab.get_by_label("Threads", exact=True)).to_have_value("7")


def test_confinement_is_switched_off_only_after_a_second_look(tab: Locator, server: Server) -> None:
    page = tab.page
    box = tab.get_by_label("Confine the runs of this strategy")
    dialog = page.get_by_role("dialog", name="Run VWAP pullback without confinement?")
    box.click()
    expect(dialog).to_contain_text("the keys and the database of this server")
    page.keyboard.press("Escape")
    expect(box).to_be_checked()
    expect(tab.get_by_role("button", name="Save settings")).to_be_disabled()
    box.click()
    dialog.get_by_role("button", name="Switch it off").click()
    expect(box).not_to_be_checked()
    expect(tab.get_by_label("TCP ports")).to_be_disabled()
    tab.get_by_role("button", name="Save settings").click()
    expect(page.get_by_text("The settings were saved.")).to_be_visible()
    assert strategy(server).settings.is_confined is False


def test_changes_can_be_undone_and_leaving_with_them_asks(tab: Locator) -> None:
    page = tab.page
    tab.get_by_label("Memory, MB").fill("512")
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.close(run_before_unload=True)
    expect(tab.get_by_label("Memory, MB")).to_have_value("512")
    assert asked == ["beforeunload"]
    tab.get_by_role("button", name="Undo changes").click()
    expect(tab.get_by_label("Memory, MB")).to_have_value("2048")
    expect(tab.get_by_text("changes not saved")).to_be_hidden()


def test_what_is_set_while_it_runs_says_that_the_run_keeps_what_it_has(
    login: Page, server: Server
) -> None:
    login.goto(f"/python/{server.ids['running']}#settings")
    login.locator("strategy-settings:defined").wait_for()
    put(login.get_by_role("region", name="Variables"), "SYMBOL", "SBIN")
    expect(login.get_by_text("The run that is on keeps what it has")).to_be_visible()


def test_on_a_phone_nothing_is_wider_than_the_screen(tab: Locator) -> None:
    page = tab.page
    page.set_viewport_size({"width": 390, "height": 844})
    put(part(tab, "Variables"), "A_RATHER_LONG_NAME_OF_A_VARIABLE", "x" * 300)
    expect(tab.get_by_role("listitem").first).to_contain_text("A_RATHER")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_every_setting_has_its_field(tab: Locator) -> None:
    names = tab.locator("[data-setting]").evaluate_all("fields => fields.map(one => one.name)")
    assert sorted(names) == sorted(StrategySettings.__dataclass_fields__)

"""Searching all runs of a strategy, and the last lines of one that has ended."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from algohost.domain.ids import RunId
from tests.browser.conftest import Server, Watched

pytestmark = pytest.mark.browser


def fill(server: Server) -> None:
    """Two runs of the strategy that runs, with lines of their own."""
    strategies = server.stage.strategies
    newest, earlier = strategies.history[server.ids["running"]][:2]
    server.do(strategies.write, newest, "2026-11-21 10:00:00 IST INFO order 7 sent once")
    lines = [f"2026-11-20 10:00:{i:02d} IST tick {i}" for i in range(50)]
    server.do(
        strategies.write,
        earlier,
        *lines,
        "2026-11-20 11:00:00 IST ERROR Order 3 sent once, rejected",
    )


def test_a_search_shows_lines_of_all_runs_and_leads_to_their_place(
    login: Page, server: Server
) -> None:
    fill(server)
    login.goto(f"/python/{server.ids['running']}#log")
    box = login.locator("log-search")
    box.get_by_label("Find in all runs").fill("sent once")
    box.get_by_role("button", name="Search", exact=True).click()
    lines = box.locator("[data-found] .line")
    expect(lines.first).to_contain_text("order 7 sent once")
    expect(lines.last).to_contain_text("Order 3 sent once, rejected")
    expect(box.get_by_role("status")).to_have_text("2 lines, newest first")
    lines.last.click()
    expect(login.get_by_role("tab", name="Runs")).to_have_attribute("aria-selected", "true")
    shown = login.get_by_role("region", name="Lines of the run")
    expect(shown.locator(".hit")).to_contain_text("ERROR Order 3 sent once, rejected")
    expect(shown).to_contain_text("tick 49")


def test_an_expression_a_level_and_what_is_not_there(login: Page, server: Server) -> None:
    fill(server)
    login.goto(f"/python/{server.ids['running']}#log")
    box = login.locator("log-search")
    box.get_by_label("Find in all runs").fill(r"order \d sent once, re")
    box.get_by_label("Expression").check()
    box.get_by_label("Lowest level found").select_option("Errors")
    box.get_by_label("Find in all runs").press("Enter")
    expect(box.locator("[data-found] .line")).to_have_count(1)
    box.get_by_label("Find in all runs").fill("nowhere")
    box.get_by_label("Find in all runs").press("Enter")
    expect(box.get_by_role("status")).to_have_text("Not found")


def test_a_refused_search_says_why(login: Page, server: Server, watched: Watched) -> None:
    login.goto(f"/python/{server.ids['running']}#log")
    box = login.locator("log-search")
    box.get_by_role("button", name="Search", exact=True).click()
    expect(box.get_by_role("status")).to_contain_text("Say what to look for")
    watched.forget()


def test_a_failed_run_shows_its_last_lines_and_hides_them_again(
    login: Page, server: Server
) -> None:
    login.goto(f"/python/{server.ids['error']}#runs")
    outcome = login.get_by_role("button", name="exited(1)")
    outcome.click()
    shown = login.get_by_role("region", name="Lines of the run")
    expect(shown).to_contain_text("No module named 'talib'")
    outcome.click()
    expect(shown).to_have_count(0)


def test_lines_that_were_kept_stand_in_for_a_log_that_was_removed(
    login: Page, server: Server
) -> None:
    """Promise 7."""
    stage = server.stage
    run = stage.strategies.history[server.ids["error"]][0]
    (stage.strategies.logs_folder / run.log_name).unlink()
    kept: Callable[[RunId], list[str]] = lambda _id: ["2026-11-21 10:02:11 IST ERROR kept line"]  # noqa: E731
    stage.host.logs.kept_lines = kept
    login.goto(f"/python/{server.ids['error']}#runs:{run.id}")
    shown = login.get_by_role("region", name="Lines of the run")
    expect(shown).to_contain_text("The log was removed.")
    expect(shown).to_contain_text("ERROR kept line")

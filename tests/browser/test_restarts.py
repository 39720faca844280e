"""What a person sees of a strategy that is restarted, and how each run ended."""

import re
from dataclasses import replace

from playwright.sync_api import Page, expect

from algohost.domain.runs import Outcome, OutcomeKind
from tests.browser.conftest import Server

LINE = "ModuleNotFoundError: No module named 'talib'"
CRASH = Outcome(kind=OutcomeKind.EXITED, exit_code=1, reason=LINE)
COUNTDOWN = re.compile(r"^Restarting in (\d+) s \(attempt 1 of 5\)\. Exited with code 1 at ")


def seconds_left(page: Page, cells: str) -> int:
    found = COUNTDOWN.match(page.locator(cells).inner_text())
    assert found is not None
    return int(found[1])


def test_the_list_counts_down_to_a_restart_and_offers_both(login: Page, server: Server) -> None:
    row = "tr[data-name='RSI reversion']"
    login.goto("/python")
    server.do(server.stage.strategies.back_off, server.ids["rsi"], CRASH, seconds=40)
    expect(login.locator(row).locator(".phase")).to_have_text("Backing off")
    note = f"{row} .note"
    expect(login.locator(note)).to_have_text(COUNTDOWN)
    expect(login.locator(note)).to_contain_text(LINE)
    first = seconds_left(login, note)
    login.wait_for_function(
        "([note, first]) => !document.querySelector(note).textContent.includes(`in ${first} s`)",
        arg=[note, first],
    )
    assert seconds_left(login, note) < first
    buttons = login.locator(row).locator("[data-act]")
    expect(buttons.and_(login.locator(":visible"))).to_have_count(2)
    login.locator(row).get_by_role("button", name="Stop RSI reversion").click()
    expect(login.locator(row).locator(".phase")).to_have_text("Stopped")
    expect(login.locator(note)).to_have_text(re.compile("^Exited with code 1 at .*talib"))


def test_its_three_actions_have_their_place_at_any_width(login: Page, server: Server) -> None:
    server.do(server.stage.strategies.back_off, server.ids["rsi"], CRASH, seconds=40)
    login.goto("/python")
    outside = """() => {
        const cell = document.querySelector("tr[data-name='RSI reversion'] .c-acts");
        const [left, right] = [cell.getBoundingClientRect().left, innerWidth];
        return [...cell.children].filter((one) => one.checkVisibility()).filter((one) => {
            const box = one.getBoundingClientRect();
            return box.left < left - 1 || box.right > right;
        }).length;
    }"""
    expect(login.locator("tr[data-name='RSI reversion'] .phase")).to_have_text("Backing off")
    for width in (390, 640, 768, 1024, 1366):
        login.set_viewport_size({"width": width, "height": 820})
        assert (width, login.evaluate(outside)) == (width, 0)


def test_the_page_says_when_and_why_and_starts_it_now(login: Page, server: Server) -> None:
    server.do(server.stage.strategies.back_off, server.ids["orb"], CRASH, seconds=40)
    login.goto(f"/python/{server.ids['orb']}")
    notice = login.locator("[data-backing]")
    expect(notice).to_be_visible()
    expect(notice.locator("[data-f=sentence]")).to_have_text(COUNTDOWN)
    login.get_by_role("button", name="Start now", exact=True).click()
    expect(login.locator("h1 + .phase")).to_have_text("Running")
    expect(notice).to_be_hidden()
    expect(login.get_by_role("button", name="Stop", exact=True)).to_be_visible()


def test_code_can_be_mended_while_it_backs_off(login: Page, server: Server) -> None:
    login.goto(f"/python/{server.ids['orb']}#code")
    expect(login.get_by_text("read-only while running")).to_be_visible()
    server.do(server.stage.strategies.back_off, server.ids["orb"], CRASH, seconds=40)
    expect(login.get_by_text("read-only while running")).to_be_hidden()


def test_a_run_tells_its_whole_account(login: Page, server: Server) -> None:
    stage, wanted = server.stage.strategies, server.ids["running"]

    def crashed() -> None:
        outcome = Outcome(kind=OutcomeKind.SIGNALLED, signal=11, reason="2 processes were left.")
        stage.end(wanted, outcome)
        run = replace(stage.history[wanted][0], attempt=2, cpu_seconds=0.4211)
        stage.show(replace(run, stop_asked_by="limit: disk"))

    login.goto(f"/python/{wanted}#runs")
    expect(login.locator("run-history tbody tr").first).to_contain_text("running")
    server.do(crashed)
    first = login.locator("run-history tbody tr").first
    expect(first).to_contain_text("signalled(SIGSEGV)")
    expect(first).to_contain_text("0.42 s")
    expect(first.locator(".reason")).to_have_text(
        "Restart 2 · Stopped by the disk limit · 2 processes were left."
    )

"""The list of strategies: live, filtered, by keyboard, at every width."""

from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from algohost.domain.runs import Outcome, OutcomeKind
from tests.browser.conftest import Server, Watched

pytestmark = pytest.mark.browser


def row(page: Page, name: str) -> str:
    """Selects the row of a strategy by its name."""
    return f"tr[data-name='{name}']"


def test_each_phase_is_said_in_words(login: Page) -> None:
    phases = {
        "EMA crossover": "Running",
        "Momentum top ten": "Stopping",
        "Short straddle 09:20": "Waiting",
        "Iron condor weekly": "Error",
        "VWAP pullback": "Stopped",
    }
    for name, word in phases.items():
        expect(login.locator(row(login, name)).locator(".phase")).to_have_text(word)
    expect(login.locator(row(login, "Short straddle 09:20"))).to_contain_text("The agent does not")
    expect(login.locator(row(login, "Iron condor weekly"))).to_contain_text("Exited with code 1")
    expect(login.locator(row(login, "Gap fade"))).to_contain_text("draft")


def test_a_row_offers_only_what_its_phase_allows(login: Page) -> None:
    offered = "[...document.querySelectorAll(`tr[data-name='${name}'] [data-act]`)]"
    visible = f"(name) => {offered}.filter((b) => b.checkVisibility()).map((b) => b.dataset.act)"
    assert login.evaluate(visible, "EMA crossover") == ["stop"]
    assert login.evaluate(visible, "Short straddle 09:20") == ["stop"]
    assert login.evaluate(visible, "Momentum top ten") == []
    assert login.evaluate(visible, "Iron condor weekly") == ["start"]


def test_profit_and_loss_moves_without_a_reload(login: Page, server: Server) -> None:
    cell = login.locator(row(login, "RSI reversion")).locator("[data-f=pnl]")
    expect(cell).to_have_text("+₹960.00")
    stage = server.stage
    held = {"symbol": "INFY", "realised": "-1234567.80", "last": "1"}
    server.do(stage.gateway.hold, stage.user, server.ids["rsi"], **held)
    expect(cell).to_have_text("−₹12,34,567.80")
    expect(cell).to_have_attribute("data-dir", "down")
    expect(login.locator("[data-f=total-pnl]")).to_have_attribute("data-dir", "down")


def test_a_crash_is_seen_as_it_happens(login: Page, server: Server) -> None:
    cells = login.locator(row(login, "EMA crossover"))
    expect(cells.locator(".phase")).to_have_text("Running")
    login.wait_for_timeout(300)
    crash = Outcome(kind=OutcomeKind.EXITED, exit_code=3)
    server.do(server.stage.strategies.end, server.ids["running"], crash)
    expect(cells.locator(".phase")).to_have_text("Error")
    expect(cells).to_contain_text("Exited with code 3")
    expect(login.locator("[data-f=count-error]")).to_have_text("2")
    expect(login).to_have_title("(2) Strategies · algohost")


def test_start_and_stop_show_the_way_and_the_truth(login: Page) -> None:
    cells = login.locator(row(login, "VWAP pullback"))
    cells.get_by_role("button", name="Start VWAP pullback").click()
    expect(cells.locator(".phase")).to_have_text("Running")
    expect(login.get_by_text("Starting VWAP pullback.")).to_be_visible()
    cells.get_by_role("button", name="Stop VWAP pullback").click()
    expect(cells.locator(".phase")).to_have_text("Stopping")
    expect(cells.locator(".phase")).to_have_text("Stopped")


def test_a_refused_start_says_why_and_takes_the_pending_state_back(
    login: Page, watched: Watched
) -> None:
    cells = login.locator(row(login, "Gap fade"))
    cells.get_by_role("button", name="Start Gap fade").click()
    expect(login.get_by_text("It is a draft; mend it and save.")).to_be_visible()
    expect(cells.locator(".phase")).to_have_text("Stopped")
    watched.forget()


def test_what_another_tab_uploads_and_deletes_comes_and_goes(login: Page, server: Server) -> None:
    expect(login.locator("tbody tr")).to_have_count(10)
    login.wait_for_timeout(300)
    stage = server.stage
    server.do(stage.strategies.put, stage.user, "Fresh <b>one</b>", "fresh.py", "pass")
    fresh = login.locator("tbody tr").first
    expect(fresh.get_by_role("link", name="Fresh <b>one</b>", exact=True)).to_be_visible()
    server.do(stage.strategies.registry.remove, server.ids["stopped"])
    expect(login.locator(row(login, "VWAP pullback"))).to_have_count(0)


def test_filter_and_chips_narrow_and_are_kept_in_the_address(login: Page) -> None:
    login.keyboard.press("/")
    login.keyboard.type("ema")
    expect(login.locator("tbody tr:visible")).to_have_count(1)
    assert login.url.endswith("?q=ema")
    login.get_by_role("button", name="Stopped").click()
    login.get_by_role("button", name="Clear the filter").click()
    expect(login.locator("tbody tr:visible")).to_have_count(10)
    login.get_by_role("button", name="Running").click()
    expect(login.locator("tbody tr:visible")).to_have_count(5)
    login.reload()
    expect(login.locator("tbody tr:visible")).to_have_count(5)


def test_keys_select_rows_and_stop_them(login: Page) -> None:
    for key in "jxjjx":
        login.keyboard.press(key)
    expect(login.locator("[data-bulk-count]")).to_have_text("2")
    login.locator("[data-bulk=stop]").click()
    expect(login.get_by_text("Stopping 2 strategies.")).to_be_visible()
    expect(login.locator(row(login, "EMA crossover")).locator(".phase")).to_have_text("Stopped")


def test_the_key_l_opens_the_log_of_the_marked_row(login: Page) -> None:
    login.keyboard.press("j")
    login.keyboard.press("l")
    expect(login.get_by_role("tab", name="Log")).to_have_attribute("aria-selected", "true")


def test_the_palette_stops_a_strategy_and_goes_to_pages(login: Page) -> None:
    login.keyboard.press("Control+k")
    expect(login.get_by_role("option", name="EMA crossover")).to_be_visible()
    login.keyboard.type("stop ema")
    login.keyboard.press("Enter")
    expect(login.locator(row(login, "EMA crossover")).locator(".phase")).to_have_text("Stopped")
    login.keyboard.press("Control+k")
    login.keyboard.type("upload")
    login.keyboard.press("Enter")
    expect(login.get_by_role("heading", name="Upload a strategy")).to_be_visible()


def test_dialogs_close_on_escape_and_give_the_focus_back(login: Page) -> None:
    opener = login.get_by_role("button", name="Shortcuts")
    opener.focus()
    login.keyboard.press("?")
    expect(login.get_by_role("heading", name="Keyboard shortcuts")).to_be_visible()
    login.keyboard.press("Escape")
    expect(login.get_by_role("heading", name="Keyboard shortcuts")).to_be_hidden()
    expect(opener).to_be_focused()


def test_a_lost_server_is_said_and_found_again_by_itself(login: Page, watched: Watched) -> None:
    login.route_web_socket("**/ws", lambda socket: socket.close(code=1012))
    login.reload()
    expect(login.get_by_text("The server cannot be reached.")).to_be_visible()
    login.unroute_all()
    login.reload()
    expect(login.get_by_text("The server cannot be reached.")).to_be_hidden()
    watched.forget()


def test_a_hidden_tab_has_no_socket_and_returns_to_a_snapshot(login: Page, server: Server) -> None:
    cell = login.locator(row(login, "EMA crossover")).locator(".phase")
    login.wait_for_timeout(300)
    show = "(is) => { Object.defineProperty(document, 'hidden', { value: is, configurable: true });"
    show += " document.dispatchEvent(new Event('visibilitychange')); }"
    login.evaluate(show, True)
    login.wait_for_timeout(300)
    done = Outcome(kind=OutcomeKind.STOPPED)
    server.do(server.stage.strategies.end, server.ids["running"], done, ago=timedelta(seconds=1))
    login.wait_for_timeout(500)
    expect(cell).to_have_text("Running")
    login.evaluate(show, False)
    expect(cell).to_have_text("Stopped")


def test_nothing_is_cut_off_at_any_width(login: Page, server: Server) -> None:
    cut = """() => [...document.querySelectorAll('tbody tr button, tbody tr a')].filter((one) =>
        one.checkVisibility() && one.getBoundingClientRect().right > innerWidth).length"""
    for path in ("/python", "/python/new", f"/python/{server.ids['running']}#orders"):
        login.goto(path)
        login.wait_for_timeout(300)
        for width in (390, 640, 768, 1024, 1366, 1920):
            login.set_viewport_size({"width": width, "height": 820})
            wide = login.evaluate("document.documentElement.scrollWidth")
            assert (path, wide, login.evaluate(cut)) == (path, min(wide, width), 0)

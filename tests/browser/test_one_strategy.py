"""The page of one strategy, and the upload that leads to it."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, expect

from algohost.domain.errors import AlgohostError
from algohost.domain.orders import OrderStatus
from algohost.host.source import accept
from tests.browser.conftest import Server, Watched

pytestmark = pytest.mark.browser


def script(text: str, name: str = "gap_fade-v2.py") -> FilePayload:
    """A file as the browser's picker gives it."""
    return {"name": name, "mimeType": "text/x-python", "buffer": text.encode()}


def test_an_upload_gets_its_name_from_the_file_and_leads_to_its_page(login: Page) -> None:
    login.goto("/python/new")
    login.set_input_files("input[type=file]", script("print('hello')\n"))
    expect(login.get_by_label("Name")).to_have_value("Gap fade v2")
    login.get_by_role("button", name="Upload", exact=True).click()
    expect(login.get_by_role("heading", name="Gap fade v2")).to_be_visible()
    expect(login.get_by_text("Uploaded Gap fade v2.")).to_be_visible()


def test_a_syntax_error_makes_a_draft_with_its_line_marked(login: Page) -> None:
    login.goto("/python/new")
    login.set_input_files("input[type=file]", script("a = 1\nif a\n    pass\n"))
    login.get_by_role("button", name="Upload", exact=True).click()
    expect(login.get_by_text("This is a draft.")).to_be_visible()
    expect(login.locator(".cm-problem")).to_contain_text("if a")


@pytest.mark.parametrize(
    "file",
    [
        script("x", name="notes.txt"),
        script("", name="empty.py"),
        script("#" * 1_048_577, name="big.py"),
    ],
    ids=["not python", "empty", "too large"],
)
def test_a_file_that_cannot_be_a_strategy_is_refused_at_its_field_in_the_servers_words(
    login: Page, file: FilePayload
) -> None:
    with pytest.raises(AlgohostError) as refusal:
        accept(file["name"], file["buffer"])
    login.goto("/python/new")
    login.set_input_files("input[type=file]", file)
    expect(login.locator("#file-error")).to_have_text(refusal.value.message)


def test_the_servers_own_refusal_stands_at_the_field_too(login: Page, watched: Watched) -> None:
    login.goto("/python/new")
    latin = FilePayload(name="old.py", mimeType="text/x-python", buffer=b"# caf\xe9\n")
    login.set_input_files("input[type=file]", latin)
    login.get_by_role("button", name="Upload", exact=True).click()
    expect(login.locator("#file-error")).not_to_be_empty()
    watched.forget()


def test_the_example_is_python_and_can_be_uploaded_at_once(login: Page) -> None:
    login.goto("/python/new")
    login.get_by_role("button", name="Use the example").click()
    login.get_by_role("button", name="Upload", exact=True).click()
    expect(login.get_by_role("heading", name="Example")).to_be_visible()
    expect(login.get_by_text("This is a draft.")).to_be_hidden()


@pytest.mark.parametrize(
    ("path", "tab"),
    [
        ("/python/{}", "Overview"),
        ("/python/{}#runs", "Runs"),
        ("/python/edit/{}", "Code"),
        ("/python/logs/{}", "Log"),
    ],
)
def test_each_tab_has_an_address(login: Page, server: Server, path: str, tab: str) -> None:
    login.goto(path.format(server.ids["running"]))
    expect(login.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
    expect(login.get_by_role("tabpanel", name=tab)).to_be_visible()


def test_the_log_follows_until_it_is_scrolled_and_jumps_back(login: Page, server: Server) -> None:
    login.goto(f"/python/{server.ids['running']}#log")
    box = login.locator("log-view .log")
    expect(box).to_contain_text("INFO")
    run = server.stage.strategies.history[server.ids["running"]][0]
    write = server.stage.strategies.write
    server.do(write, run, "2026-11-21 11:00:00 IST the newest line")
    expect(box.get_by_text("the newest line")).to_be_visible()
    box.hover()
    login.mouse.wheel(0, -2000)
    expect(login.get_by_role("button", name="Jump to end")).to_be_visible()
    server.do(write, run, "2026-11-21 11:00:01 IST a line below")
    expect(login.get_by_role("button", name="1 new")).to_be_visible()
    login.get_by_role("button", name="1 new").click()
    expect(box.get_by_text("a line below")).to_be_visible()


def test_the_log_shows_markup_as_text_and_finds_and_filters(login: Page, server: Server) -> None:
    login.goto(f"/python/{server.ids['running']}#log")
    run = server.stage.strategies.history[server.ids["running"]][0]
    server.do(server.stage.strategies.write, run, "<img src=x onerror=alert(1)> \x1b[31mred")
    expect(
        login.locator("log-view").get_by_text("<img src=x onerror=alert(1)> ␛[31mred")
    ).to_be_visible()
    login.get_by_label("Find in the log").fill("not enough funds")
    expect(login.locator("[data-hits]")).to_have_text("1 of 1")
    expect(login.locator("log-view mark")).to_have_text("not enough funds")
    login.get_by_label("Lowest level shown").select_option("Errors")
    expect(login.locator("[data-total]")).to_have_text("1 of 401 lines")


def test_a_long_log_keeps_few_lines_in_the_document(login: Page, server: Server) -> None:
    run = server.stage.strategies.history[server.ids["running"]][0]
    lines = [f"2026-11-21 11:00:00 IST line {number}" for number in range(20_000)]
    server.do(server.stage.strategies.write, run, *lines)
    login.goto(f"/python/{server.ids['running']}#log")
    expect(login.locator("log-view .log")).to_contain_text("line 19999")
    expect(login.locator("[data-total]")).to_contain_text("last ")
    assert login.locator("log-view .line").count() < 120


def test_a_traceback_links_to_its_line_of_the_code(login: Page, server: Server) -> None:
    login.goto(f"/python/{server.ids['error']}#log")
    login.locator("log-view").get_by_role("link", name='File "/strategies').click()
    expect(login.get_by_role("tab", name="Code")).to_have_attribute("aria-selected", "true")
    expect(login.locator(".cm-activeLine")).to_contain_text("from openalgo import api")


def test_the_whole_log_can_be_downloaded(login: Page, server: Server) -> None:
    login.goto(f"/python/{server.ids['running']}#log")
    with login.expect_download() as got:
        login.get_by_role("link", name="Download the log").click()
    text = Path(got.value.path()).read_text()
    assert text.startswith("2026-11-21 09:15:02 IST WARNING the quote is 3.2 s old")
    assert text.count("\n") == 400


def test_orders_come_live_with_side_status_and_reason(login: Page, server: Server) -> None:
    login.goto(f"/python/{server.ids['running']}#orders")
    rows = login.locator("order-book[data-part=orders] tbody tr")
    expect(rows).to_have_count(5)
    expect(rows.nth(2)).to_contain_text("rejected")
    expect(rows.nth(2)).to_contain_text("Margin of ₹1,16,58,200.00 is needed")
    stage, wanted = server.stage, server.ids["running"]
    server.do(stage.gateway.add, stage.user, wanted, symbol="TCS", fill=Decimal("3120.50"))
    expect(rows.first).to_contain_text("TCS")
    expect(rows.first.locator(".side")).to_have_attribute("data-side", "BUY")
    trades = login.locator("order-book[data-part=trades] tbody tr")
    expect(trades.first).to_contain_text("₹3,120.50")
    refused = {"status": OrderStatus.REJECTED, "reason": "The market is closed."}
    server.do(stage.gateway.add, stage.user, wanted, symbol="SBIN", **refused)
    expect(rows.first).to_contain_text("The market is closed.")


def test_another_strategys_orders_do_not_show(login: Page, server: Server) -> None:
    login.goto(f"/python/{server.ids['pairs']}#orders")
    rows = login.locator("order-book[data-part=orders] tbody tr")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("INFY")


def test_code_is_read_only_while_running_and_saved_by_key_after(
    login: Page, server: Server
) -> None:
    login.goto(f"/python/{server.ids['running']}#code")
    expect(login.get_by_text("read-only while running")).to_be_visible()
    login.get_by_role("button", name="Stop", exact=True).click()
    expect(login.get_by_text("read-only while running")).to_be_hidden()
    login.locator(".cm-content").click()
    login.keyboard.press("Control+Home")
    login.keyboard.type("x = (\n")
    expect(login.get_by_text("not saved", exact=True)).to_be_visible()
    login.keyboard.press("Control+s")
    expect(login.get_by_text("Saved as a draft")).to_be_visible()
    expect(login.get_by_text("This is a draft.")).to_be_visible()
    assert server.stage.strategies.sources[server.ids["running"]].startswith("x = (")


def test_each_run_stands_with_its_one_outcome(login: Page, server: Server) -> None:
    login.goto(f"/python/{server.ids['running']}#runs")
    outcomes = login.locator("run-history tbody tr td:nth-child(2)")
    expect(outcomes).to_have_text(
        ["running", "stopped", "signalled(SIGKILL)", "exited(1)", "exited(0)", "stopped"]
    )
    login.get_by_role("button", name="Stop", exact=True).click()
    expect(outcomes.first).to_have_text("stopped")


def test_deletion_takes_the_name_and_leads_back_to_the_list(login: Page, server: Server) -> None:
    login.goto(f"/python/{server.ids['stopped']}")
    login.get_by_role("button", name="More about VWAP pullback").click()
    login.get_by_role("button", name="Delete").click()
    dialog = login.get_by_role("dialog", name="Delete VWAP pullback?")
    confirm = dialog.get_by_role("button", name="Delete")
    expect(confirm).to_be_disabled()
    dialog.get_by_label("Type VWAP pullback to confirm").fill("VWAP pullback")
    confirm.click()
    expect(login.get_by_text("Deleted VWAP pullback.")).to_be_visible()
    expect(login.locator("tbody tr")).to_have_count(9)


def test_a_new_run_begins_a_new_log(login: Page, server: Server) -> None:
    login.goto(f"/python/{server.ids['error']}#log")
    box = login.locator("log-view .log")
    expect(box).to_contain_text("Traceback")
    login.get_by_role("button", name="Start", exact=True).click()
    expect(box).not_to_contain_text("Traceback")
    run = server.stage.strategies.history[server.ids["error"]][0]
    server.do(server.stage.strategies.write, run, "2026-11-21 11:00:00 IST up again")
    expect(box).to_contain_text("up again")
    crash = server.stage.strategies.history[server.ids["error"]][0]
    assert crash.created_at > server.stage.strategies.history[server.ids["error"]][1].created_at
    assert timedelta() < crash.created_at - run.created_at + timedelta(seconds=1)


def test_a_strategy_that_is_not_there_is_said_in_the_look(login: Page, watched: Watched) -> None:
    login.goto("/python/nothing_20260101000000")
    expect(login.get_by_role("heading", name="Not found")).to_be_visible()
    login.get_by_role("link", name="Strategies").click()
    expect(login.get_by_role("heading", name="Strategies")).to_be_visible()
    watched.forget()

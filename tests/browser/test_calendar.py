"""The calendar page: looked at by anybody, edited by administrators."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from algohost.domain.calendars import DayKind
from algohost.domain.instruments import Exchange
from tests.browser.conftest import Server, Watched, log_in, watch
from tests.browser.test_looks import findings

pytestmark = pytest.mark.browser

NOVEMBER = "/calendar?exchange=NSE&month=2026-11"


def open_month(page: Page, path: str = NOVEMBER) -> Page:
    page.goto(path)
    page.locator("market-calendar:defined").wait_for()
    return page


def test_a_month_shows_holidays_by_name_and_says_until_when_it_is_known(login: Page) -> None:
    page = open_month(login)
    cell = page.get_by_role("button", name="Tue 24 Nov 2026: Holiday, Guru Nanak Jayanti")
    expect(cell).to_contain_text("Guru Nanak Jayanti")
    expect(page.get_by_role("button", name="Fri 20 Nov 2026: Trading day")).to_contain_text(
        "09:15–15:30"
    )
    expect(page.get_by_role("note")).to_contain_text("2027 is only tentative")
    page.get_by_role("link", name="MCX").click()
    half = page.get_by_role("button", name="Tue 24 Nov 2026: Evening only")
    expect(half).to_contain_text("17:00–23:55")
    half.click()  # its name has to arrive whole in the form
    expect(page.get_by_role("dialog").get_by_label("Name")).to_have_value("Guru Nanak Jayanti")
    page.keyboard.press("Escape")
    open_month(page, "/calendar?exchange=MCX&month=2026-01")
    page.get_by_role("button", name="Thu 1 Jan 2026: Morning only").click()
    expect(page.get_by_role("dialog").get_by_label("Name")).to_have_value("New Year's Day")
    open_month(page)
    page.get_by_role("link", name="December 2026").click()
    expect(page.get_by_role("heading", name="December 2026")).to_be_visible()


def test_years_that_are_tentative_or_missing_are_marked(login: Page) -> None:
    page = open_month(login, "/calendar?exchange=NSE&month=2027-03")
    expect(
        page.get_by_role("button", name="Mon 22 Mar 2027: Holiday, Holi, tentative")
    ).to_be_visible()
    open_month(page, "/calendar?exchange=NSE&month=2029-03")
    expect(page.get_by_role("button", name="Mon 5 Mar 2029: Not known")).to_be_visible()
    expect(page.get_by_text("Nobody has entered this year.")).to_be_visible()


def test_the_rail_leads_to_the_calendars_and_so_do_the_keys(login: Page) -> None:
    login.get_by_role("navigation", name="Main", exact=True).get_by_role(
        "link", name="Calendars"
    ).click()
    expect(login).to_have_title("Calendar of NSE · algohost")
    login.goto("/python")
    login.locator("strategy-table:defined").wait_for()
    login.keyboard.press("g")
    login.keyboard.press("c")
    expect(login).to_have_title("Calendar of NSE · algohost")


def test_a_day_is_entered_shown_and_taken_back(login: Page, watched: Watched) -> None:
    page = open_month(login)
    page.get_by_role("button", name="Fri 20 Nov 2026: Trading day").click()
    dialog = page.get_by_role("dialog", name="Fri 20 Nov 2026")
    expect(dialog.get_by_label("NSE")).to_be_checked()
    dialog.get_by_label("BSE").check()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_text("has no name; say what the day is")).to_be_visible()
    watched.forget()
    dialog.get_by_label("Name").fill("Mourning")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Fri 20 Nov 2026 was saved for NSE, BSE.")).to_be_visible()
    edited = page.get_by_role("button", name="Fri 20 Nov 2026: Holiday, Mourning, edited")
    edited.click()
    page.get_by_role("dialog").get_by_role("button", name="Take the edit back").click()
    expect(page.get_by_role("button", name="Fri 20 Nov 2026: Trading day")).to_be_visible()


def test_an_import_says_what_is_wrong_with_each_row_and_then_takes_all(
    login: Page, server: Server, tmp_path: Path, watched: Watched
) -> None:
    page, file = open_month(login), tmp_path / "days.csv"
    file.write_text("exchanges,date,kind,name\nNSE,2027-01-26,holiday,Republic Day\nLSE,x,y,z\n")
    page.get_by_role("button", name="Import").click()
    dialog = page.get_by_role("dialog", name="Import days")
    dialog.get_by_label("File").set_input_files(file)
    dialog.get_by_role("button", name="Import").click()
    expect(dialog.get_by_text("Row 3: There is no exchange 'LSE'")).to_be_visible()
    watched.forget()
    file.write_text(
        "exchanges,date,kind,name\nNSE,2027,year,\nNSE,2027-01-26,holiday,Republic Day\n"
    )
    dialog.get_by_label("File").set_input_files(file)
    dialog.get_by_role("button", name="Import").click()
    expect(page.get_by_text("1 days, 1 years imported.")).to_be_visible()
    expect(page.get_by_role("note")).to_be_hidden()
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Export").click()
    text = Path(downloading.value.path()).read_text()
    assert "NSE,2027-01-26,holiday,Republic Day,,published," in text
    kinds = server.stage.host.calendars.of(Exchange.NSE).listed(2027)
    assert [day.kind for day in kinds] == [DayKind.HOLIDAY]


@pytest.mark.parametrize("theme", ["day", "night"])
@pytest.mark.parametrize("size", [(1366, 820), (390, 844)])
def test_the_page_is_sound_in_both_themes(
    browser: Browser, server: Server, theme: str, size: tuple[int, int]
) -> None:
    context = browser.new_context(
        base_url=server.url,
        viewport={"width": size[0], "height": size[1]},
        reduced_motion="reduce",
        bypass_csp=True,  # axe is put in from outside
    )
    context.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    page = context.new_page()
    watched = watch(page, server.url)
    log_in(page)
    open_month(page, "/calendar?exchange=MCX&month=2026-11")
    serious = {"month": findings(page)}
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Enter a day").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    serious["dialog"] = findings(page)
    page.keyboard.press("Escape")
    open_month(page, "/calendar?exchange=NSE&month=2029-01")
    serious["unknown"] = findings(page)
    context.close()
    assert serious == {"month": [], "dialog": [], "unknown": []}
    assert (watched.errors, watched.foreign) == ([], [])

"""The page "Tomorrow", and what the top bar says of the exchanges."""

import asyncio
import re
from collections.abc import Coroutine
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from algohost.domain.ids import IST, RunId
from algohost.domain.instruments import Exchange
from algohost.domain.kill_switch import WHOLE_HOST
from algohost.domain.schedules import WEEKDAYS, Schedule, ScheduleKind, Window
from algohost.domain.strategies import Gate
from algohost.host.views import StrategyView
from algohost.web.access import SESSION_COOKIE
from algohost.web.market_sessions import states
from tests.browser.conftest import Server
from tests.browser.test_schedules import open_tab

pytestmark = pytest.mark.browser

HOLIDAY = "/schedule?date=2026-11-24"
WORKDAYS = Schedule(
    kind=ScheduleKind.WINDOWS, windows=(Window(start=time(9, 20), stop=time(15, 25)),)
)
CLOSED = Gate(code="BROKER_SESSION", sentence="The account of asha is not logged in; log in.")


def wait_for(server: Server, work: Coroutine[Any, Any, object]) -> None:
    """Has the server's loop do it."""
    asyncio.run_coroutine_threadsafe(work, server.loop).result(10)


def open_day(page: Page, path: str = "/schedule") -> Page:
    page.goto(path)
    page.locator("schedule-day:defined").wait_for()
    return page


def on_crypto(server: Server, word: str, start: time) -> None:
    """A window on every day, whatever today is."""
    window = Window(start=start, stop=None, weekdays=frozenset(WEEKDAYS))
    schedule = Schedule(kind=ScheduleKind.WINDOWS, windows=(window,))

    async def give() -> StrategyView:
        stage = server.stage
        return await stage.timetables.set_schedule(
            stage.user, server.ids[word], schedule, exchange=Exchange.CRYPTO
        )

    wait_for(server, give())


def test_the_day_says_what_starts_what_holds_it_back_and_what_is_left_out(
    login: Page, server: Server
) -> None:
    table, ids = server.stage.timetables, server.ids
    server.do(table.give, ids["stopped"], WORKDAYS)
    server.do(table.give, ids["error"], WORKDAYS)
    server.do(table.gates.update, {ids["error"]: (CLOSED,)})
    page = open_day(login, "/schedule?date=2099-11-23")  # a Monday of a year that nobody knows
    rows = page.get_by_role("table", name="Starts").get_by_role("row")
    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_contain_text("09:20–15:25")
    expect(rows.nth(1)).to_contain_text("nobody has entered that year")
    expect(rows.filter(has_text="Iron condor")).to_contain_text("is not logged in; log in.")
    expect(rows.filter(has_text="VWAP")).to_contain_text("All gates are open now.")
    open_day(page, HOLIDAY)
    left_out = page.get_by_role("table", name="Left out").get_by_role("row")
    expect(left_out).to_have_count(3)
    expect(left_out.nth(1)).to_contain_text("Guru Nanak Jayanti")
    expect(page.get_by_role("list", name="Exchanges on that day")).to_contain_text(
        "NSE Holiday: Guru Nanak Jayanti"
    )
    page.get_by_role("link", name="VWAP pullback").click()
    page.locator("strategy-schedule:defined").wait_for()


def test_the_day_is_chosen_by_date_and_by_its_neighbours(login: Page) -> None:
    page = open_day(login, HOLIDAY)
    expect(page.get_by_role("heading", level=1)).to_have_text("Tue 24 Nov 2026")
    page.get_by_role("link", name="The day after").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Wed 25 Nov 2026")
    page.locator("schedule-day:defined").wait_for()
    page.locator("input[type=date]").fill("2026-12-25")
    expect(page.get_by_role("heading", level=1)).to_have_text("Fri 25 Dec 2026")
    page.get_by_role("link", name="Today").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Today")


def test_what_becomes_of_a_start_arrives_by_itself(login: Page, server: Server) -> None:
    soon = datetime.now(IST) + timedelta(hours=1)
    if soon.date() != datetime.now(IST).date():
        soon = datetime.now(IST) - timedelta(hours=1)
    soon = soon.replace(second=0, microsecond=0)
    on_crypto(server, "stopped", soon.time())
    page = open_day(login, f"/schedule?date={soon:%Y-%m-%d}")
    row = page.get_by_role("table", name="Starts").get_by_role("row").nth(1)
    expect(row).to_contain_text(re.compile("Will start|Not recorded"))
    table, stopped = server.stage.timetables, server.ids["stopped"]
    server.do(table.started, stopped, soon.astimezone(UTC), RunId("00000000000000aa"))
    expect(row).to_contain_text("Started")
    expect(row).to_contain_text("4 ms late")
    expect(row.get_by_role("link", name="run")).to_have_attribute("href", re.compile("#runs:0+aa$"))
    page.set_viewport_size({"width": 360, "height": 740})
    name = page.locator("tbody .c-name").first.bounding_box()
    assert name is not None
    assert name["width"] >= 70, "its name is still to be read on a phone"


def test_a_gate_that_closes_meanwhile_appears_by_itself(login: Page, server: Server) -> None:
    table, stage = server.stage.timetables, server.stage
    server.do(table.give, server.ids["stopped"], WORKDAYS)
    page = open_day(login)
    row = page.get_by_role("table", name="Starts").get_by_role("row").nth(1)
    expect(row).to_contain_text("All gates are open now.")
    gate = Gate(code="KILL_SWITCH", sentence="The kill switch is engaged.")
    server.do(table.gates.update, {server.ids["stopped"]: (gate,)})
    wait_for(server, stage.host.kill_switch.engage(stage.user, WHOLE_HOST))
    expect(row).to_contain_text("The kill switch is engaged.")


def test_an_empty_day_teaches_what_the_page_is_for(login: Page, server: Server) -> None:
    page = open_day(login)
    expect(page.get_by_role("heading", name="Nothing starts by the clock yet")).to_be_visible()
    page.get_by_role("link", name="Choose a strategy").click()
    page.wait_for_url("**/python")
    server.do(server.stage.timetables.give, server.ids["stopped"], WORKDAYS)
    open_day(page, "/schedule?date=2026-11-22")
    expect(page.get_by_text("One strategy has a schedule; none of them")).to_be_visible()
    page.get_by_role("link", name="To the next day with a start").click()
    page.wait_for_url("**/schedule")
    expect(page.get_by_role("table", name="Starts")).to_be_visible()


def test_before_there_is_a_strategy_it_leads_to_the_upload(
    browser: Browser, empty_server: Server
) -> None:
    url, secret = empty_server.url, empty_server.stage.secret
    context = browser.new_context(base_url=url)
    context.add_cookies([{"name": SESSION_COOKIE, "value": secret, "url": url}])
    page = context.new_page()
    page.goto("/schedule")
    expect(page.get_by_role("link", name="Upload a script")).to_be_visible()
    context.close()


def test_the_rail_and_the_keys_lead_to_it(login: Page) -> None:
    rail = login.get_by_role("navigation", name="Main", exact=True)
    rail.get_by_role("link", name="Tomorrow").click()
    expect(login).to_have_title(re.compile("what starts · algohost"))
    expect(rail.get_by_role("link", name="Tomorrow")).to_have_attribute("aria-current", "page")
    login.goto("/python")
    login.locator("strategy-table:defined").wait_for()
    login.keyboard.press("g")
    login.keyboard.press("t")
    expect(login).to_have_title(re.compile("what starts · algohost"))
    login.locator("schedule-day:defined").wait_for()
    login.keyboard.press("Control+k")
    login.keyboard.type("schedule of vwap")
    expect(login.get_by_role("option", name="Schedule of VWAP pullback")).to_be_visible()
    login.keyboard.press("Enter")
    login.locator("strategy-schedule:defined").wait_for()


def test_another_user_sees_nothing_of_it(login: Page, server: Server) -> None:
    """The administrator's day names the strategy; that of a user without any does not."""
    stage = server.stage
    server.do(stage.timetables.give, server.ids["stopped"], WORKDAYS)
    made: list[str] = []

    async def somebody_else() -> None:
        identity, password = stage.host.identity, "a long enough password"
        user = await identity.create_user("meera", password, is_admin=False)
        made.append((await identity.log_in(user.name, password, "test"))[1])

    wait_for(server, somebody_else())
    open_day(login, HOLIDAY)
    expect(login.get_by_text("VWAP pullback")).to_be_visible()
    login.context.add_cookies([{"name": SESSION_COOKIE, "value": made[0], "url": server.url}])
    open_day(login, HOLIDAY)
    expect(login.get_by_role("heading", name="Nothing starts by the clock yet")).to_be_visible()
    assert "VWAP" not in login.content()
    answer = login.request.get(f"/python/schedule/{server.ids['stopped']}")
    assert answer.status == 404


def test_the_top_bar_says_what_the_exchanges_do_and_asks_nobody_each_second(
    page: Page, server: Server
) -> None:
    """Two days later it says what holds then; after all that it was told, it asks once."""
    page.clock.install()
    page.context.add_cookies(
        [{"name": SESSION_COOKIE, "value": server.stage.secret, "url": server.url}]
    )
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    page.goto("/calendar")
    page.locator("market-session:defined").wait_for()
    shown = page.locator("[data-f=session]")
    calendars = server.stage.host.calendars.all()
    now = datetime.now(UTC)
    expect(shown).to_have_text(states(calendars, now)[0].text)
    page.on("request", note)
    page.clock.fast_forward(36 * 3_600_000)
    page.clock.run_for(3_000)
    later = states(calendars, now + timedelta(hours=36))[0]
    expect(shown).to_have_text(later.text)
    expect(shown).to_have_attribute("data-open", str(later.is_open).lower())
    assert asked == []
    page.clock.fast_forward(60 * 3_600_000)
    page.clock.run_for(5_000)
    expect(shown).to_be_visible()
    page.wait_for_timeout(200)
    assert [url.rpartition("/")[2] for url in asked] == ["now"]


def test_the_tab_says_the_same_as_the_day(login: Page, server: Server) -> None:
    server.do(server.stage.timetables.give, server.ids["stopped"], WORKDAYS)
    tab = open_tab(login, server)
    coming = tab.get_by_role("list", name="Next starts").locator("li:not([data-skipped]) .span")
    span = coming.first.inner_text()
    open_day(login)
    row = login.get_by_role("table", name="Starts").get_by_role("row").nth(1)
    expect(row).to_contain_text(span)

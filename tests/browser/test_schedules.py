"""The Schedule tab: set, looked at, refused, cleared, and locked while the strategy runs."""

import re
from datetime import UTC, date, datetime, time, timedelta

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from algohost.domain.ids import RunId
from algohost.domain.ledger import OccurrenceState
from algohost.domain.schedules import (
    WEEKDAYS,
    Late,
    Schedule,
    ScheduleKind,
    SpecialDays,
    Weekday,
    Window,
)
from algohost.domain.timetable_json import to_json
from algohost.web.access import SESSION_COOKIE
from tests.browser.conftest import Server, Watched, watch
from tests.browser.test_looks import findings

pytestmark = pytest.mark.browser

EVERY_DAY = Schedule(
    kind=ScheduleKind.ALWAYS, first_day=date(2020, 1, 1), last_day=date(2099, 12, 31)
)
MORNING = Window(start=time(9, 20), stop=time(15, 25))


def daily(*windows: Window) -> Schedule:
    """On an exchange that never closes it comes on every day, whatever today is."""
    return Schedule(kind=ScheduleKind.WINDOWS, windows=windows)


def open_tab(page: Page, server: Server, word: str = "stopped") -> Locator:
    page.goto(f"/python/{server.ids[word]}#schedule")
    page.locator("strategy-schedule:defined").wait_for()
    return page.get_by_role("tabpanel", name="Schedule")


@pytest.fixture
def tab(login: Page, server: Server) -> Locator:
    return open_tab(login, server)


def kept(server: Server, word: str = "stopped") -> Schedule:
    view = server.stage.strategies.registry.find(server.ids[word])
    assert view is not None
    return view.strategy.schedule


def starts(tab: Locator) -> Locator:
    return tab.get_by_role("list", name="Next starts").get_by_role("listitem")


def test_a_schedule_is_set_from_a_preset_and_the_state_says_so_in_words(
    tab: Locator, server: Server
) -> None:
    page = tab.page
    expect(tab.get_by_text("No schedule: it starts and stops when somebody says")).to_be_visible()
    expect(tab.get_by_role("button", name="Save schedule")).to_be_disabled()
    tab.get_by_role("button", name="NSE session").click()
    expect(starts(tab).filter(has_text="09:15–15:30")).to_have_count(5)
    tab.get_by_role("button", name="Save schedule").click()
    expect(tab.get_by_text("Runs Mon–Fri open to close on NSE.", exact=True)).to_be_visible()
    expect(tab.get_by_role("button", name="NSE session")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("status").get_by_text("Next start")).to_be_visible()
    expect(page.locator("strategy-page .phase").first).to_have_text("Scheduled")
    coming = re.compile(r"^Next start \w{3} \d+ \w{3} 09:15 IST, in ")
    expect(tab.get_by_text(coming)).to_be_visible()
    assert to_json(kept(server))["windows"] == [
        {
            "start": "open+0",
            "stop": "close+0",
            "weekdays": ["mon", "tue", "wed", "thu", "fri"],
            "ends_next_day": False,
        }
    ]


def test_every_part_of_a_schedule_can_be_typed(tab: Locator, server: Server) -> None:
    tab.get_by_role("button", name="add a window").click()
    first = tab.get_by_role("group", name="Window 1")
    first.get_by_label("Start time").fill("920")
    first.get_by_label("Stop, by").select_option("min before close")
    first.get_by_label("Stop, minutes").fill("10")
    first.get_by_text("Fri", exact=True).click()
    tab.get_by_role("button", name="Add a window").click()
    second = tab.get_by_role("group", name="Window 2")
    second.get_by_label("Start time").fill("21:00")
    second.get_by_label("Stop time").fill("1:30")
    second.get_by_label("the next day").check()
    for day in ("Mon", "Tue", "Wed", "Thu"):
        second.get_by_text(day, exact=True).click()
    tab.get_by_label("Exchange").select_option("MCX")
    tab.get_by_label("First day").fill("2026-12-01")
    tab.get_by_label("Last day").fill("2099-12-31")
    for day in ("2027-12-24", "2027-12-23"):
        tab.get_by_label("Dates to leave out").fill(day)
        tab.get_by_role("button", name="Leave out", exact=True).click()
    tab.get_by_label("Special sessions").select_option("Run on them too")
    tab.get_by_label("When a start comes late").select_option("Wait for the next start")
    tab.get_by_role("button", name="Do not leave out 2027-12-23").click()
    tab.page.keyboard.press("Control+s")
    expect(tab.page.get_by_role("status").get_by_text("Runs Mon–Thu 09:20")).to_be_visible()
    expect(tab.get_by_text("changes not saved")).to_be_hidden()
    schedule = kept(server)
    assert [str(window) for window in schedule.windows] == [
        "09:20–10 min before close",
        "21:00–01:30 (next day)",
    ]
    assert schedule.windows[0].weekdays == frozenset(WEEKDAYS[:4])
    assert schedule.windows[1].weekdays == {Weekday.FRI}
    assert (schedule.first_day, schedule.last_day) == (date(2026, 12, 1), date(2099, 12, 31))
    assert schedule.skipped == {date(2027, 12, 24)}
    assert (schedule.special_days, schedule.late) == (SpecialDays.FOLLOW, Late.WAIT)
    view = server.stage.strategies.registry.find(server.ids["stopped"])
    assert view is not None
    assert view.strategy.exchange == "MCX"


def test_what_is_wrong_is_said_at_its_window_while_it_is_typed(
    tab: Locator, server: Server
) -> None:
    """No refusal of a request is needed for it: the page's console stays empty."""
    tab.get_by_role("button", name="add a window").click()
    tab.get_by_role("button", name="Add a window").click()
    second = tab.get_by_role("group", name="Window 2")
    expect(tab.get_by_text("overlap; let one end before the other starts.")).to_be_visible()
    second.get_by_label("Start time").fill("16:00")
    second.get_by_label("Stop time").fill("15:59")
    alert = second.get_by_role("alert").filter(has_text="Window 16:00–15:59 ends before it starts")
    expect(alert).to_be_visible()
    expect(second.get_by_label("Stop time")).to_be_focused()
    second.get_by_label("Stop time").fill("17:00")
    expect(alert).to_be_hidden()
    expect(starts(tab).filter(has_text="16:00–17:00").first).to_be_visible()
    for day in ("Mon", "Tue", "Wed", "Thu", "Fri"):
        second.get_by_text(day, exact=True).click()
    expect(second.get_by_text("has no weekday; choose at least one.")).to_be_visible()
    tab.get_by_role("group", name="Window 2").get_by_role("button", name="Remove").click()
    expect(tab.get_by_role("group", name="Window 2")).to_be_hidden()
    assert kept(server) == Schedule()


def test_a_refused_save_says_why_and_keeps_what_was_typed(
    tab: Locator, server: Server, watched: Watched
) -> None:
    tab.get_by_role("button", name="add a window").click()
    tab.get_by_text("Time zone:").click()
    tab.get_by_label("Zone of the clock times").fill("Mars/Olympus")
    tab.get_by_role("button", name="Save schedule").click()
    expect(tab.get_by_role("alert").filter(has_text="There is no time zone")).to_be_visible()
    expect(tab.get_by_label("Zone of the clock times")).to_have_value("Mars/Olympus")
    watched.forget()
    tab.get_by_role("button", name="Undo changes").click()
    expect(tab.get_by_role("button", name="Manual")).to_have_attribute("aria-pressed", "true")
    assert kept(server) == Schedule()


def test_a_schedule_is_cleared_only_after_a_second_look(login: Page, server: Server) -> None:
    server.do(server.stage.timetables.give, server.ids["stopped"], daily(MORNING))
    tab = open_tab(login, server)
    dialog = login.get_by_role("dialog", name="Clear the schedule of VWAP pullback?")
    tab.get_by_role("button", name="Clear schedule").click()
    expect(dialog).to_contain_text("What became of earlier starts stays on record.")
    login.keyboard.press("Escape")
    assert kept(server) == daily(MORNING)
    tab.get_by_role("button", name="Manual").click()
    tab.get_by_role("button", name="Save schedule").click()
    dialog.get_by_role("button", name="Clear schedule").click()
    expect(login.get_by_text("The schedule was cleared.")).to_be_visible()
    expect(dialog).to_be_hidden()
    expect(tab.get_by_role("button", name="Clear schedule")).to_be_hidden()
    expect(login.locator("strategy-page .phase").first).to_have_text("Stopped")
    assert kept(server) == Schedule()


def test_while_it_runs_it_can_only_be_read_and_a_stop_unlocks_it(
    login: Page, server: Server
) -> None:
    server.do(server.stage.timetables.give, server.ids["running"], daily(MORNING))
    tab = open_tab(login, server, "running")
    expect(tab.get_by_text("It is running. Stop it to change its schedule")).to_be_visible()
    expect(tab.get_by_label("Start time")).to_be_disabled()
    expect(tab.get_by_role("button", name="NSE session")).to_be_disabled()
    expect(tab.get_by_role("button", name="Clear schedule")).to_be_hidden()
    login.get_by_role("button", name="Stop", exact=True).click()
    expect(tab.get_by_label("Start time")).to_be_enabled()
    expect(tab.get_by_text("It is running. Stop it to change its schedule")).to_be_hidden()
    expect(tab.get_by_role("button", name="Clear schedule")).to_be_visible()


def test_what_became_of_each_start_is_a_word_and_a_sentence_and_arrives_by_itself(
    login: Page, server: Server, watched: Watched
) -> None:
    table, ids, now = server.stage.timetables, server.ids, datetime.now(UTC)
    server.do(table.give, ids["stopped"], daily(MORNING))
    missed = OccurrenceState.MISSED
    server.do(table.note, ids["stopped"], now - timedelta(days=1), missed, sentence="It slept.")
    tab = open_tab(login, server)
    rows = tab.get_by_role("table", name="What became of each start").get_by_role("row")
    expect(rows).to_have_count(2)
    expect(rows.nth(1)).to_contain_text("MissedIt slept.".replace("It", "–It"))
    expect(tab.locator("[data-s=warning]")).to_contain_text("It slept.")
    server.do(table.started, ids["stopped"], now, RunId("00000000000000aa"), late_ms=1240)
    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_contain_text("Started1.2 s")
    expect(tab.locator("[data-s=warning]")).to_be_hidden()
    rows.nth(1).get_by_role("link", name="Run of").click()
    expect(login.get_by_role("tab", name="Runs")).to_have_attribute("aria-selected", "true")
    watched.forget()  # there is no such run: its lines are not found


def test_older_starts_come_when_they_are_asked_for(login: Page, server: Server) -> None:
    started, now = OccurrenceState.STARTED, datetime.now(UTC)
    for days in range(40, 0, -1):
        at = now - timedelta(days=days)
        server.do(server.stage.timetables.note, server.ids["stopped"], at, started, lateness_ms=3)
    tab = open_tab(login, server)
    rows = tab.get_by_role("table", name="What became of each start").get_by_role("row")
    expect(rows).to_have_count(26)
    tab.get_by_role("button", name="Older").click()
    expect(rows).to_have_count(41)
    expect(tab.get_by_role("button", name="Older")).to_be_hidden()


def test_what_is_being_typed_stays_when_something_happens_meanwhile(
    login: Page, server: Server
) -> None:
    table, stopped = server.stage.timetables, server.ids["stopped"]
    server.do(table.give, stopped, daily(MORNING))
    tab = open_tab(login, server)
    tab.get_by_label("Start time").fill("10:05")
    missed = OccurrenceState.MISSED
    server.do(table.note, stopped, datetime.now(UTC), missed, sentence="Gone.")
    expect(tab.locator("[data-s=warning]")).to_contain_text("Gone.")
    expect(tab.get_by_label("Start time")).to_have_value("10:05")
    expect(tab.get_by_label("Start time")).to_be_focused()
    other = Window(start=time(9, 30), stop=time(15, 25))
    server.do(table.give, stopped, daily(other))  # somebody else set one
    expect(tab.get_by_text("Runs Mon–Fri 09:30–15:25 IST on NSE.", exact=True)).to_be_visible()
    expect(tab.get_by_label("Start time")).to_have_value("10:05")
    expect(tab.get_by_text("changes not saved")).to_be_visible()


def test_the_keyboard_alone_sets_a_schedule(login: Page, server: Server) -> None:
    """``s`` opens it; Tab and space do the rest; ``g s`` still goes to the strategies."""
    page = login
    page.keyboard.press("j")
    row = page.locator("tr.cursor")
    expect(row).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("s")
    page.wait_for_url("**/python")
    page.locator("strategy-table:defined").wait_for()
    page.goto(f"/python/{server.ids['finished']}")
    page.locator("strategy-page:defined").wait_for()
    page.keyboard.press("s")
    page.locator("strategy-schedule:defined").wait_for()
    expect(page.get_by_role("tab", name="Schedule")).to_have_attribute("aria-selected", "true")
    preset = page.get_by_role("button", name="24×7")
    for _ in range(30):
        page.keyboard.press("Tab")
        if preset.evaluate("one => one === document.activeElement"):
            break
    page.keyboard.press("Space")
    expect(page.get_by_text("It runs around the clock.")).to_be_visible()
    page.keyboard.press("Control+s")
    expect(page.get_by_text("Runs around the clock, every day.").first).to_be_visible()
    assert kept(server, "finished").kind is ScheduleKind.ALWAYS


def test_s_on_a_row_opens_its_schedule(login: Page, server: Server) -> None:
    login.keyboard.press("j")
    login.keyboard.press("s")
    login.wait_for_url("**/python/*#schedule")
    login.locator("strategy-schedule:defined").wait_for()


def test_a_row_says_scheduled_with_its_next_start_and_an_error_stays_one(
    login: Page, server: Server
) -> None:
    table, page = server.stage.timetables, login
    for word in ("stopped", "error", "waiting"):
        server.do(table.give, server.ids[word], daily(MORNING))
    for word, said in (("stopped", "Scheduled"), ("error", "Error"), ("waiting", "Waiting")):
        row = page.locator(f'tr[data-strategy="{server.ids[word]}"]')
        expect(row.locator(".phase")).to_have_text(said)
        expect(row.locator(".next")).to_have_text(re.compile(r"^next (\w{3} |\d\d \w{3} )?09:20$"))
    expect(page.locator('[data-f="count-scheduled"]')).to_have_text("1")
    page.get_by_role("button", name="Scheduled", exact=True).click()
    expect(page.locator("tbody tr:visible")).to_have_count(1)
    page.reload()
    expect(page.locator('[data-f="count-scheduled"]')).to_have_text("1")
    row = page.locator(f'tr[data-strategy="{server.ids["stopped"]}"]')
    row.get_by_role("button", name="Start").click()
    expect(row.locator(".phase")).to_have_text("Running")
    expect(row.locator(".next")).to_be_hidden()


def test_a_name_with_markup_is_text_wherever_a_schedule_is_shown(
    login: Page, server: Server
) -> None:
    name = "<img src=x onerror=alert(1)>'\"</script>"
    service, table = server.stage.strategies, server.stage.timetables
    made: list[str] = []
    server.do(lambda: made.append(service.put(server.stage.user, name, "x.py", "pass").strategy.id))
    server.do(table.give, made[0], daily(Window(start=time(0), stop=time(23, 59))))
    server.do(table.give, made[0], EVERY_DAY)
    login.goto(f"/python/{made[0]}#schedule")
    login.locator("strategy-schedule:defined").wait_for()
    login.get_by_role("button", name="Clear schedule").click()
    expect(login.get_by_role("dialog")).to_contain_text(name)
    login.goto("/schedule")
    expect(login.get_by_role("link", name=name)).to_be_visible()
    login.goto("/python")
    expect(login.get_by_role("link", name=name, exact=True)).to_be_visible()


@pytest.mark.parametrize(
    ("theme", "size"), [("day", (1366, 900)), ("night", (1366, 900)), ("night", (390, 844))]
)
def test_the_tab_and_the_day_are_sound_in_both_themes(
    browser: Browser, server: Server, theme: str, size: tuple[int, int]
) -> None:
    table, ids, now = server.stage.timetables, server.ids, datetime.now(UTC)
    server.do(table.give, ids["stopped"], daily(MORNING))
    server.do(table.give, ids["running"], daily(MORNING))
    server.do(table.give, ids["finished"], EVERY_DAY)
    for days, state in enumerate(OccurrenceState):
        at = now - timedelta(days=days)
        server.do(table.note, ids["stopped"], at, state, sentence="A sentence that says why.")
    context = browser.new_context(
        base_url=server.url,
        viewport={"width": size[0], "height": size[1]},
        reduced_motion="reduce",
        bypass_csp=True,  # axe is put in from outside
    )
    context.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    page = context.new_page()
    watched = watch(page, server.url)
    page.context.add_cookies(
        [{"name": SESSION_COOKIE, "value": server.stage.secret, "url": server.url}]
    )
    serious = {}
    for word in ("stopped", "running", "draft"):
        tab = open_tab(page, server, word)
        serious[word] = findings(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), word
    tab.get_by_role("button", name="add a window").click()
    tab.get_by_label("Stop time").fill("09:00")
    expect(tab.get_by_text("ends before it starts")).to_be_visible()
    serious["invalid"] = findings(page)
    for name, path in (("next", "/schedule"), ("holiday", "/schedule?date=2026-11-24")):
        page.goto(path)
        page.locator("schedule-day:defined").wait_for()
        serious[name] = findings(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    page.goto("/python")
    page.locator("strategy-table:defined").wait_for()
    page.wait_for_timeout(500)  # axe must not look while buttons are being enabled
    serious["list"] = findings(page)
    context.close()
    assert {key: value for key, value in serious.items() if value} == {}
    assert (watched.errors, watched.foreign) == ([], [])

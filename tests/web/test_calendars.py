"""The calendar page and its routes, without a browser."""

import html
import json
import re

import pytest

from tests.web.asgi import Answer
from tests.web.conftest import People
from tests.web.world import World

HEADER = "exchanges,date,kind,name,hours,status,note\n"
DAY = {
    "exchanges": ["NSE", "NFO"],
    "date": "2026-11-20",
    "kind": "holiday",
    "name": "<b>Mourning' onload='x",
}


def send_csv(world: World, people: People, text: str, kind: str = "text/csv") -> Answer:
    return world.browser(people.admin).ask(
        "POST", "/calendar/import", text.encode(), {"content-type": kind}
    )


def test_everybody_reads_and_only_administrators_find_the_means_to_edit(
    world: World, people: People
) -> None:
    query = "exchange=mcx&month=2026-11"
    by_admin = world.browser(people.admin).page("/calendar", query=query).text
    by_user = world.browser(people.owner).page("/calendar", query=query).text
    assert "Guru Nanak Jayanti" in by_user
    assert ("day-dialog" in by_admin, "day-dialog" in by_user) == (True, False)
    assert ("data-day=" in by_admin, "data-day=" in by_user) == (True, False)


def test_a_day_is_entered_and_its_name_is_text(world: World, people: People) -> None:
    browser = world.browser(people.admin)
    answer = browser.post("/calendar/day", DAY).json()
    assert answer == {"success": True, "message": "Fri 20 Nov 2026 was saved for NSE, NFO."}
    page = browser.page("/calendar", query="month=2026-11").text
    assert "&lt;b&gt;Mourning" in page
    assert "<b>Mourning" not in page
    assert "onload='" not in page
    (entered,) = re.findall(r'data-day="([^"]*2026-11-20[^"]*)"', page)
    assert json.loads(html.unescape(entered))["name"] == DAY["name"]
    gone = browser.post("/calendar/day/delete", {"exchange": "NSE", "date": "2026-11-20"})
    assert gone.json()["success"] is True
    again = browser.post("/calendar/day/delete", {"exchange": "NSE", "date": "2026-11-20"})
    assert (again.status, again.json()["error_code"]) == (404, "NO_CALENDAR_EDIT")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("exchange=LSE", "There is no calendar of"),
        ("month=2026-13", "There is no month"),
        ("month=1999-01", "There is no month"),
    ],
)
def test_an_address_that_means_nothing_is_refused_in_words(
    world: World, people: People, query: str, said: str
) -> None:
    answer = world.browser(people.owner).ask("GET", "/calendar", query=query)
    assert (answer.status, said in answer.json()["message"]) == (400, True)


@pytest.mark.parametrize("month", ["2000-01", "2100-12", "2026-02"])
def test_the_first_and_the_last_month_have_a_page(world: World, people: People, month: str) -> None:
    answer = world.browser(people.admin).page("/calendar", query=f"month={month}")
    assert answer.status == 200


def test_crypto_never_closes_and_is_not_edited(world: World, people: People) -> None:
    page = world.browser(people.admin).page("/calendar", query="exchange=CRYPTO").text
    assert "around the clock" in page
    assert "data-day=" not in page


def test_an_import_names_each_bad_row(world: World, people: People) -> None:
    answer = send_csv(world, people, HEADER + "NSE,2027-01-26,holiday,X,,,\nNSE,x,holiday,X,,,\n")
    body = answer.json()
    assert (answer.status, body["error_code"]) == (400, "BAD_CALENDAR_ROWS")
    assert [row["row"] for row in body["details"]["rows"]] == [3]
    assert send_csv(world, people, "x", "application/json").status == 415
    good = send_csv(world, people, HEADER + "NSE,2027-01-26,holiday,X,,,\n").json()
    assert (good["days"], good["message"]) == (1, "1 days imported.")
    text = world.browser(people.owner).get("/calendar/export").text
    assert "NSE,2027-01-26,holiday,X,,published," in text


def test_a_file_that_is_not_utf8_is_refused_in_words(world: World, people: People) -> None:
    answer = world.browser(people.admin).ask(
        "POST", "/calendar/import", b"\xff\xfe", {"content-type": "text/csv"}
    )
    assert (answer.status, answer.json()["error_code"]) == (400, "WRONG_ENCODING")


def test_a_year_is_declared_complete(world: World, people: People) -> None:
    browser = world.browser(people.admin)
    answer = browser.post("/calendar/year", {"exchanges": ["NSE"], "year": 2027}).json()
    assert answer["message"] == "2027 counts as published for NSE."
    assert browser.post("/calendar/year", {"exchanges": ["NSE"], "year": 1999}).status == 400

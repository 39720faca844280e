"""``market/holidays`` and ``market/timings``, judged by the client where it has the methods."""

from datetime import datetime
from typing import Any

import httpx
import openalgo
import pytest

from algohost.domain.ids import IST
from tests.api.served import ACCOUNT_KEY, Served


def ms(at: str) -> int:
    return round(datetime.fromisoformat(at).replace(tzinfo=IST).timestamp() * 1000)


def span(exchange: str, start: str, end: str) -> dict[str, Any]:
    return {"exchange": exchange, "start_time": ms(start), "end_time": ms(end)}


@pytest.fixture(scope="module")
def client(shared_server: Served) -> Any:
    """The real client."""
    return openalgo.api(api_key=ACCOUNT_KEY, host=shared_server.url)


def test_holidays_have_the_clients_fields_and_times(client: Any) -> None:
    answer = client.holidays(year=2025)
    assert (answer["status"], answer["year"], answer["timezone"]) == (
        "success",
        2025,
        "Asia/Kolkata",
    )
    rows = {(row["date"], row["holiday_type"]): row for row in answer["data"]}
    assert rows["2025-02-26", "TRADING_HOLIDAY"] == {
        "date": "2025-02-26",
        "description": "Maha Shivaratri",
        "holiday_type": "TRADING_HOLIDAY",
        "closed_exchanges": ["NSE", "BSE", "NFO", "BFO", "CDS", "BCD"],
        "open_exchanges": [
            span("MCX", "2025-02-26T17:00", "2025-02-26T23:55"),
            span("NCO", "2025-02-26T17:00", "2025-02-26T23:55"),
        ],
        "tentative": False,
    }
    muhurat = rows["2025-10-21", "SPECIAL_SESSION"]
    assert muhurat["open_exchanges"][0] == span("NSE", "2025-10-21T13:45", "2025-10-21T14:45")
    settlement = rows["2025-05-12", "SETTLEMENT_HOLIDAY"]
    assert (settlement["closed_exchanges"], settlement["open_exchanges"]) == ([], [])
    assert rows["2025-05-12", "TRADING_HOLIDAY"]["closed_exchanges"] == ["CDS", "BCD"]
    assert [row["date"] for row in answer["data"]] == sorted(row["date"] for row in answer["data"])


def test_holidays_without_a_year_are_this_years(client: Any) -> None:
    assert client.holidays()["year"] == 2025


def test_timings_are_in_epoch_milliseconds_and_empty_when_closed(client: Any) -> None:
    answer = client.timings(date="2025-06-02")
    found = {row["exchange"]: row for row in answer["data"]}
    assert list(found) == ["NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO"]
    assert found["NSE"] == span("NSE", "2025-06-02T09:15", "2025-06-02T15:30")
    assert found["CDS"] == span("CDS", "2025-06-02T09:00", "2025-06-02T17:00")
    assert found["MCX"] == span("MCX", "2025-06-02T09:00", "2025-06-02T23:30")
    assert client.timings(date="2025-06-01")["data"] == []
    half_day = client.timings(date="2025-02-26")["data"]
    assert [row["exchange"] for row in half_day] == ["MCX", "NCO"]


def test_two_sessions_of_a_day_are_two_rows(client: Any) -> None:
    rows = [r for r in client.timings(date="2024-03-02")["data"] if r["exchange"] == "NSE"]
    assert rows == [
        span("NSE", "2024-03-02T09:15", "2024-03-02T10:00"),
        span("NSE", "2024-03-02T11:30", "2024-03-02T12:30"),
    ]


@pytest.mark.parametrize(
    ("name", "fields", "status", "said"),
    [
        ("holidays", {"year": 2031}, 404, "The calendar of 2031 is not known"),
        ("holidays", {"year": "2023"}, 404, "The calendar of 2023 is not known"),
        ("holidays", {"year": 2051}, 400, "year must be a year from 2020 to 2050"),
        ("holidays", {"year": True}, 400, "year must be a year"),
        ("holidays", {"year": "next"}, 400, "year must be a year"),
        ("timings", {"date": "2028-01-03"}, 404, "neither open nor closed"),
        ("timings", {"date": "03-01-2026"}, 400, "written YYYY-MM-DD"),
    ],
)
def test_what_is_not_known_is_refused_rather_than_answered_with_nothing(
    shared_server: Served, name: str, fields: dict[str, Any], status: int, said: str
) -> None:
    answer = shared_server.post(f"market/{name}", **fields)
    assert (answer.status_code, answer.json()["status"]) == (status, "error")
    assert said in answer.json()["message"]


def test_an_unconfirmed_time_is_said_and_not_guessed(shared_server: Served) -> None:
    answer = shared_server.post("market/timings", date="2026-11-08").json()
    assert answer["data"] == []
    assert "its time is not known yet" in answer["warnings"][0]
    rows = shared_server.post("market/holidays", year=2027).json()["data"]
    assert all(row["tentative"] for row in rows)


@pytest.mark.parametrize(
    ("name", "asked"), [("holidays", {"year": "2026"}), ("timings", {"date": "2026-06-01"})]
)
def test_a_get_answers_as_a_post_and_needs_the_key(
    shared_server: Served, name: str, asked: dict[str, str]
) -> None:
    url = f"{shared_server.url}/api/v1/market/{name}"
    by_get = httpx.get(url, params=asked, headers={"x-api-key": ACCOUNT_KEY})
    assert by_get.json() == shared_server.post(f"market/{name}", **asked).json()
    assert by_get.json()["data"]
    assert httpx.get(url, params=asked).status_code == 403

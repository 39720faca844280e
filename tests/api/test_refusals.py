"""What is refused, with which status, and in which words."""

import json
from typing import Any

import httpx
import pytest

from tests.api.served import ACCOUNT_KEY, Served

RELIANCE = {"symbol": "RELIANCE", "exchange": "NSE"}
BUY = {**RELIANCE, "action": "BUY", "quantity": 1, "product": "MIS", "pricetype": "MARKET"}
DAYS = {"start_date": "2025-05-30", "end_date": "2025-06-02"}


def assert_refused(response: httpx.Response, status: int, part: str) -> str:
    """The one form of a refusal; returns its sentence."""
    assert response.status_code == status, response.text
    body = response.json()
    assert body["status"] == "error"
    assert response.headers["content-type"] == "application/json"
    assert part in body["message"]
    message: str = body["message"]
    return message


@pytest.mark.parametrize("key", ["", "x" * 64, "a" * 63, None, 7, [], {"a": 1}, "é" * 64])
@pytest.mark.parametrize("name", ["placeorder", "quotes", "funds", "ping"])
def test_a_key_that_is_not_known_is_refused_in_the_words_of_openalgo(
    shared_server: Served, name: str, key: object
) -> None:
    response = shared_server.post(name, **BUY, apikey=key)
    assert response.status_code == 403
    assert response.json() == {"status": "error", "message": "Invalid openalgo apikey"}


def test_without_a_key_nothing_is_said_about_the_fields(shared_server: Served) -> None:
    response = httpx.post(f"{shared_server.url}/api/v1/placeorder", json={})
    assert_refused(response, 403, "Invalid openalgo apikey")


FIELDS: list[tuple[str, dict[str, Any], str]] = [
    ("placeorder", {**RELIANCE, "action": "BUY"}, "quantity is missing."),
    ("placeorder", {}, "symbol is missing; exchange is missing; action is missing; quantity is"),
    ("placeorder", {**BUY, "action": "HOLD"}, "action must be BUY or SELL, not 'HOLD'."),
    ("placeorder", {**BUY, "action": "Buy"}, "action must be BUY or SELL"),
    ("placeorder", {**BUY, "exchange": "nse"}, "exchange must be one of NSE, BSE"),
    ("placeorder", {**BUY, "product": "XYZ"}, "product must be one of MIS, NRML, CNC, not 'XYZ'."),
    ("placeorder", {**BUY, "pricetype": "STOP"}, "must be one of MARKET, LIMIT, SL, SL-M"),
    ("placeorder", {**BUY, "pricetype": None}, "pricetype must be one of"),
    ("placeorder", {**BUY, "quantity": -1}, "quantity must be a whole number above 0, not '-1'."),
    ("placeorder", {**BUY, "quantity": 0}, "quantity must be a whole number above 0"),
    ("placeorder", {**BUY, "quantity": "1.5"}, "quantity must be a whole number above 0"),
    ("placeorder", {**BUY, "quantity": "NaN"}, "quantity must be a whole number above 0"),
    ("placeorder", {**BUY, "quantity": "1_0"}, "quantity must be a whole number above 0"),
    ("placeorder", {**BUY, "quantity": "١"}, "quantity must be a whole number above 0"),
    ("placeorder", {**BUY, "quantity": True}, "quantity must be a whole number above 0"),
    ("placeorder", {**BUY, "quantity": 1e300}, "quantity must be a whole number above 0"),
    ("placeorder", {**BUY, "quantity": "9" * 5000}, "quantity must be a whole number above 0"),
    ("placeorder", {**BUY, "price": "1_0"}, "price must be a number, 0 or above, not '1_0'."),
    ("placeorder", {**BUY, "price": "१०"}, "price must be a number, 0 or above"),
    ("placeorder", {**BUY, "price": "Infinity"}, "price must be a number, 0 or above"),
    ("placeorder", {**BUY, "price": "1e999999"}, "price must be a number, 0 or above"),
    ("placeorder", {**BUY, "price": "0." + "1" * 100_000}, "price must be a number, 0 or above"),
    ("placeorder", {**BUY, "quantity": [1]}, "quantity must be a whole number above 0."),
    ("placeorder", {**BUY, "price": "NaN"}, "price must be a number, 0 or above, not 'NaN'."),
    ("placeorder", {**BUY, "price": "Infinity"}, "price must be a number, 0 or above"),
    ("placeorder", {**BUY, "price": -0.05}, "price must be a number, 0 or above"),
    ("placeorder", {**BUY, "price": "1e999999999"}, "price must be a number, 0 or above"),
    ("placeorder", {**BUY, "price": "1e-99"}, "price must have at most 8 decimals"),
    ("placeorder", {**BUY, "price": {}}, "price must be a number, 0 or above."),
    ("placeorder", {**BUY, "trigger_price": "ten"}, "trigger_price must be a number, 0 or above"),
    ("placeorder", {**BUY, "disclosed_quantity": -1}, "disclosed_quantity must be a whole number"),
    ("placeorder", {**BUY, "symbol": ""}, "symbol is empty."),
    ("placeorder", {**BUY, "symbol": 5}, "symbol must be text, not '5'."),
    ("placeorder", {**BUY, "symbol": "A" * 65}, "symbol must be at most 64 printable characters"),
    ("placeorder", {**BUY, "symbol": "A\x00B"}, "symbol must be at most 64 printable characters"),
    ("placesmartorder", BUY, "position_size is missing."),
    ("placesmartorder", {**BUY, "position_size": "x"}, "position_size must be a whole number"),
    ("modifyorder", BUY, "orderid is missing; price is missing."),
    ("cancelorder", {}, "orderid is missing."),
    ("orderstatus", {"orderid": " "}, "orderid is empty."),
    ("openposition", RELIANCE, "product is missing."),
    ("quotes", {"symbol": "RELIANCE"}, "exchange is missing."),
    ("quotes", {"symbol": "RELIANCE", "exchange": "NYSE"}, "exchange must be one of"),
    ("multiquotes", {}, "symbols is missing."),
    ("multiquotes", {"symbols": "RELIANCE"}, "symbols must be a list"),
    ("multiquotes", {"symbols": []}, "symbols names 0 instruments; name 1 to 500"),
    ("multiquotes", {"symbols": [RELIANCE] * 501}, "symbols names 501 instruments"),
    ("multiquotes", {"symbols": [["RELIANCE"]]}, "symbols.0 must be an object."),
    ("multiquotes", {"symbols": [{"symbol": "TCS"}]}, "symbols.0.exchange is missing."),
    ("history", {**RELIANCE, **DAYS, "interval": "7m"}, "interval must be one of 1s, 5s"),
    ("history", {**RELIANCE, **DAYS}, "interval is missing."),
    (
        "history",
        {**RELIANCE, "interval": "1m", "start_date": "02-06-2025", "end_date": "2025-06-02"},
        "start_date must be a date of 1980 to 2199 written YYYY-MM-DD, not '02-06-2025'.",
    ),
    (
        "history",
        {**RELIANCE, "interval": "1m", "start_date": "2025-02-30", "end_date": "2025-06-02"},
        "start_date must be a date",
    ),
    (
        "history",
        {**RELIANCE, "interval": "1m", "start_date": 20250602, "end_date": "2025-06-02"},
        "start_date must be a date",
    ),
    (
        "history",
        {**RELIANCE, "interval": "1m", "start_date": "2025-06-02", "end_date": "2025-06-01"},
        "end_date 2025-06-01 is before start_date 2025-06-02; swap them.",
    ),
    (
        "history",
        {**RELIANCE, "interval": "1m", "start_date": "2015-01-01", "end_date": "2025-06-01"},
        "more than 200,000 bars of 1m; ask for a shorter span or a longer interval.",
    ),
    (
        "history",
        {**RELIANCE, "interval": "D", "start_date": "0001-01-01", "end_date": "0001-01-02"},
        "start_date must be",
    ),
    (
        "history",
        {**RELIANCE, "interval": "D", "start_date": "2025-01-01", "end_date": "9999-12-31"},
        "end_date must be",
    ),
    ("search", {}, "query is missing."),
    ("search", {"query": ""}, "query is empty."),
    ("search", {"query": "NIFTY", "exchange": "XX"}, "exchange must be one of"),
]


@pytest.mark.parametrize(("name", "fields", "sentence"), FIELDS)
def test_a_bad_field_is_named_in_one_sentence(
    shared_server: Served, name: str, fields: dict[str, Any], sentence: str
) -> None:
    message = assert_refused(shared_server.post(name, **fields), 400, sentence)
    assert message.endswith(".")
    assert len(message) < 500


UNKNOWN: list[tuple[str, dict[str, Any]]] = [
    ("quotes", {"symbol": "NOSUCH", "exchange": "NSE"}),
    ("depth", {"symbol": "NOSUCH", "exchange": "NSE"}),
    ("symbol", {"symbol": "NOSUCH", "exchange": "NSE"}),
    ("openposition", {"symbol": "NOSUCH", "exchange": "NSE", "product": "MIS"}),
    ("history", {"symbol": "NOSUCH", "exchange": "NSE", "interval": "1m", **DAYS}),
    ("placeorder", {**BUY, "symbol": "NOSUCH"}),
    ("placesmartorder", {**BUY, "symbol": "NOSUCH", "position_size": 1}),
    ("orderstatus", {"orderid": "25060200000000"}),
    ("cancelorder", {"orderid": "25060200000000"}),
    ("modifyorder", {**BUY, "pricetype": "LIMIT", "price": 1, "orderid": "25060200000000"}),
]


@pytest.mark.parametrize(("name", "fields"), UNKNOWN)
def test_an_unknown_symbol_or_order_is_404(
    shared_server: Served, name: str, fields: dict[str, Any]
) -> None:
    assert_refused(shared_server.post(name, **fields), 404, fields.get("orderid", "NOSUCH"))


BODIES: list[tuple[bytes, int, str]] = [
    (b"", 400, "not JSON"),
    (b"apikey=a&symbol=b", 400, "not JSON"),
    (b'{"apikey": "' + ACCOUNT_KEY.encode() + b'", "quantity": NaN}', 400, "not JSON"),
    (b'{"apikey": "\xff"}', 400, "not JSON"),
    (b"[]", 400, "no object"),
    (b'["apikey"]', 400, "no object"),
    (b"null", 400, "no object"),
    (b'"text"', 400, "no object"),
    (b"[" * 5000 + b"]" * 5000, 400, "not JSON"),
    (b'{"apikey": "' + b"a" * 1_048_576 + b'"}', 413, "1,048,576 bytes"),
]


@pytest.mark.parametrize(("body", "status", "part"), BODIES, ids=range(len(BODIES)))
def test_a_body_that_is_no_json_object_is_refused(
    shared_server: Served, body: bytes, status: int, part: str
) -> None:
    response = httpx.post(f"{shared_server.url}/api/v1/placeorder", content=body)
    assert_refused(response, status, part)


def test_a_body_of_almost_a_mebibyte_is_read(shared_server: Served) -> None:
    response = shared_server.post("ping", padding="x" * 1_000_000)
    assert response.status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["nosuch", "a/b/c", "quotes/"])
def test_an_unknown_path_is_404_in_the_envelope(
    shared_server: Served, method: str, path: str
) -> None:
    response = httpx.request(method, f"{shared_server.url}/api/v1/{path}")
    assert_refused(response, 404, "There is no such endpoint in this version")


def test_the_wrong_method_is_405_and_says_which_is_right(shared_server: Served) -> None:
    response = httpx.get(f"{shared_server.url}/api/v1/quotes")
    assert_refused(response, 405, "/api/v1/quotes is called with POST")
    assert response.headers["allow"] == "POST"


def test_a_rejected_order_is_a_400_with_its_reason_and_its_id(server: Served) -> None:
    """The order exists, rejected: the order book shows it with the same reason."""
    response = server.post("placeorder", **{**BUY, "quantity": 1_000_000})
    assert response.status_code == 400
    body = response.json()
    assert (body["status"], body["mode"]) == ("error", "analyze")
    status = server.post("orderstatus", orderid=body["orderid"]).json()["data"]
    assert status["order_status"] == "rejected"
    assert status["rejection_reason"] == body["message"]


LIMITS = [
    ("quotes", RELIANCE, "API", 50),
    ("placeorder", BUY, "ORDERS", 10),
    ("placesmartorder", {**BUY, "position_size": 5}, "SMART_ORDERS", 10),
]


@pytest.mark.parametrize(("name", "fields", "kind", "rate"), LIMITS)
def test_more_calls_than_the_limit_are_429_until_time_has_passed(
    server: Served, name: str, fields: dict[str, Any], kind: str, rate: int
) -> None:
    server.limit(**{kind: rate})
    answers = [server.post(name, **fields) for _ in range(rate + 1)]
    assert [answer.status_code for answer in answers] == [200] * rate + [429]
    assert_refused(answers[-1], 429, "wait 0.")
    assert answers[-1].headers["retry-after"] == "1"
    server.tick(1)
    assert server.post(name, **fields).status_code == 200


def test_one_keys_calls_do_not_use_up_anothers(server: Served) -> None:
    """Strategies have a token each, so one that calls too often stops only itself."""
    server.limit(API=1)
    asked = [server.post("ping", apikey=key) for key in "abcd" for key in [key * 64] * 2]
    assert [answer.status_code for answer in asked] == [200, 429] * 4


def test_every_refusal_is_one_json_object_with_status_and_message(shared_server: Served) -> None:
    for name, fields, _ in FIELDS:
        body = json.loads(shared_server.post(name, **fields).content)
        assert set(body) == {"status", "message"}

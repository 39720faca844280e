"""Several orders in one call, modes, the day's gains, bars by address, and messages."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from algohost.domain.errors import Conflict, Unavailable
from algohost.domain.ids import AccountId
from algohost.testing.courier import FakeCourier
from tests.api.served import ACCOUNT_KEY, MONDAY_0930, RUN_TOKEN, Served
from tests.api.test_refusals import assert_refused

BUY = {"symbol": "RELIANCE", "exchange": "NSE", "action": "BUY", "quantity": 1}
SELL = {**BUY, "symbol": "TCS", "action": "SELL"}
UNKNOWN = {**BUY, "symbol": "NOSUCH"}
NIFTY = {"underlying": "NIFTY", "exchange": "NSE_INDEX", "expiry_date": "26JUN25"}
CALL = {"offset": "ATM", "option_type": "CE", "action": "BUY", "quantity": 65}
GTT = {
    **BUY, "trigger_type": "SINGLE", "product": "CNC", "price": 1100, "triggerprice_sl": 1110,
}  # fmt: skip
OCO = {
    **GTT, "trigger_type": "OCO", "action": "SELL", "triggerprice_sl": 1110, "stoploss": 1105,
    "triggerprice_tg": 1330, "target": 1325,
}  # fmt: skip
LIVE_KEY = "e" * 64


def order_ids(served: Served) -> list[str]:
    """Every order of the account."""
    rows = served.post("orderbook").json()["data"]["orders"]
    return [row["orderid"] for row in rows]


NOT_TAKEN = "is not part of an order here; place an SL order, or a GTT of type OCO"
FIELDS: list[tuple[str, dict[str, Any], str]] = [
    ("placeorder", {**BUY, "stoploss": "1200"}, f"stoploss {NOT_TAKEN}"),
    ("placeorder", {**BUY, "target": 1300.5}, f"target {NOT_TAKEN}"),
    ("placeorder", {**BUY, "trailing_sl": "1"}, f"trailing_sl {NOT_TAKEN}"),
    ("placeorder", {**BUY, "amo": True}, "amo must be false or left out: after-market orders"),
    ("placeorder", {**BUY, "variety": "iceberg"}, "variety must be regular or left out"),
    ("placeorder", {**BUY, "validity": "GTC"}, "validity must be one of DAY, IOC"),
    ("placeorder", {**BUY, "idempotency_key": 7}, "idempotency_key must be text of at most 128"),
    ("placeorder", {**BUY, "idempotency_key": "x" * 129}, "idempotency_key must be text"),
    ("placeorder", {**BUY, "idempotency_key": "é"}, "idempotency_key must be text"),
    ("basketorder", {}, "orders is missing."),
    ("basketorder", {"orders": {}}, "orders must be a list"),
    ("basketorder", {"orders": []}, "orders must have 1 to 100 entries; it has 0."),
    ("basketorder", {"orders": [BUY] * 101}, "orders must have 1 to 100 entries; it has 101."),
    ("basketorder", {"orders": ["RELIANCE"]}, "orders.0 must be an object"),
    ("basketorder", {"orders": [BUY, {**BUY, "quantity": 0}]}, "orders.1.quantity must be a whole"),
    ("basketorder", {"orders": [{**BUY, "amo": "true"}]}, "orders.0.amo must be false"),
    ("splitorder", BUY, "splitsize is missing."),
    ("splitorder", {**BUY, "splitsize": 0}, "splitsize must be a whole number above 0"),
    ("splitorder", {**BUY, "quantity": 101, "splitsize": 1}, "would be 101 orders, and 100 are"),
    ("splitorder", {**BUY, "quantity": 1050, "splitsize": 10}, "splitsize must be 11 or more."),
    ("optionsorder", {**CALL}, "underlying is missing; exchange is missing."),
    ("optionsorder", {**NIFTY, **CALL, "offset": "ITM51"}, "offset must be ATM, ITM1 to ITM50"),
    ("optionsorder", {**NIFTY, **CALL, "option_type": "XX"}, "option_type must be CE or PE"),
    ("optionsorder", {**NIFTY, **CALL, "product": "CNC"}, "product must be one of MIS, NRML"),
    ("optionsorder", {**NIFTY, **CALL, "expiry_date": "2025"}, "expiry_date must be a day written"),
    ("optionsmultiorder", NIFTY, "legs is missing."),
    ("optionsmultiorder", {**NIFTY, "legs": []}, "legs must have 1 to 20 entries; it has 0."),
    ("optionsmultiorder", {**NIFTY, "legs": [CALL] * 21}, "legs must have 1 to 20 entries"),
    ("optionsmultiorder", {**NIFTY, "legs": [{}]}, "legs.0.action is missing"),
    (
        "optionsmultiorder",
        {**NIFTY, "legs": [{**CALL, "quantity": 6500, "splitsize": 65}] * 2},
        "The legs and their pieces are 200 orders, and 100 are placed at once",
    ),
    ("placegttorder", BUY, "trigger_type is missing; product is missing."),
    ("placegttorder", {**GTT, "trigger_type": "BOTH"}, "trigger_type must be SINGLE or OCO"),
    ("placegttorder", {**GTT, "product": "MIS"}, "product must be CNC or NRML: a GTT waits"),
    ("placegttorder", {**GTT, "pricetype": "SL"}, "pricetype must be one of LIMIT, MARKET"),
    ("placegttorder", {**GTT, "quantity": 1.5}, "quantity must be a whole number above 0"),
    ("placegttorder", {**GTT, "triggerprice_sl": -1}, "triggerprice_sl must be a number, 0 or"),
    ("placegttorder", {**GTT, "idempotency_key": "g"}, "counts for orders and not for GTTs"),
    ("placegttorder", {**GTT, "triggerprice_sl": 0}, "A SINGLE GTT has one trigger"),
    ("placegttorder", {**GTT, "triggerprice_tg": 1300}, "A SINGLE GTT has one trigger"),
    ("placegttorder", {**GTT, "price": ""}, "price is 0: give the price of the LIMIT order"),
    ("placegttorder", {**OCO, "target": None}, "target is missing or 0."),
    ("placegttorder", {**OCO, "target": "", "stoploss": 0}, "stoploss, target are missing or 0."),
    ("placegttorder", {**OCO, "triggerprice_sl": 1400}, "triggerprice_sl 1400 must be below"),
    ("modifygttorder", GTT, "trigger_id is missing."),
    ("cancelgttorder", {"trigger_id": ""}, "trigger_id is empty."),
    ("gttorderbook", {"status": "past"}, "status must be one of active, all"),
    ("margin", {}, "positions is missing."),
    ("margin", {"positions": []}, "positions must have 1 to 50 entries; it has 0."),
    ("margin", {"positions": [BUY] * 51}, "positions must have 1 to 50 entries; it has 51."),
    ("margin", {"positions": [BUY]}, "positions.0.pricetype is missing; positions.0.product is"),
    ("instruments", {"format": "xml"}, "format must be one of json, csv, not 'xml'."),
    ("analyzer/toggle", {}, "mode is missing."),
    ("analyzer/toggle", {"mode": "live"}, "mode must be true or false, not 'live'."),
    ("telegram/notify", {"message": "x"}, "username is missing."),
    ("telegram/notify", {"username": "asha", "message": " \n"}, "message is empty."),
    ("telegram/notify", {"username": "asha", "message": 7}, "message must be text"),
    (
        "telegram/notify",
        {"username": "asha", "message": "x" * 4097},
        "message must be at most 4,096 characters; it has 4,097",
    ),
    (
        "telegram/notify",
        {"username": "asha", "message": "x", "priority": 11},
        "priority must be a whole number from 1 to 10, not '11'.",
    ),
    ("whatsapp/notify", {"message": "x", "phone": "919876543210"}, "phone cannot be chosen here"),
    ("whatsapp/notify", {"message": "x", "phones": ["1"]}, "phones cannot be chosen here"),
    ("whatsapp/notify", {"message": "x", "image_path": "/a"}, "image_path is not sent here"),
]


@pytest.mark.parametrize(("name", "fields", "sentence"), FIELDS)
def test_a_bad_field_is_named_and_nothing_is_placed(
    shared_server: Served, name: str, fields: dict[str, Any], sentence: str
) -> None:
    message = assert_refused(shared_server.post(name, **fields), 400, sentence)
    assert message.endswith(".")


def test_a_malformed_order_keeps_the_whole_basket_back(server: Served) -> None:
    response = server.post("basketorder", orders=[BUY, {**BUY, "quantity": -1}])
    assert_refused(response, 400, "orders.1.quantity")
    assert order_ids(server) == []


def test_where_no_order_of_a_basket_was_placed_the_answer_is_a_failure(server: Served) -> None:
    unknown = server.post("basketorder", orders=[UNKNOWN, UNKNOWN])
    assert_refused(unknown, 404, "None of 2 orders was placed. The first: NSE:NOSUCH")
    rejected = server.post("basketorder", orders=[{**BUY, "quantity": 10**7}, UNKNOWN])
    assert_refused(rejected, 400, "None of 2 orders was placed.")
    rows = rejected.json()["results"]
    assert [row["status"] for row in rows] == ["error", "error"]
    assert order_ids(server) == [rows[0]["orderid"]]
    assert rejected.json()["mode"] == "analyze"


def test_what_a_lot_wants_is_placed_in_the_order_of_the_basket_buys_first(server: Served) -> None:
    orders = [{**SELL, "quantity": n} for n in (1, 2)] + [{**BUY, "quantity": n} for n in (3, 4)]
    placed = server.post("basketorder", orders=orders).json()["results"]
    ids = [row["orderid"] for row in placed]
    assert ids == sorted(ids) == order_ids(server)
    book = server.post("orderbook").json()["data"]["orders"]
    assert [(row["action"], row["quantity"]) for row in book] == [
        ("BUY", 3), ("BUY", 4), ("SELL", 1), ("SELL", 2),
    ]  # fmt: skip


def test_a_basket_and_a_split_are_one_call(server: Served) -> None:
    server.limit(ORDERS=2)
    assert server.post("basketorder", orders=[BUY] * 20).status_code == 200
    split = server.post("splitorder", **{**BUY, "quantity": 20}, splitsize=1)
    assert split.status_code == 200
    assert server.post("basketorder", orders=[BUY]).status_code == 429
    assert len(order_ids(server)) == 40


def test_an_engaged_kill_switch_is_asked_for_every_order(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def refuse(_book: object) -> None:
        seen.append(1)
        if len(seen) > 1:
            raise Conflict("The kill switch is engaged.", code="KILL_SWITCH")

    monkeypatch.setattr(server.host.gateway, "_refuse", refuse)
    answer = server.post("basketorder", orders=[BUY, SELL, {**SELL, "quantity": 2}]).json()
    assert [row["status"] for row in answer["results"]].count("success") <= 1
    assert answer["results"][-1]["message"] == "The kill switch is engaged."
    all_refused = server.post("basketorder", orders=[BUY, SELL])
    assert_refused(all_refused, 409, "None of 2 orders was placed. The first: The kill switch")


def test_one_leg_that_fails_inside_the_server_hides_no_other_order(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = server.host.gateway.place

    async def breaks(book: Any, request: Any, **more: Any) -> Any:
        if request.key.symbol == "TCS":
            raise ZeroDivisionError
        return await place(book, request, **more)

    monkeypatch.setattr(server.host.gateway, "place", breaks)
    answer = server.post("basketorder", orders=[BUY, SELL]).json()
    first, second = answer["results"]
    assert (first["status"], second["status"]) == ("success", "error")
    assert "look at the order book before sending it again" in second["message"]


def test_the_same_key_places_nothing_twice(server: Served) -> None:
    """As a header or as a field, for one order and for several."""
    key = {"idempotency_key": "entry-1"}
    first = server.post("placeorder", **BUY, **key).json()
    assert server.post("placeorder", **BUY, **key).json() == first
    url = f"{server.url}/api/v1/placeorder"
    body = {"apikey": ACCOUNT_KEY, **BUY}
    by_header = httpx.post(url, json=body, headers={"idempotency-key": "entry-1"})
    assert by_header.json() == first
    other = server.post("placeorder", **{**BUY, "quantity": 2}, **key)
    assert_refused(other, 409, "idempotency key")
    baskets = [
        server.post("basketorder", orders=[BUY, SELL], idempotency_key="b").json() for _ in range(2)
    ]
    assert baskets[0] == baskets[1]
    smart = [
        server.post("placesmartorder", **BUY, position_size=9, idempotency_key="s").json()
        for _ in range(2)
    ]
    assert smart[0] == smart[1]
    assert len(order_ids(server)) == 4


def test_a_key_of_one_book_is_not_another_ones(server: Served) -> None:
    key = {"idempotency_key": "entry-1"}
    first = server.post("placeorder", **BUY, **key).json()["orderid"]
    second = server.post("placeorder", **BUY, **key, apikey=RUN_TOKEN).json()["orderid"]
    assert first != second


def test_an_order_may_be_valid_for_the_moment_only(server: Served) -> None:
    last = server.post("quotes", symbol="RELIANCE", exchange="NSE").json()["data"]["ltp"]
    order = {**BUY, "pricetype": "LIMIT", "price": round(last * 0.95)}
    ids = [
        server.post("placeorder", **order, validity=word).json().get("orderid")
        for word in ("DAY", "IOC")
    ]
    states = [server.post("orderstatus", orderid=one).json()["data"]["order_status"] for one in ids]
    assert states == ["open", "cancelled"]


def test_the_gains_of_instruments_sum_to_the_total(server: Served) -> None:
    server.post("basketorder", orders=[{**BUY, "quantity": 5}, {**SELL, "quantity": 3}])
    server.post("placeorder", **{**SELL, "action": "BUY"}, apikey=RUN_TOKEN)
    server.tick(60)
    answer = server.post("pnl/symbols").json()
    rows = {row["symbol"]: row for row in answer["data"]}
    assert {name: row["quantity"] for name, row in rows.items()} == {"RELIANCE": 5, "TCS": -2}
    for total, each in (
        ("total_pnl", "pnl"),
        ("total_unrealized_pnl", "unrealized_pnl"),
        ("total_today_realized_pnl", "today_realized_pnl"),
        ("total_pnl_today", "total_pnl_today"),
    ):
        assert answer[total] == pytest.approx(sum(row[each] for row in rows.values()), abs=0.011)
    assert answer["total_pnl_today"] == answer["total_pnl"], "nothing was carried"
    own = server.post("pnl/symbols", apikey=RUN_TOKEN).json()["data"]
    assert [(row["symbol"], row["quantity"]) for row in own] == [("TCS", 1)]


def test_carried_units_gain_from_their_previous_close(server: Served) -> None:
    bought = {**BUY, "quantity": 5, "product": "NRML", "symbol": "NIFTY26JUN25FUT"}
    bought |= {"exchange": "NFO", "quantity": 65}
    if server.post("placeorder", **bought).status_code != 200:
        pytest.skip("this market has no futures")
    server.tick(86_400)
    (row,) = server.post("pnl/symbols").json()["data"]
    quote = server.post("quotes", symbol="NIFTY26JUN25FUT", exchange="NFO").json()["data"]
    today = 65 * (quote["ltp"] - quote["prev_close"])
    assert row["total_pnl_today"] == pytest.approx(today, abs=0.01)
    assert row["pnl"] != row["total_pnl_today"]


@pytest.fixture
def live(server: Served) -> Served:
    """The server with a key of an account whose orders are live."""
    known = server.keys.known
    known[LIVE_KEY] = replace(known[ACCOUNT_KEY], account_id=AccountId("live-1"))
    return server


def test_live_answers_name_no_mode_and_a_toggle_to_analyze_is_refused(live: Served) -> None:
    """A script that believes its orders to be simulated must not hear a success."""
    state = live.post("analyzer", apikey=LIVE_KEY).json()
    assert "mode" not in state
    assert (state["data"]["analyze_mode"], state["data"]["mode"]) == (False, "live")
    refused = live.post("analyzer/toggle", mode=True, apikey=LIVE_KEY)
    assert_refused(refused, 409, "Orders are live, and stay so: nothing was switched.")
    kept = live.post("analyzer/toggle", mode="false", apikey=LIVE_KEY).json()
    assert kept["data"]["message"].startswith("Already in live mode.")
    assert "mode" not in live.post("funds", apikey=LIVE_KEY).json()
    assert live.post("funds").json()["mode"] == "analyze"


def test_the_ticker_of_a_live_account_is_not_this_markets(live: Served) -> None:
    answer = ticker(live, "NSE:TCS", apikey=LIVE_KEY)
    assert_refused(answer, 400, "Ask history: a live account's bars are its broker's.")


TICKER = {"apikey": ACCOUNT_KEY, "from": "2025-05-30", "to": "2025-06-02"}


def ticker(served: Served, name: str, **fields: str) -> httpx.Response:
    """Bars by address."""
    return httpx.get(f"{served.url}/api/v1/ticker/{name}", params={**TICKER, **fields})


def test_the_ticker_answers_as_history_does(shared_server: Served) -> None:
    asked = {"symbol": "TCS", "exchange": "NSE", "interval": "5m"}
    days = {"start_date": "2025-05-30", "end_date": "2025-06-02"}
    by_post = shared_server.post("history", **asked, **days).json()
    assert ticker(shared_server, "NSE:TCS", interval="5m").json() == by_post
    daily = shared_server.post("history", **{**asked, "interval": "D"}, **days).json()
    assert ticker(shared_server, "NSE:TCS").json() == daily
    header = {"x-api-key": ACCOUNT_KEY}
    params = {name: value for name, value in TICKER.items() if name != "apikey"}
    url = f"{shared_server.url}/api/v1/ticker/NSE:TCS"
    assert httpx.get(url, params=params, headers=header).json() == daily


def test_the_tickers_text_has_a_line_for_each_bar_in_ist(shared_server: Served) -> None:
    answer = ticker(shared_server, "NSE:TCS", interval="5m", format="txt")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    lines = answer.text.split("\n")
    bars = ticker(shared_server, "NSE:TCS", interval="5m").json()["data"]
    assert len(lines) == len(bars)
    name, day, time, *figures = lines[-1].split(",")
    assert (name, day, time) == ("NSE:TCS", "2025-06-02", "09:30:00")
    last = bars[-1]
    assert last["timestamp"] == int(MONDAY_0930.timestamp())
    assert [float(one) for one in figures] == [
        last[name] for name in ("open", "high", "low", "close", "volume")
    ]
    daily = ticker(shared_server, "NSE:TCS", format="txt").text.split("\n")
    assert [line.split(",")[:2] for line in daily][-1] == ["NSE:TCS", "2025-06-02"]
    assert all(line.count(",") == 6 for line in daily)


def test_instruments_answer_to_get_and_to_post_alike(shared_server: Served) -> None:
    """A key in the address counts here, since the client puts it there."""
    asked = {"exchange": "NSE_INDEX"}
    url = f"{shared_server.url}/api/v1/instruments"
    by_get = httpx.get(url, params={**asked, "apikey": ACCOUNT_KEY}).json()
    by_header = httpx.get(url, params=asked, headers={"x-api-key": ACCOUNT_KEY}).json()
    assert by_get == by_header == shared_server.post("instruments", **asked).json()
    text = httpx.get(url, params={**asked, "apikey": ACCOUNT_KEY, "format": "csv"}).text
    assert len(text.splitlines()) == len(by_get["data"]) + 1
    assert httpx.get(url, params={**asked, "apikey": "x" * 64}).status_code == 403


def test_a_key_may_be_in_the_header_of_a_post(shared_server: Served) -> None:
    url = f"{shared_server.url}/api/v1/ping"
    assert httpx.post(url, json={}, headers={"x-api-key": ACCOUNT_KEY}).status_code == 200
    assert httpx.post(f"{url}?apikey={ACCOUNT_KEY}", json={}).status_code == 403


BAD_TICKERS = [
    ("NSE:TCS", {"to": "2025-05-29"}, 400, "to 2025-05-29 is before from 2025-05-30; swap them."),
    ("NSE:TCS", {"from": "yesterday"}, 400, "from must be a date"),
    ("NSE:TCS", {"interval": "7m"}, 400, "interval must be one of"),
    ("NSE:TCS", {"format": "xml"}, 400, "format must be one of json, txt"),
    ("NSE:TCS", {"sort": "desc"}, 400, "sort must be asc: the oldest bar comes first."),
    ("TCS", {}, 400, "The address ends with EXCHANGE:SYMBOL, such as NSE:RELIANCE"),
    ("LSE:TCS", {}, 400, "The address ends with EXCHANGE:SYMBOL"),
    ("NSE:NOSUCH", {}, 404, "NSE:NOSUCH is not listed"),
    ("NSE:TCS", {"apikey": "x"}, 403, "Invalid openalgo apikey"),
]


@pytest.mark.parametrize(("name", "fields", "status", "part"), BAD_TICKERS)
def test_a_bad_address_is_refused(
    shared_server: Served, name: str, fields: dict[str, str], status: int, part: str
) -> None:
    assert_refused(ticker(shared_server, name, **fields), status, part)


def test_a_refusal_of_the_text_form_is_a_line_of_text(shared_server: Served) -> None:
    answer = ticker(shared_server, "NSE:NOSUCH", format="txt")
    assert (answer.status_code, answer.headers["content-type"]) == (
        404,
        "text/plain; charset=utf-8",
    )
    assert answer.text.startswith("NSE:NOSUCH is not listed")
    assert answer.text.endswith("\n")


def test_a_message_reaches_the_users_targets_with_the_strategys_name(server: Served) -> None:
    notices, asha = server.host.notices, server.keys.known[ACCOUNT_KEY].user
    fields = {"username": "ASHA", "message": "Bought\n10 ₹", "priority": "9", "apikey": RUN_TOKEN}
    unconfigured = server.post("telegram/notify", **fields)
    assert_refused(unconfigured, 409, "add a notification target with 'algohost notify add'")
    server.wait_for(notices.add(asha, "phone", "fake://phone"))
    assert server.post("telegram/notify", **fields).json()["queued"] == 1
    server.wait_for(notices.step())
    courier = notices._courier
    assert isinstance(courier, FakeCourier)
    (sent,) = courier.letters
    assert (sent.title, sent.body, sent.priority) == ("ema_20250602093000", "Bought\n10 ₹", 9)


def test_a_journal_that_cannot_be_written_fails_the_basket_as_unavailable(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_args: Any, **_more: Any) -> Any:
        raise Unavailable("The order journal could not be written.")

    monkeypatch.setattr(server.host.gateway, "place", broken)
    response = server.post("basketorder", orders=[BUY, SELL])
    assert_refused(response, 503, "None of 2 orders was placed. The first: The order journal")


def test_a_gtt_belongs_to_the_book_that_placed_it(server: Served) -> None:
    placed = server.post("placegttorder", **GTT, apikey=RUN_TOKEN).json()["trigger_id"]
    assert server.post("gttorderbook", apikey="d" * 64).json()["data"] == []
    refused = server.post("cancelgttorder", trigger_id=placed, apikey="d" * 64)
    assert refused.status_code == 404
    assert [row["trigger_id"] for row in server.post("gttorderbook").json()["data"]] == [placed]
    assert server.post("cancelgttorder", trigger_id=placed).status_code == 200

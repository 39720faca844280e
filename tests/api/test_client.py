"""The real openalgo client against the real server: the client is the judge.

The same script runs under the client that this environment has (1.x on Python 3.11, 2.x on later
ones), and under the one of another interpreter, which ALGOHOST_OTHER_CLIENT names.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openalgo
import pytest

from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.quotes import Interval
from tests.api import client_script
from tests.api.served import (
    ACCOUNT_KEY,
    MONDAY_0930,
    OTHER_ACCOUNT_KEY,
    RUN_TOKEN,
    Served,
    running,
)

OTHER_PYTHON = os.environ.get("ALGOHOST_OTHER_CLIENT")
SAID = {"status": "success", "mode": "analyze"}
ORDER_FIELDS = {
    "action", "average_price", "exchange", "order_status", "orderid", "price", "pricetype",
    "product", "quantity", "symbol", "timestamp", "trigger_price",
}  # fmt: skip
STAMP = re.compile(r"02-Jun-2025 09:30:\d\d")


def run_script(python: str, served: Served) -> dict[str, Any]:
    """What the script printed under that interpreter."""
    script = Path(client_script.__file__)
    ran = subprocess.run(
        [python, str(script), served.url, served.feed_url, RUN_TOKEN],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    said: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return said


def add_target(served: Served) -> None:
    """Where asha's messages go."""
    asha = served.keys.known[ACCOUNT_KEY].user
    served.wait_for(served.host.notices.add(asha, "phone", "fake://phone"))


@pytest.fixture(
    scope="module",
    params=[
        "own client",
        pytest.param(
            "other client",
            marks=pytest.mark.skipif(
                not OTHER_PYTHON,
                reason="ALGOHOST_OTHER_CLIENT names no Python with another openalgo (1.x or 2.x)",
            ),
        ),
    ],
)
def said(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """Everything that the script heard, from a server that nobody else uses."""
    with running() as served:
        add_target(served)
        is_own = request.param == "own client"
        heard = run_script(sys.executable if is_own else str(OTHER_PYTHON), served)
        assert (heard["version"] == openalgo.__version__) is is_own
        yield heard


@pytest.fixture
def rest(said: dict[str, Any]) -> dict[str, Any]:
    """What the REST methods returned."""
    answers: dict[str, Any] = said["rest"]
    return answers


@pytest.fixture
def feed(said: dict[str, Any]) -> dict[str, Any]:
    """What the streaming methods returned and stored."""
    answers: dict[str, Any] = said["feed"]
    return answers


@pytest.fixture
def several(said: dict[str, Any]) -> dict[str, Any]:
    """What the methods for several orders, and those for options, returned."""
    answers: dict[str, Any] = said["several"]
    return answers


@pytest.fixture
def account(said: dict[str, Any]) -> dict[str, Any]:
    """What the methods about modes, messages, instruments and GTTs returned."""
    answers: dict[str, Any] = said["account"]
    return answers


def kinds(row: dict[str, Any]) -> dict[str, type]:
    """The type of each value."""
    return {name: type(value) for name, value in row.items()}


QUOTE_KINDS = {
    "open": float, "high": float, "low": float, "ltp": float, "ask": float, "bid": float,
    "prev_close": float, "volume": int, "oi": int,
}  # fmt: skip


def test_quotes_are_floats_and_integers_by_the_names_of_the_contract(
    rest: dict[str, Any],
) -> None:
    quote = rest["quotes"]["data"]
    assert kinds(quote) == QUOTE_KINDS
    assert quote["low"] <= quote["ltp"] <= quote["high"]
    assert quote["bid"] < quote["ask"]


def test_multiquotes_keep_the_order_and_mark_the_unknown_one(rest: dict[str, Any]) -> None:
    results = rest["multiquotes"]["results"]
    assert [r["symbol"] for r in results] == ["RELIANCE", "TCS", "NOSUCH"]
    assert [kinds(r["data"]) for r in results[:2]] == [QUOTE_KINDS, QUOTE_KINDS]
    assert set(results[2]) == {"symbol", "exchange", "error"}


def test_depth_has_five_levels_a_side_best_first(rest: dict[str, Any]) -> None:
    depth = rest["depth"]["data"]
    assert {"ltq", "totalbuyqty", "totalsellqty"} < set(depth)
    asks, bids = ([level["price"] for level in depth[side]] for side in ("asks", "bids"))
    assert len(asks) == len(bids) == 5
    assert asks == sorted(asks)
    assert bids == sorted(bids, reverse=True)
    assert (bids[0], asks[0]) == (depth["bid"], depth["ask"])
    assert kinds(depth["asks"][0]) == {"price": float, "quantity": int}


@pytest.mark.parametrize("interval", ["1m", "5m"])
def test_intraday_history_is_a_frame_indexed_by_ist(rest: dict[str, Any], interval: str) -> None:
    frame = rest[f"history_{interval}"]
    assert frame["columns"] == ["close", "high", "low", "oi", "open", "volume"]
    assert (frame["index"], frame["zone"], frame["ascending"]) == (
        "timestamp",
        "Asia/Kolkata",
        True,
    )
    assert frame["last"] == "2025-06-02 09:30:00+05:30"
    assert {frame["dtypes"][name] for name in ("open", "high", "low", "close")} == {"float64"}
    assert frame["dtypes"]["volume"] == "int64"


def test_daily_history_is_indexed_by_plain_dates(rest: dict[str, Any]) -> None:
    frame = rest["history_D"]
    assert (frame["zone"], frame["first"], frame["last"]) == (
        "None",
        "2025-05-01 00:00:00",
        "2025-06-02 00:00:00",
    )


def test_intervals_symbol_and_search(rest: dict[str, Any]) -> None:
    assert rest["intervals"]["data"]["minutes"][:3] == ["1m", "2m", "3m"]
    assert rest["intervals"]["data"]["days"] == ["D"]
    row = rest["symbol"]["data"]
    assert (row["symbol"], row["exchange"], row["lotsize"]) == ("RELIANCE", "NSE", 1)
    assert kinds(row)["tick_size"] is float
    assert rest["search"]["data"][0] == row
    assert rest["search"]["message"] == "Found 1 matching symbols"
    assert (rest["search_everywhere"]["status"], rest["search_everywhere"]["data"]) == (
        "success",
        [],
    )


def test_an_order_answers_with_its_id_and_its_mode(rest: dict[str, Any]) -> None:
    for name in ("placeorder", "limit", "modifyorder", "cancelorder", "stop", "smart"):
        answer = rest[name]
        assert answer == {**SAID, "orderid": answer["orderid"]}
        assert type(answer["orderid"]) is str


def test_orderstatus_has_exactly_the_fields_of_the_contract(rest: dict[str, Any]) -> None:
    status = rest["orderstatus"]["data"]
    assert set(status) == ORDER_FIELDS
    assert (status["order_status"], status["quantity"], status["price"]) == ("complete", 10, 0.0)
    assert status["average_price"] == rest["quotes"]["data"]["ask"]
    assert STAMP.fullmatch(status["timestamp"])


def test_an_order_goes_through_its_states(rest: dict[str, Any]) -> None:
    words = [
        rest[name]["data"]["order_status"]
        for name in ("limit_status", "modified_status", "cancelled_status", "stop_status")
    ]
    assert words == ["open", "open", "cancelled", "trigger pending"]
    changed = rest["modified_status"]["data"]
    assert changed["quantity"] == 6
    assert changed["price"] == float(round(rest["quotes"]["data"]["ltp"] * 0.96))


def test_cancelallorder_names_what_it_cancelled(rest: dict[str, Any]) -> None:
    assert rest["cancelallorder"] == {
        **SAID,
        "message": "Canceled 1 orders. Failed to cancel 0 orders.",
        "canceled_orders": [rest["stop"]["orderid"]],
        "failed_cancellations": [],
    }


def test_a_smart_order_trades_the_difference_and_then_nothing(rest: dict[str, Any]) -> None:
    assert rest["openposition"] == {**SAID, "quantity": 10}
    by_id = {order["orderid"]: order for order in rest["orderbook"]["data"]["orders"]}
    assert by_id[rest["smart"]["orderid"]]["quantity"] == 15
    assert "orderid" not in rest["smart_again"]
    assert "25 already" in rest["smart_again"]["message"]


def test_the_books_agree_with_each_other(rest: dict[str, Any]) -> None:
    book = rest["orderbook"]["data"]
    assert all(set(order) == ORDER_FIELDS for order in book["orders"])
    assert book["statistics"] == {
        "total_buy_orders": 4,
        "total_sell_orders": 1,
        "total_completed_orders": 3,
        "total_open_orders": 0,
        "total_rejected_orders": 0,
    }
    trades = rest["tradebook"]["data"]
    assert [(t["symbol"], t["quantity"]) for t in trades] == [
        ("RELIANCE", 10),
        ("RELIANCE", 15),
        ("TCS", 3),
    ]
    assert all(t["trade_value"] == round(t["quantity"] * t["average_price"], 2) for t in trades)
    held = {(p["symbol"], p["product"]): p for p in rest["positionbook"]["data"]}
    assert {key: p["quantity"] for key, p in held.items()} == {
        ("RELIANCE", "MIS"): 25,
        ("TCS", "CNC"): 3,
    }
    reliance = held["RELIANCE", "MIS"]
    gain = 25 * (reliance["ltp"] - reliance["average_price"])
    assert reliance["pnl"] == pytest.approx(gain, abs=0.005)
    assert kinds(reliance) == {
        "symbol": str, "exchange": str, "product": str, "quantity": int,
        "average_price": float, "ltp": float, "pnl": float,
    }  # fmt: skip


def test_holdings_are_there_with_their_statistics(rest: dict[str, Any]) -> None:
    """What is bought today is a position; it becomes a holding on the next day."""
    assert rest["holdings"]["data"] == {
        "holdings": [],
        "statistics": {
            "totalholdingvalue": 0.0,
            "totalinvvalue": 0.0,
            "totalprofitandloss": 0.0,
            "totalpnlpercentage": 0.0,
        },
    }


def test_closeposition_leaves_nothing_open(rest: dict[str, Any]) -> None:
    assert rest["closeposition"]["status"] == "success"
    assert rest["flat"] == {**SAID, "quantity": 0}
    assert {p["quantity"] for p in rest["closed_book"]["data"]} == {0}
    assert all(p["average_price"] == 0.0 for p in rest["closed_book"]["data"])


def test_funds_are_numbers(rest: dict[str, Any]) -> None:
    assert rest["funds"]["data"] == {
        "availablecash": 10_000_000.0,
        "collateral": 0.0,
        "m2mrealized": 0.0,
        "m2munrealized": 0.0,
        "utiliseddebits": 0.0,
    }


def test_the_client_reports_refusals_with_our_sentence(rest: dict[str, Any]) -> None:
    assert (rest["bad_symbol"]["status"], rest["bad_symbol"]["code"]) == ("error", 404)
    assert "NSE:NOSUCH is not listed" in rest["bad_symbol"]["message"]


def test_a_basket_buys_first_and_has_a_result_for_each_order(several: dict[str, Any]) -> None:
    basket = several["basket"]
    assert (basket["status"], basket["mode"]) == ("success", "analyze")
    assert basket["message"] == "2 of 3 orders were placed."
    rows = [(row["symbol"], row["status"], "orderid" in row) for row in basket["results"]]
    assert rows == [
        ("RELIANCE", "success", True),
        ("NOSUCH", "error", False),
        ("TCS", "success", True),
    ]
    assert basket["results"][1]["message"].startswith("NSE:NOSUCH is not listed.")
    assert several["no_basket"]["code"] == 400
    assert "orders.0.quantity must be a whole number above 0" in several["no_basket"]["message"]


def test_a_split_is_placed_in_pieces_the_last_with_what_is_left(several: dict[str, Any]) -> None:
    split = several["split"]
    assert {name: split[name] for name in ("status", "split_size", "total_quantity")} == {
        "status": "success",
        "split_size": 50,
        "total_quantity": 105,
    }
    rows = [(row["order_num"], row["quantity"], row["status"]) for row in split["results"]]
    assert rows == [(1, 50, "success"), (2, 50, "success"), (3, 5, "success")]
    assert len({row["orderid"] for row in split["results"]}) == 3


def test_an_option_is_ordered_by_its_distance_from_the_money(several: dict[str, Any]) -> None:
    order, expiry = several["optionsorder"], several["expiry"]
    assert {**order, "orderid": "", "underlying_ltp": 0.0} == {
        **SAID,
        "orderid": "",
        "symbol": f"NIFTY{expiry}21750CE",
        "exchange": "NFO",
        "underlying": "NIFTY",
        "underlying_ltp": 0.0,
        "offset": "ATM",
        "option_type": "CE",
    }
    assert abs(order["underlying_ltp"] - 21750) < 50
    split = several["options_split"]
    assert [row["quantity"] for row in split["results"]] == [several["lot"]] * 2
    assert (split["symbol"], split["total_quantity"]) == (order["symbol"], 2 * several["lot"])


def test_the_legs_of_several_options_answer_in_their_order(several: dict[str, Any]) -> None:
    multi = several["multi"]
    assert (multi["status"], multi["underlying"]) == ("success", "NIFTY")
    assert multi["message"] == "2 of 3 orders were placed."
    legs = multi["results"]
    shown = [
        (leg["leg"], leg["offset"], leg["option_type"], leg["action"], leg["status"])
        for leg in legs
    ]
    assert shown == [
        (1, "OTM2", "CE", "SELL", "success"),
        (2, "OTM4", "CE", "BUY", "success"),
        (3, "OTM1", "PE", "BUY", "error"),
    ]
    assert int(legs[1]["orderid"]) < int(legs[0]["orderid"]), "the purchase was placed first"
    assert "lot size" in legs[2]["message"]


def test_margin_says_what_orders_would_block(several: dict[str, Any]) -> None:
    data = several["margin"]["data"]
    assert kinds(data) == {
        "total_margin_required": float, "span_margin": float, "exposure_margin": float,
    }  # fmt: skip
    assert data["total_margin_required"] > 0


def test_the_analyzer_says_the_mode_and_a_toggle_where_it_is_set(account: dict[str, Any]) -> None:
    state = account["analyzer"]["data"]
    assert (state["analyze_mode"], state["mode"]) == (True, "analyze")
    assert type(state["total_logs"]) is int
    for name, begin in (("toggle", "Already in analyze mode."), ("toggle_live", "Orders stay")):
        answer = account[name]
        assert (answer["status"], answer["data"]["mode"]) == ("success", "analyze")
        assert answer["data"]["message"].startswith(begin)
        assert "belongs to each strategy" in answer["data"]["message"]


def test_messages_go_to_ones_own_targets_and_to_nobody_else(account: dict[str, Any]) -> None:
    assert account["telegram"] == {
        **SAID,
        "message": "The message is on its way to 1 target.",
        "queued": 1,
    }
    assert account["telegram_other"]["code"] == 404
    assert "login name of the user whose key it is, asha" in account["telegram_other"]["message"]
    if "whatsapp" in account:
        assert account["whatsapp"] == account["telegram"]
        assert account["whatsapp_to"]["code"] == 400
        assert "phone cannot be chosen here" in account["whatsapp_to"]["message"]


def test_instruments_are_a_frame_with_the_clients_columns(account: dict[str, Any]) -> None:
    assert account["instruments"]["rows"] > 3
    assert set(account["instruments"]["columns"]) >= {
        "symbol", "brsymbol", "name", "exchange", "token", "expiry", "strike", "lotsize",
        "instrumenttype", "tick_size",
    }  # fmt: skip


def test_a_gtt_lives_and_ends_as_the_client_says(account: dict[str, Any]) -> None:
    if "gtt" not in account:
        pytest.skip("this version of the client has no GTT")
    gtt = account["gtt"]
    ids = [gtt["placed"]["trigger_id"], gtt["oco"]["trigger_id"]]
    assert all(answer == {**SAID, "trigger_id": ids[0]} for answer in (
        gtt["placed"], gtt["modified"], gtt["cancelled"],
    ))  # fmt: skip
    single, oco = gtt["book"]["data"]
    assert [single["trigger_id"], oco["trigger_id"]] == ids
    assert (single["trigger_type"], oco["trigger_type"]) == ("single", "two-leg")
    assert (len(single["legs"]), len(oco["legs"])) == (1, 2)
    assert set(single) == {
        "trigger_id", "trigger_type", "status", "symbol", "exchange", "trigger_prices",
        "last_price", "legs", "created_at", "updated_at", "expires_at",
    }  # fmt: skip
    assert set(single["legs"][0]) == {"action", "quantity", "price", "pricetype", "product"}
    assert oco["trigger_prices"] == sorted(oco["trigger_prices"])
    assert (single["status"], single["updated_at"]) == ("active", "")
    assert [row["trigger_id"] for row in gtt["left"]["data"]] == ids[1:]
    assert [row["status"] for row in gtt["all"]["data"]] == ["active", "cancelled"]


GTT_REFUSALS = [
    ("mis", 400, "product must be CNC or NRML: a GTT waits for days"),
    ("no_price", 400, "price is 0: give the price of the LIMIT order"),
    ("other_side", 400, "keeps its instrument, its side and its kind"),
    ("again", 409, ""),
]


@pytest.mark.parametrize(("name", "code", "part"), GTT_REFUSALS)
def test_a_gtt_is_refused_in_words(
    account: dict[str, Any], name: str, code: int, part: str
) -> None:
    if "gtt" not in account:
        pytest.skip("this version of the client has no GTT")
    answer = account["gtt"][name]
    assert (answer["status"], answer["code"]) == ("error", code)
    assert part in answer["message"]
    assert answer["message"].endswith(".")


def test_the_strategy_module_of_openalgo_is_not_here_and_the_answer_says_what_is(
    account: dict[str, Any],
) -> None:
    if "strategylist" not in account:
        pytest.skip("this version of the client has no strategy module")
    assert account["strategylist"]["code"] == 404
    assert "strategies here are Python files" in account["strategylist"]["message"]


def test_the_feed_connects_and_delivers_a_snapshot_at_once(feed: dict[str, Any]) -> None:
    assert (feed["connected"], feed["subscribed"], feed["arrived"]) == (True, [True] * 3, True)
    assert feed["connected_after"] is False


def test_what_the_feed_stores_is_what_the_rest_calls_say(
    feed: dict[str, Any], rest: dict[str, Any]
) -> None:
    quote, key = rest["quotes"]["data"], "NSE:RELIANCE"
    assert set(feed["ltp_data"]) == {"NSE:RELIANCE", "NSE:TCS"}
    assert feed["ltp_data"][key]["price"] == quote["ltp"]
    assert type(feed["ltp_data"][key]["timestamp"]) is int
    stored = feed["quotes_data"][key]
    assert {name: stored[name] for name in ("open", "high", "low", "ltp", "volume")} == {
        name: quote[name] for name in ("open", "high", "low", "ltp", "volume")
    }
    assert stored["close"] == quote["prev_close"]
    assert stored["change"] == round(quote["ltp"] - quote["prev_close"], 2)
    assert stored["last_trade_quantity"] == rest["depth"]["data"]["ltq"]
    assert stored["avg_trade_price"] > 0
    assert stored["change_percent"] != 0
    book = feed["depth_data"][key]
    assert book["ltp"] == quote["ltp"]
    assert [level["price"] for level in book["depth"]["buy"]] == [
        level["price"] for level in rest["depth"]["data"]["bids"]
    ]
    assert kinds(book["depth"]["sell"][0]) == {"price": float, "quantity": int, "orders": int}


def test_the_feeds_getters_give_the_nested_forms(feed: dict[str, Any]) -> None:
    assert feed["get_ltp"]["ltp"]["NSE"]["RELIANCE"]["ltp"] > 0
    assert feed["get_quotes"]["quote"]["NSE"]["TCS"]["close"] > 0
    book = feed["get_depth"]["depth"]["NSE"]["RELIANCE"]
    assert set(book["buyBook"]) == {"1", "2", "3", "4", "5"}
    assert book["buyBook"]["1"]["price"] < book["sellBook"]["1"]["price"]
    assert feed["heard_ltp"]["mode"] == 1
    assert set(feed["heard_ltp"]["data"]) == {"ltp", "timestamp"}


def test_order_updates_reach_a_client_that_knows_them(said: dict[str, Any]) -> None:
    if said["version"].startswith("1."):
        assert "orders" not in said["feed"]
        return
    last = said["feed"]["orders"][-1]
    assert (last["order_status"], last["filled_quantity"], last["pending_quantity"]) == (
        "complete",
        2,
        0,
    )
    assert (last["symbol"], last["action"], last["rejection_reason"]) == ("RELIANCE", "BUY", "")


def test_a_run_acts_on_its_own_book_and_the_account_sees_all(server: Served) -> None:
    """The text in ``strategy`` is a label: the key alone decides whose order it is."""
    buy = {"symbol": "TCS", "exchange": "NSE", "action": "BUY", "product": "MIS"}
    place = {**buy, "strategy": "rsi_20250602093000"}
    of_run = server.post("placeorder", **place, quantity=4, apikey=RUN_TOKEN).json()["orderid"]
    by_hand = server.post("placeorder", **place, quantity=3).json()["orderid"]

    def ids(key: str) -> list[str]:
        orders = server.post("orderbook", apikey=key).json()["data"]["orders"]
        return [order["orderid"] for order in orders]

    assert ids(RUN_TOKEN) == [of_run]
    assert ids("d" * 64) == []
    assert ids(OTHER_ACCOUNT_KEY) == []
    assert ids(ACCOUNT_KEY) == [of_run, by_hand]
    assert server.post("orderstatus", orderid=by_hand, apikey=RUN_TOKEN).status_code == 404
    assert server.post("orderstatus", orderid=of_run).status_code == 200
    position = {"symbol": "TCS", "exchange": "NSE", "product": "MIS"}
    held = {
        key: server.post("openposition", **position, apikey=key).json()["quantity"]
        for key in (RUN_TOKEN, "d" * 64, ACCOUNT_KEY)
    }
    assert held == {RUN_TOKEN: 4, "d" * 64: 0, ACCOUNT_KEY: 7}
    assert len(server.post("positionbook").json()["data"]) == 1
    server.post("closeposition", apikey=RUN_TOKEN)
    assert server.post("openposition", **position).json()["quantity"] == 3


def below_market(served: Served) -> int:
    """A price at which an order for TCS rests, within the day's band."""
    last = served.post("quotes", symbol="TCS", exchange="NSE").json()["data"]["ltp"]
    return round(float(last) * 0.95)


def test_an_account_key_cancels_and_closes_for_the_whole_account(server: Served) -> None:
    rest = {"symbol": "TCS", "exchange": "NSE", "action": "BUY", "quantity": 1}
    rest["price"] = below_market(server)
    for key in (RUN_TOKEN, "d" * 64, ACCOUNT_KEY):
        server.post("placeorder", **rest, pricetype="LIMIT", apikey=key)
    assert len(server.post("cancelallorder", apikey=RUN_TOKEN).json()["canceled_orders"]) == 1
    assert len(server.post("cancelallorder").json()["canceled_orders"]) == 2
    assert server.post("closeposition").json()["message"] == "No open positions to close."


def test_what_an_order_is_about_cannot_be_modified(server: Served) -> None:
    order = {"symbol": "TCS", "exchange": "NSE", "action": "BUY", "quantity": 1}
    order |= {"pricetype": "LIMIT", "product": "MIS", "price": below_market(server)}
    order_id = server.post("placeorder", **order).json()["orderid"]
    for change in ({"symbol": "INFY"}, {"action": "SELL"}, {"product": "CNC"}):
        answer = server.post("modifyorder", **{**order, **change}, orderid=order_id)
        assert answer.status_code == 400
        assert "cannot be changed" in answer.json()["message"]
    done = server.post("cancelorder", orderid=order_id)
    assert done.json()["orderid"] == order_id
    assert server.post("cancelorder", orderid=order_id).status_code == 409


def test_numbers_may_come_as_numbers_or_as_text(server: Served) -> None:
    order = {"symbol": "TCS", "exchange": "NSE", "action": "BUY", "pricetype": "LIMIT"}
    at = below_market(server) + 0.05
    for quantity, price in ((2, at), ("2", str(at)), (2.0, f"{at}0"), ("2.0", at)):
        placed = server.post("placeorder", **order, quantity=quantity, price=price).json()
        row = server.post("orderstatus", orderid=placed["orderid"]).json()["data"]
        assert (row["quantity"], row["price"], row["order_status"]) == (2, at, "open")


def test_shares_bought_yesterday_are_holdings(server: Served) -> None:
    server.post("placeorder", symbol="TCS", exchange="NSE", action="BUY", quantity=2, product="CNC")
    server.tick(86_400)
    book = server.post("holdings").json()["data"]
    row = book["holdings"][0]
    assert (row["symbol"], row["quantity"], row["product"]) == ("TCS", 2, "CNC")
    assert row["pnl"] == pytest.approx(2 * (row["ltp"] - row["average_price"]), abs=0.005)
    assert book["statistics"]["totalprofitandloss"] == row["pnl"]
    assert server.post("positionbook").json()["data"] == []


def test_history_of_thousands_of_rows_is_whole_and_in_order(server: Served) -> None:
    """Long answers are made in parts; they are the same as short ones."""
    fields = {"symbol": "TCS", "exchange": "NSE", "interval": "1m", "end_date": "2025-06-02"}
    rows = server.post("history", **fields, start_date="2025-05-20").json()["data"]
    assert len(rows) == 13 * 1440 + 571
    stamps = [row["timestamp"] for row in rows]
    assert stamps == list(range(stamps[0], stamps[0] + 60 * len(rows), 60))
    assert kinds(rows[0]) == {
        "timestamp": int, "open": float, "high": float, "low": float, "close": float,
        "volume": int, "oi": int,
    }  # fmt: skip
    assert all(row["low"] <= min(row["open"], row["close"]) for row in rows)
    short = server.post("history", **fields, start_date="2025-06-02").json()["data"]
    assert short == rows[-len(short) :]


@pytest.mark.parametrize("interval", list(Interval))
def test_history_is_what_the_market_says_for_every_interval(
    shared_server: Served, interval: Interval
) -> None:
    """However the span is cut into parts, no bar is lost, doubled or changed."""
    key = InstrumentKey(exchange=Exchange.NSE, symbol="INFY")
    first = {"s": "2025-06-01", "m": "2025-05-12", "h": "2025-04-01"}.get(
        interval.value[-1], "2022-12-15"
    )
    answered = shared_server.post(
        "history",
        symbol="INFY",
        exchange="NSE",
        interval=interval.value,
        start_date=first,
        end_date="2030-01-01",
    ).json()["data"]
    start = datetime.fromisoformat(f"{first}T00:00:00+05:30")
    end = MONDAY_0930 + timedelta(days=1)
    bars = shared_server.do(lambda: shared_server.host.market.history(key, interval, start, end))
    shift = 0 if interval.length else 19_800
    expected = [
        (int(b.start.timestamp()) + shift, b.open, b.high, b.low, b.close, b.volume) for b in bars
    ]
    names = ("open", "high", "low", "close")
    found = [(r["timestamp"], *(Decimal(str(r[n])) for n in names), r["volume"]) for r in answered]
    assert found == expected


@pytest.mark.parametrize(
    ("start", "end"), [("2025-06-03", "2025-06-04"), ("1990-01-01", "1990-01-09")]
)
def test_a_span_without_bars_is_an_empty_success(
    shared_server: Served, start: str, end: str
) -> None:
    answer = shared_server.post(
        "history", symbol="INFY", exchange="NSE", interval="1m", start_date=start, end_date=end
    ).json()
    assert answer == {**SAID, "data": []}

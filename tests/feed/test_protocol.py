"""The words of the feed, as the contract has them."""

import json
from typing import Any

import pytest

from tests.api.served import ACCOUNT_KEY, OTHER_ACCOUNT_KEY, RUN_TOKEN, Served
from tests.feed.conftest import Opens

RELIANCE = {"symbol": "RELIANCE", "exchange": "NSE"}
TCS = {"symbol": "TCS", "exchange": "NSE"}


def test_authentication_says_who_and_where(client: Opens) -> None:
    answer = client(None).ask(action="authenticate", api_key=RUN_TOKEN, request_id="r1")
    assert (answer["type"], answer["status"], answer["request_id"]) == ("auth", "success", "r1")
    assert (answer["broker"], answer["user_id"]) == ("paper", "asha")


@pytest.mark.parametrize("key", ["x" * 64, "", None, 5, ["a"]])
def test_a_wrong_key_is_answered_and_disconnected(client: Opens, key: object) -> None:
    speaker = client(None)
    answer = speaker.ask(action="authenticate", api_key=key)
    assert (answer["type"], answer["status"]) == ("auth", "error")
    assert answer["message"] == "Invalid openalgo apikey"
    assert speaker.closed_with() == 4401


@pytest.mark.parametrize(
    "action", ["subscribe", "unsubscribe", "unsubscribe_all", "subscribe_orders"]
)
def test_nothing_is_told_before_authentication(client: Opens, action: str) -> None:
    speaker = client(None)
    answer = speaker.ask(action=action, symbols=[RELIANCE], mode=1)
    assert (answer["status"], answer["code"]) == ("error", "NOT_AUTHENTICATED")
    assert speaker.ask(action="authenticate", api_key=ACCOUNT_KEY)["status"] == "success"


def test_a_key_in_the_address_counts_for_nothing(server: Served, client: Opens) -> None:
    """Addresses are kept in logs; nothing asks for the key there."""
    speaker = client(None, url=f"{server.feed_url}/?apikey={ACCOUNT_KEY}&api_key={ACCOUNT_KEY}")
    assert speaker.ask(action="subscribe_orders")["code"] == "NOT_AUTHENTICATED"


def test_a_connection_changes_hands_to_nobody(client: Opens) -> None:
    speaker = client(ACCOUNT_KEY)
    assert speaker.ask(action="authenticate", api_key=ACCOUNT_KEY)["status"] == "success"
    refused = speaker.ask(action="authenticate", api_key=OTHER_ACCOUNT_KEY)
    assert (refused["status"], refused["message"]) == ("error", "Open a new connection.")
    assert speaker.nothing_more()


FORMS: list[tuple[dict[str, Any], list[tuple[str, int]]]] = [
    ({**RELIANCE, "mode": 1}, [("RELIANCE", 1)]),
    ({**RELIANCE, "mode": "1"}, [("RELIANCE", 1)]),
    ({**RELIANCE, "mode": "LTP"}, [("RELIANCE", 1)]),
    ({**RELIANCE, "mode": "quote"}, [("RELIANCE", 2)]),
    ({**RELIANCE, "mode": "Depth", "depth": 5}, [("RELIANCE", 3)]),
    (RELIANCE, [("RELIANCE", 2)]),
    ({"symbols": [RELIANCE, TCS], "mode": 2, "depth": 5}, [("RELIANCE", 2), ("TCS", 2)]),
    ({"instruments": [RELIANCE], "mode": "ltp"}, [("RELIANCE", 1)]),
    ({"symbols": [{**RELIANCE, "mode": 1}, {**TCS, "mode": 3}]}, [("RELIANCE", 1), ("TCS", 3)]),
]


@pytest.mark.parametrize(("form", "expected"), FORMS)
def test_every_form_of_subscription_brings_the_last_tick_at_once(
    client: Opens, form: dict[str, Any], expected: list[tuple[str, int]]
) -> None:
    speaker = client()
    answer = speaker.ask(action="subscribe", **form)
    assert (answer["type"], answer["status"]) == ("subscribe", "success")
    subscribed = [(s["symbol"], s["mode"]) for s in answer["subscriptions"]]
    assert subscribed == expected
    assert [(d["symbol"], d["mode"]) for d in speaker.data(len(expected))] == expected


def test_a_subscription_of_which_a_part_is_unknown_is_partial(client: Opens) -> None:
    unknown = [
        {"symbol": "NOSUCH", "exchange": "NSE"},
        {"symbol": "TCS", "exchange": "NYSE"},
        {"symbol": 7, "exchange": "NSE"},
        {"symbol": "TCS", "exchange": None},
        {**TCS, "mode": 9},
        "TCS",
    ]
    speaker = client()
    answer = speaker.ask(action="subscribe", symbols=[RELIANCE, *unknown], mode=1)
    assert answer["status"] == "partial"
    assert [s["status"] for s in answer["subscriptions"]] == ["success"] + ["error"] * 6
    assert all(s["message"] for s in answer["subscriptions"][1:])
    assert speaker.hear()["symbol"] == "RELIANCE"
    assert speaker.ask(action="subscribe", symbols=unknown)["status"] == "error"


BAD: list[tuple[str | bytes, str]] = [
    ("", "NOT_JSON"),
    ("hello", "NOT_JSON"),
    ("{", "NOT_JSON"),
    ("[1]", "NOT_JSON"),
    ("null", "NOT_JSON"),
    ("[" * 3000, "NOT_JSON"),
    (b"", "NOT_JSON"),
    (b"\xff\x00", "NOT_JSON"),
    ("{}", "UNKNOWN_ACTION"),
    ('{"action": "sell everything"}', "UNKNOWN_ACTION"),
    ('{"action": ["subscribe"]}', "UNKNOWN_ACTION"),
    ('{"action": "subscribe"}', "NO_SYMBOLS"),
    ('{"action": "subscribe", "symbols": []}', "NO_SYMBOLS"),
    ('{"action": "subscribe", "symbols": {"symbol": "TCS"}}', "NO_SYMBOLS"),
    ('{"action": "subscribe", "symbols": "TCS"}', "NO_SYMBOLS"),
    ('{"action": "unsubscribe"}', "NO_SYMBOLS"),
    ('{"action": "subscribe", "symbol": "TCS", "exchange": "NSE", "mode": 4}', "BAD_MODE"),
    ('{"action": "subscribe", "symbol": "TCS", "exchange": "NSE", "mode": true}', "BAD_MODE"),
    ('{"action": "subscribe", "symbol": "TCS", "exchange": "NSE", "mode": {}}', "BAD_MODE"),
    (json.dumps({"action": "subscribe", "symbols": [0] * 5001}), "TOO_MANY_SYMBOLS"),
]


def test_a_malformed_message_is_answered_and_the_connection_goes_on(client: Opens) -> None:
    speaker = client()
    for message, code in BAD:
        speaker.socket.send(message)
        answer = speaker.hear()
        assert (answer["status"], answer["code"]) == ("error", code), message[:80]
        assert answer["message"].endswith(".")
        assert speaker.nothing_more()


def test_ten_thousand_instruments_are_refused_in_one_message_and_bounded_in_many(
    client: Opens,
) -> None:
    """What is too much has a sentence of its own; what fitted goes on."""
    speaker = client()
    many = [{"symbol": f"S{number}", "exchange": "NSE"} for number in range(10_000)]
    assert speaker.ask(action="subscribe", symbols=many)["code"] == "TOO_MANY_SYMBOLS"
    for half in (many[:4_999], many[5_001:]):
        answer = speaker.ask(action="subscribe", symbols=[RELIANCE, *half], mode=1)
        assert answer["status"] == "partial"
        assert [s["status"] for s in answer["subscriptions"][:2]] == ["success", "error"]
        assert len(answer["subscriptions"]) == 5_000
    assert speaker.hear()["symbol"] == "RELIANCE"


def test_a_message_that_is_too_large_ends_its_connection_alone(client: Opens) -> None:
    sender, other = client(), client()
    sender.socket.send(json.dumps({"action": "ping", "padding": "x" * 600_000}))
    assert sender.closed_with() == 1009
    assert other.nothing_more()


def test_ping_is_answered_with_pong_even_before_authentication(client: Opens) -> None:
    answer = client(None).ask(action="ping", request_id=7)
    assert (answer["type"], answer["status"], answer["request_id"]) == ("pong", "success", 7)
    assert type(answer["timestamp"]) is int


def test_market_data_has_the_fields_that_clients_store(client: Opens) -> None:
    speaker = client()
    for mode in (1, 2, 3):
        speaker.ask(action="subscribe", **RELIANCE, mode=mode)
        heard = speaker.hear()
        envelope = {name: heard[name] for name in ("type", "symbol", "exchange", "mode", "broker")}
        assert envelope == {"type": "market_data", **RELIANCE, "mode": mode, "broker": "paper"}
        data = heard["data"]
        assert (type(data["ltp"]), type(data["timestamp"])) == (float, int)
        if mode == 1:
            assert set(data) == {"ltp", "timestamp"}
        else:
            assert data["change"] == round(data["ltp"] - data["close"], 2)
        if mode == 3:
            assert [len(data["depth"][side]) for side in ("buy", "sell")] == [5, 5]
            assert set(data["depth"]["buy"][0]) == {"price", "quantity", "orders"}


def test_a_higher_mode_tells_all_that_the_lower_ones_tell(server: Served, client: Opens) -> None:
    """Of one tick, whichever of them a client follows."""
    speaker = client()
    for mode in (1, 2, 3):
        speaker.ask(action="subscribe", **RELIANCE, mode=mode)
        speaker.hear()
    server.tick()
    last, quote, depth = sorted(speaker.data(3), key=lambda heard: int(heard["mode"]))
    assert last["data"].items() <= quote["data"].items()
    assert quote["data"].items() <= depth["data"].items()
    best = depth["data"]["depth"]
    assert best["buy"][0]["price"] == quote["data"]["bid"]
    assert best["sell"][0]["price"] == quote["data"]["ask"]


def test_each_mode_that_was_subscribed_gets_its_own_message(server: Served, client: Opens) -> None:
    """A client of the depth that also wants the last price stores both: each has its frame."""
    both, depth_only = client(), client()
    both.ask(action="subscribe", **RELIANCE, mode=3)
    both.ask(action="subscribe", **RELIANCE, mode=1)
    depth_only.ask(action="subscribe", **RELIANCE, mode=3)
    depth_only.data(1)
    server.tick()
    heard = depth_only.hear()
    assert heard["mode"] == 3
    newest = heard["data"]["timestamp"]
    modes = {both.until(lambda h: h["data"]["timestamp"] == newest)["mode"], both.hear()["mode"]}
    assert modes == {1, 3}
    assert depth_only.nothing_more()


UNSUBSCRIBED: list[tuple[dict[str, Any], set[tuple[str, int]]]] = [
    ({**RELIANCE, "mode": 1}, {("RELIANCE", 2), ("TCS", 1), ("TCS", 2)}),
    ({**RELIANCE, "mode": "Quote"}, {("RELIANCE", 1), ("TCS", 1), ("TCS", 2)}),
    (RELIANCE, {("TCS", 1), ("TCS", 2)}),
    ({"symbols": [{**RELIANCE, "mode": 1}, {**TCS, "mode": 1}]}, {("RELIANCE", 2), ("TCS", 2)}),
    ({"symbols": [RELIANCE, TCS], "mode": 2}, {("RELIANCE", 1), ("TCS", 1)}),
]


@pytest.mark.parametrize(("form", "left"), UNSUBSCRIBED)
def test_unsubscribing_ends_what_was_named_and_nothing_else(
    server: Served, client: Opens, form: dict[str, Any], left: set[tuple[str, int]]
) -> None:
    speaker = client()
    for mode in (1, 2):
        speaker.ask(action="subscribe", symbols=[RELIANCE, TCS], mode=mode)
        speaker.data(2)
    answer = speaker.ask(action="unsubscribe", **form)
    assert (answer["type"], answer["status"], answer["failed"]) == ("unsubscribe", "success", [])
    server.tick()
    assert {(d["symbol"], d["mode"]) for d in speaker.data(len(left))} == left
    assert speaker.nothing_more()


def test_unsubscribing_from_what_was_not_subscribed_says_so(client: Opens) -> None:
    answer = client().ask(action="unsubscribe", **RELIANCE, mode=1)
    assert answer["status"] == "error"
    assert answer["failed"][0]["message"] == "It was not subscribed to."


def test_unsubscribe_all_leaves_nothing_behind(server: Served, client: Opens) -> None:
    speaker = client()
    for mode in (1, 2, 3):
        speaker.ask(action="subscribe", symbols=[RELIANCE, TCS], mode=mode)
        speaker.data(2)
    assert speaker.ask(action="unsubscribe_all")["status"] == "success"
    server.tick()
    assert speaker.nothing_more()
    assert server.do(lambda: len(server.feed._topics)) == 0


def test_order_updates_are_told_to_whose_they_are(server: Served, client: Opens) -> None:
    """A run hears of its own book, an account key of the whole account, others of nothing."""
    heard = {key: client(key) for key in (RUN_TOKEN, "d" * 64, ACCOUNT_KEY, OTHER_ACCOUNT_KEY)}
    for speaker in heard.values():
        assert speaker.ask(action="subscribe_orders")["type"] == "subscribe_orders"
    order = {**RELIANCE, "action": "BUY", "quantity": 2, "product": "MIS"}
    placed = server.post("placeorder", **order, apikey=RUN_TOKEN).json()["orderid"]
    for key in (RUN_TOKEN, ACCOUNT_KEY):
        update = heard[key].until(lambda h: h["order_status"] == "complete")
        assert (update["type"], update["orderid"]) == ("order_update", placed)
        assert (update["filled_quantity"], update["pending_quantity"]) == (2, 0)
    assert heard["d" * 64].nothing_more()
    assert heard[OTHER_ACCOUNT_KEY].nothing_more()


def test_no_order_updates_without_or_after_the_subscription(server: Served, client: Opens) -> None:
    speaker = client()
    order = {**RELIANCE, "action": "BUY", "quantity": 2, "product": "MIS"}
    server.post("placeorder", **order)
    assert speaker.nothing_more()
    speaker.ask(action="subscribe_orders")
    speaker.ask(action="unsubscribe_orders")
    server.post("placeorder", **order)
    assert speaker.nothing_more()

"""Promise 10 over HTTP: the same request sent again is answered and does not trade."""

from typing import Any

import httpx
import pytest

from tests.api.served import ACCOUNT_KEY, OTHER_RUN_TOKEN, RUN_TOKEN, Served

BUY = {
    "symbol": "RELIANCE",
    "exchange": "NSE",
    "action": "BUY",
    "quantity": 3,
    "product": "MIS",
    "pricetype": "MARKET",
}


def post(
    served: Served, name: str, *, key: str = ACCOUNT_KEY, headers: dict[str, str], **fields: Any
) -> httpx.Response:
    body = {"apikey": key, "strategy": "test", **BUY, **fields}
    return httpx.post(f"{served.url}/api/v1/{name}", json=body, headers=headers)


def orders_of(served: Served, key: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = served.post("orderbook", apikey=key).json()["data"]["orders"]
    return rows


@pytest.mark.parametrize("name", ["placeorder", "placesmartorder"])
@pytest.mark.parametrize(
    ("headers", "fields"),
    [({"Idempotency-Key": "one"}, {}), ({}, {"idempotency_key": "one"})],
    ids=["header", "field"],
)
def test_a_key_makes_a_request_count_once(
    server: Served, name: str, headers: dict[str, str], fields: dict[str, str]
) -> None:
    def sent(**other: Any) -> httpx.Response:
        return post(server, name, headers=headers, position_size=3, **fields, **other)

    first, again = sent(), sent()
    assert (first.status_code, first.json()["status"]) == (200, "success")
    assert again.json() == first.json()
    changed = sent(quantity=4)
    assert changed.status_code == 409
    assert "used for another order before, so nothing was placed" in changed.json()["message"]
    assert len(orders_of(server, ACCOUNT_KEY)) == 1


def test_a_call_of_a_run_counts_once_and_other_calls_for_themselves(server: Served) -> None:
    def sent(call: str, key: str = RUN_TOKEN) -> str:
        answer = post(server, "placeorder", key=key, headers={"X-Algohost-Call": call})
        order_id: str = answer.json()["orderid"]
        return order_id

    first = sent("0a-1")
    assert sent("0a-1") == first
    assert len({first, sent("0a-2"), sent("0b-1"), sent("0a-1", OTHER_RUN_TOKEN)}) == 4


def test_what_is_no_number_of_a_call_or_comes_from_no_run_counts_for_nothing(
    server: Served,
) -> None:
    sent = [
        post(server, "placeorder", key=key, headers={"X-Algohost-Call": call}).json()["orderid"]
        for key, call in ((ACCOUNT_KEY, "0a-1"), (RUN_TOKEN, "not a call"), (RUN_TOKEN, "9" * 65))
        for _ in range(2)
    ]
    assert len(set(sent)) == 6


def test_orders_without_a_key_are_orders_each(server: Served) -> None:
    sent = {post(server, "placeorder", headers={}).json()["orderid"] for _ in range(3)}
    assert len(sent) == 3


@pytest.mark.parametrize("key", ["k" * 129, "é", 7, ["k"]])
def test_a_key_that_is_none_is_refused(server: Served, key: object) -> None:
    answer = post(server, "placeorder", headers={}, idempotency_key=key)
    assert answer.status_code == 400
    assert "idempotency_key must be text of at most 128 printable" in answer.json()["message"]
    assert orders_of(server, ACCOUNT_KEY) == []

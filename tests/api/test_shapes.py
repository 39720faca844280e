"""Every success has the shape that is written down for it, no field more and none of another type.

The shapes are what clients may rely on; ``docs/api.md`` and the API's document tell of them.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from algohost.web.api_v1 import ENDPOINTS
from tests.api.served import ACCOUNT_KEY, Served, running

TCS = {"symbol": "TCS", "exchange": "NSE"}
BUY = {**TCS, "action": "BUY", "quantity": 2}
NIFTY = {"underlying": "NIFTY", "exchange": "NSE_INDEX", "expiry_date": "26JUN25"}
CALL = {"offset": "ATM", "option_type": "CE", "action": "BUY", "quantity": 65}
OPTION = {"symbol": "NIFTY26JUN2521750CE", "exchange": "NFO"}
DAY = {"start_date": "2025-06-02", "end_date": "2025-06-02"}
MARKET: list[tuple[str, dict[str, Any]]] = [
    ("quotes", TCS),
    ("multiquotes", {"symbols": [TCS, {**TCS, "symbol": "NOSUCH"}]}),
    ("depth", TCS),
    ("history", {**TCS, **DAY, "interval": "5m"}),
    ("history", {**TCS, **DAY, "interval": "D"}),
    ("intervals", {}),
    ("symbol", OPTION),
    ("search", {"query": "NIFTY 26JUN25"}),
    ("expiry", {"symbol": "NIFTY", "exchange": "NFO", "instrumenttype": "options"}),
    ("instruments", {"exchange": "NSE_INDEX"}),
    ("optionsymbol", {**NIFTY, "offset": "OTM2", "option_type": "PE"}),
    ("optionchain", {**NIFTY, "strike_count": 3}),
    ("optionchain", NIFTY),
    ("optiongreeks", OPTION),
    ("multioptiongreeks", {"symbols": [OPTION, {**OPTION, "symbol": "NOSUCH"}]}),
    ("syntheticfuture", NIFTY),
    ("market/holidays", {"year": 2025}),
    ("market/timings", {"date": "2025-06-02"}),
]


def day(served: Served) -> Iterator[tuple[str, dict[str, Any]]]:
    """A day of calls with what each answered: every sort of order, filled, resting and refused."""

    def said(name: str, **fields: Any) -> dict[str, Any]:
        answer = served.post(name, **fields)
        assert answer.status_code == 200, (name, answer.text)
        body: dict[str, Any] = answer.json()
        return body

    for name, fields in MARKET:
        yield name, said(name, **fields)
    last = served.post("quotes", **TCS).json()["data"]["ltp"]
    low = round(last * 0.95)
    resting = {**BUY, "pricetype": "LIMIT", "price": low, "product": "MIS"}
    served.post("placeorder", **{**BUY, "quantity": 10**7})
    for name in ("placeorder", "placeorder"):
        yield name, said(name, **BUY, product="CNC")
    placed = said("placeorder", **resting)
    yield "modifyorder", said("modifyorder", **{**resting, "price": low + 1}, **placed)
    yield "orderstatus", said("orderstatus", orderid=placed["orderid"])
    yield "cancelorder", said("cancelorder", orderid=placed["orderid"])
    for _ in range(2):
        yield "placesmartorder", said("placesmartorder", **BUY, position_size=5)
    yield "basketorder", said("basketorder", orders=[BUY, {**BUY, "symbol": "NOSUCH"}])
    yield "splitorder", said("splitorder", **BUY, splitsize=1)
    for more in ({}, {"splitsize": 65}):
        yield "optionsorder", said("optionsorder", **NIFTY, **CALL, **more)
    legs = [CALL, {**CALL, "quantity": 130, "splitsize": 65}, {**CALL, "quantity": 1}]
    yield "optionsmultiorder", said("optionsmultiorder", **NIFTY, legs=legs)
    yield "margin", said("margin", positions=[{**BUY, "product": "MIS", "pricetype": "MARKET"}])
    gtt = {**BUY, "trigger_type": "SINGLE", "product": "CNC", "price": low}
    gtt |= {"triggerprice_sl": low + 1}
    trigger = said("placegttorder", **gtt)
    yield "placegttorder", trigger
    yield "modifygttorder", said("modifygttorder", **gtt, trigger_id=trigger["trigger_id"])
    yield "cancelgttorder", said("cancelgttorder", trigger_id=trigger["trigger_id"])
    said("placegttorder", **gtt)
    yield "gttorderbook", said("gttorderbook", status="all")
    yield "openposition", said("openposition", **TCS, product="MIS")
    said("placeorder", **resting)
    books = ("orderbook", "tradebook", "positionbook", "funds", "pnl/symbols", "pnl/books", "ping",
             "analyzer")  # fmt: skip
    for name in books:
        yield name, said(name)
    yield "cancelallorder", said("cancelallorder")
    for _ in range(2):
        yield "closeposition", said("closeposition")
    said("placeorder", **BUY, product="CNC")
    yield "analyzer/toggle", said("analyzer/toggle", mode=True)
    asha = served.keys.known[ACCOUNT_KEY].user
    served.wait_for(served.host.notices.add(asha, "phone", "fake://phone"))
    yield "telegram/notify", said("telegram/notify", username="asha", message="x")
    yield "whatsapp/notify", said("whatsapp/notify", message="x")
    served.tick(3 * 86_400)
    for name in ("holdings", *books):
        yield name, said(name)


@pytest.fixture(scope="module")
def answers() -> dict[str, list[dict[str, Any]]]:
    """What each endpoint answered in the course of the day."""
    heard: dict[str, list[dict[str, Any]]] = {}
    with running() as served:
        for name, answer in day(served):
            heard.setdefault(name, []).append(answer)
    return heard


@pytest.mark.parametrize("name", sorted(ENDPOINTS))
def test_every_answer_fits_its_shape(answers: dict[str, list[dict[str, Any]]], name: str) -> None:
    shape = ENDPOINTS[name].shape
    assert shape is not None
    for answer in answers[name]:
        shape.model_validate(answer)


def test_the_day_had_something_of_everything(answers: dict[str, list[dict[str, Any]]]) -> None:
    """Else the shapes would hold for empty lists alone."""
    states = {row["order_status"] for row in answers["orderbook"][0]["data"]["orders"]}
    assert states == {"complete", "open", "rejected", "cancelled"}
    assert answers["holdings"][0]["data"]["holdings"] != []
    assert {row["status"] for row in answers["gttorderbook"][0]["data"]} == {"active", "cancelled"}
    assert answers["positionbook"][0]["data"] != []
    assert answers["tradebook"][0]["data"] != []

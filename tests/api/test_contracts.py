"""The master contract by the real client: symbols, searches, expiries, whole exchanges."""

import csv
import io
from typing import Any

import httpx
import openalgo
import pytest

from tests.api.served import ACCOUNT_KEY, Served

COLUMNS = [
    "symbol", "brsymbol", "name", "exchange", "brexchange", "token", "expiry", "strike",
    "lotsize", "instrumenttype", "tick_size",
]  # fmt: skip


@pytest.fixture
def client(shared_server: Served) -> Any:
    """The client as a script makes it."""
    return openalgo.api(api_key=ACCOUNT_KEY, host=shared_server.url)


def test_a_contract_is_one_row_with_its_parts(client: Any) -> None:
    """On 2 June 2025 NIFTY expires on Thursdays."""
    [row, *_] = client.search(query="nifty jun fut", exchange="NFO")["data"]
    assert client.symbol(symbol=row["symbol"], exchange="NFO")["data"] == row
    assert row == {
        "symbol": "NIFTY26JUN25FUT",
        "brsymbol": "NIFTY26JUN25FUT",
        "name": "NIFTY",
        "exchange": "NFO",
        "brexchange": "NFO",
        "token": row["token"],
        "expiry": "26-JUN-25",
        "strike": 0.0,
        "lotsize": 65,
        "instrumenttype": "FUT",
        "tick_size": 0.1,
        "freeze_qty": 1800,
        "has_prices": True,
    }


def test_options_are_found_by_what_people_type(client: Any) -> None:
    middle = client.search(query="nifty jun ce", exchange="NFO")["data"][0]
    strike = f"{middle['strike']:.0f}"
    found = client.search(query=f"nifty {strike} pe jun", exchange="NFO")["data"]
    assert {(one["strike"], one["instrumenttype"]) for one in found} == {(middle["strike"], "PE")}
    assert all(one["symbol"].endswith(f"{strike}PE") for one in found)
    assert found[0]["symbol"].startswith("NIFTY")


def test_a_search_says_how_many_it_found(client: Any) -> None:
    assert client.search(query="RELI", exchange="NSE")["message"] == "Found 1 matching symbols"
    everything = client.search(query="nifty")
    assert everything["message"] == "Found 500 matching symbols"
    assert everything["data"][0]["exchange"] == "NSE_INDEX"
    assert client.search(query="nosuchthing")["message"] == "No matching symbols found"


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        (("NIFTY", "NFO", "futures"), ["26-JUN-25", "31-JUL-25", "28-AUG-25"]),
        (("NIFTY", "NFO", "options"), ["05-JUN-25", "12-JUN-25", "19-JUN-25", "26-JUN-25"]),
        (("nifty", "NFO", "futures"), ["26-JUN-25"]),
        (("SENSEX", "BFO", "options"), ["03-JUN-25", "10-JUN-25"]),
        (("CRUDEOIL", "MCX", "futures"), ["19-JUN-25", "18-JUL-25"]),
        (("USDINR", "CDS", "futures"), ["26-JUN-25"]),
        (("GOLDPETAL", "MCX", "options"), []),
        (("NOSUCH", "NFO", "options"), []),
    ],
)
def test_expiries_are_in_order(client: Any, asked: tuple[str, str, str], first: list[str]) -> None:
    symbol, exchange, kind = asked
    said = client.expiry(symbol=symbol, exchange=exchange, instrumenttype=kind)
    count = f"Found {len(said['data'])}" if said["data"] else "No"
    found = "" if said["data"] else " found"
    assert said["status"] == "success"
    assert said["message"] == (
        f"{count} expiry dates{found} for {symbol.upper()} {kind} in {exchange}"
    )
    assert said["data"][: len(first)] == first
    assert bool(said["data"]) == bool(first)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"exchange": "NSE", "instrumenttype": "futures"}, "exchange must be one of NFO"),
        ({"exchange": "NFO", "instrumenttype": "shares"}, "must be one of futures, options"),
        ({"exchange": "NFO"}, "instrumenttype is missing"),
    ],
)
def test_an_expiry_of_nothing_is_refused(
    shared_server: Served, fields: dict[str, str], said: str
) -> None:
    answer = shared_server.post("expiry", symbol="NIFTY", **fields)
    assert answer.status_code == 400
    assert said in answer.json()["message"]


def test_an_exchange_comes_as_a_frame(client: Any) -> None:
    frame = client.instruments(exchange="NSE_INDEX")
    assert set(COLUMNS) <= set(frame.columns)
    assert {"NIFTY", "BANKNIFTY"} < set(frame["symbol"])
    assert set(frame["instrumenttype"]) == {"INDEX"}


def test_all_exchanges_come_as_one_frame(client: Any) -> None:
    frame = client.instruments()
    assert len(frame) >= 50_000
    assert not frame.duplicated(["exchange", "symbol"]).any()
    chain = frame[(frame["name"] == "NIFTY") & (frame["instrumenttype"] == "CE")]
    assert len(chain) > 500


def test_an_exchange_comes_as_csv(shared_server: Served) -> None:
    asked = {"apikey": ACCOUNT_KEY, "exchange": "BSE_INDEX", "format": "csv"}
    answer = httpx.get(f"{shared_server.url}/api/v1/instruments", params=asked)
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.headers["content-disposition"] == (
        'attachment; filename="instruments_BSE_INDEX.csv"'
    )
    assert list(rows[0]) == COLUMNS
    assert "SENSEX" in {row["symbol"] for row in rows}


def test_instruments_need_a_key(shared_server: Served) -> None:
    answer = httpx.get(f"{shared_server.url}/api/v1/instruments", params={"exchange": "NSE"})
    assert answer.status_code == 403


FUTURE = {"symbol": "NIFTY26JUN25FUT", "exchange": "NFO"}
NOT_PRICED = (
    "NFO:NIFTY26JUN25FUT is in the master contract, but the synthetic market has no prices of it,"
    " so here it can be neither quoted nor ordered."
)


@pytest.fixture
def recorded(shared_server: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """The server as over a recording that has not the future."""
    market = shared_server.host.market
    found = market.find
    monkeypatch.setattr(
        market, "find", lambda key: None if key.symbol == FUTURE["symbol"] else found(key)
    )
    return shared_server


@pytest.mark.parametrize(
    ("endpoint", "fields"),
    [
        ("quotes", {}),
        ("depth", {}),
        ("history", {"interval": "D", "start_date": "2025-05-01", "end_date": "2025-06-02"}),
        ("placeorder", {"action": "BUY", "quantity": 65}),
        ("placesmartorder", {"action": "BUY", "quantity": 65, "position_size": 65}),
        ("openposition", {"product": "NRML", "strategy": "x"}),
    ],
)
def test_what_has_no_prices_is_refused_with_a_sentence(
    recorded: Served, endpoint: str, fields: dict[str, Any]
) -> None:
    answer = recorded.post(endpoint, **FUTURE, **fields)
    assert (answer.status_code, answer.json()["message"]) == (404, NOT_PRICED)


@pytest.mark.usefixtures("recorded")
def test_one_without_prices_spoils_no_multiquotes(client: Any) -> None:
    said = client.multiquotes(symbols=[{"symbol": "TCS", "exchange": "NSE"}, FUTURE])
    assert said["results"][0]["data"]["ltp"] > 0
    assert said["results"][1] == {**FUTURE, "error": NOT_PRICED}


def test_what_is_listed_has_prices(shared_server: Served, client: Any) -> None:
    assert client.quotes(**FUTURE)["data"]["oi"] > 0
    assert client.depth(**FUTURE)["data"]["bids"][0]["quantity"] % 65 == 0
    span = {"interval": "D", "start_date": "2025-05-20", "end_date": "2025-06-02"}
    assert len(shared_server.post("history", **FUTURE, **span).json()["data"]) == 14


def test_what_the_market_trades_has_prices(client: Any) -> None:
    row = client.symbol(symbol="RELIANCE", exchange="NSE")["data"]
    assert (row["has_prices"], row["token"]) == (True, "1037")
    assert client.quotes(symbol="RELIANCE", exchange="NSE")["status"] == "success"

"""Options by the real client, in a market that begins on 2 June 2025 at 09:30 IST."""

from typing import Any

import openalgo
import pytest

from tests.api.served import ACCOUNT_KEY, Served

INDEX = {"underlying": "NIFTY", "exchange": "NSE_INDEX"}
THURSDAY = "05JUN25"


@pytest.fixture
def client(shared_server: Served) -> Any:
    """The client as a script makes it."""
    return openalgo.api(api_key=ACCOUNT_KEY, host=shared_server.url)


def chain(client: Any, **fields: Any) -> dict[str, Any]:
    """A chain of NIFTY's next expiry."""
    said: dict[str, Any] = client.optionchain(**INDEX, expiry_date=THURSDAY, **fields)
    assert said["status"] == "success", said
    return said


def test_expiries_are_of_the_list(client: Any) -> None:
    said = client.expiry(symbol="NIFTY", exchange="NFO", instrumenttype="options")
    assert said["data"][:3] == ["05-JUN-25", "12-JUN-25", "19-JUN-25"]


def test_an_option_is_found_by_its_distance_from_the_money(client: Any) -> None:
    said = chain(client, strike_count=2)
    found = client.optionsymbol(**INDEX, expiry_date=THURSDAY, offset="ITM2", option_type="PE")
    assert found == {
        "status": "success",
        "mode": "analyze",
        "symbol": said["chain"][4]["pe"]["symbol"],
        "exchange": "NFO",
        "lotsize": 65,
        "tick_size": 0.05,
        "freeze_qty": 1800,
        "underlying_ltp": said["underlying_ltp"],
    }
    by_future = client.optionsymbol(
        underlying="NIFTY26JUN25FUT", exchange="NFO", offset="ATM", option_type="CE"
    )
    assert by_future["symbol"].startswith("NIFTY26JUN25")
    assert by_future["underlying_ltp"] == said["underlying_ltp"]


def test_a_chain_has_both_sides_around_the_money(client: Any) -> None:
    said = chain(client, strike_count=3)
    rows = said.pop("chain")
    ltp = client.quotes(symbol="NIFTY", exchange="NSE_INDEX")["data"]["ltp"]
    assert said == {
        "status": "success",
        "mode": "analyze",
        "underlying": "NIFTY",
        "underlying_ltp": ltp,
        "expiry_date": THURSDAY,
        "atm_strike": rows[3]["strike"],
    }
    assert abs(rows[3]["strike"] - ltp) <= 25
    assert [row["ce"]["label"] for row in rows] == [
        "ITM3", "ITM2", "ITM1", "ATM", "OTM1", "OTM2", "OTM3",
    ]  # fmt: skip
    assert [row["pe"]["label"] for row in rows] == [
        "OTM3", "OTM2", "OTM1", "ATM", "ITM1", "ITM2", "ITM3",
    ]  # fmt: skip
    assert sorted(rows[0]["ce"]) == sorted(
        ["symbol", "label", "ltp", "bid", "ask", "open", "high", "low", "prev_close", "volume",
         "oi", "lotsize", "tick_size"]
    )  # fmt: skip


def test_a_chain_shows_what_quotes_show(client: Any) -> None:
    leg = chain(client, strike_count=1)["chain"][0]["ce"]
    quote = client.quotes(symbol=leg["symbol"], exchange="NFO")["data"]
    assert {name: leg[name] for name in quote} == quote
    assert leg["oi"] > 0


def test_a_chain_without_a_count_has_every_strike(client: Any) -> None:
    whole = chain(client)["chain"]
    strikes = [row["strike"] for row in whole]
    assert strikes == sorted(strikes)
    assert len(strikes) == 121


@pytest.mark.parametrize(
    ("underlying", "exchange", "instrument", "options"),
    [
        ("RELIANCE", "NSE", "RELIANCE", "NFO"),
        ("SENSEX", "BSE_INDEX", "SENSEX", "BFO"),
        ("CRUDEOIL", "MCX", "CRUDEOIL", "MCX"),
        ("USDINR", "CDS", "USDINR", "CDS"),
    ],
)
def test_every_segment_has_chains_and_greeks(
    client: Any, underlying: str, exchange: str, instrument: str, options: str
) -> None:
    said = client.expiry(symbol=instrument, exchange=options, instrumenttype="options")["data"][1]
    found = client.optionchain(
        underlying=underlying, exchange=exchange, expiry_date=said.replace("-", ""), strike_count=2
    )
    middle = found["chain"][2]
    greeks = client.optiongreeks(symbol=middle["ce"]["symbol"], exchange=options)
    assert greeks["status"] == "success", greeks
    assert 1 < greeks["implied_volatility"] < 80
    assert 0.2 < greeks["greeks"]["delta"] < 0.8


# ---- greeks


def test_greeks_are_by_the_volatility_that_the_price_implies(client: Any) -> None:
    middle = chain(client, strike_count=0 + 1)["chain"][1]
    call = client.optiongreeks(symbol=middle["ce"]["symbol"], exchange="NFO")
    put = client.optiongreeks(symbol=middle["pe"]["symbol"], exchange="NFO")
    assert set(call) == {
        "status", "mode", "symbol", "exchange", "underlying", "strike", "option_type",
        "expiry_date", "days_to_expiry", "spot_price", "option_price", "interest_rate",
        "implied_volatility", "greeks",
    }  # fmt: skip
    assert (call["underlying"], call["option_type"]) == ("NIFTY", "CE")
    assert (call["expiry_date"], call["days_to_expiry"]) == ("05-Jun-2025", 3.25)
    assert call["option_price"] == middle["ce"]["ltp"]
    assert call["implied_volatility"] == pytest.approx(put["implied_volatility"], abs=0.3)
    assert call["greeks"]["delta"] - put["greeks"]["delta"] == pytest.approx(1, abs=0.001)
    assert call["greeks"]["theta"] < 0 < call["greeks"]["vega"]
    assert set(call["greeks"]) == {"delta", "gamma", "theta", "vega", "rho"}


def test_greeks_take_another_price_rate_and_time(client: Any) -> None:
    symbol = chain(client, strike_count=1)["chain"][1]["ce"]["symbol"]
    future = client.quotes(symbol="NIFTY26JUN25FUT", exchange="NFO")["data"]["ltp"]
    by_future = client.optiongreeks(
        symbol=symbol, exchange="NFO", underlying_symbol="NIFTY26JUN25FUT",
        underlying_exchange="NFO", interest_rate=6.5, expiry_time="10:00",
    )  # fmt: skip
    assert (by_future["spot_price"], by_future["interest_rate"]) == (future, 6.5)
    assert by_future["days_to_expiry"] == pytest.approx(3 + 0.5 / 24, abs=1e-4)
    by_price = client.optiongreeks(symbol=symbol, exchange="NFO", forward_price=21_700.5)
    assert by_price["spot_price"] == 21_700.5
    by_spot = client.optiongreeks(symbol=symbol, exchange="NFO", underlying_symbol="NIFTY")
    assert by_spot["spot_price"] == chain(client)["underlying_ltp"]


def test_many_greeks_in_one_call_and_one_bad_one_spoils_none(
    shared_server: Served, client: Any
) -> None:
    legs = chain(client, strike_count=1)["chain"]
    symbols = [{"symbol": row["ce"]["symbol"], "exchange": "NFO"} for row in legs]
    answer = shared_server.post(
        "multioptiongreeks", symbols=[*symbols, {"symbol": "NOSUCH05JUN251CE", "exchange": "NFO"}]
    ).json()
    assert answer["summary"] == {"total": 4, "success": 3, "failed": 1}
    alone = client.optiongreeks(**symbols[0])
    assert {**answer["data"][0], "mode": "analyze"} == alone
    assert answer["data"][3]["status"] == "error"
    assert "not listed" in answer["data"][3]["message"]


def test_the_synthetic_future_lies_by_the_carry_above_the_spot(client: Any) -> None:
    said = client.syntheticfuture(**INDEX, expiry_date=THURSDAY)
    middle = chain(client, strike_count=1)["chain"][1]
    expected = middle["strike"] + middle["ce"]["ltp"] - middle["pe"]["ltp"]
    assert said == {
        "status": "success",
        "mode": "analyze",
        "underlying": "NIFTY",
        "underlying_ltp": chain(client)["underlying_ltp"],
        "expiry": THURSDAY,
        "atm_strike": middle["strike"],
        "synthetic_future_price": pytest.approx(expected),
    }
    assert 0 < said["synthetic_future_price"] - said["underlying_ltp"] < 25


# ---- refusals


@pytest.mark.parametrize(
    ("endpoint", "fields", "status", "words"),
    [
        ("optionsymbol", {**INDEX, "expiry_date": THURSDAY, "offset": "OTM51", "option_type": "CE"},
         400, "offset must be ATM, ITM1 to ITM50 or OTM1 to OTM50, not 'OTM51'."),
        ("optionsymbol", {**INDEX, "offset": "ATM", "option_type": "X"},
         400, "option_type must be CE or PE, not 'X'."),
        ("optionsymbol", {**INDEX, "offset": "ATM", "option_type": "CE"},
         400, "expiry_date is missing"),
        ("optionchain", {**INDEX, "expiry_date": "2025-06-05"},
         400, "expiry_date must be a day written like 28OCT25, not '2025-06-05'."),
        ("optionchain", {**INDEX, "expiry_date": "06JUN25"},
         404, "use one of 05JUN25, 12JUN25, 19JUN25, 26JUN25."),
        ("optionchain", {**INDEX, "expiry_date": "29MAY25"}, 400, "are not listed any more"),
        ("optionchain", {**INDEX, "expiry_date": THURSDAY, "strike_count": 101},
         400, "strike_count must be a whole number from 1 to 100, not '101'."),
        ("optionchain", {"underlying": "NOSUCH", "exchange": "NSE", "expiry_date": THURSDAY},
         404, "NSE:NOSUCH has no options on NFO"),
        ("optiongreeks", {"symbol": "NIFTY26JUN25FUT", "exchange": "NFO"}, 400, "is no option"),
        ("optiongreeks", {"symbol": "NIFTY05JUN251CE", "exchange": "NFO"}, 404, "not listed"),
        ("optiongreeks", {"symbol": "NIFTY", "exchange": "NSE_INDEX"},
         400, "exchange must be one of NFO, BFO, MCX, CDS, BCD, NCO, not 'NSE_INDEX'."),
        ("optiongreeks", {"symbol": "X", "exchange": "NFO", "expiry_time": "25:00"},
         400, "expiry_time must be a time of day like 15:30, not '25:00'."),
        ("multioptiongreeks", {"symbols": []}, 400, "symbols must have 1 to 50 entries"),
        ("syntheticfuture", {**INDEX}, 400, "expiry_date is missing."),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_a_sentence(
    shared_server: Served, endpoint: str, fields: dict[str, Any], status: int, words: str
) -> None:
    answer = shared_server.post(endpoint, **fields)
    assert (answer.status_code, answer.json()["status"]) == (status, "error")
    assert words in answer.json()["message"]


def test_a_price_far_from_its_forward_implies_nothing(client: Any) -> None:
    symbol = chain(client, strike_count=1)["chain"][1]["ce"]["symbol"]
    said = client.optiongreeks(symbol=symbol, exchange="NFO", forward_price=30_000)
    assert (said["implied_volatility"], said["greeks"]["delta"]) == (0, 1)
    assert "no time value" in said["note"]


@pytest.mark.parametrize(
    ("endpoint", "fields"),
    [
        ("optionchain", {**INDEX, "expiry_date": THURSDAY}),
        ("syntheticfuture", {**INDEX, "expiry_date": THURSDAY}),
        ("optiongreeks", {"symbol": "NIFTY05JUN2521750CE", "exchange": "NFO"}),
    ],
)
def test_options_that_a_recording_lacks_are_refused(
    shared_server: Served, monkeypatch: pytest.MonkeyPatch, endpoint: str, fields: dict[str, Any]
) -> None:
    """Over a recording of the index alone its options have a list, and no prices."""
    market = shared_server.host.market
    found = market.find
    monkeypatch.setattr(market, "find", lambda key: None if key.exchange == "NFO" else found(key))
    answer = shared_server.post(endpoint, **fields)
    assert (answer.status_code, answer.json()["status"]) == (404, "error")
    assert "has no prices of it" in answer.json()["message"]


# ---- orders


def test_an_option_is_bought_rests_and_is_filled_by_its_own_ticks(server: Served) -> None:
    client: Any = openalgo.api(api_key=ACCOUNT_KEY, host=server.url)
    symbol = chain(client, strike_count=1)["chain"][1]["ce"]["symbol"]
    named = {"symbol": symbol, "exchange": "NFO", "product": "NRML", "quantity": 65}
    bought = client.placeorder(strategy="x", action="BUY", price_type="MARKET", **named)
    assert client.orderstatus(order_id=bought["orderid"])["data"]["order_status"] == "complete"
    bid = client.quotes(symbol=symbol, exchange="NFO")["data"]["bid"]
    resting = client.placeorder(
        strategy="x", action="SELL", price_type="LIMIT", price=round(bid + 1, 2), **named
    )
    status = "open"
    for _ in range(600):
        server.tick()
        status = client.orderstatus(order_id=resting["orderid"])["data"]["order_status"]
        if status != "open":
            break
    assert status == "complete"
    assert client.positionbook()["data"][0]["quantity"] in {0, "0"}

"""What a strategy does, with every method of the client: run by hand, or by the tests.

Usage: python client_script.py HOST FEED KEY. Prints one JSON object: what each call returned.
It knows nothing of this project, so that any client of any version can run it.
"""

import json
import sys
import time
from typing import Any

SYMBOL = {"symbol": "RELIANCE", "exchange": "NSE"}
OTHER = {"symbol": "TCS", "exchange": "NSE"}


def frame_facts(frame: Any) -> dict[str, Any]:
    """What a script relies on in the DataFrame of ``history``."""
    if isinstance(frame, dict):
        return frame
    return {
        "rows": len(frame),
        "columns": sorted(frame.columns),
        "index": frame.index.name,
        "zone": str(frame.index.tz),
        "first": str(frame.index[0]),
        "last": str(frame.index[-1]),
        "ascending": bool(frame.index.is_monotonic_increasing),
        "dtypes": {name: str(dtype) for name, dtype in frame.dtypes.items()},
    }


def drive_rest(client: Any) -> dict[str, Any]:
    """Every REST method of this version, in the order of a trading day."""
    said: dict[str, Any] = {}
    said["funds"] = client.funds()
    said["intervals"] = client.intervals()
    said["quotes"] = client.quotes(**SYMBOL)
    if hasattr(client, "holidays"):
        said["holidays"] = client.holidays(year=2025)
        said["timings"] = client.timings(date="2025-02-26")
        said["timings_closed"] = client.timings(date="2025-06-01")
    said["multiquotes"] = client.multiquotes(
        symbols=[SYMBOL, OTHER, {"symbol": "NOSUCH", "exchange": "NSE"}]
    )
    said["depth"] = client.depth(**SYMBOL)
    said["symbol"] = client.symbol(**SYMBOL)
    said["search"] = client.search(query="RELI", exchange="NSE")
    said["search_everywhere"] = client.search(query="NOSUCHTHING")
    for interval, start in (("1m", "2025-06-02"), ("5m", "2025-05-30"), ("D", "2025-05-01")):
        frame = client.history(**SYMBOL, interval=interval, start_date=start, end_date="2025-06-02")
        said[f"history_{interval}"] = frame_facts(frame)
    last = said["quotes"]["data"]["ltp"]
    said["placeorder"] = client.placeorder(
        strategy="Script", **SYMBOL, action="BUY", price_type="MARKET", product="MIS", quantity=10
    )
    bought = said["placeorder"]["orderid"]
    said["orderstatus"] = client.orderstatus(order_id=bought, strategy="Script")
    said["openposition"] = client.openposition(strategy="Script", **SYMBOL, product="MIS")
    said["limit"] = client.placeorder(
        strategy="Script",
        **SYMBOL,
        action="buy",
        price_type="LIMIT",
        product="MIS",
        quantity="5",
        price=round(last * 0.95),
    )
    resting = said["limit"]["orderid"]
    said["limit_status"] = client.orderstatus(order_id=resting)
    said["modifyorder"] = client.modifyorder(
        order_id=resting,
        strategy="Script",
        **SYMBOL,
        action="BUY",
        price_type="LIMIT",
        product="MIS",
        quantity=6,
        price=round(last * 0.96),
    )
    said["modified_status"] = client.orderstatus(order_id=resting)
    said["cancelorder"] = client.cancelorder(order_id=resting, strategy="Script")
    said["cancelled_status"] = client.orderstatus(order_id=resting)
    said["stop"] = client.placeorder(
        **SYMBOL,
        action="SELL",
        price_type="SL-M",
        product="MIS",
        quantity=10,
        trigger_price=round(last * 0.9),
    )
    said["stop_status"] = client.orderstatus(order_id=said["stop"]["orderid"])
    said["cancelallorder"] = client.cancelallorder(strategy="Script")
    said["smart"] = client.placesmartorder(
        strategy="Script", **SYMBOL, action="BUY", product="MIS", quantity=1, position_size=25
    )
    said["smart_again"] = client.placesmartorder(
        strategy="Script", **SYMBOL, action="BUY", product="MIS", quantity=1, position_size=25
    )
    said["delivery"] = client.placeorder(**OTHER, action="BUY", product="CNC", quantity=3)
    said["orderbook"] = client.orderbook()
    said["tradebook"] = client.tradebook()
    said["positionbook"] = client.positionbook()
    said["holdings"] = client.holdings()
    said["closeposition"] = client.closeposition(strategy="Script")
    said["flat"] = client.openposition(strategy="Script", **SYMBOL, product="MIS")
    said["closed_book"] = client.positionbook()
    said["bad_symbol"] = client.quotes(symbol="NOSUCH", exchange="NSE")
    return said


def drive_several(client: Any) -> dict[str, Any]:
    """The methods that place several orders, or name an option by its distance from the money."""
    said: dict[str, Any] = {}
    one = {"product": "MIS", "pricetype": "MARKET"}
    said["basket"] = client.basketorder(
        strategy="Script",
        orders=[
            {**OTHER, **one, "action": "SELL", "quantity": 2},
            {**SYMBOL, **one, "action": "BUY", "quantity": 1},
            {"symbol": "NOSUCH", "exchange": "NSE", **one, "action": "BUY", "quantity": 1},
        ],
    )
    said["no_basket"] = client.basketorder(orders=[{**SYMBOL, "action": "BUY", "quantity": 0}])
    said["split"] = client.splitorder(
        strategy="Script", **SYMBOL, action="BUY", quantity=105, splitsize=50
    )
    expiries = client.expiry(symbol="NIFTY", exchange="NFO", instrumenttype="options")
    said["expiry"] = expiries["data"][1].replace("-", "")
    named = {"underlying": "NIFTY", "exchange": "NSE_INDEX"}
    option = {"offset": "ATM", "option_type": "CE", "action": "BUY"}
    lot = client.symbol(symbol=f"NIFTY{said['expiry']}21750CE", exchange="NFO")["data"]["lotsize"]
    said["lot"] = lot
    said["optionsorder"] = client.optionsorder(
        strategy="Script", **named, **option, quantity=lot, expiry_date=said["expiry"]
    )
    said["options_split"] = client.optionsorder(
        **named, **option, quantity=2 * lot, expiry_date=said["expiry"], splitsize=lot
    )
    said["multi"] = client.optionsmultiorder(
        strategy="Script",
        **named,
        expiry_date=said["expiry"],
        legs=[
            {"offset": "OTM2", "option_type": "CE", "action": "SELL", "quantity": lot},
            {"offset": "OTM4", "option_type": "CE", "action": "BUY", "quantity": lot},
            {"offset": "OTM1", "option_type": "PE", "action": "BUY", "quantity": lot + 1},
        ],
    )
    said["margin"] = client.margin(positions=[{**SYMBOL, **one, "action": "BUY", "quantity": 10}])
    return said


def drive_account(client: Any) -> dict[str, Any]:
    """The methods about modes, messages and instruments, and GTTs where this version has them."""
    said: dict[str, Any] = {}
    said["analyzer"] = client.analyzerstatus()
    said["toggle"] = client.analyzertoggle(mode=True)
    said["toggle_live"] = client.analyzertoggle(mode=False)
    said["telegram"] = client.telegram(username="asha", message="Bought.\nTen.", priority=9)
    said["telegram_other"] = client.telegram(username="ravi", message="Bought.")
    instruments = client.instruments(exchange="NSE_INDEX")
    said["instruments"] = {"rows": len(instruments), "columns": sorted(instruments.columns)}
    if hasattr(client, "whatsapp"):
        said["whatsapp"] = client.whatsapp("Bought.")
        said["whatsapp_to"] = client.whatsapp("Bought.", to="919876543210")
    if hasattr(client, "strategylist"):
        said["strategylist"] = client.strategylist()
    if hasattr(client, "placegttorder"):
        said["gtt"] = drive_gtt(client)
    return said


def drive_gtt(client: Any) -> dict[str, Any]:
    """GTTs of both types through their life."""
    last = client.quotes(**SYMBOL)["data"]["ltp"]
    dip = {**SYMBOL, "action": "BUY", "quantity": 2, "triggerprice_sl": round(last * 0.9)}
    both = {
        "trigger_type": "OCO",
        **SYMBOL,
        "action": "SELL",
        "quantity": 1,
        "triggerprice_sl": round(last * 0.9),
        "stoploss": round(last * 0.89),
        "triggerprice_tg": round(last * 1.1),
        "target": round(last * 1.09),
    }
    said: dict[str, Any] = {
        "placed": client.placegttorder(**dip, price=round(last * 0.89)),
        "oco": client.placegttorder(**both),
        "mis": client.placegttorder(**dip, product="MIS", price=1),
        "no_price": client.placegttorder(**dip, price=0),
    }
    said["book"] = client.gttorderbook()
    named = {"trigger_id": said["placed"]["trigger_id"]}
    said["modified"] = client.modifygttorder(**named, **dip, price=round(last * 0.88))
    said["other_side"] = client.modifygttorder(**named, **{**dip, "action": "SELL"}, price=1)
    said["cancelled"] = client.cancelgttorder(**named)
    said["again"] = client.cancelgttorder(**named)
    said["left"] = client.gttorderbook()
    said["all"] = client.gttorderbook(status="all")
    return said


def until(seen: Any, seconds: float = 10) -> bool:
    """Whether ``seen()`` became true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if seen():
            return True
        time.sleep(0.02)
    return False


def drive_feed(client: Any) -> dict[str, Any]:
    """Every streaming method of this version."""
    said: dict[str, Any] = {"connected": client.connect()}
    heard: dict[str, list[Any]] = {"ltp": [], "quote": [], "depth": [], "orders": []}
    both = [SYMBOL, OTHER]
    said["subscribed"] = [
        client.subscribe_ltp(both, on_data_received=heard["ltp"].append),
        client.subscribe_quote(both, on_data_received=heard["quote"].append),
        client.subscribe_depth(both, on_data_received=heard["depth"].append),
    ]
    said["arrived"] = until(
        lambda: all(len(heard[name]) >= 2 for name in ("ltp", "quote", "depth"))
    )
    said["ltp_data"] = dict(client.ltp_data)
    said["quotes_data"] = dict(client.quotes_data)
    said["depth_data"] = dict(client.depth_data)
    said["get_ltp"] = client.get_ltp()
    said["get_quotes"] = client.get_quotes()
    said["get_depth"] = client.get_depth()
    said["heard_ltp"] = heard["ltp"][0]
    if hasattr(client, "subscribe_orders"):
        client.subscribe_orders(on_order_update=heard["orders"].append)
        time.sleep(0.3)
        client.placeorder(**SYMBOL, action="BUY", product="MIS", quantity=2)
        until(lambda: any(o["order_status"] == "complete" for o in heard["orders"]))
        said["orders"] = heard["orders"]
        client.unsubscribe_orders()
    client.unsubscribe_ltp(both)
    client.unsubscribe_quote(both)
    client.unsubscribe_depth(both)
    client.disconnect()
    said["connected_after"] = client.connected
    return said


def main() -> None:
    """Runs everything and prints what came back."""
    from openalgo import __version__, api

    host, feed, key = sys.argv[1:4]
    client = api(api_key=key, host=host, ws_url=feed)
    said = {
        "version": __version__,
        "rest": drive_rest(client),
        "several": drive_several(client),
        "account": drive_account(client),
        "feed": drive_feed(client),
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main()

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
    said["basket"] = client.basketorder(orders=[{**SYMBOL, "action": "BUY", "quantity": 1}])
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
    said = {"version": __version__, "rest": drive_rest(client), "feed": drive_feed(client)}
    print(json.dumps(said))


if __name__ == "__main__":
    main()

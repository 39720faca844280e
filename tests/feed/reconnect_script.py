"""What a script with the openalgo client goes through when the feed's server is restarted.

Usage: python reconnect_script.py HOST FEED KEY. Says READY when ticks come, CUT when it has lost
its connection, and at the end prints one JSON object.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

RELIANCE = {"symbol": "RELIANCE", "exchange": "NSE"}


def until(seen: Callable[[], Any], seconds: float = 60) -> bool:
    """Whether ``seen()`` became true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if seen():
            return True
        time.sleep(0.05)
    return False


def main() -> None:
    """The client 2.x finds its way back by itself; with 1.x a script connects again."""
    from openalgo import __version__, api

    host, feed, key = sys.argv[1:4]
    client = api(api_key=key, host=host, ws_url=feed)
    ticks: list[Any] = []
    orders: list[Any] = []
    client.connect()
    client.subscribe_ltp([RELIANCE], on_data_received=ticks.append)
    knows_orders = hasattr(client, "subscribe_orders")
    if knows_orders:
        client.subscribe_orders(on_order_update=orders.append)
    until(lambda: ticks)
    print("READY", flush=True)
    until(lambda: not client.connected)
    before = len(ticks)
    print("CUT", flush=True)
    if not getattr(client, "auto_reconnect", False):
        until(client.connect)
        client.subscribe_ltp([RELIANCE], on_data_received=ticks.append)
    came = until(lambda: len(ticks) > before + 1)
    if knows_orders:
        until(lambda: not client.placeorder(**RELIANCE, action="BUY", quantity=1).get("error"), 5)
        until(lambda: any(one["order_status"] == "complete" for one in orders), 20)
    client.disconnect()
    said = {"version": __version__, "came": came, "orders": [one["order_status"] for one in orders]}
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()

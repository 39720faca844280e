"""Momentum on live prices: buys a symbol that rose fast enough, sells it when that is over.

One thread receives prices over the WebSocket feed, one trades, one reports. Runs as it is with
plain Python, or uploaded to algohost:

    OPENALGO_API_KEY=... python examples/momentum_ws.py
"""

import os
import queue
import signal
import threading
import time
from collections import deque

from openalgo import api

API_KEY = os.environ["OPENALGO_API_KEY"]
HOST = os.getenv("HOST_SERVER") or os.getenv("OPENALGO_HOST") or "http://127.0.0.1:5000"
WS_URL = os.getenv("WEBSOCKET_URL", "ws://127.0.0.1:8765")

STRATEGY = os.getenv("STRATEGY_NAME", "Momentum")
SYMBOLS = os.getenv("SYMBOLS", "RELIANCE,TCS,SBIN").split(",")
EXCHANGE = os.getenv("EXCHANGE") or os.getenv("OPENALGO_STRATEGY_EXCHANGE") or "NSE"
PRODUCT = os.getenv("PRODUCT", "MIS")
QUANTITY = int(os.getenv("QUANTITY", "5"))
WINDOW_SECONDS = float(os.getenv("WINDOW_SECONDS", "60"))
ENTER_PERCENT = float(os.getenv("ENTER_PERCENT", "0.15"))
HOLD_SECONDS = float(os.getenv("HOLD_SECONDS", "300"))
REPORT_SECONDS = float(os.getenv("REPORT_SECONDS", "15"))
RUN_SECONDS = float(os.getenv("RUN_SECONDS", "0"))  # 0: until stopped
SQUARE_OFF = os.getenv("SQUARE_OFF", "1") == "1"

client = api(api_key=API_KEY, host=HOST, ws_url=WS_URL)
ticks = queue.Queue()
last_price = {}
held_since = {}
stop = threading.Event()


def on_price(data):
    """Called on the client's own thread for each price; the work is done elsewhere."""
    ticks.put((time.monotonic(), data["symbol"], float(data["data"]["ltp"])))


def order(symbol, action):
    response = client.placeorder(
        strategy=STRATEGY,
        symbol=symbol,
        exchange=EXCHANGE,
        action=action,
        price_type="MARKET",
        product=PRODUCT,
        quantity=QUANTITY,
    )
    print(f"{action} {QUANTITY} {symbol} near {last_price[symbol]:.2f}:", response, flush=True)
    return response.get("status") == "success"


def trade():
    """Takes prices from the queue and decides, one after another."""
    window = {symbol: deque() for symbol in SYMBOLS}
    while not stop.is_set():
        try:
            at, symbol, price = ticks.get(timeout=0.5)
        except queue.Empty:
            continue
        last_price[symbol] = price
        prices = window[symbol]
        prices.append((at, price))
        while prices[0][0] < at - WINDOW_SECONDS:
            prices.popleft()
        change = (price / prices[0][1] - 1) * 100
        if symbol in held_since:
            over = at - held_since[symbol] > HOLD_SECONDS or change < 0
            if over and order(symbol, "SELL"):
                del held_since[symbol]
        elif len(prices) > 2 and change >= ENTER_PERCENT and order(symbol, "BUY"):
            held_since[symbol] = at


def report():
    while not stop.wait(REPORT_SECONDS):
        shown = ", ".join(f"{symbol} {price:.2f}" for symbol, price in last_price.items())
        print(f"prices: {shown or 'none yet'}; holding: {', '.join(held_since) or 'nothing'}")


def main():
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    if not client.connect():
        raise SystemExit(f"No feed at {WS_URL}")
    instruments = [{"exchange": EXCHANGE, "symbol": symbol} for symbol in SYMBOLS]
    if not client.subscribe_ltp(instruments, on_data_received=on_price):
        raise SystemExit("The feed refused the subscription")
    print(f"{STRATEGY}: watching {', '.join(SYMBOLS)}", flush=True)
    threads = [threading.Thread(target=work, name=work.__name__) for work in (trade, report)]
    for thread in threads:
        thread.start()
    stop.wait(RUN_SECONDS or None)
    stop.set()
    for thread in threads:
        thread.join()
    client.unsubscribe_ltp(instruments)
    client.disconnect()
    if SQUARE_OFF:
        for symbol in list(held_since):
            order(symbol, "SELL")
    print("Done", flush=True)


if __name__ == "__main__":
    main()

"""EMA crossover: long while the fast average is above the slow one, short while it is below.

Runs as it is with plain Python against any OpenAlgo server, or uploaded to algohost:

    OPENALGO_API_KEY=... python examples/ema_crossover.py
"""

import os
import signal
import threading
from datetime import datetime, timedelta

from openalgo import api

API_KEY = os.environ["OPENALGO_API_KEY"]
HOST = os.getenv("HOST_SERVER") or os.getenv("OPENALGO_HOST") or "http://127.0.0.1:5000"

STRATEGY = os.getenv("STRATEGY_NAME", "EMA crossover")
SYMBOL = os.getenv("SYMBOL", "RELIANCE")
EXCHANGE = os.getenv("EXCHANGE") or os.getenv("OPENALGO_STRATEGY_EXCHANGE") or "NSE"
PRODUCT = os.getenv("PRODUCT", "MIS")
QUANTITY = int(os.getenv("QUANTITY", "10"))
INTERVAL = os.getenv("INTERVAL", "5m")
FAST = int(os.getenv("FAST", "5"))
SLOW = int(os.getenv("SLOW", "20"))
LOOKBACK_DAYS = int(os.getenv("LOOKBACK_DAYS", "5"))
POLL_SECONDS = float(os.getenv("POLL_SECONDS", "30"))
MAX_LOOPS = int(os.getenv("MAX_LOOPS", "0"))  # 0: until stopped
SQUARE_OFF = os.getenv("SQUARE_OFF", "0") == "1"  # close the position at the end

client = api(api_key=API_KEY, host=HOST)
stop = threading.Event()


def on_signal(number, _frame):
    print(f"Signal {number}: stopping after this step")
    stop.set()


def wanted_position():
    """+QUANTITY, -QUANTITY, or None while there are too few bars."""
    today = datetime.now()
    bars = client.history(
        symbol=SYMBOL,
        exchange=EXCHANGE,
        interval=INTERVAL,
        start_date=(today - timedelta(days=LOOKBACK_DAYS)).strftime("%Y-%m-%d"),
        end_date=today.strftime("%Y-%m-%d"),
    )
    if isinstance(bars, dict):
        print("History:", bars.get("message"))
        return None
    if len(bars) < SLOW:
        print(f"Only {len(bars)} bars yet, {SLOW} are needed")
        return None
    fast = bars["close"].ewm(span=FAST, adjust=False).mean().iloc[-1]
    slow = bars["close"].ewm(span=SLOW, adjust=False).mean().iloc[-1]
    close = bars["close"].iloc[-1]
    print(f"{SYMBOL} close {close:.2f}  EMA{FAST} {fast:.2f}  EMA{SLOW} {slow:.2f}")
    return QUANTITY if fast > slow else -QUANTITY


def go_to(position):
    """Trades the difference between the position there is and the one wanted."""
    response = client.placesmartorder(
        strategy=STRATEGY,
        symbol=SYMBOL,
        exchange=EXCHANGE,
        action="BUY" if position > 0 else "SELL",
        price_type="MARKET",
        product=PRODUCT,
        quantity=QUANTITY,
        position_size=position,
    )
    print(f"Position {position:+d} wanted:", response)
    return response.get("status") == "success"


def main():
    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    print(f"{STRATEGY}: {SYMBOL} on {EXCHANGE}, {INTERVAL} bars, every {POLL_SECONDS:g} s")
    held = 0
    loops = 0
    while not stop.is_set():
        wanted = wanted_position()
        if wanted is not None and wanted != held and go_to(wanted):
            held = wanted
        loops += 1
        if MAX_LOOPS and loops >= MAX_LOOPS:
            break
        stop.wait(POLL_SECONDS)
    if SQUARE_OFF and held:
        print("Square off:", client.closeposition(strategy=STRATEGY))
    print("Done")


if __name__ == "__main__":
    main()

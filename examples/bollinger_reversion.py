"""Bollinger mean reversion: against the band that is broken, out again at the middle.

Runs as it is with plain Python, or uploaded to algohost:

    OPENALGO_API_KEY=... python examples/bollinger_reversion.py
"""

import os
import signal
import sys
import time
from datetime import date, timedelta

from openalgo import api

client = api(
    api_key=os.environ["OPENALGO_API_KEY"],
    host=os.getenv("HOST_SERVER") or os.getenv("OPENALGO_HOST") or "http://127.0.0.1:5000",
)

strategy = os.getenv("STRATEGY_NAME", "Bollinger reversion")
symbol = os.getenv("SYMBOL", "HDFCBANK")
exchange = os.getenv("EXCHANGE") or os.getenv("OPENALGO_STRATEGY_EXCHANGE") or "NSE"
product = os.getenv("PRODUCT", "MIS")
quantity = int(os.getenv("QUANTITY", "10"))
interval = os.getenv("INTERVAL", "5m")
period = int(os.getenv("PERIOD", "20"))
width = float(os.getenv("BAND_WIDTH", "2"))
lookback_days = int(os.getenv("LOOKBACK_DAYS", "5"))
poll_seconds = float(os.getenv("POLL_SECONDS", "30"))
max_loops = int(os.getenv("MAX_LOOPS", "0"))  # 0: until stopped
square_off = os.getenv("SQUARE_OFF", "0") == "1"

running = True


def on_sigterm(*_):
    global running
    running = False


signal.signal(signal.SIGTERM, on_sigterm)


def bands():
    """Last close, lower band, middle and upper band; None while there are too few bars."""
    bars = client.history(
        symbol=symbol,
        exchange=exchange,
        interval=interval,
        start_date=str(date.today() - timedelta(days=lookback_days)),
        end_date=str(date.today()),
    )
    if isinstance(bars, dict):
        print("history:", bars.get("message"), file=sys.stderr)
        return None
    if len(bars) < period:
        return None
    middle = bars["close"].rolling(period).mean().iloc[-1]
    spread = width * bars["close"].rolling(period).std().iloc[-1]
    return bars["close"].iloc[-1], middle - spread, middle, middle + spread


def current_position():
    answer = client.openposition(
        strategy=strategy, symbol=symbol, exchange=exchange, product=product
    )
    return int(answer.get("quantity", 0))


def order(action):
    answer = client.placeorder(
        strategy=strategy,
        symbol=symbol,
        exchange=exchange,
        action=action,
        price_type="MARKET",
        product=product,
        quantity=quantity,
    )
    print(action, quantity, symbol, answer)


def step():
    found = bands()
    if found is None:
        return
    close, lower, middle, upper = found
    position = current_position()
    print(f"close {close:.2f}  bands {lower:.2f} {middle:.2f} {upper:.2f}  position {position}")
    if position == 0:
        if close < lower:
            order("BUY")
        elif close > upper:
            order("SELL")
    elif position > 0 and close >= middle:
        order("SELL")
    elif position < 0 and close <= middle:
        order("BUY")


print(f"{strategy}: {symbol}, {interval} bars, {period} of them, {width:g} deviations")
loops = 0
while running:
    step()
    loops += 1
    if max_loops and loops >= max_loops:
        break
    until = time.monotonic() + poll_seconds
    while running and time.monotonic() < until:
        time.sleep(min(0.5, poll_seconds))
if square_off and current_position() != 0:
    print("square off:", client.closeposition(strategy=strategy))
print("done")

"""RSI reversal: buys when the RSI falls below one level, sells when it rises above another.

Long only, one position at a time. Runs as it is with plain Python, or uploaded to algohost:

    OPENALGO_API_KEY=... python examples/rsi_reversal.py
"""

import logging
import os
import signal
import sys
import time
from datetime import date, timedelta

from openalgo import api

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stdout)
log = logging.getLogger("rsi")

API_KEY = os.environ["OPENALGO_API_KEY"]
HOST = os.getenv("HOST_SERVER") or os.getenv("OPENALGO_HOST") or "http://127.0.0.1:5000"

STRATEGY = os.getenv("STRATEGY_NAME", "RSI reversal")
SYMBOL = os.getenv("SYMBOL", "INFY")
EXCHANGE = os.getenv("EXCHANGE") or os.getenv("OPENALGO_STRATEGY_EXCHANGE") or "NSE"
PRODUCT = os.getenv("PRODUCT", "MIS")
QUANTITY = int(os.getenv("QUANTITY", "10"))
INTERVAL = os.getenv("INTERVAL", "5m")
PERIOD = int(os.getenv("PERIOD", "14"))
BUY_BELOW = float(os.getenv("BUY_BELOW", "30"))
SELL_ABOVE = float(os.getenv("SELL_ABOVE", "70"))
LOOKBACK_DAYS = int(os.getenv("LOOKBACK_DAYS", "5"))
POLL_SECONDS = float(os.getenv("POLL_SECONDS", "30"))
MAX_LOOPS = int(os.getenv("MAX_LOOPS", "0"))  # 0: until stopped
SQUARE_OFF = os.getenv("SQUARE_OFF", "0") == "1"


def last_rsi(client):
    """Wilder's RSI of the last close, or None while there are too few bars."""
    bars = client.history(
        symbol=SYMBOL,
        exchange=EXCHANGE,
        interval=INTERVAL,
        start_date=str(date.today() - timedelta(days=LOOKBACK_DAYS)),
        end_date=str(date.today()),
    )
    if isinstance(bars, dict):
        log.warning("history: %s", bars.get("message"))
        return None
    change = bars["close"].diff().dropna()
    if len(change) < PERIOD:
        return None
    gain = change.clip(lower=0).ewm(alpha=1 / PERIOD, adjust=False).mean().iloc[-1]
    loss = -change.clip(upper=0).ewm(alpha=1 / PERIOD, adjust=False).mean().iloc[-1]
    return 100.0 if loss == 0 else 100 - 100 / (1 + gain / loss)


def place(client, action, quantity):
    """Sends a market order and waits for its fill; returns whether it was filled."""
    sent = client.placeorder(
        strategy=STRATEGY,
        symbol=SYMBOL,
        exchange=EXCHANGE,
        action=action,
        price_type="MARKET",
        product=PRODUCT,
        quantity=quantity,
    )
    if sent.get("status") != "success":
        log.error("%s refused: %s", action, sent.get("message"))
        return False
    for _ in range(20):
        state = client.orderstatus(order_id=sent["orderid"], strategy=STRATEGY)
        order = state.get("data", {})
        if order.get("order_status") == "complete":
            log.info("%s %d %s at %s", action, quantity, SYMBOL, order.get("average_price"))
            return True
        if order.get("order_status") in ("rejected", "cancelled"):
            break
        time.sleep(0.5)
    log.error("%s not filled: %s", action, state)
    return False


def main():
    def on_sigterm(*_):
        raise KeyboardInterrupt

    client = api(api_key=API_KEY, host=HOST)
    in_market = False
    loops = 0
    try:
        signal.signal(signal.SIGTERM, on_sigterm)
        log.info("%s on %s, RSI %d of %s bars", SYMBOL, EXCHANGE, PERIOD, INTERVAL)
        while not MAX_LOOPS or loops < MAX_LOOPS:
            rsi = last_rsi(client)
            if rsi is not None:
                log.info("RSI %.1f, %s", rsi, "in the market" if in_market else "waiting")
                if not in_market and rsi < BUY_BELOW:
                    in_market = place(client, "BUY", QUANTITY)
                elif in_market and rsi > SELL_ABOVE:
                    in_market = not place(client, "SELL", QUANTITY)
            loops += 1
            if loops != MAX_LOOPS:
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        log.info("asked to stop")
    if SQUARE_OFF and in_market:
        place(client, "SELL", QUANTITY)
    log.info("done")


if __name__ == "__main__":
    main()

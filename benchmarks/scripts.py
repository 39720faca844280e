"""The strategies that are measured: plain scripts, the same for both sides."""

FIRST_LINE = """\
import time
first = time.clock_gettime(time.CLOCK_MONOTONIC)
import numpy, pandas, openalgo
ready = time.clock_gettime(time.CLOCK_MONOTONIC)
print("TIMES", first, ready, flush=True)
"""

DATA_FRAME = """\
import os, time
from datetime import date, timedelta
from openalgo import api
client = api(api_key=os.environ["OPENALGO_API_KEY"], host=os.environ["HOST_SERVER"])
today = date.today()
bars = client.history(symbol="RELIANCE", exchange="NSE", interval="5m",
                      start_date=str(today - timedelta(days=5)), end_date=str(today))
mean = bars["close"].ewm(span=20).mean().iloc[-1]
print("FETCHED", len(bars), os.getpid(), flush=True)
while True:
    time.sleep(1)
"""

ORDERS = """\
import os, time
from openalgo import api
client = api(api_key=os.environ["OPENALGO_API_KEY"], host=os.environ["HOST_SERVER"])
times = []
for n in range({count} + 3):
    began = time.perf_counter()
    answer = client.placeorder(strategy="bench", symbol="RELIANCE", exchange="NSE",
                               action="SELL" if n % 2 else "BUY", price_type="MARKET",
                               product="MIS", quantity=1)
    times.append((time.perf_counter() - began) * 1000)
    assert answer.get("status") == "success", answer
    time.sleep({pause})
print("MILLISECONDS", *times[3:], flush=True)
"""

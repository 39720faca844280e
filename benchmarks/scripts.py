"""The strategies that are measured: plain scripts, the same for both sides."""

FIRST_LINE = """\
import time
first = time.clock_gettime(time.CLOCK_MONOTONIC)
import numpy, pandas, openalgo
ready = time.clock_gettime(time.CLOCK_MONOTONIC)
print("TIMES", first, ready, flush=True)
"""

USED_AT_FIRST = """\
import time
first = time.clock_gettime(time.CLOCK_MONOTONIC)
print("USED", first, time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID), flush=True)
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

HOLDING = """\
import os, time
from openalgo import api
client = api(api_key=os.environ["OPENALGO_API_KEY"], host=os.environ["HOST_SERVER"])
def order(**what):
    answer = client.placeorder(strategy="bench", symbol="RELIANCE", exchange="NSE", action="BUY",
                               product="MIS", **what)
    assert answer.get("status") == "success", answer
last = client.quotes(symbol="RELIANCE", exchange="NSE")["data"]["ltp"]
order(price_type="MARKET", quantity=1)
order(price_type="LIMIT", quantity=1, price=round(last * 0.95))
while client.openposition(strategy="bench", symbol="RELIANCE", exchange="NSE",
                          product="MIS")["quantity"] in (0, "0"):
    time.sleep(0.1)
print("HOLDS it", flush=True)
while True:
    time.sleep(1)
"""

STUBBORN = """\
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("DEAF", os.getpid(), flush=True)
while True:
    time.sleep(0.2)
"""

PRINTER = """\
import time
began, used = time.perf_counter(), time.process_time()
for number in range({count}):
    print("2026-11-21 RELIANCE close", number, "average 1402.35 position 25 pnl -118.40")
took, used = time.perf_counter() - began, time.process_time() - used
print("RATE", {count} / took, {count} / used, flush=True)
"""

BUSY = """\
print("BUSY begins", flush=True)
while True:
    pass
"""

FILLER = """\
import os
line = b"2026-11-23 09:15:00 IST INFO RELIANCE close %d average 1402.35 position 25 pnl -118.40\\n"
number = 0
while os.fstat(1).st_size < {megabytes} * 1_000_000:
    os.write(1, b"".join(line % n for n in range(number, number + 10_000)))
    number += 10_000
print("FILLED", number, flush=True)
"""

LINE_BUFFERED = """\
import runpy, sys
sys.stdout.reconfigure(line_buffering=True)
runpy.run_path(sys.argv[1], run_name="__main__")
"""

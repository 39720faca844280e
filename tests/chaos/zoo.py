"""The strategies that live through it. Each holds a lock for as long as it lives, so that a
second life of the same strategy would meet the first one."""

_LIFE = """\
import fcntl, os, signal, sys, time
life = open("life.lock", "w")
try:
    fcntl.flock(life, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("DOUBLE LIFE", flush=True)
"""

TICKER = (
    _LIFE
    + """\
number = 0
while True:
    number += 1
    print("tick", number, flush=True)
    time.sleep(0.05)
"""
)

STUBBORN = _LIFE + (
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    "while True:\n"
    "    time.sleep(0.1)\n"
)

SHORT = _LIFE + "time.sleep(0.7)\nsys.exit(7)\n"

FLOOD = (
    _LIFE
    + """\
line = "x" * 200
while True:
    for _ in range(200):
        print(line)
    time.sleep(0.2)
"""
)

TRADER = (
    _LIFE
    + """\
from openalgo import api
client = api(api_key=os.environ["OPENALGO_API_KEY"], host=os.environ["HOST_SERVER"])
try:
    number = int(open("sent").read())
except (FileNotFoundError, ValueError):
    number = {first}
close = None
while not close:
    quote = client.quotes(symbol="RELIANCE", exchange="NSE").get("data") or dict()
    close = quote.get("prev_close")
    time.sleep(0.15)
while True:
    number += 1
    with open("sent.new", "w") as file:
        file.write(str(number))
    os.replace("sent.new", "sent")
    print("SENT", number, flush=True)
    answer = client.placeorder(strategy="chaos", symbol="RELIANCE", exchange="NSE", action="BUY",
                               price_type="LIMIT", product="MIS", quantity=1,
                               price=round(close * 0.92, 1), trigger_price=number)
    if answer.get("status") == "success":
        print("DONE", number, answer["orderid"], flush=True)
    time.sleep(0.15)
"""
)
"""Each order is named by its trigger price, which a LIMIT order carries and does not use. It rests
far below the market, where nothing trades, and within the circuit limits."""

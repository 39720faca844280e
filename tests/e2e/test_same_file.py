"""Promise 12: a plain script, unmodified, does the same by hand and hosted."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.running import RunningServer, running_server, until

pytestmark = pytest.mark.processes

EXAMPLES = Path(__file__).parents[2] / "examples"
ORDER_FIELDS = ("symbol", "exchange", "quantity", "pricetype", "product")
AVERAGES = re.compile(r"EMA5 ([\d.]+)  EMA20 ([\d.]+)")

WHO_AM_I = """
import os, sys, time
from openalgo import api

client = api(api_key=os.environ["OPENALGO_API_KEY"], host=os.environ["OPENALGO_HOST"])
order = dict(symbol="SBIN", exchange="NSE", action="BUY", quantity=3, price_type="MARKET",
             product="MIS", strategy=sys.argv[0])
print("placed", client.placeorder(**order)["status"])
for _ in range(50):  # an order that is sent at the end of a second trades in the next
    if client.positionbook()["data"]:
        break
    time.sleep(0.1)
print("book", sorted((p["symbol"], p["quantity"]) for p in client.positionbook()["data"]))
print("argv", len(sys.argv), "secret in environ file:",
      os.environ["OPENALGO_API_KEY"].encode() in open("/proc/self/environ", "rb").read())
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("e2e") / "data") as started:
        yield started


def orders(server: RunningServer, key: str) -> list[dict[str, Any]]:
    answer = httpx.post(f"{server.url}/api/v1/orderbook", json={"apikey": key}).json()
    assert answer["status"] == "success", answer
    return list(answer["data"]["orders"])


def run_plain(server: RunningServer, script: Path, key: str) -> "subprocess.Popen[str]":
    environment = {
        "PATH": os.environ["PATH"],
        "OPENALGO_API_KEY": key,
        "HOST_SERVER": server.url,
        "PYTHONUNBUFFERED": "1",
    }
    return subprocess.Popen(
        [sys.executable, str(script)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def asked_for(said: str) -> str:
    """The side that the averages of its first look ask for."""
    found = AVERAGES.search(said)
    assert found is not None, said
    return "BUY" if float(found[1]) > float(found[2]) else "SELL"


def test_an_example_trades_the_same_by_hand_and_hosted(server: RunningServer) -> None:
    """The market goes on between the two, and the averages may cross: each must do what its own
    ask for, and all else is the same."""
    script = EXAMPLES / "ema_crossover.py"
    key = server.new_key()
    strategy_id = server.add(script.read_text(), "ema_crossover")
    server.begin(strategy_id)
    plain = run_plain(server, script, key)
    try:
        placed = until(lambda: (o := orders(server, key)) and len(o) >= 2 and o, "both traded")
    finally:
        plain.terminate()
        said, _ = plain.communicate(timeout=20)
    first = [{name: order[name] for name in ORDER_FIELDS} for order in placed[:2]]
    assert first[0] == first[1]
    assert server.stop(strategy_id)["outcome"] == "stopped"
    stamp = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d IST ", re.MULTILINE)
    moment = re.compile(r"[+-]?\d+(\.\d+)?|BUY|SELL")  # prices, ids and sides differ by the moment
    hosted = stamp.sub("", server.run_log(strategy_id))
    assert sorted(one["action"] for one in placed[:2]) == sorted(map(asked_for, (hosted, said)))
    by_hand = said.replace("EMA crossover", "ema_crossover")
    assert moment.sub("#", hosted) == moment.sub("#", by_hand)


def test_orders_belong_to_the_strategy_that_sent_them(server: RunningServer) -> None:
    ids = [server.add(WHO_AM_I, f"who{n}") for n in range(2)]
    for strategy_id in ids:
        server.begin(strategy_id)
        until(lambda i=strategy_id: server.row(i)["phase"] == "stopped", "it has finished")  # type: ignore[misc]
        log = server.run_log(strategy_id)
        assert "placed success" in log
        assert "book [('SBIN', 3)]" in log
        assert "argv 1 secret in environ file: False" in log
        assert server.row(strategy_id)["order_count"] == 1
    of_account = httpx.post(
        f"{server.url}/api/v1/openposition",
        json={
            "apikey": server.new_key(),
            "strategy": "by hand",
            "symbol": "SBIN",
            "exchange": "NSE",
            "product": "MIS",
        },
    ).json()
    assert int(of_account["quantity"]) == 6


def test_a_token_dies_with_its_run(server: RunningServer) -> None:
    source = (
        'import os, pathlib\npathlib.Path("token").write_text(os.environ["OPENALGO_API_KEY"])\n'
    )
    strategy_id = server.add(source, "leaky")
    server.begin(strategy_id)
    until(lambda: server.row(strategy_id)["phase"] == "stopped", "it has finished")
    token = (server.data_dir / "work" / strategy_id / "token").read_text()
    answer = httpx.post(f"{server.url}/api/v1/funds", json={"apikey": token})
    assert (answer.status_code, answer.json()["message"]) == (403, "Invalid openalgo apikey")


def test_a_paper_account_survives_the_server(server: RunningServer) -> None:
    """Promise 3: what the API confirmed is there after kill -9, to the rupee."""
    key = server.new_key()
    body = {"apikey": key, "strategy": "by hand", "symbol": "TCS", "exchange": "NSE"}
    order = {"action": "SELL", "quantity": 2, "pricetype": "MARKET", "product": "MIS"}
    for _ in range(3):
        answer = httpx.post(f"{server.url}/api/v1/placeorder", json={**body, **order}).json()
        assert answer["status"] == "success", answer
    until(lambda: {o["order_status"] for o in orders(server, key)} == {"complete"}, "all traded")
    before = orders(server, key)
    server.kill()
    server.start()
    assert orders(server, key) == before

"""The scripts in ``examples/``: traded by hand and hosted, on a real server's synthetic market."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.running import PASSWORD, RunningServer, running_server, until

pytestmark = pytest.mark.processes

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))

# so fast, and with such low hurdles, that each buys and sells within seconds
FAST = {
    "ema_crossover": {"INTERVAL": "1m", "POLL_SECONDS": "0.5", "MAX_LOOPS": "2"},
    "rsi_reversal": {
        "INTERVAL": "1m",
        "POLL_SECONDS": "0.5",
        "MAX_LOOPS": "2",
        "BUY_BELOW": "101",
        "SELL_ABOVE": "-1",
    },
    "bollinger_reversion": {
        "INTERVAL": "1m",
        "POLL_SECONDS": "0.5",
        "MAX_LOOPS": "3",
        "BAND_WIDTH": "0.001",
    },
    "momentum_ws": {
        "SYMBOLS": "SBIN",
        "WINDOW_SECONDS": "5",
        "ENTER_PERCENT": "-100",
        "HOLD_SECONDS": "2",
        "RUN_SECONDS": "8",
        "REPORT_SECONDS": "2",
    },
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("examples") / "data") as started:
        for name in FAST:
            started.ask("POST", "/v1/users", {"name": name, "password": PASSWORD})
        yield started


def run_plain(
    server: RunningServer, script: Path, key: str, **settings: str
) -> "subprocess.Popen[str]":
    environment = {
        "PATH": os.environ["PATH"],
        "OPENALGO_API_KEY": key,
        "HOST_SERVER": server.url,
        "WEBSOCKET_URL": f"ws://127.0.0.1:{server.feed_port}",
        "PYTHONUNBUFFERED": "1",
    }
    return subprocess.Popen(
        [sys.executable, str(script)],
        env={**environment, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ask(server: RunningServer, endpoint: str, key: str) -> Any:
    answer = httpx.post(f"{server.url}/api/v1/{endpoint}", json={"apikey": key}).json()
    assert answer["status"] == "success", answer
    return answer["data"]


def test_every_example_is_tried_here() -> None:
    assert sorted(FAST) == [path.stem for path in EXAMPLES]


def test_by_hand_each_trades_within_seconds_and_is_flat_at_its_end(server: RunningServer) -> None:
    """All four at once, each on an account of its own."""
    keys = {path.stem: server.new_key(path.stem) for path in EXAMPLES}
    running = {
        path.stem: run_plain(server, path, keys[path.stem], SQUARE_OFF="1", **FAST[path.stem])
        for path in EXAMPLES
    }
    for name, process in running.items():
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said
        orders = ask(server, "orderbook", keys[name])["orders"]
        assert {order["action"] for order in orders} == {"BUY", "SELL"}, said
        assert {order["order_status"] for order in orders} == {"complete"}, said
        assert [p for p in ask(server, "positionbook", keys[name]) if int(p["quantity"])] == [], (
            said
        )


def test_by_hand_each_ends_in_order_when_asked_to(server: RunningServer) -> None:
    key = server.new_key()
    running = [run_plain(server, path, key, POLL_SECONDS="60") for path in EXAMPLES]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline(), "it says nothing"
        process.terminate()
    for process in running:
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 0, said
        assert said.splitlines()[-1].lower().endswith("done"), said


def test_hosted_each_starts_unmodified_and_stops_when_asked_to(server: RunningServer) -> None:
    ids = [server.add(path.read_text(encoding="utf-8"), path.stem) for path in EXAMPLES]
    for strategy_id in ids:
        server.begin(strategy_id)
    for strategy_id in ids:
        until(lambda i=strategy_id: server.run_log(i).count("\n") >= 1, "it says something")  # type: ignore[misc]
        assert server.row(strategy_id)["phase"] == "running", server.run_log(strategy_id)
        assert server.stop(strategy_id)["outcome"] == "stopped"
        log = server.run_log(strategy_id)
        assert "Traceback" not in log
        assert log.splitlines()[-1].lower().endswith("done"), log

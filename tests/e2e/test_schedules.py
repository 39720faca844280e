"""A real server with a schedule that begins within seconds, killed around that very instant."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import RunningServer, running_server, until

pytestmark = pytest.mark.processes

LIVES = """
import time
with open("lives", "a") as lives:
    lives.write("x")
while True:
    time.sleep(0.1)
"""
AHEAD = timedelta(seconds=4)


def arm(server: RunningServer, strategy_id: str, **more: Any) -> datetime:
    """A window from a full second on, for ten minutes, on an exchange that never closes."""
    start_at = (datetime.now(UTC) + AHEAD).replace(microsecond=0)
    stop_at = start_at + timedelta(minutes=10)
    window = {
        "start": f"{start_at:%H:%M:%S}",
        "stop": f"{stop_at:%H:%M:%S}",
        "weekdays": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
        "ends_next_day": stop_at.date() > start_at.date(),
    }
    body = {"kind": "windows", "windows": [window], "zone": "UTC", "exchange": "CRYPTO", **more}
    server.ask("POST", f"/v1/strategies/{strategy_id}/schedule", body)
    return start_at


def lives(server: RunningServer, strategy_id: str) -> int:
    path = server.data_dir / "work" / strategy_id / "lives"
    return len(path.read_text()) if path.exists() else 0


def ledger(server: RunningServer, strategy_id: str) -> list[dict[str, Any]]:
    found = server.ask("GET", f"/v1/strategies/{strategy_id}/schedule/history")
    return list(found["occurrences"])


def sleep_until(at: datetime) -> None:
    time.sleep(max(0.0, (at - datetime.now(UTC)).total_seconds()))


@pytest.mark.parametrize("offset_ms", [-300, 15])
def test_a_start_fires_exactly_once_though_the_server_is_killed_around_it(
    tmp_path: Path, offset_ms: int
) -> None:
    """R9, R10: a moment before its instant, and between intent and launch or so; and again once
    it runs. Nobody opens a page."""
    with running_server(tmp_path / "data") as server:
        strategy_id = server.add(LIVES)
        start_at = arm(server, strategy_id)
        sleep_until(start_at + timedelta(milliseconds=offset_ms))
        server.kill()
        server.start()
        until(lambda: server.row(strategy_id)["phase"] == "running", "it runs")
        until(lambda: lives(server, strategy_id) == 1, "it lives")
        [row] = ledger(server, strategy_id)
        run_id = server.row(strategy_id)["run_id"]
        assert (row["state"], row["run_id"]) == ("started", run_id)
        server.kill()
        server.start()
        until(lambda: server.row(strategy_id)["phase"] == "running", "it is adopted")
        assert server.row(strategy_id)["run_id"] == run_id
        assert [one["state"] for one in ledger(server, strategy_id)] == ["started"]
        assert lives(server, strategy_id) == 1

"""A real script that crashes at once, under a policy: it comes back, is counted, and given up."""

import json
from pathlib import Path

import pytest

from tests.e2e.running import RunningServer, running_server, until

pytestmark = pytest.mark.processes

CRASH = """
with open("lives", "a") as lives:
    lives.write("x")
import talib_that_is_not_there
"""
REASON = "ModuleNotFoundError: No module named 'talib_that_is_not_there'"


def set_policy(server: RunningServer, strategy_id: str, *settings: str) -> None:
    code, out, errors = server.cli("strategy", "set", strategy_id, *settings)
    assert code == 0, out + errors


def lives(server: RunningServer, strategy_id: str) -> int:
    return len((server.data_dir / "work" / strategy_id / "lives").read_text())


def test_a_script_that_crashes_at_once_is_restarted_counted_and_given_up(tmp_path: Path) -> None:
    """Bar R24: also over a death of the server; each end has its reason, and no life is double."""
    with running_server(tmp_path / "data") as server:
        strategy_id = server.add(CRASH)
        set_policy(server, strategy_id, "restart=on_failure", "most_restarts=2")
        server.begin(strategy_id)
        until(lambda: lives(server, strategy_id) >= 2, "restarted once")
        server.kill()
        server.start()
        row = until(
            lambda: (row := server.row(strategy_id))["phase"] == "error" and row, "given up"
        )
        assert row["sentence"] == f"Given up after 2 restarts in 10 minutes: {REASON}."
        assert row["restart"] is None
        code, out, _ = server.cli("strategy", "show", strategy_id, "--json")
        runs = json.loads(out)["runs"]
        assert code == 0
        told = [(run["attempt"], run["outcome"], run["reason"]) for run in runs]
        assert told == [(attempt, "exited(1)", REASON) for attempt in (2, 1, 0)]
        assert all(run["cpu_seconds"] is not None for run in runs)
        assert lives(server, strategy_id) == 3
        assert f"restart 2; {REASON}" in server.cli("strategy", "show", strategy_id)[1]

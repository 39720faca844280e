"""A busy loop is named by its line and lives on; a hoarder is stopped and says why."""

from contextlib import closing
from pathlib import Path

import pytest

from algohost.runner import slices
from tests.e2e.running import RunningServer, running_server, until

pytestmark = pytest.mark.processes

SPINNER = """import json


def warm():
    return json.loads("[1]")


def spin():
    turns = 0
    while True:
        turns += len(warm())


print("begun", flush=True)
spin()
"""
HOARDER = """import os
import time

n = 0
while True:
    with open(f"part{n}", "wb") as file:
        file.write(os.urandom(1 << 20))
    n += 1
    time.sleep(0.05)
"""


def shown(server: RunningServer, strategy_id: str) -> str:
    return str(server.row(strategy_id)["sentence"])


def _slices(pid: int) -> set[int]:
    """Of all its threads, in nanoseconds; 0 where they cannot be asked for."""
    if not slices.ask_for(slices.USUAL):
        return {0}
    texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/sched")]
    lines = [line for text in texts for line in text.splitlines() if line.startswith("se.slice")]
    return {int(line.split(":")[1]) for line in lines}


def test_a_busy_loop_is_flagged_with_its_line_and_goes_on(tmp_path: Path) -> None:
    """Promise 4, R22: confined as every run, found from outside, never stopped for it."""
    with running_server(tmp_path / "data", usage_seconds="0.5", busy_seconds="3") as server:
        strategy_id = server.add(SPINNER, "spinner")
        pid = server.begin(strategy_id)["pid"]
        sentence = until(lambda: shown(server, strategy_id), "it is flagged")
        assert sentence.startswith("Keeps a core busy: ")
        assert any(f"line {line} of spinner.py" in sentence for line in (5, 9, 10, 11)), sentence
        row = server.row(strategy_id)
        assert (row["phase"], row["pid"]) == ("running", pid)
        assert row["flags"][0]["kind"] == "busy"  # after ten seconds it is throttled, too
        told = server.ask("GET", f"/v1/strategies/{strategy_id}")["usage"]
        assert told["now"]["cpu"] > 0
        assert told["now"]["memory"] > 1 << 20
        assert "busy" in [event["kind"] for event in told["events"]]
        assert _slices(server.pid) == {slices.ask_for(slices.USUAL) and slices.PROMPT}
        with closing(server.browser()) as browser:
            answer = browser.get(f"/python/usage/{strategy_id}").json()
            assert answer["is_live"]
            assert answer["points"]
            page = browser.get(f"/python/{strategy_id}").text
            assert "Keeps a core busy" in page
        code, out, _ = server.cli("strategy", "show", strategy_id)
        assert code == 0
        assert "% of a core" in out
        assert "Keeps a core busy" in out


def test_a_run_that_fills_its_folder_is_stopped_with_a_sentence(tmp_path: Path) -> None:
    """A stop by a limit is a problem that a person should see, never a clean stop."""
    with running_server(tmp_path / "data", usage_seconds="0.5") as server:
        strategy_id = server.add(HOARDER, "hoarder")
        server.ask("POST", f"/v1/strategies/{strategy_id}/settings", {"disk_mb": 5})
        server.begin(strategy_id)
        until(lambda: server.row(strategy_id)["phase"] == "error", "it is stopped")
        sentence = shown(server, strategy_id)
        assert "Its folder holds" in sentence
        assert "the limit is 5.0 MB" in sentence

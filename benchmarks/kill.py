"""From one press of the kill switch to quiet: open orders, positions and runs of 50 strategies.

Each is a real process with a position and an open order, on paper. Quiet is when the server says
that nothing is left: no open order, no position, no live run.
"""

import time
from typing import Any

from benchmarks import scripts
from benchmarks.figures import Figure, median
from benchmarks.measures import Amount
from benchmarks.server import WAIT_SECONDS, Server

STRATEGIES = 50
_STEPS = ["cancel", "flatten", "stop"]


def kill(server: Server, amount: Amount) -> list[Figure]:
    """Seconds from the press to quiet."""
    ids = server.upload_many("killed", scripts.HOLDING, STRATEGIES)
    rounds = [_round(server, ids, run) for run in range(1, amount.rounds + 1)]
    return [
        Figure(
            name=f"Kill switch with {STRATEGIES} strategies, press to quiet",
            unit="s",
            ours=median(rounds),
            goal=1,
        )
    ]


def _round(server: Server, ids: list[str], run: int) -> float:
    server.start_all(ids)
    for one in ids:
        server.logged(one, "HOLDS", run=run)
    began = time.monotonic()
    _asked(server, "engage", {"scope": "host", "steps": _STEPS})
    while (task := _task(server))["state"] != "done":
        if time.monotonic() - began > WAIT_SECONDS:
            raise SystemExit(f"The kill switch is not quiet: {task}")
        time.sleep(0.02)
    took = time.monotonic() - began
    done = (task["cancelled"], task["stopped"])
    if done != (STRATEGIES, STRATEGIES) or task["closed"] < STRATEGIES:
        raise SystemExit(f"The kill switch has not done what it was asked for: {task}")
    _asked(server, "release", {"scope": "host"})
    return took


def _asked(server: Server, verb: str, body: dict[str, Any]) -> None:
    answer = server.http.post(f"/api/kill-switch/{verb}", json=body, headers=server.headers)
    answer.raise_for_status()


def _task(server: Server) -> dict[str, Any]:
    tasks = server.http.get("/api/kill-switch").json()["kill_tasks"]
    newest: dict[str, Any] = tasks[0]
    return newest

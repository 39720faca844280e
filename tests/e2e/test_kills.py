"""Promise 2 with real processes: server, agent and zygote are killed, no run is disturbed."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from algohost.agent.client import AgentUnavailable
from tests.e2e.running import RunningServer, running_server, until

pytestmark = pytest.mark.processes

TICKER = """
import os, sys, time
number = 0
while True:
    number += 1
    print("tick", number, flush=True)
    if os.path.exists("exit_with"):
        sys.exit(int(open("exit_with").read()))
    time.sleep(0.05)
"""


@pytest.fixture(params=["zygote", "subprocess"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path / "data", launcher=request.param) as started:
        yield started


def ticks(server: RunningServer, strategy_id: str) -> list[int]:
    lines = server.run_log(strategy_id).splitlines()
    return [int(line.rsplit(" ", 1)[1]) for line in lines if " tick " in line]


def goes_on(server: RunningServer, strategy_id: str, since: int) -> bool:
    return len(ticks(server, strategy_id)) > since + 5


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that is dead and not yet reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def new_agent_answers(server: RunningServer, old_pid: int) -> bool:
    with contextlib.suppress(AgentUnavailable):
        return bool(server.agent()["pid"] != old_pid)
    return False


def assert_undisturbed(server: RunningServer, ids: list[str], pids: list[int]) -> None:
    """Every run is the process that it was, and no line of its log is missing."""
    counts = [len(ticks(server, one)) for one in ids]
    for one, count in zip(ids, counts, strict=True):
        until(lambda i=one, c=count: goes_on(server, i, c), f"{one} goes on")  # type: ignore[misc]
        numbers = ticks(server, one)
        assert numbers == list(range(1, len(numbers) + 1))
    assert [server.row(one)["pid"] for one in ids] == pids


def test_no_kill_of_ours_disturbs_a_run(server: RunningServer) -> None:
    """Bars R1 to R3: server, agent, zygote, and all of them at once."""
    ids = [server.add(TICKER, f"ticker{n}") for n in range(4)]
    pids = [server.begin(one)["pid"] for one in ids]
    assert len(set(pids)) == 4

    server.kill()
    server.start()
    until(lambda: server.row(ids[0])["phase"] == "running", "adopted after the server's death")
    assert_undisturbed(server, ids, pids)

    old_agent = server.agent()["pid"]
    os.kill(old_agent, signal.SIGKILL)
    until(lambda: new_agent_answers(server, old_agent), "a new agent answers")
    assert_undisturbed(server, ids, pids)

    for zygote in server.agent()["zygotes"]:
        os.kill(zygote["pid"], signal.SIGKILL)
    assert_undisturbed(server, ids, pids)

    agent = server.agent()
    for pid in (server.pid, agent["pid"], *(zygote["pid"] for zygote in agent["zygotes"])):
        os.kill(pid, signal.SIGKILL)
    server.kill()
    server.start()
    until(lambda: server.row(ids[0])["phase"] == "running", "adopted after all were killed")
    assert_undisturbed(server, ids, pids)

    stopped = [server.stop(one) for one in ids]
    assert {row["phase"] for row in stopped} == {"stopped"}
    assert not any(is_alive(pid) for pid in pids)


def test_an_exit_while_nobody_looked_is_known(server: RunningServer) -> None:
    """Bar R5: the run ends while the server is dead; its code is there when the server is back."""
    one = server.add(TICKER)
    server.begin(one)
    until(lambda: ticks(server, one), "the first tick")
    server.kill()
    (server.data_dir / "work" / one / "exit_with").write_text("7")
    before = time.monotonic()
    until(lambda: "exits" in os.listdir(server.data_dir / "agent"), "the agent writes it down")
    server.start()
    row = until(lambda: (r := server.row(one))["phase"] == "error" and r, "the exit is known")
    assert row["outcome"] == "exited(7)"
    assert time.monotonic() - before < 60


def test_sigterm_ends_the_server_and_leaves_runs_alone(server: RunningServer) -> None:
    one = server.add(TICKER)
    pid = server.begin(one)["pid"]
    assert server.kill(signal.SIGTERM) == 0
    assert is_alive(pid)
    server.start()
    until(lambda: server.row(one)["phase"] == "running", "adopted")
    assert_undisturbed(server, [one], [pid])
    code, out, err = server.cli("down", "--all")
    assert (code, err) == (0, "")
    assert one in out
    assert not is_alive(pid)

"""R23: the agent of an earlier release is still there when a newer server comes."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from algohost.agent import daemon
from algohost.agent.client import AgentClient, AgentRefused, AgentUnavailable
from algohost.runner import frames
from tests.agent.driving import LAUNCHERS, Driver, is_alive, until
from tests.agent.test_surviving import TICKER, assert_no_gap, leave, ticks

pytestmark = pytest.mark.processes

OF_ANOTHER_RELEASE = """
import sys
from algohost.agent import runs, service
from algohost.runner import frames

frames.PROTOCOL = {protocol}
frames.protocol_problem.__defaults__ = (frames.PROTOCOL,)
if frames.PROTOCOL == (1, 0):  # what that release did not say or write down yet
    refusal = service.Refusal.__init__
    service.Refusal.__init__ = lambda self, code, message, **_: refusal(self, code, message)
    intent = runs.intent
    runs.intent = lambda run: {{
        name: value for name, value in intent(run).items() if name not in ("cwd", "log", "limits")
    }}
from algohost.agent.__main__ import main
main()
"""


@contextmanager
def agent_of(protocol: frames.Version, state_dir: Path) -> Iterator[int]:
    """A real agent process that speaks another protocol; its pid."""
    source = OF_ANOTHER_RELEASE.format(protocol=protocol)
    command = [sys.executable, "-c", source, "--state-dir", str(state_dir), "--warm"]
    state_dir.parent.mkdir(parents=True)
    with (state_dir.parent / "other.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        until((state_dir / "agent.sock").exists)
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        process.wait(20)


@pytest.mark.parametrize("earlier", [(1, 0), (frames.PROTOCOL[0] - 1, 7)])
def test_the_agent_of_an_earlier_release_leaves_and_its_runs_are_adopted(
    tmp_path: Path, earlier: frames.Version
) -> None:
    """Every start would be refused for ever: that agent does not know what we ask for."""
    folder = tmp_path / "agent"
    with agent_of(earlier, folder / "state") as old_pid:
        old = Driver.__new__(Driver)
        old.folder, old.state_dir = folder, folder / "state"
        before = asyncio.run(_begin(old, earlier))
        driver = Driver(folder)
        try:
            until(lambda: not is_alive(old_pid))
            assert {i: fact.pid for i, fact in driver.facts().items()} == before
            until(lambda: {fact.state for fact in driver.facts().values()} == {"running"})
            assert driver.status()["pid"] != old_pid
            assert driver.start("new", "print('of this release')").error is None
            driver.says("new", "of this release")
            for code, run_id in enumerate(before, start=41):
                so_far = ticks(driver, run_id)
                until(lambda r=run_id, n=so_far: ticks(driver, r) > n)  # type: ignore[misc]
                leave(driver, run_id, code)
            ends = {run_id: driver.ended(run_id).exit for run_id in before}
            assert [end and end.code for end in ends.values()] == [41, 42, 43]
            for run_id in before:
                assert_no_gap(driver, run_id)
        finally:
            driver.close()


async def _begin(old: Driver, protocol: frames.Version) -> dict[str, int | None]:
    """Three runs of the earlier release: their pids."""
    client = await AgentClient.connect(old.state_dir, protocol=protocol)
    try:
        pids = {}
        for number, launcher in enumerate((LAUNCHERS[0], LAUNCHERS[0], LAUNCHERS[1])):
            spec = old.spec(f"ticker{number}", TICKER, launcher=launcher)
            pids[spec.run_id] = (await client.start(spec)).pid
        return pids
    finally:
        await client.close()


def test_the_agent_of_a_later_release_is_left_alone(tmp_path: Path) -> None:
    """Its journal may say what we do not understand; going back is not offered."""
    state_dir = tmp_path / "agent" / "state"
    with agent_of((99, 0), state_dir) as pid:
        with pytest.raises(AgentRefused, match="of different releases") as refusal:
            asyncio.run(daemon.ensure_agent(state_dir))
        assert refusal.value.protocol == (99, 0)
        assert is_alive(pid)
        asyncio.run(daemon.dismiss(state_dir, stop_runs=True))
        until(lambda: not is_alive(pid))
    with pytest.raises(AgentUnavailable):
        asyncio.run(daemon.dismiss(state_dir, stop_runs=True))


def test_an_agent_that_does_not_leave_is_said_to(lone: Callable[..., Driver]) -> None:
    driver = lone()
    driver.start("ticker", TICKER)
    with pytest.raises(AgentUnavailable, match="did not within"):
        driver.do(daemon.dismiss(driver.state_dir, stop_runs=True, timeout_seconds=0.0))

"""What a full disk, a wrong clock, a damaged file or a faulty agent does to strategies: little."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from algohost.agent.client import AgentRefused
from algohost.domain.ids import RunId
from algohost.domain.strategies import Phase
from algohost.host.launch import Folders, Launching
from algohost.host.strangers import end_strangers
from algohost.runner.messages import LaunchSpec
from algohost.store import runs as stored_runs
from tests.host.harness import ASHA, SOURCE, HostUnderTest

Scenario = Callable[[HostUnderTest], Awaitable[None]]


def play(folder: Path, scenario: Scenario) -> None:
    async def main() -> None:
        async with HostUnderTest(folder) as host:
            await scenario(host)

    asyncio.run(main())


async def started(host: HostUnderTest, strategy_id: str) -> str:
    """Starts, waits until it runs, and returns the run's id."""
    await host.service.start(ASHA, strategy_id)
    await host.until(lambda: host.service.get(ASHA, strategy_id).phase is Phase.RUNNING, "runs")
    latest = host.service.get(ASHA, strategy_id).latest
    assert latest is not None
    return latest.id


async def ended(host: HostUnderTest, strategy_id: str, run_id: str) -> None:
    """Has the run's process exit, and waits until that is shown."""
    host.keeper.exits(run_id)
    await host.until(lambda: host.service.get(ASHA, strategy_id).phase is Phase.STOPPED, "ended")


def test_a_clock_set_back_does_not_end_the_run_that_began_under_it(tmp_path: Path) -> None:
    """By its instant an ended run was the newest; the live one was then nobody's, and stopped."""

    async def scenario(host: HostUnderTest) -> None:
        view = await host.add()
        strategy_id = view.strategy.id
        await ended(host, strategy_id, await started(host, strategy_id))
        host.clock.set(host.clock.now() - timedelta(hours=3))
        run_id = await started(host, strategy_id)
        await host.kill_and_restart()
        await end_strangers(host.keeper, host.registry, grace_seconds=10)
        latest = host.service.get(ASHA, strategy_id).latest
        assert latest is not None
        assert (latest.id, latest.is_live) == (run_id, True)
        assert [fact.state for fact in host.keeper.facts()] == ["running"]

    play(tmp_path, scenario)


def test_runs_are_listed_by_their_starts_whatever_the_clock_said(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        view = await host.add()
        ids = []
        for _ in range(3):
            ids.append(await started(host, view.strategy.id))
            await ended(host, view.strategy.id, ids[-1])
            host.clock.set(host.clock.now() - timedelta(minutes=7))
        assert [run.id for run in host.service.runs(ASHA, view.strategy.id)] == ids[::-1]
        newest = host.database.read(stored_runs.latest_of_each)
        assert [run.id for run in newest] == [ids[-1]]

    play(tmp_path, scenario)


@pytest.mark.parametrize("damage", [b"", SOURCE[:5], b"#" * len(SOURCE)], ids=len)
def test_a_damaged_version_file_is_never_run(tmp_path: Path, damage: bytes) -> None:
    """The code that runs is the code that was uploaded, whatever lies on disk."""

    async def scenario(host: HostUnderTest) -> None:
        view = await host.add()
        await ended(host, view.strategy.id, await started(host, view.strategy.id))
        (script,) = (tmp_path / "code").glob("*/*.py")
        script.chmod(0o600)
        script.write_bytes(damage)
        await started(host, view.strategy.id)
        assert script.read_bytes() == SOURCE
        assert script.stat().st_mode & 0o777 == 0o400

    play(tmp_path, scenario)


def test_a_launch_that_finds_the_disk_full_says_so_and_happens_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It used to say "starting" for as long as the disk was full, and nothing else."""
    usual = Launching.spec

    def full(*_: object, **__: object) -> LaunchSpec:
        raise OSError(28, "No space left on device")

    async def scenario(host: HostUnderTest) -> None:
        view = await host.add()
        monkeypatch.setattr(Launching, "spec", full)
        await host.service.start(ASHA, view.strategy.id)
        await host.until(
            lambda: "No space left" in host.service.get(ASHA, view.strategy.id).sentence, "said"
        )
        assert host.service.get(ASHA, view.strategy.id).phase is Phase.STARTING
        monkeypatch.setattr(Launching, "spec", usual)
        await host.until(
            lambda: host.service.get(ASHA, view.strategy.id).phase is Phase.RUNNING, "runs"
        )
        assert host.service.get(ASHA, view.strategy.id).sentence == ""

    play(tmp_path, scenario)


def test_an_agent_that_refuses_does_not_end_the_loop_that_strategies_live_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_run_ids: list[str]) -> None:
        raise AgentRefused("busy", "The agent cannot do that now.")

    async def scenario(host: HostUnderTest) -> None:
        monkeypatch.setattr(host.keeper, "forget", refuse)
        host.reconciler._wake.set()
        await host.until(lambda: host.reconciler.failures > 0, "the look failed")
        view = await host.add()
        await started(host, view.strategy.id)

    play(tmp_path, scenario)


def test_a_stop_whose_first_step_fails_is_a_stop_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its intent is on disk: a refusal would tell the user the opposite of what will happen."""

    async def fail(run_id: RunId, *, grace_seconds: float, by: str) -> None:
        raise AgentRefused("busy", f"Not {run_id} in {grace_seconds} for {by}.")

    async def scenario(host: HostUnderTest) -> None:
        view = await host.add()
        run_id = await started(host, view.strategy.id)
        with monkeypatch.context() as patch:
            patch.setattr(host.keeper, "stop", fail)
            stopping = await host.service.stop(ASHA, view.strategy.id)
            assert stopping.phase is Phase.STOPPING
        await host.until(lambda: host.keeper.known[run_id].state == "stopping", "asked again")

    play(tmp_path, scenario)


def test_code_lies_under_the_version_of_the_run(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest) -> None:
        view = await host.add()
        run_id = await started(host, view.strategy.id)
        run = host.service.get(ASHA, view.strategy.id).latest
        assert run is not None
        folder = Folders(data=tmp_path).code(run.version_id)
        assert Path(host.keeper.specs[run_id].script).parent == folder

    play(tmp_path, scenario)

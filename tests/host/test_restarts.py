"""Restarts over a real database, registry and reconciler: they come once, wait, end and survive."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import pytest

from algohost.domain.errors import Conflict
from algohost.domain.restarts import Backoff
from algohost.domain.runs import OutcomeKind, Run
from algohost.domain.strategies import Phase
from algohost.domain.strategy_settings import Restart, StrategySettings
from algohost.host.views import StrategyView
from tests.host.harness import ASHA, HostUnderTest

Scenario = Callable[[HostUnderTest, str], Awaitable[None]]

FULL = Backoff(jitter=lambda _: 1.0)
TWICE = StrategySettings(restart=Restart.ON_FAILURE, most_restarts=2)
REASON = "ModuleNotFoundError: No module named 'talib'"


def play(folder: Path, scenario: Scenario, settings: StrategySettings = TWICE) -> None:
    async def main() -> None:
        async with HostUnderTest(folder, backoff=FULL) as host:
            strategy_id = (await host.add()).strategy.id
            await host.service.configure(ASHA, strategy_id, asdict(settings))
            await host.service.start(ASHA, strategy_id)
            await shows(host, strategy_id, Phase.RUNNING)
            await scenario(host, strategy_id)

    asyncio.run(main())


def view_of(host: HostUnderTest, strategy_id: str) -> StrategyView:
    return host.service.get(ASHA, strategy_id)


def latest_of(host: HostUnderTest, strategy_id: str) -> Run:
    latest = view_of(host, strategy_id).latest
    assert latest is not None
    return latest


async def shows(host: HostUnderTest, strategy_id: str, phase: Phase) -> StrategyView:
    await host.until(lambda: view_of(host, strategy_id).phase is phase, phase.value)
    return view_of(host, strategy_id)


async def crash(host: HostUnderTest, strategy_id: str) -> None:
    """The living run ends with an error, now."""
    run_id = latest_of(host, strategy_id).id
    host.keeper.exits(run_id, code=1, reason=REASON, at=host.clock.now())
    await host.until(lambda: latest_of(host, strategy_id).outcome is not None, "it has ended")


async def decided(host: HostUnderTest, strategy_id: str) -> StrategyView:
    """The view once the next restart has its time."""
    await host.until(lambda: view_of(host, strategy_id).next_at is not None, "it has a time")
    return view_of(host, strategy_id)


async def wait_over(host: HostUnderTest, strategy_id: str) -> None:
    """Time goes on to the restart."""
    view = await decided(host, strategy_id)
    assert view.next_at is not None
    host.clock.advance(max(timedelta(), view.next_at - host.clock.now()))
    host.reconciler.look_at_all()
    await shows(host, strategy_id, Phase.RUNNING)


def test_a_crash_is_followed_by_a_restart_after_a_wait_and_in_the_end_given_up(
    tmp_path: Path,
) -> None:
    """Bar R24."""

    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        sentences = []
        for _ in range(2):
            await crash(host, strategy_id)
            view = await decided(host, strategy_id)
            assert view.phase is Phase.BACKING_OFF
            sentences.append(view.sentence)
            await wait_over(host, strategy_id)
        await crash(host, strategy_id)
        view = await shows(host, strategy_id, Phase.ERROR)
        assert [*sentences, view.sentence] == [
            f"Restart 1 of 2 at 09:15:01 IST. Exited with code 1 at 23 Nov 09:15:00 IST: {REASON}.",
            f"Restart 2 of 2 at 09:15:03 IST. Exited with code 1 at 23 Nov 09:15:01 IST: {REASON}.",
            f"Given up after 2 restarts in 10 minutes: {REASON}.",
        ]
        assert [run.attempt for run in host.service.runs(ASHA, strategy_id)] == [2, 1, 0]
        assert len(host.keeper.launches) == 3
        assert list(host.tokens.live) == []

    play(tmp_path, scenario)


def test_nothing_is_restarted_before_its_time(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        await crash(host, strategy_id)
        await decided(host, strategy_id)
        host.clock.advance(0.9)
        async with host.registry.lock(latest_of(host, strategy_id).strategy_id):
            assert await host.reconciler.step(latest_of(host, strategy_id).strategy_id) is False
        assert len(host.keeper.launches) == 1

    play(tmp_path, scenario)


def test_a_wait_and_a_count_survive_the_servers_death(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        await crash(host, strategy_id)
        before = await decided(host, strategy_id)
        await host.kill_and_restart()
        assert (await decided(host, strategy_id)).next_at == before.next_at
        await wait_over(host, strategy_id)
        await crash(host, strategy_id)
        await host.kill_and_restart()
        view = await decided(host, strategy_id)
        assert view.sentence.startswith("Restart 2 of 2 ")
        await wait_over(host, strategy_id)
        await host.kill_and_restart()
        await crash(host, strategy_id)
        given_up = await shows(host, strategy_id, Phase.ERROR)
        await host.kill_and_restart()
        assert view_of(host, strategy_id).sentence == given_up.sentence
        assert len(set(host.keeper.launches)) == len(host.keeper.launches) == 3

    play(tmp_path, scenario)


def test_an_end_while_the_server_was_dead_is_known_with_its_reason_and_restarted(
    tmp_path: Path,
) -> None:
    """Bar R5."""

    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        await host.halt()
        host.keeper.exits(
            latest_of(host, strategy_id).id, code=1, reason=REASON, at=host.clock.now()
        )
        host.clock.advance(timedelta(hours=1))
        await host.kill_and_restart()
        await host.until(lambda: latest_of(host, strategy_id).attempt == 1, "restarted")
        first = host.service.runs(ASHA, strategy_id)[1]
        assert first.outcome is not None
        assert (str(first.outcome), first.outcome.reason) == ("exited(1)", REASON)

    play(tmp_path, scenario)


def test_a_stop_while_it_backs_off_ends_the_waiting_at_once(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        await crash(host, strategy_id)
        await decided(host, strategy_id)
        assert (await host.service.stop(ASHA, strategy_id)).phase is Phase.STOPPED
        host.clock.advance(timedelta(days=1))
        host.reconciler.look_at_all()
        with pytest.raises(Conflict, match="nothing to stop"):
            await host.service.stop(ASHA, strategy_id)
        await host.kill_and_restart()
        assert view_of(host, strategy_id).phase is Phase.STOPPED
        assert len(host.keeper.launches) == 1

    play(tmp_path, scenario)


def test_a_start_while_it_backs_off_starts_now_and_counts_anew(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        await crash(host, strategy_id)
        await decided(host, strategy_id)
        started = await host.service.start(ASHA, strategy_id)
        assert started.phase is Phase.STARTING
        await shows(host, strategy_id, Phase.RUNNING)
        assert latest_of(host, strategy_id).attempt == 0
        await crash(host, strategy_id)
        assert (await decided(host, strategy_id)).sentence.startswith("Restart 1 of 2 ")

    play(tmp_path, scenario)


def test_a_version_saved_while_it_backs_off_is_the_one_that_is_restarted(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        await crash(host, strategy_id)
        await decided(host, strategy_id)
        saved = await host.service.save(ASHA, strategy_id, b"print('mended')\n")
        await wait_over(host, strategy_id)
        run = latest_of(host, strategy_id)
        assert run.version_id == saved.strategy.version_id
        assert Path(host.keeper.specs[run.id].script).read_bytes() == b"print('mended')\n"

    play(tmp_path, scenario)


def test_a_draft_saved_while_it_backs_off_waits_to_be_mended(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        await crash(host, strategy_id)
        await decided(host, strategy_id)
        await host.service.save(ASHA, strategy_id, b"print('\n")
        host.clock.advance(5)
        host.reconciler.look_at_all()
        waiting = await shows(host, strategy_id, Phase.WAITING)
        assert waiting.sentence.startswith("Draft: line 1 does not compile")
        await host.service.save(ASHA, strategy_id, b"print('mended')\n")
        host.reconciler.look_at_all()
        await shows(host, strategy_id, Phase.RUNNING)

    play(tmp_path, scenario)


def test_another_policy_holds_from_the_next_look_on(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        await crash(host, strategy_id)
        await decided(host, strategy_id)
        await host.service.configure(ASHA, strategy_id, asdict(StrategySettings()))
        assert view_of(host, strategy_id).phase is Phase.ERROR
        host.clock.advance(60)
        host.reconciler.look_at_all()
        await asyncio.sleep(0.05)
        assert len(host.keeper.launches) == 1

    play(tmp_path, scenario)


def test_a_policy_set_at_rest_brings_nothing_back_to_life(tmp_path: Path) -> None:
    """A strategy that crashed yesterday does not trade because its settings were saved."""

    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        await crash(host, strategy_id)
        await shows(host, strategy_id, Phase.ERROR)
        host.clock.advance(timedelta(days=1))
        await host.service.configure(ASHA, strategy_id, asdict(TWICE))
        assert view_of(host, strategy_id).phase is Phase.STOPPED
        await host.kill_and_restart()
        host.reconciler.look_at_all()
        await asyncio.sleep(0.05)
        assert view_of(host, strategy_id).phase is Phase.STOPPED
        assert len(host.keeper.launches) == 1
        await host.service.start(ASHA, strategy_id)
        await shows(host, strategy_id, Phase.RUNNING)

    play(tmp_path, scenario, StrategySettings())


def test_a_start_that_fails_counts_as_a_failure(tmp_path: Path) -> None:
    """Bar R8: the sentence says why, and the count is bounded."""

    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        await crash(host, strategy_id)
        host.keeper.refuses_with = "Could not start: Permission denied (EACCES)."
        for attempt in (1, 2):
            view = await decided(host, strategy_id)
            assert view.next_at is not None
            host.clock.set(view.next_at)
            host.reconciler.look_at_all()
            await host.until(
                lambda attempt=attempt: (  # type: ignore[misc]
                    latest_of(host, strategy_id).attempt == attempt
                    and latest_of(host, strategy_id).outcome is not None
                ),
                "failed again",
            )
        view = await shows(host, strategy_id, Phase.ERROR)
        assert view.sentence == (
            "Given up after 2 restarts in 10 minutes:"
            " failed to start (Could not start: Permission denied (EACCES))."
        )

    play(tmp_path, scenario)


@pytest.mark.parametrize("policy", Restart)
def test_a_restart_of_the_machine_is_said_and_the_policy_decides(
    tmp_path: Path, policy: Restart
) -> None:
    """Bar R4."""

    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        await host.halt()
        host.clock.advance(timedelta(minutes=3))
        host.keeper.reboots(at=host.clock.now())
        await host.kill_and_restart()
        await host.until(lambda: not latest_of(host, strategy_id).is_live, "seen")
        run = latest_of(host, strategy_id)
        assert run.outcome is not None
        assert (run.outcome.kind, run.outcome.reason) == (
            OutcomeKind.LOST,
            "Interrupted by a restart of the machine.",
        )
        if policy is Restart.NEVER:
            view = await shows(host, strategy_id, Phase.ERROR)
            assert view.sentence == (
                "Interrupted by a restart of the machine; seen at 23 Nov 09:18:00 IST."
            )
        else:
            await wait_over(host, strategy_id)

    play(tmp_path, scenario, replace(TWICE, restart=policy))


def test_a_clean_exit_is_restarted_only_where_the_policy_is_always(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        host.keeper.exits(latest_of(host, strategy_id).id, at=host.clock.now())
        await shows(host, strategy_id, Phase.STOPPED)
        await host.service.configure(
            ASHA, strategy_id, asdict(replace(TWICE, restart=Restart.ALWAYS))
        )
        await host.service.start(ASHA, strategy_id)
        await shows(host, strategy_id, Phase.RUNNING)
        host.keeper.exits(latest_of(host, strategy_id).id, at=host.clock.now())
        view = await decided(host, strategy_id)
        assert view.sentence == (
            "Restart 1 of 2 at 09:15:01 IST. Finished by itself at 23 Nov 09:15:00 IST."
        )
        await wait_over(host, strategy_id)

    play(tmp_path, scenario)


def test_what_a_user_stopped_past_a_full_disk_is_not_restarted(tmp_path: Path) -> None:
    """The wish could not be written down, but the agent was told whose it was."""

    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        run = latest_of(host, strategy_id)
        await host.reconciler.stop_unwritten(run, by="user:asha")
        host.keeper.exits(run.id, code=None, signal=15, at=host.clock.now())
        view = await shows(host, strategy_id, Phase.STOPPED)
        assert view.sentence == "Stopped by asha at 23 Nov 09:15:00 IST."
        assert latest_of(host, strategy_id).stop_asked_by == "user:asha"

    play(tmp_path, scenario)


def test_a_folder_over_its_limit_is_said_and_ends_the_restarts(tmp_path: Path) -> None:
    """Bar R24: the next run would find the same folder; the sentence says what to do."""
    over = "Its folder holds 1.20 GB, the limit is 1.00 GB."

    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        run_id = latest_of(host, strategy_id).id
        host.keeper.exits(
            run_id, code=None, signal=2, reason=over, at=host.clock.now(), limit="disk"
        )
        view = await shows(host, strategy_id, Phase.ERROR)
        assert view.sentence == (
            f"Stopped by the disk limit at 23 Nov 09:15:00 IST: {over}"
            " Not restarted: delete files there or raise the limit, then start it."
        )
        host.clock.advance(86_400)
        await host.kill_and_restart()
        host.reconciler.look_at_all()
        assert (await shows(host, strategy_id, Phase.ERROR)).sentence == view.sentence
        assert len(host.keeper.launches) == 1
        await host.service.start(ASHA, strategy_id)
        await shows(host, strategy_id, Phase.RUNNING)
        assert latest_of(host, strategy_id).attempt == 0

    play(tmp_path, scenario)


def test_a_busy_loop_does_not_keep_a_restart_from_its_time(tmp_path: Path) -> None:
    """Something wakes the loop all the time; those that wait are looked at all the same."""

    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        other = (await host.add("Busy")).strategy.id
        await crash(host, strategy_id)
        await decided(host, strategy_id)
        host.clock.advance(2)

        def is_restarted() -> bool:
            host.reconciler.look_at(other)
            return latest_of(host, strategy_id).attempt == 1

        await host.until(is_restarted, "restarted")

    play(tmp_path, scenario)

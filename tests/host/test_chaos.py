"""Promise 1 under chaos: whatever is asked, killed and lost, a strategy has at most one life."""

import asyncio
import tempfile
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from algohost.domain.errors import AlgohostError
from algohost.domain.strategies import Phase, Wanted
from algohost.domain.strategy_settings import Restart, StrategySettings
from algohost.store.tables import intents
from tests.host.harness import ASHA, HostUnderTest

ACTS = (
    "start", "stop", "exit", "crash", "kill server", "agent away", "agent back", "lose reply",
    "reboot", "power cut", "later", "never", "on_failure", "always",
)  # fmt: skip
MOST_RESTARTS = 2
STOPS = select(intents.c.number).where(intents.c.wanted == Wanted.STOPPED.value)


async def live(host: HostUnderTest, acts: list[str]) -> None:
    strategy_id = (await host.add()).strategy.id
    for act in acts:
        await one_act(host, strategy_id, act)
        assert len(host.keeper.alive()) <= 1, acts
        for _ in range(3):  # lets the loop get somewhere, not always to the end
            await asyncio.sleep(0)
    await come_to_rest(host, strategy_id)


async def one_act(host: HostUnderTest, strategy_id: str, act: str) -> None:
    alive = host.keeper.alive()
    try:
        match act:
            case "start":
                await host.service.start(ASHA, strategy_id)
            case "stop":
                await host.service.stop(ASHA, strategy_id)
            case "exit" if alive:
                host.keeper.exits(alive[0], code=0)
            case "crash" if alive:
                host.keeper.exits(alive[0], code=None, signal=11, at=host.clock.now())
            case "reboot":
                host.keeper.reboots()
            case "power cut":
                host.keeper.loses_power()
            case "later":
                host.clock.advance(2)
            case "never" | "on_failure" | "always":
                policy = StrategySettings(restart=Restart(act), most_restarts=MOST_RESTARTS)
                await host.service.configure(ASHA, strategy_id, asdict(policy))
            case "kill server":
                await host.kill_and_restart()
            case "agent away":
                host.keeper.is_away = True
            case "agent back":
                host.keeper.returns()
            case "lose reply":
                host.keeper.loses_replies = True
    except AlgohostError:
        pass  # refusals are right answers here; what matters is what is true afterwards


async def come_to_rest(host: HostUnderTest, strategy_id: str) -> None:
    """Everything answers again: within moments, what is, is what was wanted."""
    host.keeper.loses_replies = False
    host.keeper.returns()

    def is_settled() -> bool:
        for run_id in host.keeper.alive():
            if host.keeper.known[run_id].state == "stopping":
                host.keeper.exits(run_id)
        view = host.service.get(ASHA, strategy_id)
        wanted = view.strategy.intent.wanted is Wanted.RUNNING
        answered = view.latest and view.latest.intent_number == view.strategy.intent.number
        alive = len(host.keeper.alive())
        if alive:
            return wanted and view.phase is Phase.RUNNING
        at_rest = {Phase.STOPPED, Phase.ERROR, Phase.BACKING_OFF}
        return view.phase in at_rest and bool(not wanted or answered)

    await host.until(is_settled, "reality is what was wanted")
    # a launch of which nobody has heard and that no disk remembers is made again; no other is
    launches = list(zip(host.keeper.power_cuts_before, host.keeper.launches, strict=True))
    assert len(launches) == len(set(launches))
    await be_given_up(host, strategy_id)


async def be_given_up(host: HostUnderTest, strategy_id: str) -> None:
    """Crashing at once from now on, it is restarted at most so often, and never after a stop."""

    def is_at_rest() -> bool:
        for run_id in host.keeper.alive():
            host.keeper.exits(run_id, code=1, at=host.clock.now())
        view = host.service.get(ASHA, strategy_id)
        if view.phase is Phase.BACKING_OFF:
            host.clock.advance(1)
        host.reconciler.look_at_all()
        return view.phase in {Phase.STOPPED, Phase.ERROR}

    await host.until(is_at_rest, "it is at rest")
    runs = host.service.runs(ASHA, strategy_id)
    assert max((run.attempt for run in runs), default=0) <= MOST_RESTARTS
    stops = host.database.read(lambda c: c.execute(STOPS).scalars().all())
    assert not [run for run in runs if run.intent_number in stops]


@pytest.mark.timeout(180)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(ACTS), min_size=3, max_size=14))
def test_whatever_happens_there_is_one_life_and_it_comes_to_rest(acts: list[str]) -> None:
    async def main() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with HostUnderTest(Path(folder)) as host:
                await live(host, acts)

    asyncio.run(main())

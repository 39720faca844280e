"""The line to an agent that has it open and says nothing."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from algohost.agent.client import AgentClient, AgentUnavailable
from algohost.domain.ids import RunId
from algohost.host import agent_watch
from algohost.host.agent_watch import AgentWatch
from algohost.runner.messages import LaunchSpec


class Hanging:
    """A client whose agent was stopped in its tracks."""

    async def start(self, _spec: LaunchSpec) -> None:
        await asyncio.Event().wait()

    async def stop(self, _run_id: str, **_: Any) -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize("asked", ["start", "stop"])
def test_an_agent_that_hangs_does_not_hold_a_strategy_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """Whoever asked held the strategy's lock, so that not even a stop was answered."""
    monkeypatch.setattr(agent_watch, "_ANSWER_SECONDS", 0.01)

    async def main() -> None:
        watch = AgentWatch(tmp_path)
        watch._client = cast("AgentClient", Hanging())
        spec = LaunchSpec(run_id="r", script="/s", cwd="/c", log_path="/l", env={})
        stop = partial(watch.stop, RunId("r"), grace_seconds=1, by="user:asha")
        ask = partial(watch.start, spec) if asked == "start" else stop
        with pytest.raises(AgentUnavailable, match="in time"):
            await ask()

    asyncio.run(main())

"""Seeing to it that an agent is there."""

import asyncio
import contextlib
import logging
import os
import time
from pathlib import Path
from typing import Final

from algohost.agent.client import AgentClient, AgentRefused, AgentUnavailable
from algohost.runner import bootstrap, frames
from algohost.runner.system import system

log = logging.getLogger(__name__)

_KEPT: Final = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "PATH",
    "TZ",
    "USER",
    "XDG_RUNTIME_DIR",
)
_RETRY_SECONDS: Final = 0.02
_LEAVE_SECONDS: Final = 10.0


async def ensure_agent(
    state_dir: Path, *, timeout_seconds: float = 10.0, options: tuple[str, ...] = ()
) -> AgentClient:
    """A connection to the agent of that folder, which is started where none answers.

    The agent has a session and a clean environment of its own and writes to ``agent.log`` in
    the folder; it outlives the caller. ``options`` are more of its command line. Raises
    ``AgentUnavailable`` where none answers in time, and ``AgentRefused`` as ``connect`` does.

    An agent of an earlier release, which cannot launch what this one asks for, leaves for one of
    ours; its runs go on and are adopted.
    """
    deadline = time.monotonic() + timeout_seconds
    try:
        return await AgentClient.connect(state_dir)
    except AgentRefused as refusal:
        if refusal.protocol is None or refusal.protocol >= frames.PROTOCOL:
            raise
        log.info("agent_of_earlier_release protocol=%d.%d", *refusal.protocol)
        await dismiss(state_dir, stop_runs=False)
        await asyncio.to_thread(_spawn, state_dir, options)
    except AgentUnavailable:
        await asyncio.to_thread(_spawn, state_dir, options)
    while True:
        try:
            return await AgentClient.connect(state_dir)
        except AgentUnavailable as error:
            if time.monotonic() > deadline:
                raise AgentUnavailable(
                    f"The agent did not answer within {timeout_seconds} s; see"
                    f" {state_dir / 'agent.log'}."
                ) from error
        await asyncio.sleep(_RETRY_SECONDS)


async def dismiss(
    state_dir: Path, *, stop_runs: bool, timeout_seconds: float | None = _LEAVE_SECONDS
) -> None:
    """Has the agent of that folder end, of whatever release it is, and waits until it has.

    Its runs end first, or go on without it. Raises ``AgentUnavailable`` where none answers, or it
    has not ended in time (``None`` waits for as long as its runs take).
    """
    try:
        client = await AgentClient.connect(state_dir)
    except AgentRefused as refusal:
        if refusal.protocol is None:
            raise
        client = await AgentClient.connect(state_dir, protocol=refusal.protocol)
    try:
        async with asyncio.timeout(timeout_seconds):
            with contextlib.suppress(AgentUnavailable):  # it may be gone before it has answered
                await client.shutdown(stop_runs=stop_runs)
            await client.hung_up()
    except TimeoutError as error:
        message = f"The agent was asked to end and did not within {timeout_seconds} s."
        raise AgentUnavailable(message) from error
    finally:
        await client.close()


def _spawn(state_dir: Path, options: tuple[str, ...]) -> None:
    kept = (*_KEPT, *system.SYSTEM_VARIABLES)
    env = {name: os.environ[name] for name in kept if name in os.environ}
    command = bootstrap.command(
        None, "algohost.agent.__main__", "--state-dir", str(state_dir), "--background", *options
    )
    try:
        system.start_daemon(command, env)
    except OSError as error:
        raise AgentUnavailable(f"The agent could not be started: {error}.") from error

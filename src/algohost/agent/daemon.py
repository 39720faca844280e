"""Seeing to it that an agent is there."""

import asyncio
import os
import subprocess
import time
from pathlib import Path
from typing import Final

from algohost.agent.client import AgentClient, AgentUnavailable
from algohost.runner import bootstrap

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


async def ensure_agent(
    state_dir: Path, *, timeout_seconds: float = 10.0, options: tuple[str, ...] = ()
) -> AgentClient:
    """A connection to the agent of that folder, which is started where none answers.

    The agent has a session and a clean environment of its own and writes to ``agent.log`` in
    the folder; it outlives the caller. ``options`` are more of its command line. Raises
    ``AgentUnavailable`` where none answers in time, and ``AgentRefused`` as ``connect`` does.
    """
    deadline = time.monotonic() + timeout_seconds
    try:
        return await AgentClient.connect(state_dir)
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


def _spawn(state_dir: Path, options: tuple[str, ...]) -> None:
    env = {name: os.environ[name] for name in _KEPT if name in os.environ}
    command = bootstrap.command(
        None, "algohost.agent.__main__", "--state-dir", str(state_dir), "--background", *options
    )
    try:
        subprocess.run(  # noqa: S603 - our own interpreter and module
            command, env=env, stdin=subprocess.DEVNULL, check=True, start_new_session=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise AgentUnavailable(f"The agent could not be started: {error}.") from error

"""The server's command line, killed at one exact instant that a variable names.

``ALGOHOST_CHAOS_CRASH=after:commit:17`` ends the process with SIGKILL right after the
seventeenth commit of the database. The instants are the boundaries at which something has
just become true for others: commits, and requests to the agent.
"""

import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from algohost.agent.client import AgentClient
from algohost.store.database import Database

VARIABLE = "ALGOHOST_CHAOS_CRASH"


def main() -> None:
    """Runs the command line with the crash prepared."""
    side, boundary, count = os.environ.pop(VARIABLE).split(":")
    left = int(count)

    def pass_by(where: str) -> None:
        nonlocal left
        if where == side:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    if boundary == "commit":
        _wrap_commit(pass_by)
    else:
        _wrap_request(pass_by)
    from algohost.cli import main as command_line

    command_line()


def _wrap_commit(pass_by: Callable[[str], None]) -> None:
    original: Callable[..., None] = Database._commit

    def commit(self: Database, *args: Any) -> None:
        pass_by("before")
        original(self, *args)
        pass_by("after")

    Database._commit = commit  # type: ignore[method-assign,assignment]


def _wrap_request(pass_by: Callable[[str], None]) -> None:
    original: Callable[..., Awaitable[dict[str, Any]]] = AgentClient._ask

    async def ask(self: AgentClient, command: str, **fields: Any) -> dict[str, Any]:
        pass_by("before")
        answer = await original(self, command, **fields)
        pass_by("after")
        return answer

    AgentClient._ask = ask  # type: ignore[method-assign]


if __name__ == "__main__":
    main()

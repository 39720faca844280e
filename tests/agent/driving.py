"""Drives a real agent from a test: its own state folder, its own event loop, real processes."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from algohost.agent.client import AgentClient, AgentUnavailable
from algohost.agent.daemon import ensure_agent
from algohost.runner.messages import LaunchSpec, RunFact
from algohost.runner.processes import Processes

T = TypeVar("T")

ENV = {"LANG": "C.UTF-8", "PYTHONUTF8": "1", "TZ": "Asia/Kolkata", "PATH": os.environ["PATH"]}
LAUNCHERS = ("zygote", "subprocess")


def until(wanted: Callable[[], T], *, seconds: float = 20.0) -> T:
    """The first true value of ``wanted``; fails when none comes in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = wanted()
        if value:
            return value
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def is_alive(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in ("Z", "X")


class Driver:
    """A test's hold on one agent."""

    def __init__(self, folder: Path, *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.state_dir = folder / "state"
        self.options = options
        self._runner = asyncio.Runner()
        self.client: AgentClient = None  # type: ignore[assignment]
        self.connect()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs one coroutine on the driver's loop."""
        return self._runner.run(work)

    def connect(self) -> None:
        """Connects, starting an agent where none is."""
        if self.client is not None:
            self.do(self.client.close())
        self.client = self.do(
            ensure_agent(self.state_dir, timeout_seconds=20, options=self.options)
        )

    def spec(self, run_id: str, script: Path | str, **parts: Any) -> LaunchSpec:
        """A spec; ``script`` is a path, or source that is put into a file."""
        if isinstance(script, str):
            path = self.folder / f"{run_id}.py"
            path.write_text(script, encoding="utf-8")
        else:
            path = script
        given = {"cwd": str(self.folder), "env": ENV, **parts}
        return LaunchSpec(
            run_id=run_id, script=str(path), log_path=str(self.log_path(run_id)), **given
        )

    def start(self, run_id: str, script: Path | str, **parts: Any) -> RunFact:
        """Starts a run."""
        return self.do(self.client.start(self.spec(run_id, script, **parts)))

    def log_path(self, run_id: str) -> Path:
        """Where a run's output goes."""
        return self.folder / f"{run_id}.log"

    def log(self, run_id: str) -> str:
        """A run's output so far."""
        path = self.log_path(run_id)
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def facts(self) -> dict[str, RunFact]:
        """All runs by id."""
        return {fact.run_id: fact for fact in self.do(self.client.list())}

    def ended(self, run_id: str, *, seconds: float = 30.0) -> RunFact:
        """The fact of a run, once it has ended."""

        def look() -> RunFact | None:
            fact = self.facts()[run_id]
            return fact if fact.state == "ended" else None

        fact = until(look, seconds=seconds)
        assert fact is not None
        return fact

    def says(self, run_id: str, text: str) -> None:
        """Waits until a run has written ``text``."""
        until(lambda: text in self.log(run_id))

    def stop(
        self, run_id: str, *, grace_seconds: float = 10.0, signal: Any = "SIGTERM", **parts: Any
    ) -> RunFact:
        """Asks for a run's end."""
        stop = self.client.stop(
            run_id, grace_seconds=grace_seconds, signal=signal, by="test", **parts
        )
        return self.do(stop)

    def status(self) -> dict[str, Any]:
        """The agent's status."""
        return self.do(self.client.status())

    def zygote_pids(self) -> list[int]:
        """The pids of its zygotes."""
        return [zygote["pid"] for zygote in self.status()["zygotes"]]

    def kill(self, *pids: int) -> None:
        """``kill -9``, and waits until they are gone."""
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            until(lambda pid=pid: not is_alive(pid))  # type: ignore[misc]

    def close(self) -> None:
        """Ends the agent with all its runs, then whatever a test has left behind."""
        failures = 0
        with contextlib.suppress(AgentUnavailable):
            self.connect()
            for fact in self.do(self.client.list()):
                if fact.state != "ended":
                    self.stop(fact.run_id, grace_seconds=0)
            failures = self.status()["callback_failures"]
            self.do(self.client.shutdown(stop_runs=True))
        self.do(self.client.close())
        self._runner.close()
        sweep(self.folder)
        assert failures == 0, "the agent's log has a traceback"


def sweep(folder: Path) -> None:
    """Kills what still runs with ``folder`` in its command line or as its working folder."""
    for seen in Processes().look():
        try:
            where = os.readlink(f"/proc/{seen.pid}/cwd")
        except OSError:
            continue
        if Path(where).is_relative_to(folder) and seen.pid != os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(seen.pid, signal.SIGKILL)

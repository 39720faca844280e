"""The agent put together, and how it takes up what an earlier one has left."""

import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algohost.agent import transport
from algohost.agent.guards import Guards
from algohost.agent.ladder import Ladder
from algohost.agent.logs import LogKeeper
from algohost.agent.loop import Loop
from algohost.agent.runs import MainExit, Run, remember
from algohost.agent.service import Service
from algohost.agent.stacks import Done
from algohost.agent.starter import Starter
from algohost.agent.table import Table
from algohost.agent.watch import Watcher
from algohost.agent.zygotes import Zygotes
from algohost.runner.journal import Journal
from algohost.runner.messages import LaunchSpec
from algohost.runner.processes import Processes
from algohost.runner.system import system

log = logging.getLogger(__name__)

_SHUTDOWN_GRACE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How an agent is run."""

    state_dir: Path
    transport: transport.Kind
    is_warm_at_start: bool = False
    zygote_patience_seconds: float = 60.0
    """How long a zygote without agent and runs stays."""
    compact_above_bytes: int = 4 << 20


class Agent:
    """Owns the runs of one state folder, which is its working folder."""

    def __init__(self, settings: Settings, loop: Loop, processes: Processes) -> None:
        self._settings = settings
        self._loop = loop
        self._processes = processes
        self._done: list[Callable[[], None]] = []
        self._is_leaving = False
        journal = Journal(settings.state_dir / "journal.jsonl")
        self._table = Table(
            settings.state_dir, journal, loop, compact_above_bytes=settings.compact_above_bytes
        )
        self._zygotes = Zygotes(loop, processes, patience_seconds=settings.zygote_patience_seconds)
        self._watcher = Watcher(self._table, loop, processes, has_zygote=self._zygotes.has)
        self._starter = Starter(
            self._table,
            loop,
            processes,
            self._zygotes,
            on_process=self._has_process,
            admit=lambda run: self._guards.admit(run),
        )
        self._ladder = Ladder(
            self._table,
            loop,
            processes,
            zygote_pids=self._zygotes.pids,
            cancel=self._starter.cancel,
        )
        self._guards = Guards(
            loop,
            self._table,
            processes,
            self._ladder,
            zygote_pids=self._zygotes.pids,
            state_dir=settings.state_dir,
        )
        self._logs = LogKeeper(self._table, loop)
        self._listener: transport.Listener | None = None
        self._join()

    def open(self) -> None:
        """Takes over zygotes and runs, then opens the door. Raises ``OSError``."""
        self._zygotes.find(self._settings.state_dir)
        self._recover()
        self._guards.open()
        self._logs.begin()
        self._listener = transport.listen(self._settings.state_dir, self._settings.transport)
        service = Service(self._listener, self._loop, self._table, self)
        self._guards.serve(lambda: service.usage_seconds, service.tell_usage)
        if self._settings.is_warm_at_start:
            self.warm(None, lambda _why: None)

    def close(self) -> None:
        """Shuts the door; runs and zygotes go on."""
        if self._listener is not None:
            transport.close(self._settings.state_dir, self._listener)

    @property
    def has_live_runs(self) -> bool:
        """Whether any run has not ended."""
        return bool(self._table.live())

    def reap(self) -> None:
        """To be called after ``SIGCHLD``."""
        self._watcher.reap()

    def start(self, spec: LaunchSpec) -> Run:
        """The run of that id."""
        return self._starter.start(spec)

    def stop(self, run: Run, number: int, grace_seconds: float, by: str) -> None:
        """Begins its stop, or lets the one go on that has begun."""
        self._ladder.ask(run, number, grace_seconds, by)

    def warm(self, interpreter: str | None, settled: Callable[[str | None], None]) -> None:
        """Makes a zygote ready."""
        self._zygotes.warm(interpreter, settled)

    def measure(self) -> None:
        """Somebody has begun to listen to what the runs use."""
        self._guards.measure()

    def where(self, run: Run, done: Done) -> None:
        """Where the run's code is at the moment."""
        self._guards.where(run, done)

    def breach(self, run: Run, limit: str, why: str) -> None:
        """Stops a run for what it does."""
        self._ladder.breach(run, limit, why)

    def status(self) -> dict[str, Any]:
        """Facts about the agent itself; memory is resident bytes."""
        zygotes = self._zygotes.describe()
        return {
            "pid": os.getpid(),
            "memory_bytes": system.resident_bytes(os.getpid()),
            "zygotes": [
                {**zygote, "memory_bytes": system.resident_bytes(zygote["pid"])}
                for zygote in zygotes
            ],
            "open_descriptors": _open_descriptors(),
            "runs": len(self._table.runs),
            "live_runs": len(self._table.live()),
            "callback_failures": self._loop.failures,
        }

    def shut_down(self, done: Callable[[], None], *, is_with_runs: bool) -> None:
        """Ends the agent; with its runs, when the last of them has ended."""
        self._done.append(done)
        self._is_leaving = True
        if is_with_runs:
            for run in self._table.live():
                self._ladder.ask(run, signal.SIGTERM, _SHUTDOWN_GRACE_SECONDS, "agent shutdown")
            self._leave_when_empty()
        else:
            self._leave()

    def _join(self) -> None:
        """Has the parts tell each other what they see."""
        self._starter.on_reaped = self._watcher.told
        self._watcher.on_exit = self._main_has_ended
        self._table.listen(self._look_after_zygotes)
        self._table.listen(self._leave_when_empty)

    def _parents(self) -> set[int]:
        return {run.zygote for run in self._table.live() if run.zygote is not None}

    def _look_after_zygotes(self, run: Run) -> None:
        if run.has_ended:
            self._processes.release_tree(run.mark)
            self._zygotes.retire(in_use=self._parents(), are_all=False)

    def _leave_when_empty(self, _run: Run | None = None) -> None:
        if self._is_leaving and not self._table.live():
            self._loop.soon(self._leave)

    def _leave(self) -> None:
        self._zygotes.retire(in_use=self._parents(), are_all=True)
        for done in self._done:
            done()
        self._done.clear()
        self._loop.stop()

    def _has_process(self, run: Run) -> None:
        self._processes.hold_tree(run.mark)
        self._watcher.watch(run)
        if run.is_ready:
            self._table.changed(run)
        self._ladder.resume(run)

    def _main_has_ended(self, run: Run) -> None:
        self._starter.read_status(run)
        self._guards.main_has_ended(run)
        self._ladder.main_has_ended(run)

    def _recover(self) -> None:
        began = time.monotonic()
        reading = self._table.journal.read()
        for number, line in reading.broken:
            log.error("journal_line_broken number=%d line=%r", number, line[:200])
        runs, problems = remember(reading.facts)
        for problem in problems:
            log.error("journal_fact_refused why=%r", problem)
        self._table.runs.update(runs)
        boot_id = self._processes.boot_id()
        live = self._table.live()
        for run in live:
            self._take_up(run, boot_id)
        self._zygotes.retire(in_use=self._parents(), are_all=False)
        seconds = time.monotonic() - began
        log.info("recovered runs=%d live=%d seconds=%.3f", len(runs), len(live), seconds)

    def _take_up(self, run: Run, boot_id: str) -> None:
        if run.boot_id != boot_id:
            run.exited = run.exited or MainExit(
                code=None, signal=None, how="unknown", at=time.time()
            )
            self._table.conclude(run)
        elif run.pid is None and run.stop is None:
            self._table.drop(run)  # nothing of it has run, and whoever wants it asks again
        elif run.pid is None:
            self._table.conclude(run)
        elif run.exited is not None:
            self._watcher.release(run)
            self._ladder.main_has_ended(run)
        else:
            if not run.is_ready:
                self._starter.expect_ready(run)
            self._processes.hold_tree(run.mark)
            run.handle = self._processes.open(run.pid, run.start_ticks or 0)
            self._watcher.watch(run)
            self._ladder.resume(run)


def _open_descriptors() -> int | None:
    try:
        return len(os.listdir("/proc/self/fd")) - 1
    except OSError:
        return None

"""Seeing how a run's main process ends, from whoever knows it best.

reaped   its parent: the zygote (which also writes it down), or the agent itself
pidfd    the kernel, for a process of nobody's (Linux 6.15+), once its parent has reaped it;
         on Windows any process that we hold
record   what the script wrote on its way out, where the kernel cannot say
unknown  none of them within ``_PATIENCE_SECONDS``; the host shows it as lost
"""

import contextlib
import logging
import selectors
import time
from collections.abc import Callable

from algohost.agent.kernel_kills import KernelKills
from algohost.agent.loop import Loop
from algohost.agent.runs import Run
from algohost.agent.table import Table
from algohost.runner import records
from algohost.runner.processes import Processes, exit_pair
from algohost.runner.system import system

log = logging.getLogger(__name__)

_PARENT_PATIENCE_SECONDS = 2.0
_RECORD_AFTER_SECONDS = 0.3
_PATIENCE_SECONDS = 3.0
_POLL_SECONDS = 0.2
_SIGKILL = 9  # Windows has no name for it


class Watcher:
    """Waits for the main processes of runs."""

    def __init__(
        self, table: Table, loop: Loop, processes: Processes, *, has_zygote: Callable[[int], bool]
    ) -> None:
        self._table = table
        self._loop = loop
        self._processes = processes
        self._has_zygote = has_zygote
        self._kernel_kills = KernelKills(loop)
        self.on_exit: Callable[[Run], None] = lambda _run: None
        """Called once for each run whose main process has ended and whose exit is settled."""

    def watch(self, run: Run) -> None:
        """Begins to wait for the main process that ``run.handle`` holds."""
        if run.handle is None:
            self._resolve(run, time.monotonic())
        elif run.handle.descriptor is not None:
            self._loop.watch(
                run.handle.descriptor, selectors.EVENT_READ, lambda _events: self._has_ended(run)
            )
        else:
            self._loop.later(_POLL_SECONDS, lambda: self._poll(run))

    def told(self, run: Run, fact: dict[str, object]) -> None:
        """The parent zygote has reaped the main process, and has written it down."""
        if run.exited is None:
            run.apply(fact)
            self._settle(run)

    def reap(self) -> None:
        """Takes what has ended from the kernel: own launches, and orphans that came to us."""
        while (reaped := system.reap()) is not None:
            pid, status, peak, cpu = reaped
            run = next((run for run in self._table.live() if run.pid == pid), None)
            if run is None or run.exited is not None:
                continue
            self._exited(run, *exit_pair(status), "reaped", peak=peak, cpu=cpu)

    def _poll(self, run: Run) -> None:
        if run.exited is not None or run.handle is None:
            return
        try:
            has_ended = self._processes.has_ended(run.handle)
        except OSError:
            has_ended = False
        if has_ended:
            self._resolve(run, time.monotonic())
        else:
            self._loop.later(_POLL_SECONDS, lambda: self._poll(run))

    def _has_ended(self, run: Run) -> None:
        if run.handle is not None and run.handle.descriptor is not None:
            self._loop.forget(run.handle.descriptor)
        self._resolve(run, time.monotonic())

    def _resolve(self, run: Run, since: float) -> None:
        self.reap()
        if run.exited is not None or run.has_ended:
            return
        waited = time.monotonic() - since
        is_parented = run.zygote is not None and self._has_zygote(run.zygote)
        if not is_parented or waited > _PARENT_PATIENCE_SECONDS:
            status = None if run.handle is None else self._processes.exit_status(run.handle)
            if status is not None and run.handle is not None:
                peak, cpu = self._processes.usage(run.handle)
                self._exited(run, *exit_pair(status), "pidfd", peak=peak, cpu=cpu)
                return
            record = self._record(run)
            if record is not None and (run.handle is None or waited > _RECORD_AFTER_SECONDS):
                self._exited(run, record.code, record.signal, "record")
                return
            if run.handle is None or waited > _PATIENCE_SECONDS:
                self._exited(run, None, None, "unknown")
                return
        self._loop.later(max(0.002, min(0.1, waited / 4)), lambda: self._resolve(run, since))

    def _record(self, run: Run) -> records.Record | None:
        return records.read(records.record_path(self._table.state_dir, run.run_id))

    def _exited(
        self,
        run: Run,
        code: int | None,
        number: int | None,
        how: str,
        *,
        peak: int | None = None,
        cpu: float | None = None,
    ) -> None:
        fact = {
            "fact": "exited", "code": code, "signal": number, "how": how, "at": time.time(),
            "peak": peak, "cpu": cpu,
        }  # fmt: skip
        self._table.note(run, fact)
        self._settle(run)

    def _settle(self, run: Run) -> None:
        is_killed = run.exited is not None and run.exited.signal == _SIGKILL
        is_asked = run.stop is not None or run.is_killed or run.breach is not None
        if is_killed and not is_asked and self._kernel_kills.claim():
            self._table.note(run, {"fact": "oom"})
        self.release(run)
        self.on_exit(run)

    def release(self, run: Run) -> None:
        """Lets go of the main process's handle."""
        if run.handle is not None:
            if run.handle.descriptor is not None:
                self._loop.forget(run.handle.descriptor)
            with contextlib.suppress(OSError):
                run.handle.close()
            run.handle = None

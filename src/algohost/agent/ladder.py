"""Ending a run: the asked signal, its grace, then SIGKILL to the whole tree.

The ladder is the agent's, so the server's death does not stop it; the journal keeps each rung,
so a new agent goes on where the old one was. A main process that ends by itself and leaves
members of its tree behind starts a shorter one: SIGTERM, two seconds, SIGKILL. All runs that
are being ended share one look at the process table for each pass.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Collection

from algohost.agent.loop import Loop, Timer
from algohost.agent.runs import Run
from algohost.agent.table import Table
from algohost.agent.trees import members
from algohost.runner.processes import KILL, Processes, Seen, errno_words

log = logging.getLogger(__name__)

LEFTOVER_GRACE_SECONDS = 2.0
BREACH_GRACE_SECONDS = 5.0
"""For a run that is stopped by one of its limits: what it holds on to is wanted back."""
_PASS_SECONDS = 0.02
_PATIENT_PASS_SECONDS = 0.1
_STUBBORN_SECONDS = 2.0
_STUBBORN_PASS_SECONDS = 1.0
_BLIND_PASS_SECONDS = 0.2


class Ladder:
    """Stops runs and clears their trees."""

    def __init__(
        self,
        table: Table,
        loop: Loop,
        processes: Processes,
        *,
        zygote_pids: Callable[[], Collection[int]],
        cancel: Callable[[Run], bool],
    ) -> None:
        self._table = table
        self._loop = loop
        self._processes = processes
        self._zygote_pids = zygote_pids
        self._cancel = cancel
        self._timers: dict[str, Timer] = {}
        self._clearing: dict[str, Run] = {}
        self._since: dict[str, float] = {}
        self._pass: Timer | None = None
        self.kill_group: Callable[[str], bool] = lambda _run_id: False
        """Ends all processes of a run at once where the kernel can; set by whoever made a group."""
        self.group_lives: Callable[[str], bool] = lambda _run_id: False
        """Whether a process is in the run's group, in its tree by our look or not."""
        self.looks = 0
        """Passes over the process table so far."""

    def breach(self, run: Run, limit: str, why: str) -> None:
        """A limit wants the run's end: unless it is ending already, that is why it ends."""
        if run.has_ended or run.exited is not None or run.stop is not None:
            return
        self._table.note(run, {"fact": "limit", "limit": limit, "why": why, "at": time.time()})
        log.warning("limit_reached run=%s limit=%s why=%r", run.run_id, limit, why)
        by = "health" if limit == "health" else f"limit: {limit}"
        self.ask(run, 0, BREACH_GRACE_SECONDS, by)

    def ask(self, run: Run, number: int, grace_seconds: float, by: str) -> None:
        """Somebody wants the run's end. Asked again, the earlier end of both graces holds."""
        if run.has_ended:
            return
        deadline = time.monotonic() + grace_seconds
        earlier = run.stop
        if earlier is not None:
            is_same = earlier.signal == number and earlier.deadline <= deadline
            if is_same:
                return
            deadline, by = min(earlier.deadline, deadline), earlier.by
        fact = {"fact": "stop", "signal": int(number), "by": by, "deadline": deadline}
        self._table.note(run, {**fact, "grace": grace_seconds, "at": time.time()})
        log.info("stop_asked run=%s signal=%s by=%r", run.run_id, int(number) or "auto", by)
        self._table.changed(run)
        if run.pid is None and self._cancel(run):
            self._table.conclude(run)
        elif run.exited is None:
            self.resume(run)

    def resume(self, run: Run) -> None:
        """Goes on with a stop that was asked: now, before a restart, or before the process was."""
        if run.stop is None or run.pid is None or run.exited is not None:
            return
        if not run.is_signalled and not run.is_killed:
            self._signal_main(run, run.stop.signal or self._polite_signal(run))
            self._table.note(run, {"fact": "signalled"})
        self._arm(run, max(0.0, run.stop.deadline - time.monotonic()))

    def main_has_ended(self, run: Run) -> None:
        """Whatever is left of the tree must go, then the run is over."""
        self._disarm(run)
        self._clear(run)

    def _arm(self, run: Run, seconds: float) -> None:
        self._disarm(run)
        self._timers[run.run_id] = self._loop.later(seconds, lambda: self._kill(run))

    def _disarm(self, run: Run) -> None:
        timer = self._timers.pop(run.run_id, None)
        if timer is not None:
            timer.cancel()

    def _kill(self, run: Run) -> None:
        self._timers.pop(run.run_id, None)
        if run.has_ended:
            return
        if run.exited is None and not run.is_killed:
            self._table.note(run, {"fact": "kill", "at": time.time()})
        self._signal_main(run, KILL)
        self.kill_group(run.run_id)
        self._clear(run)

    def _signal_main(self, run: Run, number: int) -> None:
        if run.handle is None:
            return
        try:
            self._processes.signal(run.handle, number)
        except OSError as error:
            self._complain(run, f"Signal {number} to pid {run.pid}: {errno_words(error)}.")

    def _polite_signal(self, run: Run) -> int:
        return signal.SIGTERM if run.handle is None else self._processes.polite_signal(run.handle)

    def _complain(self, run: Run, note: str) -> None:
        if run.note != note:
            run.note = note
            log.warning("run_note run=%s note=%r", run.run_id, note)
            self._table.changed(run)

    def _clear(self, run: Run) -> None:
        if run.run_id not in self._clearing:
            self._clearing[run.run_id] = run
            self._since[run.run_id] = time.monotonic()
        self._look_in(0.0)

    def _look_in(self, seconds: float) -> None:
        due = time.monotonic() + seconds
        if self._pass is not None and self._pass.call is not None:
            if self._pass.due <= due:
                return
            self._pass.cancel()
        self._pass = self._loop.later(seconds, self._look)

    def _look(self) -> None:
        self._pass = None
        runs = list(self._clearing.values())
        if not runs:
            return
        self.looks += 1
        try:
            look = self._processes.look()
        except OSError as error:
            log.warning("look_failed why=%r", errno_words(error))
            self._look_in(_BLIND_PASS_SECONDS)
            return
        trees = members(runs, look, spared={os.getpid(), *self._zygote_pids()})
        waits = [self._treat(run, trees[run.run_id]) for run in runs]
        again = [seconds for seconds in waits if seconds is not None]
        if again:
            self._look_in(min(again))

    def _treat(self, run: Run, tree: list[Seen]) -> float | None:
        """One run's part of a pass; seconds until it wants another, ``None`` when it is over."""
        others = [seen for seen in tree if seen.pid != run.pid]
        waited = time.monotonic() - self._since[run.run_id]
        if run.exited is not None and not tree:
            return self._sweep(run, waited)
        if run.is_killed or waited >= LEFTOVER_GRACE_SECONDS:
            if run.exited is not None:
                self.kill_group(run.run_id)
            for seen in tree:
                self._signal(run, seen, KILL)
            beyond = waited - (0.0 if run.is_killed else LEFTOVER_GRACE_SECONDS)
            if tree and beyond > _STUBBORN_SECONDS:
                pids = ", ".join(str(seen.pid) for seen in tree[:5])
                self._complain(run, f"{len(tree)} processes live on after SIGKILL: {pids}.")
                return _STUBBORN_PASS_SECONDS
            return _PASS_SECONDS
        for seen in others:
            if (seen.pid, seen.start_ticks) not in run.leftovers:
                self._signal(run, seen, signal.SIGTERM)
        return _PATIENT_PASS_SECONDS if waited > _PATIENT_PASS_SECONDS else _PASS_SECONDS

    def _sweep(self, run: Run, waited: float) -> float | None:
        """The look finds nobody: whoever hides from it is still in the group."""
        if self.group_lives(run.run_id):
            self.kill_group(run.run_id)
            if waited < LEFTOVER_GRACE_SECONDS + _STUBBORN_SECONDS:
                return _PASS_SECONDS
            self._complain(run, "Processes live on in its control group after SIGKILL.")
        self._over(run)
        return None

    def _signal(self, run: Run, seen: Seen, number: int) -> None:
        if seen.pid != run.pid:
            run.leftovers.add((seen.pid, seen.start_ticks))
        try:
            handle = self._processes.open(seen.pid, seen.start_ticks)
            if handle is None:
                return
            try:
                self._processes.signal(handle, number)
            finally:
                handle.close()
        except OSError as error:
            self._complain(run, f"Signal {number} to pid {seen.pid}: {errno_words(error)}.")

    def _over(self, run: Run) -> None:
        self._clearing.pop(run.run_id, None)
        self._since.pop(run.run_id, None)
        self._table.conclude(run)

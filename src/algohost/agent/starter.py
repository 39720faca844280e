"""Starting runs: at most one process for each run id, whatever dies in between.

The intent is on disk before anything is launched, ``started`` before the first line of the
script. So after any crash an intent without ``started`` means that nothing of it has run.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from algohost.agent.fresh import FreshLauncher, LaunchError
from algohost.agent.loop import Loop
from algohost.agent.runs import Run
from algohost.agent.table import Table
from algohost.agent.unheard import Unheard
from algohost.agent.zygotes import Zygotes
from algohost.runner import bootstrap
from algohost.runner.messages import LaunchSpec
from algohost.runner.processes import Processes, errno_words, new_mark
from algohost.runner.records import record_path
from algohost.runner.request import Request, enforced_of, is_written, ready_fact
from algohost.runner.system import system

log = logging.getLogger(__name__)

_LONGEST_TEXT = 128 * 1024  # Linux: MAX_ARG_STRLEN, what one variable or argument may hold
_NOT_REACHED = "The process ended before the script began."


class Starter:
    """Takes specs, gives runs their processes, and hears how their set-up went."""

    def __init__(
        self,
        table: Table,
        loop: Loop,
        processes: Processes,
        zygotes: Zygotes,
        *,
        on_process: Callable[[Run], None],
        admit: Callable[[Run], str] = lambda _run: "",
    ) -> None:
        self._table = table
        self._loop = loop
        self._processes = processes
        self._zygotes = zygotes
        self._on_process = on_process
        self._admit = admit
        self._unheard = Unheard(table, loop)
        self._fresh = FreshLauncher(loop, processes, require=table.require)
        self._queue: deque[tuple[Run, LaunchSpec, bytes]] = deque()
        self._specs: dict[str, LaunchSpec] = {}
        self.on_reaped: Callable[[Run, dict[str, Any]], None] = lambda _run, _fact: None
        """Called when a zygote has reaped a run."""
        zygotes.on_told = self._told
        zygotes.on_fallback = self._fall_back
        zygotes.on_lost = self._lost

    def start(self, spec: LaunchSpec) -> Run:
        """The run of that id: a new one on its way, or the one there already is."""
        known = self._table.runs.get(spec.run_id)
        if known is not None:
            return known
        run = Run(
            run_id=spec.run_id, mark=new_mark(), boot_id=self._processes.boot_id(),
            launcher=spec.launcher, launched_at=time.time(),
            cwd=spec.cwd, log_path=spec.log_path, limits=spec.limits,
        )  # fmt: skip
        if spec.launcher == "zygote":
            run.note = self._why_fresh(spec)
            run.launcher = "subprocess" if run.note else "zygote"
        try:
            self._table.intend(run)
        except OSError as error:
            self._table.runs[run.run_id] = run
            self._fail(run, f"Could not write the journal: {errno_words(error)}.")
            return run
        if _is_too_long(spec):
            self._fail(run, "Could not pass the environment: Argument list too long (E2BIG).")
            return run
        record = record_path(self._table.state_dir, run.run_id)
        record.unlink(missing_ok=True)
        group = self._admit(run)
        request = Request(spec=spec, mark=run.mark, record=str(record), group=group).to_bytes()
        self._specs[run.run_id] = spec
        self._launch(run, request)
        return run

    def cancel(self, run: Run) -> bool:
        """Takes back a launch that is still waiting; whether it was."""
        for item in self._queue:
            if item[0] is run:
                self._queue.remove(item)
                self._specs.pop(run.run_id, None)
                return True
        return self._zygotes.cancel(run)

    def read_status(self, run: Run) -> None:
        """Takes what the child has reported of its set-up, without waiting for more."""
        if run.status is not None and system.pipe_has_news(run.status):
            self._hear(run, run.status, 0)

    def expect_ready(self, run: Run) -> None:
        """Takes what is known of a set-up from the journal: nobody will report it to us."""
        self._unheard.expect(run)

    def _why_fresh(self, spec: LaunchSpec) -> str | None:
        own = bootstrap.zygote_environment()
        unheard = [
            name for name in sorted(_fresh_only(spec.env)) if spec.env[name] != own.get(name)
        ]
        if unheard:
            return (
                f"Launched without a zygote: {unheard[0]} is honoured only by a fresh interpreter."
            )
        why = self._zygotes.why_unusable(spec.interpreter)
        return None if why is None else f"Launched without a zygote: {why}"

    def _launch(self, run: Run, request: bytes) -> None:
        spec = self._specs[run.run_id]
        if run.launcher == "zygote":
            self._zygotes.launch(run, request, spec.interpreter)
        else:
            self._queue.append((run, spec, request))
            if len(self._queue) == 1:
                self._loop.soon(self._launch_next)

    def _launch_next(self) -> None:
        """One fresh interpreter for each turn of the loop, so that others are served between."""
        if not self._queue:
            return
        run, spec, request = self._queue.popleft()
        if self._queue:
            self._loop.soon(self._launch_next)
        try:
            self._fresh.launch(run, spec, request)
        except LaunchError as error:
            self._fail(run, str(error))
            return
        self._has_process(run)

    def _fall_back(self, run: Run, request: bytes, why: str) -> None:
        if run.has_ended:
            return
        log.warning("launched_without_zygote run=%s why=%r", run.run_id, why)
        run.launcher, run.note = "subprocess", f"Launched without a zygote: {why}"
        self._launch(run, request)

    def _lost(self, waiting: list[tuple[Run, bytes]]) -> None:
        """A zygote has died: the journal knows which of these it has started."""
        started = self._started_facts()
        for run, request in waiting:
            fact = started.get(run.run_id)
            if fact is not None:
                ticks = int(fact["ticks"] or 0)
                self._begin(run, fact, self._processes.open(int(fact["pid"]), ticks), None)
            elif run.stop is not None:
                self._table.conclude(run)
            elif run.note is None:
                run.note = "Launched again: the zygote died before it had forked the run."
                self._launch(run, request)
            else:
                self._fall_back(run, request, "two zygotes have died.")

    def _started_facts(self) -> Mapping[str, dict[str, Any]]:
        facts = self._table.journal.read().facts
        return {str(fact.get("run")): fact for fact in facts if fact["fact"] == "started"}

    def _told(self, message: dict[str, Any], descriptors: list[int]) -> None:
        run = self._table.runs.get(str(message.get("run")))
        told = message.get("told")
        if run is None or run.has_ended or told not in ("started", "refused", "exited"):
            for descriptor in descriptors:
                os.close(descriptor)
            if told == "problem":
                log.warning("zygote_problem message=%r", message.get("message"))
        elif told == "refused":
            self._fail(run, str(message["message"]))
        elif told == "exited":
            self.on_reaped(run, message)
        else:
            pid, ticks = int(message["pid"]), int(message["ticks"] or 0)
            if len(descriptors) == 2:
                handle = self._processes.take(pid, ticks, descriptors[0])
                self._begin(run, message, handle, descriptors[1])
                return
            for descriptor in descriptors:  # this process had no room for both
                os.close(descriptor)
            self._begin(run, message, self._processes.open(pid, ticks), None)

    def _begin(self, run: Run, fact: dict[str, Any], handle: Any, status: int | None) -> None:
        run.apply(fact)
        run.handle, run.status = handle, status
        self._has_process(run)
        if status is None:
            self._unheard.expect(run)

    def _has_process(self, run: Run) -> None:
        self._specs.pop(run.run_id, None)
        log.info("run_started run=%s pid=%s launcher=%s", run.run_id, run.pid, run.launcher)
        if run.status is not None:
            self._loop.watch_pipe(run.status, partial(self._hear, run, run.status))
        self._on_process(run)

    def _hear(self, run: Run, descriptor: int, _events: int) -> None:
        try:
            said = os.read(descriptor, 65536)
        except BlockingIOError:
            return
        self._loop.forget(descriptor)
        os.close(descriptor)
        run.status = None
        enforced = enforced_of(said)
        if enforced is not None:
            fact = ready_fact(run.run_id, enforced)
            if is_written(said):
                run.apply(fact)
            else:
                self._table.note(run, fact)
            self._table.changed(run)
        elif said:
            run.error = said.decode(errors="replace")
        elif run.stop is None:
            run.error = _NOT_REACHED

    def _fail(self, run: Run, sentence: str) -> None:
        self._specs.pop(run.run_id, None)
        run.error = sentence
        self._table.conclude(run)


def _fresh_only(env: Mapping[str, str]) -> list[str]:
    return [name for name in env if name in bootstrap.FRESH_ONLY]


def _is_too_long(spec: LaunchSpec) -> bool:
    texts = [f"{name}={value}" for name, value in spec.env.items()]
    return any(len(os.fsencode(text)) >= _LONGEST_TEXT for text in (*texts, *spec.args))

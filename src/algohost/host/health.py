"""Watches over the health of live runs: flags what looks wrong, and writes it down once.

Nothing is ended, unless the strategy's own setting says so. The judgement is ``domain.health``.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from algohost.agent.client import AgentError, Whereabouts
from algohost.domain.errors import AlgohostError
from algohost.domain.health import Ailment, Flag, Rules, blame, busy, judge
from algohost.domain.ids import RunId
from algohost.domain.ports import Clock
from algohost.domain.runs import Run, RunState
from algohost.host.registry import Registry
from algohost.host.usage import UsageLog
from algohost.host.views import StrategyView
from algohost.runner.measures import Usage
from algohost.store import events as stored
from algohost.store.database import Database

log = logging.getLogger(__name__)

_LINGER_SECONDS: Final = 30.0
"""A flag stays for so long after its cause was last seen: one that flickers is no help."""


class Activity:
    """When each run last did something that the server saw: a call of the API, a tick taken."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._last: dict[str, float] = {}

    def touch(self, run_id: str | None) -> None:
        """The run is alive; nothing for the key of an account."""
        if run_id is not None:
            self._last[run_id] = self._monotonic()

    def last(self, run_id: str) -> float | None:
        """By the server's monotonic clock; ``None`` where nothing was seen."""
        return self._last.get(run_id)

    def keep_only(self, run_ids: set[RunId]) -> None:
        """Forgets all others: they have ended."""
        for gone in self._last.keys() - run_ids:
            del self._last[gone]


class Asked(Protocol):
    """What is asked of the agent. ``AgentWatch`` is the real one; both raise ``AgentError``."""

    async def where(self, run_id: RunId) -> Whereabouts:
        """Where the run's code is."""

    async def breach(self, run_id: RunId, *, why: str) -> None:
        """Stops it for its health."""


@dataclass(slots=True)
class _Patient:
    heard_at: float
    """When it last wrote to its log, or was first seen by this server."""
    log_bytes: int
    shown: dict[Ailment, Flag] = field(default_factory=dict)
    last_found: dict[Ailment, float] = field(default_factory=dict)
    found: tuple[Ailment, ...] = ()
    """What the last look has found that is an ailment, worst first; ``shown`` may linger."""
    asking: bool = False
    stopping: bool = False


class HealthWatch:
    """Judges each run whenever the agent has measured it."""

    def __init__(
        self,
        *,
        clock: Clock,
        database: Database,
        registry: Registry,
        usage: UsageLog,
        activity: Activity,
        agent: Asked,
        code_folder: Callable[[Run], str],
        rules: Rules | None = None,
    ) -> None:
        self._clock = clock
        self._database = database
        self._registry = registry
        self._usage = usage
        self._activity = activity
        self._agent = agent
        self._code_folder = code_folder
        self._rules = rules or Rules()
        self._patients: dict[RunId, _Patient] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def hear(self, usage: Usage) -> None:
        """Takes in a look of the agent at all runs."""
        heard = set(self._usage.hear(usage))
        live = {
            view.latest.id: view
            for view in self._registry
            if view.latest is not None and view.latest.is_live
        }
        for gone in self._patients.keys() - live.keys():
            del self._patients[gone]
        self._activity.keep_only(set(live))
        for run_id in heard:
            view = live[run_id]
            if view.latest is not None and view.latest.state is RunState.RUNNING:
                self._look(view, view.latest)

    async def settled(self) -> None:
        """Returns when nothing that a look has begun is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def _look(self, view: StrategyView, run: Run) -> None:
        now = self._clock.monotonic()
        patient = self._patient(run.id, now)
        rules = replace(self._rules, silent_seconds=view.strategy.settings.silent_minutes * 60.0)
        quiet = now - max(patient.heard_at, self._activity.last(run.id) or patient.heard_at)
        found = judge(self._usage.readings(run.id), quiet_seconds=quiet, rules=rules)
        patient.found = tuple(flag.ailment for flag in found)
        newest = self._usage.newest(run.id)
        if newest is not None and newest.is_throttled:
            found = (*found, _THROTTLED)
        for flag in found:
            patient.last_found[flag.ailment] = now
            if flag.ailment not in patient.shown:
                self._appeared(view, run, patient, flag)
            elif flag.ailment is not Ailment.BUSY:  # with its figures of now
                patient.shown[flag.ailment] = flag
        present = {flag.ailment for flag in found}
        for ailment in patient.shown.keys() - present:
            lingers = 0.0 if ailment is Ailment.THROTTLED else _LINGER_SECONDS
            if now - patient.last_found[ailment] >= lingers:
                del patient.shown[ailment]
                self._begin(self._write(run.id, f"{ailment}_over", _OVER[ailment]))
        self._show(view, patient)
        self._stop_if_asked(run, patient)

    def _patient(self, run_id: RunId, now: float) -> _Patient:
        newest = self._usage.newest(run_id)
        log_bytes = newest.log_bytes if newest is not None else 0
        patient = self._patients.get(run_id)
        if patient is None:
            patient = self._patients[run_id] = _Patient(now, log_bytes)
        elif log_bytes != patient.log_bytes:
            patient.heard_at, patient.log_bytes = now, log_bytes
        return patient

    def _appeared(self, view: StrategyView, run: Run, patient: _Patient, flag: Flag) -> None:
        if flag.ailment is Ailment.BUSY:
            if not patient.asking:
                patient.asking = True
                self._begin(self._locate(view, run, patient, flag))
            return
        self._flag(view, run, patient, flag)

    async def _locate(self, view: StrategyView, run: Run, patient: _Patient, flag: Flag) -> None:
        """A busy loop is flagged with the line that it is at, where that can be found out."""
        try:
            found = await self._agent.where(run.id)
        except AgentError as error:
            said = f"Its line is not known: {error}"
        else:
            said = self._said(run, found)
        finally:
            patient.asking = False
        if busy(self._usage.readings(run.id), self._rules) is None:
            return  # it has calmed down while it was asked
        self._flag(view, run, patient, replace(flag, sentence=f"{flag.sentence} {said}"))
        self._stop_if_asked(run, patient)

    def _said(self, run: Run, found: Whereabouts) -> str:
        stacks = [[(one.file, one.line, one.function) for one in s] for s in found.stacks]
        place = blame(stacks, os.path.realpath(self._code_folder(run)))
        if place is None:
            return f"Its line is not known: {found.problem or 'it did not answer.'}"
        return f"Most often at {place}."

    def _flag(self, view: StrategyView, run: Run, patient: _Patient, flag: Flag) -> None:
        if self._patients.get(run.id) is not patient:
            return  # it has ended while it was asked
        patient.shown[flag.ailment] = flag
        log.warning("run_unhealthy run=%s ailment=%s why=%r", run.id, flag.ailment, flag.sentence)
        self._show(view, patient)
        self._begin(self._write(run.id, flag.ailment, flag.sentence))

    def _stop_if_asked(self, run: Run, patient: _Patient) -> None:
        """Asked at every look: the setting may come after the flag, and a stop may go unheard."""
        if patient.stopping or self._patients.get(run.id) is not patient:
            return
        view = self._registry.find(run.strategy_id)
        if view is None or view.latest is None or view.latest.id != run.id:
            return
        flags = [patient.shown[one] for one in patient.found if one in patient.shown]
        is_wanted = view.strategy.settings.stop_when_unhealthy
        if flags and is_wanted and view.latest.state is RunState.RUNNING:
            patient.stopping = True
            self._begin(self._stop(run, patient, flags[0]))

    async def _stop(self, run: Run, patient: _Patient, flag: Flag) -> None:
        why = f"Stopped because it was unhealthy. {flag.sentence}"
        try:
            await self._agent.breach(run.id, why=why)
        except AgentError as error:
            log.warning("unhealthy_not_stopped run=%s reason=%s", run.id, error)
        finally:
            patient.stopping = False  # while it lives, the next look asks again

    def _show(self, view: StrategyView, patient: _Patient) -> None:
        flags = tuple(patient.shown[one] for one in Ailment if one in patient.shown)
        if view.latest is not None:
            self._registry.put_flags(view.latest, flags)

    async def _write(self, run_id: RunId, kind: str, sentence: str) -> None:
        event = stored.Event(run_id=run_id, at=self._clock.now(), kind=kind, sentence=sentence)
        try:
            await self._database.write(lambda c: stored.add(c, event))
        except AlgohostError as error:
            log.warning("event_not_written run=%s kind=%s reason=%s", run_id, kind, error)

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


_THROTTLED: Final = Flag(
    ailment=Ailment.THROTTLED,
    sentence="It keeps a core busy, so it gets only what others leave until it has calmed down.",
)
_OVER: Final = {
    Ailment.SILENT: "It is heard again.",
    Ailment.BUSY: "It no longer keeps a core busy.",
    Ailment.GROWING: "Its memory no longer grows.",
    Ailment.THROTTLED: "It has calmed down and has its share of the processors again.",
}

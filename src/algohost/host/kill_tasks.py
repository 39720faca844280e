"""What engaged kill switches were asked to do: in memory, as it is on disk."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from algohost.domain.errors import Unavailable
from algohost.domain.kill_switch import (
    KillReport,
    KillState,
    KillStep,
    KillTarget,
    KillTask,
    steps_of,
)
from algohost.domain.ports import Clock
from algohost.host.listeners import tell
from algohost.store import host_events
from algohost.store import kill_tasks as stored
from algohost.store.database import Database
from algohost.store.host_events import HostEvent

log = logging.getLogger(__name__)


class KillTasks:
    """The newest task of every target. Used on the server's loop only."""

    def __init__(self, *, clock: Clock, database: Database) -> None:
        self._clock = clock
        self._database = database
        self._tasks = {one.target: one for one in database.read(stored.everything)}
        self._listeners: list[Callable[[], None]] = []
        self._begun = asyncio.Event()

    def find(self, target: KillTarget) -> KillTask | None:
        """The newest task of a target."""
        return self._tasks.get(target)

    def all(self) -> Sequence[KillTask]:
        """The newest task of every target."""
        return list(self._tasks.values())

    def unfinished(self) -> Sequence[KillTask]:
        """Those of which something is left."""
        return [one for one in self._tasks.values() if not one.state.is_final]

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls ``listener`` after every change, until undone."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    async def begun(self, *, timeout_seconds: float) -> None:
        """Returns when a task has begun since the last call, or after that time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._begun.wait()
        except TimeoutError:
            return
        self._begun.clear()

    # ---- for the switch, which writes them with itself

    def planned(self, target: KillTarget, steps: Iterable[KillStep], *, by: str) -> KillTask | None:
        """The task to be written; ``None`` where one that does all of it is under way already."""
        wanted, known = set(steps_of(steps)), self._tasks.get(target)
        if not wanted:
            return None
        if known is None or known.state.is_final:
            return KillTask(target=target, by=by, at=self._clock.now(), steps=steps_of(wanted))
        if wanted <= set(known.steps):
            return None
        return replace(known, steps=steps_of(wanted | set(known.steps)))

    def released(self, target: KillTarget) -> KillTask | None:
        """The task as it ends when its switch is released; ``None`` where none is under way."""
        known = self._tasks.get(target)
        if known is None or known.state.is_final:
            return None
        return replace(known, state=KillState.RELEASED, ended_at=self._clock.now())

    def keep(self, connection: Connection, task: KillTask) -> None:
        """Writes a task as it stands."""
        stored.put(connection, task)

    def begin(self, task: KillTask) -> None:
        """Has a task carried out."""
        self.show(task)
        self._begun.set()

    def show(self, task: KillTask) -> None:
        """Shows how a task stands."""
        self._tasks[task.target] = task
        tell(self._listeners)

    # ---- for the one who carries them out

    async def report(self, target: KillTarget, state: KillState, report: KillReport) -> None:
        """Shows and keeps how far a task is, unless its switch was released meanwhile.

        What cannot be kept is shown: the next report, or the next start, says it again.
        """
        known = self._tasks.get(target)
        if known is None or known.state.is_final:
            return
        ended_at = self._clock.now() if state.is_final else None
        task = replace(known, state=state, report=report, ended_at=ended_at)
        if task == known:
            return
        try:
            await self._database.write(lambda c: self._keep_report(c, task))
        except Unavailable as error:
            log.warning("kill_report_not_kept target=%s reason=%s", target.id, error)
        newest = self._tasks[target]
        if newest == known:
            self.show(task)
        elif not newest.state.is_final:  # more was asked for meanwhile
            self.show(replace(newest, report=report))

    def _keep_report(self, connection: Connection, task: KillTask) -> None:
        newest = self._tasks.get(task.target)
        if newest is not None and newest.at == task.at and newest.state is KillState.RELEASED:
            return
        stored.put(connection, task)
        if task.state is KillState.DONE and task.ended_at is not None:
            sentence = done_sentence(task)
            host_events.add(
                connection,
                HostEvent(
                    subject=task.target.id, at=task.ended_at, kind="kill_done", sentence=sentence
                ),
            )


def done_sentence(task: KillTask) -> str:
    """What a finished task has done, and in what time."""
    report, ended_at = task.report, task.ended_at
    took = "" if ended_at is None else f" in {(ended_at - task.at).total_seconds():.1f} s"
    done = []
    if KillStep.CANCEL in task.steps:
        done.append(f"{_count(report.cancelled, 'order')} cancelled")
    if KillStep.FLATTEN in task.steps:
        done.append(f"{_count(report.closed, 'closing order')} traded")
    if KillStep.STOP in task.steps:
        done.append(f"{_count(report.stopped, 'strategy')} stopped")
    return f"The kill switch is quiet{took}: {', '.join(done)}."


def _count(number: int, word: str) -> str:
    plural = f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
    return f"{number} {word if number == 1 else plural}"

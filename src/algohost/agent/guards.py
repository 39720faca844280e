"""Limits that somebody has to watch, and what is measured of runs: the parts put together."""

import time
from collections.abc import Callable, Collection
from pathlib import Path

from algohost.agent import cgroups, quota
from algohost.agent.ladder import Ladder
from algohost.agent.loop import Loop
from algohost.agent.quota import Quota
from algohost.agent.runs import Run
from algohost.agent.stacks import Done, Stacks
from algohost.agent.table import Table
from algohost.agent.throttling import FirstThatCan, Throttling, niceness_lever
from algohost.agent.usage import Meter, Sampling
from algohost.runner.bounds import Enforced
from algohost.runner.measures import Usage
from algohost.runner.processes import KILL, Processes


class Guards:
    """Control groups, quotas, measuring, and asking runs where they are."""

    def __init__(
        self,
        loop: Loop,
        table: Table,
        processes: Processes,
        ladder: Ladder,
        *,
        zygote_pids: Callable[[], Collection[int]],
        state_dir: Path,
    ) -> None:
        self._table = table
        self._groups = cgroups.Groups(cgroups.find())
        self._quota = Quota(loop, runs=table.live, breach=ladder.breach)
        self._stacks = Stacks(loop, processes, state_dir)
        self._subscribers: Callable[[], float | None] = lambda: None
        self._tell: Callable[[Usage], None] = lambda _usage: None
        self._sampling = Sampling(
            loop,
            Meter(self),
            runs=table.live,
            spared=zygote_pids,
            wanted_seconds=lambda: self._subscribers(),
            tell=lambda usage: self._tell(usage),
            throttling=Throttling(FirstThatCan((self._groups, niceness_lever()))),
        )
        ladder.kill_group = self._groups.kill
        ladder.group_lives = self._groups.has_processes
        table.listen(self._changed)

    def open(self) -> None:
        """To be called before any run or zygote is started, and after the journal was read."""
        self._groups.open()
        live = self._table.live()
        self._groups.drop_others([run.run_id for run in live])
        for run in live:
            run.held = self._held(run)
        self._quota.begin()

    def serve(self, subscribers: Callable[[], float | None], tell: Callable[[Usage], None]) -> None:
        """``subscribers`` says how often somebody wants to hear, ``tell`` tells all of them."""
        self._subscribers, self._tell = subscribers, tell

    def measure(self) -> None:
        """Somebody has begun to listen."""
        self._sampling.begin()

    def where(self, run: Run, done: Done) -> None:
        """Samples a run's stack."""
        self._stacks.ask(run, done)

    def admit(self, run: Run) -> str:
        """Before the launch: the group that the run is to enter, empty for none."""
        group = self._groups.make(run.run_id, run.limits)
        run.held = self._held(run)
        return group

    def main_has_ended(self, run: Run) -> None:
        """Whether the limit of memory has ended it is known as long as its group is there."""
        ended = run.exited
        if run.breach is not None or ended is None or ended.signal != KILL:
            return
        if not run.is_killed and self._groups.memory_kills(run.run_id):
            most = quota.in_words(run.limits.memory_bytes)
            why = f"It used all of its memory; the limit is {most}."
            self._table.note(
                run, {"fact": "limit", "limit": "memory", "why": why, "at": time.time()}
            )

    def folder_bytes(self, run_id: str) -> int:
        """What the run's folder held when it was last measured."""
        return self._quota.folder_bytes(run_id)

    def group_memory_bytes(self, run_id: str) -> int | None:
        """What its control group holds in memory."""
        return self._groups.memory_bytes(run_id)

    def _held(self, run: Run) -> tuple[Enforced, ...]:
        held = self._groups.enforced(run.run_id, run.limits)
        if not run.limits.disk_bytes:
            return held
        how = "folder measured every 1 to 10 seconds"
        if not quota.CAN_MEASURE:
            how = "this system's folders cannot be measured safely"
        return (*held, Enforced(name="disk", is_on=quota.CAN_MEASURE, how=how))

    def _changed(self, run: Run) -> None:
        if run.has_ended:
            self._groups.drop(run.run_id)

"""A server with its strategies under faults: the acts, and what is known to be wanted."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from algohost.agent.client import AgentError, AgentUnavailable
from algohost.domain.errors import AlgohostError
from tests.chaos import zoo
from tests.chaos.crashing_server import VARIABLE
from tests.chaos.disk import SmallDisk
from tests.chaos.evidence import Timeline
from tests.chaos.faults import Fault
from tests.e2e.running import RunningServer, until

HEAL_SECONDS = 30.0


@dataclass(eq=False)
class Member:
    """One strategy, and what was last acknowledged about it."""

    name: str
    strategy_id: str
    ends_by_itself: bool = False
    first_order: int | None = None
    """The number before that of a trader's first order."""
    wanted: str | None = None
    """``running`` or ``stopped``; ``None`` after a command that nobody answered."""


@dataclass
class World:
    """Everything under test."""

    server: RunningServer
    disk: SmallDisk
    timeline: Timeline
    members: list[Member] = field(default_factory=list)
    killed_pids: set[int] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)
    fills: int = 0

    def populate(self, tickers: int, traders: int) -> None:
        """Adds and starts the strategies."""
        for number in range(tickers):
            self._add(f"ticker {number}", zoo.TICKER)
        for number in range(traders):
            first = number * 2000
            source = zoo.TRADER.replace("{first}", str(first))
            self._add(f"trader {number}", source).first_order = first
        self._add("stubborn", zoo.STUBBORN)
        self._add("short", zoo.SHORT).ends_by_itself = True
        self._add("flood", zoo.FLOOD)
        for member in self.members:
            self._command(member, "start")

    def _add(self, name: str, source: str) -> Member:
        member = Member(name=name, strategy_id=self.server.add(source, name))
        self.members.append(member)
        return member

    def suffer(self, fault: Fault) -> None:
        """Lets one fault happen, and the server come back where it is gone."""
        time.sleep(fault.wait_seconds)
        self.counts[fault.name] = self.counts.get(fault.name, 0) + 1
        self.timeline.note(f"{fault.name} ({fault})")
        act = self._acts()[fault.name]
        act(fault)
        if not self.server.is_up:
            time.sleep(fault.length_seconds)
            self.timeline.note("launch the server")
            self.server.launch()

    def heal(self) -> None:
        """Takes every fault away and waits until the server answers."""
        self.timeline.note("heal")
        self.disk.free()
        if not self.server.is_up:
            self.server.launch()
        until(self.server.answers, "the server answers after everything", seconds=HEAL_SECONDS)

    def _acts(self) -> dict[str, Callable[[Fault], None]]:
        return {
            "kill the server": lambda _: self._end_server(signal.SIGKILL),
            "crash the server at a boundary": self._crash_server,
            "end the server politely": lambda _: self._end_server(signal.SIGTERM),
            "kill the agent": lambda _: self._kill(self._agent_pids()[:1]),
            "kill the zygote": lambda _: self._kill(self._agent_pids()[1:]),
            "kill agent and zygote": lambda _: self._kill(self._agent_pids()),
            "kill everything but the runs": self._kill_everything,
            "kill a run": self._kill_run,
            "start one": lambda fault: self._command(self._chosen(fault), "start"),
            "stop one": lambda fault: self._command(self._chosen(fault), "stop"),
            "stop and start all": self._stop_and_start_all,
            "fill the disk": self._fill,
        }

    # ---- acts

    def _end_server(self, number: signal.Signals) -> None:
        if self.server.is_up:
            self.server.kill(number)

    def _crash_server(self, fault: Fault) -> None:
        """Restarts the server as one that dies at an exact boundary, and works until it does.

        One that has not reached it is killed, or it would die while the checks look.
        """
        self._end_server(signal.SIGKILL)
        self.server.launch(module="tests.chaos.crashing_server", **{VARIABLE: fault.boundary})
        deadline = time.monotonic() + 4
        number = fault.which
        while self.server.is_up and time.monotonic() < deadline:
            verb = "start" if number % 2 else "stop"
            self._command(self.members[number % len(self.members)], verb)
            number = number * 7 + 3
            time.sleep(0.05)
        self._end_server(signal.SIGKILL)

    def _kill_everything(self, _: Fault) -> None:
        pids = self._agent_pids()
        self._end_server(signal.SIGKILL)
        self._kill(pids)

    def _kill_run(self, fault: Fault) -> None:
        with contextlib.suppress(AlgohostError, AssertionError):
            pids = [pid for one in self._latest_runs() if (pid := one.get("pid")) is not None]
            if pids:
                pid = int(pids[fault.which % len(pids)])
                self.killed_pids.add(pid)
                self._kill([pid])

    def _stop_and_start_all(self, _: Fault) -> None:
        for verb in ("stop", "start"):
            for member in self.members:
                self._command(member, verb)

    def _fill(self, fault: Fault) -> None:
        self.fills += 1
        self.disk.fill()
        self._command(self._chosen(fault), "stop")
        time.sleep(0.5 + fault.length_seconds)
        self.disk.free()

    def _chosen(self, fault: Fault) -> Member:
        return self.members[fault.which % len(self.members)]

    def _command(self, member: Member, verb: str) -> None:
        """Gives a command; remembers what was acknowledged, and that nothing is known else."""
        try:
            (self.server.begin if verb == "start" else self.server.stop)(member.strategy_id)
        except AlgohostError as error:
            self.timeline.note(f"{verb} {member.name}: {error.code}")
            is_refusal = error.code in ("ALREADY_RUNNING", "NOT_RUNNING", "STOPPING")
            if not is_refusal:
                member.wanted = None
            return
        self.timeline.note(f"{verb} {member.name}: acknowledged")
        member.wanted = "running" if verb == "start" else "stopped"

    # ---- looking

    def _latest_runs(self) -> Sequence[dict[str, Any]]:
        rows = self.server.ask("GET", "/v1/strategies")["strategies"]
        return [row for row in rows if row["phase"] == "running"]

    def _agent_pids(self) -> list[int]:
        """The agent's pid, then those of its zygotes; nothing while no agent answers."""
        with contextlib.suppress(AgentError, AgentUnavailable, OSError):
            about = self.server.agent()
            return [about["pid"], *(z["pid"] for z in about["zygotes"] if z.get("pid"))]
        return []

    def _kill(self, pids: Sequence[int]) -> None:
        self.timeline.note(f"kill -9 {list(pids)}")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

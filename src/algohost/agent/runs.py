"""What the agent remembers of a run, and how it is remembered again from the journal.

A fact of the journal moves a run through ``Run.apply`` and nothing else does, so that what an
agent knows and what its successor reads are the same.

    intent      asked for; no process yet            mark, boot, launcher, at, note, cwd, log,
                                                      limits
    started     forked, not let go before this        pid, ticks, at, zygote
    ready       its script's first line is next       enforced
    stop        somebody asked for its end            signal, grace, by, deadline (monotonic)
    signalled   that signal has been sent
    kill        the grace is over
    limit       it went beyond one of its limits      limit, why
    exited      its main process has ended            code, signal, how, peak, cpu, at
    oom         the kernel ended it to have memory
    ended       no process of its tree is left        exit, error, note
    forgotten   nobody will ask for it again
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, cast

from algohost.runner.bounds import Enforced, Limits
from algohost.runner.journal import Fact
from algohost.runner.messages import ExitFact, How, Launcher, RunFact, State
from algohost.runner.processes import Handle
from algohost.runner.records import Record


@dataclass(frozen=True, kw_only=True)
class Stop:
    """A stop that somebody asked for."""

    signal: int
    by: str
    deadline: float
    """When the grace ends, on the monotonic clock of this boot."""


@dataclass(frozen=True, kw_only=True)
class Breach:
    """A limit that a run went beyond, and the sentence that says so."""

    limit: str
    """``disk`` or ``memory``, or ``health`` where it was to be stopped when unhealthy."""
    why: str


@dataclass(frozen=True, kw_only=True)
class MainExit:
    """How the main process ended."""

    code: int | None
    signal: int | None
    how: How
    at: float
    peak: int | None = None
    cpu: float | None = None
    is_out_of_memory: bool = False
    """Whether the kernel ended it for want of memory."""


@dataclass(kw_only=True, eq=False)
class Run:
    """One run, as the agent has it in memory."""

    run_id: str
    mark: int
    boot_id: str
    launcher: Launcher
    launched_at: float
    note: str | None = None
    cwd: str = ""
    """Its working folder; empty in the journal of an earlier release."""
    log_path: str = ""
    limits: Limits = field(default_factory=Limits)
    pid: int | None = None
    start_ticks: int | None = None
    zygote: int | None = None
    """The pid of the zygote that is its parent."""
    is_ready: bool = False
    """Whether its set-up has succeeded, as far as is known."""
    has_told_ready: bool = False
    """Whether it has said so itself; then it cannot have failed to start."""
    enforced: tuple[Enforced, ...] = ()
    """What the kernel holds it to, as it has told itself."""
    held: tuple[Enforced, ...] = ()
    """What this agent itself holds it to."""
    stop: Stop | None = None
    breach: Breach | None = None
    is_signalled: bool = False
    is_killed: bool = False
    exited: MainExit | None = None
    error: str | None = None
    exit: ExitFact | None = None
    has_ended: bool = False
    handle: Handle | None = None
    status: int | None = None
    """The descriptor on which the child reports its set-up."""
    leftovers: set[tuple[int, int]] = field(default_factory=set)
    """(pid, start ticks) of processes besides the main one that were signalled."""

    def apply(self, fact: Fact) -> None:
        """Moves the run by one fact of the journal."""
        match fact["fact"]:
            case "started":
                self.pid, self.start_ticks = fact["pid"], fact["ticks"]
                self.launched_at, self.zygote = fact["at"], fact.get("zygote")
            case "ready":
                self.is_ready = self.has_told_ready = True
                self.enforced = Enforced.list_from_json(fact["enforced"])
            case "stop":
                self.stop = Stop(signal=fact["signal"], by=fact["by"], deadline=fact["deadline"])
                self.is_signalled = False
            case "signalled":
                self.is_signalled = True
            case "kill":
                self.is_killed = True
            case "limit" if self.breach is None:
                self.breach = Breach(limit=fact["limit"], why=fact["why"])
            case "exited" if self.exited is None:
                self.exited = MainExit(
                    code=fact["code"], signal=fact["signal"], at=fact["at"],
                    how=cast("How", fact.get("how", "reaped")),
                    peak=fact.get("peak"), cpu=fact.get("cpu"),
                )  # fmt: skip
            case "oom" if self.exited is not None:
                self.exited = replace(self.exited, is_out_of_memory=True)
            case "ended":
                self.has_ended = True
                self.exit = None if fact["exit"] is None else ExitFact.from_json(fact["exit"])
                self.error, self.note = fact["error"], fact["note"]
            case _:
                return

    @property
    def state(self) -> State:
        """Where the run stands."""
        if self.has_ended:
            return "ended"
        if self.stop is not None:
            return "stopping"
        return "running" if self.is_ready else "starting"

    @property
    def is_settled(self) -> bool:
        """Whether a start can be answered: the script is about to run, or never will."""
        return self.is_ready or self.has_ended

    def fact(self) -> RunFact:
        """What others are told."""
        return RunFact(
            run_id=self.run_id, state=self.state, pid=self.pid, start_ticks=self.start_ticks,
            boot_id=self.boot_id, launched_at=self.launched_at, exit=self.exit,
            error=self.error, launcher=self.launcher, note=self.note,
            enforced=(*self.enforced, *self.held) if self.is_ready else self.enforced,
        )  # fmt: skip

    def final_exit(self, *, now: float, record: Record | None = None) -> ExitFact | None:
        """The exit that is told in the end; ``None`` for a run that failed to start.

        ``record`` is what the script wrote on its way out. It gives the reason where it tells of
        the same exit, and the exit itself where nobody saw one.
        """
        if self.error is not None:
            return None
        main = self.exited or MainExit(code=None, signal=None, how="unknown", at=now)
        if main.how == "unknown" and record is not None and record.tells_an_end:
            main = replace(main, code=record.code, signal=record.signal, how="record")
        if record is not None and not record.agrees_with(main.code, main.signal):
            record = None
        reason = None if record is None else record.reason
        return ExitFact(
            code=main.code, signal=main.signal, how=main.how, ended_at=main.at,
            peak_memory_bytes=main.peak, cpu_seconds=main.cpu,
            leftovers_killed=len(self.leftovers),
            stop_step=None if self.stop is None else "kill" if self.is_killed else "signal",
            stop_by=None if self.stop is None else self.stop.by,
            reason=reason if self.breach is None else self.breach.why,
            is_out_of_memory=main.is_out_of_memory
            or (self.breach is not None and self.breach.limit == "memory")
            or (record is not None and record.is_out_of_memory),
        )  # fmt: skip


def intent(run: Run) -> Fact:
    """The first fact of a run."""
    return {
        "fact": "intent", "run": run.run_id, "mark": run.mark, "boot": run.boot_id,
        "launcher": run.launcher, "at": run.launched_at, "note": run.note,
        "cwd": run.cwd, "log": run.log_path, "limits": run.limits.to_json(),
    }  # fmt: skip


def remember(facts: Iterable[Fact]) -> tuple[dict[str, Run], list[str]]:
    """The runs of a journal by id, and a sentence for each fact that makes no sense."""
    runs: dict[str, Run] = {}
    problems = []
    for fact in facts:
        run_id = fact.get("run")
        try:
            if fact["fact"] == "intent":
                runs[str(run_id)] = _intended(fact)
            elif fact["fact"] == "forgotten":
                runs.pop(str(run_id), None)
            elif run_id in runs:
                runs[run_id].apply(fact)
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"The fact {str(fact)[:200]} makes no sense: {error!r}.")
    return runs, problems


def _intended(fact: dict[str, Any]) -> Run:
    return Run(
        run_id=fact["run"], mark=fact["mark"], boot_id=fact["boot"],
        launcher=fact["launcher"], launched_at=fact["at"], note=fact["note"],
        cwd=fact.get("cwd", ""), log_path=fact.get("log", ""),
        limits=Limits.from_json(fact["limits"]) if "limits" in fact else Limits(),
    )  # fmt: skip

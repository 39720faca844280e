"""What is said about a run between server, agent, zygote and child: three values, as JSON."""

import re
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self, cast

from algohost.runner import parse
from algohost.runner.bounds import Confinement, Enforced, Limits
from algohost.runner.parse import MessageError

RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""A run's id is also a file name."""

Launcher = Literal["zygote", "subprocess"]
State = Literal["starting", "running", "stopping", "ended"]
How = Literal["reaped", "pidfd", "record", "unknown"]
StopStep = Literal["signal", "kill"]


@dataclass(frozen=True, kw_only=True)
class LaunchSpec:
    """Everything needed to run one script once.

    ``env`` and ``secrets`` are the complete environment of the child: they are never written
    to disk, to the journal or to a command line, and are left out of ``repr``.
    Raises ``MessageError`` for what no process could be started with.
    """

    run_id: str
    script: str
    """Absolute path."""
    args: tuple[str, ...] = ()
    cwd: str
    log_path: str
    """Standard output and error are appended here. The folder must exist."""
    env: dict[str, str] = field(repr=False)
    launcher: Launcher = "zygote"
    interpreter: str | None = None
    """Absolute path of a Python; ``None`` is the agent's own."""
    accelerate: tuple[str, ...] = ()
    """``host:port`` of the servers whose client calls go through one pooled connection."""
    stamp: bool = True
    """Whether each line of output begins with its time in IST."""
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    """Variables like those of ``env`` whose values are masked in the output."""
    confinement: Confinement | None = None
    """What the run may reach; ``None`` confines nothing."""
    limits: Limits = field(default_factory=Limits)
    """How much it may use."""

    def __post_init__(self) -> None:
        if RUN_ID.fullmatch(self.run_id) is None:
            raise MessageError(f"run_id {self.run_id[:80]!r} is not 1 to 64 of A-Z a-z 0-9 _ -.")
        paths = {"script": self.script, "cwd": self.cwd, "log_path": self.log_path}
        if self.interpreter is not None:
            paths["interpreter"] = self.interpreter
        for name, path in paths.items():
            if not path.startswith("/") and not re.match(r"[A-Za-z]:[\\/]", path):
                raise MessageError(f"{name} {path[:80]!r} is not an absolute path.")
        if self.launcher not in ("zygote", "subprocess"):
            raise MessageError(f"launcher {self.launcher[:80]!r} is not zygote or subprocess.")
        for name in (*self.env, *self.secrets):
            if not name or "=" in name:
                raise MessageError(f"env has the name {name[:80]!r}, which no variable can have.")
        variables = {**self.env, **self.secrets}
        texts = (*paths.values(), *self.args, *variables, *variables.values())
        if any("\0" in text for text in texts):
            raise MessageError("A path, argument or variable holds a NUL character.")

    def to_json(self) -> dict[str, Any]:
        """JSON values only, the secret environment among them."""
        return {
            **self.__dict__,
            "args": list(self.args),
            "accelerate": list(self.accelerate),
            "confinement": None if self.confinement is None else self.confinement.to_json(),
            "limits": self.limits.to_json(),
        }

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The inverse of ``to_json``. Raises ``MessageError``."""
        fields = parse.object_of(data, "spec")
        unknown = fields.keys() - cls.__dataclass_fields__.keys()
        if unknown:
            raise MessageError(f"spec has unknown parts: {', '.join(sorted(unknown))[:200]}.")
        confinement = fields.get("confinement")
        return cls(
            run_id=parse.text(fields, "run_id"),
            script=parse.text(fields, "script"),
            args=parse.texts(fields, "args"),
            cwd=parse.text(fields, "cwd"),
            log_path=parse.text(fields, "log_path"),
            env=parse.mapping(fields, "env"),
            launcher=cast("Launcher", parse.text(fields, "launcher")),
            interpreter=parse.optional(fields, "interpreter", str),
            accelerate=parse.texts(fields, "accelerate"),
            stamp=parse.of_type(fields, "stamp", bool),
            secrets=parse.mapping(fields, "secrets"),
            confinement=None if confinement is None else Confinement.from_json(confinement),
            limits=Limits.from_json(fields.get("limits")),
        )


@dataclass(frozen=True, kw_only=True)
class ExitFact:
    """How a run's main process ended, and what was done about the rest of its tree."""

    code: int | None
    """What it gave to ``exit``; ``None`` where a signal ended it or nobody knows."""
    signal: int | None
    how: How
    """Who saw it: its parent, the kernel through a pidfd, its own record, or nobody."""
    peak_memory_bytes: int | None = None
    cpu_seconds: float | None = None
    ended_at: float
    """Seconds since the epoch, by the wall clock of the machine that ran it."""
    leftovers_killed: int = 0
    """Processes of its tree that outlived it and were signalled."""
    stop_step: StopStep | None = None
    """Which step of the stop ladder ended it; ``None`` where no stop was asked."""
    stop_by: str | None = None
    reason: str | None = None
    """The last line of the traceback that ended it, or which limit did, where that is known."""
    is_out_of_memory: bool = False
    """Whether it ended for want of memory: an uncaught ``MemoryError``, or the kernel's choice."""

    def to_json(self) -> dict[str, Any]:
        """JSON values only."""
        return dict(self.__dict__)

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The inverse of ``to_json``. Raises ``MessageError``."""
        fields = parse.object_of(data, "exit")
        how, step = parse.text(fields, "how"), parse.optional(fields, "stop_step", str)
        if how not in ("reaped", "pidfd", "record", "unknown"):
            raise MessageError(f"how {how[:80]!r} is not a way in which an end is known.")
        if step not in (None, "signal", "kill"):
            raise MessageError(f"stop_step {step[:80]!r} is not a step of the stop ladder.")
        return cls(
            code=parse.optional(fields, "code", int),
            signal=parse.optional(fields, "signal", int),
            how=cast("How", how),
            peak_memory_bytes=parse.optional(fields, "peak_memory_bytes", int),
            cpu_seconds=parse.optional_number(fields, "cpu_seconds"),
            ended_at=parse.number(fields, "ended_at"),
            leftovers_killed=parse.of_type(fields, "leftovers_killed", int),
            stop_step=cast("StopStep | None", step),
            stop_by=parse.optional(fields, "stop_by", str),
            reason=parse.optional(fields, "reason", str),
            is_out_of_memory=bool(parse.optional(fields, "is_out_of_memory", bool)),
        )


@dataclass(frozen=True, kw_only=True)
class RunFact:
    """What the agent knows of one run.

    ``starting`` until the script's first line is about to run, ``stopping`` from the moment a
    stop was asked, ``ended`` when no process of its tree is left. A run that never had a
    process has ``pid`` None: either ``error`` says why it failed to start, or
    ``exit.stop_step`` says that it was stopped before.
    """

    run_id: str
    state: State
    pid: int | None = None
    start_ticks: int | None = None
    boot_id: str
    launched_at: float
    """When it was forked, or asked for where it has not been; seconds since the epoch."""
    exit: ExitFact | None = None
    error: str | None = None
    """Why it failed to start, in a sentence with the operating system's words."""
    launcher: Launcher = "zygote"
    """What really launched it."""
    note: str | None = None
    """What a person should know: why another launcher was used, what still lives."""
    enforced: tuple[Enforced, ...] = ()
    """What the kernel really holds it to, known once its first line is next."""

    def to_json(self) -> dict[str, Any]:
        """JSON values only."""
        return {
            **self.__dict__,
            "exit": None if self.exit is None else self.exit.to_json(),
            "enforced": [one.to_json() for one in self.enforced],
        }

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The inverse of ``to_json``. Raises ``MessageError``."""
        fields = parse.object_of(data, "run")
        state, launcher = parse.text(fields, "state"), parse.text(fields, "launcher")
        if state not in ("starting", "running", "stopping", "ended"):
            raise MessageError(f"state {state[:80]!r} is not a state of a run.")
        exit_data = fields.get("exit")
        return cls(
            run_id=parse.text(fields, "run_id"),
            state=cast("State", state),
            pid=parse.optional(fields, "pid", int),
            start_ticks=parse.optional(fields, "start_ticks", int),
            boot_id=parse.text(fields, "boot_id"),
            launched_at=parse.number(fields, "launched_at"),
            exit=None if exit_data is None else ExitFact.from_json(exit_data),
            error=parse.optional(fields, "error", str),
            launcher=cast("Launcher", launcher),
            note=parse.optional(fields, "note", str),
            enforced=Enforced.list_from_json(fields.get("enforced", [])),
        )

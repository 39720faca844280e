"""What is said about a run between server, agent, zygote and child: three values, as JSON."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self, TypeVar, cast

RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""A run's id is also a file name."""

Launcher = Literal["zygote", "subprocess"]
State = Literal["starting", "running", "stopping", "ended"]
How = Literal["reaped", "pidfd", "record", "unknown"]
StopStep = Literal["signal", "kill"]

T = TypeVar("T")


class MessageError(ValueError):
    """A message that is not of the agreed form; the sentence says which part and why."""


@dataclass(frozen=True, kw_only=True)
class LaunchSpec:
    """Everything needed to run one script once.

    ``env`` is the complete environment of the child and holds a token: it is never written
    to disk, to the journal or to a command line, and is left out of ``repr``.
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
        for name in self.env:
            if not name or "=" in name:
                raise MessageError(f"env has the name {name[:80]!r}, which no variable can have.")
        texts = (*paths.values(), *self.args, *self.env, *self.env.values())
        if any("\0" in text for text in texts):
            raise MessageError("A path, argument or variable holds a NUL character.")

    def to_json(self) -> dict[str, Any]:
        """JSON values only, the secret environment among them."""
        return {**self.__dict__, "args": list(self.args), "accelerate": list(self.accelerate)}

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The inverse of ``to_json``. Raises ``MessageError``."""
        fields = _object(data, "spec")
        unknown = fields.keys() - cls.__dataclass_fields__.keys()
        if unknown:
            raise MessageError(f"spec has unknown parts: {', '.join(sorted(unknown))[:200]}.")
        return cls(
            run_id=_text(fields, "run_id"),
            script=_text(fields, "script"),
            args=_texts(fields, "args"),
            cwd=_text(fields, "cwd"),
            log_path=_text(fields, "log_path"),
            env=_mapping(fields, "env"),
            launcher=cast("Launcher", _text(fields, "launcher")),
            interpreter=_optional(fields, "interpreter", str),
            accelerate=_texts(fields, "accelerate"),
            stamp=_of_type(fields, "stamp", bool),
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

    def to_json(self) -> dict[str, Any]:
        """JSON values only."""
        return dict(self.__dict__)

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The inverse of ``to_json``. Raises ``MessageError``."""
        fields = _object(data, "exit")
        how, step = _text(fields, "how"), _optional(fields, "stop_step", str)
        if how not in ("reaped", "pidfd", "record", "unknown"):
            raise MessageError(f"how {how[:80]!r} is not a way in which an end is known.")
        if step not in (None, "signal", "kill"):
            raise MessageError(f"stop_step {step[:80]!r} is not a step of the stop ladder.")
        return cls(
            code=_optional(fields, "code", int),
            signal=_optional(fields, "signal", int),
            how=cast("How", how),
            peak_memory_bytes=_optional(fields, "peak_memory_bytes", int),
            cpu_seconds=_optional_number(fields, "cpu_seconds"),
            ended_at=_number(fields, "ended_at"),
            leftovers_killed=_of_type(fields, "leftovers_killed", int),
            stop_step=cast("StopStep | None", step),
            stop_by=_optional(fields, "stop_by", str),
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

    def to_json(self) -> dict[str, Any]:
        """JSON values only."""
        return {**self.__dict__, "exit": None if self.exit is None else self.exit.to_json()}

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The inverse of ``to_json``. Raises ``MessageError``."""
        fields = _object(data, "run")
        state, launcher = _text(fields, "state"), _text(fields, "launcher")
        if state not in ("starting", "running", "stopping", "ended"):
            raise MessageError(f"state {state[:80]!r} is not a state of a run.")
        exit_data = fields.get("exit")
        return cls(
            run_id=_text(fields, "run_id"),
            state=cast("State", state),
            pid=_optional(fields, "pid", int),
            start_ticks=_optional(fields, "start_ticks", int),
            boot_id=_text(fields, "boot_id"),
            launched_at=_number(fields, "launched_at"),
            exit=None if exit_data is None else ExitFact.from_json(exit_data),
            error=_optional(fields, "error", str),
            launcher=cast("Launcher", launcher),
            note=_optional(fields, "note", str),
        )


def _object(data: object, what: str) -> Mapping[str, object]:
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise MessageError(f"{what} is not a JSON object.")
    return cast("Mapping[str, object]", data)


def _of_type(fields: Mapping[str, object], name: str, kind: type[T]) -> T:
    value = fields.get(name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise MessageError(f"{name} is not of type {kind.__name__}.")
    return value


def _text(fields: Mapping[str, object], name: str) -> str:
    return _of_type(fields, name, str)


def _optional(fields: Mapping[str, object], name: str, kind: type[T]) -> T | None:
    return None if fields.get(name) is None else _of_type(fields, name, kind)


def _number(fields: Mapping[str, object], name: str) -> float:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MessageError(f"{name} is not a number.")
    return float(value)


def _optional_number(fields: Mapping[str, object], name: str) -> float | None:
    return None if fields.get(name) is None else _number(fields, name)


def _texts(fields: Mapping[str, object], name: str) -> tuple[str, ...]:
    values = fields.get(name)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise MessageError(f"{name} is not a list of texts.")
    return tuple(values)


def _mapping(fields: Mapping[str, object], name: str) -> dict[str, str]:
    values = _object(fields.get(name), name)
    if not all(isinstance(value, str) for value in values.values()):
        raise MessageError(f"{name} has a value that is not a text.")
    return cast("dict[str, str]", dict(values))

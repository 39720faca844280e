"""What the agent measures of a run, as it is told to the server: three values, as JSON."""

from dataclasses import dataclass
from typing import Any, Final, Literal, Self, cast

from algohost.runner import parse
from algohost.runner.parse import MessageError

MemoryKind = Literal["pss", "cgroup", "anonymous"]
"""What a figure of memory is.

pss        the run's own pages and its share of the pages it has in common with others
cgroup     what the kernel has charged to the run's control group
anonymous  resident memory that is in no file; what a run still shares with the warm process it
           was forked from is counted too, so this is the most that it can be
"""

_MOST_FRAMES: Final = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class UsageSample:
    """What one run, all its processes together, has used at one moment."""

    run_id: str
    cpu_seconds: float
    """Processor time since its start; of ended processes too where they were waited for."""
    waited_seconds: float
    """How long its main thread was ready to run and had no processor."""
    memory_bytes: int
    memory_kind: MemoryKind
    threads: int
    processes: int
    folder_bytes: int
    """What its working folder holds on disk; 0 until it was measured."""
    log_bytes: int
    """What has been written to its log."""
    is_throttled: bool = False
    """Whether it gets only what others leave, for it keeps a core busy."""

    @property
    def written_bytes(self) -> int:
        """What is in its folder and has gone to its log."""
        return self.folder_bytes + self.log_bytes

    def to_json(self) -> list[Any]:
        """JSON values only, without names: there is one for each run every few seconds.

        The last is there only when it is true: older servers know of no such thing.
        """
        values = [getattr(self, name) for name in self.__dataclass_fields__]
        return values if self.is_throttled else values[:-1]

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The inverse of ``to_json``. Raises ``MessageError``."""
        names = list(cls.__dataclass_fields__)
        if not isinstance(data, list) or len(data) not in (len(names) - 1, len(names)):
            raise MessageError("A sample is not a list of its values.")
        fields = {"is_throttled": False, **dict(zip(names, data, strict=False))}
        kind = parse.text(fields, "memory_kind")
        if kind not in ("pss", "cgroup", "anonymous"):
            raise MessageError(f"memory_kind {kind[:80]!r} is none.")
        return cls(
            run_id=parse.text(fields, "run_id"),
            cpu_seconds=parse.number(fields, "cpu_seconds"),
            waited_seconds=parse.number(fields, "waited_seconds"),
            memory_bytes=parse.of_type(fields, "memory_bytes", int),
            memory_kind=cast("MemoryKind", kind),
            threads=parse.of_type(fields, "threads", int),
            processes=parse.of_type(fields, "processes", int),
            folder_bytes=parse.of_type(fields, "folder_bytes", int),
            log_bytes=parse.of_type(fields, "log_bytes", int),
            is_throttled=parse.of_type(fields, "is_throttled", bool),
        )


@dataclass(frozen=True, kw_only=True)
class Usage:
    """One look at all live runs."""

    at: float
    """Seconds since the epoch."""
    monotonic: float
    """The same moment on the machine's clock that never runs backwards."""
    samples: tuple[UsageSample, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON values only."""
        samples = [one.to_json() for one in self.samples]
        return {"at": self.at, "monotonic": self.monotonic, "samples": samples}

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The inverse of ``to_json``. Raises ``MessageError``."""
        fields = parse.object_of(data, "usage")
        samples = fields.get("samples")
        if not isinstance(samples, list):
            raise MessageError("samples is not a list.")
        return cls(
            at=parse.number(fields, "at"),
            monotonic=parse.number(fields, "monotonic"),
            samples=tuple(UsageSample.from_json(one) for one in samples),
        )


@dataclass(frozen=True, kw_only=True)
class CodeLine:
    """Where a thread was: one frame of its stack."""

    file: str
    line: int
    function: str


Stack = tuple[CodeLine, ...]
"""Innermost first."""


def stacks_to_json(stacks: tuple[Stack, ...]) -> list[Any]:
    """JSON values only."""
    return [[[one.file, one.line, one.function] for one in stack] for stack in stacks]


def stacks_from_json(data: object) -> tuple[Stack, ...]:
    """The inverse of ``stacks_to_json``. Raises ``MessageError``."""
    try:
        return tuple(
            tuple(
                CodeLine(file=str(file), line=int(line), function=str(function))
                for file, line, function in stack[:_MOST_FRAMES]
            )
            for stack in cast("list[Any]", data)
        )
    except (TypeError, ValueError) as error:
        raise MessageError("stacks is not a list of stacks.") from error

"""What a run is held to: what it may reach, how much it may use, what the kernel keeps of it."""

from dataclasses import dataclass
from typing import Any, Final, Self

from algohost.runner import parse
from algohost.runner.parse import MessageError

NICENESS: Final = 10
"""How much nicer than the agent, and so than the server, a run is: on a full machine it gets a
tenth of the server's share. With 5 a busy loop per core made the slowest hundredth of the server's
answers take twice as long."""


@dataclass(frozen=True, kw_only=True)
class Confinement:
    """What a run may reach besides its interpreter, its code and its working folder."""

    ports: tuple[int, ...] | None = ()
    """TCP ports that it may connect to; ``None`` is every address and UDP too. Ports of the
    server are among them only if they are named here."""
    may_start_processes: bool = False
    readable: tuple[str, ...] = ()
    """Absolute paths of folders or files that it may read."""

    def __post_init__(self) -> None:
        for port in self.ports or ():
            if not 1 <= port <= 65535:
                raise MessageError(f"{port} is not a TCP port.")
        for path in self.readable:
            if not path.startswith("/"):
                raise MessageError(f"readable {path[:80]!r} is not an absolute path.")

    def to_json(self) -> dict[str, Any]:
        """JSON values only."""
        ports = None if self.ports is None else list(self.ports)
        return {**self.__dict__, "ports": ports, "readable": list(self.readable)}

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The inverse of ``to_json``. Raises ``MessageError``."""
        fields = parse.object_of(data, "confinement")
        return cls(
            ports=None if fields.get("ports") is None else parse.integers(fields, "ports"),
            may_start_processes=parse.of_type(fields, "may_start_processes", bool),
            readable=parse.texts(fields, "readable"),
        )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a run may use. Zero is no limit."""

    memory_bytes: int = 0
    """Private memory of one process of the run; of the whole tree where a cgroup can."""
    threads: int = 0
    """Threads and processes together, where the kernel can count a run's own."""
    open_files: int = 0
    disk_bytes: int = 0
    """What the working folder may hold."""
    log_bytes: int = 0
    """What the log may hold of its newest output."""
    cpu_percent: int = 0
    """Of one core, where a cgroup can; 200 is two cores."""

    def __post_init__(self) -> None:
        for name, value in self.__dict__.items():
            if value < 0:
                raise MessageError(f"The limit {name} is below zero.")

    def to_json(self) -> dict[str, Any]:
        """JSON values only."""
        return dict(self.__dict__)

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The inverse of ``to_json``. Raises ``MessageError``."""
        fields = parse.object_of(data, "limits")
        return cls(**{name: parse.of_type(fields, name, int) for name in cls.__dataclass_fields__})


@dataclass(frozen=True, kw_only=True)
class Enforced:
    """One thing that was to be enforced on a run, and whether the kernel does."""

    name: str
    """``files``, ``network``, ``signals``, ``processes``, ``system calls``, ``memory``, …"""
    is_on: bool
    how: str
    """By what (``Landlock ABI 7``), or why not, in a few words."""

    def to_json(self) -> dict[str, Any]:
        """JSON values only."""
        return dict(self.__dict__)

    @classmethod
    def list_from_json(cls, data: object) -> tuple[Self, ...]:
        """The inverse of ``to_json``, for a list. Raises ``MessageError``."""
        if not isinstance(data, list):
            raise MessageError("enforced is not a list.")
        found = []
        for one in data:
            fields = parse.object_of(one, "enforced")
            found.append(
                cls(
                    name=parse.text(fields, "name"),
                    is_on=parse.of_type(fields, "is_on", bool),
                    how=parse.text(fields, "how"),
                )
            )
        return tuple(found)

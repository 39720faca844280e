"""How a strategy is run: what it may reach, how much it may use, when it is started again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Final, Self

from algohost.domain.errors import Invalid

MOST_PORTS: Final = 64
MOST_READABLE: Final = 32


class Restart(StrEnum):
    """Whether a run that ended by itself is followed by another."""

    NEVER = "never"
    ON_FAILURE = "on_failure"
    ALWAYS = "always"


@dataclass(frozen=True, kw_only=True)
class StrategySettings:
    """One strategy's settings; the defaults are what a new strategy has. Raises ``Invalid``."""

    is_confined: bool = True
    ports: tuple[int, ...] = ()
    """TCP ports that it may connect to besides the server's own."""
    may_connect_anywhere: bool = False
    may_start_processes: bool = False
    readable: tuple[str, ...] = ()
    """Absolute paths that it may read besides its interpreter, its code and its folder."""

    memory_mb: int = 2048
    """Private memory; 0 is no limit, here and in the following."""
    threads: int = 1024
    open_files: int = 1024
    disk_mb: int = 1024
    """What its working folder may hold."""
    log_mb: int = 64
    """What the log of one run may hold of its newest output."""
    cpu_percent: int = 0
    """Of one core: 200 is two cores."""

    restart: Restart = Restart.NEVER
    most_restarts: int = 5
    """So many within ``restart_window_minutes`` and it is given up."""
    restart_window_minutes: int = 10
    stable_minutes: int = 5
    """A run that lived so long begins the count anew."""

    silent_minutes: int = 0
    """Flagged after so long without output, API call or tick; 0 never is."""
    stop_when_unhealthy: bool = False

    def __post_init__(self) -> None:
        for name, (least, most, words) in _BOUNDS.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise _refused(name, f"{words} must be a whole number from {least} to {most}.")
        for port in self.ports:
            if type(port) is not int or not 1 <= port <= 65535:
                raise _no_port(port)
        for path in self.readable:
            if not path.startswith("/") or "\0" in path or path == "/":
                raise _refused(
                    "readable",
                    f"“{path[:80]}” cannot be a readable folder; give an absolute path below /.",
                )
        for name, most in (("ports", MOST_PORTS), ("readable", MOST_READABLE)):
            if len(getattr(self, name)) > most:
                raise _refused(name, f"At most {most} can be listed here; leave some out.")

    def to_json(self) -> dict[str, object]:
        """JSON values only; what has its default is left out, so that defaults can change."""
        default = type(self)()
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if value != getattr(default, name)
        }

    def with_changes(self, changes: Mapping[str, object]) -> Self:
        """These settings with JSON values over them. Raises ``Invalid`` as ``from_json`` does."""
        return self.from_json({**asdict(self), **changes})

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Self:
        """The inverse of ``to_json``. Raises ``Invalid`` for what is not known or not right."""
        unknown = data.keys() - {one.name for one in fields(cls)}
        if unknown:
            raise Invalid(f"There is no setting “{sorted(unknown)[0][:60]}”.")
        return cls(**{name: _read(name, value) for name, value in data.items()})  # type: ignore[arg-type]


_BOUNDS = {
    "memory_mb": (0, 1 << 20, "The memory limit in MB"),
    "threads": (0, 100_000, "The number of threads"),
    "open_files": (0, 1 << 20, "The number of open files"),
    "disk_mb": (0, 1 << 24, "The disk quota in MB"),
    "log_mb": (1, 1 << 20, "The size of a log in MB"),
    "cpu_percent": (0, 100_000, "The share of a core in per cent"),
    "most_restarts": (1, 1000, "The number of restarts"),
    "restart_window_minutes": (1, 1440, "The minutes in which restarts are counted"),
    "stable_minutes": (1, 1440, "The minutes after which a run counts as stable"),
    "silent_minutes": (0, 1440, "The minutes of silence"),
}


def _read(name: str, value: object) -> object:
    if name in {"ports", "readable"}:
        if not isinstance(value, list | tuple):
            raise _refused(name, f"The setting {name} is not a list.")
        for one in value:
            if name == "ports" and type(one) is not int:
                raise _no_port(one)
            if name == "readable" and type(one) is not str:
                raise _refused(name, "A readable folder is given as text.")
        return tuple(value)
    if name == "restart":
        if not isinstance(value, str) or value not in set(Restart):
            raise _refused(
                name, f"“{value!s:.20}” is no restart policy: choose {', '.join(Restart)}."
            )
        return Restart(value)
    if isinstance(getattr(StrategySettings, name), bool) and type(value) is not bool:
        raise _refused(name, f"The setting {name} is not true or false.")
    return value


def _no_port(value: object) -> Invalid:
    return _refused("ports", f"“{value!s:.20}” is not a TCP port; a port is 1 to 65535.")


def _refused(field: str, sentence: str) -> Invalid:
    """The refusal, with the setting that it is about for whoever shows it beside a field."""
    return Invalid(sentence, code="BAD_SETTING", details={"field": field})

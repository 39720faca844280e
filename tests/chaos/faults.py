"""Which faults come when: drawn from a seed, before anything runs."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

_WEIGHTS = {
    "kill the server": 4,
    "crash the server at a boundary": 5,
    "end the server politely": 1,
    "kill the agent": 3,
    "kill the zygote": 3,
    "kill agent and zygote": 2,
    "kill everything but the runs": 2,
    "kill a run": 3,
    "start one": 8,
    "stop one": 8,
    "stop and start all": 1,
    "fill the disk": 2,
}
_QUIET_SECONDS = (0.05, 1.2)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One act of chaos."""

    name: str
    wait_seconds: float
    """After the one before."""
    which: int
    """Chooses among strategies or runs, modulo their number."""
    length_seconds: float
    """How long something stays dead or full."""
    boundary: str
    """For a crash of the server: where."""


def faults(seed: int, *, can_fill: bool) -> Iterator[Fault]:
    """An endless sequence; the same for the same arguments."""
    source = random.Random(seed)
    names = [name for name in _WEIGHTS if can_fill or name != "fill the disk"]
    weights = [_WEIGHTS[name] for name in names]
    while True:
        side = source.choice(("before", "after"))
        what = source.choice(("commit", "request"))
        yield Fault(
            name=source.choices(names, weights)[0],
            wait_seconds=source.uniform(*_QUIET_SECONDS),
            which=source.randrange(1 << 30),
            length_seconds=source.choice((0.0, 0.1, 0.5, 1.5)),
            boundary=f"{side}:{what}:{source.randint(1, 30)}",
        )

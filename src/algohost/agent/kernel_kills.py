"""Whether the kernel has killed for want of memory lately: a SIGKILL that nobody sent is its.

``oom_kill`` of ``/proc/vmstat`` counts every such kill on the machine, those for the limit of a
memory cgroup too, and does not say whom. So it is looked at every few seconds, and a run that
died by an unasked SIGKILL right after it rose is taken to be the one: at most as many runs as
it rose by. Without that file (macOS, Windows) nothing is ever claimed.
"""

from pathlib import Path

from algohost.agent.loop import Loop

_LOOK_SECONDS = 5.0


class KernelKills:
    """Looks at the counter for as long as the loop runs."""

    def __init__(self, loop: Loop, *, counter: Path = Path("/proc/vmstat")) -> None:
        self._loop = loop
        self._counter = counter
        first = self._read()
        self._before = self._at_last_look = first or 0
        if first is not None:
            self._loop.later(_LOOK_SECONDS, self._look)

    def claim(self) -> bool:
        """Whether a kill of the last seconds is left that nobody has claimed; claims it."""
        now = self._read()
        if now is None or now <= self._before:
            return False
        self._before += 1
        self._at_last_look = max(self._at_last_look, self._before)
        return True

    def _look(self) -> None:
        now = self._read()
        if now is not None:
            self._before = max(self._before, self._at_last_look)
            self._at_last_look = max(now, self._before)
        self._loop.later(_LOOK_SECONDS, self._look)

    def _read(self) -> int | None:
        try:
            with self._counter.open("rb") as file:
                for line in file:
                    if line.startswith(b"oom_kill "):
                        return int(line.split()[1])
        except (OSError, ValueError):
            return None
        return None

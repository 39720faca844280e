"""Control groups, version 2, where a part of the tree has been handed to this agent.

With ``Delegate=yes`` systemd gives a unit a subtree of its own. Inside it each run gets a group
of its own: memory and processor of the whole tree are bounded by the kernel, whatever it forks,
and one write ends all of it at once. Nothing is done where the subtree was not handed over: a
group that merely happens to be writable (root, a terminal's scope) belongs to somebody else.

    delegated/            processes may be in leaves only
    ├── agent/            the agent and its zygotes
    ├── run-<id>/         one run: limits, counts, cgroup.kill
    └── …
"""

import contextlib
import logging
import os
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from algohost.runner.bounds import Enforced, Limits
from algohost.runner.processes import errno_words

log = logging.getLogger(__name__)

MOUNT: Final = Path("/sys/fs/cgroup")
_CONTROLLERS: Final = ("memory", "cpu", "pids")
_DELEGATED: Final = ("user.delegate", "trusted.delegate")
_LEAF: Final = "agent"
_PERIOD_MICROSECONDS: Final = 100_000
_AGENT_WEIGHT: Final = 1000
"""Ten times a run's: stopping a hog needs some processor too."""
_RUN_WEIGHT: Final = 100
_THROTTLED_WEIGHT: Final = 10
"""A tenth of a run's that keeps no core busy."""


@dataclass(frozen=True, kw_only=True)
class Delegation:
    """The subtree that was handed over, or why there is none."""

    folder: Path | None
    controllers: frozenset[str]
    why_not: str = ""


def find(
    *, mount: Path = MOUNT, own: Path = Path("/proc/self/cgroup"), uid: int | None = None
) -> Delegation:
    """Looks for a subtree that is this agent's to use."""
    uid = os.getuid() if uid is None and hasattr(os, "getuid") else uid
    try:
        place = _own_group(own)
    except OSError:
        return _none("this system has no control groups")
    if place is None or not (mount / "cgroup.controllers").exists():
        return _none("control groups of version 2 are not mounted")
    folder = mount / place.lstrip("/")
    if folder.name == _LEAF and _is_handed_over(folder.parent, uid):
        folder = folder.parent  # started again inside the leaf that an earlier agent made
    if not _is_handed_over(folder, uid):
        return _none("no control group is delegated to the agent")
    offered = _words(folder / "cgroup.controllers")
    missing = [name for name in _CONTROLLERS if name not in offered]
    if missing:
        return _none(f"the delegated control group lacks {' and '.join(missing)}")
    return Delegation(folder=folder, controllers=frozenset(_CONTROLLERS))


class Groups:
    """A group for each run. Every method is without effect where nothing is delegated."""

    def __init__(self, delegation: Delegation) -> None:
        self._folder = delegation.folder
        self._why_not = delegation.why_not

    @property
    def is_on(self) -> bool:
        """Whether runs get groups."""
        return self._folder is not None

    def open(self) -> None:
        """Moves this process to a leaf and lets the subtree have its controllers."""
        if self._folder is None:
            return
        folder, leaf = self._folder, self._folder / _LEAF
        try:
            leaf.mkdir(exist_ok=True)
            (leaf / "cgroup.procs").write_text(str(os.getpid()))
            wanted = " ".join(f"+{name}" for name in _CONTROLLERS)
            (folder / "cgroup.subtree_control").write_text(wanted)
            _set(leaf / "cpu.weight", str(_AGENT_WEIGHT))
        except OSError as error:
            with contextlib.suppress(OSError):
                (folder / "cgroup.procs").write_text(str(os.getpid()))
                leaf.rmdir()
            self._folder = None
            self._why_not = f"the delegated control group refuses ({errno_words(error)})"
        log.info("cgroups is_on=%s why_not=%r", self.is_on, self._why_not)

    def make(self, run_id: str, limits: Limits) -> str:
        """A group with those limits, for the run to enter; empty where there is none."""
        group = self._of(run_id)
        if group is None:
            return ""
        try:
            group.mkdir(exist_ok=True)
            for name, value in settings_of(limits).items():
                (group / name).write_text(value)
        except OSError as error:
            log.warning("cgroup_not_made run=%s why=%r", run_id, errno_words(error))
            self.drop(run_id)
            return ""
        return str(group)

    def kill(self, run_id: str) -> bool:
        """Ends every process of the run at once, in one act of the kernel; whether it could."""
        group = self._of(run_id)
        if group is None:
            return False
        try:
            (group / "cgroup.kill").write_text("1")
        except OSError:
            return False
        return True

    def has_processes(self, run_id: str) -> bool:
        """Whether a process lives in the run's group, seen by its mark or not."""
        group = self._of(run_id)
        return group is not None and _number(group / "cgroup.events", "populated") == 1

    def memory_bytes(self, run_id: str) -> int | None:
        """What is charged to the run and in no file; ``None`` for a run without a group."""
        group = self._of(run_id)
        return None if group is None else _number(group / "memory.stat", "anon")

    def memory_kills(self, run_id: str) -> int:
        """How often the kernel ended a process of the run for its limit of memory."""
        group = self._of(run_id)
        return 0 if group is None else _number(group / "memory.events", "oom_kill") or 0

    def yields(self, run_id: str, _pids: Sequence[int] = ()) -> bool:
        """Whether the run's group gets only what others leave."""
        group = self._of(run_id)
        return group is not None and _words(group / "cpu.weight") == [str(_THROTTLED_WEIGHT)]

    def throttle(self, run_id: str, _pids: Sequence[int] = ()) -> bool:
        """Lets it have only that; whether it has a group that can."""
        return self._weigh(run_id, _THROTTLED_WEIGHT)

    def let_go(self, run_id: str, _pids: Sequence[int] = ()) -> bool:
        """Lets it have an equal share again; whether that could be done."""
        return self._weigh(run_id, _RUN_WEIGHT)

    def _weigh(self, run_id: str, weight: int) -> bool:
        group = self._of(run_id)
        if group is None or not group.is_dir():
            return False
        try:
            (group / "cpu.weight").write_text(str(weight))
        except OSError:
            return False
        return True

    def drop(self, run_id: str) -> None:
        """Takes the group of an ended run away."""
        group = self._of(run_id)
        if group is not None:
            _remove(group)

    def drop_others(self, run_ids: Collection[str]) -> None:
        """Takes away what earlier agents left behind: groups of no live run, where empty."""
        if self._folder is None:
            return
        for group in self._folder.glob("run-*"):
            if group.name.removeprefix("run-") not in run_ids:
                _remove(group)

    def enforced(self, run_id: str, limits: Limits) -> tuple[Enforced, ...]:
        """What a group adds to what the kernel holds this run to, or why it does not."""
        group = self._of(run_id)
        is_on = group is not None and group.is_dir()
        why_not = self._why_not or "the run has no control group"
        how = f"control group, at most {limits.cpu_percent} % of a core"
        if is_on and not limits.cpu_percent:
            how = "control group, equal shares"
        share = Enforced(name="CPU share", is_on=True, how=how)
        if not is_on:
            share = Enforced(name="CPU share", is_on=False, how=f"nice only: {why_not}")
        tree = Enforced(name="memory of the tree", is_on=False, how=why_not)
        if is_on and limits.memory_bytes:
            tree = Enforced(name="memory of the tree", is_on=True, how="control group")
        return (share, tree) if limits.memory_bytes else (share,)

    def _of(self, run_id: str) -> Path | None:
        return None if self._folder is None else self._folder / f"run-{run_id}"


def settings_of(limits: Limits) -> dict[str, str]:
    """The files of a group and what is written to them, for these limits."""
    written = {"memory.oom.group": "1", "cpu.weight": str(_RUN_WEIGHT)}
    if limits.memory_bytes:
        written["memory.max"] = str(limits.memory_bytes)
    if limits.threads:
        written["pids.max"] = str(limits.threads)
    if limits.cpu_percent:
        quota = limits.cpu_percent * _PERIOD_MICROSECONDS // 100
        written["cpu.max"] = f"{max(1000, quota)} {_PERIOD_MICROSECONDS}"
    return written


def _none(why: str) -> Delegation:
    return Delegation(folder=None, controllers=frozenset(), why_not=why)


def _own_group(own: Path) -> str | None:
    for line in own.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("0::/"):
            return line.removeprefix("0::")
    return None


def _is_handed_over(folder: Path, uid: int | None) -> bool:
    """By systemd's mark; or, for an ordinary user, by being its own and not root's."""
    if sys.platform != "linux":
        return False
    if not os.access(folder / "cgroup.procs", os.W_OK):
        return False
    for name in _DELEGATED:
        with contextlib.suppress(OSError, AttributeError):
            if os.getxattr(folder, name) == b"1":
                return True
    try:
        return uid != 0 and folder.stat().st_uid == uid
    except OSError:
        return False


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:
        return []


def _number(path: Path, name: str) -> int | None:
    words = _words(path)
    try:
        return int(words[words.index(name) + 1])
    except (ValueError, IndexError):
        return None


def _set(path: Path, value: str) -> None:
    with contextlib.suppress(OSError):
        path.write_text(value)


def _remove(group: Path) -> None:
    """A group that still has processes stays; the next agent tries again."""
    with contextlib.suppress(OSError):
        for inner in sorted(group.glob("**/"), key=lambda path: -len(path.parts)):
            if inner != group:
                inner.rmdir()
        group.rmdir()

"""Where a run stands among the processes of this machine: behind the server and all the rest.

For the processor, and when memory runs out. The kernel lets a process change its place in two
files of its ``/proc`` folder, which belong to root once the process is shut to its own user: a
fork of the zygote is from the beginning. So it opens them as long as it holds nothing that is
worth shutting it for, and writes to them when it becomes a run.
"""

import ctypes
import os
import sys
from contextlib import suppress
from typing import Final

from algohost.runner import slices
from algohost.runner.bounds import NICENESS
from algohost.runner.system import system

_DUMPABLE: Final = 4
"""``PR_SET_DUMPABLE``."""
_OOM_SCORE, _OOM_DISTANCE, _HIGHEST_OOM_SCORE = 500, 200, 1000
_OOM_FILE, _AUTOGROUP_FILE = "oom_score_adj", "autogroup"
_opened: Final[dict[str, int]] = {}
"""Descriptors of a fork that are still to be written to."""


def shut() -> None:
    """Lets no process of our own user look into this one."""
    _set_dumpable(0)


def prepare() -> None:
    """Opens the files of a fork that holds no secret yet; it is not shut for that moment."""
    if sys.platform != "linux":
        return
    _set_dumpable(1)
    try:
        for name in (_OOM_FILE, _AUTOGROUP_FILE):
            with suppress(OSError):
                _opened[name] = os.open(f"/proc/self/{name}", os.O_WRONLY | system.FILE_FLAGS)
    finally:
        _set_dumpable(0)


def step_back() -> None:
    """Behind everything else. Best effort."""
    if sys.platform != "linux":
        return
    _write(_OOM_FILE, _first_to_go())
    _write(_AUTOGROUP_FILE, NICENESS)
    with suppress(OSError):
        os.nice(NICENESS)
    slices.ask_for(slices.USUAL)  # the agent's own are shorter


def rehearse() -> None:
    """Does what ``step_back`` does, but for its effects."""
    _first_to_go()
    slices.ask_for(slices.PROMPT)


def _set_dumpable(value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DUMPABLE, value, 0, 0, 0)


def _write(name: str, value: int) -> None:
    with suppress(OSError):
        descriptor = _opened.pop(name, None)
        if descriptor is None:
            descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY | system.FILE_FLAGS)
        try:
            os.write(descriptor, str(value).encode())
        finally:
            os.close(descriptor)


def _first_to_go() -> int:
    """Before the agent and the server, also where these have been given a high place themselves,
    as containers give it. Asked of the parent: our own place may be from before."""
    for process in (str(os.getppid()), "self"):
        with suppress(OSError, ValueError):
            descriptor = os.open(f"/proc/{process}/{_OOM_FILE}", os.O_RDONLY | system.FILE_FLAGS)
            try:
                place = int(os.read(descriptor, 32))
            finally:
                os.close(descriptor)
            return min(max(_OOM_SCORE, place + _OOM_DISTANCE), _HIGHEST_OOM_SCORE)
    return _OOM_SCORE

"""What the operating system offers, asked without changing anything."""

import ctypes
import os
import sys
from dataclasses import dataclass
from typing import Final

_PR_GET_CHILD_SUBREAPER: Final = 37


@dataclass(frozen=True, kw_only=True)
class Part:
    """One thing that a kernel may offer."""

    name: str
    offered: bool


def zygote_parts() -> list[Part]:
    """What starting strategies from a warm process needs."""
    return [
        Part(name="fork", offered=hasattr(os, "fork") and sys.platform == "linux"),
        Part(name="pidfd", offered=_has_pidfd()),
        Part(name="subreaper", offered=_has_subreaper()),
    ]


def _has_pidfd() -> bool:
    if not hasattr(os, "pidfd_open"):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def _has_subreaper() -> bool:
    if sys.platform != "linux":
        return False
    value = ctypes.c_int()
    return bool(_libc().prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(value), 0, 0, 0) == 0)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)

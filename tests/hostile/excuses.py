"""Why an attack may be shut on this machine without any confinement of ours."""

import os
import resource
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from algohost.runner.confine import spaces


def _number(path: str) -> int:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return 0


def _has_privilege(number: int = 21) -> bool:
    """Whether it is root with that capability; 21 is ``CAP_SYS_ADMIN``."""
    status = Path("/proc/self/status").read_text()
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return os.getuid() == 0 and bool(int(effective.split()[1], 16) >> number & 1)


def _yama(_detail: str) -> str:
    is_shut = not _has_privilege() and _number("/proc/sys/kernel/yama/ptrace_scope") > 0
    return "Yama lets a process trace its children only" if is_shut else ""


def _root(_detail: str) -> str:
    return "" if _has_privilege() else "only root of the machine may"


def _resources(_detail: str) -> str:
    return "" if _has_privilege(24) else "only with CAP_SYS_RESOURCE one may"


def _namespaces(_detail: str) -> str:
    why = spaces._why_no_user_namespace()
    return f"no user namespaces: {why}" if why else ""


def _kernel(detail: str) -> str:
    if not _has_privilege():
        return "this kernel keeps it for root"
    is_missing = "not implemented" in detail or "not supported" in detail or "denied" in detail
    return "this kernel has none" if is_missing else ""


def _files(_detail: str) -> str:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return f"the system's own limit is {soft}" if 0 < soft < 1000 else ""


HOLDS: Final[Mapping[str, Callable[[str], str]]] = {
    "yama": _yama,
    "root": _root,
    "resources": _resources,
    "namespaces": _namespaces,
    "kernel": _kernel,
    "files": _files,
    "door": lambda _detail: "the agent hangs up on every run",
    "always": lambda _detail: "every run is held to this, confined or not",
    "": lambda _detail: "",
}
"""Each is given how the attack failed, and answers why that is no wonder, or nothing."""


def why_shut(excuse: str, detail: str) -> str:
    """A few words, or nothing where it should have been open."""
    filtered = "Seccomp:\t2" in Path("/proc/self/status").read_text()
    if filtered and "not permitted" in detail:
        return "this container filters system calls"
    return HOLDS[excuse](detail)

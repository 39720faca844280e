"""Limits that a process and its children cannot raise again."""

import os
import resource
import sys
from typing import Final

from algohost.runner.bounds import Enforced, Limits

assert sys.platform == "linux"

_MIB: Final = 1 << 20
_LEAST_FILE_BYTES: Final = 64 << 30
_FILE_QUOTAS: Final = 4
_DATA_PAGES: Final = 5
_MOST_STACKS: Final = 256
_STACK_BYTES: Final = 8 << 20


def put_on(limits: Limits) -> list[Enforced]:
    """Limits memory, open files, the size of a file and core dumps. Raises ``OSError``.

    No limit is put on the address space (it counts mapped files) nor on processor time (a
    strategy runs all day). ``RLIMIT_LOCKS`` is the run's mark and is not touched.
    """
    _limit(resource.RLIMIT_CORE, 0)
    if limits.disk_bytes:
        # the quota is watched elsewhere; a log grows in length though its head is freed
        _limit(resource.RLIMIT_FSIZE, max(_FILE_QUOTAS * limits.disk_bytes, _LEAST_FILE_BYTES))
    return [_memory(limits.memory_bytes, limits.threads), _open_files(limits.open_files)]


def rehearse() -> None:
    """Does what ``put_on`` does, but for its effects. Raises ``OSError``."""
    _data_bytes()
    for which in (resource.RLIMIT_DATA, resource.RLIMIT_NOFILE):
        resource.setrlimit(which, resource.getrlimit(which))


def threads(count: int, why_not: str | None) -> Enforced:
    """Limits threads and processes, where this process is in a namespace of its own."""
    if not count:
        return Enforced(name="threads", is_on=False, how="No limit is set.")
    if why_not is not None:
        return Enforced(name="threads", is_on=False, how=why_not)
    real = _limit(resource.RLIMIT_NPROC, count)
    how = f"RLIMIT_NPROC in a user namespace of its own: {real} threads and processes together."
    return Enforced(name="threads", is_on=True, how=how)


def _memory(size: int, threads_allowed: int) -> Enforced:
    """The kernel counts what is reserved, used or not: eight megabytes for each thread, and
    more for one that multiplies matrices. So there is room for stacks besides, up to ``size``.
    """
    if not size:
        return Enforced(name="memory", is_on=False, how="No limit is set.")
    stacks = min(size, min(threads_allowed or _MOST_STACKS, _MOST_STACKS) * _STACK_BYTES)
    wanted = size + stacks + _data_bytes()
    real = _limit(resource.RLIMIT_DATA, wanted)
    how = f"RLIMIT_DATA: {size // _MIB} MB of its own for each process"
    how += f", and {stacks // _MIB} MB for the stacks of threads."
    if real < wanted:
        how = f"RLIMIT_DATA: {real // _MIB} MB for each process; the server itself has no more."
    return Enforced(name="memory", is_on=True, how=how)


def _open_files(count: int) -> Enforced:
    if not count:
        return Enforced(name="open files", is_on=False, how="No limit is set.")
    real = _limit(resource.RLIMIT_NOFILE, count)
    return Enforced(name="open files", is_on=True, how=f"RLIMIT_NOFILE: {real}.")


def _data_bytes() -> int:
    """What counts already: the interpreter's, most of it shared with the zygote."""
    descriptor = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    try:
        pages = os.read(descriptor, 200).split()[_DATA_PAGES]
    finally:
        os.close(descriptor)
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _limit(which: int, value: int) -> int:
    """The limit as it is now: less than ``value`` where this process has less itself."""
    hard = resource.getrlimit(which)[1]
    lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (lower, lower))
    return lower

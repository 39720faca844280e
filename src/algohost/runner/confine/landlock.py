"""Landlock: which files, TCP ports, signals and abstract sockets are within reach.

Every version of it is used as far as it goes: files from ABI 1, linking and moving between
folders from 2, truncation by path from 3, TCP from 4, device commands from 5, signals and
abstract Unix sockets from 6. A rule belongs to a file or folder itself, not to its name.
"""

import ctypes
import os
import stat
import struct
import sys
from collections.abc import Callable, Iterable
from functools import cache
from typing import Final, NamedTuple

from algohost.runner.confine import syscalls

assert sys.platform == "linux"

_VERSION: Final = 1
_PATH_BENEATH, _NET_PORT = 1, 2
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPES: Final = 3
"""Abstract Unix sockets and signals."""

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 16, 32, 128, 256
_MAKE_SOCK, _MAKE_FIFO, _MAKE_SYM, _REFER = 512, 1024, 4096, 8192
_TRUNCATE, _IOCTL_DEV = 16384, 32768
_OF_A_FILE: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

READ: Final = _EXECUTE | _READ_FILE | _READ_DIR
"""Read, list and, where programs may be run at all, run."""
CHANGE: Final = (
    READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SOCK
    | _MAKE_FIFO | _MAKE_SYM | _REFER | _TRUNCATE
)  # fmt: skip
"""All that can be done in a folder of one's own, but no devices."""
USE_DEVICE: Final = _READ_FILE | _WRITE_FILE | _IOCTL_DEV
OVERWRITE: Final = _WRITE_FILE | _TRUNCATE
"""Give a file that exists another content."""

_FILE_RIGHTS_OF_ABI: Final = (0, 13, 14, 15, 15)
_ALL_FILE_RIGHTS: Final = 16


class Rule(NamedTuple):
    """What may be done with a file, or in a folder and all below it."""

    path: str
    access: int


@cache
def abi() -> int:
    """The version of this kernel; 0 where there is none or it is switched off."""
    try:
        return syscalls.call("landlock_create_ruleset", None, 0, _VERSION)
    except OSError:
        return 0


def prepare() -> None:
    """Finds out now what forks of this process would each have to."""
    if abi():
        _adder()


def restrict(rules: Iterable[Rule], *, connect: Iterable[int] | None, version: int) -> None:
    """Holds this process, and all that it will start, to ``rules``, for good.

    ``connect`` are the TCP ports that it may connect to, ``None`` for all; it may listen on
    none. ``version`` is the ABI to use, at least 1. A rule whose path is not there is left
    out. ``no_new_privs`` must be set. Raises ``OSError``.
    """
    ruleset = _made(rules, connect=connect, version=version)
    try:
        syscalls.call("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def rehearse(rules: Iterable[Rule], *, connect: Iterable[int] | None, version: int) -> None:
    """Does what ``restrict`` does, and holds nobody to it. Raises ``OSError``."""
    os.close(_made(rules, connect=connect, version=version))


def _made(rules: Iterable[Rule], *, connect: Iterable[int] | None, version: int) -> int:
    """The descriptor of a set of rules."""
    has_short_table = version < len(_FILE_RIGHTS_OF_ABI)
    bits = _FILE_RIGHTS_OF_ABI[version] if has_short_table else _ALL_FILE_RIGHTS
    handled = (1 << bits) - 1
    parts = [handled]
    if version >= 4:
        parts.append(_BIND_TCP if connect is None else _BIND_TCP | _CONNECT_TCP)
    if version >= 6:
        parts.append(_SCOPES)
    attributes = struct.pack(f"<{len(parts)}Q", *parts)
    ruleset = syscalls.call("landlock_create_ruleset", attributes, len(attributes), 0)
    add = _adder()
    try:
        for path, access in rules:
            _add_path(add, ruleset, path, access & handled)
        if version >= 4:
            for port in connect or ():
                add(ruleset, _NET_PORT, struct.pack("<QQ", _CONNECT_TCP, port), 0)
    except BaseException:
        os.close(ruleset)
        raise
    return ruleset


@cache
def _adder() -> Callable[..., int]:
    kinds = (ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
    return syscalls.quick("landlock_add_rule", *kinds)


def _add_path(add: Callable[..., int], ruleset: int, path: str, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # what is not there, or is out of reach, needs no rule
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            access &= _OF_A_FILE
        if access:
            add(ruleset, _PATH_BENEATH, struct.pack("<Qi", access, descriptor), 0)
    finally:
        os.close(descriptor)

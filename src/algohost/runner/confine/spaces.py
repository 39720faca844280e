"""Namespaces of a run's own: where its threads are counted, and where shared memory lies.

No privilege is needed where the system lets users make user namespaces. Some do not (Docker's
default profile, Ubuntu's AppArmor), so it is tried once in a fork that ends at once.
"""

import os
import struct
import sys
from collections.abc import Iterable
from functools import cache
from typing import Final

from algohost.runner.confine import syscalls
from algohost.runner.processes import errno_words

assert sys.platform == "linux"

_NEW_USER, _NEW_MOUNT = 0x10000000, 0x00020000
_SET_DUMPABLE: Final = 4
_COUNTS_PER_NAMESPACE: Final = (5, 14)
_CAPABILITY_VERSION: Final = 0x20080522
_DAC: Final = 0b110
"""``CAP_DAC_OVERRIDE`` and ``CAP_DAC_READ_SEARCH``: root reads files of other users."""
_NO_SUID, _NO_DEVICES, _NO_PROGRAMS = 2, 4, 8
_SLAVE, _RECURSIVE = 1 << 19, 1 << 14
SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - no temporary file, a mount point
_BIND: Final = 1 << 12
SOCKETS: Final = "/run"
"""Where most of them are."""
_RESOLVER: Final = "/run/systemd/resolve"
"""``/etc/resolv.conf`` leads there on many systems."""


def why_threads_are_not_counted() -> str | None:
    """Why this kernel cannot count the threads of one run; ``None`` where it can."""
    if os.getuid() == 0:
        return "The server runs as root, whose threads the kernel does not limit."
    if _kernel() < _COUNTS_PER_NAMESPACE:
        return "Before Linux 5.14 the kernel counts all processes of a user together."
    why = _why_no_user_namespace()
    return None if why is None else f"This system allows no user namespaces: {why}."


def enter_user_namespace() -> None:
    """Moves this process into a user namespace with the same ids. Raises ``OSError``.

    For that moment the process is dumpable: the files of one that is not belong to root.
    """
    uid, gid = os.getuid(), os.getgid()
    syscalls.prctl(_SET_DUMPABLE, 1)
    try:
        syscalls.call("unshare", _NEW_USER)
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ):
            descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(descriptor, text.encode())
            finally:
                os.close(descriptor)
    finally:
        syscalls.prctl(_SET_DUMPABLE, 0)


def own_shared_memory(size_bytes: int) -> bool:
    """Puts an empty ``/dev/shm`` in place, for this process and its children; whether it did.

    It holds ``size_bytes`` at most, or half of the machine's memory for 0.
    """
    size = f",size={size_bytes}" if size_bytes else ""
    try:
        syscalls.call("unshare", _NEW_MOUNT)
        syscalls.mount("", "/", "", _SLAVE | _RECURSIVE)
        flags = _NO_SUID | _NO_DEVICES | _NO_PROGRAMS
        syscalls.mount("tmpfs", SHARED_MEMORY, "tmpfs", flags, f"mode=1777{size}")
    except OSError:
        return False
    return True


def hide_sockets(needed: Iterable[str]) -> bool:
    """Empties ``/run`` for a process with mounts of its own; whether it did.

    There lie the Unix sockets of other programs (Docker, D-Bus), which Landlock does not watch
    over. The folder stays where one of the ``needed`` paths is in it.
    """
    folder = os.path.realpath(SOCKETS)
    if any(os.path.realpath(path).startswith(f"{folder}/") for path in needed):
        return False
    resolver = os.open(_RESOLVER, os.O_PATH) if os.path.isdir(_RESOLVER) else None
    try:
        flags = _NO_SUID | _NO_DEVICES | _NO_PROGRAMS
        syscalls.mount("tmpfs", folder, "tmpfs", flags, "mode=755,size=64k")
        if resolver is not None:
            os.makedirs(_RESOLVER)
            syscalls.mount(f"/proc/self/fd/{resolver}", _RESOLVER, "", _BIND)
    except OSError:
        return False
    finally:
        if resolver is not None:
            os.close(resolver)
    return True


def drop_capabilities() -> None:
    """Gives up every privilege but root's to open files. Raises ``OSError``.

    For good, where ``no_new_privs`` is set: then a program gets none that its caller has not.
    """
    kept = _DAC if os.geteuid() == 0 else 0
    header = struct.pack("<Ii", _CAPABILITY_VERSION, 0)
    sets = struct.pack("<6I", kept, kept, 0, 0, 0, 0)
    try:
        _capset(header, sets)
    except OSError:  # root of a container that never had them
        _capset(header, bytes(24))


def _capset(header: bytes, sets: bytes) -> None:
    if syscalls.libc().capset(header, sets) != 0:
        raise OSError(1, "capset")


@cache
def _why_no_user_namespace() -> str | None:
    pid = os.fork()
    if pid == 0:
        try:
            enter_user_namespace()
        except OSError as error:
            os._exit(min(error.errno or 255, 255))
        os._exit(0)
    number = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return None if number == 0 else errno_words(OSError(abs(number), ""))


@cache
def _kernel() -> tuple[int, ...]:
    numbers = os.uname().release.split("-")[0].split(".")[:2]
    return tuple(int(text) for text in numbers if text.isdecimal())

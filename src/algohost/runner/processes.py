"""Processes of this machine, as one object that a test can make fail with any errno.

A process is named by boot id, pid and start ticks: a pid is reused, the three together are
not. A signal goes through a pidfd that was opened before the start ticks were compared, so
it never reaches a later process of the same pid. Where the kernel has no pidfd or no
``/proc`` (macOS; not tested there) identity is checked just before each signal instead.
"""

import errno
import os
import signal
import struct
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

if sys.platform == "linux":
    import resource

KILL: Final = 9
"""SIGKILL, by its number: Windows has no such signal, and its ``Processes`` no other use for it."""

MARK_LIMIT: Final = 10
"""``RLIMIT_LOCKS``: no kernel has used it since Linux 2.4, any process may read it in
``/proc/PID/limits``, it survives fork, exec, setsid and double fork, and it cannot be raised
again without privilege. So its value can say which run a process belongs to."""

_INFO_EXIT: Final = 8
_INFO_BYTES: Final = 64
_GET_INFO: Final = (3 << 30) | (_INFO_BYTES << 16) | (0xFF << 8) | 11
_WITHOUT_PIDFD: Final = (errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.EMFILE, errno.ENFILE)
_KERNEL_THREAD: Final = 0x00200000
HAS_PROC: Final = sys.platform == "linux" and Path("/proc/self/stat").exists()


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One process as a look at ``/proc`` found it."""

    pid: int
    parent: int
    session: int
    start_ticks: int
    mark: int | None
    is_zombie: bool


@dataclass(frozen=True, kw_only=True)
class Handle:
    """A hold on one process: its identity and, where the kernel can, a pidfd."""

    pid: int
    start_ticks: int
    descriptor: int | None

    def close(self) -> None:
        """Lets go of the pidfd."""
        if self.descriptor is not None:
            os.close(self.descriptor)


def new_mark() -> int:
    """A mark that no other run on this machine has: 61 random bits, below the present limit."""
    hard = -1
    if sys.platform == "linux":
        hard = resource.getrlimit(MARK_LIMIT)[1]
    ceiling = (1 << 61) if hard < 0 or hard > (1 << 61) else max(hard, 2)
    return 1 + int.from_bytes(os.urandom(8), "big") % (ceiling - 1)


def belongs_to_a_run(pid: int) -> bool:
    """Whether that process has a mark, and so is a run or was started by one.

    A process that is gone counts as one: who connects and leaves has something to hide.
    """
    if sys.platform == "linux" and pid > 0:  # 0 is a process of another container
        own = resource.getrlimit(MARK_LIMIT)[1]
        try:
            with open(f"/proc/{pid}/limits", "rb") as file:
                mark = _mark_in(file.read())
        except OSError:
            return True
        return mark is not None and (own == resource.RLIM_INFINITY or mark < own)
    return False


def set_mark(mark: int) -> None:
    """Marks the calling process and all that will descend from it. Raises ``OSError``."""
    if sys.platform == "linux":
        resource.setrlimit(MARK_LIMIT, (mark, mark))


class Processes:
    """The operating system's side of owning a process."""

    def boot_id(self) -> str:
        """What changes with every boot and with nothing else."""
        return _boot_id()

    def start_ticks(self, pid: int) -> int | None:
        """When the process started, in the kernel's ticks; ``None`` where there is none.

        Raises ``OSError`` where that cannot be found out (``EMFILE``).
        """
        if not HAS_PROC:
            out = _output(["ps", "-o", "lstart=", "-p", str(pid)])
            return hash_of(out) if out.strip() else None
        seen = _stat(pid)
        return None if seen is None else seen.start_ticks

    def open(self, pid: int, start_ticks: int) -> Handle | None:
        """A hold on exactly that process; ``None`` where it is gone or another has its pid.

        A process that has ended and is not reaped yet counts as there. Where no descriptor
        is to be had the hold is without one. Raises ``OSError`` for what nobody expects.
        """
        descriptor = None
        if hasattr(os, "pidfd_open"):
            try:
                descriptor = self._pidfd_open(pid)
            except ProcessLookupError:
                return None
            except OSError as error:
                if error.errno not in _WITHOUT_PIDFD:
                    raise
        try:
            is_same = self.start_ticks(pid) == start_ticks
        except OSError:  # no descriptor to look with: each signal will look again
            is_same = True
            if descriptor is not None:
                os.close(descriptor)
                descriptor = None
        if not is_same and descriptor is not None:
            os.close(descriptor)
        return Handle(pid=pid, start_ticks=start_ticks, descriptor=descriptor) if is_same else None

    def hold_tree(self, mark: int) -> None:
        """Before the run of that mark can end: where only a hold lets ``look`` find its tree."""

    def release_tree(self, mark: int) -> None:
        """Its tree is gone."""

    def take(self, pid: int, start_ticks: int, descriptor: int) -> Handle:
        """A hold made from a pidfd that the process's parent has sent."""
        return Handle(pid=pid, start_ticks=start_ticks, descriptor=descriptor)

    def signal(self, handle: Handle, number: int) -> bool:
        """Sends a signal to that process alone; whether it was still there.

        Raises ``OSError`` where the kernel refuses for another reason (``EPERM``).
        """
        try:
            if handle.descriptor is not None:
                self._pidfd_signal(handle.descriptor, number)
            elif self.start_ticks(handle.pid) == handle.start_ticks:
                os.kill(handle.pid, number)
            else:
                return False
        except ProcessLookupError:
            return False
        return True

    def polite_signal(self, handle: Handle) -> int:
        """With which signal a script is best asked to end.

        SIGTERM where the process handles it; else SIGINT, as Ctrl+C by hand, so that ``except
        KeyboardInterrupt`` and ``finally`` get their turn; SIGTERM where it handles neither.
        """
        caught = caught_signals(handle.pid)
        if caught is None or caught >> (signal.SIGTERM - 1) & 1:
            return signal.SIGTERM
        return signal.SIGINT if caught >> (signal.SIGINT - 1) & 1 else signal.SIGTERM

    def has_ended(self, handle: Handle) -> bool:
        """Whether the process has ended, reaped or not. Raises ``OSError`` as ``start_ticks``."""
        if HAS_PROC:
            seen = _stat(handle.pid)
            return seen is None or seen.start_ticks != handle.start_ticks or seen.is_zombie
        return self.start_ticks(handle.pid) != handle.start_ticks

    def exit_status(self, handle: Handle) -> int | None:
        """The exit code of a process that is not our child, negative for a signal.

        Known from Linux 6.15 on, once its parent has reaped it; ``None`` until then.
        """
        if handle.descriptor is None or sys.platform == "win32":
            return None
        import fcntl

        info = bytearray(_INFO_BYTES)
        struct.pack_into("<Q", info, 0, _INFO_EXIT)
        try:
            fcntl.ioctl(handle.descriptor, _GET_INFO, info, True)  # noqa: FBT003 - ioctl's own
        except OSError:  # an older kernel, or the moment in which the process is being released
            return None
        (mask,) = struct.unpack_from("<Q", info, 0)
        if not mask & _INFO_EXIT:
            return None
        (status,) = struct.unpack_from("<i", info, 60)
        return os.waitstatus_to_exitcode(status)

    def usage(self, handle: Handle) -> tuple[int | None, float | None]:  # noqa: ARG002
        """(peak bytes, processor seconds) of an ended process, where a mere hold can tell."""
        return None, None

    def look(self) -> tuple[Seen, ...]:
        """Every process of user space that this one may see, with its mark.

        Raises ``OSError`` where it cannot look (``EMFILE``).
        """
        if not HAS_PROC:
            return ()
        found = []
        for name in os.listdir("/proc"):
            if name.isdecimal():
                pid = int(name)
                seen = _stat(pid, _mark(pid))
                if seen is not None:
                    found.append(seen)
        return tuple(found)

    def _pidfd_open(self, pid: int) -> int:
        if sys.platform != "linux":
            raise NotImplementedError("there is no pidfd")
        return os.pidfd_open(pid)

    def _pidfd_signal(self, descriptor: int, number: int) -> None:
        if sys.platform != "linux":
            raise NotImplementedError("there is no pidfd")
        signal.pidfd_send_signal(descriptor, number)


@cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        out = _output(["sysctl", "-n", "kern.boottime"])
        return "".join(letter for letter in out if letter.isdigit())[:20] or "unknown"


def exit_pair(status: int) -> tuple[int | None, int | None]:
    """(code, signal) of a status in which a signal is negative."""
    return (status, None) if status >= 0 else (None, -status)


def errno_words(error: OSError) -> str:
    """The operating system's words: ``No such file or directory (ENOENT)``."""
    if error.errno is None:
        return str(error)
    name = errno.errorcode.get(error.errno, str(error.errno))
    return f"{os.strerror(error.errno)} ({name})"


def hash_of(text: str) -> int:
    """A number that stands for a text, the same in every process."""
    import zlib

    return zlib.crc32(text.encode())


def caught_signals(pid: int) -> int | None:
    """The kernel's mask of the signals that a process handles; ``None`` where it does not say."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("SigCgt:"):
                    return int(line.split()[1], 16)
    except (OSError, ValueError):
        return None
    return None


def _stat(pid: int, mark: int | None = None) -> Seen | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    if int(fields[6]) & _KERNEL_THREAD:
        return None
    return Seen(
        pid=pid,
        parent=int(fields[1]),
        session=int(fields[3]),
        start_ticks=int(fields[19]),
        mark=mark,
        is_zombie=fields[0] in (b"Z", b"X"),
    )


def _mark(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/limits", "rb") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return _mark_in(text)


def _mark_in(text: bytes) -> int | None:
    start = text.find(b"Max file locks")
    if start < 0:
        return None
    hard = text[start:].split(b"\n", 1)[0].split()[4]
    return int(hard) if hard.isdigit() else None


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
    except OSError:
        return ""

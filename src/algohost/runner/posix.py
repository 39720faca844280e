"""What Unix systems do in their own way: files, descriptors, signals, becoming a run.

``windows`` has the same functions; ``system`` chooses.
"""

import _signal  # type: ignore[import-not-found] # what signal is made of
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from algohost.runner import processes
from algohost.runner.processes import Processes

assert sys.platform != "win32"

OwnProcesses: Final = Processes
set_mark: Final = processes.set_mark
FILE_FLAGS: Final = os.O_CLOEXEC
"""Flags for every file that is opened by descriptor."""
REPLACES_OPEN_FILES: Final = True
"""Whether a file that this process has open can be replaced by another."""
SELECTS_PIPES: Final = True
"""Whether selectors take pipes; else they take sockets only."""
DETACHED: Final[dict[str, Any]] = {"start_new_session": True}
"""How ``Popen`` starts a process that is to outlive ours and our terminal."""
SYSTEM_VARIABLES: Final[tuple[str, ...]] = ()
"""Environment variables without which programs do not run here."""


def lock(descriptor: int, *, is_shared: bool) -> None:
    """Waits for the lock of an open file. Closing the file gives it back."""
    fcntl.flock(descriptor, fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX)


def try_lock(descriptor: int) -> bool:
    """Takes the lock of an open file alone; whether nobody else had it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder lasting."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ---- an agent


def start_daemon(command: Sequence[str], env: dict[str, str]) -> None:
    """Starts an agent, which leaves us by ``leave_parent``. Raises ``OSError``."""
    try:
        subprocess.run(  # noqa: S603 - our own interpreter and module
            command, env=env, stdin=subprocess.DEVNULL, check=True, start_new_session=True
        )
    except subprocess.CalledProcessError as error:
        raise OSError(str(error)) from error


def leave_parent() -> None:
    """Returns in a process that is nobody's child; the caller's own ends."""
    if os.fork() != 0:
        os._exit(0)
    os.setsid()


def lead_group() -> None:
    """A session of our own, unless we lead a session or a group already."""
    if os.getsid(0) != os.getpid() and os.getpgrp() != os.getpid():
        os.setsid()


def set_agent_signals() -> None:
    """Ended children wake the loop; the end of a terminal does nothing."""
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def reap() -> tuple[int, int, int, float] | None:
    """(pid, exit status, peak bytes, processor seconds) of an ended child; ``None`` for none.

    A signal is a negative status.
    """
    try:
        pid, status, usage = os.wait4(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    if pid == 0:
        return None
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    cpu = round(usage.ru_utime + usage.ru_stime, 3)
    return pid, os.waitstatus_to_exitcode(status), peak, cpu


def resident_bytes(pid: int | None) -> int | None:
    """Resident memory of a process, shared pages included; ``None`` where it cannot be seen."""
    try:
        text = Path(f"/proc/{pid}/statm").read_text(encoding="ascii")
    except OSError:
        return None
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")


def unblock(descriptor: int) -> None:
    """Reads and writes of a pipe do not wait from now on."""
    os.set_blocking(descriptor, False)


def pipe_has_news(descriptor: int) -> bool:  # noqa: ARG001
    """Whether a read would return at once; here its ``BlockingIOError`` says so."""
    return True


# ---- becoming a run


def start_fresh(
    command: Sequence[str], *, stdin: int, stdout: int, env: dict[str, str]
) -> "subprocess.Popen[bytes]":
    """Starts the interpreter of a run, in a session of its own, with every signal blocked until
    ``open_to_signals``. Raises ``OSError``."""
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, signal.valid_signals())
    try:
        return subprocess.Popen(  # noqa: S603 - the interpreter that a spec names
            command, stdin=stdin, stdout=stdout, cwd="/", env=env, start_new_session=True
        )
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)


def lead_session() -> None:
    """A session of our own, unless there is one. Raises ``OSError``."""
    if os.getsid(0) != os.getpid():
        os.setsid()


def reset_signals() -> None:
    """Every signal as Python has it at its start, and blocked as before.

    ``signal`` makes an enum of all that it gives back, which takes most of its time.
    """
    for number in set(range(1, signal.NSIG)) - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            _signal.signal(number, _signal.SIG_DFL)
        except (OSError, ValueError):  # the C library's own
            continue
    _signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGPIPE", "SIGXFSZ", "SIGXFZ"):
        if hasattr(_signal, name):
            _signal.signal(getattr(_signal, name), _signal.SIG_IGN)
    signal.set_wakeup_fd(-1)


def open_to_signals() -> None:
    """Takes what has come while signals were blocked, and all that comes from now on.

    Raises what the handler of one that has come raises: ``KeyboardInterrupt``.
    """
    _signal.pthread_sigmask(_signal.SIG_SETMASK, [])


def close_descriptors(*, but: int) -> None:
    """Closes every descriptor above 2 except one."""
    highest = min(os.sysconf("SC_OPEN_MAX"), 1 << 20)
    os.closerange(3, but)
    os.closerange(but + 1, highest)


def renew_time_zone() -> None:
    """Takes the time zone from ``TZ``."""
    time.tzset()


def flush_c_output() -> None:
    """Writes what C code has printed."""
    ctypes.CDLL(None).fflush(None)


def end_by_signal(number: int) -> NoReturn:
    """Ends this process as an unhandled signal does."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # a signal that does not end a process

"""What Windows does in its own way, by its own calls. **Never run on Windows yet.**

A process is named by pid and creation time, which is absolute, so no boot id is needed. A run
is marked by a named job that its main process makes and holds; whoever holds it too can list
its processes. Each run has a hidden console and process group of its own: CTRL_BREAK asks it
to end, whichever agent sends it. ``TerminateProcess`` is what SIGKILL is elsewhere.

``posix`` has the same functions; ``system`` chooses.
"""

import contextlib
import ctypes
import msvcrt
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from ctypes import wintypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from algohost.runner import windows_calls as calls
from algohost.runner.processes import KILL, Handle, Processes, Seen

assert sys.platform == "win32"

FILE_FLAGS: Final = os.O_BINARY | os.O_NOINHERIT
"""Flags for every file that is opened by descriptor."""
REPLACES_OPEN_FILES: Final = False
"""Whether a file that this process has open can be replaced by another."""
SELECTS_PIPES: Final = False
"""Whether selectors take pipes; else they take sockets only."""
SYSTEM_VARIABLES: Final = (
    "APPDATA", "COMSPEC", "LOCALAPPDATA", "NUMBER_OF_PROCESSORS", "OS", "PATHEXT",
    "PROCESSOR_ARCHITECTURE", "PROGRAMDATA", "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP",
    "USERPROFILE", "WINDIR",
)  # fmt: skip
"""Environment variables without which programs do not run here."""
_OWN_GROUP: Final = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
DETACHED: Final[dict[str, Any]] = {"creationflags": _OWN_GROUP}
"""How ``Popen`` starts a process that is to outlive ours and our terminal."""

_LOCKED_BYTE: Final = 1 << 30  # far behind what is read and written: locks bind everybody here
_KILLED: Final = 0xE0A19009
"""The exit code that ``TerminateProcess`` gives: tells our kill from anybody else's."""
_ENDED_BY_CONSOLE: Final = 0xC000013A  # STATUS_CONTROL_C_EXIT, as Python's own after Ctrl+C
_CONSOLE_HOST: Final = "conhost.exe"
_kept: Final[list[object]] = []
"""Handles and callbacks that must live as long as this process."""


@dataclass(frozen=True, kw_only=True)
class WindowsHandle(Handle):
    """A hold on one process: while it is open, no other process can get the pid."""

    process: int

    def close(self) -> None:
        """Lets go of the process."""
        calls.kernel32().CloseHandle(self.process)


class OwnProcesses(Processes):
    """The operating system's side of owning a process."""

    def __init__(self) -> None:
        self._jobs: dict[int, int] = {}

    def boot_id(self) -> str:
        """The same always: pid and creation time name a process across boots."""
        return "windows"

    def start_ticks(self, pid: int) -> int | None:
        """When the process was created, in units of 100 ns since 1601."""
        process = calls.open_process(pid, calls.LIMITED_LOOK)
        if process is None:
            return None
        with calls.closing(process):
            return calls.times(process)[0]

    def open(self, pid: int, start_ticks: int) -> Handle | None:
        """A hold on exactly that process; ``None`` where it is gone or another has its pid."""
        process = calls.open_process(pid, calls.LIMITED_LOOK | calls.SYNCHRONIZE | calls.TERMINATE)
        if process is None:
            return None
        if calls.times(process)[0] != start_ticks:
            calls.kernel32().CloseHandle(process)
            return None
        return WindowsHandle(pid=pid, start_ticks=start_ticks, descriptor=None, process=process)

    def hold_tree(self, mark: int) -> None:
        """Opens the job of that mark, which can be found only while somebody has it open."""
        if mark not in self._jobs:
            with contextlib.suppress(OSError):  # then descent alone tells what belongs to it
                self._jobs[mark] = calls.open_job(mark)

    def release_tree(self, mark: int) -> None:
        """Its tree is gone."""
        job = self._jobs.pop(mark, None)
        if job is not None:
            calls.kernel32().CloseHandle(job)

    def signal(self, handle: Handle, number: int) -> bool:
        """KILL ends the process; any other signal asks its process group to end.

        A process that has no console, or leads no group, cannot be asked: its grace passes.
        """
        process = _process(handle)
        if calls.has_ended(process):
            return False
        if number != KILL:
            calls.send_break(handle.pid)
        elif not calls.kernel32().TerminateProcess(process, _KILLED) and not calls.has_ended(
            process
        ):
            raise ctypes.WinError(ctypes.get_last_error())
        return True

    def polite_signal(self, handle: Handle) -> int:  # noqa: ARG002
        """The run itself chooses what CTRL_BREAK is to its script."""
        return signal.SIGTERM

    def has_ended(self, handle: Handle) -> bool:
        """Whether the process has ended."""
        return calls.has_ended(_process(handle))

    def exit_status(self, handle: Handle) -> int | None:
        """The exit code; negative where our kill, or a console event, ended the process."""
        code = wintypes.DWORD()
        process = _process(handle)
        if not calls.has_ended(process):
            return None
        if not calls.kernel32().GetExitCodeProcess(process, ctypes.byref(code)):
            return None
        signals = {_KILLED: KILL, _ENDED_BY_CONSOLE: int(signal.SIGINT)}
        return -signals[code.value] if code.value in signals else code.value

    def usage(self, handle: Handle) -> tuple[int | None, float | None]:
        """(peak bytes, processor seconds) of the process alone, without its children."""
        process = _process(handle)
        _, cpu = calls.times(process)
        return calls.memory(process).peak or None, round(cpu / 10_000_000, 3)

    def look(self) -> tuple[Seen, ...]:
        """Every process of our own that lives, with the mark of the job that holds it."""
        marks = {pid: mark for mark, job in self._jobs.items() for pid in calls.pids_of(job)}
        listed = list(calls.entries())
        created = {pid: calls.created_at(pid) for pid, _, name in listed if name != _CONSOLE_HOST}
        found = []
        for pid, parent, _ in listed:
            ticks = created.get(pid)
            if ticks is None:
                continue
            # a parent that is younger than its child is a later process of the same pid
            is_parent = (created.get(parent) or 0) <= ticks
            found.append(
                Seen(
                    pid=pid, parent=parent if is_parent else 0, session=0, start_ticks=ticks,
                    mark=marks.get(pid), is_zombie=False,
                )
            )  # fmt: skip
        return tuple(found)


# ---- files


def lock(descriptor: int, *, is_shared: bool) -> None:  # noqa: ARG001 - there are no shared ones
    """Waits for the lock of an open file, ten seconds at most. Closing the file gives it back."""
    os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
    msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)


def try_lock(descriptor: int) -> bool:
    """Takes the lock of an open file alone; whether nobody else had it."""
    os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Nothing to do: the file system keeps a journal of names."""


# ---- an agent


def start_daemon(command: Sequence[str], env: dict[str, str]) -> None:
    """Starts an agent outside the job of whoever starts it, where that job allows it."""
    words, env = _without_launcher(command, env)
    for flags in (_OWN_GROUP | subprocess.CREATE_BREAKAWAY_FROM_JOB, _OWN_GROUP):
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                words, env=env, stdin=subprocess.DEVNULL, creationflags=flags
            )
        except PermissionError:
            if flags == _OWN_GROUP:
                raise
        else:
            process.returncode = 0  # nobody waits for it
            return


def leave_parent() -> None:
    """Nothing to do: no process ends with its parent here."""


def lead_group() -> None:
    """Nothing to do: ``start_daemon`` has made a group."""


def set_agent_signals() -> None:
    """What ends a run does not end its agent."""
    signal.signal(signal.SIGBREAK, signal.SIG_IGN)


def reap() -> tuple[int, int, int, float] | None:
    """Nothing: an ended process is seen through its handle."""
    return None


def resident_bytes(pid: int | None) -> int | None:
    """The working set of a process; ``None`` where it cannot be seen."""
    with contextlib.suppress(OSError):
        process = None if pid is None else calls.open_process(pid, calls.LIMITED_LOOK)
        if process is not None:
            with calls.closing(process):
                return int(calls.memory(process).resident) or None
    return None


def unblock(descriptor: int) -> None:
    """Nothing to do: pipes are asked by ``pipe_has_news`` before they are read."""


def pipe_has_news(descriptor: int) -> bool:
    """Whether a read would return at once, with bytes or because the other end is closed."""
    waiting = wintypes.DWORD()
    pipe = msvcrt.get_osfhandle(descriptor)
    is_open = calls.kernel32().PeekNamedPipe(pipe, None, 0, None, ctypes.byref(waiting), None)
    return waiting.value > 0 if is_open else True


# ---- becoming a run


def start_fresh(
    command: Sequence[str], *, stdin: int, stdout: int, env: dict[str, str]
) -> "subprocess.Popen[bytes]":
    """Starts the interpreter of a run, with a console and group of its own. Raises ``OSError``."""
    words, env = _without_launcher(command, env)
    env = {**{name: os.environ[name] for name in SYSTEM_VARIABLES if name in os.environ}, **env}
    if env.get("TZ") == "Asia/Kolkata":
        env["TZ"] = "IST-5:30"  # the C library here knows no names of places
    return subprocess.Popen(  # noqa: S603 - the interpreter that a spec names
        words, stdin=stdin, stdout=stdout, cwd="/", env=env, creationflags=_OWN_GROUP
    )


def lead_session() -> None:
    """Nothing to do: ``start_fresh`` has made console and group."""


def reset_signals() -> None:
    """Every signal as Python has it at its start, and CTRL_BREAK as a request to end."""
    for number in signal.valid_signals():
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.set_wakeup_fd(-1)
    kernel = calls.kernel32()
    kernel.SetConsoleCtrlHandler(None, False)  # noqa: FBT003 - Ctrl+C is off in a new group
    handler = ctypes.WINFUNCTYPE(wintypes.BOOL, wintypes.DWORD)(on_console_event)
    _kept.append(handler)
    kernel.SetConsoleCtrlHandler(handler, True)  # noqa: FBT003 - its own


def open_to_signals() -> None:
    """Nothing to do: nothing blocks a console's events here."""


def on_console_event(event: int) -> bool:
    """What CTRL_BREAK is to the script; called in a thread of the system's. Whether it is handled.

    Its own handler of SIGBREAK; else of SIGTERM; else of SIGINT, as Ctrl+C by hand; where it
    handles none of them the process ends.
    """
    if event != calls.CTRL_BREAK or callable(signal.getsignal(signal.SIGBREAK)):
        return False
    for number in (signal.SIGTERM, signal.SIGINT):
        if callable(signal.getsignal(number)):
            signal.raise_signal(number)
            calls.wake_sleeper()
            return True
    return False


def set_mark(mark: int) -> None:
    """Puts this process, and all that will descend from it, into the job of that mark."""
    job = calls.open_job(mark)
    _kept.append(job)  # never closed: the name of the job lives with its handles
    kernel = calls.kernel32()
    if not kernel.AssignProcessToJobObject(job, kernel.GetCurrentProcess()):
        raise ctypes.WinError(ctypes.get_last_error())


def close_descriptors(*, but: int) -> None:
    """Nothing to do: no descriptor but 0 to 2 is inherited."""


def renew_time_zone() -> None:
    """Nothing to do: ``start_fresh`` has set it."""


def flush_c_output() -> None:
    """Writes what C code has printed."""
    ctypes.CDLL("ucrtbase").fflush(None)


def end_by_signal(number: int) -> NoReturn:  # noqa: ARG001 - SIGINT is the only one
    """Ends this process as Ctrl+C does."""
    os._exit(_ENDED_BY_CONSOLE - (1 << 32))


def _process(handle: Handle) -> int:
    assert isinstance(handle, WindowsHandle)
    return handle.process


def _without_launcher(
    command: Sequence[str], env: dict[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Our own interpreter without the launcher that an environment's ``python.exe`` is.

    The launcher would be a process of its own, with another pid. As ``multiprocessing`` does.
    """
    words = list(command)
    base = str(getattr(sys, "_base_executable", sys.executable))
    if words[0] != sys.executable or base == sys.executable:
        return words, env
    return [base, *words[1:]], {**env, "__PYVENV_LAUNCHER__": sys.executable}

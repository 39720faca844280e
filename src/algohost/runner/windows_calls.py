"""The calls of Windows' kernel that owning a process takes, typed. **Never run on Windows yet.**

A failed call raises ``OSError`` with Windows' own words, unless its function says otherwise.
"""

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from ctypes import wintypes
from functools import cache
from typing import Final

assert sys.platform == "win32"

CTRL_BREAK: Final = 1
TERMINATE: Final = 0x0001
LIMITED_LOOK: Final = 0x1000
SYNCHRONIZE: Final = 0x0010_0000
_NO_SUCH_PROCESS: Final = 87
_WAIT_OBJECT_0: Final = 0
_SNAP_PROCESSES: Final = 2
_JOB_PROCESS_IDS: Final = 3
_MOST_JOB_PROCESSES: Final = 4096
_NO_HANDLE: Final = ctypes.c_void_p(-1).value


class _Entry(ctypes.Structure):
    _fields_ = (
        ("size", wintypes.DWORD), ("usage", wintypes.DWORD), ("pid", wintypes.DWORD),
        ("heap", ctypes.c_size_t), ("module", wintypes.DWORD), ("threads", wintypes.DWORD),
        ("parent", wintypes.DWORD), ("priority", wintypes.LONG), ("flags", wintypes.DWORD),
        ("name", wintypes.WCHAR * 260),
    )  # fmt: skip


class Memory(ctypes.Structure):
    """What a process has of memory, in bytes."""

    _fields_ = (
        ("size", wintypes.DWORD), ("faults", wintypes.DWORD), ("peak", ctypes.c_size_t),
        ("resident", ctypes.c_size_t), ("rest", ctypes.c_size_t * 6),
    )  # fmt: skip


class _JobProcesses(ctypes.Structure):
    _fields_ = (
        ("assigned", wintypes.DWORD), ("listed", wintypes.DWORD),
        ("pids", ctypes.c_size_t * _MOST_JOB_PROCESSES),
    )  # fmt: skip


@cache
def kernel32() -> ctypes.WinDLL:
    """``kernel32`` with the types of what is called: a handle is wider than an ``int``."""
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    handle, word, flag, pointer = (
        wintypes.HANDLE, wintypes.DWORD, wintypes.BOOL, ctypes.c_void_p,
    )  # fmt: skip
    for name, result, arguments in (
        ("AssignProcessToJobObject", flag, (handle, handle)),
        ("AttachConsole", flag, (word,)),
        ("CloseHandle", flag, (handle,)),
        ("CreateJobObjectW", handle, (pointer, wintypes.LPCWSTR)),
        ("CreateToolhelp32Snapshot", handle, (word, word)),
        ("FreeConsole", flag, ()),
        ("GenerateConsoleCtrlEvent", flag, (word, word)),
        ("GetCurrentProcess", handle, ()),
        ("GetExitCodeProcess", flag, (handle, pointer)),
        ("GetProcessTimes", flag, (handle, pointer, pointer, pointer, pointer)),
        ("K32GetProcessMemoryInfo", flag, (handle, pointer, word)),
        ("OpenProcess", handle, (word, flag, word)),
        ("PeekNamedPipe", flag, (handle, pointer, word, pointer, pointer, pointer)),
        ("Process32FirstW", flag, (handle, pointer)),
        ("Process32NextW", flag, (handle, pointer)),
        ("QueryInformationJobObject", flag, (handle, ctypes.c_int, pointer, word, pointer)),
        ("SetConsoleCtrlHandler", flag, (pointer, flag)),
        ("SetEvent", flag, (handle,)),
        ("TerminateProcess", flag, (handle, wintypes.UINT)),
        ("WaitForSingleObject", word, (handle, word)),
    ):
        function = getattr(kernel, name)
        function.restype, function.argtypes = result, arguments
    return kernel


@contextlib.contextmanager
def closing(process: int) -> Iterator[None]:
    """Closes a handle at the end of the block."""
    try:
        yield
    finally:
        kernel32().CloseHandle(process)


def open_process(pid: int, rights: int) -> int | None:
    """A handle; ``None`` where there is no such process. Raises ``OSError`` for one not ours."""
    process: int | None = kernel32().OpenProcess(rights, False, pid)  # noqa: FBT003 - its own
    if process is None and ctypes.get_last_error() != _NO_SUCH_PROCESS:
        raise ctypes.WinError(ctypes.get_last_error())
    return process


def has_ended(process: int) -> bool:
    """Whether the process has ended; needs ``SYNCHRONIZE``."""
    return bool(kernel32().WaitForSingleObject(process, 0) == _WAIT_OBJECT_0)


def times(process: int) -> tuple[int, int]:
    """(creation, processor time) in units of 100 ns. Raises ``OSError``."""
    created, ended, system, user = (ctypes.c_uint64() for _ in range(4))
    parts = (ctypes.byref(part) for part in (created, ended, system, user))
    if not kernel32().GetProcessTimes(process, *parts):
        raise ctypes.WinError(ctypes.get_last_error())
    return created.value, system.value + user.value


def memory(process: int) -> Memory:
    """Resident bytes and their peak; zeros where Windows does not say."""
    found = Memory(size=ctypes.sizeof(Memory))
    kernel32().K32GetProcessMemoryInfo(process, ctypes.byref(found), ctypes.sizeof(Memory))
    return found


def created_at(pid: int) -> int | None:
    """When a living process of our own was created; ``None`` for any other."""
    try:
        process = open_process(pid, LIMITED_LOOK | SYNCHRONIZE)
    except OSError:
        return None
    if process is None:
        return None
    with closing(process):
        return None if has_ended(process) else times(process)[0]


def entries() -> Iterator[tuple[int, int, str]]:
    """(pid, parent, name of the program) of every process. Raises ``OSError``."""
    kernel = kernel32()
    snapshot = kernel.CreateToolhelp32Snapshot(_SNAP_PROCESSES, 0)
    if snapshot in (None, _NO_HANDLE):
        raise ctypes.WinError(ctypes.get_last_error())
    with closing(snapshot):
        entry = _Entry(size=ctypes.sizeof(_Entry))
        is_there = kernel.Process32FirstW(snapshot, ctypes.byref(entry))
        while is_there:
            yield int(entry.pid), int(entry.parent), str(entry.name)
            is_there = kernel.Process32NextW(snapshot, ctypes.byref(entry))


def open_job(mark: int) -> int:
    """The job of a mark, made where it is not there yet."""
    job: int | None = kernel32().CreateJobObjectW(None, f"Local\\algohost-run-{mark:x}")
    if job is None:
        raise ctypes.WinError(ctypes.get_last_error())
    return job


def pids_of(job: int) -> list[int]:
    """The living processes in a job."""
    found = _JobProcesses()
    size = ctypes.sizeof(found)
    # where there are more than fit, those that fit are given; the next look sees the others
    kernel32().QueryInformationJobObject(job, _JOB_PROCESS_IDS, ctypes.byref(found), size, None)
    return list(found.pids[: found.listed])


def send_break(pid: int) -> None:
    """CTRL_BREAK to the group of ``pid``, through its own console: events do not leave one."""
    kernel = kernel32()
    kernel.FreeConsole()
    if kernel.AttachConsole(pid):
        try:
            kernel.GenerateConsoleCtrlEvent(CTRL_BREAK, pid)
        finally:
            kernel.FreeConsole()


def wake_sleeper() -> None:
    """``time.sleep`` of the main thread wakes for SIGINT's event alone; then handlers run."""
    with contextlib.suppress(AttributeError):
        event = ctypes.pythonapi._PyOS_SigintEvent  # noqa: SLF001 - there is no public way
        event.restype = ctypes.c_void_p
        kernel32().SetEvent(event())

# ruff: noqa: N802 - the kernel's own names
"""The decisions of the Windows side, made over a kernel of the test's own.

Windows itself has never been here: what its calls do is taken from their documentation.
"""

import ctypes
import importlib
import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from algohost.runner.journal import Journal
from algohost.runner.processes import KILL, Seen
from algohost.runner.system import system

SIGBREAK = int(signal.SIGTTIN)  # any number that this system knows, and nobody uses here


class Kernel:
    """A kernel with processes and jobs in plain dictionaries; a handle is pid + 1000."""

    def __init__(self) -> None:
        self.created = {10: 100, 11: 200, 12: 300}
        self.parents = {10: 1, 11: 10, 12: 11}
        self.names = dict.fromkeys(self.created, "python.exe")
        self.codes: dict[int, int] = {}
        self.jobs: dict[int, list[int]] = {}
        self.closed: list[int] = []
        self.events: list[tuple[str, int]] = []

    def OpenProcess(self, rights: int, inherit: bool, pid: int) -> int | None:
        return pid + 1000 if pid in self.created else None

    def CloseHandle(self, handle: int) -> int:
        self.closed.append(handle)
        return 1

    def GetProcessTimes(self, handle: int, created: Any, ended: Any, *cpu: Any) -> int:
        created._obj.value = self.created[handle - 1000]
        for part in cpu:
            part._obj.value = 12_500_000
        return 1

    def K32GetProcessMemoryInfo(self, handle: int, found: Any, size: int) -> int:
        found._obj.peak, found._obj.resident = 5 << 20, 4 << 20
        return 1

    def WaitForSingleObject(self, handle: int, patience: int) -> int:
        return 0 if handle - 1000 in self.codes else 0x102

    def GetExitCodeProcess(self, handle: int, code: Any) -> int:
        code._obj.value = self.codes[handle - 1000]
        return 1

    def TerminateProcess(self, handle: int, code: int) -> int:
        self.codes[handle - 1000] = code
        return 1

    def CreateJobObjectW(self, security: None, name: str) -> int:
        return int(name.rpartition("-")[2], 16)

    def QueryInformationJobObject(self, job: int, kind: int, found: Any, *rest: Any) -> int:
        pids = self.jobs.get(job, [])
        found._obj.listed = len(pids)
        found._obj.pids[: len(pids)] = pids
        return 1

    def CreateToolhelp32Snapshot(self, what: int, pid: int) -> int:
        self.listed = iter(self.parents)
        return 5

    def Process32FirstW(self, snapshot: int, entry: Any) -> int:
        pid = next(self.listed, None)
        if pid is None:
            return 0
        entry._obj.pid, entry._obj.parent = pid, self.parents[pid]
        entry._obj.name = self.names[pid]
        return 1

    Process32NextW = Process32FirstW

    def FreeConsole(self) -> int:
        self.events.append(("free", 0))
        return 1

    def AttachConsole(self, pid: int) -> int:
        self.events.append(("attach", pid))
        return 1

    def GenerateConsoleCtrlEvent(self, event: int, pid: int) -> int:
        self.events.append(("break" if event == 1 else "other", pid))
        return 1


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module, imported as if this were Windows."""
    monkeypatch.setitem(sys.modules, "msvcrt", types.ModuleType("msvcrt"))
    monkeypatch.setattr(ctypes, "WinDLL", ctypes.CDLL, raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: 87, raising=False)
    monkeypatch.setattr(os, "O_BINARY", 0, raising=False)
    monkeypatch.setattr(os, "O_NOINHERIT", 0, raising=False)
    monkeypatch.setattr(signal, "SIGBREAK", SIGBREAK, raising=False)
    for name in ("CREATE_NO_WINDOW", "CREATE_NEW_PROCESS_GROUP", "CREATE_BREAKAWAY_FROM_JOB"):
        monkeypatch.setattr(subprocess, name, 1, raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    module = importlib.import_module("algohost.runner.windows")
    monkeypatch.setattr(sys, "platform", "linux")
    yield module
    for name in ("algohost.runner.windows", "algohost.runner.windows_calls"):
        sys.modules.pop(name, None)


@pytest.fixture
def kernel(windows: Any, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(windows.calls, "kernel32", lambda: kernel)
    return kernel


def test_both_systems_offer_the_same_functions(windows: Any) -> None:
    """What is chosen at one place can be called at every other."""
    used = {
        name
        for path in (Path(__file__).parents[2] / "src" / "algohost").rglob("*.py")
        for name in _after(path.read_text(encoding="utf-8"), "system.")
        if "import system\n" in path.read_text(encoding="utf-8")
    }
    assert used
    assert {name for name in used if not hasattr(windows, name)} == set()
    assert {name for name in used if not hasattr(system, name)} == set()


def _after(text: str, word: str) -> list[str]:
    names = ["".join(_name(part)) for part in text.split(word)[1:]]
    return [name for name in names if name and name != "system"]


def _name(text: str) -> Iterator[str]:
    for letter in text:
        if not (letter.isalnum() or letter == "_"):
            return
        yield letter


def test_a_process_is_held_only_if_it_was_created_when_it_should_have_been(
    windows: Any, kernel: Kernel
) -> None:
    processes = windows.OwnProcesses()
    assert processes.start_ticks(10) == 100
    assert processes.start_ticks(99) is None
    assert processes.open(99, 100) is None
    kernel.closed.clear()
    assert processes.open(10, 101) is None
    assert kernel.closed == [1010]
    handle = processes.open(10, 100)
    assert (handle.pid, handle.start_ticks, handle.descriptor) == (10, 100, None)
    handle.close()
    assert kernel.closed == [1010, 1010]


def test_a_polite_signal_is_a_break_through_the_runs_own_console(
    windows: Any, kernel: Kernel
) -> None:
    processes = windows.OwnProcesses()
    handle = processes.open(10, 100)
    assert processes.signal(handle, processes.polite_signal(handle))
    assert kernel.events == [("free", 0), ("attach", 10), ("break", 10), ("free", 0)]
    assert not processes.has_ended(handle)


def test_a_kill_is_told_from_anybody_elses_end(windows: Any, kernel: Kernel) -> None:
    processes = windows.OwnProcesses()
    handle = processes.open(10, 100)
    assert processes.exit_status(handle) is None
    assert processes.signal(handle, KILL)
    assert (processes.has_ended(handle), processes.exit_status(handle)) == (True, -KILL)
    assert processes.usage(handle) == (5 << 20, 2.5)
    assert not processes.signal(handle, KILL), "it is gone"


@pytest.mark.parametrize(
    ("code", "status"),
    [(0, 0), (1, 1), (0xC0000005, 0xC0000005), (0xC000013A, -signal.SIGINT)],
)
def test_an_exit_code_is_the_exit_code(
    windows: Any, kernel: Kernel, code: int, status: int
) -> None:
    processes = windows.OwnProcesses()
    handle = processes.open(10, 100)
    kernel.codes[10] = code
    assert processes.exit_status(handle) == status


def test_a_look_knows_the_processes_of_a_job_by_its_mark(windows: Any, kernel: Kernel) -> None:
    """Also where the parent between them has ended, and its pid is a later process's."""
    processes = windows.OwnProcesses()
    kernel.created[11] = 400  # younger than its supposed child
    kernel.jobs[7] = [10, 12]
    processes.hold_tree(7)
    assert processes.look() == (
        Seen(pid=10, parent=1, session=0, start_ticks=100, mark=7, is_zombie=False),
        Seen(pid=11, parent=10, session=0, start_ticks=400, mark=None, is_zombie=False),
        Seen(pid=12, parent=0, session=0, start_ticks=300, mark=7, is_zombie=False),
    )
    processes.release_tree(7)
    processes.release_tree(7)
    assert [seen.mark for seen in processes.look()] == [None, None, None]


def test_a_look_leaves_out_consoles_and_what_has_ended(windows: Any, kernel: Kernel) -> None:
    kernel.names[11] = "conhost.exe"
    kernel.codes[12] = 0
    assert [seen.pid for seen in windows.OwnProcesses().look()] == [10]


def nothing(_number: int, _frame: object) -> None:
    """A handler that a script might have."""


@pytest.mark.parametrize(
    ("handled", "said"),
    [
        ((), "KeyboardInterrupt"),
        ((signal.SIGTERM,), "SIGTERM"),
        ((signal.SIGTERM, signal.SIGINT), "SIGTERM"),
        ((signal.SIGINT,), "SIGINT"),
        ((SIGBREAK,), "nothing"),
    ],
)
def test_a_break_is_what_the_script_can_handle(
    windows: Any,
    kernel: Kernel,
    monkeypatch: pytest.MonkeyPatch,
    handled: tuple[int, ...],
    said: str,
) -> None:
    """A script's own handler of CTRL_BREAK is left to Python: ours does not answer."""
    heard = []
    monkeypatch.setattr(windows.calls, "wake_sleeper", lambda: None)
    earlier = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT, SIGBREAK)}
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in handled:
            signal.signal(number, lambda number, _: heard.append(signal.Signals(number).name))
        try:
            is_answered = windows.on_console_event(1)
        except KeyboardInterrupt:
            heard.append("KeyboardInterrupt")
            is_answered = True
        assert not windows.on_console_event(0), "Ctrl+C is Python's"
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
    assert (heard or ["nothing"], is_answered) == ([said], said != "nothing")


def test_a_journal_whose_file_cannot_be_replaced_while_it_is_open_is_compacted_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "REPLACES_OPEN_FILES", False)
    journal = Journal(tmp_path / "journal.jsonl")
    replace: Callable[..., Path] = Path.replace

    def only_closed(path: Path, target: Path) -> Path:
        open_here = {
            os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")
        }
        assert str(target) not in open_here
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", only_closed)
    for run in "ab":
        journal.append({"fact": "started", "run": run})
    journal.compact({"a"})
    assert [fact["run"] for fact in journal.read().facts] == ["b"]

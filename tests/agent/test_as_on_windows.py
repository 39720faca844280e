"""The agent with the code of Windows, over a kernel that the test plays with Linux' means.

It has never been run on Windows. Here its own code runs: how it names, watches, asks and ends
processes, how it reads pipes, locks files and meets the server. The calls themselves are
played, as their documentation says that they work.
"""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.agent.driving import Driver, until
from tests.as_on_windows import AS_ON_WINDOWS

pytestmark = pytest.mark.processes

KERNEL = """
import os, select, signal, socket
unix_pair, unix = socket.socketpair, socket.AF_UNIX
kept = {"kill": os.kill, "waitpid": os.waitpid, "nohang": os.WNOHANG}
SIGKILL, SIGINT = signal.SIGKILL, signal.SIGINT
"""
PLAYED = """
class Kernel:
    codes, jobs = {}, {}

    def stat(self, pid):
        try:
            with open(f"/proc/{pid}/stat") as file:
                return file.read().rpartition(")")[2].split()
        except OSError:
            return None

    def OpenProcess(self, rights, inherit, pid):
        return pid if pid in self.codes or self.stat(pid) else None

    def CloseHandle(self, handle):
        return 1

    def GetProcessTimes(self, handle, created, *rest):
        if handle not in self.started:
            self.started[handle] = int(self.stat(handle)[19])
        created._obj.value = self.started[handle]
        return 1

    started = {}

    def K32GetProcessMemoryInfo(self, handle, found, size):
        found._obj.peak = found._obj.resident = 7 << 20
        return 1

    def WaitForSingleObject(self, handle, patience):
        if handle not in self.codes:
            try:
                pid, status = kept["waitpid"](handle, kept["nohang"])
            except ChildProcessError:
                found = self.stat(handle)
                return 0 if found is None or found[0] == "Z" else 258
            if pid == 0:
                return 258
            code = os.waitstatus_to_exitcode(status)
            self.codes[handle] = 0xC000013A if code == -2 else self.ends.get(handle, code)
        return 0

    ends = {}

    def GetExitCodeProcess(self, handle, code):
        code._obj.value = self.codes.get(handle, 0)
        return 1

    def TerminateProcess(self, handle, code):
        self.ends[handle] = code
        kept["kill"](handle, SIGKILL)
        return 1

    def CreateJobObjectW(self, security, name):
        return 1

    def QueryInformationJobObject(self, *rest):
        return 1

    def CreateToolhelp32Snapshot(self, what, pid):
        self.listed = iter([int(name) for name in os.listdir("/proc") if name.isdecimal()])
        return 1

    def Process32FirstW(self, snapshot, entry):
        for pid in self.listed:
            found = self.stat(pid)
            if found:
                entry._obj.pid, entry._obj.parent, entry._obj.name = pid, int(found[1]), "x"
                return 1
        return 0

    Process32NextW = Process32FirstW

    def PeekNamedPipe(self, pipe, a, b, c, waiting, d):
        waiting._obj.value = len(select.select([pipe], [], [], 0)[0])
        return 1

    def AttachConsole(self, pid):
        return 1

    def FreeConsole(self):
        return 1

    def GenerateConsoleCtrlEvent(self, event, pid):
        kept["kill"](pid, SIGINT)
        return 1

kernel = Kernel()

def locking(descriptor, how, size):
    assert os.lseek(descriptor, 0, os.SEEK_CUR) > 1 << 20, "what is read must not be locked"

msvcrt = sys.modules["msvcrt"]
msvcrt.locking, msvcrt.LK_LOCK, msvcrt.LK_NBLCK = locking, 1, 2
msvcrt.get_osfhandle = lambda descriptor: descriptor
subprocess.CREATE_NO_WINDOW = subprocess.CREATE_NEW_PROCESS_GROUP = 0
os.O_BINARY = os.O_NOINHERIT = 0
ctypes.get_last_error = lambda: 87
socket.socketpair = lambda: unix_pair(unix)
from algohost.runner import windows_calls
windows_calls.kernel32 = lambda: kernel
from algohost.agent.__main__ import main
main()
"""
FIRST = "import argparse, logging, selectors, json, heapq, threading, zlib, secrets, hmac\n"
SLEEPS = "import time\nprint('up', flush=True)\ntime.sleep(60)"
DEAF = "import signal\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\n" + SLEEPS


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """A driver of an agent that believes to be on Windows."""
    folder = tmp_path_factory.mktemp("windows")
    state_dir = folder / "state"
    program = FIRST + KERNEL + AS_ON_WINDOWS + PLAYED
    with (folder / "agent.log").open("wb") as log:
        agent = subprocess.Popen(
            [sys.executable, "-c", program, "--state-dir", str(state_dir)], stderr=log
        )
    until(lambda: (state_dir / "agent.port").exists() or agent.poll() is not None)
    assert agent.poll() is None, (folder / "agent.log").read_text()
    driver = Driver(folder)
    assert driver.status()["pid"] == agent.pid
    yield driver
    driver.close()
    assert agent.wait(timeout=20) == 0


def test_a_run_ends_with_its_code_and_what_its_process_used(windows: Driver) -> None:
    fact = windows.start("code", "import sys\nprint('out')\nsys.exit(7)", launcher="zygote")
    assert (fact.launcher, fact.error, fact.boot_id) == ("subprocess", None, "windows")
    ended = windows.ended("code")
    assert ended.exit is not None
    assert (ended.exit.code, ended.exit.signal) == (7, None)
    assert ended.exit.peak_memory_bytes == 7 << 20
    assert windows.log("code").endswith("out\n")


def test_what_cannot_be_started_says_why(windows: Driver) -> None:
    fact = windows.start("nowhere", windows.folder / "none.py")
    assert (fact.state, "Could not read the script" in str(fact.error)) == ("ended", True)


@pytest.mark.parametrize(
    ("name", "script", "grace", "step", "signal"),
    [("polite", SLEEPS, 10.0, "signal", 2), ("deaf", DEAF, 0.2, "kill", 9)],
)
def test_a_stop_is_a_break_and_then_the_end(
    windows: Driver, name: str, script: str, grace: float, step: str, signal: int
) -> None:
    windows.start(name, script)
    windows.says(name, "up")
    windows.stop(name, grace_seconds=grace)
    ended = windows.ended(name)
    assert ended.exit is not None
    assert (ended.exit.stop_step, ended.exit.code, ended.exit.signal) == (step, None, signal)

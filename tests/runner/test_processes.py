"""Identity, marks and exit codes of real processes; errnos of pretended ones."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from algohost.runner.processes import Handle, Processes, errno_words, new_mark


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def hold(pid: int) -> Handle:
    system = Processes()
    handle = system.open(pid, system.start_ticks(pid) or 0)
    assert handle is not None
    return handle


def test_a_process_is_held_by_pid_and_start_ticks(sleeper: subprocess.Popen[bytes]) -> None:
    system = Processes()
    ticks = system.start_ticks(sleeper.pid)
    assert ticks is not None
    handle = system.open(sleeper.pid, ticks)
    assert handle is not None
    assert system.signal(handle, signal.SIGTERM)
    assert sleeper.wait() == -signal.SIGTERM
    assert not system.signal(handle, signal.SIGTERM)
    handle.close()
    assert system.open(sleeper.pid, ticks) is None


def test_a_later_process_of_the_same_pid_is_not_opened(sleeper: subprocess.Popen[bytes]) -> None:
    system = Processes()
    ticks = system.start_ticks(sleeper.pid)
    assert ticks is not None
    assert system.open(sleeper.pid, ticks + 1) is None


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EMFILE, errno.ENFILE, errno.EPERM])
def test_without_pidfd_a_process_is_held_by_its_identity(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(_self: Processes, _pid: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Processes, "_pidfd_open", refuse)
    system = Processes()
    handle = hold(sleeper.pid)
    assert handle.descriptor is None
    stranger = Handle(pid=sleeper.pid, start_ticks=handle.start_ticks + 1, descriptor=None)
    assert not system.signal(stranger, signal.SIGKILL)
    assert system.has_ended(stranger)
    assert not system.has_ended(handle)
    assert system.signal(handle, signal.SIGTERM)
    assert sleeper.wait() == -signal.SIGTERM
    assert system.has_ended(handle)


def test_the_exit_code_of_a_process_that_is_not_a_child_is_known_where_the_kernel_tells() -> None:
    system = Processes()
    code = (
        "import os, time\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    time.sleep(0.3)\n"
        "    os._exit(7)\n"
        "print(pid, flush=True)\n"
        "os._exit(0)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        handle = hold(int(parent.stdout.readline()))
    deadline = time.monotonic() + 5
    status = None
    while status is None and time.monotonic() < deadline:
        status = system.exit_status(handle)
    handle.close()
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    assert status == (7 if release >= (6, 15) else None)


def test_a_mark_reaches_every_descendant_and_cannot_be_raised() -> None:
    mark = new_mark()
    code = (
        "import os, resource, time\n"
        f"resource.setrlimit(10, ({mark}, {mark}))\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        os.execvp('sleep', ['sleep', '60'])\n"
        "    os._exit(0)\n"
        "os.wait()\nprint('ready', flush=True)\ntime.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    marked = [seen for seen in Processes().look() if seen.mark == mark]
    for seen in marked:
        os.kill(seen.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert len(marked) == 2
    assert len({seen.session for seen in marked}) == 2


def test_marks_are_new_and_below_the_present_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len({new_mark() for _ in range(1000)}) == 1000
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (500, 500))
    assert all(0 < new_mark() < 500 for _ in range(1000))


def test_the_words_of_an_errno_are_the_systems_with_its_name() -> None:
    assert errno_words(OSError(errno.ENOENT, "x")) == "No such file or directory (ENOENT)"
    assert errno_words(OSError("without number")) == "without number"


def test_the_boot_id_is_the_same_at_every_look() -> None:
    assert Processes().boot_id() == Processes().boot_id() != ""

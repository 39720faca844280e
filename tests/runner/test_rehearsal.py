"""What a spare child does ahead: it holds the process to nothing and leaves nothing behind."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="spares are forked on Linux only")

if sys.platform == "linux":
    from algohost.runner import rehearsal, script, standing

_LIMITS = ("CORE", "CPU", "DATA", "FSIZE", "MEMLOCK", "NOFILE", "NPROC", "STACK")


def in_a_fork(look: Callable[[], Any]) -> Any:
    """What ``look`` gives in a fork of this process, as JSON."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, json.dumps(look()).encode())
        except BaseException as error:  # noqa: BLE001 - seen by the test
            os.write(write, json.dumps(repr(error)).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        said = file.read()
    os.waitpid(pid, 0)
    return json.loads(said)


def state() -> dict[str, Any]:
    """What a script could find changed."""
    status = dict(
        line.split(":\t", 1)
        for line in Path("/proc/self/status").read_text().splitlines()
        if ":\t" in line
    )
    return {
        "main": id(sys.modules["__main__"]),
        "streams": [id(one) for one in (sys.stdin, sys.stdout, sys.stderr)],
        "modules": len(sys.modules),
        "path": list(sys.path),
        "argv": list(sys.argv),
        "cwd": os.getcwd(),
        "niceness": os.nice(0),
        "oom": Path("/proc/self/oom_score_adj").read_text(),
        "limits": [resource.getrlimit(getattr(resource, f"RLIMIT_{name}")) for name in _LIMITS],
        "held": [status[name] for name in ("NoNewPrivs", "Seccomp", "CapEff", "SigBlk")],
    }


def test_a_rehearsal_holds_the_process_to_nothing() -> None:
    """It is no run yet: whatever a start puts on is put on at the launch, with its own values."""

    def look() -> Any:
        rehearsal.rehearse()  # what it imports for the first time stays imported
        before = state()
        rehearsal._take_the_steps()
        return [before, state(), os.listdir("/"), dict(os.environ)]

    said = in_a_fork(look)
    assert len(said) == 4, said
    before, after, reachable, variables = said
    assert after == before
    assert reachable  # no rules of Landlock
    assert variables == {}


def test_a_rehearsal_fails_nowhere() -> None:
    """A step that fails is left out, and what it would have saved is lost without a word."""

    def look() -> Any:
        rehearsal._take_the_steps()
        return "taken"

    assert in_a_fork(look) == "taken"


def test_what_fails_in_a_rehearsal_is_left_to_the_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ValueError("x")

    monkeypatch.setattr(script, "rehearse", broken)

    def look() -> Any:
        rehearsal.rehearse()
        return "here"

    assert in_a_fork(look) == "here"


def test_a_rehearsed_time_zone_is_not_kept(tmp_path: Path) -> None:
    """A spare may wait for weeks: the zone of the launch is read at the launch."""

    def look() -> Any:
        rehearsal.rehearse()
        os.environ["TZ"] = "Asia/Kolkata"
        time.tzset()
        return [time.timezone, time.tzname[0]]

    assert in_a_fork(look) == [-19_800, "IST"]


def test_two_forks_draw_other_numbers_after_their_rehearsals() -> None:
    def look() -> Any:
        rehearsal.rehearse()
        numpy = sys.modules.get("numpy")
        return [random.random(), None if numpy is None else float(numpy.random.random())]

    import numpy.random  # noqa: F401 - as in a zygote

    first, second = in_a_fork(look), in_a_fork(look)
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_every_signal_stays_blocked_in_a_rehearsal() -> None:
    def look() -> Any:
        every = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
        signal.pthread_sigmask(signal.SIG_BLOCK, every)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        rehearsal.rehearse()
        os.kill(os.getpid(), signal.SIGTERM)
        return before == signal.pthread_sigmask(signal.SIG_BLOCK, [])

    assert in_a_fork(look) is True


@pytest.mark.skipif(os.getuid() != 0, reason="only root can try it as another user")
def test_a_fork_that_is_shut_to_its_own_user_stands_back_all_the_same() -> None:
    """A user's zygote is shut, and so are the files of its forks in /proc, which belong to root."""
    code = (
        f"import os, sys; sys.path.insert(0, {str(Path(standing.__file__).parents[2])!r})\n"
        "from algohost.runner import standing\n"
        "os.setgid(65534); os.setuid(65534); standing.shut()\n"
        "pid = os.fork()\n"
        "if pid: sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
        "standing.prepare()\n"
        "is_shut = not os.access('/proc/self/oom_score_adj', os.W_OK)\n"
        "standing.step_back()\n"
        "print(is_shut, open('/proc/self/oom_score_adj').read().strip(), os.nice(0))\n"
    )
    own = int(Path("/proc/self/oom_score_adj").read_text())
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd="/"
    )
    place = min(max(500, own + 200), 1000)
    assert (done.stdout, done.stderr) == (f"True {place} {os.nice(0) + 10}\n", "")

"""What the agent tells of an end: the traceback's last line, want of memory, and never too much."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from algohost.agent.kernel_kills import KernelKills
from algohost.agent.loop import Loop
from algohost.runner.bounds import Limits
from algohost.runner.messages import Launcher
from tests.agent.driving import LAUNCHERS, Driver, is_alive, until

pytestmark = pytest.mark.processes
MB = 1 << 20

BROKEN = """
class Broken(Exception):
    def __str__(self):
        raise RuntimeError("no text")
raise Broken
"""
FORK = """
import os
if os.fork() == 0:
    raise ValueError("of the fork, not of the run")
os.wait()
os._exit(7)
"""
ENDS = [  # code, what the last line says, whether for want of memory
    ("fine", "pass", 0, None, False),
    ("code", "raise SystemExit(3)", 3, None, False),
    ("said", "raise SystemExit('No API key.\\nSet one.')", 1, "No API key.", False),
    ("crash", "{}['close']", 1, "KeyError: 'close'", False),
    ("import", "import nowhere", 1, "ModuleNotFoundError: No module named 'nowhere'", False),
    ("own", "class Flat(Exception): pass\nraise Flat", 1, "Flat", False),
    ("module", "import json; json.loads('[')", 1,
     "json.decoder.JSONDecodeError: Expecting value: line 1 column 2 (char 1)", False),
    ("lines", "raise ValueError('\\n first\\nsecond')", 1, "ValueError: first", False),
    ("syntax", "print(", 1, "SyntaxError: '(' was never closed", False),
    ("control", "raise ValueError('a\\x1b[31mb')", 1, "ValueError: a [31mb", False),
    ("broken", BROKEN, 1, "Broken: <its text cannot be made>", False),
    ("memory", "raise MemoryError", 1, "MemoryError", True),
    ("array", "class ArrayError(MemoryError): pass\nraise ArrayError('8 GiB')", 1,
     "MemoryError: 8 GiB", True),
    ("fork", FORK, 7, None, False),
    ("caught", "try: raise ValueError\nexcept ValueError: raise SystemExit(2)", 2, None, False),
]  # fmt: skip


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize(
    ("name", "source", "code", "reason", "is_out_of_memory"), ENDS, ids=[row[0] for row in ENDS]
)
def test_the_last_line_of_the_traceback_is_the_reason(
    driver: Driver,
    launcher: Launcher,
    name: str,
    source: str,
    code: int,
    reason: str | None,
    *,
    is_out_of_memory: bool,
) -> None:
    """Bar R5."""
    run_id = f"{name}-{launcher}"
    driver.start(run_id, source, launcher=launcher)
    exit_ = driver.ended(run_id).exit
    assert exit_ is not None
    assert (exit_.code, exit_.reason, exit_.is_out_of_memory) == (code, reason, is_out_of_memory)


THREADS = """
import threading
stay = threading.Event()
while True:
    threading.Thread(target=stay.wait, daemon=True).start()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel counts threads of a run on Linux")
@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (
            Limits(threads=40, memory_bytes=2048 * MB),
            "all 40 threads and processes that it may have are in use.",
        ),
        (
            Limits(threads=1024, memory_bytes=128 * MB),
            "its limit of memory, 128 MB, has no room for another thread's stack.",
        ),
    ],
    ids=["threads", "stacks"],
)
def test_a_thread_that_cannot_be_started_tells_which_limit_it_met(
    driver: Driver, limits: Limits, said: str
) -> None:
    """R22: Python says the same for both."""
    run_id = f"of-{limits.threads}-threads"
    driver.start(run_id, THREADS, limits=limits)
    fact = driver.ended(run_id)
    is_on = {one.name: one.is_on for one in fact.enforced}
    if said.startswith("all") and not is_on["threads"]:
        pytest.skip("the kernel counts no threads of this user")
    exit_ = fact.exit
    assert exit_ is not None
    assert exit_.reason == f"RuntimeError: can't start new thread: {said}"


def test_a_reason_is_short_and_holds_no_secret(driver: Driver) -> None:
    secret, token = "correct-horse-battery", "0123456789abcdef0123456789abcdef"
    env = driver.spec("x", "pass").env | {"OPENALGO_API_KEY": token}
    source = "import os; raise ValueError(os.environ['KEY'] + os.environ['OPENALGO_API_KEY'])"
    driver.start("secret", source, env=env, secrets={"KEY": secret})
    exit_ = driver.ended("secret").exit
    assert exit_ is not None
    assert exit_.reason == "ValueError: ••••••••••••"
    kept = (driver.state_dir / "exits" / "secret").read_text()
    assert secret not in kept
    assert token not in kept
    driver.start("long", "raise ValueError('x' * 1_000_000)")
    exit_ = driver.ended("long").exit
    assert exit_ is not None
    assert exit_.reason is not None
    assert (len(exit_.reason), exit_.reason[-1]) == (300, "…")


def test_a_run_that_dies_by_a_signal_gets_no_reason_from_its_own_record(driver: Driver) -> None:
    """It said that it ended well and was killed on its way out: the kernel is believed."""
    source = """
import atexit, os, sys
sys.excepthook = lambda *_: None
atexit.register(os.abort)
raise ValueError
"""
    driver.start("aborts", source)
    exit_ = driver.ended("aborts").exit
    assert exit_ is not None
    assert (exit_.code, exit_.signal, exit_.reason) == (None, 6, None)


def test_a_forged_record_is_no_more_than_a_reason(driver: Driver) -> None:
    driver.start("forger", "import time\nwhile True: time.sleep(1)")
    record = driver.state_dir / "exits" / "forger"
    record.write_text('{"code": 0, "reason": "All is well", "is_out_of_memory": true}')
    driver.kill(driver.facts()["forger"].pid or 0)
    exit_ = driver.ended("forger").exit
    assert exit_ is not None
    assert (exit_.code, exit_.signal, exit_.reason) == (None, 9, None)
    assert not exit_.is_out_of_memory


@pytest.mark.parametrize("killed", ["agent", "agent and zygote"])
def test_the_reason_is_known_when_the_agent_was_dead(
    lone: Callable[..., Driver], killed: str
) -> None:
    """Bar R5: what nobody saw is read from what the run wrote."""
    driver = lone("--warm")
    source = """
import os, time
while not os.path.exists("leave"): time.sleep(0.01)
raise ValueError("no candles today")
"""
    pid = driver.start("orphan", source).pid
    assert pid is not None
    zygotes = driver.zygote_pids()
    driver.kill(driver.status()["pid"])
    if "zygote" in killed:
        driver.kill(*zygotes)
    (driver.folder / "leave").touch()
    until(lambda: not is_alive(pid))
    driver.connect()
    exit_ = driver.ended("orphan").exit
    assert exit_ is not None
    assert (exit_.code, exit_.reason) == (1, "ValueError: no candles today")


def test_kernel_kills_are_claimed_once_each_and_only_while_they_are_new(tmp_path: Path) -> None:
    counter = tmp_path / "vmstat"
    counter.write_text("pgfault 5\noom_kill 3\n")
    kills = KernelKills(Loop(), counter=counter)
    assert kills.claim() is False
    counter.write_text("pgfault 5\noom_kill 5\n")
    assert [kills.claim() for _ in range(3)] == [True, True, False]
    counter.write_text("pgfault 5\noom_kill 6\n")
    kills._look()
    assert kills.claim() is True
    counter.write_text("pgfault 5\noom_kill 7\n")
    for _ in range(2):
        kills._look()
    assert kills.claim() is False
    assert KernelKills(Loop(), counter=tmp_path / "none").claim() is False


@contextlib.contextmanager
def memory_cgroup(limit_bytes: int) -> Iterator[Path]:
    """A memory cgroup of this test's own, where the machine lets it have one."""
    for top, limit in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        group = top / f"algohost-test-{os.getpid()}"
        try:
            group.mkdir()
            (group / limit).write_text(str(limit_bytes))
        except OSError:
            with contextlib.suppress(OSError):
                group.rmdir()
            continue
        try:
            yield group
        finally:
            until(lambda group=group: not (group / "cgroup.procs").read_text())  # type: ignore[misc]
            group.rmdir()
        return
    pytest.skip("no memory cgroup can be made here")


def test_a_run_that_the_kernel_kills_for_memory_is_out_of_memory(driver: Driver) -> None:
    """Bar R18: only that run dies, and its outcome says why."""
    source = """
import os, time
while not os.path.exists("eat"): time.sleep(0.01)
hoard = []
while True: hoard.append(b"x" * 1_000_000)
"""
    with memory_cgroup(60_000_000) as group:
        pid = driver.start("glutton", source, launcher="subprocess").pid
        driver.start("bystander", "import time; time.sleep(600)")
        (group / "cgroup.procs").write_text(str(pid))
        (driver.folder / "eat").touch()
        exit_ = driver.ended("glutton").exit
        assert exit_ is not None
        assert (exit_.signal, exit_.is_out_of_memory) == (9, True)
        assert driver.facts()["bystander"].state == "running"
        driver.stop("bystander")
        driver.ended("bystander")

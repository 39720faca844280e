"""The agent without what Linux has: no pidfd, no selector for pipes, no Unix socket.

As it is on Windows, as far as Linux can play it: ends are seen by looking, pipes are asked
before they are read, the request is written aside, server and agent meet over TCP.
"""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.agent.driving import Driver, until

pytestmark = pytest.mark.processes

PORTABLE = """
import errno, select, sys
from algohost.agent.__main__ import main
from algohost.agent import zygote_link
from algohost.runner.processes import Processes
from algohost.runner.system import system

class Portable(Processes):
    def _pidfd_open(self, pid):
        raise OSError(errno.ENOSYS, "pidfd_open")

system.OwnProcesses = Portable
system.SELECTS_PIPES = system.REPLACES_OPEN_FILES = False
system.unblock = lambda descriptor: None
system.pipe_has_news = lambda descriptor: bool(select.select([descriptor], [], [], 0)[0])
zygote_link.IS_POSSIBLE = False
main()
"""
SLEEPS = "import time\nprint('up', flush=True)\ntime.sleep(60)"


@pytest.fixture(scope="module")
def portable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """A driver of an agent that runs as above."""
    folder = tmp_path_factory.mktemp("portable")
    state_dir = folder / "state"
    words = [sys.executable, "-c", PORTABLE, "--state-dir", str(state_dir), "--transport", "tcp"]
    with (folder / "agent.log").open("wb") as log:
        agent = subprocess.Popen(words, stderr=log)
    until((state_dir / "agent.port").exists)
    driver = Driver(folder)
    assert driver.status()["pid"] == agent.pid
    yield driver
    driver.close()
    assert agent.wait(timeout=20) == 0


def test_a_run_starts_without_a_zygote_and_ends_with_its_code(portable: Driver) -> None:
    script = "import sys\nprint('out')\nsys.exit(7)"
    fact = portable.start("code", script)
    assert (fact.launcher, fact.error) == ("subprocess", None)
    ended = portable.ended("code")
    assert ended.exit is not None
    assert (ended.exit.code, ended.exit.signal) == (7, None)
    assert portable.log("code").endswith("out\n")


def test_what_cannot_be_started_says_why(portable: Driver) -> None:
    fact = portable.start("nowhere", portable.folder / "none.py")
    assert (fact.state, "Could not read the script" in str(fact.error)) == ("ended", True)


def test_a_large_request_does_not_stop_the_agent(portable: Driver) -> None:
    """More than any pipe takes at once."""
    env = {f"V{i}": "x" * 60_000 for i in range(10)}
    script = "import os\nprint(sum(len(os.environ[f'V{i}']) for i in range(10)))"
    portable.start("large", script, env={**env, "PYTHONUTF8": "1"})
    portable.ended("large")
    assert "600000" in portable.log("large")


@pytest.mark.parametrize(
    ("name", "script", "grace", "step"),
    [
        ("polite", SLEEPS, 10.0, "signal"),
        (
            "deaf",
            "import signal\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\n" + SLEEPS,
            0.2,
            "kill",
        ),
    ],
)
def test_a_stop_ends_the_run(
    portable: Driver, name: str, script: str, grace: float, step: str
) -> None:
    portable.start(name, script)
    portable.says(name, "up")
    portable.stop(name, grace_seconds=grace)
    ended = portable.ended(name)
    assert ended.exit is not None
    assert ended.exit.stop_step == step

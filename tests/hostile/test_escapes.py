"""What a run starts belongs to it, whatever that does to be forgotten."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from algohost.runner.bounds import Confinement
from tests.agent.driving import LAUNCHERS, Driver, is_alive, until

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="confinement needs Linux"),
]

DAEMON = """
import os, resource, time
if os.fork() == 0:
    os.setsid()
    try:
        resource.setrlimit(10, (2, 2))
        said = "is off"
    except (OSError, ValueError):
        said = "stays"
    if os.fork() != 0:
        os._exit(0)
    print(f"the mark {said}, daemon {os.getpid()}", flush=True)
    time.sleep(600)
if END:
    os.wait()
    time.sleep(0.2)
else:
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    driver = Driver(tmp_path_factory.mktemp("escapes"), "--warm")
    yield driver
    driver.close()


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("ends_by_itself", [False, True], ids=["stopped", "ended"])
def test_a_daemon_that_wants_to_lose_its_mark_is_gone_with_its_run(
    driver: Driver, launcher: str, ends_by_itself: bool
) -> None:
    """R16: a double fork, a session of its own and a lowered mark do not help."""
    run_id = f"daemon-{launcher}-{ends_by_itself}"
    work = driver.folder / run_id
    (work / "tmp").mkdir(parents=True)
    driver.start(
        run_id, DAEMON.replace("END", str(ends_by_itself)), launcher=launcher, cwd=str(work),
        stamp=False, confinement=Confinement(may_start_processes=True),
    )  # fmt: skip
    driver.says(run_id, "daemon ")
    if not ends_by_itself:
        driver.stop(run_id, grace_seconds=0.5)
    fact = driver.ended(run_id, seconds=60)
    mark, _, number = driver.log(run_id).strip().partition(", daemon ")
    assert mark == "the mark stays"
    until(lambda: not is_alive(int(number)))
    assert fact.exit is not None


def test_a_pipe_in_the_place_of_a_record_does_not_freeze_the_agent(driver: Driver) -> None:
    """Without confinement a run may put anything there, and its end is known all the same."""
    record = driver.state_dir / "exits" / "pipe"
    script = f"import os\nos.mkfifo({str(record)!r})\nos._exit(5)\n"
    driver.start("pipe", script)
    end = driver.ended("pipe").exit
    assert end is not None
    assert (end.code, record.is_fifo(), os.path.isfile(record)) == (5, True, False)


def test_a_run_cannot_pretend_that_it_has_never_begun(driver: Driver, tmp_path: Path) -> None:
    """Not even with the exit code of a failed set-up."""
    record = driver.state_dir / "exits" / "forger"
    text = '{"code": 126, "error": "Could not start: no market."}'
    script = f"import os\nopen({str(record)!r}, 'w').write({text!r})\nos._exit(126)\n"
    driver.start("forger", script, cwd=str(tmp_path))
    fact = driver.ended("forger")
    assert fact.error is None
    assert fact.exit is not None
    assert fact.exit.code == 126

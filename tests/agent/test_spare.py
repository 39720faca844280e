"""The child that a zygote forks ahead: a launch finds it there, and it is nobody's before."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.driving import Driver, is_alive, until

pytestmark = pytest.mark.processes

HELLO = "import os, time\nprint('pid', os.getpid(), flush=True)\ntime.sleep(60)\n"


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    driver = Driver(tmp_path)
    (tmp_path / "hello.py").write_text(HELLO)
    yield driver
    driver.close()


def children(pid: int) -> set[int]:
    return {int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def switches(pid: int) -> int:
    """How often the process has waited for something."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def spare_of(driver: Driver, *, beside: set[int]) -> int:
    """The one child of the zygote that is no run."""
    (zygote,) = driver.zygote_pids()

    def look() -> int:
        found = children(zygote) - beside
        return found.pop() if len(found) == 1 else 0

    return until(look)


def launched(driver: Driver, run_id: str) -> int:
    fact = driver.start(run_id, driver.folder / "hello.py")
    assert fact.launcher == "zygote"
    assert fact.pid is not None
    driver.says(run_id, f"pid {fact.pid}")
    return fact.pid


def test_a_launch_is_the_child_that_was_there_and_another_one_follows(driver: Driver) -> None:
    runs = {launched(driver, "a")}
    spare = spare_of(driver, beside=runs)
    pid = launched(driver, "b")
    assert pid == spare
    assert spare_of(driver, beside={*runs, pid}) not in {*runs, pid}


def test_runs_that_start_together_are_all_there_once(driver: Driver) -> None:
    """One of them is the spare, the others are forked for themselves."""
    runs = {launched(driver, "a")}
    spare_of(driver, beside=runs)
    pids = [launched(driver, f"b{number}") for number in range(5)]
    assert len(set(pids) | runs) == 6


def test_a_spare_that_was_killed_costs_no_start(driver: Driver) -> None:
    runs = {launched(driver, "a")}
    driver.kill(spare_of(driver, beside=runs))
    pid = launched(driver, "b")
    assert spare_of(driver, beside={*runs, pid})


def test_a_spare_ends_with_its_zygote_and_runs_do_not(driver: Driver) -> None:
    pid = launched(driver, "a")
    spare = spare_of(driver, beside={pid})
    driver.kill(*driver.zygote_pids())
    until(lambda: not is_alive(spare))
    assert is_alive(pid)


def test_a_spare_that_was_stopped_costs_no_start(driver: Driver) -> None:
    """It holds nothing back that would be a reason to stop it: the launch lets it go on."""
    runs = {launched(driver, "a")}
    spare = spare_of(driver, beside=runs)
    os.kill(spare, signal.SIGSTOP)
    until(lambda: state(spare) == "T")
    assert launched(driver, "b") == spare


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_a_spare_was_sent_does_not_wait_for_its_run(
    driver: Driver, number: signal.Signals
) -> None:
    """Signals are blocked in it: kept, it would end a run that nobody wanted ended, days later."""
    runs = {launched(driver, "a")}
    spare = spare_of(driver, beside=runs)
    os.kill(spare, number)
    until(lambda: not is_alive(spare))
    pid = launched(driver, "b")
    assert pid != spare
    assert driver.facts()["b"].state == "running"


def test_a_spare_that_cannot_live_is_not_forked_again_and_again(driver: Driver) -> None:
    """The next launch is forked for itself, and gives the next spare a chance."""
    runs = {launched(driver, "a")}
    (zygote,) = driver.zygote_pids()
    driver.kill(spare_of(driver, beside=runs))
    until(lambda: children(zygote) == runs)
    before = switches(zygote)
    until(lambda: switches(zygote) >= before)
    assert children(zygote) == runs
    runs.add(launched(driver, "b"))
    assert spare_of(driver, beside=runs)


def test_a_list_of_processes_tells_a_spare_from_a_zygote_and_from_a_run(driver: Driver) -> None:
    pid = launched(driver, "a")
    spare = spare_of(driver, beside={pid})
    until(lambda: name(spare) == "spare")
    assert name(pid) == "run-a"
    (zygote,) = driver.zygote_pids()
    assert name(zygote) not in ("spare", "run-a")


def test_starts_leave_nothing_behind_in_the_zygote(driver: Driver) -> None:
    """Descriptors, children and zombies; ten thousand starts are as forty."""
    source = "import os\nprint('pid', os.getpid(), flush=True)\n"
    (driver.folder / "short.py").write_text(source)

    def start(number: int) -> None:
        driver.start(f"r{number}", driver.folder / "short.py")
        driver.ended(f"r{number}")

    start(0)
    (zygote,) = driver.zygote_pids()
    spare_of(driver, beside=set())
    before = descriptors(zygote)
    for number in range(1, 40):
        start(number)
    spare_of(driver, beside=set())
    assert descriptors(zygote) == before


def test_what_a_spare_was_forked_with_is_not_what_its_run_finds(driver: Driver) -> None:
    """Variables, time zone and working folder are those of the launch."""
    spare_of(driver, beside={launched(driver, "a")})
    source = (
        "import os, time, locale\n"
        "print(sorted(os.environ), time.tzname[0], os.getcwd(), flush=True)\n"
    )
    env = {"TZ": "America/New_York", "ONE": "1"}
    fact = driver.start("b", source, env=env, stamp=False)
    driver.ended("b")
    assert fact.launcher == "zygote"
    assert driver.log("b") == f"['ONE', 'TZ'] EST {driver.folder}\n"

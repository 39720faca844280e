"""The child that a zygote forks ahead: a launch finds it there, and it is nobody's before."""

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

"""What the operating system can refuse: descriptors, disk, signals, threads, and bad callbacks."""

import asyncio
import errno
import logging
import os
import resource
import selectors
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from algohost.agent.ladder import Ladder
from algohost.agent.loop import Loop
from algohost.agent.runs import MainExit, Run
from algohost.agent.table import Table
from algohost.runner.journal import Journal
from algohost.runner.messages import Launcher
from algohost.runner.processes import Handle, Processes, Seen
from tests.agent.driving import ENV, LAUNCHERS, Driver, until

root_only = pytest.mark.skipif(
    os.getuid() != 0, reason="only root can see which descriptors an agent has"
)
SLEEPS = "print('up', flush=True)\nimport time\ntime.sleep(60)\n"


@root_only
@pytest.mark.processes
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_without_descriptors_a_start_fails_with_the_errno_and_the_next_works(
    lone: Callable[..., Driver], launcher: Launcher
) -> None:
    """R8."""
    driver = lone("--warm")
    driver.start("first", "pass", launcher=launcher)
    driver.ended("first")
    pid = driver.status()["pid"]
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    first_free = min(set(range(len(taken) + 1)) - taken)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (first_free, limits[1]))
    fact = driver.start("second", "pass", launcher=launcher)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    assert fact.state == "ended"
    assert fact.error is not None
    assert "Too many open files (EMFILE)" in fact.error
    driver.start("third", "print('ran')", launcher=launcher)
    driver.ended("third")
    assert "ran" in driver.log("third")
    assert driver.status()["callback_failures"] == 0


@root_only
@pytest.mark.processes
def test_a_start_with_one_descriptor_left_is_watched_without(lone: Callable[..., Driver]) -> None:
    """The pidfd that the zygote sends finds no room; the run is held by its identity."""
    driver = lone("--warm")
    driver.do(driver.client.warm())
    pid = driver.status()["pid"]
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    free = sorted(set(range(len(taken) + 2)) - taken)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free[0] + 1, limits[1]))
    assert driver.start("tight", SLEEPS).state == "running"
    driver.says("tight", "up")
    driver.stop("tight", grace_seconds=0.2)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    end = driver.ended("tight").exit
    assert end is not None
    assert end.stop_step is not None
    assert driver.status()["callback_failures"] == 0


@pytest.mark.processes
def test_an_interpreter_whose_zygote_has_threads_is_served_without_one(
    lone: Callable[..., Driver],
) -> None:
    driver = lone()
    wrapper = driver.folder / "python-with-a-thread"
    thread = "import threading, time; threading.Thread(target=time.sleep, args=(99,), daemon=True)"
    wrapper.write_text(
        '#!/bin/sh\nshift\ncode="$1"\nshift\n'
        f'exec {sys.executable} -c "{thread}.start(); $code" "$@"\n'
    )
    wrapper.chmod(0o755)
    fact = driver.start("threaded", "print('ran')", interpreter=str(wrapper))
    driver.ended("threaded")
    assert fact.launcher == "subprocess"
    assert fact.note is not None
    assert "2 threads and will not fork" in fact.note
    assert "ran" in driver.log("threaded")
    assert driver.do(driver.client.warm(str(wrapper))) in (fact.note.partition(": ")[2],)


@pytest.mark.processes
def test_a_zygote_that_dies_while_it_warms_is_not_waited_for(lone: Callable[..., Driver]) -> None:
    driver = lone()
    wrapper = driver.folder / "python-that-dies"
    wrapper.write_text(
        f'#!/bin/sh\ncase "$2" in *zygote*) exit 3;; esac\nexec {sys.executable} "$@"\n'
    )
    wrapper.chmod(0o755)
    fact = driver.start("served", "print('ran')", interpreter=str(wrapper))
    driver.ended("served")
    assert fact.launcher == "subprocess"
    assert "ran" in driver.log("served")


@pytest.mark.processes
def test_launches_that_waited_for_a_killed_zygote_happen_once(
    lone: Callable[..., Driver],
) -> None:
    driver = lone("--warm")
    driver.do(driver.client.warm())
    (zygote,) = driver.zygote_pids()
    specs = [driver.spec(f"run{i}", f"print('line of {i}')", env=ENV) for i in range(20)]

    async def start_all() -> None:
        starts = [asyncio.create_task(driver.client.start(spec)) for spec in specs]
        while not (driver.folder / "run0.log").exists():
            await asyncio.sleep(0.001)
        os.kill(zygote, 9)
        await asyncio.gather(*starts)

    driver.do(start_all())
    for i in range(20):
        end = driver.ended(f"run{i}").exit
        assert end is not None
        assert end.code == 0
        assert driver.log(f"run{i}").count("line of") == 1


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path, Journal(tmp_path / "journal.jsonl"), Loop(), compact_above_bytes=1)


def test_a_full_disk_delays_what_is_written_and_loses_nothing(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(run_id="a", mark=1, boot_id="b", launcher="zygote", launched_at=0.0)
    table.intend(run)
    append = table.journal.append

    def full(_fact: dict[str, Any]) -> None:
        raise OSError(errno.ENOSPC, "x")

    monkeypatch.setattr(table.journal, "append", full)
    table.note(run, {"fact": "kill"})
    assert run.is_killed
    with pytest.raises(OSError, match="x"):
        table.require({"fact": "started", "run": "a"})
    monkeypatch.setattr(table.journal, "append", append)
    table.require({"fact": "started", "run": "a"})
    facts = [fact["fact"] for fact in table.journal.read().facts]
    assert facts == ["intent", "kill", "started"]


class Pretended(Processes):
    """A process table in memory, whose signals can fail with any errno."""

    def __init__(self) -> None:
        self.table: dict[int, Seen] = {}
        self.sent: list[tuple[int, int]] = []
        self.refuses: dict[int, int] = {}

    def look(self) -> tuple[Seen, ...]:
        return tuple(self.table.values())

    def open(self, pid: int, start_ticks: int) -> Handle | None:
        seen = self.table.get(pid)
        if seen is None or seen.start_ticks != start_ticks:
            return None
        return Handle(pid=pid, start_ticks=start_ticks, descriptor=None)

    def signal(self, handle: Handle, number: int) -> bool:
        if handle.pid in self.refuses:
            raise OSError(self.refuses[handle.pid], "x")
        self.sent.append((handle.pid, number))
        if number == 9:
            self.table.pop(handle.pid, None)
        return True


class Desk:
    """A ladder over pretended processes."""

    def __init__(self, table: Table) -> None:
        self.table, self.loop, self.system = table, table._loop, Pretended()
        self.ladder = Ladder(
            table, self.loop, self.system, zygote_pids=lambda: (), cancel=lambda _run: False
        )

    def run(self, pid: int) -> Run:
        run = Run(
            run_id=f"run{pid}", mark=pid, boot_id="b", launcher="zygote", launched_at=0.0,
            pid=pid, start_ticks=pid, is_ready=True,
        )  # fmt: skip
        run.handle = Handle(pid=pid, start_ticks=pid, descriptor=None)
        self.table.intend(run)
        self.add(pid, run)
        return run

    def add(self, pid: int, run: Run) -> None:
        self.system.table[pid] = Seen(
            pid=pid, parent=1, session=pid, start_ticks=pid, mark=run.mark, is_zombie=False
        )

    def turn(self, done: Callable[[], bool]) -> None:
        def step() -> bool:
            self.loop.run_once()
            return done()

        until(step)


@pytest.fixture
def desk(table: Table) -> Iterator[Desk]:
    desk = Desk(table)
    yield desk
    desk.loop._selector.close()


def test_a_hundred_kills_share_their_looks_at_the_process_table(desk: Desk) -> None:
    runs = [desk.run(pid) for pid in range(1000, 1100)]
    for run in runs:
        desk.ladder.ask(run, 15, 0.0, "all")
    desk.turn(lambda: len(desk.system.table) == 0)
    for run in runs:
        run.exited = MainExit(code=None, signal=9, how="reaped", at=0.0)
        desk.ladder.main_has_ended(run)
    desk.turn(lambda: all(run.has_ended for run in runs))
    assert sorted(desk.system.sent) == sorted(
        (pid, number) for pid in range(1000, 1100) for number in (9, 15)
    )
    assert desk.ladder.looks < 20


def test_what_hides_from_the_look_is_ended_by_its_group(desk: Desk) -> None:
    """R16: a daemon that belongs to nobody any more is still in the control group."""
    run = desk.run(1000)
    hidden, killed = {"lives"}, []

    def kill(run_id: str) -> bool:
        killed.append(run_id)
        hidden.clear()
        return True

    desk.ladder.kill_group, desk.ladder.group_lives = kill, lambda _run_id: bool(hidden)
    run.exited = MainExit(code=0, signal=None, how="reaped", at=0.0)
    del desk.system.table[1000]
    desk.ladder.main_has_ended(run)
    desk.turn(lambda: run.has_ended)
    assert (killed, hidden) == (["run1000"], set())


def test_what_may_not_be_signalled_is_named_and_does_not_stop_the_others(desk: Desk) -> None:
    run = desk.run(1000)
    for pid in (1001, 1002):
        desk.add(pid, run)
    desk.system.refuses[1001] = errno.EPERM
    run.exited = MainExit(code=0, signal=None, how="reaped", at=0.0)
    del desk.system.table[1000]
    desk.ladder.main_has_ended(run)
    desk.turn(lambda: 1002 not in desk.system.table)
    assert not run.has_ended
    assert run.note == "Signal 9 to pid 1001: Operation not permitted (EPERM)."
    del desk.system.table[1001]
    desk.turn(lambda: run.has_ended)
    assert run.exit is not None
    assert run.exit.leftovers_killed == 2


def test_a_callback_that_raises_is_counted_and_the_loop_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = Loop()
    read, write = os.pipe()
    calls: list[str] = []

    def fail() -> None:
        raise RuntimeError("bad")

    def ready(_events: int) -> None:
        calls.append("ready")
        loop.forget(read)

    loop.later(0.0, fail)
    loop.later(0.001, lambda: calls.append("timer"))
    loop.later(0.0, lambda: calls.append("never")).cancel()
    loop.watch(read, selectors.EVENT_READ, ready)
    os.write(write, b"x")
    with caplog.at_level(logging.CRITICAL):
        while len(calls) < 2:
            loop.run_once()
    loop.later(0.0, loop.stop)
    loop.run()
    assert (sorted(calls), loop.failures) == (["ready", "timer"], 1)
    os.close(read)
    os.close(write)


def test_an_event_is_never_delivered_to_the_descriptors_successor() -> None:
    """Regression: a status pipe read for one run closed the pipe of the next under its number."""
    loop = Loop()
    pipes = [os.pipe(), os.pipe()]
    calls: list[str] = []
    spare: list[int] = []

    def replace_the_other(mine: int, other: int, _events: int) -> None:
        calls.append("first")
        for descriptor in (mine, other):
            loop.forget(descriptor)
        os.close(other)
        successor, write = os.pipe()
        assert successor == other
        spare.extend((successor, write))
        loop.watch(successor, selectors.EVENT_READ, lambda _events: calls.append("successor"))

    for (mine, write), (other, _) in zip(pipes, reversed(pipes), strict=True):
        os.write(write, b"x")
        ready = partial(replace_the_other, mine, other)
        loop.watch(mine, selectors.EVENT_READ, ready)
    loop.run_once()
    loop.later(0.0, loop.stop)
    loop.run()
    assert calls == ["first"]
    for descriptor in {*pipes[0], *pipes[1], *spare}:
        os.close(descriptor)

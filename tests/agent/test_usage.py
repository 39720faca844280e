"""What the agent measures of runs, and where it finds a busy one."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from algohost.agent.client import AgentRefused
from algohost.agent.runs import Run
from algohost.agent.usage import Meter
from algohost.runner import slices
from algohost.runner.measures import Usage, UsageSample, stacks_from_json, stacks_to_json
from algohost.runner.messages import Launcher
from algohost.runner.parse import MessageError
from algohost.runner.processes import Processes
from algohost.runner.whereabouts import parse
from tests.agent.driving import LAUNCHERS, Driver

pytestmark = pytest.mark.processes

SPIN = """
import sys
def spin(turns=0):
    while True:
        turns += 1
print("begun", flush=True)
spin()
"""
THREAD = """
import threading, time
def spin():
    turns = 0
    while True:
        turns += 1
threading.Thread(target=spin, daemon=True).start()
print("begun", flush=True)
time.sleep(600)
"""
FAMILY = """
import subprocess, sys, threading, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
threads = [threading.Thread(target=time.sleep, args=(600,), daemon=True) for _ in range(5)]
for thread in threads:
    thread.start()
held = bytearray(40 << 20)
print("begun", flush=True)
time.sleep(600)
"""


def heard(driver: Driver, wanted: Callable[[Usage], Any], *, seconds: float = 0.1) -> Any:
    """The first true value of ``wanted`` over what the agent tells a subscriber."""

    async def hear() -> Any:
        async with asyncio.timeout(30):
            async with aclosing(driver.client.events(usage_seconds=seconds)) as events:  # type: ignore[type-var]
                async for event in events:
                    if isinstance(event, Usage) and (found := wanted(event)):
                        return found
        raise AssertionError

    return driver.do(hear())


def of(run_id: str) -> Callable[[Usage], UsageSample | None]:
    return lambda usage: next((one for one in usage.samples if one.run_id == run_id), None)


def test_a_subscriber_hears_what_the_whole_tree_of_each_run_uses(driver: Driver) -> None:
    """Threads and processes of children count; memory is private, not what libraries share."""
    driver.start("family", FAMILY)
    driver.says("family", "begun")
    found = heard(driver, of("family"))
    assert found.processes == 2
    assert found.threads >= 7
    assert found.memory_bytes > 40 << 20
    assert found.memory_kind == ("pss" if os.getuid() == 0 else "anonymous")
    assert found.log_bytes == driver.log_path("family").stat().st_size > 0
    driver.stop("family", grace_seconds=0)


def test_processor_time_goes_up_while_a_run_is_busy(driver: Driver) -> None:
    driver.start("busy", SPIN)
    driver.says("busy", "begun")
    first = heard(driver, of("busy"))

    def more(usage: Usage) -> bool:
        now = of("busy")(usage)
        return now is not None and now.cpu_seconds > first.cpu_seconds + 0.2

    assert heard(driver, more)
    driver.stop("busy", grace_seconds=0)


def test_without_a_wish_for_figures_none_are_sent(driver: Driver) -> None:
    driver.start("quiet", "import time\nprint('begun', flush=True)\ntime.sleep(600)")
    driver.says("quiet", "begun")

    async def hear() -> list[object]:
        kinds: list[object] = []
        async with aclosing(driver.client.events()) as events:  # type: ignore[type-var]
            async for event in events:
                kinds.append(type(event).__name__)
                if len(kinds) == 1:
                    await driver.client.stop("quiet", grace_seconds=0, by="test")
                elif getattr(event, "state", "") == "ended":
                    return kinds
        raise AssertionError

    assert "Usage" not in driver.do(hear())


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_busy_run_is_found_at_its_line_and_goes_on(driver: Driver, launcher: Launcher) -> None:
    """Asked for without stopping it, with everything of confinement's shut-off on."""
    run_id = f"spin-{launcher}"
    driver.start(run_id, SPIN, launcher=launcher)
    driver.says(run_id, "begun")
    found = driver.do(driver.client.where(run_id))
    assert found.problem is None
    lines = {(Path(stack[0].file).name, stack[0].line, stack[0].function) for stack in found.stacks}
    assert lines <= {(f"{run_id}.py", 4, "spin"), (f"{run_id}.py", 5, "spin")}
    assert driver.facts()[run_id].state == "running"
    assert driver.log(run_id).count("\n") == 1, "nothing of it is in the script's own output"
    driver.stop(run_id, grace_seconds=0)


def test_the_busy_one_of_several_threads_is_asked(driver: Driver) -> None:
    """Linux 6.9 and later can signal one thread; before that the main thread answers."""
    driver.start("thread", THREAD)
    driver.says("thread", "begun")
    found = driver.do(driver.client.where("thread"))
    assert found.problem is None
    functions = {stack[0].function for stack in found.stacks}
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    assert "spin" in functions or release < (6, 9)
    driver.stop("thread", grace_seconds=0)


@pytest.mark.parametrize(
    ("name", "prepare", "why"),
    [
        ("closed", "import os; os.closerange(3, 1024)", "has closed what it would answer on"),
        (
            "taken",
            "import signal; signal.signal(signal.SIGRTMAX - 2, signal.SIG_DFL)",
            "has taken the signal",
        ),
    ],
)
def test_a_run_that_would_not_survive_being_asked_is_not_asked(
    driver: Driver, name: str, prepare: str, why: str
) -> None:
    """A script that closed all descriptors may have opened a file of its own in their place."""
    run_id = f"ask-{name}"
    keeps = "kept = [open(f'own{n}', 'w') for n in range(300)]"
    source = f"{prepare}\n{keeps}\nimport time\nprint('begun', flush=True)\ntime.sleep(600)"
    driver.start(run_id, source)
    driver.says(run_id, "begun")
    found = driver.do(driver.client.where(run_id))
    assert (found.stacks, why in (found.problem or "")) == ((), True)
    assert driver.facts()[run_id].state == "running"
    assert all((driver.folder / f"own{n}").stat().st_size == 0 for n in range(300))
    driver.stop(run_id, grace_seconds=0)


def test_a_run_that_nobody_knows_is_refused(driver: Driver) -> None:
    with pytest.raises(AgentRefused, match="no run of that id"):
        driver.do(driver.client.where("nobody"))


def test_the_fifo_of_a_run_goes_with_it(driver: Driver) -> None:
    driver.start("gone", "print('x')")
    driver.ended("gone")
    driver.do(driver.client.forget(["gone"]))
    assert not list(driver.state_dir.rglob("gone*"))


def test_a_run_stands_behind_the_server(driver: Driver) -> None:
    """R18, R22: when memory runs out the kernel takes a run first, and it yields the processor."""
    driver.start(
        "behind",
        "import os\nprint(os.nice(0), open('/proc/self/oom_score_adj').read().strip(), flush=True)",
        stamp=False,
    )
    driver.ended("behind")
    assert driver.log("behind") == f"{os.nice(0) + 10} 500\n"


@pytest.mark.parametrize(("server", "run"), [(0, 500), (350, 550), (900, 1000)])
def test_a_run_goes_before_the_server_when_memory_runs_out(
    driver: Driver, server: int, run: int
) -> None:
    """R18: also where the server has a high place itself, as containers give it."""
    driver.do(driver.client.warm(None))
    (zygote,) = driver.zygote_pids()
    place = Path(f"/proc/{zygote}/oom_score_adj")
    try:
        place.write_text(str(server))
    except OSError as error:
        pytest.skip(f"the place of another process cannot be changed here: {error}")
    try:
        run_id = f"beside-{server}"
        source = "print(open('/proc/self/oom_score_adj').read().strip(), flush=True)"
        driver.start(run_id, source, stamp=False)
        driver.ended(run_id)
        assert int(driver.log(run_id)) == run
    finally:
        with suppress(OSError):
            place.write_text("0")


@pytest.mark.skipif(not Path("/proc/self/sched").exists(), reason="the kernel shows no slices")
def test_the_agent_is_prompt_and_a_run_is_not(driver: Driver) -> None:
    """R22: a run has the slices of any other program, or it would be as prompt as the server."""
    look = "next(x.split(':')[1].strip() for x in open('/proc/self/sched') if 'se.slice' in x)"
    driver.start("sliced", f"print({look}, flush=True)", stamp=False)
    driver.ended("sliced")
    ours = [slice_of(driver.status()["pid"]), int(driver.log("sliced"))]
    usual = slice_of(os.getpid())
    prompt = slices.PROMPT if slices.ask_for(slices.USUAL) else usual
    assert ours == [prompt, usual]


def slice_of(pid: int) -> int:
    text = Path(f"/proc/{pid}/sched").read_text()
    return int(next(x for x in text.splitlines() if x.startswith("se.slice")).split(":")[1])


class NoSizes:
    def folder_bytes(self, run_id: str) -> int:
        return 0

    def group_memory_bytes(self, run_id: str) -> int | None:
        return None


def test_a_session_is_measured_from_outside_and_a_run_without_process_is_not() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1, start_new_session=True)
    try:
        processes = Processes()
        run = Run(
            run_id="child",
            mark=1,
            boot_id=processes.boot_id(),
            launcher="subprocess",
            launched_at=0.0,
            pid=child.pid,
            start_ticks=processes.start_ticks(child.pid),
        )
        (found,) = Meter(NoSizes()).look([run], spared=())
        assert (found.run_id, found.threads, found.processes) == ("child", 1, 1)
        assert found.memory_bytes >= 0
        gone = Run(run_id="gone", mark=2, boot_id="", launcher="zygote", launched_at=0.0)
        assert Meter(NoSizes()).look([gone], spared=()) == ()
    finally:
        child.communicate(b"\n")


def test_a_look_survives_the_wire_and_nonsense_does_not() -> None:
    sample = UsageSample(
        run_id="r",
        cpu_seconds=1.5,
        waited_seconds=0.25,
        memory_bytes=7,
        memory_kind="anonymous",
        threads=2,
        processes=1,
        folder_bytes=3,
        log_bytes=4,
    )
    usage = Usage(at=1.0, monotonic=2.0, samples=(sample, replace(sample, is_throttled=True)))
    assert Usage.from_json(usage.to_json()) == usage
    assert sample.to_json() == ["r", 1.5, 0.25, 7, "anonymous", 2, 1, 3, 4]  # as older servers want
    for bad in ({}, {**usage.to_json(), "samples": [[1]]}, {**usage.to_json(), "at": "now"}):
        with pytest.raises(MessageError):
            Usage.from_json(bad)
    with pytest.raises(MessageError):
        stacks_from_json([[["file"]]])


def test_whatever_is_written_to_the_fifo_is_read_as_stacks_or_not_at_all() -> None:
    """The script holds its end, too, and may write anything."""
    good = b"""Stack (most recent call first):
  File "/x/a.py", line 3 in f
  File "/x/a.py", line 9 in <module>
"""
    (stack,) = parse(b"garbage\n\xff\0" + good + b"  File nonsense\n")
    assert [(one.line, one.function) for one in stack] == [(3, "f"), (9, "<module>")]
    assert stacks_from_json(stacks_to_json((stack,))) == (stack,)
    assert parse(b"") == parse(b"\0" * 100_000) == ()

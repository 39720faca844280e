"""R16: the stop ladder, for every way in which a strategy can resist it."""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from algohost.agent.client import AgentRefused
from algohost.runner.messages import ExitFact, Launcher, RunFact
from tests.agent.driving import LAUNCHERS, Driver, is_alive, until

pytestmark = pytest.mark.processes

SLEEPS = "print('up', flush=True)\nimport time\ntime.sleep(60)\n"
IGNORES = f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{SLEEPS}"
TRAPS = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("trapped", flush=True))
print("up", flush=True)
while True:
    time.sleep(0.05)
"""
SQUARES_OFF = """
import signal, sys, time
def leave(*_):
    print("squared off", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("up", flush=True)
time.sleep(60)
"""
# writes the pids of its helpers, one line each, to its log
HELPER = """
import os, signal, subprocess, sys, time
def tell(pid):
    print("helper", pid, flush=True)
"""
FORKS_DURING_STOP = (
    HELPER
    + """
def fork(*_):
    for _ in range(5):
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(1)
        tell(pid)
signal.signal(signal.SIGTERM, fork)
print("up", flush=True)
while True:
    time.sleep(0.05)
"""
)
ESCAPES = (
    HELPER
    + """
if os.fork() == 0:
    os.setsid()
    if os.fork() != 0:
        os._exit(0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    tell(os.getpid())
    time.sleep(60)
time.sleep(0.2)
print("up", flush=True)
time.sleep(60)
"""
)
ESCAPES_BY_EXEC = (
    HELPER
    + """
child = subprocess.Popen(["/bin/sh", "-c", "setsid sh -c 'echo helper $$; exec sleep 60' & wait"])
time.sleep(0.3)
print("up", flush=True)
time.sleep(60)
"""
)
LEAVES_CHILDREN = (
    HELPER
    + """
for ignores in (True, False):
    if os.fork() == 0:
        os.setsid()
        if ignores:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        tell(os.getpid())
        time.sleep(60)
time.sleep(0.3)
print("up", flush=True)
os._exit(3)
"""
)
STOPPED_BY_SIGNAL = (
    "import os, signal\nprint('up', flush=True)\nos.kill(os.getpid(), signal.SIGSTOP)"
)


def helpers(driver: Driver, run_id: str) -> list[int]:
    words = driver.log(run_id).split()
    return [int(pid) for word, pid in itertools.pairwise(words) if word == "helper"]


def end_of(fact: RunFact) -> ExitFact:
    assert fact.exit is not None
    return fact.exit


CASES = {
    "obeys": (SLEEPS, 5.0, (None, signal.SIGTERM, "signal")),
    "squares off": (SQUARES_OFF, 5.0, (0, None, "signal")),
    "ignores": (IGNORES, 0.3, (None, signal.SIGKILL, "kill")),
    "traps and goes on": (TRAPS, 0.3, (None, signal.SIGKILL, "kill")),
    "forks during the stop": (FORKS_DURING_STOP, 0.5, (None, signal.SIGKILL, "kill")),
    "escapes by double fork": (ESCAPES, 5.0, (None, signal.SIGTERM, "signal")),
    "escapes by exec": (ESCAPES_BY_EXEC, 5.0, (None, signal.SIGTERM, "signal")),
    "is frozen": (STOPPED_BY_SIGNAL, 0.3, (None, signal.SIGKILL, "kill")),
    "no grace": (SQUARES_OFF, 0.0, (None, signal.SIGKILL, "kill")),
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("name", CASES)
def test_a_stop_ends_the_whole_tree(driver: Driver, launcher: Launcher, name: str) -> None:
    script, grace_seconds, expected = CASES[name]
    run_id = f"{name.replace(' ', '-')}-{launcher}"
    driver.start(run_id, script, launcher=launcher)
    driver.says(run_id, "up")
    fact = driver.stop(run_id, grace_seconds=grace_seconds)
    assert fact.state in ("stopping", "ended")
    end = end_of(driver.ended(run_id))
    if name == "no grace":  # the handler may have been quicker
        assert end.stop_step == "kill"
    else:
        assert (end.code, end.signal, end.stop_step) == expected
    assert end.stop_by == "test"
    assert [pid for pid in helpers(driver, run_id) if is_alive(pid)] == []
    assert end.leftovers_killed >= len(helpers(driver, run_id))


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_what_a_run_leaves_behind_is_ended_before_the_run_is(
    driver: Driver, launcher: Launcher
) -> None:
    run_id = f"leaves-{launcher}"
    driver.start(run_id, LEAVES_CHILDREN, launcher=launcher)
    end = end_of(driver.ended(run_id))
    assert (end.code, end.leftovers_killed, end.stop_step) == (3, 2, None)
    assert [pid for pid in helpers(driver, run_id) if is_alive(pid)] == []


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_stop_by_interrupt_is_a_keyboard_interrupt(driver: Driver, launcher: Launcher) -> None:
    run_id = f"interrupt-{launcher}"
    driver.start(run_id, SLEEPS, launcher=launcher)
    driver.says(run_id, "up")
    driver.stop(run_id, signal="SIGINT")
    end = end_of(driver.ended(run_id))
    assert (end.signal, end.stop_step) == (signal.SIGINT, "signal")
    assert "KeyboardInterrupt" in driver.log(run_id)


TIDIES_UP = """
import time
print("up", flush=True)
try:
    time.sleep(60)
finally:
    print("squared off", flush=True)
"""


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize(
    ("script", "code", "number", "said"),
    [
        (TIDIES_UP, None, signal.SIGINT, "squared off"),
        (SQUARES_OFF, 0, None, "off"),
        (IGNORES, None, signal.SIGINT, "KeyboardInterrupt"),
    ],
    ids=["finally", "own handler", "terminate ignored"],
)
def test_a_polite_stop_is_what_the_script_listens_to(
    driver: Driver, launcher: Launcher, script: str, code: int, number: int, said: str
) -> None:
    """Who handles SIGTERM gets it; anybody else gets what Ctrl+C would have been."""
    run_id = f"polite-{launcher}-{said.replace(' ', '-')}"
    driver.start(run_id, script, launcher=launcher)
    driver.says(run_id, "up")
    driver.stop(run_id, signal="AUTO")
    end = end_of(driver.ended(run_id))
    assert (end.code, end.signal, end.stop_step) == (code, number, "signal")
    assert said in driver.log(run_id)


def test_a_second_stop_changes_nothing_but_may_shorten_the_grace(driver: Driver) -> None:
    driver.start("twice", TRAPS)
    driver.says("twice", "up")
    for grace_seconds in (60.0, 60.0, 90.0):
        driver.stop("twice", grace_seconds=grace_seconds)
    driver.says("twice", "trapped")
    assert driver.log("twice").count("trapped") == 1
    driver.stop("twice", grace_seconds=0.1)
    assert end_of(driver.ended("twice")).stop_step == "kill"


def test_a_stop_of_an_ended_run_answers_with_its_end(driver: Driver) -> None:
    driver.start("over", "pass")
    ended = driver.ended("over")
    assert driver.stop("over") == ended


def test_a_stop_of_an_unknown_run_is_refused(driver: Driver) -> None:
    with pytest.raises(AgentRefused, match="no run of that id") as refusal:
        driver.stop("never-heard-of")
    assert refusal.value.code == "unknown_run"


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_stop_during_the_start_ends_the_run(driver: Driver, launcher: Launcher) -> None:
    spec = driver.spec(f"early-{launcher}", SLEEPS, launcher=launcher)

    async def both() -> RunFact:
        start = asyncio.create_task(driver.client.start(spec))
        await asyncio.sleep(0)
        await driver.client.stop(spec.run_id, grace_seconds=5, by="test")
        return await start

    assert driver.do(both()).state in ("stopping", "ended")
    end = end_of(driver.ended(spec.run_id))
    assert (end.stop_step, end.stop_by) == ("signal", "test")


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_stop_while_a_run_is_set_up_is_the_end_of_its_script(
    driver: Driver, launcher: Launcher
) -> None:
    """A stop that came between two steps was once a failure to start, with no exit."""
    pipe = driver.folder / f"slow-{launcher}.py"
    os.mkfifo(pipe)  # the child waits here for its script
    spec = driver.spec(f"slow-{launcher}", pipe, launcher=launcher)

    async def both() -> RunFact:
        start = asyncio.create_task(driver.client.start(spec))
        while (fact := (await driver.client.list())[-1]).run_id != spec.run_id or not fact.pid:
            await asyncio.sleep(0.01)
        writer = await asyncio.to_thread(os.open, pipe, os.O_WRONLY)  # it is there
        await driver.client.stop(spec.run_id, signal="SIGINT", grace_seconds=20, by="test")
        await asyncio.sleep(0.2)
        os.write(writer, b"import time; print('started'); time.sleep(60)")
        os.close(writer)
        return await start

    driver.do(both())
    end = end_of(driver.ended(spec.run_id))
    assert (end.signal, end.stop_step, end.stop_by) == (signal.SIGINT, "signal", "test")
    assert "started" not in driver.log(spec.run_id)


def test_a_stop_while_the_zygote_warms_takes_the_launch_back(
    lone: Callable[..., Driver],
) -> None:
    driver = lone()
    spec = driver.spec("cold", SLEEPS)

    async def both() -> RunFact:
        start = asyncio.create_task(driver.client.start(spec))
        await asyncio.sleep(0)
        await driver.client.stop("cold", grace_seconds=5, by="test")
        return await start

    fact = driver.do(both())
    assert (fact.state, fact.pid, fact.error) == ("ended", None, None)
    assert end_of(fact).stop_step == "signal"
    assert driver.log("cold") == ""


def test_thirty_stops_at_once_share_one_grace(driver: Driver) -> None:
    """R16: one after another they would take half a minute."""
    ids = [f"thirty{i}" for i in range(30)]
    for run_id in ids:
        driver.start(run_id, IGNORES)
    for run_id in ids:
        driver.says(run_id, "up")
    asked_at = time.time()

    async def stop_all() -> None:
        stops = (driver.client.stop(i, signal="SIGTERM", grace_seconds=1.0, by="all") for i in ids)
        await asyncio.gather(*stops)

    driver.do(stop_all())
    until(lambda: all(driver.facts()[run_id].state == "ended" for run_id in ids))
    assert max(end_of(driver.facts()[run_id]).ended_at for run_id in ids) - asked_at < 10
    assert {end_of(driver.facts()[run_id]).stop_step for run_id in ids} == {"kill"}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_new_agent_goes_on_with_the_ladder_of_a_killed_one(
    lone: Callable[..., Driver], launcher: Launcher
) -> None:
    driver = lone()
    driver.start("mid", TRAPS, launcher=launcher)
    driver.says("mid", "up")
    driver.stop("mid", grace_seconds=1.5)
    driver.says("mid", "trapped")
    driver.kill(driver.status()["pid"])
    driver.connect()
    assert driver.facts()["mid"].state == "stopping"
    end = end_of(driver.ended("mid"))
    assert (end.signal, end.stop_step, end.stop_by) == (signal.SIGKILL, "kill", "test")
    assert driver.log("mid").count("trapped") == 1


def test_an_innocent_process_with_the_pid_of_a_run_is_left_alone(
    lone: Callable[..., Driver],
) -> None:
    """R6: the journal names a pid that another process has now."""
    driver = lone()
    fact = driver.start("reused", SLEEPS, launcher="subprocess")
    driver.says("reused", "up")
    driver.kill(driver.status()["pid"])
    journal = driver.state_dir / "journal.jsonl"
    text = journal.read_text()
    assert fact.pid is not None
    assert f'"pid":{fact.pid},' in text
    journal.write_text(text.replace(f'"pid":{fact.pid},', f'"pid":{os.getpid()},'))
    driver.connect()
    ended = driver.ended("reused")
    assert end_of(ended).how == "unknown"
    assert driver.stop("reused", grace_seconds=0) == ended
    assert Path(f"/proc/{os.getpid()}").exists()
    os.kill(fact.pid, signal.SIGKILL)

"""R2, R3, R4, R5: agent, zygote or both are killed, and every run goes on and is known."""

import asyncio
import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from algohost.runner.messages import Launcher
from tests.agent.driving import LAUNCHERS, Driver, is_alive, until

pytestmark = pytest.mark.processes

TICKER = """
import os, time
number = 0
with open(f"{__file__}.ticks", "a", buffering=1) as ticks:
    while not os.path.exists(f"{__file__}.leave"):
        number += 1
        ticks.write(f"{number}\\n")
        print("tick", number)
        time.sleep(0.01)
raise SystemExit(int(open(f"{__file__}.leave").read()))
"""


def leave(driver: Driver, run_id: str, code: int) -> None:
    """Tells a ticker to exit with a code."""
    path = driver.folder / f"{run_id}.py.leave"
    path.with_suffix(".new").write_text(str(code))
    path.with_suffix(".new").replace(path)


def assert_no_gap(driver: Driver, run_id: str) -> None:
    """Neither the run's own file nor its log misses a number."""
    own = [int(line) for line in (driver.folder / f"{run_id}.py.ticks").read_text().split()]
    logged = [int(number) for number in re.findall(r"tick (\d+)\n", driver.log(run_id))]
    assert own == list(range(1, len(own) + 1))
    assert logged == own[: len(logged)]
    assert len(own) - len(logged) <= 1


def ticks(driver: Driver, run_id: str) -> int:
    path = driver.folder / f"{run_id}.py.ticks"
    return len(path.read_text().split()) if path.exists() else 0


KILLS = ["agent", "zygote", "agent and zygote"]


@pytest.mark.parametrize("killed", KILLS)
def test_runs_go_on_without_a_gap_and_are_adopted(lone: Callable[..., Driver], killed: str) -> None:
    driver = lone()
    ids = [f"ticker{i}" for i in range(8)]
    for i, run_id in enumerate(ids):
        driver.start(run_id, TICKER, launcher=LAUNCHERS[0 if i < 6 else 1])
    before = driver.facts()
    agent, zygotes = driver.status()["pid"], driver.zygote_pids()
    if "agent" in killed:
        driver.kill(agent)
    if "zygote" in killed:
        driver.kill(*zygotes)
    # one of each launcher ends in the gap, the others go on
    leave(driver, ids[0], 21)
    leave(driver, ids[7], 22)
    for run_id in (ids[0], ids[7]):
        pid = before[run_id].pid
        assert pid is not None
        until(lambda pid=pid: not is_alive(pid))  # type: ignore[misc]
    driver.connect()
    adopted = driver.facts()
    assert {i: adopted[i].pid for i in ids[1:7]} == {i: before[i].pid for i in ids[1:7]}
    assert {adopted[i].state for i in ids[1:7]} == {"running"}
    for run_id in ids[1:7]:
        so_far = ticks(driver, run_id)
        until(lambda r=run_id, n=so_far: ticks(driver, r) > n)  # type: ignore[misc]
    for run_id, code in ((ids[0], 21), (ids[7], 22)):
        end = driver.ended(run_id).exit
        assert end is not None
        assert end.code == code
    for code, run_id in enumerate(ids[1:7], start=31):
        leave(driver, run_id, code)
    for code, run_id in enumerate(ids[1:7], start=31):
        end = driver.ended(run_id).exit
        assert end is not None
        assert end.code == code
    for run_id in ids:
        assert_no_gap(driver, run_id)


def test_a_new_agent_adopts_within_a_second(lone: Callable[..., Driver]) -> None:
    """By the agent's own words: the time of the machine's load is not its."""
    driver = lone()
    for i in range(20):
        driver.start(f"ticker{i}", TICKER)
    driver.kill(driver.status()["pid"])
    driver.connect()
    words = re.findall(r"recovered runs=20 live=20 seconds=([\d.]+)", agent_log(driver))
    assert float(words[-1]) < 1.0


def agent_log(driver: Driver) -> str:
    return (driver.state_dir / "agent.log").read_text()


ENDINGS = {
    "exit 0": ("", 0, None),
    "exit 3": ("raise SystemExit(3)", 3, None),
    "exception": ("1 / 0", 1, None),
    "at once": ("import os\nos._exit(7)", 7, None),
    "segmentation fault": ("import ctypes\nctypes.string_at(0)", None, signal.SIGSEGV),
    "own SIGKILL": ("import os\nos.kill(os.getpid(), 9)", None, signal.SIGKILL),
    "abort": ("import os\nos.abort()", None, signal.SIGABRT),
}


@pytest.mark.parametrize("orphaned", ["agent", "zygote", "agent and zygote"])
def test_an_end_of_any_kind_is_known_to_whoever_is_left(
    lone: Callable[..., Driver], orphaned: str
) -> None:
    """R5: through the journal, as subreaper, or from the kernel's pidfd."""
    driver = lone()
    wait = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
    ids = {name: name.replace(" ", "-") for name in ENDINGS}
    for name, run_id in ids.items():
        driver.start(run_id, wait + ENDINGS[name][0])
    status = driver.status()
    if "agent" in orphaned:
        driver.kill(status["pid"])
    if "zygote" in orphaned:
        driver.kill(*[zygote["pid"] for zygote in status["zygotes"]])
    driver.connect()
    (driver.folder / "go").touch()
    hows = set()
    for name, run_id in ids.items():
        end = driver.ended(run_id).exit
        assert end is not None
        assert (name, end.code, end.signal) == (name, *ENDINGS[name][1:])
        hows.add(end.how)
    assert hows <= ({"pidfd", "record"} if orphaned == "agent and zygote" else {"reaped"})


def test_a_run_that_vanished_with_the_machine_is_unknown(lone: Callable[..., Driver]) -> None:
    """R4: another boot id means that no pid of the journal means anything."""
    driver = lone()
    fact = driver.start("before", TICKER)
    driver.kill(driver.status()["pid"])
    journal = driver.state_dir / "journal.jsonl"
    journal.write_text(journal.read_text().replace(fact.boot_id, "of-an-earlier-boot"))
    driver.connect()
    ended = driver.ended("before")
    assert ended.exit is not None
    assert (ended.exit.how, ended.exit.code, ended.exit.signal) == ("unknown", None, None)
    assert fact.pid is not None
    assert is_alive(fact.pid), "no pid of another boot may be signalled"
    driver.kill(fact.pid)


def test_a_torn_or_broken_journal_is_reported_and_kept(lone: Callable[..., Driver]) -> None:
    driver = lone()
    fact = driver.start("kept", TICKER)
    driver.kill(driver.status()["pid"])
    journal = driver.state_dir / "journal.jsonl"
    broken = b'\x00\xffnot json\n{"no": "fact"}\n'
    torn = b'{"fact":"started","run":"torn","pi'
    journal.write_bytes(broken + journal.read_bytes() + torn)
    driver.connect()
    assert driver.facts()["kept"].pid == fact.pid
    leave(driver, "kept", 5)
    end = driver.ended("kept").exit
    assert end is not None
    assert end.code == 5
    assert agent_log(driver).count("journal_line_broken") == 3
    assert broken in journal.read_bytes()
    assert torn + b"\n" in journal.read_bytes()


def test_an_intent_without_a_start_is_forgotten_so_that_it_can_be_asked_again(
    lone: Callable[..., Driver],
) -> None:
    driver = lone()
    driver.start("first", "pass")
    driver.ended("first")
    driver.kill(driver.status()["pid"])
    journal = driver.state_dir / "journal.jsonl"
    intent = json.loads(journal.read_text().splitlines()[0])
    with journal.open("a") as file:
        file.write(json.dumps({**intent, "run": "second"}) + "\n")
    driver.connect()
    assert set(driver.facts()) == {"first"}
    driver.start("second", "print('ran')")
    driver.ended("second")
    assert driver.log("second").count("ran") == 1


def test_a_zygote_that_does_not_answer_is_replaced_and_its_runs_go_on(
    lone: Callable[..., Driver],
) -> None:
    driver = lone()
    fact = driver.start("kept", TICKER)
    (zygote,) = driver.zygote_pids()
    driver.kill(driver.status()["pid"])
    os.kill(zygote, signal.SIGSTOP)
    driver.connect()
    assert not is_alive(zygote)
    assert driver.facts()["kept"].pid == fact.pid
    assert driver.start("next", "pass").launcher == "zygote"
    assert driver.zygote_pids() != [zygote]
    leave(driver, "kept", 6)
    end = driver.ended("kept").exit
    assert end is not None
    assert end.code == 6


def test_a_zygote_of_an_earlier_release_stays_for_its_runs_and_starts_none(
    lone: Callable[..., Driver],
) -> None:
    driver = lone()
    driver.start("old", TICKER)
    (old,) = driver.zygote_pids()
    driver.kill(driver.status()["pid"])
    (path,) = driver.state_dir.glob("zygote-*.sock")
    key = path.name.split("-")[1]
    path.rename(path.with_name(path.name.replace(key, key[:8] + "00000000")))
    driver.connect()
    assert driver.zygote_pids() == [old]
    driver.start("new", TICKER)
    (_, new) = driver.zygote_pids()
    leave(driver, "old", 9)
    end = driver.ended("old").exit
    assert end is not None
    assert (end.code, end.how) == (9, "reaped")
    until(lambda: not is_alive(old))
    until(lambda: driver.zygote_pids() == [new])


def test_a_second_agent_of_a_folder_leaves_at_once(lone: Callable[..., Driver]) -> None:
    driver = lone()
    first = driver.status()["pid"]
    log = agent_log(driver)
    assert "agent_there_already" not in log
    from algohost.agent import daemon

    daemon._spawn(driver.state_dir, ())
    until(lambda: "agent_there_already" in agent_log(driver))
    assert driver.status()["pid"] == first


def test_an_idle_zygote_without_an_agent_leaves(lone: Callable[..., Driver]) -> None:
    driver = lone("--zygote-patience-seconds", "0.2")
    fact = driver.start("last", TICKER)
    (zygote,) = driver.zygote_pids()
    driver.kill(driver.status()["pid"])
    assert fact.pid is not None
    assert is_alive(zygote), "it is the parent of a run"
    leave(driver, "last", 0)
    until(lambda: not is_alive(zygote))
    assert not list(driver.state_dir.glob("zygote-*.sock"))


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_terminated_agent_leaves_its_runs_alone(
    lone: Callable[..., Driver], launcher: Launcher
) -> None:
    driver = lone()
    fact = driver.start("kept", TICKER, launcher=launcher)
    agent = driver.status()["pid"]
    os.kill(agent, signal.SIGTERM)
    until(lambda: not is_alive(agent))
    driver.connect()
    assert (driver.facts()["kept"].pid, driver.facts()["kept"].state) == (fact.pid, "running")


def test_an_agent_whose_folder_was_deleted_leaves_when_its_runs_have_ended(
    lone: Callable[..., Driver],
) -> None:
    driver = lone()
    fact = driver.start("last", TICKER)
    pids = [driver.status()["pid"], *driver.zygote_pids()]
    shutil.rmtree(driver.state_dir)
    assert fact.pid is not None
    until(lambda: ticks(driver, "last") > 300)
    assert [is_alive(pid) for pid in pids] == [True, True]
    leave(driver, "last", 0)
    until(lambda: not is_alive(pids[0]))
    driver.kill(pids[1])


def test_forgotten_runs_leave_the_journal_when_it_is_compacted(
    lone: Callable[..., Driver],
) -> None:
    driver = lone("--compact-above-bytes", "4000")
    driver.start("kept", TICKER)
    for i in range(10):
        driver.start(f"gone{i}", "pass")
        driver.ended(f"gone{i}")
        assert driver.do(driver.client.forget([f"gone{i}", "kept", "unknown"])) == ["kept"]
    text = (driver.state_dir / "journal.jsonl").read_text()
    assert len(text) < 6000
    assert "gone0" not in text
    assert set(driver.facts()) == {"kept"}
    # the zygote writes to the new file, too
    driver.kill(driver.status()["pid"])
    leave(driver, "kept", 8)
    until(lambda: '"code":8' in (driver.state_dir / "journal.jsonl").read_text())
    driver.connect()
    end = driver.ended("kept").exit
    assert end is not None
    assert (end.code, end.how) == (8, "reaped")


def test_shutdown_with_runs_stops_them_and_without_leaves_them(
    lone: Callable[..., Driver],
) -> None:
    driver = lone()
    fact = driver.start("kept", TICKER)
    agent = driver.status()["pid"]
    driver.do(driver.client.shutdown(stop_runs=False))
    until(lambda: not is_alive(agent))
    assert fact.pid is not None
    assert is_alive(fact.pid)
    driver.connect()
    zygotes = driver.zygote_pids()
    driver.do(driver.client.shutdown(stop_runs=True))
    until(lambda: not is_alive(fact.pid or 0))
    for zygote in zygotes:
        until(lambda pid=zygote: not is_alive(pid))  # type: ignore[misc]
    assert not Path(driver.state_dir / "agent.sock").exists()


@pytest.mark.parametrize("is_zygote_killed", [False, True])
@pytest.mark.parametrize("delay_seconds", [0.0, 0.05, 0.15])
def test_starts_asked_again_after_a_kill_in_their_middle_run_exactly_once(
    lone: Callable[..., Driver], is_zygote_killed: bool, delay_seconds: float
) -> None:
    """R7, R10: whether an id was launched is never in doubt."""
    driver = lone("--warm")
    driver.do(driver.client.warm())
    script = driver.folder / "once.py"
    script.write_text("import sys\nprint('ran')\nsys.exit(int(sys.argv[1]))")
    specs = [
        driver.spec(f"once{i}", script, args=(str(i),), launcher=LAUNCHERS[i % 8 == 0])
        for i in range(40)
    ]
    pids = [driver.status()["pid"], *(driver.zygote_pids() if is_zygote_killed else [])]

    async def burst() -> None:
        starts = [asyncio.create_task(driver.client.start(spec)) for spec in specs]
        await asyncio.sleep(delay_seconds)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        await asyncio.gather(*starts, return_exceptions=True)

    driver.do(burst())
    driver.connect()
    for spec in specs:
        driver.do(driver.client.start(spec))
    for code, spec in enumerate(specs):
        end = driver.ended(spec.run_id).exit
        assert end is not None
        assert (end.code, driver.log(spec.run_id).count("ran")) == (code, 1)

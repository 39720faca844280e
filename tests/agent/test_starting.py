"""Starts: what the child is given, what can go wrong, and that one id is one process."""

import asyncio
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from algohost.runner import whereabouts
from algohost.runner.messages import Launcher, LaunchSpec, RunFact
from tests.agent.driving import ENV, LAUNCHERS, Driver, until

pytestmark = pytest.mark.processes

LOOK = """
import json, os, resource, sys
is_open = lambda n: os.path.exists(f"/proc/self/fd/{n}")
status = dict(l.split(":", 1) for l in open("/proc/self/status").read().splitlines())
print(json.dumps({
    "fds": sorted(n for n in map(int, os.listdir("/proc/self/fd")) if is_open(n)),
    "targets": [os.readlink(f"/proc/self/fd/{n}") for n in range(3)],
    "environ": dict(os.environ),
    "session": os.getsid(0) == os.getpid() == os.getpgid(0),
    "nnp": status["NoNewPrivs"].strip(),
    "umask": status["Umask"].strip(),
    "mark": resource.getrlimit(10),
    "mark_of_child": int(os.popen("grep locks /proc/self/limits").read().split()[3]),
}), flush=True)
sys.stdin.read()
import time
time.sleep(60)
"""


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_child_has_its_own_session_three_descriptors_and_just_its_environment(
    driver: Driver, launcher: Launcher
) -> None:
    """S22: nothing of agent or zygote is open in a run; the fourth is the run's own FIFO."""
    run_id = f"look-{launcher}"
    env = {**ENV, "OPENALGO_API_KEY": "token-of-the-run"}
    fact = driver.start(run_id, LOOK, launcher=launcher, env=env, stamp=False)
    driver.says(run_id, "}")
    seen = json.loads(driver.log(run_id))
    assert seen["fds"] == [0, 1, 2, whereabouts.DESCRIPTOR]
    log = str(driver.log_path(run_id))
    assert seen["targets"] == ["/dev/null", log, log]
    assert seen["environ"] == env
    assert (seen["session"], seen["nnp"], seen["umask"]) == (True, "1", "0077")
    assert seen["mark"][0] == seen["mark"][1] == seen["mark_of_child"] > 0
    assert stat.S_IMODE(driver.log_path(run_id).stat().st_mode) & 0o007 == 0
    for part in ("environ", "cmdline"):
        assert b"token-of-the-run" not in from_outside(fact, part)
    for file in driver.state_dir.rglob("*"):
        if file.is_file():
            assert b"token-of-the-run" not in file.read_bytes()


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_memory_of_a_run_is_shut_to_the_rest_of_its_user(
    driver: Driver, launcher: Launcher
) -> None:
    """PR_SET_DUMPABLE=0 gives the files of ``/proc`` to root."""
    run_id = f"shut-{launcher}"
    script = (
        "import ctypes, os\nprint(ctypes.CDLL(None).prctl(3), flush=True)\n"
        "import time\ntime.sleep(60)"
    )
    driver.start(run_id, script, launcher=launcher, stamp=False)
    driver.says(run_id, "\n")
    assert driver.log(run_id) == "0\n"


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_known_id_is_answered_with_its_run_and_starts_nothing(
    driver: Driver, launcher: Launcher
) -> None:
    """R7: fifty starts of one id at once are one process."""
    run_id = f"once-{launcher}"
    spec = driver.spec(run_id, "print('one')\nimport time\ntime.sleep(60)", launcher=launcher)

    async def fifty() -> list[RunFact]:
        return await asyncio.gather(*(driver.client.start(spec) for _ in range(50)))

    facts = driver.do(fifty())
    assert {(fact.pid, fact.state) for fact in facts} == {(facts[0].pid, "running")}
    driver.says(run_id, "one")
    assert driver.log(run_id).count("one") == 1
    driver.stop(run_id, grace_seconds=0)
    driver.ended(run_id)
    assert driver.do(driver.client.start(spec)).state == "ended"


def from_outside(fact: RunFact, part: str) -> bytes:
    """A file of a run's ``/proc`` folder; nothing where it is shut to us."""
    try:
        return Path(f"/proc/{fact.pid}/{part}").read_bytes()
    except PermissionError:
        return b""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can look into a zygote")
def test_the_zygote_never_has_the_secret_of_a_run_in_its_memory(driver: Driver) -> None:
    """What it had, every later run would inherit."""
    token = "never-in-the-zygote-" + os.urandom(8).hex()
    script = "import os\nprint('has', os.environ['TOKEN'] != '')"
    for i in range(5):
        driver.start(f"secret{i}", script, env={**ENV, "TOKEN": token})
        driver.ended(f"secret{i}")
        assert "has True" in driver.log(f"secret{i}")
    (zygote,) = driver.zygote_pids()
    found = 0
    with open(f"/proc/{zygote}/maps") as maps, open(f"/proc/{zygote}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights, *_ = line.split()
            if rights.startswith("rw"):
                start, end = (int(part, 16) for part in span.split("-"))
                memory.seek(start)
                found += memory.read(end - start).count(token.encode())
    assert found == 0


def failing(driver: Driver, what: str) -> tuple[LaunchSpec, str]:
    """A spec that cannot be started, and the sentence that is expected."""
    folder = driver.folder
    number = len(driver.facts())
    good = driver.spec(f"failing{number}", "print('never')")
    parts = dict(good.__dict__)
    enter, long_name = "Could not enter the working folder {}.", f"{folder}/{'x' * 300}"
    unreadable = folder / "plain.txt"
    unreadable.write_text("x")
    changes: dict[str, tuple[dict[str, object], str]] = {
        "missing script": (
            {"script": f"{folder}/none.py"},
            f"Could not read the script {folder}/none.py: No such file or directory (ENOENT).",
        ),
        "script is a folder": (
            {"script": str(folder)},
            f"Could not read the script {folder}: Is a directory (EISDIR).",
        ),
        "missing folder": (
            {"cwd": f"{folder}/none"},
            enter.format(f"{folder}/none: No such file or directory (ENOENT)"),
        ),
        "folder is a file": (
            {"cwd": str(unreadable)},
            f"Could not enter the working folder {unreadable}: Not a directory (ENOTDIR).",
        ),
        "log folder missing": (
            {"log_path": f"{folder}/none/x.log"},
            f"Could not open the log {folder}/none/x.log: No such file or directory (ENOENT).",
        ),
        "log is a folder": (
            {"log_path": str(folder)},
            f"Could not open the log {folder}: Is a directory (EISDIR).",
        ),
        "script is a loop of links": (
            {"script": f"{folder}/loop"},
            f"Could not read the script {folder}/loop: Too many levels of symbolic links (ELOOP).",
        ),
        "environment too long": (
            {"env": {"LONG": "x" * (128 * 1024)}},
            "Could not pass the environment: Argument list too long (E2BIG).",
        ),
        "name too long": (
            {"cwd": long_name},
            enter.format(f"{long_name}: File name too long (ENAMETOOLONG)"),
        ),
    }
    if not (folder / "loop").is_symlink():
        (folder / "loop").symlink_to(folder / "loop")
    changed, sentence = changes[what]
    return LaunchSpec(**{**parts, **changed}), sentence


FAILURES = [
    "missing script", "script is a folder", "missing folder", "folder is a file",
    "log folder missing", "log is a folder", "script is a loop of links",
    "environment too long", "name too long",
]  # fmt: skip


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("what", FAILURES)
def test_what_cannot_be_started_says_why_in_the_systems_words(
    driver: Driver, launcher: Launcher, what: str
) -> None:
    """R8."""
    spec, sentence = failing(driver, what)
    asked = LaunchSpec(**{**spec.__dict__, "launcher": launcher})
    fact = driver.do(driver.client.start(asked))
    ended = driver.ended(asked.run_id)
    assert (ended.state, ended.error, ended.exit) == ("ended", sentence, None)
    assert fact.run_id == asked.run_id


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_missing_interpreter_is_a_failure_to_start(driver: Driver, launcher: Launcher) -> None:
    run_id = f"no-python-{launcher}"
    fact = driver.start(run_id, "pass", launcher=launcher, interpreter="/none/python")
    assert fact.error == "Could not start /none/python: No such file or directory (ENOENT)."
    assert (fact.state, fact.pid) == ("ended", None)


def test_an_interpreter_that_is_none_is_a_failure_to_start(driver: Driver) -> None:
    fact = driver.start("not-python", "pass", launcher="subprocess", interpreter="/bin/true")
    ended = driver.ended("not-python")
    assert fact.run_id == "not-python"
    assert ended.error == "The process ended before the script began."


def test_a_variable_that_only_a_fresh_interpreter_honours_gets_one(driver: Driver) -> None:
    env = {**ENV, "PYTHONHASHSEED": "7"}
    fact = driver.start("hash", "print(hash('NIFTY'))", env=env, stamp=False)
    driver.ended("hash")
    assert fact.launcher == "subprocess"
    assert fact.note is not None
    assert "PYTHONHASHSEED" in fact.note
    command = [sys.executable, "-c", "print(hash('NIFTY'))"]
    assert driver.log("hash") == subprocess.check_output(command, env=env, text=True)


def test_a_hundred_starts_at_once_leave_the_agent_answering(driver: Driver) -> None:
    specs = [driver.spec(f"many{i}", f"print('line of {i}')") for i in range(100)]

    async def all_at_once() -> list[RunFact]:
        starts = [asyncio.create_task(driver.client.start(spec)) for spec in specs]
        assert (await driver.client.status())["callback_failures"] == 0
        return await asyncio.gather(*starts)

    facts = driver.do(all_at_once())
    assert len({fact.pid for fact in facts}) == 100
    until(lambda: all(driver.facts()[spec.run_id].state == "ended" for spec in specs))
    for i in range(100):
        assert driver.log(f"many{i}").endswith(f"line of {i}\n")
        end = driver.facts()[f"many{i}"].exit
        assert end is not None
        assert (end.code, end.how) == (0, "reaped")
        assert end.peak_memory_bytes is not None
        assert end.peak_memory_bytes > 1 << 20


def test_thirty_cycles_leave_no_zombie_and_no_descriptor(driver: Driver) -> None:
    """R17."""
    pids = [driver.status()["pid"], *driver.zygote_pids()]
    zygotes = pids[1:] if os.getuid() == 0 else []  # shut to other eyes
    script = "print('up', flush=True)\nimport time\ntime.sleep(60)"

    def cycle(i: int) -> None:
        launcher = LAUNCHERS[i % 2]
        driver.start(f"cycle{i}", script, launcher=launcher)
        driver.stop(f"cycle{i}", grace_seconds=5)
        driver.ended(f"cycle{i}")
        driver.do(driver.client.forget([f"cycle{i}"]))

    cycle(0)

    def children(pid: int) -> list[str]:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()

    def has_spare(pid: int) -> bool:
        names = [Path(f"/proc/{child}/comm").read_text().strip() for child in children(pid)]
        return "spare" in names

    def open_now() -> list[int]:
        for pid in zygotes:  # which have a descriptor to their spares, too
            until(lambda pid=pid: has_spare(pid))  # type: ignore[misc]
        counts = [len(os.listdir(f"/proc/{pid}/fd")) for pid in zygotes]
        return [driver.status()["open_descriptors"], *counts]

    before = open_now()
    for i in range(1, 31):
        cycle(i)
    assert open_now() == before
    for pid in pids:
        states = [Path(f"/proc/{child}/stat").read_text().split()[2] for child in children(pid)]
        assert "Z" not in states
    assert not [path for path in (driver.state_dir / "exits").iterdir() if "cycle" in path.name]

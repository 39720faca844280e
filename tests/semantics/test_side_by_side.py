"""Every script gives the same output and the same end under plain Python and both launchers."""

import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from algohost.runner.messages import Launcher
from tests.agent.driving import ENV, LAUNCHERS, Driver, until

pytestmark = pytest.mark.processes

SCRIPTS = Path(__file__).parent / "scripts"
STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d IST ", re.MULTILINE)

CASES = [
    ("chained_exceptions.py",),
    ("syntax_error.py",),
    *[("exit_with.py", how) for how in ("nothing", "three", "minus", "large")],
    *[("exit_with.py", how) for how in ("true", "text", "object", "float")],
    ("raise_exit_in_thread.py",),
    ("segmentation_fault.py",),
    ("abort.py",),
    ("leave_at_once.py",),
    ("endings.py",),
    ("daemon_thread.py",),
    ("module_facts.py", "a1", "b c"),
    ("pools.py",),
    ("numbers_after_fork.py",),
    ("text_output.py",),
    ("hooks.py", "works"),
    ("hooks.py", "fails"),
    ("hooks.py", "leaves"),
    ("warned.py",),
    ("imports_sibling.py",),
    ("own_group.py",),
    ("broken_stdout.py",),
]
SIGNALLED = [
    ("sleeper.py", signal.SIGTERM),
    ("sleeper.py", signal.SIGINT),
    ("sleeper.py", signal.SIGKILL),
    ("sleeper.py", signal.SIGHUP),
    ("tidy_sleeper.py", signal.SIGTERM),
]
_numbers = itertools.count()


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    driver = Driver(tmp_path_factory.mktemp("semantics"), "--warm")
    yield driver
    driver.close()


def plain(
    folder: Path, script: str, args: tuple[str, ...], number: int | None = None
) -> tuple[str, int]:
    """Output and return code of ``python -u script``."""
    log = folder / f"plain{next(_numbers)}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-u", str(SCRIPTS / script), *args],
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=ENV, cwd=folder,
            start_new_session=True,
        )  # fmt: skip
        if number is not None:
            until(lambda: "up" in log.read_text())
            process.send_signal(number)
        code = process.wait(60)
    return normal(log.read_bytes().decode(errors="surrogateescape")), code


def hosted(
    driver: Driver,
    launcher: Launcher,
    script: str,
    args: tuple[str, ...],
    *,
    number: int | None = None,
    stamp: bool = False,
) -> tuple[str, int]:
    """Output and return code of the same script as a run."""
    run_id = f"run{next(_numbers)}"
    fact = driver.start(run_id, SCRIPTS / script, args=args, launcher=launcher, stamp=stamp)
    assert fact.launcher == launcher
    if number is not None:
        driver.says(run_id, "up")
        assert fact.pid is not None
        os.kill(fact.pid, number)
    end = driver.ended(run_id).exit
    assert end is not None
    assert end.how == "reaped"
    status = end.code if end.code is not None else -(end.signal or 0)
    text = driver.log_path(run_id).read_bytes().decode(errors="surrogateescape")
    return normal(text), status


def normal(text: str) -> str:
    """Addresses are the one thing that may differ."""
    return re.sub(r"0x[0-9a-f]+", "0x", text)


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_a_script_says_and_ends_as_under_plain_python(
    driver: Driver, launcher: Launcher, case: tuple[str, ...]
) -> None:
    script, *args = case
    expected = plain(driver.folder, script, tuple(args))
    assert expected == hosted(driver, launcher, script, tuple(args))


@pytest.mark.parametrize("launcher", LAUNCHERS)
@pytest.mark.parametrize(("script", "number"), SIGNALLED)
def test_a_signal_ends_a_script_as_under_plain_python(
    driver: Driver, launcher: Launcher, script: str, number: signal.Signals
) -> None:
    expected = plain(driver.folder, script, (), number)
    assert expected == hosted(driver, launcher, script, (), number=number)


@pytest.mark.parametrize("script", ["chained_exceptions.py", "text_output.py", "endings.py"])
def test_stamped_output_is_the_same_output_behind_its_stamps(driver: Driver, script: str) -> None:
    text, status = plain(driver.folder, script, ())
    stamped, stamped_status = hosted(driver, "zygote", script, (), stamp=True)
    assert all(STAMP.match(line) for line in stamped.rstrip("\n").split("\n"))
    assert (text.rstrip("\n"), status) == (STAMP.sub("", stamped).rstrip("\n"), stamped_status)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_files_that_were_never_closed_are_written_at_the_end(
    driver: Driver, launcher: Launcher
) -> None:
    kept = driver.folder / f"kept-{launcher}"
    assert hosted(driver, launcher, "unclosed_file.py", (str(kept),)) == ("", 0)
    texts = [Path(f"{kept}{suffix}").read_text() for suffix in ("", ".cycle", ".function")]
    assert texts == ["kept text", "kept bytes", "kept in a function"]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_random_numbers_differ_in_every_run(driver: Driver, launcher: Launcher) -> None:
    """A fork copies the state of ``numpy.random``; each child seeds its own."""
    first, second = (hosted(driver, launcher, "random_numbers.py", ())[0].split() for _ in range(2))
    assert len(first) == 7
    assert [a for a, b in zip(first, second, strict=True) if a == b] == []

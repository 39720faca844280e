"""Processes that search: used again, ended when late or idle, and none of them left over."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from algohost.host import log_searchers
from algohost.host.log_searchers import LOG_SEARCHERS, NoAnswer, Searchers


@pytest.fixture
def searchers() -> Iterator[Searchers]:
    LOG_SEARCHERS.close()
    made = Searchers("algohost.host.log_scan")
    yield made
    made.close()
    until(lambda: not has_children())


def has_children() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def question(path: Path, text: str = "needle", **more: object) -> bytes:
    path.write_text("a needle\n")
    return json.dumps({"paths": [str(path)], "text": text, **more}).encode()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def pids(searchers: Searchers) -> list[int]:
    return [one._process.pid for one in searchers._idle]


def test_the_next_search_finds_a_process_that_waits(searchers: Searchers, tmp_path: Path) -> None:
    asked = question(tmp_path / "log")
    first = searchers.ask(asked, seconds=10)
    used = pids(searchers)
    assert searchers.ask(asked, seconds=10) == first
    assert (len(used), pids(searchers)) == (1, used)
    assert json.loads(first)["found"][0]["line"] == "a needle"


def test_one_that_is_late_is_ended_and_not_used_again(searchers: Searchers, tmp_path: Path) -> None:
    path = tmp_path / "log"
    asked = question(path, "(a+)+b", is_expression=True)
    path.write_bytes(b"a" * 60)
    with pytest.raises(TimeoutError):
        searchers.ask(asked, seconds=0.5)
    assert pids(searchers) == []


def test_one_that_was_killed_while_it_waited_is_replaced(
    searchers: Searchers, tmp_path: Path
) -> None:
    asked = question(tmp_path / "log")
    searchers.ask(asked, seconds=10)
    (pid,) = pids(searchers)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not searchers._idle[0].is_alive)
    assert b"a needle" in searchers.ask(asked, seconds=10)


def test_one_whose_server_is_gone_ends_itself(tmp_path: Path) -> None:
    """Killed while an expression was matched: nobody is there to end it."""
    path = tmp_path / "log"
    asked = question(path, "(a+)+b", is_expression=True)
    path.write_bytes(b"a" * 60)
    main = "from algohost.host import log_scan; log_scan._MOST_SECONDS = 0.5; log_scan.main()"
    child = subprocess.Popen(
        [sys.executable, "-c", main], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert child.stdin is not None
        child.stdin.write(asked + b"\n")
        child.stdin.close()
        assert child.wait(timeout=20) == 1
    finally:
        child.kill()
        child.wait()


def test_one_that_cannot_be_started_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_given: object, **_named: object) -> None:
        raise BlockingIOError("no process left")

    monkeypatch.setattr(subprocess, "Popen", full)
    with pytest.raises(NoAnswer):
        Searchers("algohost.host.log_scan").ask(b"{}", seconds=1)


def test_what_it_cannot_read_ends_it_without_an_answer(searchers: Searchers) -> None:
    with pytest.raises(NoAnswer):
        searchers.ask(b"nonsense", seconds=10)
    assert pids(searchers) == []


def test_idle_ones_end_after_a_while(
    searchers: Searchers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_searchers, "_KEPT_SECONDS", 0.05)
    searchers.ask(question(tmp_path / "log"), seconds=10)
    until(lambda: not searchers._idle)

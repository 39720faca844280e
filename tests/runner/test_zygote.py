"""The zygote's refusals, seen from the socket: it forks nothing that it cannot write down."""

import errno
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from algohost.runner import forks
from algohost.runner.journal import Journal
from algohost.runner.request import SETUP_FAILED
from algohost.runner.zygote import Zygote


class Bench:
    """A zygote in this process and a controller's end of a connection to it."""

    def __init__(self, folder: Path) -> None:
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(folder / "z"))
        self.listener.listen(8)
        self.journal = Journal(folder / "journal.jsonl")
        self.zygote = Zygote(self.listener, self.journal, patience_seconds=1)
        self.ends: list[socket.socket] = []

    def connect(self) -> socket.socket:
        end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        end.connect(self.listener.getsockname())
        end.settimeout(5)
        self.zygote._accept()
        self.ends.append(end)
        return end

    def attend(self) -> None:
        assert self.zygote._receive(self.zygote._controllers[-1]) is None

    def ask(self, end: socket.socket, message: dict[str, Any], *fds: int) -> dict[str, Any]:
        socket.send_fds(end, [json.dumps(message).encode()], list(fds))
        self.attend()
        answer: dict[str, Any] = json.loads(end.recv(65536))
        return answer

    def close(self) -> None:
        for end in (*self.ends, self.listener, *(c.socket for c in self.zygote._controllers)):
            end.close()
        self.zygote._selector.close()
        os.close(self.zygote._wake_read)
        os.close(self.zygote._wake_write)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


@pytest.fixture
def request_fd() -> Iterator[int]:
    read, write = os.pipe()
    os.close(write)
    yield read
    os.close(read)


def test_a_launch_is_refused_where_the_system_cannot_fork(
    bench: Bench, request_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fork() -> int:
        raise OSError(errno.EAGAIN, "x")

    monkeypatch.setattr(os, "fork", fork)
    monkeypatch.setattr(forks, "check_single_threaded", lambda: None)
    end = bench.connect()
    assert bench.ask(end, {"do": "hello"})["told"] == "hello"
    answer = bench.ask(end, {"do": "launch", "run": "a"}, request_fd)
    words = "Could not fork: Resource temporarily unavailable (EAGAIN)."
    assert (answer["told"], answer["message"], answer["for_good"]) == ("refused", words, False)
    assert bench.journal.read().facts == ()


def test_a_launch_is_refused_for_good_beside_other_threads(bench: Bench, request_fd: int) -> None:
    end = bench.connect()
    bench.ask(end, {"do": "hello"})
    leave = threading.Event()
    thread = threading.Thread(target=leave.wait)
    thread.start()
    try:
        answer = bench.ask(end, {"do": "launch", "run": "a"}, request_fd)
    finally:
        leave.set()
        thread.join()
    assert (answer["told"], answer["for_good"]) == ("refused", True)
    assert "threads and will not fork" in answer["message"]


def test_a_start_that_cannot_be_written_down_does_not_happen(
    bench: Bench, request_fd: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def append(_fact: object) -> None:
        raise OSError(errno.ENOSPC, "x")

    monkeypatch.setattr(bench.journal, "append", append)
    monkeypatch.setattr(forks, "check_single_threaded", lambda: None)
    end = bench.connect()
    bench.ask(end, {"do": "hello"})
    socket.send_fds(end, [b'{"do":"launch","run":"a"}'], [request_fd])
    controller = bench.zygote._controllers[-1]
    parent = os.getpid()
    forked = bench.zygote._receive(controller)
    if os.getpid() != parent:  # the child must have left before it got here
        (tmp_path / "ran").touch()
        os._exit(0)
    assert forked is None
    answer = json.loads(end.recv(65536))
    words = "Could not write the journal: No space left on device (ENOSPC)."
    assert (answer["told"], answer["message"]) == ("refused", words)
    assert not (tmp_path / "ran").exists()
    assert bench.zygote._children == {}


def test_a_spare_whose_start_cannot_be_written_down_is_ended(
    bench: Bench, request_fd: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It has its launch by then, and waits for a word that does not come."""

    def append(_fact: object) -> None:
        raise OSError(errno.ENOSPC, "x")

    monkeypatch.setattr(bench.journal, "append", append)
    monkeypatch.setattr(forks, "check_single_threaded", lambda: None)
    end = bench.connect()
    bench.ask(end, {"do": "hello"})
    parent = os.getpid()
    forked = bench.zygote._fork_spare()
    if os.getpid() != parent:  # as above
        (tmp_path / "ran").touch()
        os._exit(0)
    spare = bench.zygote._spare
    assert forked is None
    assert spare is not None
    answer = bench.ask(end, {"do": "launch", "run": "a"}, request_fd)
    assert (answer["told"], answer["for_good"]) == ("refused", False)
    with pytest.raises(ProcessLookupError):  # ended and waited for
        os.kill(spare.pid, 0)
    assert not (tmp_path / "ran").exists()
    assert (bench.zygote._spare, bench.zygote._children) == (None, {})


def test_a_spare_that_has_its_launch_and_hears_no_go_runs_nothing(
    bench: Bench, request_fd: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The zygote was killed in between: nobody knows of a start, and another one may follow."""
    monkeypatch.setattr(forks, "check_single_threaded", lambda: None)
    parent = os.getpid()
    bench.zygote._fork_spare()
    if os.getpid() != parent:  # as above
        (tmp_path / "ran").touch()
        os._exit(0)
    spare = bench.zygote._spare
    assert spare is not None
    said, status = os.pipe()
    assert spare.hand_over(request_fd, status)
    os.close(status)
    spare.socket.close()
    _, how = os.waitpid(spare.pid, 0)
    assert os.waitstatus_to_exitcode(how) == SETUP_FAILED
    assert os.read(said, 1) == b""
    os.close(said)
    assert not (tmp_path / "ran").exists()


def test_a_child_that_cannot_be_looked_at_is_ended_and_the_zygote_goes_on(
    bench: Bench, request_fd: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No descriptor is left to look with: the runs of this zygote need their parent."""

    def start_ticks(_pid: int) -> int:
        raise OSError(errno.EMFILE, "x")

    monkeypatch.setattr(bench.zygote._processes, "start_ticks", start_ticks)
    monkeypatch.setattr(forks, "check_single_threaded", lambda: None)
    end = bench.connect()
    bench.ask(end, {"do": "hello"})
    socket.send_fds(end, [b'{"do":"launch","run":"a"}'], [request_fd])
    parent = os.getpid()
    forked = bench.zygote._receive(bench.zygote._controllers[-1])
    if os.getpid() != parent:  # as above
        (tmp_path / "ran").touch()
        os._exit(0)
    assert forked is None
    words = "Could not look at the child: Too many open files (EMFILE)."
    assert json.loads(end.recv(65536))["message"] == words
    assert bench.journal.read().facts == ()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "data", [b"\xff", b"[]", b"{}", b'{"do":"dance"}', b'{"do":"launch","run":"a"}', b'{"do":1}']
)
def test_what_is_no_request_is_answered_with_a_problem(bench: Bench, data: bytes) -> None:
    end = bench.connect()
    bench.ask(end, {"do": "hello"})
    end.send(data)
    bench.attend()
    assert json.loads(end.recv(65536))["told"] == "problem"


def test_nobody_launches_before_hello(bench: Bench, request_fd: int) -> None:
    end = bench.connect()
    answer = bench.ask(end, {"do": "launch", "run": "a"}, request_fd)
    assert answer["told"] == "problem"


def test_an_older_controller_is_closed_before_a_newer_is_answered(bench: Bench) -> None:
    older = bench.connect()
    bench.ask(older, {"do": "hello"})
    newer = bench.connect()
    assert bench.ask(newer, {"do": "hello"})["told"] == "hello"
    assert older.recv(100) == b""
    assert len(bench.zygote._controllers) == 1

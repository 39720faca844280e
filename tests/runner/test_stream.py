"""Stamped output: whole lines, in one write each, whatever prints and whatever fails."""

import errno
import io
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algohost.runner.log_writer import LogWriter
from algohost.runner.stream import StampedBuffer, StampedStream

AT = 1795263277.4  # 2026-11-21 17:44:37 in Asia/Kolkata
STAMP = "2026-11-21 17:44:37 IST "


class Log:
    """A log file with both streams on it."""

    def __init__(self, path: Path, writer: LogWriter, descriptor: int) -> None:
        self.path, self.writer, self.descriptor = path, writer, descriptor
        self.out = StampedStream(StampedBuffer(writer, descriptor, "<stdout>"))
        self.err = StampedStream(StampedBuffer(writer, descriptor, "<stderr>"))

    @property
    def text(self) -> str:
        return self.path.read_bytes().decode()

    def finish(self) -> None:
        for stream in (self.out, self.err):
            if not stream.closed:
                stream.finish()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    log = Log(path, LogWriter(descriptor, clock=lambda: AT), descriptor)
    yield log
    log.finish()
    os.close(descriptor)


def test_each_line_begins_with_its_time_in_ist(log: Log) -> None:
    print("one", 1, file=log.out)
    print("two\nthree", file=log.err)
    print(file=log.out)
    assert log.text == f"{STAMP}one 1\n{STAMP}two\n{STAMP}three\n{STAMP}\n"


def test_a_partial_line_waits_for_its_end_a_flush_or_the_end_of_the_run(log: Log) -> None:
    print("a", end="", file=log.out)
    assert log.text == ""
    print("b", end="", file=log.out, flush=True)
    assert log.text == f"{STAMP}ab"
    print("c", file=log.out)
    print("d", end="", file=log.out)
    log.finish()
    assert log.text == f"{STAMP}abc\n{STAMP}d\n"


def test_another_stream_never_writes_into_an_open_line(log: Log) -> None:
    print("asking: ", end="", file=log.out, flush=True)
    print("trouble", file=log.err)
    print("answer", file=log.out)
    assert log.text == f"{STAMP}asking: \n{STAMP}trouble\n{STAMP}answer\n"


def test_bytes_logging_and_reconfiguration_work_as_on_any_text_stream(log: Log) -> None:
    log.out.buffer.write(b"raw ")
    log.out.buffer.write(b"bytes\n")
    log.out.reconfigure(errors="strict")
    log.out.writelines(["x\n", "y\n"])
    handler = logging.StreamHandler(log.err)
    handler.emit(logging.makeLogRecord({"msg": "logged"}))
    assert log.text == f"{STAMP}raw bytes\n{STAMP}x\n{STAMP}y\n{STAMP}logged\n"
    assert isinstance(log.out, io.TextIOWrapper)
    facts = (log.out.name, log.out.encoding, log.out.writable(), log.out.isatty())
    assert facts == ("<stdout>", "utf-8", True, False)
    assert log.out.fileno() == log.descriptor


def test_text_that_is_no_utf8_is_kept_escaped(log: Log) -> None:
    print("bad \udce9 good é", file=log.out)
    assert log.text == f"{STAMP}bad \\udce9 good é\n"


def test_a_closed_stream_refuses_as_any_other(log: Log) -> None:
    log.err.close()
    with pytest.raises(ValueError, match="closed"):
        print("x", file=log.err)
    with pytest.raises(TypeError, match="must be str"):
        log.out.write(b"x")  # type: ignore[arg-type]


def test_a_stream_whose_buffer_was_closed_says_that_it_is_closed(log: Log) -> None:
    assert (log.out.closed, log.out.buffer.closed) == (False, False)
    log.out.buffer.close()
    assert (log.out.closed, log.out.buffer.closed, log.err.closed) == (True, True, False)
    with pytest.raises(ValueError, match="closed"):
        print("x", file=log.out)


def test_lines_of_many_threads_never_mix(log: Log) -> None:
    """``print`` with several arguments is several writes."""

    def work(name: str) -> None:
        for i in range(200):
            print(name, i, name * 10, sep="|", file=log.out if i % 2 else log.err)

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switch)
    lines = log.text.splitlines()
    assert len(lines) == 800
    pattern = re.compile(re.escape(STAMP) + r"([abcd])\|\d+\|\1{10}")
    assert [line for line in lines if pattern.fullmatch(line) is None] == []


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (1, "2026 ready|2026 from the handler|2026 interrupted|"),  # nothing was begun
        (2, "2026 ready|2026 interrupted|2026 from the handler|"),  # within the lock
    ],
)
def test_a_print_in_a_signal_handler_of_the_printing_thread_is_not_a_deadlock(
    log: Log, place: int, expected: str
) -> None:
    """The clock stands for any place inside a write at which a handler may run."""
    print("ready", file=log.out)
    asked: list[bool] = []

    def interrupt() -> float:
        asked.append(True)
        if len(asked) == place:
            print("from the handler", file=log.err)
        return AT + (1 if place == 2 else 0)  # in a new second the lock is taken

    log.writer.clock = interrupt
    print("interrupted", file=log.out)
    assert re.sub(r"2026-\S+ \S+ IST", "2026", log.text).replace("\n", "|") == expected


def test_a_line_interrupted_by_a_handler_that_leaves_one_open_is_a_line_of_its_own(
    log: Log,
) -> None:
    print("ready", file=log.out)

    def interrupt() -> float:
        log.writer.clock = lambda: AT
        print("asking: ", end="", file=log.err, flush=True)
        return AT

    log.writer.clock = interrupt
    print("interrupted", file=log.out)
    print("answer", file=log.err)
    lines = ["ready", "asking: ", "interrupted", "answer"]
    assert log.text == "".join(f"{STAMP}{line}\n" for line in lines)


def test_a_partial_line_waits_for_lines_under_way_but_never_without_end(log: Log) -> None:
    """The line may be this thread's own, interrupted by the handler that prints here."""
    log.writer.under_way = 1
    print("asking: ", end="", file=log.err, flush=True)
    log.writer.under_way = 0
    assert log.text == f"{STAMP}asking: "


def test_an_exception_of_a_signal_handler_leaves_nothing_locked(log: Log) -> None:
    def interrupt() -> float:
        log.writer.clock = lambda: AT
        raise KeyboardInterrupt

    for _ in range(2):
        log.writer.clock = interrupt
        with pytest.raises(KeyboardInterrupt):
            print("interrupted", file=log.out)
        thread = threading.Thread(target=print, args=("another",), kwargs={"file": log.err})
        thread.start()
        thread.join(timeout=10)
        assert not thread.is_alive()
    assert log.text == f"{STAMP}another\n" * 2


def test_each_second_has_its_stamp_and_a_clock_that_is_set_back_is_followed(log: Log) -> None:
    for seconds in (0.0, 0.59, 0.6, 1.5, 1.6, -3600.0, 0.0):
        log.writer.clock = lambda seconds=seconds: AT + seconds  # type: ignore[misc]
        print(file=log.out)
    times = [line.split()[1] for line in log.text.splitlines()]
    began, after, later, earlier = "17:44:37", "17:44:38", "17:44:39", "16:44:37"
    assert times == [began, began, after, after, later, earlier, began]


@pytest.mark.parametrize(
    "end",
    ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(3)", "ctypes.string_at(0)", "os.abort()"],
)
def test_what_was_printed_before_a_sudden_death_is_in_the_log(tmp_path: Path, end: str) -> None:
    """Promise 7: the last lines before death are kept; nothing waits in the process."""
    script = (
        "import ctypes, os, resource, signal, sys\n"
        "from algohost.host.tokens import mint\n"
        "from algohost.runner.mask import mask_of\n"
        "from algohost.runner.stream import stamped_streams\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        "sys.stdout, sys.stderr = stamped_streams(mask=mask_of([mint()[0]]))\n"
        "for i in range(1000):\n"
        "    print('line', i, file=sys.stderr if i % 3 == 0 else sys.stdout)\n"
    )
    path = tmp_path / "log"
    with path.open("ab") as file:
        subprocess.run([sys.executable, "-c", script + end], stdout=file, stderr=file, check=False)
    shown = [line.partition(" IST ")[2] for line in path.read_text().splitlines()]
    assert shown == [f"line {i}" for i in range(1000)]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EIO])
def test_a_write_that_fails_loses_output_says_so_later_and_never_raises(
    log: Log, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    print("before", file=log.out)
    write = os.write

    def fail(_descriptor: int, _data: bytes) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", fail)
    print("lost 1", file=log.out)
    print("lost 2", file=log.err)
    monkeypatch.setattr(os, "write", write)
    print("after", file=log.out)
    notice = f"[14 bytes of output were lost: {os.strerror(number)}]"
    assert log.text == f"{STAMP}before\n{STAMP}{notice}\n{STAMP}after\n"


@pytest.mark.parametrize("fails", [False, True])
def test_a_line_of_which_a_disk_takes_a_part_is_gone_on_with(
    log: Log, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """The disk is full after 30 bytes, for a moment or until the line is given up."""
    print("before", file=log.out)
    write = os.write
    calls: list[bool] = []

    def write_part(descriptor: int, data: bytes) -> int:
        calls.append(True)
        if fails and len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space")
        return write(descriptor, data[:30] if len(calls) == 1 else data)

    monkeypatch.setattr(os, "write", write_part)
    print("a line in two parts", file=log.out)
    monkeypatch.setattr(os, "write", write)
    print("after", file=log.err)
    whole = "a line in two parts\n"
    torn = f"a line\n{STAMP}[20 bytes of output were lost: No space]\n"
    assert log.text == f"{STAMP}before\n{STAMP}{torn if fails else whole}{STAMP}after\n"


def test_a_line_without_end_does_not_fill_memory(log: Log) -> None:
    for _ in range(100):
        log.out.write("x" * 10_000)
    assert log.path.stat().st_size > 900_000
    log.finish()
    assert log.text.count(STAMP) == 1


def test_a_forked_child_does_not_write_its_parents_partial_line(log: Log) -> None:
    print("parent's", end="", file=log.out)
    pid = os.fork()
    if pid == 0:
        print("child", file=log.out)
        log.finish()
        os._exit(0)
    os.waitpid(pid, 0)
    print(" own", file=log.out)
    assert log.text == f"{STAMP}child\n{STAMP}parent's own\n"


parts = st.lists(
    st.tuples(st.sampled_from(["out", "err"]), st.text("ab\n", max_size=5), st.booleans()),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(parts)
def test_no_character_is_lost_whatever_is_written_and_flushed(
    parts: list[tuple[str, str, bool]],
) -> None:
    read, write = os.pipe()
    writer = LogWriter(write, clock=lambda: AT)
    streams = {name: StampedStream(StampedBuffer(writer, write, name)) for name in ("out", "err")}
    for name, text, flushes in parts:
        streams[name].write(text)
        if flushes:
            streams[name].flush()
    for stream in streams.values():
        stream.finish()
    os.close(write)
    with os.fdopen(read) as file:
        shown = file.read()
    assert shown == "" or shown.endswith("\n")
    assert all(line.startswith(STAMP) for line in shown.splitlines())
    letters = sorted(shown.replace(STAMP, "").replace("\n", ""))
    assert letters == sorted("".join(text for _, text, _ in parts).replace("\n", ""))

"""Stamped output: whole lines, in one write each, whatever prints and whatever fails."""

import errno
import io
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algohost.runner.stream import LogWriter, StampedBuffer, StampedStream

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


def test_a_print_in_a_signal_handler_of_the_printing_thread_is_not_a_deadlock(log: Log) -> None:
    """The mask stands for any place inside a write at which a handler may run."""
    handled: list[bool] = []

    def interrupt(text: bytes) -> bytes:
        if not handled:
            handled.append(True)
            log.writer.write(b"from the handler\n", "handler")
        return text

    log.writer._mask = interrupt
    print("interrupted", file=log.out)
    assert log.text == f"{STAMP}interrupted\n{STAMP}from the handler\n"


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


def test_a_line_without_end_does_not_fill_memory(log: Log) -> None:
    for _ in range(100):
        log.out.write("x" * 10_000)
    assert log.path.stat().st_size > 900_000
    log.finish()
    assert log.text.count(STAMP) == 1


def test_masking_sees_whole_lines_however_they_were_printed(log: Log) -> None:
    log.writer._mask = lambda text: text.replace(b"secret", b"***")
    for part in ("my se", "cr", "et is secret", "\n"):
        print(part, end="", file=log.out)
    assert log.text == f"{STAMP}my *** is ***\n"


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

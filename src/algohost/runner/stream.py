"""Standard output and error of a run: every line begins with its time in IST.

Both streams share one ``LogWriter`` on one ``O_APPEND`` descriptor. A line reaches the file
in one write, stamped when it is complete. ``flush`` puts a partial line into the file and
leaves it open: its stream goes on with it, anyone else begins a new line.
"""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from algohost.runner.log_writer import STAMP_BYTES, LogWriter, Mask

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_LINE_END: Final = ord("\n")
_ENDLESS: Final = 2**30 - 1  # Python compares a greater number in more time
_LONGEST_PARTIAL: Final = 64 * 1024
"""A line that grows beyond this is written in parts, so that it does not fill memory."""


def _never(_text: bytes) -> object:
    return None


_NOTHING: Final[Callable[[], None]] = [].clear
"""Does nothing, and takes less time than a function of Python."""


class StampedBuffer(io.BufferedIOBase):
    """``sys.stdout.buffer``: bytes, collected to lines. ``flush`` writes a partial one."""

    closed = False  # asked at every write; the base class looks far

    def __init__(self, writer: LogWriter, descriptor: int, name: str) -> None:
        self.name = name
        self.mode = "wb"
        self.raw = io.FileIO(descriptor, "wb", closefd=False)
        self.text: io.TextIOWrapper | None = None
        """The stream that must know when this is closed."""
        self._writer = writer
        self._descriptor = descriptor
        self._partial = b""
        self._is_muted = False
        self._write_line = _line_writer(writer, self)
        self._keep(b"")

    def write(self, data: "ReadableBuffer", /) -> int:
        """Accepts all of ``data``; whole lines go to the file at once."""
        return self.collect(bytes(data))

    def collect(self, text: bytes) -> int:
        """``write``, whatever was begun."""
        if self.closed:
            raise ValueError("write to closed file")
        size = len(text)
        with self._writer.lock:
            text = b"" if self._is_muted else self._partial + text
            cut = text.rfind(b"\n") + 1
            if len(text) - cut > _LONGEST_PARTIAL:
                cut = len(text)
            self._keep(text[cut:])
            if cut:
                self._writer.write(text[:cut], self)
        return size

    def _keep(self, partial: bytes) -> None:
        self._partial = partial
        # What the text stream calls for each line, and after it.
        if partial or self._is_muted or self.closed:
            self.__dict__.pop("write", None)
        else:
            self.write = self._write_line  # type: ignore[method-assign]
        self.flush = self._flush_partial if partial else _NOTHING  # type: ignore[method-assign]

    def _flush_partial(self) -> None:
        with self._writer.lock:
            partial = self._partial
            self._keep(b"")
            if partial:
                self._writer.write(partial, self)

    def finish(self) -> None:
        """Flushes and ends the last line."""
        self.flush()
        self._writer.end_line(self)

    def close(self) -> None:
        """Flushes; what is written afterwards is refused."""
        if not self.closed:
            self.flush()
            self.closed = True
            self._keep(b"")
            if self.text is not None:
                self.text.closed = True  # type: ignore[misc]
            super().close()

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The descriptor of the log."""
        return self._descriptor

    def isatty(self) -> bool:
        """Never."""
        return False

    @contextmanager
    def muted(self) -> Iterator[None]:
        """What is written in the block goes nowhere, and what was collected is forgotten."""
        self._is_muted = True
        self._keep(b"")
        try:
            yield
        finally:
            self._is_muted = False
            self._keep(b"")


def _line_writer(writer: LogWriter, buffer: StampedBuffer) -> "Callable[[ReadableBuffer], int]":
    """``buffer.write`` while no line is begun in it.

    Nearly every call is one line that nothing stands in the way of. It is written here, in one
    piece by ``O_APPEND``, and without the lock, which would take a tenth of the time: all that
    may let other code run, the clock is the last, comes before the look at ``is_open_to_lines``,
    and between that and ``under_way`` is no call, where Python would change threads. A signal
    handler that prints in here has its line before this one.

    A function with all that it needs around it takes a tenth less than a method.
    """
    mask, descriptor, collect = writer.mask, writer.descriptor, buffer.collect
    seldom = 0 if mask is None else mask.seldom
    shortest = _ENDLESS if mask is None else mask.shortest
    may_hold = _never if mask is None else mask.may_hold
    classes, run = (None, b"") if mask is None else (mask.classes, mask.run)

    def write(data: "ReadableBuffer", /) -> int:
        if type(data) is bytes:
            size = len(data)
            if (
                _LINE_END not in (body := data.removesuffix(b"\n"))
                and len(body) == size - 1
                and (
                    (size < shortest and seldom not in data)
                    or (classes is not None and data.translate(classes).find(run) < 0)
                    or may_hold(data) is None
                )
                and writer.stamp_from <= writer.clock() < writer.stamp_until
                and writer.is_open_to_lines
            ):
                writer.under_way += 1
                line = writer.stamp + data
                written, failure = 0, None
                try:
                    written = os.write(descriptor, line)
                except OSError as error:
                    failure = error
                finally:
                    writer.under_way -= 1
                if written == STAMP_BYTES + size:
                    return size
                if failure is None:
                    writer.go_on(line[written:], size, buffer)
                else:
                    writer.lose(size, failure)
                return size
        return collect(bytes(data))

    return write


class StampedStream(io.TextIOWrapper):
    """``sys.stdout``: a text stream, line by line, as Python itself would make it.

    It stays Python's own C code, which is why a ``print`` costs one call of ours and not three;
    and no thread can come between the parts of one ``print`` but in a part's own ``__str__``.
    Nothing is in its ``__dict__``, which is looked into several times for each part.
    """

    __slots__ = ("_sink",)
    mode = "w"
    closed = False  # asked for every part of a ``print``; the base class looks far

    def __init__(self, buffer: StampedBuffer) -> None:
        self._sink = buffer
        super().__init__(
            buffer, encoding="utf-8", errors="backslashreplace", newline="\n", line_buffering=True
        )
        buffer.text = self
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def finish(self) -> None:
        """Writes what was begun, and ends the last line."""
        self.flush()
        self._sink.finish()

    def _after_fork(self) -> None:
        with self._sink.muted():  # the parent will write what it has begun
            if not self.closed:
                self.flush()


def stamped_streams(*, mask: Mask | None = None) -> tuple[StampedStream, StampedStream]:
    """Standard output and error on descriptors 1 and 2, which are one log file."""
    writer = LogWriter(1, mask=mask)
    return (
        StampedStream(StampedBuffer(writer, 1, "<stdout>")),
        StampedStream(StampedBuffer(writer, 2, "<stderr>")),
    )

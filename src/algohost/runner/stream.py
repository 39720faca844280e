"""Standard output and error of a run: every line begins with its time in IST.

Both streams share one ``LogWriter`` on one ``O_APPEND`` descriptor. A line reaches the file
in one write, stamped when it is complete. ``flush`` puts a partial line into the file and
leaves it open: its stream goes on with it, anyone else begins a new line. A disk that is full
loses output, counted and said later, and never raises into the strategy.

With a mask, the end of a partial line that may be the beginning of a secret waits for what
follows, its line's end, or the end of the run.
"""

import io
import math
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import gmtime, monotonic, sleep, strftime, time
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_IST_SECONDS: Final = 5 * 3600 + 30 * 60
_STAMP_BYTES: Final = len("2026-11-23 09:15:00 IST ")
_LONGEST_WAIT_SECONDS: Final = 0.05
_SHORTEST_WAIT_SECONDS: Final = 0.00005
_ENDLESS: Final = 2**30 - 1  # Python compares a greater number in more time
_LONGEST_PARTIAL: Final = 64 * 1024
"""A line that grows beyond this is written in parts, so that it does not fill memory."""


class Mask(Protocol):
    """Changes text on its way to the file."""

    @property
    def spans_lines(self) -> bool:
        """Whether whole lines are given to ``split``, too."""

    @property
    def seldom(self) -> int:
        """A byte; whole lines without it that are shorter than ``shortest`` need no mask."""

    @property
    def shortest(self) -> int:
        """The bytes of the shortest text without ``seldom`` that is masked."""

    @property
    def may_hold(self) -> Callable[[bytes], object]:
        """What gives ``None`` for whole lines that may be written as they are."""

    def redact(self, text: bytes, /) -> bytes:
        """``text``, which is whole lines, as it may be written."""

    def split(self, text: bytes, /) -> tuple[bytes, bytes]:
        """The part of ``text`` that may be written, as it may, and an end that must wait."""


class LogWriter:
    """Stamps lines and appends them to a descriptor that it does not own.

    A stream writes a line on its own, without the lock, while ``is_open_to_lines`` and the
    ``stamp`` is that of the moment; see ``StampedBuffer.write``. All else comes to ``write``.
    """

    def __init__(
        self, descriptor: int, *, clock: Callable[[], float] = time, mask: Mask | None = None
    ) -> None:
        self.descriptor = descriptor
        self.clock = clock
        self._mask = mask
        self.seldom = 0 if mask is None else mask.seldom
        self.shortest = _ENDLESS if mask is None else mask.shortest
        self.may_hold = _never if mask is None else mask.may_hold
        self.stamp = b""
        self.stamp_from, self.stamp_until = 0.0, 0.0
        self.is_open_to_lines = mask is None or not mask.spans_lines
        """No line is open in the file, nothing is held, was lost, or is being written here."""
        self.under_way = 0
        """Lines that streams are writing at this moment."""
        self._open_by: object = None  # the stream whose partial line ends the file
        self._held: dict[object, bytes] = {}  # what may be the beginning of a secret
        self._lost_bytes = 0
        self._lost_words = ""
        self.lock = threading.RLock()
        self._is_busy = False
        self._deferred: list[tuple[bytes, object]] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def write(self, text: bytes, source: object) -> None:
        """Appends ``text``, stamping each line that begins in it."""
        with self.lock:
            if self._is_busy:  # a signal handler prints while its thread is in here
                self._deferred.append((text, source))
                return
            self._is_busy, self.is_open_to_lines = True, False
            try:
                if self.under_way:
                    self._wait_for_lines()
                self._append(text, source)
                while self._deferred:
                    self._append(*self._deferred.pop(0))
            finally:
                self._is_busy = False
                self._reopen()

    def _wait_for_lines(self) -> None:
        """So that none is behind a partial line, or a line of the next second.

        It may be this thread's own, where a signal handler prints: that is not waited for long.
        """
        until = monotonic() + _LONGEST_WAIT_SECONDS
        while self.under_way > 0 and monotonic() < until:
            sleep(_SHORTEST_WAIT_SECONDS)

    def go_on(self, rest: bytes, size: int, source: object) -> None:
        """Writes the ``rest`` of a line of which a write took the beginning only."""
        with self.lock:
            self.is_open_to_lines = False
            self._open_by = source
            if self._put(rest, size):
                self._open_by = None
            self._reopen()

    def lose(self, size: int, error: OSError) -> None:
        """Counts output that could not be written; a line will say so when one can be."""
        with self.lock:
            self.is_open_to_lines = False
            self._lost_bytes += size
            self._lost_words = error.strerror or str(error)

    def _reopen(self) -> None:
        self.is_open_to_lines = self._open_by is None and not (
            self._held
            or self._lost_bytes
            or self._deferred
            or (self._mask is not None and self._mask.spans_lines)
        )

    def _append(self, text: bytes, source: object) -> None:
        size = len(text)
        mask = self._mask
        if mask is not None and (
            self._held or text[-1:] != b"\n" or mask.may_hold(text) is not None
        ):
            text = self._masked(mask, text, source)
        if not text:
            return
        stamp = self._stamped()
        end = b"\n" if text.endswith(b"\n") else b""
        body = text.removesuffix(end).replace(b"\n", b"\n" + stamp)
        continues = self._open_by is source
        start = b"" if continues else stamp if self._open_by is None else b"\n" + stamp
        if self._put(start + body + end, size):
            self._open_by = None if end else source

    def _masked(self, mask: Mask, text: bytes, source: object) -> bytes:
        if self._held:
            text = self._held.pop(source, b"") + text
        if mask.spans_lines:
            cut = 0
        elif text.endswith(b"\n"):
            return mask.redact(text)
        else:
            cut = text.rfind(b"\n") + 1
        shown, held = mask.split(text[cut:])
        if held:
            self._held[source] = held
        return mask.redact(text[:cut]) + shown if cut else shown

    def _put(self, data: bytes, size: int) -> bool:
        if self._lost_bytes:
            notice = f"[{self._lost_bytes} bytes of output were lost: {self._lost_words}]\n"
            lead = b"\n" if self._open_by is not None else b""
            data = lead + self._stamped() + notice.encode() + data.removeprefix(b"\n")
        try:
            while data:
                data = data[os.write(self.descriptor, data) :]
        except OSError as error:
            self.lose(size, error)
            return False
        self._lost_bytes = 0
        return True

    def _stamped(self) -> bytes:
        now = self.clock()
        if not self.stamp_from <= now < self.stamp_until:  # one strftime a second, not a line
            second = math.floor(now)
            text = strftime("%Y-%m-%d %H:%M:%S IST ", gmtime(second + _IST_SECONDS))
            self.stamp_until = 0.0  # until all three agree
            self.stamp = text.encode()
            self.stamp_from, self.stamp_until = float(second), second + 1.0
        return self.stamp

    def end_line(self, source: object) -> None:
        """Ends the partial line that ``source`` has left open, with what was held of it."""
        with self.lock:
            self.is_open_to_lines = False
            held = self._held.pop(source, b"")
            if held and self._mask is not None:
                held = self._mask.redact(held)
                start = b"" if self._open_by is source else self._stamped()
                if self._open_by not in (None, source):
                    start = b"\n" + start
                if self._put(start + held, len(held)):
                    self._open_by = source
            if self._open_by is source and self._put(b"\n", 1):
                self._open_by = None
            self._reopen()

    def _after_fork(self) -> None:
        self.lock = threading.RLock()
        self.under_way = 0
        self._is_busy = False
        self._deferred.clear()
        self._held.clear()
        self._reopen()


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
        self._keep(b"")

    def write(self, data: "ReadableBuffer", /) -> int:
        """Accepts all of ``data``; whole lines go to the file at once.

        Nearly every call is one line that nothing stands in the way of. It is written here, in
        one piece by ``O_APPEND``, and without the lock, which would take a tenth of the time:
        all that may let other code run, the clock is the last, comes before the look at
        ``is_open_to_lines``, and between that and ``under_way`` is no call, where Python would
        change threads. A signal handler that prints in here has its line before this one.
        """
        if self._takes_lines and type(data) is bytes:
            writer = self._writer
            size = len(data)
            _, end, more = data.partition(b"\n")
            if (
                end
                and not more
                and (
                    (size < writer.shortest and writer.seldom not in data)
                    or writer.may_hold(data) is None
                )
                and writer.stamp_from <= writer.clock() < writer.stamp_until
                and writer.is_open_to_lines
            ):
                writer.under_way += 1
                line = writer.stamp + data
                written, failure = 0, None
                try:
                    written = os.write(writer.descriptor, line)
                except OSError as error:
                    failure = error
                finally:
                    writer.under_way -= 1
                if failure is not None:
                    writer.lose(size, failure)
                elif written != _STAMP_BYTES + size:
                    writer.go_on(line[written:], size, self)
                return size
        return self._collect(bytes(data))

    def _collect(self, text: bytes) -> int:
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
        self._takes_lines = not (partial or self._is_muted or self.closed)
        # The text stream calls this after each line.
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


class StampedStream(io.TextIOWrapper):
    """``sys.stdout``: a text stream, line by line, as Python itself would make it.

    It stays Python's own C code, which is why a ``print`` costs one call of ours and not three;
    and no thread can come between the parts of one ``print`` but in a part's own ``__str__``.
    """

    closed = False  # asked for every part of a ``print``; the base class looks far

    def __init__(self, buffer: StampedBuffer) -> None:
        self._sink = buffer
        super().__init__(
            buffer, encoding="utf-8", errors="backslashreplace", newline="\n", line_buffering=True
        )
        buffer.text = self
        self.mode = "w"  # type: ignore[misc]
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

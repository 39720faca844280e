"""Standard output and error of a run: every line begins with its time in IST.

Both streams share one ``LogWriter`` on one ``O_APPEND`` descriptor. A line reaches the file
in one write, stamped when it is complete; each thread collects its own line, so lines of
several threads never mix. ``flush`` puts a partial line into the file and leaves it open: its
stream goes on with it, anyone else begins a new line. A disk that is full loses output,
counted and said later, and never raises into the strategy.
"""

import io
import os
import threading
from collections.abc import Callable
from time import gmtime, strftime, time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_IST_SECONDS: Final = 5 * 3600 + 30 * 60
_LONGEST_PARTIAL: Final = 64 * 1024
"""A line that grows beyond this is written in parts, so that it does not fill memory."""

Mask = Callable[[bytes], bytes]
"""Changes text on its way to the file: whole lines where there are lines, else a part."""


class LogWriter:
    """Stamps lines and appends them to a descriptor that it does not own."""

    def __init__(
        self, descriptor: int, *, clock: Callable[[], float] = time, mask: Mask | None = None
    ) -> None:
        self._descriptor = descriptor
        self._clock = clock
        self._mask = mask
        self._second = -1
        self._stamp = b""
        self._open_by: object = None  # the stream whose partial line ends the file
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
            self._is_busy = True
            try:
                self._append(text, source)
                while self._deferred:
                    self._append(*self._deferred.pop(0))
            finally:
                self._is_busy = False

    def _append(self, text: bytes, source: object) -> None:
        if not text:
            return
        if self._mask is not None:
            text = self._mask(text)
        stamp = self._stamped()
        continues = self._open_by is source
        body = text[:-1] if text.endswith(b"\n") else text
        body = body.replace(b"\n", b"\n" + stamp)
        start = b"" if continues else stamp if self._open_by is None else b"\n" + stamp
        end = b"\n" if text.endswith(b"\n") else b""
        if self._put(start + body + end, len(text)):
            self._open_by = None if end else source

    def _put(self, data: bytes, size: int) -> bool:
        if self._lost_bytes:
            notice = f"[{self._lost_bytes} bytes of output were lost: {self._lost_words}]\n"
            lead = b"\n" if self._open_by is not None else b""
            data = lead + self._stamped() + notice.encode() + data.removeprefix(b"\n")
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            self._lost_bytes += size
            self._lost_words = error.strerror or str(error)
            return False
        self._lost_bytes = 0
        return True

    def _stamped(self) -> bytes:
        second = int(self._clock())
        if second != self._second:  # one strftime a second, not one a line
            self._second = second
            text = strftime("%Y-%m-%d %H:%M:%S IST ", gmtime(second + _IST_SECONDS))
            self._stamp = text.encode()
        return self._stamp

    def end_line(self, source: object) -> None:
        """Ends the partial line that ``source`` has left open, if it has."""
        with self.lock:
            if self._open_by is source:
                self._put(b"\n", 1)
                self._open_by = None

    def _after_fork(self) -> None:
        self.lock = threading.RLock()
        self._is_busy = False
        self._deferred.clear()


class StampedBuffer(io.BufferedIOBase):
    """``sys.stdout.buffer``: bytes, collected to lines."""

    def __init__(self, writer: LogWriter, descriptor: int, name: str) -> None:
        self.name = name
        self.mode = "wb"
        self.raw = io.FileIO(descriptor, "wb", closefd=False)
        self._writer = writer
        self._descriptor = descriptor
        self._partial = b""
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def write(self, data: "ReadableBuffer", /) -> int:
        """Accepts all of ``data``; whole lines go to the file at once."""
        if self.closed:
            raise ValueError("write to closed file")
        size = memoryview(data).nbytes
        with self._writer.lock:
            text = self._partial + bytes(data)
            cut = text.rfind(b"\n") + 1
            if len(text) - cut > _LONGEST_PARTIAL:
                cut = len(text)
            self._partial = text[cut:]
            if cut:
                self._writer.write(text[:cut], self)
        return size

    def flush(self) -> None:
        """Puts a partial line into the file."""
        with self._writer.lock:
            partial, self._partial = self._partial, b""
            self._writer.write(partial, self)

    def finish(self) -> None:
        """Flushes and ends the last line."""
        self.flush()
        self._writer.end_line(self)

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The descriptor of the log."""
        return self._descriptor

    def isatty(self) -> bool:
        """Never."""
        return False

    def _after_fork(self) -> None:
        self._partial = b""  # the parent will write it


class StampedStream(io.TextIOWrapper):
    """``sys.stdout``: a real text stream in which each thread collects its own line."""

    def __init__(self, buffer: StampedBuffer) -> None:
        self._lines: dict[int, str] = {}
        self._sink = buffer
        super().__init__(buffer, encoding="utf-8", errors="backslashreplace", newline="\n")
        self.mode = "w"  # type: ignore[misc]
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    @property
    def line_buffering(self) -> bool:
        """True: a complete line is in the file when ``print`` returns."""
        return True

    def write(self, text: str, /) -> int:
        """Accepts all of ``text``; whole lines go to the file at once."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        me = threading.get_ident()
        line = self._lines.pop(me, "") + text
        cut = line.rfind("\n") + 1
        if len(line) - cut > _LONGEST_PARTIAL:
            cut = len(line)
        if cut < len(line):
            self._lines[me] = line[cut:]
        if cut:
            self._pass_on(line[:cut])
        return len(text)

    def flush(self) -> None:
        """Puts this thread's partial line into the file."""
        line = self._lines.pop(threading.get_ident(), "")
        if line:
            self._pass_on(line)
        super().flush()

    def finish(self) -> None:
        """Writes what every thread has begun, and ends the last line."""
        for me in list(self._lines):
            self._pass_on(self._lines.pop(me, ""))
        super().flush()
        self._sink.finish()

    def _pass_on(self, text: str) -> None:
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        super().write(text)
        super().flush()

    def _after_fork(self) -> None:
        self._lines.clear()


def stamped_streams(*, mask: Mask | None = None) -> tuple[StampedStream, StampedStream]:
    """Standard output and error on descriptors 1 and 2, which are one log file."""
    writer = LogWriter(1, mask=mask)
    return (
        StampedStream(StampedBuffer(writer, 1, "<stdout>")),
        StampedStream(StampedBuffer(writer, 2, "<stderr>")),
    )


def plain_streams() -> tuple[io.TextIOWrapper, io.TextIOWrapper]:
    """Standard output and error as Python itself would make them, line by line."""
    return _plain(1, "<stdout>", "surrogateescape"), _plain(2, "<stderr>", "backslashreplace")


def empty_input() -> io.TextIOWrapper:
    """Standard input on descriptor 0, which is at its end."""
    raw = io.FileIO(0, "r", closefd=False)
    _name(raw, "<stdin>")
    stream = io.TextIOWrapper(io.BufferedReader(raw), encoding="utf-8", errors="surrogateescape")
    stream.mode = "r"  # type: ignore[misc]
    return stream


def _plain(descriptor: int, name: str, errors: str) -> io.TextIOWrapper:
    raw = io.FileIO(descriptor, "wb", closefd=False)
    _name(raw, name)
    stream = io.TextIOWrapper(
        io.BufferedWriter(raw), encoding="utf-8", errors=errors, line_buffering=True
    )
    stream.mode = "w"  # type: ignore[misc]
    return stream


def _name(raw: Any, name: str) -> None:
    raw.name = name

"""Appends the lines of a run to its log, each with its time in IST.

A disk that is full loses output, counted and said later, and never raises into the strategy.
With a mask, the end of a partial line that may be the beginning of a secret waits for what
follows, its line's end, or the end of the run.
"""

import math
import os
import threading
from collections.abc import Callable
from time import gmtime, monotonic, sleep, strftime, time
from typing import Final, Protocol

_IST_SECONDS: Final = 5 * 3600 + 30 * 60
STAMP_BYTES: Final = len("2026-11-23 09:15:00 IST ")
_LONGEST_WAIT_SECONDS: Final = 0.05
_SHORTEST_WAIT_SECONDS: Final = 0.00005


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
    def classes(self) -> bytes | None:
        """A table for ``bytes.translate``; whole lines that have no ``run`` then need no mask.

        ``None`` where that says nothing.
        """

    @property
    def run(self) -> bytes:
        """See ``classes``."""

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
    ``stamp`` is that of the moment; see ``stream``. All else comes to ``write``.
    """

    __slots__ = (
        "_deferred", "_held", "_is_busy", "_lost_bytes", "_lost_words", "_open_by", "clock",
        "descriptor", "is_open_to_lines", "lock", "mask", "stamp", "stamp_from", "stamp_until",
        "under_way",
    )  # fmt: skip

    def __init__(
        self, descriptor: int, *, clock: Callable[[], float] = time, mask: Mask | None = None
    ) -> None:
        self.descriptor = descriptor
        self.clock = clock
        self.mask = mask
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
            or (self.mask is not None and self.mask.spans_lines)
        )

    def _append(self, text: bytes, source: object) -> None:
        size = len(text)
        mask = self.mask
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
            if held and self.mask is not None:
                held = self.mask.redact(held)
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

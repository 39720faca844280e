"""Covers secrets in the logs of runs, byte for byte, so that every offset stays what it is.

What a script prints through Python is masked by the run itself. What goes past Python's streams
(``os.write``, programs that it starts, C code, crash handlers) is covered here, whenever it is
read and by and by in the file. Line ends, and the times that the run puts behind them, do not
count: a secret that was cut into lines is one, unless it is so short that it may be chance. Line
ends stay, every other byte is an asterisk.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import Final

from algohost.runner.log_holes import read_at
from algohost.runner.mask import mask_of

_STAMP_BYTES: Final = len("2026-11-23 09:15:00 IST ")
_STAMP_END: Final = b" IST "
_TOKEN_BEGIN: Final = b"Zk"
_TOKEN: Final = re.compile(rb"Zk[0-9a-f]{64}")
"""Every run's own key, as ``tokens.mint`` makes it; known by its form, for it is kept nowhere."""
_TOKEN_BYTES: Final = 66
_LEAST_CUT: Final = 12
"""Fewer bytes in several lines are no secret: numbers, one a line, make up any short one."""
_MOST_MARGIN: Final = 65_536
"""Only what has more bytes in one line needs more."""

Span = tuple[int, int]


class Cover:
    """What covers the secrets of one strategy, and the keys of all runs."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._mask = mask_of(values, without_lines=True)
        self.margin = _TOKEN_BYTES
        """Bytes on either side that decide how a text is covered: one character a line."""
        if self._mask is not None:
            longest = max(self._mask.longest, _TOKEN_BYTES)
            self.margin = max(longest, min(longest * (_STAMP_BYTES + 2), _MOST_MARGIN))

    @property
    def has_secrets(self) -> bool:
        """Whether it covers more than keys."""
        return self._mask is not None

    def over(self, text: bytes, *, is_open: bool = False) -> bytes:
        """``text`` with as many asterisks in the place of each secret as it had bytes.

        With ``is_open`` also where the end of ``text`` begins one.
        """
        spans = self.spans(text, is_open=is_open)
        if not spans:
            return text
        covered = bytearray(text)
        for begin, end in spans:
            covered[begin:end] = b"*" * (end - begin)
        return bytes(covered)

    def read(self, descriptor: int, count: int, offset: int, size: int) -> bytes:
        """Like ``read_at``, covered, of a file that has ``size`` bytes."""
        begin, end = max(0, offset - self.margin), min(offset + count, size)
        text = read_at(descriptor, min(end + self.margin, size) - begin, begin)
        is_open = begin + len(text) >= size
        return self.over(text, is_open=is_open)[offset - begin : end - begin]

    def spans(self, text: bytes, *, is_open: bool = False) -> list[Span]:
        """The places that are covered, in their order, without the line ends within."""
        mask = self._mask
        if mask is None:
            if _TOKEN_BEGIN not in text:
                return []
            return [match.span() for match in _TOKEN.finditer(text)]
        lines = _Lines(text)
        found = mask.spans(lines.joined)
        if _TOKEN_BEGIN in lines.joined:
            found += [match.span() for match in _TOKEN.finditer(lines.joined)]
        size = len(lines.joined)
        if is_open and (begin := mask.begun(lines.joined)) < size:
            found.append((begin, size))
        return lines.places_of(sorted(found)) if found else []


class _Lines:
    """A text without its line ends and times, and the way back."""

    def __init__(self, text: bytes) -> None:
        self._lines = text.split(b"\n")
        self._kept = [
            line[_STAMP_BYTES:] if line[_STAMP_BYTES - 5 : _STAMP_BYTES] == _STAMP_END else line
            for line in self._lines
        ]
        if b"\r\n" in text:
            self._kept = [line.removesuffix(b"\r") for line in self._kept]
        self.joined = b"".join(self._kept)

    def places_of(self, found: list[Span]) -> list[Span]:
        """Where these parts of the joined text lie in the text."""
        joined = [0, *accumulate(len(line) for line in self._kept)]
        begins = [0, *accumulate(len(line) + 1 for line in self._lines)]
        places = []
        for begin, end in found:
            number = bisect_right(joined, begin) - 1
            if end - begin < _LEAST_CUT and end > joined[number + 1]:
                continue
            while begin < end:
                stop = min(end, joined[number + 1])
                if begin < stop:
                    place = begins[number] + self._skipped(number) + begin - joined[number]
                    places.append((place, place + stop - begin))
                begin, number = stop, number + 1
        return places

    def _skipped(self, number: int) -> int:
        line, kept = self._lines[number], self._kept[number]
        return _STAMP_BYTES if len(line) - len(kept) >= _STAMP_BYTES else 0

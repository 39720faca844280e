"""Takes secret values out of text: as they are, and in the forms that programs usually give them.

A form is a row of atoms: one for each character, with every way in which that character may be
written (itself, percent-encoded, escaped for JSON or by ``repr``, as an HTML entity), or a whole
encoding (hexadecimal, base64 at each of its three alignments). All forms are one compiled
expression without unbounded repetition, so that the time is linear in the text. Of a long form
only the beginning is in an expression, for compiling takes microseconds for each character; the
rest is compared by hand (``mask_search``).

This keeps accidents out of a log. It is no boundary: a script that wants to show its secret
can, in any form that is not listed here.
"""

import re
import sys
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain
from typing import Final

from algohost.runner.mask_search import FormSearch

SHORTEST_MASKABLE: Final = 6
"""A value with fewer characters would take ordinary words out of a log, and is not masked."""
MARKER: Final = "••••••".encode()
"""What is shown instead of a secret."""

_LONGEST_EXPRESSION: Final = 1024
"""Bytes of a whole encoding; a longer one is searched as it is, for compiling takes its time."""
_NAMED: Final = {"\n": "n", "\r": "r", "\t": "t", '"': '"', "'": "'", "\\": "\\", "/": "/"}
_ENTITIES: Final = {
    "&": ("&amp;",),
    "<": ("&lt;",),
    ">": ("&gt;",),
    '"': ("&quot;", "&#34;", "&#x22;"),
    "'": ("&#39;", "&#x27;", "&apos;", "'\"'\"'"),
}
_MOST_BACKSLASHES: Final = 4
"""Before an escape: text that was quoted, and quoted again."""
_ANCHOR: Final = 4
_LOOKED_AT: Final = 64
"""Of a form's rows of plain bytes, and of the bytes of each, when four of them are chosen."""
_LEAST_BEGUN: Final = 6
"""So many of its characters at the end of a text are the beginning of a secret, and no chance."""
_COMMON: Final = (
    b"%~^{}|@#$;?QZXJKVWYUHGMBFLPDCRNOSITAE"
    b"zqjxk&*!<>+_()[]\\/'\"vwbyfgpumhcdl=-9876543210,:.rsinoate \n"
)
"""Bytes from seldom to frequent in what strategies print; not one of these is seldom."""
_SELDOM: Final = _COMMON[:19]
_BREAKS: Final = b" \t\r\n,:.=|()[]{}"
_CLASSES: Final = bytes(0 if byte in _BREAKS else 1 for byte in range(256))
_LEAST_RUN: Final = 12
"""Rows of so many bytes without a break are seldom in what strategies print."""
_NEVER_ESCAPED: Final = frozenset("-_.")


@dataclass(frozen=True, kw_only=True)
class _Atom:
    """The ways to write one character, or one whole encoding."""

    plain: tuple[bytes, ...]
    escaped: tuple[bytes, ...] = ()
    """These come after one to four backslashes."""

    @cached_property
    def expression(self) -> bytes:
        if len(self.plain) == 1 and not self.escaped:
            return re.escape(self.plain[0])
        ways = [re.escape(one) for one in self.plain]
        if self.escaped:
            after = b"|".join(re.escape(one) for one in self.escaped)
            ways.append(rb"\\{1,%d}(?:%b)" % (_MOST_BACKSLASHES, after))
        return b"(?:" + b"|".join(ways) + b")"

    @cached_property
    def beginnings(self) -> list[bytes]:
        """The ways as a first atom.

        Of several backslashes the last is enough: those before it give nothing away.
        """
        return [*self.plain, *(b"\\" + one for one in self.escaped)]

    @cached_property
    def ways(self) -> list[bytes]:
        counts = range(1, _MOST_BACKSLASHES + 1)
        return [*self.plain, *(b"\\" * k + one for one in self.escaped for k in counts)]


_Form = tuple[_Atom, ...]


class Mask:
    """Replaces what it was made for; shared by all streams of a run."""

    def __init__(
        self, forms: Sequence[_Form], long: Iterable[bytes] = (), *, spans_lines: bool = False
    ) -> None:
        self.spans_lines = spans_lines
        """Whether lines must wait, too: one has several lines, and one that is too short."""
        rows = [[atom.ways for atom in form] for form in forms]
        rows += [[[one]] for one in long]
        self._rows = rows
        self.longest = max(sum(max(map(len, ways)) for ways in row) for row in rows)
        """Bytes of the longest form."""
        self._first = frozenset(way[0] for row in rows for way in row[0])
        self._forms = forms
        self.seldom, self.shortest = _seldom(rows)
        self.run = b"\1" * min(map(_longest_run, rows))
        self.classes = _CLASSES if len(self.run) >= _LEAST_RUN and not spans_lines else None
        self._long = tuple(long)
        self._search = FormSearch(forms)

    @cached_property
    def may_hold(self) -> Callable[[bytes], object]:
        """Gives something for whole lines that must be given to ``redact`` or ``split``."""
        return _always if self.spans_lines else self._look

    @cached_property
    def _look(self) -> Callable[..., "re.Match[bytes] | None"]:
        return _first_look(self._rows) or self._search.first

    @cached_property
    def _search_beginning(self) -> Callable[..., "re.Match[bytes] | None"]:
        heads = {
            b"".join(atom.expression for atom in form[:_LEAST_BEGUN])
            if len(form) > 1
            else re.escape(form[0].plain[0][:_LEAST_BEGUN])
            for form in self._forms
        }
        heads |= {re.escape(one[:_LEAST_BEGUN]) for one in self._long}
        return re.compile(b"|".join(sorted(heads))).search

    def redact(self, text: bytes) -> bytes:
        """``text`` with the marker in the place of every secret in it."""
        if self.may_hold(text) is None:
            return text
        return self._replaced(text, self._spans(text))

    def spans(self, text: bytes) -> list[tuple[int, int]]:
        """Where secrets are in a long text, in their order; those that overlap are one.

        Looked at closely is only what is around a place that may be part of one.
        """
        near: list[list[int]] = []
        match = self._look(text)
        while match is not None:
            begin, end = max(0, match.start() - self.longest), match.end() + self.longest
            if near and begin <= near[-1][1]:
                near[-1][1] = end
            else:
                near.append([begin, end])
            match = self._look(text, match.start() + 1)
        return [
            (begin + start, begin + stop)
            for begin, end in near
            for start, stop in self._spans(text[begin:end])
        ]

    def begun(self, text: bytes) -> int:
        """Where the end of ``text`` may be the beginning of a secret that goes on after it.

        The length of ``text`` where it is none, or is less than six characters of one.
        """
        match = self._search_beginning(text, max(0, len(text) - self.longest))
        while match is not None:
            rest = text[match.start() :]
            if any(_may_begin(row, rest) for row in self._rows):
                return match.start()
            match = self._search_beginning(text, match.start() + 1)
        return len(text)

    def split(self, text: bytes) -> tuple[bytes, bytes]:
        """The redacted part of ``text``, and its end where that may be a secret's beginning.

        The end is to be put before what comes next; it is never much longer than the longest
        form of a secret.
        """
        spans = self._spans(text)
        cut = self._beginning(text)
        for start, end in spans:
            if start < cut < end:
                cut = start if end - start <= 2 * self.longest else end
        return self._replaced(text[:cut], [s for s in spans if s[1] <= cut]), text[cut:]

    def _spans(self, text: bytes) -> list[tuple[int, int]]:
        """Where secrets are; those that overlap are one."""
        found = self._search.spans(text)
        for one in self._long:
            at = text.find(one)
            while at >= 0:
                found.append((at, at + len(one)))
                at = text.find(one, at + len(one))
        merged: list[tuple[int, int]] = []
        for start, end in sorted(found):
            if merged and start < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged

    @staticmethod
    def _replaced(text: bytes, spans: list[tuple[int, int]]) -> bytes:
        parts, at = [], 0
        for start, end in spans:
            parts += [text[at:start], MARKER]
            at = end
        return b"".join((*parts, text[at:]))

    def _beginning(self, text: bytes) -> int:
        for at in range(max(0, len(text) - self.longest), len(text)):
            if text[at] in self._first:
                rest = text[at:]
                if any(_may_begin(row, rest) for row in self._rows):
                    return at
        return len(text)


def _always(_text: bytes) -> object:
    return True


def _seldom(rows: list[list[list[bytes]]]) -> tuple[int, int]:
    """A seldom byte, and how short the shortest form without it may be.

    The run's own token begins with such a byte, so that this is all that most lines need.
    """
    sizes = [sum(min(map(len, ways)) for ways in row) for row in rows]
    fixed = [frozenset(b"".join(ways[0] for ways in row if len(ways) == 1)) for row in rows]

    def shortest_without(byte: int) -> int:
        without = (n for n, has in zip(sizes, fixed, strict=True) if byte not in has)
        return min(without, default=sys.maxsize)

    byte = max(_SELDOM, key=shortest_without)
    return byte, shortest_without(byte)


def _longest_run(row: list[list[bytes]]) -> int:
    """Bytes without a break that are in every way of writing it, one after the other."""
    longest = size = 0
    known: dict[int, int] = {}  # a character's ways are one list wherever it stands
    for ways in row:
        least = known.get(id(ways))
        if least is None:
            has_break = any(byte in _BREAKS for way in ways for byte in way)
            least = known[id(ways)] = 0 if has_break else min(map(len, ways))
        size = size + least if least else 0
        longest = max(longest, size)
    return longest


def _first_look(rows: list[list[list[bytes]]]) -> Callable[..., "re.Match[bytes] | None"] | None:
    """Finds four bytes of each form, which takes a quarter of the time of finding the form.

    ``None`` where a form has no four bytes that are always written in the same way.
    """
    anchors = set()
    for row in rows:
        runs, run = [], b""
        for ways in (*row, [b"", b""]):
            if len(ways) == 1:
                run += ways[0]
            else:
                runs.append(run)
                run = b""
        some = [one[:_LOOKED_AT] for one in runs if len(one) >= _ANCHOR][:_LOOKED_AT]
        places = {one[i : i + _ANCHOR] for one in some for i in range(len(one) - _ANCHOR + 1)}
        if not places:
            return None
        anchors.add(min(places, key=lambda place: (_COMMON.find(place[0]), place)))
    return re.compile(b"|".join(map(re.escape, sorted(anchors)))).search


def mask_of(values: Iterable[str], *, without_lines: bool = False) -> Mask | None:
    """A mask for these values; ``None`` where none of them is long enough to be masked.

    With ``without_lines`` it is one for text whose line ends were taken out.
    """
    forms: dict[_Form, None] = {}
    long: dict[bytes, None] = {}
    kept = sorted({value for value in values if len(value) >= SHORTEST_MASKABLE})
    for value in kept:
        joined = value.replace("\r\n", "\n").replace("\n", "") if without_lines else ""
        for part in (*_parts(value), *([joined] if len(joined) >= SHORTEST_MASKABLE else ())):
            forms[_characters(part)] = None
        for whole in _encodings(value.encode("utf-8", "surrogateescape")):
            if len(whole) > _LONGEST_EXPRESSION:
                long[whole] = None
            else:
                forms[(_Atom(plain=(whole,)),)] = None
    is_short = any(len(line) < SHORTEST_MASKABLE for value in kept for line in _lines(value)[1:])
    spans_lines = is_short and not without_lines
    return Mask(list(forms), list(long), spans_lines=spans_lines) if forms else None


def _parts(value: str) -> list[str]:
    """The value, and each line of it: they may be printed one by one."""
    lines = (line for line in _lines(value) if len(line) >= SHORTEST_MASKABLE)
    return list(dict.fromkeys([value, *lines]))


def _lines(value: str) -> list[str]:
    return [line.strip() for line in value.strip().split("\n")]


def _characters(text: str) -> _Form:
    """Character by character; a row of backslashes is one, for it is doubled as one."""
    return tuple(
        _backslashes(len(run)) if run[0] == "\\" else _character(run)
        for run in re.findall(r"\\+|[^\\]", text, re.DOTALL)
    )


def _backslashes(count: int) -> _Atom:
    escapes = (*(rb"\u005" + one for one in (b"c", b"C")), rb"\x5c", b"%5C", b"%5c")
    doubled = (b"\\" * (4 * count), b"\\" * (2 * count), b"\\" * count)
    return _Atom(plain=(*doubled, *(one * count for one in escapes)))


@cache
def _character(char: str) -> _Atom:
    raw = char.encode("utf-8", "surrogateescape")
    if (char.isascii() and char.isalnum()) or char in _NEVER_ESCAPED:
        return _Atom(plain=(raw,))
    units = char.encode("utf-16-be", "surrogatepass")
    quoted = "".join(f"%{byte:02X}" for byte in raw)
    plain = [raw, quoted.encode(), quoted.lower().encode()]
    plain += [one.encode() for one in _ENTITIES.get(char, ())]
    if char == " ":
        plain.append(b"+")
    if char == "\n":
        plain.append(b"\r\n")
    numbers = [units[i : i + 2].hex() for i in range(0, len(units), 2)]
    escaped = []
    for between in ("\\", "\\\\"):
        escaped += [case(between.join(f"u{n}" for n in numbers)) for case in (str, _upper)]
        escaped.append(between.join(f"x{byte:02x}" for byte in raw))
    if ord(char) < 0x100:
        escaped += [f"x{ord(char):02x}", f"x{ord(char):02X}"]
    elif ord(char) > 0xFFFF:
        escaped.append(f"U{ord(char):08x}")
    if char in _NAMED:
        escaped.append(_NAMED[char])
    return _Atom(
        plain=tuple(dict.fromkeys(plain)),
        escaped=tuple(dict.fromkeys(one.encode() for one in escaped)),
    )


def _upper(escape: str) -> str:
    return escape.upper().replace("U", "u")


def _encodings(raw: bytes) -> Iterable[bytes]:
    """Hexadecimal and base64, of which only what depends on nothing but the secret."""
    hexes = (raw.hex().encode(), raw.hex().upper().encode())
    percent = b"".join(b"%%%02X" % byte for byte in raw)
    return dict.fromkeys(chain(hexes, (percent, percent.lower()), _base64(raw)))


def _base64(raw: bytes) -> Iterable[bytes]:
    for before in range(3):
        first = -(-before * 8 // 6)
        last = (before + len(raw)) * 8 // 6
        standard = b64encode(b"\0" * before + raw + b"\0\0")[first:last]
        yield standard
        yield standard.translate(bytes.maketrans(b"+/", b"-_"))
        yield standard.replace(b"/", b"\\/")  # JSON of some languages


def _may_begin(row: list[list[bytes]], text: bytes) -> bool:
    """Whether ``text`` ends before a form that it begins is complete."""
    places = {0}
    for ways in row:
        following = set()
        for at in places:
            for way in ways:
                piece = text[at : at + len(way)]
                if piece == way:
                    following.add(at + len(way))
                elif len(piece) < len(way) and way.startswith(piece):
                    return True
        if not following:
            return False
        places = following
    return False

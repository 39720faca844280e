"""Finds the places in a piece of a log at which a line may be what is looked for.

A byte of the text that is seldom in the log is looked for first: the C library finds one some
forty times faster than Python finds a word.
"""

import contextlib
import ctypes
import os
import re
from collections.abc import Callable, Iterator
from typing import Final

Finder = Callable[[bytes], Iterator[int]]
"""Places in whole lines; what it passes over is no finding."""

_SHORTEST_PART: Final = 3
_SAMPLE_BYTES: Final = 4_096
_SELDOM: Final = 256
"""A byte is seldom where there is at most one of it in so many."""
_NEAR_BYTES: Final = 1_024
_TRACEBACK: Final = b"Traceback"
_TROUBLE: Final = (b"ERROR", b"Error", b"CRITICAL", b"FATAL", b"Exception")
_WARNING: Final = (b"WARN",)
_IN_TRACEBACKS: Final = (b'  File "', b"Interrupt", b"Exit")


def text_finder(text: str, *, is_expression: bool) -> Finder:
    """Finds a text, or what an expression matches. Raises ``re.error``."""
    if not is_expression:
        needle = text.encode()
        return lambda chunk: _places(chunk, needle, is_exact=needle != needle.lower())
    is_exact = re.search(r"(?<!\\)[A-Z]", text) is not None
    flags = 0 if is_exact else re.IGNORECASE
    expression = re.compile(text.encode(), flags | re.MULTILINE)
    part = literal_part(text).encode()
    if not part:
        return lambda chunk: _matches(expression, chunk)
    return lambda chunk: _matching_lines(expression, chunk, _places(chunk, part, is_exact=is_exact))


def trouble_finder(*, with_warnings: bool) -> Finder:
    """Finds what may be an error, and a warning."""
    words = _TROUBLE + _WARNING if with_warnings else _TROUBLE
    return lambda chunk: _places_of_trouble(chunk, words)


def literal_part(expression: str) -> str:
    """Text that is in everything that the expression matches; empty where none is seen.

    It is looked for first, for it is found many times faster than the expression is matched.
    """
    if "|" in expression or "(?" in expression:
        return ""
    expression = expression.removeprefix("^")
    head = re.match(r"[\w ,:;=/<>@#%&'\"~!-]*", expression, re.ASCII)
    first = head[0] if head else ""
    if expression[len(first) : len(first) + 1] in ("?", "*", "{"):
        first = first[:-1]
    tail = re.search(r"(?:\\[dwsDWS]|[.)\]])[+*?]*([\w ,:;=/<>@#%&'\"~!-]+)$", expression, re.ASCII)
    last = tail[1] if tail else ""
    best = max(first, last, key=len)
    return best if len(best) >= _SHORTEST_PART else ""


def _matching_lines(
    expression: re.Pattern[bytes], chunk: bytes, places: Iterator[int]
) -> Iterator[int]:
    for place in places:
        end = chunk.find(b"\n", place)
        line = chunk[chunk.rfind(b"\n", 0, place) + 1 : len(chunk) if end < 0 else end]
        if expression.search(line):
            yield place


def _places_of_trouble(chunk: bytes, words: tuple[bytes, ...]) -> Iterator[int]:
    found = set(_places(chunk, _TRACEBACK, is_exact=True))
    if found:
        words += _IN_TRACEBACKS
    found |= {place for word in words for place in _places(chunk, word, is_exact=True)}
    return iter(sorted(found))


def _matches(expression: re.Pattern[bytes], chunk: bytes) -> Iterator[int]:
    """A match belongs to one line: what needs the next line to match is none."""
    at = 0
    while (match := expression.search(chunk, at)) is not None:
        begin = chunk.rfind(b"\n", 0, match.start()) + 1
        end = chunk.find(b"\n", match.start())
        end = len(chunk) if end < 0 else end
        if match.end() <= end or expression.search(chunk[begin:end]):
            yield match.start()
        at = end + 1
        if at > len(chunk):
            return


def _places(chunk: bytes, needle: bytes, *, is_exact: bool) -> Iterator[int]:
    """Where ``needle`` is, which is in lower case unless ``is_exact``; at most once in a line."""
    seldom = _seldom_byte(chunk, needle, is_exact=is_exact)
    found = None
    if seldom is not None:
        found = _places_around(chunk, needle, *seldom, is_exact=is_exact)
    return iter(found) if found is not None else _all_places(chunk, needle, is_exact=is_exact)


def _seldom_byte(chunk: bytes, needle: bytes, *, is_exact: bool) -> tuple[int, list[bytes]] | None:
    """The place of a byte in ``needle`` that is seldom in ``chunk``, and the ways to write it."""
    middle = max(0, len(chunk) - _SAMPLE_BYTES) // 2
    sample = chunk[middle : middle + _SAMPLE_BYTES]
    best: tuple[int, list[bytes]] | None = None
    fewest = len(sample) // _SELDOM + 1
    for byte in dict.fromkeys(needle):
        one = bytes((byte,))
        ways = [one] if is_exact or one == one.upper() else [one, one.upper()]
        count = sum(map(sample.count, ways))
        if count < fewest:
            fewest, best = count, (needle.index(one), ways)
    return best


def _places_around(
    chunk: bytes, needle: bytes, index: int, ways: list[bytes], *, is_exact: bool
) -> list[int] | None:
    """``None`` where its byte at ``index`` is not seldom after all."""
    size, left, found = len(needle), len(chunk) // _SELDOM * 2, []
    for way in ways:
        at = chunk.find(way, index)
        while at >= 0:
            piece = chunk[at - index : at - index + size]
            if piece == needle or (not is_exact and piece.lower() == needle):
                found.append(at - index)
            left -= 1
            if left < 0:
                return None
            at = chunk.find(way, at + 1)
    return sorted(found)


def _all_places(chunk: bytes, needle: bytes, *, is_exact: bool) -> Iterator[int]:
    searched = chunk if is_exact else chunk.lower()
    at = _found(searched, needle, 0)
    while at >= 0:
        yield at
        line_end = searched.find(b"\n", at)
        if line_end < 0:
            return
        at = _found(searched, needle, line_end)


def _found(text: bytes, needle: bytes, at: int) -> int:
    """``text.find(needle, at)``; the C library takes a quarter of the time for a long way."""
    if _memmem is None:
        return text.find(needle, at)
    near = text.find(needle, at, at + _NEAR_BYTES)
    if near >= 0:
        return near
    begin = ctypes.cast(ctypes.c_char_p(text), ctypes.c_void_p).value or 0
    address = _memmem(begin + at, len(text) - at, needle, len(needle))
    return -1 if address is None else address - begin


def line_starts(chunk: bytes) -> Iterator[int]:
    """The beginnings of all lines."""
    at = 0
    while at < len(chunk):
        yield at
        end = chunk.find(b"\n", at)
        if end < 0:
            return
        at = end + 1


_memmem: "Callable[[int, int, bytes, int], int | None] | None" = None
if os.name == "posix":
    with contextlib.suppress(AttributeError, OSError):
        _function = ctypes.CDLL(None).memmem
        _function.restype = ctypes.c_void_p
        _function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t)
        _memmem = _function

"""Standard streams as Python itself would make them at its start."""

import io
from typing import Any


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

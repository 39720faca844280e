"""What the command line says and how it ends.

Exit codes: 0 done, 1 refused with a sentence on the error output, 2 wrong usage, 3 server not
reachable. With ``--json`` the answer, or the refusal, is one JSON object on the output.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any

from algohost.domain.errors import AlgohostError, Unavailable
from algohost.domain.ids import IST


class Exit(IntEnum):
    """The exit codes of every command."""

    DONE = 0
    REFUSED = 1
    WRONG_USAGE = 2
    NOT_REACHABLE = 3


class NotReachable(Unavailable):
    """No server answers for this data directory."""

    code = "SERVER_NOT_REACHABLE"


def say(*lines: str) -> None:
    """Prints lines to the output."""
    for line in lines:
        print(line)


def note(line: str) -> None:
    """Prints a line to the error output: beside the answer, not part of it."""
    print(line, file=sys.stderr, flush=True)


def answer(as_json: bool, data: Mapping[str, Any], *lines: str) -> None:
    """Prints ``data`` as one JSON object, or ``lines`` for a person."""
    if as_json:
        print(json.dumps({"success": True, **data}, default=str))
    else:
        say(*lines)


def refuse(error: AlgohostError, *, as_json: bool = False) -> int:
    """Says why not, and returns the exit code of it."""
    if as_json:
        print_refusal(error.message, code=error.code, details=error.details)
    note(f"algohost: {error.message}")
    return Exit.NOT_REACHABLE if isinstance(error, NotReachable) else Exit.REFUSED


def print_refusal(message: str, *, code: str, details: Mapping[str, Any] | None = None) -> None:
    """Prints a refusal as one JSON object."""
    envelope = {"success": False, "message": message, "error_code": code}
    print(json.dumps({**envelope, "details": details} if details else envelope, default=str))


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """The lines of a table with aligned columns and a dash for nothing."""
    cells = [[("-" if c in {None, ""} else str(c)) for c in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(heads), *cells]) for i in range(len(heads))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [list(heads), *cells]
    ]


def ist(at: str | None) -> str | None:
    """A moment of the server's JSON as people read it: ``21 Nov 2026 21:20:10 IST``."""
    if at is None:
        return None
    return datetime.fromisoformat(at).astimezone(IST).strftime("%d %b %Y %H:%M:%S IST")

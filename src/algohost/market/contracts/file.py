"""The file of a list: its columns as numpy keeps them, in one zip with checksums.

A new file is written beside the old one and takes its name when it is whole and on disk: whoever
is killed in between leaves the old list in place.
"""

import contextlib
import json
import os
import struct
import zipfile
import zlib
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from algohost.domain.errors import Invalid
from algohost.market.contracts.search import SearchableTable
from algohost.market.contracts.table import Groups, Rows

FORM: Final = 1
"""The number of this form; a file of another is not read but made anew."""
_UNFINISHED: Final = ".unfinished"
_SEPARATOR: Final = "\n"
_DAMAGE: Final = (
    ValueError, LookupError, TypeError, EOFError, OverflowError, RuntimeError,
    zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip
"""What a zip, a column or its head that is not what was written makes its readers raise."""


def write(path: Path, table: SearchableTable, *, about: str) -> None:
    """Keeps ``table`` at ``path``, instead of what was there. Raises ``OSError``.

    ``about`` says which market it was made for; ``read`` asks for the same.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f"{path.name}.{os.getpid()}{_UNFINISHED}")
    try:
        beside.touch(mode=0o600)
        with beside.open("wb") as file:
            np.savez(file, allow_pickle=False, **_columns(table, about))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def read(path: Path, *, about: str) -> SearchableTable | None:
    """The list at ``path``; ``None`` where there is none, or one of another market or form.

    Raises ``Invalid`` for a damaged file and ``OSError`` where it cannot be read.
    """
    try:
        # opened here: numpy leaves the file open where it is no zip
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as columns:
            # numpy stops where a column's head says so, which may be before its checksum
            if (broken := columns.zip.testzip()) is not None:
                raise zipfile.BadZipFile(f"Bad CRC-32 for file {broken!r}")
            found = {name: columns[name] for name in columns.files}
        head = json.loads(found["head"].tobytes())
        if head["form"] != FORM or head["about"] != about:
            return None
        return _table(head, found)
    except FileNotFoundError:
        return None
    except _DAMAGE as error:
        raise Invalid(
            f"The list of instruments {path} is damaged ({error}); a new one takes its place.",
            code="CONTRACTS_DAMAGED",
        ) from error


def remove_unfinished(folder: Path) -> None:
    """Removes what servers that were killed have left. Raises nothing."""
    with contextlib.suppress(OSError):
        for one in folder.glob(f"*{_UNFINISHED}"):
            one.unlink(missing_ok=True)


def _columns(table: SearchableTable, about: str) -> dict[str, Any]:
    head = {"form": FORM, "about": about, "made_at": table.made_at.astimezone(UTC).isoformat()}
    groups = table.groups
    return {
        "head": np.frombuffer(json.dumps(head).encode(), dtype=np.uint8),
        "base": _packed(groups.base),
        "name": _packed(groups.name),
        "exchange": groups.exchange,
        "is_made_up": groups.is_made_up,
        "start": groups.start,
        **{f"rows_{one.name}": getattr(table.rows, one.name) for one in fields(Rows)},
    }


def _table(head: dict[str, Any], found: dict[str, Any]) -> SearchableTable:
    made_at = datetime.fromisoformat(head["made_at"])
    if made_at.tzinfo is None:
        raise ValueError("its time has no zone")
    return SearchableTable(
        made_at=made_at,
        groups=Groups(
            exchange=found["exchange"],
            base=_unpacked(found["base"]),
            name=_unpacked(found["name"]),
            is_made_up=found["is_made_up"],
            start=found["start"],
        ),
        rows=Rows(**{one.name: found[f"rows_{one.name}"] for one in fields(Rows)}),
    )


def _packed(texts: tuple[str, ...]) -> Any:
    return np.frombuffer(_SEPARATOR.join(texts).encode(), dtype=np.uint8)


def _unpacked(packed: Any) -> tuple[str, ...]:
    return tuple(packed.tobytes().decode().split(_SEPARATOR))


def _sync_folder(folder: Path) -> None:
    """The new name is on disk too; Windows has no such thing."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

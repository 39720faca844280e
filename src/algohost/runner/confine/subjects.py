"""What confinement is told of a run, and the names of what it tells back."""

from dataclasses import dataclass
from typing import Final

from algohost.runner.bounds import Confinement, Limits

SUBJECTS: Final = ("files", "network", "signals", "system calls", "processes")
"""What is on or off with confinement as a whole; limits are on or off one by one."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What must be known of a run; absolute paths."""

    script: str
    work: str
    record: str
    """Its exit record; the file must exist to be written later."""
    search_path: tuple[str, ...]
    """What it may import, besides the script's folder."""
    confinement: Confinement | None
    limits: Limits

"""Confinement by the kernel, without privilege and without a container; Linux only.

``apply`` is called once, in the process that becomes a run, before any line of its script.
Everything that it puts on is inherited by what the run starts and cannot be taken off. Where
a kernel offers less, less is put on, and what ``apply`` returns says so. ``ctypes`` is all that
it needs.
"""

import sys

from algohost.runner.bounds import Enforced
from algohost.runner.confine.subjects import SUBJECTS, Run

if sys.platform == "linux":
    from algohost.runner.confine import linux, places

__all__ = ["SUBJECTS", "Run", "apply", "offers", "open_place_over", "prepare", "rehearse"]


def apply(run: Run) -> tuple[Enforced, ...]:
    """Holds this process to what is wanted as far as this kernel can; says what it does.

    The process has one thread, its final pid, and no descriptor that the run may not have.
    Raises ``OSError`` where something that the kernel offers could not be put on.
    """
    if sys.platform == "linux":
        return linux.apply(run)
    return _nothing()


def offers() -> tuple[Enforced, ...]:
    """What ``apply`` can put on here, for a run with every default and every limit."""
    if sys.platform == "linux":
        return linux.offers()
    return _nothing()


def open_place_over(path: str) -> str | None:
    """The folder of the interpreter or system that holds ``path`` and that every run may read.

    ``None`` where there is none: only there may the server keep its files.
    """
    if sys.platform == "linux":
        return places.open_place_over(path)
    return None


def prepare() -> None:
    """Does now what is the same for every run, so that forks of this process need not."""
    if sys.platform == "linux":
        linux.prepare()


def rehearse(run: Run) -> None:
    """Does what ``apply`` does, and holds this process to nothing. Raises ``OSError``."""
    if sys.platform == "linux":
        linux.rehearse(run)


def _nothing() -> tuple[Enforced, ...]:
    why = f"Confinement needs Linux, and this is {sys.platform}."
    return tuple(Enforced(name=name, is_on=False, how=why) for name in SUBJECTS)

"""Why a script ended, in one line that may be kept: what its traceback ends with, masked."""

import mmap
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal, Self

from algohost.runner.bounds import Limits
from algohost.runner.mask import mask_of
from algohost.runner.records import LONGEST_REASON

_LONGEST_MESSAGE: Final = 10_000
"""Characters of a message that are looked at; a secret cut here is cut off again below."""
_NO_THREAD: Final = "can't start new thread"
_USUAL_STACK_BYTES: Final = 8 << 20


@dataclass(frozen=True, kw_only=True)
class Reason:
    """What ended a script; ``text`` may hold secrets until ``kept`` has seen it."""

    text: str
    is_out_of_memory: bool = False
    lacks: Literal["", "threads", "stacks"] = ""
    """What there was none left of when a thread could not be started."""

    def beside(self, limits: Limits) -> Self:
        """The same with the limit that was met, which Python's own words do not tell."""
        if self.lacks == "threads" and limits.threads:
            met = f"all {limits.threads} threads and processes that it may have are in use"
        elif self.lacks == "stacks" and limits.memory_bytes:
            megabytes = limits.memory_bytes >> 20
            met = f"its limit of memory, {megabytes} MB, has no room for another thread's stack"
        else:
            return self
        return replace(self, text=f"{self.text}: {met}.")

    def kept(self, secrets: Iterable[str]) -> str:
        """The text without ``secrets``, at most ``LONGEST_REASON`` characters."""
        mask = mask_of(secrets)
        text = self.text
        if mask is not None:
            masked = mask.redact(text.encode("utf-8", "surrogateescape"))
            text = masked.decode("utf-8", "replace")
        text = "".join(char if char.isprintable() else " " for char in text).strip()
        return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1]}…"


def reason_of(error: BaseException | None) -> Reason | None:
    """The line for what a script raised; ``None`` for nothing and for an exit with a number."""
    if error is None:
        return None
    message = _message(error)
    if isinstance(error, SystemExit):
        is_text = not isinstance(error.code, int | None)
        return Reason(text=message) if is_text and message else None
    is_memory = isinstance(error, MemoryError)
    name = "MemoryError" if is_memory else _name(type(error))
    text = f"{name}: {message}" if message else name
    if isinstance(error, RuntimeError) and message == _NO_THREAD:
        return Reason(text=text, lacks="threads" if _has_room_for_a_stack() else "stacks")
    return Reason(text=text, is_out_of_memory=is_memory)


def _has_room_for_a_stack() -> bool:
    """The kernel gives the same error for both limits, so it is asked for as much once more."""
    if sys.platform == "win32":
        return True
    import resource

    size = threading.stack_size() or resource.getrlimit(resource.RLIMIT_STACK)[0]
    if size == resource.RLIM_INFINITY:
        size = _USUAL_STACK_BYTES
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except (OSError, ValueError):
        return False
    return True


def _message(error: BaseException) -> str:
    """The first line that says something."""
    try:
        text = str(error.msg if isinstance(error, SyntaxError) else error)
    except BaseException:  # noqa: BLE001 - the script's own text of its own exception
        return "<its text cannot be made>"
    lines = (line.strip() for line in text[:_LONGEST_MESSAGE].splitlines())
    return next((line for line in lines if line), "")


def _name(kind: type[BaseException]) -> str:
    """As a traceback names it."""
    is_plain = kind.__module__ in ("builtins", "__main__")
    return kind.__qualname__ if is_plain else f"{kind.__module__}.{kind.__qualname__}"

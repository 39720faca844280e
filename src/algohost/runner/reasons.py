"""Why a script ended, in one line that may be kept: what its traceback ends with, masked."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from algohost.runner.mask import mask_of
from algohost.runner.records import LONGEST_REASON

_LONGEST_MESSAGE: Final = 10_000
"""Characters of a message that are looked at; a secret cut here is cut off again below."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """What ended a script; ``text`` may hold secrets until ``kept`` has seen it."""

    text: str
    is_out_of_memory: bool = False

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
    return Reason(text=f"{name}: {message}" if message else name, is_out_of_memory=is_memory)


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

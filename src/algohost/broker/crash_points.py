"""The instants at which a crash is worth a test, each reached in one place of the code."""

from collections.abc import Callable
from enum import StrEnum


class CrashPoint(StrEnum):
    """Where on its way an order is."""

    BEFORE_INTENT = "before intent"
    """Nothing is on disk."""
    AFTER_INTENT = "after intent"
    """The intent is on disk, nothing was sent. Not on the way to a broker that keeps intents."""
    BEFORE_APPEND = "before append"
    """The exchange has decided what happens, and nothing of it is on disk."""
    AFTER_APPEND = "after append"
    """The exchange's events are on disk, nobody here knows of them yet."""
    BEFORE_ACK = "before ack"
    """All is done and known of a command; the caller has not been told."""


Reached = Callable[[CrashPoint], None]
"""Called at each point. A test raises there; a server does nothing."""


def pass_by(point: CrashPoint) -> None:
    """The ``Reached`` of a server."""

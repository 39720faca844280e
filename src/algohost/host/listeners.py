"""Telling those who listen."""

import logging
from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)


def tell(listeners: Iterable[Callable[..., None]], *words: object) -> None:
    """Calls each with ``words``. One that raises is logged: what is told has happened already, and
    the others must hear of it."""
    for listener in tuple(listeners):
        try:
            listener(*words)
        except Exception:
            log.exception("listener_failed listener=%r", listener)

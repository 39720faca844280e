"""The agent's event loop: descriptors, timers, and one boundary that survives a bad callback.

Not asyncio: the agent lives in a few megabytes beside hundreds of runs.
"""

import heapq
import itertools
import logging
import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from algohost.runner.system import system

log = logging.getLogger(__name__)

_PIPE_LOOK_SECONDS: Final = 0.01

Ready = Callable[[int], None]
"""Called with the ``selectors`` events that are ready."""


@dataclass(order=True)
class Timer:
    """A call that is due; ``cancel`` makes it not happen."""

    due: float
    number: int
    call: Callable[[], None] | None = field(compare=False)

    def cancel(self) -> None:
        """The call does not happen any more."""
        self.call = None


class Loop:
    """Runs callbacks until ``stop``."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[Timer] = []
        self._numbers = itertools.count()
        self._is_running = True
        self._pipes: dict[int, Timer] = {}
        self.failures = 0
        """Callbacks that raised."""

    def watch(self, descriptor: int, events: int, ready: Ready) -> None:
        """Calls ``ready`` whenever the descriptor is; replaces an earlier watch of it."""
        try:
            self._selector.modify(descriptor, events, ready)
        except KeyError:
            self._selector.register(descriptor, events, ready)

    def watch_pipe(self, descriptor: int, ready: Ready) -> None:
        """As ``watch``, for reading a pipe, which does not wait from now on.

        By looking again and again where the system's selectors take no pipes.
        """
        if system.SELECTS_PIPES:
            system.unblock(descriptor)
            self.watch(descriptor, selectors.EVENT_READ, ready)
        else:
            again = partial(self._look_at_pipe, descriptor, ready)
            self._pipes[descriptor] = self.later(_PIPE_LOOK_SECONDS, again)

    def forget(self, descriptor: int) -> None:
        """Ends a watch, if there is one. To be called before the descriptor is closed."""
        look = self._pipes.pop(descriptor, None)
        if look is not None:
            look.cancel()
            return
        try:
            self._selector.unregister(descriptor)
        except (KeyError, ValueError):
            return

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Calls once after so many seconds."""
        timer = Timer(time.monotonic() + seconds, next(self._numbers), call)
        heapq.heappush(self._timers, timer)
        return timer

    def soon(self, call: Callable[[], None]) -> Timer:
        """Calls once when what is ready now has been handled."""
        return self.later(0.0, call)

    def stop(self) -> None:
        """``run`` returns after the present callback."""
        self._is_running = False

    def run(self) -> None:
        """Serves until ``stop``."""
        while self._is_running:
            self.run_once()
        self._selector.close()

    def run_once(self) -> None:
        """Waits for the next thing and handles what is ready."""
        for key, events in self._selector.select(self._patience()):
            # an earlier callback of this turn may have closed the descriptor and the kernel
            # have given its number away: whoever watches it now hears of it in the next turn
            now_there = self._selector.get_map().get(key.fd)
            if self._is_running and now_there is not None and now_there.data is key.data:
                self._guard(partial(key.data, events))
        now = time.monotonic()
        while self._is_running and self._timers and self._timers[0].due <= now:
            call = heapq.heappop(self._timers).call
            if call is not None:
                self._guard(call)

    def _look_at_pipe(self, descriptor: int, ready: Ready) -> None:
        again = partial(self._look_at_pipe, descriptor, ready)
        self._pipes[descriptor] = self.later(_PIPE_LOOK_SECONDS, again)
        if system.pipe_has_news(descriptor):
            ready(selectors.EVENT_READ)

    def _patience(self) -> float | None:
        while self._timers and self._timers[0].call is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0.0, self._timers[0].due - time.monotonic())

    def _guard(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:
            self.failures += 1
            log.exception("callback_failed count=%d", self.failures)

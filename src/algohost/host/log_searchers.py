"""Processes that search in logs: started when one is needed, kept for a while for the next search.

Whoever types looks more than once, and to start a process takes longer than to look through a
hundred megabytes. One that does not answer in time is ended; all of them end with the server.
"""

import atexit
import contextlib
import subprocess
import threading
from collections.abc import Callable
from typing import Final

from algohost.runner import bootstrap

_KEPT_SECONDS: Final = 20.0


class NoAnswer(Exception):
    """A search process ended without an answer."""


class Searchers:
    """Safe in any thread; each search has a process of its own while it lasts."""

    def __init__(self, module: str) -> None:
        """``module`` has the ``main`` that answers each line of its input with one."""
        self._module = module
        self._idle: list[_Searcher] = []
        self._lock = threading.Lock()
        self._closing: threading.Timer | None = None

    def ask(self, question: bytes, *, seconds: float) -> bytes:
        """The answer to one line, in one line.

        Raises ``TimeoutError``, and ``NoAnswer`` where the process has ended without one or cannot
        be started.
        """
        searcher = self._take()
        try:
            answer = searcher.ask(question, seconds=seconds)
        except (TimeoutError, NoAnswer):
            searcher.end()
            raise
        self._give(searcher)
        return answer

    def close(self) -> None:
        """Ends those that wait for a search; new ones are started where needed."""
        with self._lock:
            idle, self._idle = self._idle, []
            if self._closing is not None:
                self._closing.cancel()
                self._closing = None
        for searcher in idle:
            searcher.end()

    def _take(self) -> "_Searcher":
        with self._lock:
            while self._idle:
                searcher = self._idle.pop()
                if searcher.is_alive:
                    return searcher
                searcher.end()
        try:
            return _Searcher(self._module)
        except OSError as error:  # no memory, no descriptors, too many processes
            raise NoAnswer(str(error)) from error

    def _give(self, searcher: "_Searcher") -> None:
        with self._lock:
            self._idle.append(searcher)
            if self._closing is not None:
                self._closing.cancel()
            self._closing = _later(_KEPT_SECONDS, self.close)


class _Searcher:
    def __init__(self, module: str) -> None:
        self._process = subprocess.Popen(  # noqa: TID251, S603 - our own module, and no run
            bootstrap.command(None, module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._is_late = threading.Event()

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, question: bytes, *, seconds: float) -> bytes:
        timer = _later(seconds, self._cut)
        try:
            answer = self._asked(question)
        finally:
            timer.cancel()
        if self._is_late.is_set():
            raise TimeoutError
        if not answer.endswith(b"\n"):
            raise NoAnswer
        return answer

    def end(self) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what it did not take of a question
                    pipe.close()
        self._process.wait()

    def _cut(self) -> None:
        self._is_late.set()
        self._process.kill()

    def _asked(self, question: bytes) -> bytes:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            return b""
        try:
            stdin.write(question + b"\n")
            stdin.flush()
            return stdout.readline()
        except OSError:  # it has ended meanwhile
            return b""


def _later(seconds: float, act: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()
    return timer


LOG_SEARCHERS: Final = Searchers("algohost.host.log_scan")
atexit.register(LOG_SEARCHERS.close)

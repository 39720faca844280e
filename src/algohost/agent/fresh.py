"""Launching a run in a fresh interpreter: the portable way, with the agent as its parent."""

import contextlib
import os
import selectors
import threading
import time
from collections.abc import Callable
from functools import partial

from algohost.agent.loop import Loop
from algohost.agent.runs import Run
from algohost.runner import bootstrap
from algohost.runner.journal import Fact
from algohost.runner.messages import LaunchSpec
from algohost.runner.processes import Processes, errno_words
from algohost.runner.system import system


class LaunchError(Exception):
    """A run could not be launched; the sentence says why."""


class FreshLauncher:
    """Starts interpreters that become runs once their start is on disk."""

    def __init__(
        self, loop: Loop, processes: Processes, *, require: Callable[[Fact], None]
    ) -> None:
        self._loop = loop
        self._processes = processes
        self._require = require

    def launch(self, run: Run, spec: LaunchSpec, request: bytes) -> None:
        """Launches; then ``run`` has its pid, its handle and its status descriptor.

        The child gets its request only after the ``started`` fact is written, and ends by
        itself where it gets none. Raises ``LaunchError``.
        """
        pipes: list[int] = []
        try:
            pipes += os.pipe()
            pipes += os.pipe()
            pid = self._spawn(spec, request=pipes[0], status=pipes[3])
            ticks = self._processes.start_ticks(pid)
            fact = {"fact": "started", "pid": pid, "ticks": ticks, "at": time.time()}
            self._require({**fact, "run": run.run_id, "zygote": None})
        except OSError as error:
            for descriptor in pipes:
                os.close(descriptor)
            interpreter = spec.interpreter or "the agent's Python"
            raise LaunchError(f"Could not start {interpreter}: {errno_words(error)}.") from error
        request_read, request_write, status_read, status_write = pipes
        os.close(request_read)
        os.close(status_write)
        run.apply(fact)
        run.status = status_read
        run.handle = None if ticks is None else self._processes.open(pid, ticks)
        if system.SELECTS_PIPES:
            system.unblock(request_write)
            self._send(request_write, request)
        else:
            args = (request_write, request)
            threading.Thread(target=_write_aside, args=args, daemon=True).start()

    def _spawn(self, spec: LaunchSpec, *, request: int, status: int) -> int:
        process = system.start_fresh(
            bootstrap.command(spec.interpreter, "algohost.runner.launch"),
            stdin=request,
            stdout=status,
            env=bootstrap.start_environment(spec.env),
        )
        process.returncode = 0  # the watcher reaps, with the process's memory and time
        return process.pid

    def _send(self, descriptor: int, rest: bytes, _events: int = 0) -> None:
        """Writes what the pipe takes now, and goes on when it takes more."""
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            pass
        except OSError:  # the child is gone; its end is seen as such
            rest = b""
        if rest:
            ready = partial(self._send, descriptor, rest)
            self._loop.watch(descriptor, selectors.EVENT_WRITE, ready)
        else:
            self._loop.forget(descriptor)
            os.close(descriptor)


def _write_aside(descriptor: int, rest: bytes) -> None:
    """Writes and closes, in a thread of its own."""
    with contextlib.suppress(OSError):  # the child is gone; its end is seen as such
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    os.close(descriptor)

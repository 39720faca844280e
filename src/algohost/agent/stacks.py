"""Where a busy run spends its time: its stack, asked for a few times without stopping it.

The other half is ``runner.whereabouts``. The signal goes to the thread that has used most of the
processor since the last one (Linux 6.9 and later; else to the process, whose main thread takes
it), and only while the run handles it and still has its FIFO open.
"""

import contextlib
import os
import signal
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from algohost.agent.loop import Loop
from algohost.agent.runs import Run
from algohost.runner import whereabouts
from algohost.runner.measures import Stack
from algohost.runner.processes import Processes, caught_signals, errno_words
from algohost.runner.records import record_path

SAMPLES: Final = 7
_BETWEEN_SECONDS: Final = 0.1
_ANSWER_SECONDS: Final = 0.05
_MOST_BYTES: Final = 65536
_THREAD_PIDFD: Final = os.O_EXCL if hasattr(os, "O_EXCL") else 0

Done = Callable[[tuple[Stack, ...], str | None], None]
"""Called with the stacks, and with why there is none where there is none."""


class _CannotAskError(Exception):
    """Why a run cannot be asked, in a sentence."""


@dataclass(eq=False)
class _Asking:
    run: Run
    path: str
    done: list[Done]
    left: int = SAMPLES
    ticks: dict[int, int] = field(default_factory=dict)
    stacks: list[Stack] = field(default_factory=list)


class Stacks:
    """Asks runs where they are."""

    def __init__(self, loop: Loop, processes: Processes, state_dir: Path) -> None:
        self._loop = loop
        self._processes = processes
        self._state_dir = state_dir
        self._asking: dict[str, _Asking] = {}

    def ask(self, run: Run, done: Done) -> None:
        """Takes some samples of a run, which takes under a second, and then calls ``done``."""
        known = self._asking.get(run.run_id)
        if known is not None:
            known.done.append(done)
            return
        path = whereabouts.path_of(str(record_path(self._state_dir, run.run_id)))
        asking = self._asking[run.run_id] = _Asking(run, path, [done])
        asking.ticks = _ticks_of_threads(run.pid)
        self._loop.later(_BETWEEN_SECONDS, lambda: self._take(asking))

    def _take(self, asking: _Asking) -> None:
        asking.left -= 1
        try:
            descriptor = self._open(asking)
            try:
                self._signal(asking)
            except BaseException:
                os.close(descriptor)
                raise
        except _CannotAskError as why:
            self._finish(asking, str(why))
        except OSError as error:
            self._finish(asking, f"The run could not be asked: {errno_words(error)}.")
        else:
            self._loop.later(_ANSWER_SECONDS, lambda: self._hear(asking, descriptor))

    def _open(self, asking: _Asking) -> int:
        """Our end of the FIFO, emptied."""
        number, run = whereabouts.sample_signal(), asking.run
        if number is None or run.pid is None or run.handle is None or run.has_ended:
            raise _CannotAskError("The run has no process that could be asked.")
        caught = caught_signals(run.pid)
        if caught is None or not caught >> (number - 1) & 1:
            raise _CannotAskError("The script has taken the signal that asks for itself.")
        if sys.platform == "win32":
            raise _CannotAskError("This system has no signal that could ask.")
        flags = os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            os.close(os.open(asking.path, os.O_WRONLY | flags))  # ENXIO where nobody has it open
            descriptor = os.open(asking.path, os.O_RDONLY | flags)
        except OSError as error:
            raise _CannotAskError("The script has closed what it would answer on.") from error
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise _CannotAskError("The script has replaced what it would answer on.")
        _drain(descriptor)
        return descriptor

    def _signal(self, asking: _Asking) -> None:
        run, number = asking.run, whereabouts.sample_signal()
        assert run.handle is not None
        assert number is not None
        now = _ticks_of_threads(run.pid)
        used = {tid: ticks - asking.ticks.get(tid, 0) for tid, ticks in now.items()}
        asking.ticks = now
        busiest = max(used, key=lambda tid: (used[tid], tid == run.pid), default=run.pid)
        if busiest != run.pid and busiest is not None and _signal_thread(run.pid, busiest, number):
            return
        self._processes.signal(run.handle, number)

    def _hear(self, asking: _Asking, descriptor: int) -> None:
        try:
            written = _drain(descriptor)
        finally:
            os.close(descriptor)
        asking.stacks += whereabouts.parse(written)[:1]
        if asking.left > 0 and not asking.run.has_ended:
            self._loop.later(_BETWEEN_SECONDS, lambda: self._take(asking))
        else:
            self._finish(asking, None if asking.stacks else "The run did not answer.")

    def _finish(self, asking: _Asking, why: str | None) -> None:
        self._asking.pop(asking.run.run_id, None)
        if asking.stacks:
            why = None
        for done in asking.done:
            done(tuple(asking.stacks), why)


def _signal_thread(pid: int | None, tid: int, number: int) -> bool:
    """Whether the kernel can hold one thread, and that one was still there."""
    if sys.platform != "linux":
        return False
    try:
        descriptor = os.pidfd_open(tid, _THREAD_PIDFD)
    except OSError:
        return False
    try:
        if not os.path.exists(f"/proc/{pid}/task/{tid}"):  # after the hold: not another's by now
            return False
        signal.pidfd_send_signal(descriptor, number)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _ticks_of_threads(pid: int | None) -> dict[int, int]:
    """What each thread has used so far, by its id."""
    ticks = {}
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{name}/stat", "rb") as file:
                text = file.read()
                fields = text[text.rindex(b")") + 2 :].split()
                ticks[int(name)] = int(fields[11]) + int(fields[12])
    return ticks


def _drain(descriptor: int) -> bytes:
    """What is there now, up to a bound: another writer could go on for ever."""
    data = b""
    while len(data) < _MOST_BYTES:
        try:
            part = os.read(descriptor, _MOST_BYTES)
        except BlockingIOError:
            break
        if not part:
            break
        data += part
    return data

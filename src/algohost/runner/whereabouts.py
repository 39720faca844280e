"""Where a run's code is at the moment, asked from outside without stopping it.

The child registers ``faulthandler`` on a real-time signal, with a FIFO that the agent can read.
The handler is C: it writes the interrupted thread's own stack and returns; no Python code runs,
and the kernel restarts an interrupted system call (``SA_RESTART``). A FIFO, because it takes no
disk, holds at most what the kernel gives a pipe, outlives the agent, and says whether the run
still has it open: a script that closed all descriptors is never written to.
"""

import contextlib
import os
import re
import signal
import sys
from typing import Final

from algohost.runner.measures import CodeLine, Stack

DESCRIPTOR: Final = 200
"""Where the run holds its end: far above what a script opens first."""
_MOST_BYTES: Final = 65536
_FRAME: Final = re.compile(rb'^  File "(.{1,1000})", line (\d{1,9}) in (.{1,500})$')


def sample_signal() -> int | None:
    """The signal that asks; ``None`` where the system has no real-time signals."""
    if sys.platform != "linux":
        return None
    return signal.SIGRTMAX - 2


def path_of(record: str) -> str:
    """Where the FIFO of the run with that exit record is."""
    return f"{record}.lines"


def offer(record: str) -> None:
    """Makes this process answer. Without effect where the system cannot; the run goes on."""
    number = sample_signal()
    if sys.platform == "win32":
        return
    if number is None or not record:
        return
    import faulthandler

    path = path_of(record)
    with contextlib.suppress(OSError, ValueError):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.mkfifo(path, 0o600)
        # both ends in one: without the agent there is still a reader, and so never a SIGPIPE
        opened = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            held = _moved(opened)
        finally:
            os.close(opened)
        faulthandler.register(number, file=held, all_threads=False, chain=False)


def rehearse() -> None:
    """Does what ``offer`` does, and makes nobody answer."""
    number = sample_signal()
    if sys.platform == "win32" or number is None:
        return
    import faulthandler

    faulthandler.register(number, file=2, all_threads=False, chain=False)
    faulthandler.unregister(number)


def _moved(opened: int) -> int:
    if sys.platform == "win32":
        return opened
    import fcntl

    try:
        return fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, DESCRIPTOR)
    except OSError:  # fewer descriptors are allowed
        return fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, 3)


def parse(written: bytes) -> tuple[Stack, ...]:
    """The stacks that a run has written, each innermost first; what is none is left out.

    Whoever holds the FIFO can write to it: the answer is a hint for a person, nothing else.
    """
    stacks: list[Stack] = []
    for part in written[:_MOST_BYTES].split(b"(most recent call first):\n")[1:]:
        frames = []
        for line in part.split(b"\n"):
            match = _FRAME.match(line)
            if match is None:
                break
            file, number, function = match.groups()
            frames.append(
                CodeLine(
                    file=file.decode(errors="replace"),
                    line=int(number),
                    function=function.decode(errors="replace"),
                )
            )
        if frames:
            stacks.append(tuple(frames))
    return tuple(stacks)

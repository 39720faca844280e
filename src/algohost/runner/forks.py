"""Forks of the zygote, and what the two sides say to each other before the first step of a run."""

import contextlib
import ctypes
import os
import select
import signal
import socket
import struct
import sys
from dataclasses import dataclass
from typing import Final

from algohost.runner.request import SETUP_FAILED

assert sys.platform != "win32"

_GIVEN: Final = b"R"
_GO: Final = b"G"
_MASK_BYTES: Final = 128
"""Of a set of signals; one of zeros blocks none."""


class NotSingleThreadedError(RuntimeError):
    """A fork would copy a process whose other threads are gone and whose locks may be held."""


@dataclass(frozen=True, kw_only=True)
class Fork:
    """A child and a connection to it; in the child itself its pid is 0, and the other end."""

    pid: int
    socket: socket.socket

    # ---- in the zygote

    def hand_over(self, request: int, status: int) -> bool:
        """Gives a child that was forked ahead its launch. ``False``: it was killed, and is gone."""
        try:
            os.kill(self.pid, signal.SIGCONT)  # our own child; somebody may have stopped it
            socket.send_fds(self.socket, [_GIVEN], [request, status])
        except OSError:
            self.end()
            return False
        return True

    def let_go(self) -> None:
        """The start is on disk: the child may run the script. Raises ``OSError`` if it is gone."""
        self.socket.send(_GO)

    def end(self) -> None:
        """Ends a child that no launch was let go with, and reaps it."""
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)  # our own child, not waited for yet
            os.waitpid(self.pid, 0)
        self.socket.close()

    # ---- in the child

    def wait_for_launch(self) -> tuple[int, int]:
        """The descriptors of request and status. A child that nobody needs any more ends here.

        So does one that is sent a signal while it waits: it was meant for this process, and
        not for the run that it may be some day.
        """
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # the launch sets every signal anew
        _wait_open_to_signals(self.socket.fileno())
        try:
            given, descriptors, _, _ = socket.recv_fds(self.socket, len(_GIVEN), 2)
        except OSError:  # the zygote was killed: seldom a plain end
            os._exit(0)
        if given != _GIVEN or len(descriptors) != 2:
            os._exit(SETUP_FAILED if given else 0)
        return descriptors[0], descriptors[1]

    def wait_for_go(self) -> None:
        """Returns when the start is on disk; ends the child where it could not be written."""
        try:
            said = self.socket.recv(len(_GO))
        except OSError:
            said = b""
        if said != _GO:
            os._exit(SETUP_FAILED)
        self.socket.close()


def fork() -> Fork:
    """A child, with every signal blocked in it. Raises ``OSError``."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
    except OSError:
        ours.close()
        theirs.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        raise
    if pid == 0:
        ours.close()
        return Fork(pid=0, socket=theirs)
    theirs.close()
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    return Fork(pid=pid, socket=ours)


def _wait_open_to_signals(descriptor: int) -> None:
    """Returns when there is something to read, with every signal blocked as before.

    Where something is there already, a signal stays for whoever opens to signals next.
    """
    poll = getattr(ctypes.CDLL(None), "ppoll", None)
    if poll is None:  # macOS
        return
    wanted = ctypes.create_string_buffer(struct.pack("=ihh", descriptor, select.POLLIN, 0))
    poll(wanted, ctypes.c_ulong(1), None, ctypes.create_string_buffer(_MASK_BYTES))


def read_all(descriptor: int) -> bytes:
    """What a memory file holds, from its beginning; the descriptor is closed."""
    with open(descriptor, "rb") as file:
        file.seek(0)
        return file.read()


def check_single_threaded() -> None:
    """Raises ``NotSingleThreadedError``."""
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise NotSingleThreadedError(
            f"The zygote has {threads} threads and will not fork: an imported package starts them."
        )

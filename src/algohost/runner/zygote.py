"""The warm process that forks runs: one per interpreter, single-threaded, parent of its runs.

It holds no secret and decides nothing. A request is one datagram on a ``SOCK_SEQPACKET``
socket with the descriptor of a memory file beside it, which only the child reads. For each
fork it writes ``started`` to the journal, then lets the child go, then tells its controller;
for each exit it writes ``exited``, then tells. So no line of a script runs before its start
is on disk, and what happens while no agent lives is known.

Its controller is the agent. A new one is answered only when the older ones have been drained
and closed: after ``hello`` the journal is the truth. Killing the zygote leaves its runs alone.
"""

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from algohost.runner import child, confine, warm
from algohost.runner.frames import ZYGOTE_PROTOCOL
from algohost.runner.journal import Journal
from algohost.runner.processes import Processes, errno_words, exit_pair
from algohost.runner.request import SETUP_FAILED

assert sys.platform != "win32"

_PATIENCE_SECONDS: Final = 60.0
_LARGEST_DATAGRAM: Final = 64 * 1024


class NotSingleThreadedError(RuntimeError):
    """A fork would copy a process whose other threads are gone and whose locks may be held."""


@dataclass(eq=False)
class _Controller:
    """One connection of an agent."""

    socket: socket.socket
    is_current: bool = False
    unsent: deque[tuple[bytes, tuple[int, ...]]] = field(default_factory=deque)


class Zygote:
    """Serves fork requests until nobody needs it."""

    def __init__(
        self, listener: socket.socket, journal: Journal, *, patience_seconds: float
    ) -> None:
        self._listener = listener
        self._journal = journal
        self._patience_seconds = patience_seconds
        self._processes = Processes()
        self._selector = selectors.DefaultSelector()
        self._controllers: list[_Controller] = []
        self._children: dict[int, str] = {}
        self._is_leaving = False
        self._left_alone_at = time.monotonic()
        self._wake_read, self._wake_write = os.pipe()
        for descriptor in (self._wake_read, self._wake_write):
            os.set_blocking(descriptor, False)

    def serve(self) -> tuple[bytes, int] | None:
        """Loops; in a forked child, returns its request and status descriptor.

        Returns ``None`` in the zygote itself, when it is to exit.
        """
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_term)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._wake)
        while not self._is_leaving:
            for key, events in self._selector.select(self._wait_seconds()):
                if callable(key.data):
                    key.data()
                    continue
                forked = self._attend(key.data, events)
                if forked is not None:
                    return forked
            self._reap()
            if self._wait_seconds() == 0:
                break
        return None

    def _wait_seconds(self) -> float | None:
        if self._controllers or self._children:
            self._left_alone_at = time.monotonic()
            return None
        return max(0.0, self._left_alone_at + self._patience_seconds - time.monotonic())

    def _on_term(self, *_: object) -> None:
        self._is_leaving = True

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        if not _is_same_user(connection):
            connection.close()
            return
        connection.settimeout(0)
        controller = _Controller(socket=connection)
        self._controllers.append(controller)
        self._selector.register(connection, selectors.EVENT_READ, controller)

    def _attend(self, controller: _Controller, events: int) -> tuple[bytes, int] | None:
        if events & selectors.EVENT_WRITE:
            self._flush(controller)
        if events & selectors.EVENT_READ and controller in self._controllers:
            return self._receive(controller)
        return None

    def _receive(self, controller: _Controller) -> tuple[bytes, int] | None:
        """Handles one datagram; whether there was one is told by the controller being open."""
        try:
            data, descriptors, flags, _ = socket.recv_fds(controller.socket, _LARGEST_DATAGRAM, 4)
        except BlockingIOError:
            return None
        except OSError:  # a peer killed with unread data gives ECONNRESET, not an end of file
            data, descriptors, flags = b"", [], 0
        if not data:
            self._close(controller)
            return None
        try:
            message = json.loads(data)
            order = message["do"]
        except (ValueError, TypeError, KeyError):
            order, message = "", {}
        is_whole = len(descriptors) == 1 and not flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC)
        if order == "launch" and controller.is_current and is_whole:
            return self._launch(controller, message, descriptors[0])
        for descriptor in descriptors:
            os.close(descriptor)
        if order == "hello":
            return self._hello(controller)
        if order == "quit":
            self._is_leaving = True
        else:
            self._tell(controller, {"told": "problem", "message": "That is not a request."})
        return None

    def _hello(self, newcomer: _Controller) -> tuple[bytes, int] | None:
        for older in [one for one in self._controllers if one.is_current and one is not newcomer]:
            while older in self._controllers and _has_more(older.socket):
                forked = self._receive(older)
                if forked is not None:
                    return forked
            self._close(older)
        self._reap()
        newcomer.is_current = True
        about = {
            "protocol": ZYGOTE_PROTOCOL,
            "pid": os.getpid(),
            "children": sorted(self._children.values()),
        }
        self._tell(newcomer, {"told": "hello", **about})
        return None

    def _launch(
        self, controller: _Controller, message: dict[str, Any], request: int
    ) -> tuple[bytes, int] | None:
        run_id = str(message.get("run"))
        pipes: list[int] = []
        try:
            _check_single_threaded()
            pipes += os.pipe()  # go: the child waits for a byte
            pipes += os.pipe()  # status: the child reports to the agent
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            pid = os.fork()
        except (OSError, NotSingleThreadedError) as error:
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            for descriptor in (*pipes, request):
                os.close(descriptor)
            if isinstance(error, OSError):
                self._refuse(controller, run_id, f"Could not fork: {errno_words(error)}.")
            else:
                self._refuse(controller, run_id, str(error), is_for_good=True)
            return None
        go_read, go_write, status_read, status_write = pipes
        if pid == 0:
            os.close(go_write)
            os.close(status_read)
            return self._be_child(request, go_read), status_write
        for descriptor in (go_read, status_write, request):
            os.close(descriptor)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        self._started(controller, run_id, pid, go_write, status_read)
        return None

    def _started(
        self, controller: _Controller, run_id: str, pid: int, go: int, status: int
    ) -> None:
        ticks = self._processes.start_ticks(pid)
        fact = {
            "fact": "started", "run": run_id, "pid": pid, "ticks": ticks, "at": time.time(),
            "zygote": os.getpid(),
        }  # fmt: skip
        try:
            self._journal.append(fact)
        except OSError as error:  # the child finds the pipe closed and ends; nothing has run
            os.close(go)
            os.close(status)
            os.waitpid(pid, 0)
            self._refuse(controller, run_id, f"Could not write the journal: {errno_words(error)}.")
            return
        self._children[pid] = run_id
        descriptors = (os.pidfd_open(pid), status) if hasattr(os, "pidfd_open") else (status,)
        with contextlib.suppress(BrokenPipeError):
            os.write(go, b"G")
        os.close(go)
        self._tell(controller, {"told": "started", **fact}, descriptors)

    def _refuse(
        self, controller: _Controller, run_id: str, why: str, *, is_for_good: bool = False
    ) -> None:
        message = {"told": "refused", "run": run_id, "message": why, "for_good": is_for_good}
        self._tell(controller, message)

    def _be_child(self, request: int, go: int) -> bytes:
        """Leaves nothing of the zygote in the child but its memory; waits for the go."""
        # objects first, numbers later: a selector is a reference cycle, and collected later it
        # would close a number that the script has opened again meanwhile
        signal.set_wakeup_fd(-1)
        for controller in self._controllers:
            controller.socket.close()
        self._listener.close()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        if os.read(go, 1) != b"G":
            os._exit(SETUP_FAILED)
        os.close(go)
        with open(request, "rb") as file:
            file.seek(0)
            return file.read()

    def _reap(self) -> None:
        while self._children:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            run_id = self._children.pop(pid, None)
            if run_id is None:
                continue
            code, number = exit_pair(os.waitstatus_to_exitcode(status))
            unit = 1 if sys.platform == "darwin" else 1024
            fact = {
                "fact": "exited", "run": run_id, "pid": pid, "code": code, "signal": number,
                "peak": usage.ru_maxrss * unit,
                "cpu": round(usage.ru_utime + usage.ru_stime, 3), "at": time.time(),
            }  # fmt: skip
            with contextlib.suppress(OSError):  # a full disk: those who are told write it later
                self._journal.append(fact)
            for controller in list(self._controllers):
                if controller.is_current:
                    self._tell(controller, {"told": "exited", **fact})

    def _tell(
        self, controller: _Controller, message: dict[str, Any], descriptors: tuple[int, ...] = ()
    ) -> None:
        controller.unsent.append((json.dumps(message).encode("ascii"), descriptors))
        self._flush(controller)

    def _flush(self, controller: _Controller) -> None:
        while controller.unsent:
            data, descriptors = controller.unsent[0]
            try:
                socket.send_fds(controller.socket, [data], descriptors)
            except BlockingIOError:
                break
            except OSError:
                self._close(controller)
                return
            controller.unsent.popleft()
            for descriptor in descriptors:
                os.close(descriptor)
        waits = selectors.EVENT_WRITE if controller.unsent else 0
        if controller in self._controllers:
            self._selector.modify(controller.socket, selectors.EVENT_READ | waits, controller)

    def _close(self, controller: _Controller) -> None:
        if controller not in self._controllers:
            return
        self._controllers.remove(controller)
        self._selector.unregister(controller.socket)
        controller.socket.close()
        for _, descriptors in controller.unsent:
            for descriptor in descriptors:
                os.close(descriptor)
        controller.unsent.clear()


def _has_more(connection: socket.socket) -> bool:
    """Whether a datagram is waiting; an end of file is none."""
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except OSError:
        return False


def _is_same_user(connection: socket.socket) -> bool:
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    return bool(uid == os.getuid())


def _check_single_threaded() -> None:
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise NotSingleThreadedError(
            f"The zygote has {threads} threads and will not fork: an imported package starts them."
        )


def main(search_path: list[str]) -> NoReturn:
    """``[socket name] [journal] [patience seconds]``, in the state folder as working folder.

    Says one line of JSON on standard output when it is warm: its pid and what failed.
    """
    _, socket_name, journal_path, patience = sys.argv
    was_cold = warm.is_cold()
    problems = warm.warm()
    if was_cold and not warm.is_cold():
        # compiling has scattered what runs are to share, 2 MB for each: once more, from bytecode
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - our own command line
    confine.prepare()
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
    try:
        _check_single_threaded()
    except NotSingleThreadedError as error:
        _announce({"refused": str(error), "problems": problems})
        sys.exit(1)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    old_mask = os.umask(0o177)
    listener.bind(socket_name)
    os.umask(old_mask)
    listener.listen(8)
    listener.settimeout(0)
    _announce({"ready": os.getpid(), "problems": problems})
    zygote = Zygote(listener, Journal(Path(journal_path)), patience_seconds=float(patience))
    forked = zygote.serve()
    if forked is None:
        with contextlib.suppress(OSError):
            Path(socket_name).unlink()
        os._exit(0)
    del zygote, listener
    gc.collect()
    child.become(*forked, search_path)


def _announce(message: dict[str, Any]) -> None:
    """Says one line to whoever started us, and frees standard output."""
    os.write(1, json.dumps(message).encode("ascii") + b"\n")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.close(null)

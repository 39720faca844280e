"""The warm process that forks runs: one per interpreter, single-threaded, parent of its runs.

It holds no secret and decides nothing. A request is one datagram on a ``SOCK_SEQPACKET``
socket with the descriptor of a memory file beside it, which only the child reads. For each
fork it writes ``started`` to the journal, then lets the child go, then tells its controller;
for each exit it writes ``exited``, then tells. So no line of a script runs before its start
is on disk, and what happens while no agent lives is known.

When nothing else is to be done it forks a child ahead of time, the spare: the next launch finds
it there, and need not wait for a fork. It is a run's process like any other from its launch on,
and nobody's before; it ends with the zygote.

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
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from algohost.runner import child, confine, connections, forks, rehearsal, standing, warm
from algohost.runner.frames import ZYGOTE_PROTOCOL
from algohost.runner.journal import Journal
from algohost.runner.processes import Processes, errno_words, exit_pair

assert sys.platform != "win32"

_PATIENCE_SECONDS: Final = 60.0
_LARGEST_DATAGRAM: Final = 64 * 1024
_SPARE_PAUSE_SECONDS: Final = 0.01
"""Of quiet before a spare is forked: who has just been started has the machine first."""


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
        self._spare: forks.Fork | None = None
        self._may_spare = True
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
            is_short = self._wants_spare()
            happened = self._selector.select(
                _SPARE_PAUSE_SECONDS if is_short else self._wait_seconds()
            )
            for key, events in happened:
                if callable(key.data):
                    key.data()
                    continue
                forked = self._attend(key.data, events)
                if forked is not None:
                    return forked
            self._reap()
            if is_short and not happened:
                forked = self._fork_spare()
                if forked is not None:
                    return forked
            if self._wait_seconds() == 0:
                break
        self._end_spare()
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
        if not connections.is_same_user(connection):
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
            while older in self._controllers and connections.has_more(older.socket):
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
        try:
            forks.check_single_threaded()
            status_read, status_write = os.pipe()  # the child reports to the agent
        except (OSError, forks.NotSingleThreadedError) as error:
            os.close(request)
            self._refuse(controller, run_id, error)
            return None
        spare, self._spare = self._spare, None
        if spare is None or not spare.hand_over(request, status_write):
            try:
                spare = forks.fork()
            except OSError as error:
                for descriptor in (status_read, status_write, request):
                    os.close(descriptor)
                self._refuse(controller, run_id, error)
                return None
            if spare.pid == 0:
                os.close(status_read)
                self._leave_behind()
                spare.wait_for_go()
                return forks.read_all(request), status_write
        self._may_spare = True
        for descriptor in (status_write, request):
            os.close(descriptor)
        self._started(controller, run_id, spare, status_read)
        return None

    # ---- the child that is there before it is needed

    def _wants_spare(self) -> bool:
        is_served = any(one.is_current for one in self._controllers)
        return self._spare is None and self._may_spare and is_served

    def _fork_spare(self) -> tuple[bytes, int] | None:
        """Forks it; in the spare, returns what a forked child returns, once it is launched."""
        try:
            forks.check_single_threaded()
            spare = forks.fork()
        except (OSError, forks.NotSingleThreadedError):
            self._may_spare = False  # a launch forks for itself, and says what is wrong
            return None
        if spare.pid != 0:
            self._spare = spare
            return None
        self._leave_behind()
        rehearsal.rehearse()
        request, status = spare.wait_for_launch()
        spare.wait_for_go()
        return forks.read_all(request), status

    def _end_spare(self) -> None:
        if self._spare is not None:
            self._spare.end()
            self._spare = None

    def _started(
        self, controller: _Controller, run_id: str, forked: forks.Fork, status: int
    ) -> None:
        pid, what = forked.pid, "look at the child"
        try:
            fact = {
                "fact": "started", "run": run_id, "pid": pid, "at": time.time(),
                "ticks": self._processes.start_ticks(pid), "zygote": os.getpid(),
            }  # fmt: skip
            what = "write the journal"
            self._journal.append(fact)
        except OSError as error:  # nothing has run
            os.close(status)
            forked.end()
            why = f"Could not {what}: {errno_words(error)}."
            self._tell(controller, _refusal(run_id, why))
            return
        self._children[pid] = run_id
        descriptors: tuple[int, ...] = (status,)
        with contextlib.suppress(OSError, AttributeError):  # else the agent looks for itself
            descriptors = (os.pidfd_open(pid), status)
        with contextlib.suppress(OSError):  # it was killed: its end is heard of as any other
            forked.let_go()
        forked.socket.close()
        self._tell(controller, {"told": "started", **fact}, descriptors)

    def _refuse(self, controller: _Controller, run_id: str, error: Exception) -> None:
        if isinstance(error, OSError):
            refusal = _refusal(run_id, f"Could not fork: {errno_words(error)}.")
        else:
            refusal = _refusal(run_id, str(error), is_for_good=True)
        self._tell(controller, refusal)

    def _leave_behind(self) -> None:
        """Leaves nothing of the zygote in the child but its memory."""
        # objects first, numbers later: a selector is a reference cycle, and collected later it
        # would close a number that the script has opened again meanwhile
        signal.set_wakeup_fd(-1)
        for controller in self._controllers:
            controller.socket.close()
        self._listener.close()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        if self._spare is not None:
            self._spare.socket.close()
        standing.prepare()  # nothing here is a secret yet

    def _reap(self) -> None:
        while self._children or self._spare is not None:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._spare is not None and pid == self._spare.pid:
                # somebody has killed it, or it cannot live: no other one before the next launch
                self._spare.socket.close()
                self._spare, self._may_spare = None, False
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


def _refusal(run_id: str, why: str, *, is_for_good: bool = False) -> dict[str, Any]:
    return {"told": "refused", "run": run_id, "message": why, "for_good": is_for_good}


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
    standing.shut()
    try:
        forks.check_single_threaded()
    except forks.NotSingleThreadedError as error:
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

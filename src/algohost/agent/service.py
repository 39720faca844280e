"""The agent's side of the socket: a fixed table of commands, and nothing by name lookup.

A request is ``{"id": n, "do": command, …}``; its answer carries the same ``id`` and either
``ok`` with fields or ``error`` with a code and a sentence. The first is ``hello``. A frame
that is none is answered with an error and the connection is closed; the agent goes on.
"""

import logging
import os
import selectors
import signal
import socket
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Protocol

from algohost.agent.loop import Loop
from algohost.agent.runs import Run
from algohost.agent.stacks import Done
from algohost.agent.table import Table
from algohost.agent.transport import Listener
from algohost.runner import frames
from algohost.runner.measures import Stack, Usage, stacks_to_json
from algohost.runner.messages import LaunchSpec
from algohost.runner.parse import MessageError

log = logging.getLogger(__name__)

_ACCEPT_PAUSE_SECONDS: Final = 0.2
_MOST_UNSENT_BYTES: Final = 8 << 20
_RUNS_A_FRAME: Final = 500
_LONGEST_GRACE_SECONDS: Final = 3600.0
_SIGNALS: Final = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT, "AUTO": 0}


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, code: str, message: str, **more: object) -> None:
        super().__init__(message)
        self.code = code
        self.more = more


class Owner(Protocol):
    """What the commands act on."""

    def start(self, spec: LaunchSpec) -> Run:
        """The run of that id."""

    def stop(self, run: Run, number: int, grace_seconds: float, by: str) -> None:
        """Begins its stop."""

    def status(self) -> dict[str, Any]:
        """Facts about the agent itself."""

    def warm(self, interpreter: str | None, settled: Callable[[str | None], None]) -> None:
        """Makes a zygote ready."""

    def measure(self) -> None:
        """Somebody has begun to listen to what the runs use."""

    def where(self, run: Run, done: Done) -> None:
        """Where its code is at the moment."""

    def breach(self, run: Run, limit: str, why: str) -> None:
        """Stops it for what it does."""

    def shut_down(self, done: Callable[[], None], *, is_with_runs: bool) -> None:
        """Ends the agent after ``done`` was called."""


@dataclass(eq=False)
class Connection:
    """One peer."""

    socket: socket.socket
    decoder: frames.Decoder = field(default_factory=frames.Decoder)
    unsent: bytearray = field(default_factory=bytearray)
    has_said_hello: bool = False
    is_subscribed: bool = False
    usage_seconds: float | None = None
    """How often it wants to hear what the runs use; ``None`` is never."""
    is_closing: bool = False


class Service:
    """Accepts connections and answers them."""

    def __init__(self, listener: Listener, loop: Loop, table: Table, owner: Owner) -> None:
        self._listener = listener
        self._loop = loop
        self._table = table
        self._owner = owner
        self._connections: set[Connection] = set()
        self._waiting: dict[str, list[tuple[Connection, object]]] = defaultdict(list)
        self._commands: Final[dict[str, Callable[[Connection, dict[str, Any]], None]]] = {
            "hello": self._hello,
            "start": self._start,
            "stop": self._stop,
            "list": self._list,
            "subscribe": self._subscribe,
            "forget": self._forget,
            "warm": self._warm,
            "where": self._where,
            "breach": self._breach,
            "status": self._status,
            "shutdown": self._shutdown,
        }
        table.listen(self._changed)
        self._listen()

    def _listen(self) -> None:
        self._loop.watch(self._listener.door.fileno(), selectors.EVENT_READ, self._accept)

    def _accept(self, _events: int) -> None:
        try:
            peer, _ = self._listener.door.accept()
        except OSError as error:
            log.warning("accept_failed errno=%s", error.errno)
            self._loop.forget(self._listener.door.fileno())
            self._loop.later(
                _ACCEPT_PAUSE_SECONDS, self._listen
            )  # no descriptors left, most likely
            return
        if not self._listener.admits(peer):
            peer.close()
            return
        peer.settimeout(0)
        connection = Connection(socket=peer)
        self._connections.add(connection)
        self._watch(connection)

    def _watch(self, connection: Connection) -> None:
        reads = 0 if connection.is_closing else selectors.EVENT_READ
        events = reads | (selectors.EVENT_WRITE if connection.unsent else 0)
        if events:
            self._loop.watch(connection.socket.fileno(), events, partial(self._attend, connection))
        else:
            self._close(connection)

    def _attend(self, connection: Connection, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._flush(connection)
        if events & selectors.EVENT_READ and connection in self._connections:
            self._receive(connection)

    def _receive(self, connection: Connection) -> None:
        try:
            data = connection.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        try:
            for message in connection.decoder.feed(data):
                self._obey(connection, message)
                if connection.is_closing or connection not in self._connections:
                    return
        except frames.FrameError as error:
            self._refuse(connection, None, Refusal("bad_frame", str(error)), is_last=True)

    def _obey(self, connection: Connection, message: dict[str, Any]) -> None:
        name, number = message.get("do"), message.get("id")
        command = self._commands.get(name) if isinstance(name, str) else None
        if not connection.has_said_hello and name != "hello":
            command = _hello_first
        try:
            (command or _unknown)(connection, message)
        except Refusal as refusal:
            is_last = not connection.has_said_hello
            self._refuse(connection, number, refusal, is_last=is_last)
        except MessageError as error:
            self._refuse(connection, number, Refusal("bad_request", str(error)))
        except Exception as error:
            self._refuse(connection, number, Refusal("internal", f"The agent failed: {error!r}."))
            raise  # the loop logs and counts it

    def _hello(self, connection: Connection, message: dict[str, Any]) -> None:
        if not self._listener.knows(message.get("token")):
            raise Refusal("unauthorized", "The token of the hello is not this agent's.")
        problem = frames.protocol_problem(message)
        if problem is not None:
            raise Refusal("protocol", problem, protocol=list(frames.PROTOCOL))
        connection.has_said_hello = True
        self._answer(connection, message, protocol=list(frames.PROTOCOL), pid=os.getpid())

    def _start(self, connection: Connection, message: dict[str, Any]) -> None:
        run = self._owner.start(LaunchSpec.from_json(message.get("spec")))
        if run.is_settled:
            self._answer(connection, message, run=run.fact().to_json())
        else:
            self._waiting[run.run_id].append((connection, message.get("id")))

    def _stop(self, connection: Connection, message: dict[str, Any]) -> None:
        number = _SIGNALS.get(str(message.get("signal", "SIGTERM")))
        grace, by = message.get("grace_seconds"), message.get("by")
        if number is None:
            raise Refusal("bad_request", "A stop begins with SIGTERM, SIGINT or AUTO.")
        if isinstance(grace, bool) or not isinstance(grace, int | float):
            raise Refusal("bad_request", "grace_seconds is not a number.")
        if not 0 <= grace <= _LONGEST_GRACE_SECONDS:
            raise Refusal("bad_request", f"grace_seconds is not in 0 to {_LONGEST_GRACE_SECONDS}.")
        if not isinstance(by, str):
            raise Refusal("bad_request", "by does not say who asked.")
        run = self._table.runs.get(str(message.get("run_id")))
        if run is None:
            raise Refusal("unknown_run", "The agent has no run of that id.")
        self._owner.stop(run, number, float(grace), by[:200])
        self._answer(connection, message, run=run.fact().to_json())

    def _list(self, connection: Connection, message: dict[str, Any]) -> None:
        runs = [run.fact().to_json() for run in self._table.runs.values()]
        while True:
            part, runs = runs[:_RUNS_A_FRAME], runs[_RUNS_A_FRAME:]
            self._answer(connection, message, runs=part, more=bool(runs))
            if not runs:
                return

    def _subscribe(self, connection: Connection, message: dict[str, Any]) -> None:
        seconds = message.get("usage_seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float | None):
            raise Refusal("bad_request", "usage_seconds is not a number.")
        self._list(connection, message)
        connection.is_subscribed = True
        connection.usage_seconds = seconds
        if seconds is not None:
            self._owner.measure()

    @property
    def usage_seconds(self) -> float | None:
        """The shortest interval that a subscriber wants; ``None`` where there is none."""
        return min(
            (one.usage_seconds for one in self._connections if one.usage_seconds is not None),
            default=None,
        )

    def tell_usage(self, usage: Usage) -> None:
        """Tells every subscriber that wants to hear it, a bounded number of runs a frame."""
        listeners = [one for one in self._connections if one.usage_seconds is not None]
        for start in range(0, len(usage.samples), _RUNS_A_FRAME):
            part = replace(usage, samples=usage.samples[start : start + _RUNS_A_FRAME])
            event = {"event": "usage", **part.to_json()}
            for connection in listeners:
                self._send(connection, event)

    def _where(self, connection: Connection, message: dict[str, Any]) -> None:
        def done(stacks: tuple[Stack, ...], why: str | None) -> None:
            self._answer(connection, message, stacks=stacks_to_json(stacks), problem=why)

        self._owner.where(self._run_of(message), done)

    def _breach(self, connection: Connection, message: dict[str, Any]) -> None:
        limit, why = message.get("limit"), message.get("why")
        if limit != "health" or not isinstance(why, str):
            raise Refusal("bad_request", "Only health is asked from outside, with a sentence why.")
        run = self._run_of(message)
        self._owner.breach(run, limit, why[:400])
        self._answer(connection, message, run=run.fact().to_json())

    def _run_of(self, message: dict[str, Any]) -> Run:
        run = self._table.runs.get(str(message.get("run_id")))
        if run is None:
            raise Refusal("unknown_run", "The agent has no run of that id.")
        return run

    def _forget(self, connection: Connection, message: dict[str, Any]) -> None:
        ids = message.get("run_ids")
        if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
            raise Refusal("bad_request", "run_ids is not a list of texts.")
        self._answer(connection, message, kept=self._table.forget(ids))

    def _warm(self, connection: Connection, message: dict[str, Any]) -> None:
        interpreter = message.get("interpreter")
        if interpreter is not None and not isinstance(interpreter, str):
            raise Refusal("bad_request", "interpreter is not a text.")
        self._owner.warm(interpreter, lambda why: self._answer(connection, message, problem=why))

    def _status(self, connection: Connection, message: dict[str, Any]) -> None:
        self._answer(connection, message, **self._owner.status())

    def _shutdown(self, connection: Connection, message: dict[str, Any]) -> None:
        is_with_runs = message.get("stop_runs")
        if not isinstance(is_with_runs, bool):
            raise Refusal("bad_request", "stop_runs is not true or false.")
        self._owner.shut_down(lambda: self._answer(connection, message), is_with_runs=is_with_runs)

    def _changed(self, run: Run) -> None:
        if run.is_settled:
            for connection, number in self._waiting.pop(run.run_id, []):
                self._answer(connection, {"id": number}, run=run.fact().to_json())
        listeners = [one for one in self._connections if one.is_subscribed]
        if listeners:
            event = {"event": "run", "run": run.fact().to_json()}
            for connection in listeners:
                self._send(connection, event)

    def _answer(self, connection: Connection, message: dict[str, Any], **fields: Any) -> None:
        self._send(connection, {"id": message.get("id"), "ok": True, **fields})

    def _refuse(
        self, connection: Connection, number: object, refusal: Refusal, *, is_last: bool = False
    ) -> None:
        error = {"code": refusal.code, "message": str(refusal), **refusal.more}
        connection.is_closing = connection.is_closing or is_last
        self._send(connection, {"id": number, "error": error})

    def _send(self, connection: Connection, message: dict[str, Any]) -> None:
        if connection not in self._connections:
            return
        connection.unsent += frames.encode(message)
        if len(connection.unsent) > _MOST_UNSENT_BYTES:
            log.warning("peer_too_slow unsent_bytes=%d", len(connection.unsent))
            self._close(connection)
        else:
            self._flush(connection)

    def _flush(self, connection: Connection) -> None:
        try:
            while connection.unsent:
                sent = connection.socket.send(connection.unsent)
                del connection.unsent[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._close(connection)
            return
        self._watch(connection)

    def _close(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.discard(connection)
            self._loop.forget(connection.socket.fileno())
            connection.socket.close()


def _hello_first(_connection: Connection, _message: dict[str, Any]) -> None:
    raise Refusal("hello_first", "The first frame of a connection is hello.")


def _unknown(_connection: Connection, message: dict[str, Any]) -> None:
    raise Refusal("unknown_command", f"There is no command {str(message.get('do'))[:80]!r}.")

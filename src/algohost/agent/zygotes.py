"""The zygotes of this agent: one warm process for each interpreter, started when first wanted.

Requests to a zygote that is still warming wait for it. A zygote that dies is started again
at the next use; its runs go on. What had been sent to it is found in the journal, or had no
effect and is sent again. An interpreter whose zygote cannot serve is served without one.
"""

import logging
import os
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from algohost.agent import zygote_link
from algohost.agent.loop import Loop, Timer
from algohost.agent.runs import Run
from algohost.runner import bootstrap
from algohost.runner.processes import KILL, Handle, Processes, errno_words, hash_of

log = logging.getLogger(__name__)

WARM_SECONDS: Final = 60.0
_UNUSABLE_SECONDS: Final = 60.0


@dataclass(eq=False)
class Zygote:
    """One zygote, from being started to being gone."""

    key: str
    interpreter: str
    socket_name: str
    link: zygote_link.Link | None = None
    pid: int | None = None
    is_ready: bool = False
    is_gone: bool = False
    waiting: deque[tuple[Run, bytes]] = field(default_factory=deque)
    in_flight: dict[str, tuple[Run, bytes]] = field(default_factory=dict)
    output: bytes = b""
    timer: Timer | None = None
    on_settled: list[Callable[[str | None], None]] = field(default_factory=list)


class Zygotes:
    """Starts, finds and talks to zygotes. The state folder is the working folder."""

    def __init__(self, loop: Loop, processes: Processes, *, patience_seconds: float) -> None:
        self._loop = loop
        self._processes = processes
        self._patience_seconds = patience_seconds
        self._all: list[Zygote] = []
        self._unusable: dict[str, tuple[str, float]] = {}
        self.on_told: Callable[[dict[str, Any], list[int]], None] = lambda _message, _fds: None
        """Called with what a zygote tells of a run and the descriptors that came with it."""
        self.on_fallback: Callable[[Run, bytes, str], None] = lambda _run, _request, _why: None
        """Called with a run that no zygote can launch, its request, and a sentence."""
        self.on_lost: Callable[[list[tuple[Run, bytes]]], None] = lambda _in_flight: None
        """Called with what waited for a zygote's answer when it died, sent or not."""

    def pids(self) -> set[int]:
        """The pids of all zygotes."""
        return {zygote.pid for zygote in self._all if zygote.pid is not None}

    def has(self, pid: int) -> bool:
        """Whether that zygote lives and talks to us."""
        return any(zygote.pid == pid and zygote.is_ready for zygote in self._all)

    def describe(self) -> list[dict[str, Any]]:
        """For ``status``."""
        return [
            {"pid": zygote.pid, "interpreter": zygote.interpreter, "is_ready": zygote.is_ready}
            for zygote in self._all
        ]

    def why_unusable(self, interpreter: str | None) -> str | None:
        """Why an interpreter has no zygote for now; ``None`` where it may have one."""
        if not zygote_link.IS_POSSIBLE:
            return zygote_link.NO_ZYGOTES
        why, until = self._unusable.get(_key(interpreter), (None, 0.0))
        return why if time.monotonic() < until else None

    def launch(self, run: Run, request: bytes, interpreter: str | None) -> None:
        """Has a run forked; the answer comes by ``on_told``, ``on_fallback`` or ``on_lost``."""
        zygote = self._of(interpreter)
        if zygote is not None:
            zygote.waiting.append((run, request))
            self._send(zygote)
        else:
            why = self.why_unusable(interpreter) or "The zygote could not be started."
            self._loop.soon(lambda: self.on_fallback(run, request, why))

    def cancel(self, run: Run) -> bool:
        """Takes back a launch that no zygote has been sent yet; whether there was one."""
        for zygote in self._all:
            for item in zygote.waiting:
                if item[0] is run:
                    zygote.waiting.remove(item)
                    return True
        return False

    def warm(self, interpreter: str | None, settled: Callable[[str | None], None]) -> None:
        """Makes sure that a zygote is there; ``settled`` is told ``None`` or why it is not."""
        zygote = self._of(interpreter)
        if zygote is None:
            settled(self.why_unusable(interpreter) or "The zygote could not be started.")
        elif zygote.is_ready:
            settled(None)
        else:
            zygote.on_settled.append(settled)

    def find(self, state_dir: Path) -> None:
        """Takes over the zygotes that an earlier agent has left. Blocks until each answered.

        One that does not answer is killed: it might obey its earlier agent later. Its runs go on.
        """
        for path in sorted(state_dir.glob("zygote-*.sock")):
            key = path.name.split("-")[1]
            zygote = Zygote(key=key, interpreter="", socket_name=path.name)
            try:
                link = zygote_link.connect(path.name, timeout_seconds=5.0)
            except OSError:
                path.unlink(missing_ok=True)
                continue
            zygote.pid = link.peer_pid()
            if link.is_answering(timeout_seconds=5.0):
                self._all.append(zygote)
                self._connected(zygote, link)
                log.info("zygote_found pid=%s", zygote.pid)
            else:
                log.warning("zygote_does_not_answer pid=%s", zygote.pid)
                link.close()
                _kill(self._processes, zygote.pid)
                path.unlink(missing_ok=True)

    def retire(self, *, in_use: set[int], are_all: bool) -> None:
        """Asks zygotes to exit that are no longer parents of anything.

        All of them, or just those of an earlier release: a run keeps its zygote, the next run
        gets one of this release. So are those whose interpreter was removed.
        """
        for zygote in self._all:
            is_earlier = not zygote.key.endswith(f"{_release():08x}")
            is_removed = zygote.interpreter != "" and not Path(zygote.interpreter).exists()
            is_due = are_all or is_earlier or is_removed
            if is_due and zygote.link is not None and zygote.pid not in in_use:
                zygote.link.send({"do": "quit"})

    def _of(self, interpreter: str | None) -> Zygote | None:
        key = _key(interpreter)
        for zygote in self._all:
            if zygote.key == key and not zygote.is_gone:
                return zygote
        if self.why_unusable(interpreter) is not None:
            return None
        return self._spawn(key, interpreter or sys.executable)

    def _spawn(self, key: str, interpreter: str) -> Zygote | None:
        name = f"zygote-{key}-{os.urandom(4).hex()}.sock"
        command = bootstrap.command(
            interpreter,
            "algohost.runner.zygote",
            name,
            "journal.jsonl",
            str(self._patience_seconds),
        )
        try:
            read, write = os.pipe()
        except OSError as error:
            self._give_up(key, f"Could not start a zygote: {errno_words(error)}.")
            return None
        try:
            process = subprocess.Popen(  # noqa: S603 - the interpreter that a spec names
                command,
                stdin=subprocess.DEVNULL,
                stdout=write,
                env=bootstrap.zygote_environment(),
                start_new_session=True,
            )
        except OSError as error:
            os.close(read)
            self._give_up(key, f"Could not start {interpreter}: {errno_words(error)}.")
            return None
        finally:
            os.close(write)
        process.returncode = 0  # the watcher reaps
        zygote = Zygote(key=key, interpreter=interpreter, socket_name=name, pid=process.pid)
        self._all.append(zygote)
        self._loop.watch_pipe(read, lambda _events: self._warmed(zygote, read))
        zygote.timer = self._loop.later(WARM_SECONDS, partial(_kill_pid, zygote.pid))
        return zygote

    def _warmed(self, zygote: Zygote, descriptor: int) -> None:
        data = os.read(descriptor, 65536)
        zygote.output += data
        if data and b"\n" not in zygote.output:
            return
        self._loop.forget(descriptor)
        os.close(descriptor)
        if zygote.timer is not None:
            zygote.timer.cancel()
        why = zygote_link.problem_of(zygote.output)
        if why is None:
            try:
                self._connected(zygote, zygote_link.connect(zygote.socket_name, timeout_seconds=5))
            except OSError as error:
                why = f"Could not reach the zygote: {errno_words(error)}."
        if why is not None:
            self._give_up(zygote.key, why)
            self._gone(zygote)
            return
        if zygote.link is not None:
            zygote.link.send({"do": "hello"})

    def _connected(self, zygote: Zygote, link: zygote_link.Link) -> None:
        zygote.link = link
        zygote.is_ready = link.has_answered
        link.socket.settimeout(0)
        self._watch(zygote)

    def _watch(self, zygote: Zygote) -> None:
        if zygote.link is not None:
            waits = selectors.EVENT_WRITE if zygote.waiting and zygote.is_ready else 0
            self._loop.watch(
                zygote.link.socket.fileno(),
                selectors.EVENT_READ | waits,
                partial(self._attend, zygote),
            )

    def _attend(self, zygote: Zygote, events: int) -> None:
        if events & selectors.EVENT_READ and zygote.link is not None:
            for message, descriptors in zygote.link.receive():
                self._handle(zygote, message, descriptors)
            if zygote.link.is_closed:
                self._gone(zygote)
        if events & selectors.EVENT_WRITE and not zygote.is_gone:
            self._send(zygote)

    def _handle(self, zygote: Zygote, message: dict[str, Any], descriptors: list[int]) -> None:
        told = message.get("told")
        if told == "hello":
            zygote.is_ready = True
            log.info("zygote_ready pid=%s interpreter=%s", zygote.pid, zygote.interpreter)
            self._settle(zygote, None)
            self._send(zygote)
            return
        sent = zygote.in_flight.pop(str(message.get("run")), None)
        if told == "refused" and sent is not None and message.get("for_good"):
            self._unusable[zygote.key] = (message["message"], time.monotonic() + _UNUSABLE_SECONDS)
            self.on_fallback(*sent, message["message"])
        else:
            self.on_told(message, descriptors)

    def _send(self, zygote: Zygote) -> None:
        if zygote.link is None or not zygote.is_ready:
            return
        while zygote.waiting:
            run, request = zygote.waiting[0]
            try:
                is_sent = zygote.link.send_request({"do": "launch", "run": run.run_id}, request)
            except OSError as error:
                zygote.waiting.popleft()
                self._refuse(run, f"Could not pass the request on: {errno_words(error)}.")
                continue
            if not is_sent:
                break
            zygote.waiting.popleft()
            zygote.in_flight[run.run_id] = (run, request)
        self._watch(zygote)

    def _refuse(self, run: Run, why: str) -> None:
        message = {"told": "refused", "run": run.run_id, "message": why}
        self._loop.soon(lambda: self.on_told(message, []))

    def _settle(self, zygote: Zygote, why: str | None) -> None:
        for settled in zygote.on_settled:
            settled(why)
        zygote.on_settled.clear()

    def _give_up(self, key: str, why: str) -> None:
        log.warning("zygote_unusable why=%r", why)
        self._unusable[key] = (why, time.monotonic() + _UNUSABLE_SECONDS)

    def _gone(self, zygote: Zygote) -> None:
        """The zygote is dead or as good as: make sure, then look after what it was sent."""
        zygote.is_gone, zygote.is_ready = True, False
        self._all.remove(zygote)
        log.info("zygote_gone pid=%s", zygote.pid)
        if zygote.link is not None:
            self._loop.forget(zygote.link.socket.fileno())
            zygote.link.close()
        _kill(self._processes, zygote.pid)
        Path(zygote.socket_name).unlink(missing_ok=True)
        why = self.why_unusable(zygote.interpreter)
        self._settle(zygote, why or "The zygote has died.")
        self.on_lost([*zygote.in_flight.values(), *zygote.waiting])


def _key(interpreter: str | None) -> str:
    """Names an interpreter, and the release of our code that its zygote has loaded."""
    return f"{hash_of(interpreter or sys.executable):08x}{_release():08x}"


@cache
def _release() -> int:
    """Stands for the code that zygotes started by this agent run."""
    paths = sorted(Path(bootstrap.__file__).parent.rglob("*.py"))
    facts = (f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in paths)
    return hash_of("\n".join(facts))


def _kill_pid(pid: int | None) -> None:
    if pid is not None:
        os.kill(pid, KILL)


def _kill(processes: Processes, pid: int | None) -> None:
    """Ends a zygote and waits until it has; its runs are not touched."""
    ticks = None if pid is None else processes.start_ticks(pid)
    handle: Handle | None = None if pid is None or ticks is None else processes.open(pid, ticks)
    if handle is None:
        return
    try:
        processes.signal(handle, KILL)
        deadline = time.monotonic() + 2.0
        while not processes.has_ended(handle) and time.monotonic() < deadline:
            time.sleep(0.001)
    finally:
        handle.close()

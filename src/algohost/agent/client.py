"""The server's side of the socket, for asyncio.

AgentError
├── AgentUnavailable   no agent answers, or the connection is lost
└── AgentRefused       it answers, and says why not; ``code`` is for programs
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from algohost.agent import transport
from algohost.runner import frames
from algohost.runner.measures import Stack, Usage, stacks_from_json
from algohost.runner.messages import LaunchSpec, RunFact


class AgentError(Exception):
    """The root."""


class AgentUnavailable(AgentError):
    """No agent answers; its runs, if any, go on."""


class AgentRefused(AgentError):
    """The agent answers with a sentence."""

    def __init__(self, code: str, message: str, *, protocol: frames.Version | None = None) -> None:
        """``protocol`` is what an agent speaks that does not speak ours."""
        super().__init__(message)
        self.code = code
        self.protocol = protocol


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All runs that an agent knows, at the moment from which changes follow."""

    runs: tuple[RunFact, ...]


@dataclass(frozen=True, kw_only=True)
class Whereabouts:
    """Where a run's code was, at a few moments."""

    stacks: tuple[Stack, ...]
    problem: str | None
    """Why there is none, in a sentence."""


class AgentClient:
    """One connection. Requests may be made from several tasks at once.

    Every method raises ``AgentUnavailable`` once the connection is lost; then the agent has
    either carried the request out or not, and asking again is safe for all of them.
    """

    def __init__(
        self, state_dir: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._state_dir = state_dir
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Queue[dict[str, Any] | None]] = {}
        self._events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._is_lost = False
        self._receiver = asyncio.create_task(self._receive())

    @classmethod
    async def connect(
        cls,
        state_dir: Path,
        *,
        timeout_seconds: float = 5.0,
        protocol: frames.Version = frames.PROTOCOL,
    ) -> Self:
        """Connects and agrees on the protocol; in another one than ours say ``shutdown`` only.

        Raises ``AgentUnavailable`` where nobody answers in time and ``AgentRefused`` where the
        agent is of a release that cannot be talked to.
        """
        try:
            connection, token = await asyncio.to_thread(
                transport.connect, state_dir, timeout_seconds=timeout_seconds
            )
        except (OSError, ValueError) as error:
            raise AgentUnavailable(f"No agent answers in {state_dir}: {error}.") from error
        connection.settimeout(0)
        reader, writer = await asyncio.open_connection(sock=connection)
        client = cls(state_dir, reader, writer)
        hello = {"protocol": list(protocol), "token": token}
        try:
            async with asyncio.timeout(timeout_seconds):
                await client._ask("hello", **hello)
        except TimeoutError as error:
            await client.close()
            raise AgentUnavailable(f"The agent in {state_dir} does not say hello.") from error
        except AgentError:
            await client.close()
            raise
        return client

    async def start(self, spec: LaunchSpec) -> RunFact:
        """Starts a run; returns when its script is about to run, or could not be started.

        A run id that the agent knows starts nothing: its fact is returned, whatever the spec.
        """
        answer = await self._ask("start", spec=spec.to_json())
        return RunFact.from_json(answer["run"])

    async def stop(
        self,
        run_id: str,
        *,
        signal: Literal["SIGTERM", "SIGINT", "AUTO"] = "AUTO",
        grace_seconds: float,
        by: str,
    ) -> RunFact:
        """Begins the stop of a run and returns; its end is an event.

        AUTO is SIGTERM where the script handles it, else SIGINT, as Ctrl+C by hand.

        Raises ``AgentRefused`` with code ``unknown_run``.
        """
        answer = await self._ask(
            "stop", run_id=run_id, signal=signal, grace_seconds=grace_seconds, by=by
        )
        return RunFact.from_json(answer["run"])

    async def breach(self, run_id: str, *, why: str) -> RunFact:
        """Stops a run for its health: it ends as a failure, with that sentence as its reason.

        Raises ``AgentRefused`` with code ``unknown_run``.
        """
        answer = await self._ask("breach", run_id=run_id, limit="health", why=why)
        return RunFact.from_json(answer["run"])

    async def where(self, run_id: str) -> Whereabouts:
        """Where a run's code is: a few samples of its stack, within a second.

        Raises ``AgentRefused`` with code ``unknown_run``.
        """
        answer = await self._ask("where", run_id=run_id)
        problem = answer["problem"]
        return Whereabouts(
            stacks=stacks_from_json(answer["stacks"]),
            problem=None if problem is None else str(problem),
        )

    async def list(self) -> tuple[RunFact, ...]:
        """All runs that the agent knows and nobody has forgotten."""
        return await self._ask_runs("list")

    async def events(
        self, *, usage_seconds: float | None = None
    ) -> AsyncIterator[Snapshot | RunFact | Usage]:
        """First a snapshot, then the new fact of each run that changes, without a gap.

        With ``usage_seconds`` also what all live runs use, about so often. Has a connection of
        its own. Raises ``AgentUnavailable`` when that is lost.
        """
        listener = await type(self).connect(self._state_dir)
        try:
            async for event in listener._listen(usage_seconds):  # noqa: SLF001 - of our own class
                yield event
        finally:
            await listener.close()

    async def forget(self, run_ids: Iterable[str]) -> Sequence[str]:
        """Drops runs that have ended; returns the ids of those that live and were kept."""
        answer = await self._ask("forget", run_ids=[*run_ids])
        return [str(run_id) for run_id in answer["kept"]]

    async def warm(self, interpreter: str | None = None) -> str | None:
        """Makes the zygote of an interpreter ready; returns why there is none, or ``None``."""
        problem = (await self._ask("warm", interpreter=interpreter))["problem"]
        return None if problem is None else str(problem)

    async def status(self) -> dict[str, Any]:
        """What the agent says of itself: its pid, memory, zygotes and numbers of runs."""
        answer = await self._ask("status")
        return {name: value for name, value in answer.items() if name not in ("id", "ok")}

    async def shutdown(self, *, stop_runs: bool) -> None:
        """Ends the agent: after its runs, or leaving them to go on without it."""
        await self._ask("shutdown", stop_runs=stop_runs)

    async def hung_up(self) -> None:
        """Returns when the agent has let the connection go, as it does at its end."""
        await asyncio.wait({self._receiver})

    async def close(self) -> None:
        """Hangs up; the agent and its runs go on."""
        self._receiver.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._receiver
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        self._lose()

    async def _listen(
        self, usage_seconds: float | None
    ) -> AsyncIterator[Snapshot | RunFact | Usage]:
        wish = {} if usage_seconds is None else {"usage_seconds": usage_seconds}
        yield Snapshot(runs=await self._ask_runs("subscribe", **wish))
        while True:
            event = await self._events.get()
            if event is None:
                raise AgentUnavailable("The connection to the agent is lost.")
            if event["event"] == "usage":
                yield Usage.from_json(event)
            else:
                yield RunFact.from_json(event["run"])

    async def _ask_runs(self, command: str, **fields: Any) -> tuple[RunFact, ...]:
        number, answers = await self._send(command, fields)
        facts: list[RunFact] = []
        try:
            while True:
                answer = _checked(await answers.get())
                facts += [RunFact.from_json(run) for run in answer["runs"]]
                if not answer["more"]:
                    return tuple(facts)
        finally:
            self._answers.pop(number, None)

    async def _ask(self, command: str, **fields: Any) -> dict[str, Any]:
        number, answers = await self._send(command, fields)
        try:
            return _checked(await answers.get())
        finally:
            self._answers.pop(number, None)

    async def _send(
        self, command: str, fields: dict[str, Any]
    ) -> tuple[int, asyncio.Queue[dict[str, Any] | None]]:
        if self._is_lost:
            raise AgentUnavailable("The connection to the agent is lost.")
        number = next(self._numbers)
        answers = self._answers[number] = asyncio.Queue()
        try:
            self._writer.write(frames.encode({"id": number, "do": command, **fields}))
            await self._writer.drain()
        except OSError as error:
            self._answers.pop(number, None)
            raise AgentUnavailable("The connection to the agent is lost.") from error
        return number, answers

    async def _receive(self) -> None:
        decoder = frames.Decoder()
        try:
            while data := await self._reader.read(65536):
                for message in decoder.feed(data):
                    self._pass_on(message)
        except (OSError, frames.FrameError):
            pass
        finally:
            self._lose()

    def _pass_on(self, message: dict[str, Any]) -> None:
        if "event" in message:
            self._events.put_nowait(message)
            return
        number = message.get("id")
        if isinstance(number, int) and number in self._answers:
            self._answers[number].put_nowait(message)

    def _lose(self) -> None:
        if not self._is_lost:
            self._is_lost = True
            for waiting in (*self._answers.values(), self._events):
                waiting.put_nowait(None)


def _checked(answer: dict[str, Any] | None) -> dict[str, Any]:
    if answer is None:
        raise AgentUnavailable("The connection to the agent is lost.")
    error = answer.get("error")
    if error is not None:
        code, message = str(error["code"]), str(error["message"])
        raise AgentRefused(code, message, protocol=_spoken(error) if code == "protocol" else None)
    return answer


def _spoken(error: dict[str, Any]) -> frames.Version:
    match error.get("protocol"):
        case [int(major), int(minor)]:
            return major, minor
        case _:
            return frames.FIRST_PROTOCOL

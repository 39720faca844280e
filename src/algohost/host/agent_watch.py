"""The server's end of the line to the agent: keeps it open, and mirrors what the agent knows.

The line breaks when the agent dies; then nothing is concluded about any run until a new agent
has adopted them and sent its snapshot.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from algohost.agent.client import (
    AgentClient,
    AgentError,
    AgentRefused,
    AgentUnavailable,
    Snapshot,
    Whereabouts,
)
from algohost.agent.daemon import ensure_agent
from algohost.domain.decide import Sighting
from algohost.domain.ids import RunId
from algohost.domain.runs import Run
from algohost.runner.measures import Usage
from algohost.runner.messages import Launcher, LaunchSpec, RunFact
from algohost.runner.system import system

log = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 0.2
_AGENT_START_SECONDS: Final = 15.0
_ANSWER_SECONDS: Final = 60.0
"""For what is answered in milliseconds; a cold start of 100 runs takes a few seconds."""


class AgentWatch:
    """Facts by run id, true as of the last message, while ``is_connected``."""

    def __init__(
        self,
        state_dir: Path,
        *,
        launcher: Launcher = "zygote",
        usage_seconds: float | None = None,
    ) -> None:
        self._state_dir = state_dir
        self._usage_seconds = usage_seconds
        self._usage_listener: Callable[[Usage], None] = lambda _usage: None
        self._launcher = launcher
        self._warming: asyncio.Task[None] | None = None
        self._client: AgentClient | None = None
        self._facts: dict[str, RunFact] = {}
        self._listener: Callable[[str], None] = lambda _run_id: None
        self._connected: Callable[[], None] = lambda: None
        self.losses = 0
        self.usage_failures = 0

    @property
    def is_connected(self) -> bool:
        """Whether the agent answers and its snapshot has been read."""
        return self._client is not None

    @property
    def boot_id(self) -> str | None:
        """The present boot of this machine, which is the agent's, too."""
        return system.OwnProcesses().boot_id()

    def on_change(self, listener: Callable[[str], None], connected: Callable[[], None]) -> None:
        """Whom to tell: ``listener`` of each run's new fact, ``connected`` of each new line."""
        self._listener, self._connected = listener, connected

    def on_usage(self, listener: Callable[[Usage], None]) -> None:
        """Whom to tell what the live runs use, every ``usage_seconds``."""
        self._usage_listener = listener

    async def where(self, run_id: RunId) -> Whereabouts:
        """Where the code of a run is. Raises ``AgentError``."""
        with _answered_in_time():
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await self._line().where(run_id)

    async def breach(self, run_id: RunId, *, why: str) -> None:
        """Stops a run for its health; ``why`` becomes its reason. Raises ``AgentError``."""
        with _answered_in_time():
            async with asyncio.timeout(_ANSWER_SECONDS):
                self._hear(await self._line().breach(run_id, why=why))

    def fact(self, run_id: RunId) -> RunFact | None:
        """The newest that is known of a run."""
        return self._facts.get(run_id)

    def facts(self) -> tuple[RunFact, ...]:
        """The newest of every run that the agent knows."""
        return tuple(self._facts.values())

    def sighting(self, run: Run | None) -> Sighting:
        """What the agent says of a run."""
        if not self.is_connected:
            return Sighting.UNSEEN
        fact = self._facts.get(run.id) if run else None
        if fact is None:
            return Sighting.UNKNOWN
        return Sighting.STOPPING if fact.state == "stopping" else Sighting.ALIVE

    async def start(self, spec: LaunchSpec) -> None:
        """Launches; the fact is known when this returns. Raises ``AgentUnavailable``."""
        with _answered_in_time():
            async with asyncio.timeout(_ANSWER_SECONDS):
                self._hear(await self._line().start(spec))

    async def stop(self, run_id: RunId, *, grace_seconds: float, by: str) -> None:
        """Begins the stop ladder. Raises ``AgentUnavailable``."""
        # a refusal: it forgot the run, and the next look sees that
        with contextlib.suppress(AgentRefused), _answered_in_time():
            async with asyncio.timeout(_ANSWER_SECONDS):
                self._hear(await self._line().stop(run_id, grace_seconds=grace_seconds, by=by))

    async def forget(self, run_ids: list[str]) -> None:
        """Lets the agent drop runs whose end is on our disk."""
        for run_id in run_ids:
            self._facts.pop(run_id, None)
        if self._client is not None and run_ids:
            with contextlib.suppress(AgentUnavailable):
                await self._client.forget(run_ids)

    async def status(self) -> dict[str, object]:
        """What the agent says of itself. Raises ``AgentUnavailable``."""
        return dict(await self._line().status())

    async def shut_down(self, *, stop_runs: bool) -> None:
        """Ends the agent, and every run first where ``stop_runs`` says so."""
        await self._line().shutdown(stop_runs=stop_runs)

    async def watch(self) -> None:
        """Holds the line for as long as the task runs; starts an agent where none answers."""
        while True:
            try:
                client = await ensure_agent(self._state_dir, timeout_seconds=_AGENT_START_SECONDS)
                try:
                    await self._listen(client)
                finally:
                    self._client = None
                    await client.close()
            except (AgentError, OSError) as error:
                self.losses += 1
                log.warning("agent_away reason=%s", error)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _listen(self, client: AgentClient) -> None:
        async for event in client.events(usage_seconds=self._usage_seconds):
            if isinstance(event, Snapshot):
                self._facts = {fact.run_id: fact for fact in event.runs}
                self._client = client
                log.info("agent_connected runs=%d", len(event.runs))
                self._connected()
                if self._launcher == "zygote":
                    self._warming = asyncio.create_task(self._warm(client))
            elif isinstance(event, Usage):
                self._measured(event)
            else:
                self._hear(event)
                self._listener(event.run_id)

    def _measured(self, usage: Usage) -> None:
        """Figures for people: whatever is wrong with them, the line to the agent stays."""
        try:
            self._usage_listener(usage)
        except Exception:
            self.usage_failures += 1
            log.exception("usage_failed count=%d", self.usage_failures)

    async def _warm(self, client: AgentClient) -> None:
        """Has the zygote ready before the first start asks for it."""
        with contextlib.suppress(AgentError):
            problem = await client.warm()
            if problem is not None:
                log.warning("zygote_unusable reason=%s", problem)

    def _hear(self, fact: RunFact) -> None:
        known = self._facts.get(fact.run_id)
        if known is None or known.state != "ended":  # an answer may come after the event
            self._facts[fact.run_id] = fact

    def _line(self) -> AgentClient:
        if self._client is None:
            raise AgentUnavailable("The agent does not answer.")
        return self._client


@contextlib.contextmanager
def _answered_in_time() -> Iterator[None]:
    """An agent that hangs is no better than none: whoever waits for it holds a strategy's lock."""
    try:
        yield
    except TimeoutError as error:
        raise AgentUnavailable("The agent does not answer in time.") from error

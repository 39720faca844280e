"""What the agent is given for a launch, made ready while the run's row is on its way to disk."""

import asyncio

from algohost.domain.ids import RunId
from algohost.domain.runs import Run
from algohost.domain.strategies import Strategy
from algohost.host.environments import Environments
from algohost.host.launch import Launching
from algohost.host.launch_values import LaunchVariables
from algohost.runner.messages import LaunchSpec
from algohost.store import strategies as stored_strategies
from algohost.store.database import Database


class Preparing:
    """Specs of runs that are about to be launched. On the server's loop only."""

    def __init__(
        self,
        *,
        database: Database,
        variables: LaunchVariables,
        environments: Environments,
        launching: Launching,
    ) -> None:
        self._database = database
        self._variables = variables
        self._environments = environments
        self._launching = launching
        self._begun: dict[RunId, asyncio.Task[LaunchSpec]] = {}

    def begin(self, run: Run, strategy: Strategy, token: str) -> None:
        """Begins with a run whose commit has begun as well: both take about as long."""
        self._begun[run.id] = asyncio.create_task(self._made(run, strategy, token))

    def drop(self, run_id: RunId) -> None:
        """Forgets what was begun: the run is not launched now, and may be another one later."""
        begun = self._begun.pop(run_id, None)
        if begun is not None:
            begun.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def spec(self, run: Run, strategy: Strategy, token: str) -> LaunchSpec:
        """What was begun, or else made now.

        Raises ``VaultProblem`` where its secrets cannot be opened, ``Invalid`` where it cannot be
        launched as its settings say.
        """
        begun = self._begun.pop(run.id, None)
        return await (begun if begun is not None else self._made(run, strategy, token))

    async def _made(self, run: Run, strategy: Strategy, token: str) -> LaunchSpec:
        interpreter = await self._environments.interpreter(strategy, run.id)
        return await asyncio.to_thread(self._spec, run, strategy, token, interpreter)

    def _spec(
        self, run: Run, strategy: Strategy, token: str, interpreter: str | None
    ) -> LaunchSpec:
        """In a thread: many files take a while to be read and put there, secrets to be opened."""
        content = self._database.read(lambda c: stored_strategies.content(c, run.version_id))
        values = self._variables.for_launch(strategy.id)
        return self._launching.spec(
            run,
            strategy,
            content,
            token,
            variables=values.plain,
            secrets=values.secret,
            interpreter=interpreter,
        )

"""Environments of strategies: made when they are asked for, once, and kept while they are used.

A strategy that asks for packages of its own waits behind a gate until they are there, and is
started by itself then. Where its owner is no administrator, packages are resolved and nothing
of them is made or run before an administrator has allowed them. What could not be made is not
tried again until the requirements change or somebody asks: the whole of what uv said is kept.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from algohost.domain.errors import Conflict, Invalid, Unavailable
from algohost.domain.ids import RunId, StrategyId
from algohost.domain.ports import Clock
from algohost.domain.strategies import Gate, Strategy
from algohost.domain.users import User
from algohost.host import requirements
from algohost.host.environment_allowing import Allowances, Proposed, proposed
from algohost.host.environment_asking import Asking
from algohost.host.environment_folders import EnvironmentFacts, EnvironmentFolders
from algohost.host.environment_making import Maker, Making
from algohost.host.environment_places import Places, remove_quietly
from algohost.host.environment_views import EnvironmentView, Listed, State
from algohost.host.registry import Registry
from algohost.host.requirements import Requirements
from algohost.host.views import StrategyView
from algohost.store import audit
from algohost.store import environments as stored
from algohost.store.database import Database

log = logging.getLogger(__name__)

_AT_ONCE: Final = 2
_PROGRESS_SECONDS: Final = 0.2
_TIDY_SECONDS: Final = 6 * 3600.0

Listener = Callable[[StrategyId], None]


class Environments:
    """Makes environments and says how they stand. Used on the server's loop only."""

    def __init__(
        self,
        *,
        clock: Clock,
        database: Database,
        registry: Registry,
        folders: EnvironmentFolders,
        may_build: bool,
        keep_days: int,
    ) -> None:
        self._clock = clock
        self._database = database
        self._registry = registry
        self._folders = folders
        self._leftovers = folders.leftovers()
        self._on_disk = Places(folders, self._live_runs)
        self._keep_days = keep_days
        self._asking = Asking(database, registry)
        self._resolved = dict(database.read(stored.all_resolved))
        self._allowances = Allowances(clock, database)
        self._making: dict[str, Making] = {}
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._maker = Maker(
            clock=clock,
            folders=folders,
            places=self._on_disk,
            allowances=self._allowances,
            may_build=may_build,
            say=self._say,
        )
        self._listeners: list[Listener] = []
        self._seen = {view.strategy.id: view.strategy.version_id for view in registry}
        self._learning: set[asyncio.Task[None]] = set()
        self._unlisten = (
            registry.listen(self._heard),
            registry.listen_removed(lambda strategy_id, _owner: self._forget(strategy_id)),
        )

    async def run(self) -> None:
        """Removes what nobody has used for long; ends when its task is cancelled."""
        try:
            for place in self._leftovers:
                await asyncio.to_thread(remove_quietly, place)
            while True:
                await asyncio.sleep(_TIDY_SECONDS)
                try:
                    await self.prune(unused_days=self._keep_days)
                except Exception:  # a full disk today must not end the tidying for good
                    log.exception("environments_not_pruned")
        finally:
            for unlisten in self._unlisten:
                unlisten()
            tasks = [one.task for one in self._making.values() if one.task is not None]
            tasks.extend(self._learning)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls ``listener`` with each strategy whose environment changed, until undone."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    # ---- looking

    async def look(self, strategy: Strategy) -> EnvironmentView:
        """``view``, once the disk was looked at: the files of a new version, the environment."""
        await asyncio.to_thread(self._look, strategy)
        return self.view(strategy)

    def view(self, strategy: Strategy) -> EnvironmentView:
        """How the strategy's environment stood when it was looked at last; nothing is begun."""
        typed = self._asking.typed(strategy)
        try:
            asked = self._asking.of(strategy)
        except Invalid as refused:
            return EnvironmentView(state=State.FAILED, typed=typed, error=refused.message)
        if asked is None:
            return EnvironmentView(state=State.BUILT_IN, typed=typed)
        making, known = self._making.get(asked.id), self._resolved.get(asked.id)
        state, error, line = State.NOT_MADE, "", ""
        facts: EnvironmentFacts | None = None
        if making is not None:
            state, line = State.MAKING, making.line
        elif known is not None and known.error is not None:
            state, error = State.FAILED, known.error
        elif known is not None and known.key is not None:
            if not self._allowances.may_use(strategy, known.key):
                return EnvironmentView(
                    state=State.NOT_ALLOWED, typed=typed, asked=asked, proposed=proposed(known)
                )
            facts = self._folders.known(known.key)
            state = State.NOT_MADE if facts is None else State.READY
        return EnvironmentView(
            state=state,
            typed=typed,
            asked=asked,
            facts=facts,
            allowed=self._allowances.of(facts.key if facts is not None else None),
            line=line,
            error=error,
        )

    async def listing(self) -> Sequence[Listed]:
        """Every environment on disk, the most lately used first."""
        await asyncio.to_thread(self._asking.learn_all)
        wanted = self._wanting()
        found = []
        for key in await asyncio.to_thread(self._folders.all_keys):
            facts = await asyncio.to_thread(self._folders.facts, key)
            if facts is not None:
                found.append(
                    Listed(
                        facts=facts,
                        used_at=await asyncio.to_thread(self._folders.used_at, key),
                        wanted_by=_names(wanted.get(key, ())),
                        is_in_use=await self._on_disk.is_in_use(key),
                    )
                )
        return sorted(found, key=lambda one: one.used_at, reverse=True)

    def waiting(self) -> Sequence[Proposed]:
        """Every set of packages that a strategy waits for an administrator to allow."""
        known = {one.key: one for one in self._resolved.values()}
        return [
            proposed(known[key], _names(wait))
            for key, strategies in self._wanting().items()
            if (wait := [one for one in strategies if not self._allowances.may_use(one, key)])
        ]

    # ---- allowing

    async def allow(self, by: User, key: str) -> None:
        """Lets strategies of every user have the packages of ``key``; those that wait go on.

        Raises ``Forbidden`` for who is no administrator, and ``Conflict`` where nothing that was
        resolved has that key (any longer).
        """
        known = next((one for one in self._resolved.values() if one.key == key), None)
        await self._allowances.allow(by, known, key=key)
        await asyncio.to_thread(self._asking.learn_all)
        for strategy in self._wanting().get(key, ()):
            self.begin(strategy)
            self._tell({strategy.id})

    # ---- for the reconciler

    async def closed(self, strategy: Strategy) -> tuple[Gate, ...]:
        """As ``GateSource.closed``; has the environment made where that is what is missing."""
        await self.look(strategy)
        gate = self.begin(strategy).gate
        return () if gate is None else (gate,)

    def glance(self, strategy: Strategy) -> tuple[Gate, ...] | None:
        """As ``Glancing.glance``: what asks for nothing has its environment."""
        return () if self._asking.is_known_to_ask_nothing(strategy) else None

    async def interpreter(self, strategy: Strategy, run_id: RunId) -> str | None:
        """The Python that a run is started with; ``None`` is the built-in one.

        Raises ``Unavailable`` where the environment is not there (any longer): no run is started
        with other packages than its strategy asks for.
        """
        if self._asking.is_known_to_ask_nothing(strategy):
            return None
        view = await self.look(strategy)
        if view.state is State.BUILT_IN:
            return None
        if view.state is State.READY and view.facts is not None:
            program = await self._on_disk.use(view.facts.key, run_id)
            if program is not None:
                return program
        sentence = view.gate.sentence if view.gate is not None else "Its environment was removed."
        raise Unavailable(sentence, code="ENVIRONMENT_NOT_THERE")

    # ---- making

    def begin(self, strategy: Strategy) -> EnvironmentView:
        """Has the environment made, unless it is there, on its way, or has failed before."""
        view = self.view(strategy)
        if view.asked is None:
            return view
        if view.state is State.NOT_MADE:
            self._start(view.asked, strategy, is_anew=False)
            view = self.view(strategy)
        if view.state is State.MAKING and view.asked is not None:
            self._making[view.asked.id].strategies.add(strategy.id)
        return view

    async def set_requirements(self, strategy: Strategy, text: str, *, by: User) -> EnvironmentView:
        """Keeps typed requirements, from the next start on. Raises ``Invalid``."""
        checked = requirements.check(text)
        await asyncio.to_thread(self._asking.learn, strategy)
        now = self._clock.now()

        def keep(connection: Connection) -> None:
            stored.set_requirements(connection, strategy.id, checked, at=now)
            audit.note(
                connection, "requirements_set", at=now, by=f"user:{by.name}", subject=strategy.id,
                requirements=checked[:500],
            )  # fmt: skip

        await self._database.write(keep)
        self._asking.type_in(strategy.id, checked)
        await self.look(strategy)
        self.begin(strategy)
        self._tell({strategy.id})
        return self.view(strategy)

    async def make_again(self, strategy: Strategy) -> EnvironmentView:
        """Resolves and makes it anew, whatever is known of it.

        Raises ``Invalid`` where it asks for nothing that could be made, and ``Conflict`` while
        it is being made.
        """
        view = await self.look(strategy)
        if view.asked is None:
            raise Invalid(
                view.error or "It uses the built-in environment, which is made with the program.",
                code="NO_ENVIRONMENT",
            )
        if view.state is State.MAKING:
            raise Conflict("The environment is being made already.", code="BEING_MADE")
        self._start(view.asked, strategy, is_anew=True)
        self.begin(strategy)
        self._tell({strategy.id})
        return self.view(strategy)

    async def prune(self, *, unused_days: int) -> Sequence[str]:
        """Removes what no strategy asks for, no live run uses and nobody used for so long."""
        before = self._clock.now() - timedelta(days=unused_days)
        await asyncio.to_thread(self._asking.learn_all)
        removed = []
        for key in await asyncio.to_thread(self._folders.all_keys):
            if key in self._wanting() or self._maker.is_at(key):
                continue
            if await self._on_disk.remove_unused(key, since=before):
                removed.append(key)
                log.info("environment_removed key=%s", key[:12])
        asked = {one.id for _, one in self._asking.all()} | self._making.keys()
        for known in [one for one in self._resolved.values() if one.wanted not in asked]:
            if known.key is None or self._folders.known(known.key) is None:
                await self._database.write(lambda c, k=known: stored.forget(c, k.wanted))  # type: ignore[misc]
                self._resolved.pop(known.wanted, None)
        return removed

    def _start(self, asked: Requirements, strategy: Strategy, *, is_anew: bool) -> None:
        making = self._making[asked.id] = Making(
            line="Waiting for its turn", is_trusted=self._allowances.is_trusted(strategy)
        )
        making.task = asyncio.create_task(self._make(asked, making, is_anew=is_anew))

    async def _make(self, asked: Requirements, making: Making, *, is_anew: bool) -> None:
        try:
            async with self._places:
                known = None if is_anew else self._resolved.get(asked.id)
                resolved = await self._maker.make(asked, known, making, is_anew=is_anew)
            await self._database.write(lambda c: stored.put(c, resolved))
            self._resolved[asked.id] = resolved
        except Exception:  # the database, most likely: the next look begins anew
            log.exception("environment_not_kept wanted=%s", asked.id[:12])
        finally:
            self._making.pop(asked.id, None)
            self._tell(making.strategies)

    def _look(self, strategy: Strategy) -> None:
        try:
            asked = self._asking.of(strategy)
        except Invalid:
            return
        known = None if asked is None else self._resolved.get(asked.id)
        if known is not None and known.key is not None:
            self._folders.look(known.key)

    def _wanting(self) -> dict[str, list[Strategy]]:
        """The strategies that ask for each environment, by its key."""
        wanting: defaultdict[str, list[Strategy]] = defaultdict(list)
        for strategy, asked in self._asking.all():
            known = self._resolved.get(asked.id)
            if known is not None and known.key is not None:
                wanting[known.key].append(strategy)
        return wanting

    def _live_runs(self) -> set[str]:
        latest = (view.latest for view in self._registry)
        return {run.id for run in latest if run is not None and run.is_live}

    # ---- telling

    def _heard(self, view: StrategyView) -> None:
        """New code may ask for something else: that is made before anybody presses Start."""
        strategy = view.strategy
        if self._seen.get(strategy.id) != strategy.version_id:
            self._seen[strategy.id] = strategy.version_id
            task = asyncio.get_running_loop().create_task(self._learn(strategy))
            self._learning.add(task)
            task.add_done_callback(self._learning.discard)

    async def _learn(self, strategy: Strategy) -> None:
        try:
            await self.look(strategy)
            self.begin(strategy)
        except Exception:  # the database, most likely: a start looks again
            log.exception("requirements_not_read strategy=%s", strategy.id)
        self._tell({strategy.id})

    def _forget(self, strategy_id: StrategyId) -> None:
        self._seen.pop(strategy_id, None)
        self._asking.forget(strategy_id)

    def _say(self, making: Making, line: str) -> None:
        making.line = line.rstrip(".")
        if not making.is_told:
            making.is_told = True
            asyncio.get_running_loop().call_later(_PROGRESS_SECONDS, self._tell_line, making)

    def _tell_line(self, making: Making) -> None:
        making.is_told = False
        self._tell(making.strategies)

    def _tell(self, strategies: set[StrategyId]) -> None:
        for strategy_id in tuple(strategies):
            for listener in tuple(self._listeners):
                listener(strategy_id)


def _names(strategies: Sequence[Strategy]) -> tuple[str, ...]:
    return tuple(sorted(one.name for one in strategies))

"""The one loop that brings reality to intention: observe, decide, act.

It looks at a strategy when something about it changed (a command, a fact from the agent) and at
all unsettled ones every second. Start-up is recovery: the first look after a crash is a look
like any other.
"""

import asyncio
import logging
import secrets
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from algohost.agent.client import AgentError, AgentUnavailable
from algohost.domain.decide import AGENT_AWAY, Conclude, Launch, Start, Stop, Wait, decide
from algohost.domain.errors import AlgohostError
from algohost.domain.ids import RunId, StrategyId
from algohost.domain.ports import Clock
from algohost.domain.runs import Ended, Run, RunEvent, RunState, StopAsked, apply
from algohost.domain.strategies import Gate, Intent, Strategy, Wanted
from algohost.host import tokens
from algohost.host.keeper import RunKeeper
from algohost.host.launch import Launching
from algohost.host.outcomes import events_of
from algohost.host.registry import Registry
from algohost.host.tokens import TokenIndex
from algohost.host.views import StrategyView
from algohost.store import runs as stored_runs
from algohost.store import strategies as stored_strategies
from algohost.store.database import Database

log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 1.0
_AT_ONCE: Final = 32
_MOST_STEPS: Final = 6
"""Enough for a whole life (start, launch, seen, stop, ended) within one visit."""


class Reconciler:
    """Observes and acts; what to do is decided in ``domain.decide``."""

    def __init__(
        self,
        *,
        clock: Clock,
        database: Database,
        registry: Registry,
        agent: RunKeeper,
        launching: Launching,
        token_index: TokenIndex,
        grace_seconds: float,
    ) -> None:
        self._clock = clock
        self._database = database
        self._registry = registry
        self._agent = agent
        self._launching = launching
        self._token_index = token_index
        self._grace_seconds = grace_seconds
        self._dirty: set[StrategyId] = set()
        self._wake = asyncio.Event()
        self._visits: dict[StrategyId, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._minted: dict[RunId, str] = {}
        self.failures = 0
        agent.on_change(self._heard_of_run, self.look_at_all)

    def look_at(self, strategy_id: StrategyId) -> None:
        """Has the loop visit a strategy soon."""
        self._dirty.add(strategy_id)
        self._wake.set()

    def look_at_all(self) -> None:
        """Has the loop visit every strategy, and the agent's runs that no strategy owns."""
        self._dirty.update(view.strategy.id for view in self._registry)
        self._wake.set()

    async def run(self) -> None:
        """The loop; ends when its task is cancelled. Runs are left as they are."""
        try:
            while True:
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):  # wait_for may lose a cancel
                        await self._wake.wait()
                except TimeoutError:
                    self._dirty.update(v.strategy.id for v in self._registry if _is_unsettled(v))
                    self._dirty.update(self._heard_but_not_absorbed())
                    await self._tidy()
                self._wake.clear()
                for strategy_id in tuple(self._dirty - self._visits.keys()):
                    self._dirty.discard(strategy_id)
                    self._begin_visit(strategy_id)
        finally:
            for task in self._visits.values():
                task.cancel()

    async def intend(self, strategy: Strategy, intent: Intent) -> None:
        """Commits a new intent, and with it the run where nothing holds the start back.

        The caller holds the strategy's lock.
        """
        wanted = replace(strategy, intent=intent)
        view = self._registry.find(strategy.id)
        latest = view.latest if view is not None else None
        action = decide(wanted, latest, self._agent.sighting(latest))
        run = self._new_run(wanted) if isinstance(action, Start) else None
        await self._commit(wanted, intent=True, run=run)

    async def stop_unwritten(self, run: Run, *, by: str) -> None:
        """Has the agent end a run although nothing can be written down now.

        Raises ``AgentUnavailable``.
        """
        await self._agent.stop(run.id, grace_seconds=self._grace_seconds, by=by)

    async def step(self, strategy_id: StrategyId) -> bool:
        """One observation, one decision, one act; says whether another step may follow at once.

        The caller holds the strategy's lock.
        """
        view = self._registry.find(strategy_id)
        if view is None:
            return False
        view = await self._absorb(view)
        sighting = self._agent.sighting(view.latest)
        action = decide(view.strategy, view.latest, sighting)
        match action:
            case Start():
                await self._commit(view.strategy, intent=False, run=self._new_run(view.strategy))
            case Launch():
                return await self._launch(view)
            case Stop(run_id=run_id):
                return await self._stop(view, run_id)
            case Conclude(outcome=outcome) if view.latest is not None:
                await self._record(view.latest, Ended(at=self._clock.now(), outcome=outcome))
            case Wait(gates=gates):
                self._registry.put_gates(strategy_id, gates)
                return False
        return True

    def _begin_visit(self, strategy_id: StrategyId) -> None:
        task = asyncio.create_task(self._visit(strategy_id), name=f"visit {strategy_id}")
        self._visits[strategy_id] = task
        task.add_done_callback(lambda _: self._end_visit(strategy_id))

    def _end_visit(self, strategy_id: StrategyId) -> None:
        self._visits.pop(strategy_id, None)
        if strategy_id in self._dirty:  # something happened meanwhile
            self._wake.set()

    async def _visit(self, strategy_id: StrategyId) -> None:
        try:
            async with self._places:
                for _ in range(_MOST_STEPS):
                    async with self._registry.lock(strategy_id):
                        if not await self.step(strategy_id):
                            return
        except (AlgohostError, AgentError, OSError) as error:
            self.failures += 1
            log.warning("reconcile_failed strategy=%s reason=%s", strategy_id, error)
            self._hold_back(strategy_id, _in_words(error))
        except Exception:
            self.failures += 1
            log.exception("reconcile_failed strategy=%s", strategy_id)
            self._hold_back(strategy_id, "Something went wrong inside the server; see its log.")

    def _hold_back(self, strategy_id: StrategyId, sentence: str) -> None:
        """Says on the strategy why nothing moves; the next look tries again."""
        if self._registry.find(strategy_id) is not None:
            self._registry.put_gates(strategy_id, (Gate(code="HOST_TROUBLE", sentence=sentence),))

    async def _absorb(self, view: StrategyView) -> StrategyView:
        run = view.latest
        if run is None or not run.is_live:
            return view
        fact = self._agent.fact(run.id)
        if fact is None:
            return view
        return await self._record(run, *events_of(fact, now=self._clock.now()))

    async def _record(self, run: Run, *events: RunEvent) -> StrategyView:
        after = run
        for event in events:
            after = apply(after, event)
        if after != run:
            await self._database.write(lambda c: stored_runs.update(c, after))
            self._registry.put_run(after)
            log.info("run_%s run=%s strategy=%s", after.state, after.id, after.strategy_id)
        if after.state is RunState.ENDED:
            self._token_index.drop_run_token(after.id)
            await self._agent.forget([after.id])
        view = self._registry.find(run.strategy_id)
        assert view is not None, "the caller holds the lock, so nobody removed it"
        return view

    def _new_run(self, strategy: Strategy) -> Run:
        run = Run(
            id=RunId(secrets.token_hex(8)),
            strategy_id=strategy.id,
            version_id=strategy.version_id,
            intent_number=strategy.intent.number,
            created_at=self._clock.now(),
        )
        return replace(run, log_name=self._launching.log_name(run))

    async def _commit(self, strategy: Strategy, *, intent: bool, run: Run | None) -> None:
        """Intent and run in one transaction: one sync, and no moment with half of it."""
        token, token_hash = tokens.mint()

        def write(connection: Connection) -> None:
            if intent:
                stored_strategies.add_intent(connection, strategy.id, strategy.intent)
            if run is not None:
                stored_runs.insert(connection, run, token_hash=token_hash)

        await self._database.write(write)
        self._registry.put_strategy(strategy)
        if run is not None:
            self._minted[run.id] = token
            self._registry.put_run(run)

    async def _launch(self, view: StrategyView) -> bool:
        run, strategy = view.latest, view.strategy
        assert run is not None, "only a run is launched"
        token = self._minted.pop(run.id, None) or await self._mint_again(run)
        content = self._database.read(lambda c: stored_strategies.content(c, run.version_id))
        self._token_index.add_run_token(tokens.hash_of(token), strategy, run.id)
        try:
            spec = self._launching.spec(run, strategy, content, token)
            await self._agent.start(spec)
        except AgentUnavailable:
            self._registry.put_gates(strategy.id, (AGENT_AWAY,))
            return False
        return True

    async def _mint_again(self, run: Run) -> str:
        """A token for a run whose first one was lost with the server that made it."""
        token, token_hash = tokens.mint()
        await self._database.write(lambda c: stored_runs.set_token_hash(c, run.id, token_hash))
        return token

    async def _stop(self, view: StrategyView, run_id: RunId) -> bool:
        run = view.latest
        assert run is not None, "only a run is stopped"
        by = view.strategy.intent.by if view.strategy.intent.wanted is Wanted.STOPPED else "host"
        is_heard = True
        try:  # the agent first: a disk that is full must not keep a strategy running
            await self._agent.stop(run_id, grace_seconds=self._grace_seconds, by=by)
        except AgentError as error:
            is_heard = False  # the next look asks again
            log.warning("stop_not_heard run=%s reason=%s", run_id, error)
        await self._record(run, StopAsked(at=self._clock.now(), by=by))
        return is_heard

    def _heard_of_run(self, run_id: str) -> None:
        for view in self._registry:
            if view.latest is not None and view.latest.id == run_id:
                self.look_at(view.strategy.id)
                return

    def _heard_but_not_absorbed(self) -> set[StrategyId]:
        return {
            view.strategy.id
            for view in self._registry
            if view.latest is not None
            and view.latest.is_live
            and (fact := self._agent.fact(view.latest.id)) is not None
            and fact.state == "ended"
        }

    async def _tidy(self) -> None:
        """Runs that no live row stands for: ended ones are forgotten, live ones are ended."""
        try:
            await self._end_strangers()
        except AgentUnavailable:
            return  # its runs are looked at when it answers again
        except Exception:  # the loop that all strategies live by outlives one bad look
            self.failures += 1
            log.exception("tidy_failed")

    async def _end_strangers(self) -> None:
        live = {v.latest.id for v in self._registry if v.latest is not None and v.latest.is_live}
        strangers = [fact for fact in self._agent.facts() if fact.run_id not in live]
        await self._agent.forget([fact.run_id for fact in strangers if fact.state == "ended"])
        for fact in strangers:
            if fact.state == "running":
                log.warning("run_without_row run=%s pid=%s", fact.run_id, fact.pid)
                await self._agent.stop(
                    RunId(fact.run_id), grace_seconds=self._grace_seconds, by="host"
                )


def _in_words(error: AlgohostError | AgentError | OSError) -> str:
    match error:
        case AlgohostError():
            return error.message
        case OSError():
            return (
                f"The run cannot be prepared ({error.strerror or error});"
                " look at the disk and the rights of the data directory. It is tried again."
            )
        case _:
            return f"The agent refuses ({error}); see its log. It is tried again."


def _is_unsettled(view: StrategyView) -> bool:
    wanted_live = view.strategy.intent.wanted is Wanted.RUNNING
    run = view.latest
    if run is None or not run.is_live:
        return wanted_live
    return run.state is not RunState.RUNNING or not wanted_live

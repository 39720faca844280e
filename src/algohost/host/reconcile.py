"""The one loop that brings reality to intention: observe, decide, act.

It looks at a strategy when something about it changed (a command, a fact from the agent) and at
all unsettled ones every second. Start-up is recovery: the first look after a crash is a look
like any other.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from sqlalchemy import Connection

from algohost.agent.client import AgentError, AgentUnavailable
from algohost.domain.decide import AGENT_AWAY, Action, Conclude, Launch, Start, Stop, Wait, decide
from algohost.domain.errors import AlgohostError, Invalid
from algohost.domain.ids import RunId, StrategyId
from algohost.domain.ports import Clock
from algohost.domain.restarts import Backoff
from algohost.domain.runs import (
    Ended,
    Outcome,
    OutcomeKind,
    Run,
    RunEvent,
    RunState,
    StopAsked,
    apply,
)
from algohost.domain.strategies import Gate, Intent, Strategy, Wanted
from algohost.domain.strategy_settings import StrategySettings
from algohost.host import tokens
from algohost.host.environments import Environments
from algohost.host.gates import Gates
from algohost.host.keeper import RunKeeper
from algohost.host.launch import Launching
from algohost.host.launch_values import LaunchVariables
from algohost.host.outcomes import events_of, has_words, hidden, trouble_in_words
from algohost.host.preparing import Preparing
from algohost.host.registry import Registry
from algohost.host.strangers import end_strangers
from algohost.host.tokens import TokenIndex
from algohost.host.views import StrategyView
from algohost.store import occurrences as stored_occurrences
from algohost.store import run_logs
from algohost.store import runs as stored_runs
from algohost.store import strategies as stored_strategies
from algohost.store.database import Database
from algohost.store.vault import VaultProblem

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
        variables: LaunchVariables,
        environments: Environments,
        gates: Gates,
        token_index: TokenIndex,
        grace_seconds: float,
        backoff: Backoff = Backoff(),  # noqa: B008 - frozen
        last_lines: Callable[[Run], Sequence[str]] = lambda _run: (),
        hide: Callable[[StrategyId, str], str] = lambda _id, text: text,
    ) -> None:
        """``hide`` takes a strategy's secrets out of a text, in a thread."""
        self._clock = clock
        self._database = database
        self._registry = registry
        self._agent = agent
        self._launching = launching
        self._token_index = token_index
        self._grace_seconds = grace_seconds
        self._backoff = backoff
        self._preparing = Preparing(
            database=database, variables=variables, environments=environments, launching=launching
        )
        self._gates = gates
        self._last_lines = last_lines
        self._hide = hide
        self._dirty: set[StrategyId] = set()
        self._wake = asyncio.Event()
        self._visits: dict[StrategyId, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._minted: dict[RunId, str] = {}
        self._is_running = False
        self.failures = 0
        agent.on_change(self._heard_of_run, self.look_at_all)

    def look_at(self, strategy_id: StrategyId) -> None:
        """Has the loop visit a strategy soon."""
        self._dirty.add(strategy_id)
        self._wake.set()

    async def begin(self, strategy_id: StrategyId) -> None:
        """``look_at``, and lets the visit get as far as it can without waiting.

        So a launch is on its way to the agent before the answer to who asked for it is made.
        """
        if not self._is_running or strategy_id in self._visits:  # it may wait for who asks
            self.look_at(strategy_id)
        else:
            self._dirty.discard(strategy_id)
            self._begin_visit(strategy_id)
        await asyncio.sleep(0)

    def check_settings(self, settings: StrategySettings) -> None:
        """Raises ``Invalid`` for settings that no run may be launched with."""
        self._launching.check(settings)

    def look_at_all(self) -> None:
        """Has the loop visit every strategy, and the agent's runs that no strategy owns."""
        self._dirty.update(view.strategy.id for view in self._registry)
        self._wake.set()

    def look_at_waiting(self, strategy_id: StrategyId | None = None) -> None:
        """Has the loop visit what is not as it should be: one strategy, or all of them."""
        views = self._registry if strategy_id is None else (self._registry.find(strategy_id),)
        self._dirty.update(v.strategy.id for v in views if v is not None and v.is_unsettled)
        self._wake.set()

    async def run(self) -> None:
        """The loop; ends when its task is cancelled. Runs are left as they are."""
        loop = asyncio.get_running_loop()
        look_at = loop.time() + _LOOK_SECONDS
        self._is_running = True
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(look_at):  # wait_for may lose a cancel
                        await self._wake.wait()
                if loop.time() >= look_at:  # also where something wakes it all the time
                    look_at = loop.time() + _LOOK_SECONDS
                    self._dirty.update(v.strategy.id for v in self._registry if v.is_unsettled)
                    self._dirty.update(self._heard_but_not_absorbed())
                    await self._tidy()
                self._wake.clear()
                for strategy_id in tuple(self._dirty - self._visits.keys()):
                    self._dirty.discard(strategy_id)
                    self._begin_visit(strategy_id)
        finally:
            self._is_running = False
            for task in self._visits.values():
                task.cancel()

    async def intend(self, strategy: Strategy, intent: Intent) -> None:
        """Commits a new intent, and with it the run where nothing holds the start back.

        The caller holds the strategy's lock.
        """
        wanted = replace(strategy, intent=intent)
        view = self._registry.find(strategy.id)
        latest = view.latest if view is not None else None
        gates = await self._closed_gates(wanted, latest)
        action = decide(wanted, latest, self._agent.sighting(latest), gates, now=self._clock.now())
        run = self._new_run(wanted, attempt=0) if isinstance(action, Start) else None
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
        action = await self._decide(view)
        match action:
            case Start(attempt=attempt):
                run = self._new_run(view.strategy, attempt=attempt)
                await self._commit(view.strategy, intent=False, run=run)
            case Launch():
                return await self._launch(view)
            case Stop(run_id=run_id):
                return await self._stop(view, run_id)
            case Conclude(outcome=outcome) if view.latest is not None:
                await self._record(view.latest, Ended(at=self._clock.now(), outcome=outcome))
            case Wait(gates=gates, until=until):
                self._registry.put_gates(strategy_id, gates, next_at=until)
                return False
        return True

    async def _decide(self, view: StrategyView) -> Action:
        gates = await self._closed_gates(view.strategy, view.latest)
        return decide(
            view.strategy,
            view.latest,
            self._agent.sighting(view.latest),
            gates,
            now=self._clock.now(),
            earlier=view.earlier,
            backoff=self._backoff,
            boot_id=self._agent.boot_id,
        )

    async def _closed_gates(self, strategy: Strategy, latest: Run | None) -> tuple[Gate, ...]:
        """What holds a start back, looked at only where one may follow."""
        may_start = strategy.intent.wanted is Wanted.RUNNING and not (latest and latest.is_live)
        return await self._gates.closed(strategy) if may_start else ()

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
            self._hold_back(strategy_id, trouble_in_words(error))
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
        boot_id = self._agent.boot_id
        if has_words(fact):  # it said them itself
            hide = partial(self._hide, run.strategy_id)
            fact = await asyncio.to_thread(hidden, fact, hide)
        return await self._record(run, *events_of(fact, now=self._clock.now(), boot_id=boot_id))

    async def _record(self, run: Run, *events: RunEvent) -> StrategyView:
        after = run
        for event in events:
            after = apply(after, event)
        if after != run:
            await self._keep(after)
            self._registry.put_run(after)
            log.info("run_%s run=%s strategy=%s", after.state, after.id, after.strategy_id)
        if after.state is RunState.ENDED:
            self._token_index.drop_run_token(after.id)
            await self._agent.forget([after.id])
        view = self._registry.find(run.strategy_id)
        assert view is not None, "the caller holds the lock, so nobody removed it"
        return view

    async def _keep(self, run: Run) -> None:
        """How the run stands; with its end, in the same transaction, its last lines."""
        has_ended = run.state is RunState.ENDED
        lines = await asyncio.to_thread(self._last_lines, run) if has_ended else ()

        def write(connection: Connection) -> None:
            stored_runs.update(connection, run)
            if has_ended:
                run_logs.keep_tail(connection, run.id, lines)

        await self._database.write(write)

    def _new_run(self, strategy: Strategy, *, attempt: int) -> Run:
        run = Run(
            id=RunId(secrets.token_hex(8)),
            strategy_id=strategy.id,
            version_id=strategy.version_id,
            intent_number=strategy.intent.number,
            created_at=self._clock.now(),
            attempt=attempt,
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
                stored_occurrences.answer(connection, run)

        if run is not None:
            self._preparing.begin(run, strategy, token)
        try:
            await self._database.write(write)
        except BaseException:
            if run is not None:
                self._preparing.drop(run.id)
            raise
        self._registry.put_strategy(strategy)
        if run is not None:
            self._minted[run.id] = token
            self._registry.put_run(run)

    async def _launch(self, view: StrategyView) -> bool:
        run, strategy = view.latest, view.strategy
        assert run is not None, "only a run is launched"
        if gates := await self._gates.closed(strategy):  # it may have been taken away meanwhile
            self._preparing.drop(run.id)
            self._registry.put_gates(strategy.id, gates)
            return False
        token = self._minted.pop(run.id, None) or await self._mint_again(run)
        self._token_index.add_run_token(tokens.hash_of(token), strategy, run.id)
        try:
            spec = await self._preparing.spec(run, strategy, token)
            gates = self._gates.glance(strategy)  # a kill switch waits for nobody's secrets
            if not gates:
                await self._agent.start(spec)
        except (VaultProblem, Invalid) as error:  # never without its secrets, or less confined
            outcome = Outcome(kind=OutcomeKind.FAILED_TO_START, reason=error.message[:500])
            await self._record(run, Ended(at=self._clock.now(), outcome=outcome))
        except AgentUnavailable:
            gates = (AGENT_AWAY,)
        if gates:
            self._minted[run.id] = token
            self._registry.put_gates(strategy.id, gates)
        return not gates

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
            await end_strangers(self._agent, self._registry, grace_seconds=self._grace_seconds)
        except AgentUnavailable:
            return  # its runs are looked at when it answers again
        except Exception:  # the loop that all strategies live by outlives one bad look
            self.failures += 1
            log.exception("tidy_failed")

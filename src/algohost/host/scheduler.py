"""The loop that keeps strategies to their schedules. It writes intents; the reconciler acts.

It wakes at the next due instant and at least once a second, and compares the wall clock with
what is expected: a start, a crash, a suspended machine and a clock that jumps are all looks like
any other. What to do is decided in ``domain.occurrences``; row and intent are committed in one
transaction, for all strategies that are due in one. Where something cannot be read or written,
nothing is decided: that is logged, counted, and looked at again a second later.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from algohost.domain.errors import AlgohostError, Conflict
from algohost.domain.ids import StrategyId, UserId
from algohost.domain.ports import Clock
from algohost.domain.schedule_looks import Decision, Gap
from algohost.domain.strategies import Strategy
from algohost.host.registry import Registry
from algohost.host.schedule_memory import Calendars, Memory, Remembered, with_decision
from algohost.host.views import StrategyView
from algohost.store import host_events
from algohost.store import occurrences as stored
from algohost.store import strategies as stored_strategies
from algohost.store.database import Database
from algohost.store.host_events import HostEvent

log = logging.getLogger(__name__)

KEEP_DAYS: Final = 400
"""How long the ledger goes back."""

_LOOK_SECONDS: Final = 1.0
_FULL_LOOK_SECONDS: Final = 60.0
_KEEP_LOOK_SECONDS: Final = 30.0
_PRUNE_SECONDS: Final = 86_400.0
_BATCH: Final = 500
_JUMP: Final = timedelta(seconds=5)
_STOOD_STILL: Final = "The machine slept, its clock was set forward or the server stood still"


@dataclass(frozen=True, kw_only=True)
class _Due:
    """One strategy for which something is to be committed."""

    view: StrategyView
    known: Remembered
    decision: Decision

    @property
    def strategy_id(self) -> StrategyId:
        return self.view.strategy.id


class Scheduler:
    """Looks, decides, commits. Used on the server's loop only."""

    def __init__(
        self,
        *,
        clock: Clock,
        database: Database,
        registry: Registry,
        calendars: Calendars,
        wake: Callable[[StrategyId], None],
    ) -> None:
        """``wake`` is told of each strategy of which something else is wanted now."""
        self._clock = clock
        self._database = database
        self._registry = registry
        self._wake_reconciler = wake
        self._memory = Memory(database, calendars)
        self._gap: Gap | None = None
        self._looked: datetime | None = None
        self._looked_monotonic = 0.0
        self._full_at = self._kept_at = self._pruned_at = float("-inf")
        self._dirty: set[StrategyId] = set()
        self._wake = asyncio.Event()
        self._alone: dict[StrategyId, asyncio.Task[None]] = {}
        self._keeping: asyncio.Task[None] | None = None
        self.failures = 0
        self._unlisten = (
            registry.listen(self._heard),
            registry.listen_removed(self._removed),
            calendars.listen(self.look_at_all),
        )

    async def run(self) -> None:
        """The loop; ends when its task is cancelled. What runs is left as it is."""
        try:
            while True:
                try:
                    await self.look()
                except Exception:  # the loop that all starts live by outlives one bad look
                    self.failures += 1
                    log.exception("schedules_not_looked_at")
                    await asyncio.sleep(_LOOK_SECONDS)
                await self._sleep()
        finally:
            await self._close()

    def look_at_all(self) -> None:
        """Has the loop look at every strategy soon."""
        self._full_at = float("-inf")
        self._wake.set()

    async def look(self) -> None:
        """One look at everything that may be due now; what it decides is on disk on return."""
        self._wake.clear()
        is_first = self._looked is None
        if is_first:
            self._memory.load(self._clock.now())
        now, monotonic = self._clock.now(), self._clock.monotonic()
        has_jumped = self._notice_gap(now, monotonic)
        if has_jumped or monotonic - self._full_at >= _FULL_LOOK_SECONDS:
            due = [view.strategy.id for view in self._registry if view.strategy.is_armed]
            self._full_at = monotonic
        else:
            due = list(self._due(now))
        chosen = list(dict.fromkeys([*due, *self._dirty]))
        self._dirty.clear()
        self._looked, self._looked_monotonic = now, monotonic
        for start in range(0, len(chosen), _BATCH):
            free = self._look_at(chosen[start : start + _BATCH])
            if free:
                await self._commit(free)
            else:
                await asyncio.sleep(0)
        self._decide_ahead()
        self._keep_house(now, monotonic)

    # ---- when to look

    async def _sleep(self) -> None:
        """Until something is due by the wall clock, somebody calls, or a second is over."""
        times = [
            known.look_at
            for strategy_id, known in self._memory.all()
            if known.look_at is not None and strategy_id not in self._alone
        ]
        due_in = (min(times) - self._clock.now()).total_seconds() if times else _LOOK_SECONDS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(max(due_in, 0.001), _LOOK_SECONDS)):
                await self._wake.wait()

    def _due(self, now: datetime) -> Sequence[StrategyId]:
        return [
            strategy_id
            for strategy_id, known in self._memory.all()
            if known.look_at is not None and known.look_at <= now
        ]

    def _notice_gap(self, now: datetime, monotonic: float) -> bool:
        """Whether the wall clock has moved as nobody would expect since the last look."""
        if self._looked is None:
            last = self._memory.last_look
            if last is not None and now - last > _JUMP:
                self._gap = Gap(since=last, until=now)
                log.info("schedules_looked_at_again after=%s", now - last)
            return True
        moved = now - self._looked
        if moved > _JUMP:
            self._gap = Gap(since=self._looked, until=now, why=_STOOD_STILL)
        apart = moved - timedelta(seconds=monotonic - self._looked_monotonic)
        if abs(apart) > _JUMP or moved < timedelta(0):
            log.warning("clock_jumped by=%s", apart)
            return True
        return False

    def _heard(self, view: StrategyView) -> None:
        if view.strategy.is_armed or self._memory.find(view.strategy.id) is not None:
            self._dirty.add(view.strategy.id)
            self._wake.set()

    def _removed(self, strategy_id: StrategyId, _owner: UserId) -> None:
        self._memory.forget(strategy_id)

    # ---- what follows

    def _look_at(self, chosen: Collection[StrategyId]) -> Sequence[_Due]:
        """What is to be committed, with the locks taken; without those that somebody else is
        changing just now: they are waited for, each by itself."""
        free = []
        for strategy_id in chosen:
            due = self._decide(strategy_id)
            if due is None:
                continue
            if _take(self._registry.lock(strategy_id)):
                free.append(due)
            else:
                self._begin_alone(strategy_id)
        return free

    def _decide(self, strategy_id: StrategyId) -> _Due | None:
        """What is to be committed for it; ``None`` where there is nothing, or no way to tell."""
        view = self._registry.find(strategy_id)
        if view is None:
            return None
        now = self._clock.now()
        if not view.strategy.is_armed:
            self._memory.forget(strategy_id)
            self._registry.put_expected(view.strategy, None, None)
            return None
        try:
            known = self._memory.of(view, now)
            decision = known.decide(view, now, self._gap)
        except Exception as error:  # a calendar or the database: neither says "closed" by that
            log.exception("schedule_not_decided strategy=%s", strategy_id)
            self._failed(strategy_id, error)
            return None
        if not decision.is_empty:
            return _Due(view=view, known=known, decision=decision)
        self._settle(view.strategy, known, decision, now)
        return None

    def _decide_ahead(self) -> None:
        """What is due within the next look, while there is time."""
        now = self._clock.now()
        for strategy_id, known in self._memory.all():
            view = self._registry.find(strategy_id)
            if view is not None and view.strategy.is_armed:
                known.decide_ahead(view, now, self._gap)

    def _begin_alone(self, strategy_id: StrategyId) -> None:
        """Waits for whoever changes it now, without letting the others wait."""
        if strategy_id in self._alone:
            return
        task = asyncio.create_task(self._look_alone(strategy_id), name=f"schedule {strategy_id}")
        self._alone[strategy_id] = task
        task.add_done_callback(lambda _: self._alone.pop(strategy_id, None))

    async def _look_alone(self, strategy_id: StrategyId) -> None:
        async with self._registry.lock(strategy_id):
            due = self._decide(strategy_id)
            if due is not None:
                await self._write_each([due])

    async def _commit(self, due: Sequence[_Due]) -> None:
        """Writes what was decided under their locks, and lets these go."""
        locks = [self._registry.lock(one.strategy_id) for one in due]
        try:
            try:
                await self._write(due)
            except AlgohostError as error:
                if len(due) == 1:
                    self._failed(due[0].strategy_id, error)
                else:  # one of them may be at fault: the others shall not suffer for it
                    log.warning("schedules_not_kept count=%d reason=%s", len(due), error)
                    await self._write_each(due)
        finally:
            for lock in locks:
                lock.release()

    async def _write_each(self, due: Sequence[_Due]) -> None:
        for one in due:
            try:
                await self._write([one])
            except AlgohostError as error:
                self._failed(one.strategy_id, error)

    async def _write(self, due: Sequence[_Due]) -> None:
        """Rows, intents and events in one transaction, then in every picture of them."""
        await self._database.write(lambda c: _write_down(c, due))
        now = self._clock.now()
        for one in due:
            strategy = with_decision(one.view.strategy, one.decision)
            one.known.keep(one.decision)
            self._settle(strategy, one.known, one.decision, now)
            for alert in one.decision.alerts:
                log.warning("%s strategy=%s said=%r", alert.kind, strategy.id, alert.sentence)
            if one.decision.intent is not None:
                self._wake_reconciler(strategy.id)
        states = Counter(row.state.value for one in due for row in one.decision.rows)
        log.info("schedules_looked_at strategies=%d %s", len(due), _counted(states))

    def _settle(
        self, strategy: Strategy, known: Remembered, decision: Decision, now: datetime
    ) -> None:
        known.look_at, known.settled_at = decision.look_at, now
        self._registry.put_expected(strategy, known.next_start(now), known.newest)

    def _failed(self, strategy_id: StrategyId, error: Exception) -> None:
        """Nothing is decided; the next second looks again, with what is on disk."""
        self.failures += 1
        log.warning("schedule_not_looked_at strategy=%s reason=%s", strategy_id, error)
        known = self._memory.find(strategy_id)
        if known is None or isinstance(error, Conflict):  # somebody else was there first
            self._memory.forget(strategy_id)
            asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._dirty.add, strategy_id)
        else:
            known.look_at = self._clock.now() + timedelta(seconds=_LOOK_SECONDS)

    # ---- housekeeping

    def _keep_house(self, now: datetime, monotonic: float) -> None:
        """Writes down that was looked, and forgets old rows; no start waits for it."""
        is_idle = self._keeping is None or self._keeping.done()
        has_any = next(iter(self._memory.all()), None) is not None
        if not is_idle or not has_any or monotonic - self._kept_at < _KEEP_LOOK_SECONDS:
            return
        self._kept_at = monotonic
        must_prune = monotonic - self._pruned_at >= _PRUNE_SECONDS
        if must_prune:
            self._pruned_at = monotonic
        oldest = now - timedelta(days=KEEP_DAYS) if must_prune else None
        self._keeping = asyncio.create_task(self._keep_look(now, oldest))

    async def _keep_look(self, now: datetime, oldest: datetime | None) -> None:
        def write(connection: Connection) -> None:
            stored.looked(connection, now)
            if oldest is not None:
                stored.forget_before(connection, oldest)

        try:
            await self._database.write(write)
        except AlgohostError as error:
            self.failures += 1
            log.warning("look_not_kept reason=%s", error)

    async def _close(self) -> None:
        for unlisten in self._unlisten:
            unlisten()
        tasks = [*self._alone.values(), *((self._keeping,) if self._keeping else ())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._looked is not None and next(iter(self._memory.all()), None) is not None:
            looked = self._looked
            with contextlib.suppress(AlgohostError):
                self._database.write_now(lambda c: stored.looked(c, looked))


def _take(lock: asyncio.Lock) -> bool:
    """Takes the lock if that needs no waiting, so that nothing can happen in between."""
    taking = lock.acquire()
    try:
        taking.send(None)
    except StopIteration:
        return True
    taking.close()
    return False


def _counted(states: Counter[str]) -> str:
    return " ".join(f"{state}={count}" for state, count in sorted(states.items()))


def _write_down(connection: Connection, due: Sequence[_Due]) -> None:
    try:
        stored.add(
            connection,
            [r for one in due for r in one.decision.rows if r.key not in one.known.rows],
        )
        stored_strategies.add_intents(
            connection,
            [(d.strategy_id, d.decision.intent) for d in due if d.decision.intent is not None],
        )
    except IntegrityError as error:
        raise Conflict("Another server has decided about the same start.") from error
    for one in due:
        strategy, before = one.view.strategy, one.known.rows
        for row in one.decision.rows:
            if row.key in before:
                stored.change(connection, before[row.key], row)
        for alert in one.decision.alerts:
            host_events.add(
                connection,
                HostEvent(
                    subject=strategy.id,
                    at=one.decision.at,
                    kind=alert.kind,
                    sentence=alert.sentence,
                ),
            )
        if one.decision.set_at is not None:
            stored_strategies.save_schedule(connection, with_decision(strategy, one.decision))

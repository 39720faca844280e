"""Carries out what a kill switch was asked for: cancel open orders, flatten, stop.

The switch holds back new orders and starts before anything here begins. Then, in this order, orders
are cancelled, positions closed at the market and strategies stopped, each all at once; and again,
until nothing is left: an order that filled while it was cancelled has opened a position, and a
position whose exchange is closed waits until it opens. Every look begins with what is there, never
with what was done, so a server that comes back just goes on.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Protocol

from algohost.agent.client import AgentError
from algohost.domain.errors import AlgohostError, Conflict
from algohost.domain.ids import AccountId, OrderId, StrategyId
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.kill_switch import (
    KillReport,
    KillScope,
    KillState,
    KillStep,
    KillTarget,
    KillTask,
)
from algohost.domain.orders import Book, Order, OrderStatus, Position, Product
from algohost.domain.ports import Clock
from algohost.domain.strategies import Phase, Strategy
from algohost.host.kill_tasks import KillTasks
from algohost.host.registry import Registry
from algohost.host.views import StrategyView

log = logging.getLogger(__name__)

BY: Final = "kill switch"
"""Who stops the strategies, in their intents."""
_LOOK_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.01
_LONGEST_RETRY_SECONDS: Final = 60.0
_CLOSING_SECONDS: Final = 5.0
"""How long an order that closes a position may work before it is cancelled and sent anew."""
_MOST_TROUBLES: Final = 8
_AT_REST: Final = frozenset({Phase.STOPPED, Phase.ERROR})


class KillPoint(StrEnum):
    """Where a crash is worth a test."""

    BEFORE_CANCEL = "before cancel"
    AFTER_CANCEL = "after cancel"
    AFTER_FLATTEN = "after flatten"
    AFTER_STOP = "after stop"


class Trading(Protocol):
    """The orders and positions of all accounts; without a strategy, those of the whole account."""

    def working(self, account_id: AccountId, strategy_id: StrategyId | None) -> Sequence[Order]:
        """The orders that may still trade. Raises ``Unavailable`` for an account that is shut."""

    def held(self, account_id: AccountId, strategy_id: StrategyId | None) -> Sequence[Position]:
        """The open positions, without settled shares."""

    async def cancel(self, order: Order) -> None:
        """Withdraws one order."""

    def waiting(self, account_id: AccountId, strategy_id: StrategyId | None) -> int:
        """How many GTT orders wait for their price."""

    async def cancel_waiting(
        self, account_id: AccountId, strategy_id: StrategyId | None
    ) -> Sequence[str]:
        """Withdraws those; returns why some could not be."""

    async def close(self, positions: Collection[Position]) -> Sequence[Order]:
        """Trades against positions at the market."""

    def is_open(self, exchange: Exchange) -> bool:
        """Whether the exchange trades now."""

    def listen(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Calls ``changed`` after every change of an order, until undone."""


class Halt(Protocol):
    """Wants a strategy stopped."""

    def __call__(self, strategy_id: StrategyId, *, by: str) -> Awaitable[None]:
        """Raises ``Conflict`` where it is at rest."""


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a switch covers that is open, held or running, as far as the steps concern it."""

    orders: Sequence[Order] = ()
    positions: Sequence[Position] = ()
    strategies: Sequence[StrategyView] = ()
    gtts: int = 0
    """GTT orders that wait for their price."""
    troubles: Sequence[str] = ()

    @property
    def is_nothing(self) -> bool:
        """Whether it is quiet."""
        return not (self.orders or self.positions or self.strategies or self.gtts)


@dataclass(kw_only=True)
class _Work:
    """What one task remembers between its looks, and may forget without harm."""

    report: KillReport
    closing: dict[OrderId, float] = field(default_factory=dict)
    refused: int = 0
    retry_at: float = 0.0
    """From when on positions are closed again after a refusal."""
    asked: set[StrategyId] = field(default_factory=set)
    closed: dict[tuple[Book, InstrumentKey, Product], tuple[int, float]] = field(
        default_factory=dict
    )
    """What was held when it was closed last, and when: a broker tells of a fill before it tells
    of the position, and what is closed twice is open on the other side."""
    troubles: list[str] = field(default_factory=list)

    def has_closed(self, position: Position, now: float) -> bool:
        """Whether an order against just this position was sent a moment ago."""
        quantity, at = self.closed.get((position.book, position.key, position.product), (0, 0.0))
        return quantity == position.quantity and now - at < _CLOSING_SECONDS


class KillActions:
    """Carries out tasks, and says what it would do (``drill``). Used on the server's loop only."""

    def __init__(
        self,
        *,
        clock: Clock,
        tasks: KillTasks,
        registry: Registry,
        trading: Trading,
        accounts: Callable[[], Collection[AccountId]],
        accounts_of: Callable[[Strategy], Collection[AccountId]],
        halt: Halt,
        reached: Callable[[KillPoint], None] = lambda _point: None,
    ) -> None:
        """``accounts_of`` says in which accounts a strategy may have a book."""
        self._clock = clock
        self._tasks = tasks
        self._registry = registry
        self._trading = trading
        self._accounts = accounts
        self._accounts_of = accounts_of
        self._halt = halt
        self._reached = reached
        self._changed = asyncio.Event()

    def drill(self, target: KillTarget, steps: Iterable[KillStep]) -> Left:
        """What there is to cancel, flatten and stop now; nothing is done."""
        return self._left(target, set(steps))

    async def run(self) -> None:
        """The loop; ends when its task is cancelled, and then leaves what was asked for later."""
        unlisten = [
            self._trading.listen(self._changed.set),
            self._registry.listen(lambda _view: self._changed.set()),
        ]
        at_work: dict[KillTarget, asyncio.Task[None]] = {}
        try:
            while True:
                for task in self._tasks.unfinished():
                    now_at = at_work.get(task.target)
                    if now_at is None or now_at.done():
                        at_work[task.target] = asyncio.create_task(self._work(task.target))
                await self._tasks.begun(timeout_seconds=_LOOK_SECONDS)
        finally:
            for stop in unlisten:
                stop()
            for one in at_work.values():
                one.cancel()
            await asyncio.gather(*at_work.values(), return_exceptions=True)

    # ---- one task

    async def _work(self, target: KillTarget) -> None:
        found = self._tasks.find(target)
        work = _Work(report=KillReport() if found is None else found.report)
        while (task := self._tasks.find(target)) is not None and not task.state.is_final:
            self._changed.clear()
            try:
                await self._look(task, work)
            except Exception as error:  # nothing but its release ends what a switch was asked for
                log.exception("kill_look_failed target=%s", target.id)
                work.troubles = [f"Something went wrong inside the server ({error!r:.100})."]
            await self._report(task, work)
            await asyncio.sleep(_PAUSE_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._changed.wait()

    async def _look(self, task: KillTask, work: _Work) -> None:
        """One look at what is left, and everything that can be done about it."""
        work.troubles = []
        self._reached(KillPoint.BEFORE_CANCEL)
        if KillStep.CANCEL in task.steps:
            await self._cancel(task.target, work)
        self._reached(KillPoint.AFTER_CANCEL)
        if KillStep.FLATTEN in task.steps and not self._is_over(task):
            await self._flatten(task.target, work)
        self._reached(KillPoint.AFTER_FLATTEN)
        if KillStep.STOP in task.steps and not self._is_over(task):
            await self._stop(task.target, work)
        self._reached(KillPoint.AFTER_STOP)

    async def _cancel(self, target: KillTarget, work: _Work) -> None:
        await self._cancel_gtts(target, work)
        now = self._now()
        for order_id, since in list(work.closing.items()):
            if now - since >= _CLOSING_SECONDS:
                del work.closing[order_id]
        orders = [
            order
            for order in self._left(target, {KillStep.CANCEL}).orders
            if order.id not in work.closing
        ]
        done = await _each(self._trading.cancel(order) for order in orders)
        for order, outcome in zip(orders, done, strict=True):
            if outcome is None:
                work.report = replace(work.report, cancelled=work.report.cancelled + 1)
            elif not isinstance(outcome, Conflict):  # final by now
                work.troubles.append(f"Order {order.id}: {_words(outcome)}")

    async def _cancel_gtts(self, target: KillTarget, work: _Work) -> None:
        """First: one that is triggered places an order."""
        if not (before := self._left(target, {KillStep.CANCEL}).gtts):
            return
        books = self._books(target)
        done = await asyncio.gather(
            *(self._trading.cancel_waiting(*book) for book in books), return_exceptions=True
        )
        for outcome in done:
            found = [_words(outcome)] if isinstance(outcome, BaseException) else outcome
            work.troubles += found
        gone = before - self._left(target, {KillStep.CANCEL}).gtts
        work.report = replace(work.report, cancelled=work.report.cancelled + max(gone, 0))

    async def _flatten(self, target: KillTarget, work: _Work) -> None:
        left = self._left(target, {KillStep.CANCEL, KillStep.FLATTEN})
        busy = {(order.book, order.request.key) for order in left.orders}
        held: dict[Book, list[Position]] = {}
        for one in left.positions:
            is_on_the_way = (one.book, one.key) in busy or work.has_closed(one, self._now())
            if not is_on_the_way and self._trading.is_open(one.key.exchange):
                held.setdefault(one.book, []).append(one)
        if not held or self._now() < work.retry_at:
            return
        done = await asyncio.gather(
            *(self._trading.close(positions) for positions in held.values()),
            return_exceptions=True,
        )
        refusals = []
        for outcome in done:
            if isinstance(outcome, BaseException):
                refusals.append(_words(outcome))
                continue
            for order in outcome:
                if _is_refused(order):
                    refusals.append(f"{order.request.key} could not be closed: {order.reason}")
                else:
                    work.report = replace(work.report, closed=work.report.closed + 1)
                    work.closing[order.id] = self._now()
        refused = {o.request.key for d in done if isinstance(d, list) for o in d if _is_refused(o)}
        for one in (position for positions in held.values() for position in positions):
            if one.key not in refused:
                work.closed[one.book, one.key, one.product] = (one.quantity, self._now())
        work.refused = work.refused + 1 if refusals else 0
        wait = min(2.0**work.refused, _LONGEST_RETRY_SECONDS) if refusals else 0.0
        work.retry_at = self._now() + wait
        work.troubles += refusals

    async def _stop(self, target: KillTarget, work: _Work) -> None:
        views = [
            view
            for view in self._left(target, {KillStep.STOP}).strategies
            if view.strategy.id not in work.asked or view.phase is not Phase.STOPPING
        ]
        done = await _each(self._halt(view.strategy.id, by=BY) for view in views)
        for view, outcome in zip(views, done, strict=True):
            if outcome is None:
                if view.strategy.id not in work.asked:
                    work.report = replace(work.report, stopped=work.report.stopped + 1)
                work.asked.add(view.strategy.id)
            elif not isinstance(outcome, Conflict):  # at rest by now
                work.troubles.append(f"“{view.strategy.name}”: {_words(outcome)}")

    async def _report(self, task: KillTask, work: _Work) -> None:
        left = self._left(task.target, set(task.steps))
        troubles = [*work.troubles, *left.troubles, *self._closed(left.positions)]
        work.report = replace(
            work.report,
            orders_left=len(left.orders) + left.gtts,
            positions_left=len(left.positions),
            runs_left=len(left.strategies),
            troubles=tuple(dict.fromkeys(troubles))[:_MOST_TROUBLES],
        )
        state = KillState.WORKING
        if left.is_nothing and not left.troubles:
            state = KillState.DONE
        elif work.report.troubles:
            state = KillState.PENDING
        await self._tasks.report(task.target, state, work.report)

    def _now(self) -> float:
        return self._clock.monotonic()

    def _is_over(self, task: KillTask) -> bool:
        found = self._tasks.find(task.target)
        return found is None or found.state.is_final

    # ---- what is there

    def _left(self, target: KillTarget, steps: Collection[KillStep]) -> Left:
        orders: list[Order] = []
        positions: list[Position] = []
        troubles: list[str] = []
        gtts = 0
        for book in self._books(target) if set(steps) - {KillStep.STOP} else ():
            try:
                if KillStep.CANCEL in steps:
                    orders += self._trading.working(*book)
                    gtts += self._trading.waiting(*book)
                if KillStep.FLATTEN in steps:
                    positions += self._trading.held(*book)
            except AlgohostError as error:
                troubles.append(error.message)
        covered = self._covered(target) if KillStep.STOP in steps else ()
        return Left(
            orders=orders,
            positions=positions,
            strategies=[view for view in covered if view.phase not in _AT_REST],
            gtts=gtts,
            troubles=troubles,
        )

    def _covered(self, target: KillTarget) -> Sequence[StrategyView]:
        match target.scope:
            case KillScope.HOST:
                return list(self._registry)
            case KillScope.ACCOUNT:
                account = AccountId(target.id)
                return [v for v in self._registry if account in self._accounts_of(v.strategy)]
            case KillScope.STRATEGY:
                view = self._registry.find(target.id)
                return [] if view is None else [view]

    def _books(self, target: KillTarget) -> Sequence[tuple[AccountId, StrategyId | None]]:
        """Where to look; without a strategy it is the whole account."""
        match target.scope:
            case KillScope.HOST:
                return [(one, None) for one in self._accounts()]
            case KillScope.ACCOUNT:
                return [(AccountId(target.id), None)]
            case KillScope.STRATEGY:
                view = self._registry.find(target.id)
                accounts = self._accounts() if view is None else self._accounts_of(view.strategy)
                return [(one, StrategyId(target.id)) for one in accounts]

    def _closed(self, positions: Iterable[Position]) -> Sequence[str]:
        """A sentence for each exchange that is closed while something is held there."""
        exchanges = Counter(one.key.exchange for one in positions)
        return [
            f"{exchange} is closed: {number} {'position is' if number == 1 else 'positions are'}"
            " flattened when it opens."
            for exchange, number in exchanges.items()
            if not self._trading.is_open(exchange)
        ]


def _is_refused(order: Order) -> bool:
    return order.status is OrderStatus.REJECTED


async def _each(work: Iterable[Awaitable[object]]) -> list[BaseException | None]:
    """All at once; of each, the error that it ended with."""
    done = await asyncio.gather(*work, return_exceptions=True)
    return [one if isinstance(one, BaseException) else None for one in done]


def _words(error: BaseException) -> str:
    if isinstance(error, AlgohostError):
        return error.message
    if isinstance(error, AgentError):
        return str(error)
    log.error("kill_step_failed error=%r", error)
    return f"something went wrong inside the server ({type(error).__name__}); see its log."

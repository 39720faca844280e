"""Limits: who may set them, what became of them today, and what follows from a daily loss.

Orders are judged by the guard at the gateway; this keeps what it judges by. A strategy's limits and
those of an account are their owner's, those of the host are for administrators; what an
administrator has set for somebody else, that one changes no more. All that cover an order hold, so
the tightest wins.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from algohost.domain.audit import Entry
from algohost.domain.errors import AlgohostError, Forbidden, Unavailable
from algohost.domain.ids import IST, AccountId, StrategyId
from algohost.domain.kill_switch import WHOLE_HOST, KillScope
from algohost.domain.money import format_inr
from algohost.domain.orders import Book, OrderRequest
from algohost.domain.ports import Clock
from algohost.domain.risk import (
    WHOSE,
    Breach,
    Facts,
    LimitsOf,
    LimitTarget,
    LossReached,
    RiskCode,
    RiskLimits,
    has_lost_too_much,
)
from algohost.domain.risk_draft import changed, in_words
from algohost.domain.users import User
from algohost.host.kill_actions import Halt
from algohost.host.listeners import tell
from algohost.host.registry import Registry
from algohost.host.risk_guard import Guard
from algohost.host.targets import concerns, target_of
from algohost.store import audit, host_events
from algohost.store import risk_limits as stored
from algohost.store.database import Database
from algohost.store.host_events import HostEvent

log = logging.getLogger(__name__)

BY_LOSS: Final = "limit: daily loss"
"""Who stops strategies when a daily loss is reached, in their intents."""
LOSS_REACHED: Final = "risk_loss_reached"
_LOOK_SECONDS: Final = 1.0
_SAME_AGAIN: Final = timedelta(minutes=1)
"""A refusal that follows the same one so soon is counted and not written down anew."""
_MOST_WAITING: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A target's limits with what it has done today."""

    target: LimitTarget
    limits: LimitsOf | None
    facts: Facts
    pnl: Decimal


@dataclass(kw_only=True)
class _Said:
    """A refusal that was written down, and how often it has come since."""

    at: datetime
    again: int = 0


class RiskService:
    """The limits of one server. Used on the server's loop only."""

    def __init__(
        self,
        *,
        clock: Clock,
        database: Database,
        registry: Registry,
        guard: Guard,
        accounts: Callable[[], Collection[AccountId]],
        halt: Halt,
    ) -> None:
        """``accounts`` says which there are; ``halt`` stops a strategy."""
        self._clock = clock
        self._database = database
        self._registry = registry
        self._guard = guard
        self._accounts = accounts
        self._halt = halt
        self._limits = {one.target: one for one in database.read(stored.everything)}
        for one in self._limits.values():
            guard.put(one)
        for loss in database.read(stored.losses):
            guard.put_loss(loss)
        self._said: dict[tuple[str, RiskCode, LimitTarget], _Said] = {}
        self._events: deque[tuple[HostEvent, str]] = deque(maxlen=_MOST_WAITING)
        self._reached: deque[LossReached] = deque()
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._listeners: list[Callable[[], None]] = []
        guard.tell(on_breach=self._refused, on_loss=self._lost)

    # ---- looking

    def target(self, user: User, scope: str, id_: str = "") -> LimitTarget:
        """What a user means. Raises as ``target_of``."""
        accounts = {*self._accounts(), *(one.id for one in self._limits)}
        return target_of(
            user, scope, id_, registry=self._registry, accounts=accounts, what="limits"
        )

    def accounts_of(self, user: User) -> Collection[AccountId]:
        """The accounts whose limits and queues the user may see."""
        targets = [LimitTarget(scope=KillScope.ACCOUNT, id=one) for one in self._accounts()]
        return [
            AccountId(one.id) for one in targets if concerns(user, one, registry=self._registry)
        ]

    def standing(self, target: LimitTarget) -> Standing:
        """A target's limits and its day so far."""
        account = None
        if target.scope is KillScope.STRATEGY:
            account = self._account_of(StrategyId(target.id))
        return Standing(
            target=target,
            limits=self._limits.get(target),
            facts=self._guard.facts(target, account),
            pnl=self._guard.pnl(target, account),
        )

    def above(self, target: LimitTarget) -> Sequence[LimitTarget]:
        """Whose limits hold for the target besides its own, widest first."""
        match target.scope:
            case KillScope.HOST:
                return []
            case KillScope.ACCOUNT:
                return [WHOLE_HOST]
            case KillScope.STRATEGY:
                account = self._account_of(StrategyId(target.id))
                if account is None:
                    return [WHOLE_HOST]
                return [WHOLE_HOST, LimitTarget(scope=KillScope.ACCOUNT, id=account)]

    def standings(self, user: User) -> Sequence[Standing]:
        """Everything with limits that concerns the user, widest first."""
        order = list(KillScope)
        found = [one for one in self._limits if concerns(user, one, registry=self._registry)]
        found.sort(key=lambda one: (order.index(one.scope), one.id))
        return [self.standing(one) for one in found]

    def may_set(self, user: User, target: LimitTarget) -> bool:
        """Whether ``put`` would let the user."""
        if user.is_admin:
            return True
        known = self._limits.get(target)
        return target.scope is not KillScope.HOST and (known is None or known.by == user.name)

    def events(self, target: LimitTarget, *, limit: int = 10) -> Sequence[HostEvent]:
        """What limits have refused of it lately, newest first. Reads the disk."""
        found = self._database.read(lambda c: host_events.of_subject(c, target.id, limit=100))
        return [one for one in found if one.kind.startswith("risk_")][:limit]

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls ``listener`` after a change of limits and after each event, until undone."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    # ---- acting

    async def put(self, user: User, target: LimitTarget, changes: Mapping[str, object]) -> Standing:
        """Changes the limits of a target; those that are not named stay as they are.

        Raises ``Invalid`` for what cannot be a limit, and ``Forbidden`` for the host's by
        somebody who is no administrator, or where an administrator has set them.
        """
        async with self._turn:
            self._refuse_stranger(user, target)
            known = self._limits.get(target)
            limits = changed(RiskLimits() if known is None else known.limits, changes)
            if not limits.bounds_anything:
                await self._clear(user, target)
            else:
                await self._put(user, target, limits)
        return self.standing(target)

    async def clear(self, user: User, target: LimitTarget) -> Standing:
        """Takes all limits of a target away. Raises ``Forbidden`` as ``put``."""
        async with self._turn:
            self._refuse_stranger(user, target)
            await self._clear(user, target)
        return self.standing(target)

    async def run(self) -> None:
        """Looks at daily losses each second, writes down what was refused, until cancelled."""
        while True:
            try:
                self._guard.look(self._account_of)
                await self._write_down()
            except Unavailable as error:
                log.warning("risk_events_not_kept reason=%s", error)
            except Exception:  # orders are judged all the same, and the next look tries again
                log.exception("risk_look_failed")
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    # ---- inside

    def _account_of(self, strategy_id: StrategyId) -> AccountId | None:
        view = self._registry.find(strategy_id)
        return None if view is None else view.strategy.account

    def _refuse_stranger(self, user: User, target: LimitTarget) -> None:
        if self.may_set(user, target):
            return
        if target.scope is KillScope.HOST:
            raise Forbidden(
                "The limits of the host are for administrators; set those of your account.",
                code="ADMIN_ONLY",
            )
        message = f"{self._limits[target].by} has set them; only an administrator may change them."
        raise Forbidden(message, code="RISK_OF_OTHER")

    async def _put(self, user: User, target: LimitTarget, limits: RiskLimits) -> None:
        now = self._clock.now()
        made = LimitsOf(target=target, limits=limits, by=user.name, at=now)
        is_lifted = self._lifts_loss(user, target, limits)
        said = in_words(limits)

        def keep(connection: Connection) -> None:
            stored.put(connection, made)
            if is_lifted:
                stored.remove_loss(connection, target)
            self._note(connection, user, target, "risk_limits_set", f"set to {said}", now)

        await self._database.write(keep)
        self._limits[target] = made
        self._guard.put(made)
        self._changed(target, is_lifted=is_lifted)

    async def _clear(self, user: User, target: LimitTarget) -> None:
        if target not in self._limits:
            return
        now = self._clock.now()
        is_lifted = self._lifts_loss(user, target, RiskLimits())

        def forget(connection: Connection) -> None:
            stored.remove(connection, target)
            if is_lifted:
                stored.remove_loss(connection, target)
            self._note(connection, user, target, "risk_limits_cleared", "taken away", now)

        await self._database.write(forget)
        del self._limits[target]
        self._guard.drop(target)
        self._changed(target, is_lifted=is_lifted)

    def _changed(self, target: LimitTarget, *, is_lifted: bool) -> None:
        if is_lifted:
            self._guard.drop_loss(target)
        tell(self._listeners)

    def _lifts_loss(self, user: User, target: LimitTarget, limits: RiskLimits) -> bool:
        """A loss that was reached holds for its day; only an administrator's new limit lifts it."""
        if not user.is_admin or self._guard.loss(target) is None:
            return False
        return not has_lost_too_much(limits, self.standing(target).pnl)

    def _note(
        self,
        connection: Connection,
        user: User,
        target: LimitTarget,
        kind: str,
        what: str,
        at: datetime,
    ) -> None:
        sentence = f"The limits of {WHOSE[target.scope]} were {what} by {user.name}."[:500]
        event = HostEvent(subject=target.id, at=at, kind=kind, sentence=sentence)
        host_events.add(connection, event)
        audit.note(
            connection, kind, at=at, by=f"user:{user.name}", subject=target.id,
            scope=target.scope.value, sentence=sentence,
        )  # fmt: skip

    # ---- what the guard tells

    def _refused(self, book: Book, request: OrderRequest, found: Breach) -> None:
        subject = book.strategy_id or book.account_id
        now, key = self._clock.now(), (subject, found.code, found.target)
        said = self._said.get(key)
        if said is not None and now - said.at < _SAME_AGAIN:
            said.again += 1
            return
        more = f" The same {said.again} times more before." if said and said.again else ""
        self._said[key] = _Said(at=now)
        order = f"{request.action} {request.quantity} {request.key} {request.product}"
        sentence = f"{order} was refused. {found.sentence}{more}"
        kind = found.code.value.lower()
        event = HostEvent(subject=subject, at=now, kind=kind, sentence=sentence)
        whose = KillScope.STRATEGY if book.strategy_id else KillScope.ACCOUNT
        self._events.append((event, f"{whose.value}:{subject}"))
        self._wake.set()

    def _lost(self, loss: LossReached) -> None:
        self._reached.append(loss)
        self._wake.set()

    async def _write_down(self) -> None:
        while self._reached:
            loss = self._reached[0]
            await self._keep_loss(loss, await self._stop_at(loss))
            self._reached.popleft()
        if self._events:
            events = list(self._events)
            await self._database.write(lambda c: _add_all(c, events))
            for _ in events:
                self._events.popleft()
            tell(self._listeners)

    async def _stop_at(self, loss: LossReached) -> int:
        """Stops what the limit says; how many that are. A second time there are none."""
        known = self._limits.get(loss.target)
        if known is None or not known.limits.stops_at_loss:
            return 0
        views = [view for view in self._registry if self._covers(loss.target, view.strategy.id)]
        work: list[Awaitable[None]] = [self._halt(v.strategy.id, by=BY_LOSS) for v in views]
        done = await asyncio.gather(*work, return_exceptions=True)
        for one in done:
            if isinstance(one, BaseException) and not isinstance(one, AlgohostError):
                log.error("loss_stop_failed target=%s error=%r", loss.target.id, one)
        return sum(1 for one in done if one is None)

    def _covers(self, target: LimitTarget, strategy_id: StrategyId) -> bool:
        match target.scope:
            case KillScope.HOST:
                return True
            case KillScope.ACCOUNT:
                return self._account_of(strategy_id) == target.id
            case KillScope.STRATEGY:
                return strategy_id == target.id

    async def _keep_loss(self, loss: LossReached, stopped: int) -> None:
        at = loss.at.astimezone(IST).strftime("%H:%M:%S IST")
        also = f" {stopped} {'strategy was' if stopped == 1 else 'strategies were'} stopped."
        sentence = (
            f"The daily loss of {WHOSE[loss.target.scope]} was reached at {at} with"
            f" {format_inr(loss.lost)}: no position is opened for the rest of the day."
            f"{also if stopped else ''}"
        )
        now = self._clock.now()
        event = HostEvent(subject=loss.target.id, at=now, kind=LOSS_REACHED, sentence=sentence)

        def keep(connection: Connection) -> None:
            stored.put_loss(connection, loss)
            host_events.add(connection, event)
            audit.note(
                connection, LOSS_REACHED, at=now, by=BY_LOSS, subject=loss.target.id,
                scope=loss.target.scope.value, sentence=sentence,
            )  # fmt: skip

        await self._database.write(keep)
        tell(self._listeners)
        log.warning("daily_loss_reached scope=%s target=%s", loss.target.scope, loss.target.id)


def _add_all(connection: Connection, events: Sequence[tuple[HostEvent, str]]) -> None:
    for one, _ in events:
        host_events.add(connection, one)
    entries = [
        Entry(
            at=one.at, by=by, act="order_refused", subject=one.subject,
            detail={"limit": one.kind, "sentence": one.sentence[:500]},
        )
        for one, by in events
    ]  # fmt: skip
    audit.append(connection, *entries)

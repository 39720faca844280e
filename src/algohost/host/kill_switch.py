"""The kill switch: while it is engaged, nothing it covers is started and no new order is taken.

That alone lets what runs run on, and open orders and positions be. It can be asked for more when
it is engaged: see ``kill_actions``. All of it is durable: a server that comes back finds it engaged
and goes on with what was asked.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from sqlalchemy import Connection

from algohost.domain.errors import Conflict, Forbidden, Unavailable
from algohost.domain.ids import IST, AccountId, StrategyId
from algohost.domain.kill_switch import (
    WHOLE_HOST,
    Engaged,
    KillScope,
    KillStep,
    KillTarget,
    KillTask,
)
from algohost.domain.orders import Book
from algohost.domain.ports import Clock
from algohost.domain.strategies import Gate, GateAction, Strategy
from algohost.domain.users import User
from algohost.host.kill_tasks import KillTasks
from algohost.host.listeners import tell
from algohost.host.registry import Registry
from algohost.host.targets import concerns, target_of
from algohost.store import audit, host_events
from algohost.store import broker_sessions as stored
from algohost.store.database import Database
from algohost.store.host_events import HostEvent

log = logging.getLogger(__name__)

KILL_SWITCH: Final = "KILL_SWITCH"
"""The code of the gate that it closes, and of the refusal of an order."""
MOST_REASON: Final = 200
"""How many characters a reason may have."""

KillListener = Callable[[], None]


class KillSwitch:
    """All switches of one server. Used on the server's loop only; a look never waits."""

    def __init__(
        self,
        *,
        clock: Clock,
        database: Database,
        registry: Registry,
        accounts: Callable[[], Collection[AccountId]],
    ) -> None:
        """``accounts`` says which there are."""
        self._clock = clock
        self._accounts = accounts
        self._database = database
        self._registry = registry
        self.tasks = KillTasks(clock=clock, database=database)
        """What the engaged switches were asked to do, and how far that is."""
        self._engaged = {one.target: one for one in database.read(stored.all_engaged)}
        self._unwritten: set[KillTarget] = set()
        self._turn = asyncio.Lock()
        self._listeners: list[KillListener] = []

    # ---- looking

    def engaged(self, user: User) -> Sequence[Engaged]:
        """What is engaged and concerns the user, widest first; an administrator sees all."""
        order = list(KillScope)
        found = [one for one in self._engaged.values() if self.concerns(user, one.target)]
        return sorted(found, key=lambda one: (order.index(one.target.scope), one.target.id))

    def covering(
        self, account_id: AccountId, strategy_id: StrategyId | None = None
    ) -> Engaged | None:
        """The widest engaged switch that covers an account, or a strategy of it."""
        targets = [WHOLE_HOST, KillTarget(scope=KillScope.ACCOUNT, id=account_id)]
        if strategy_id is not None:
            targets.append(KillTarget(scope=KillScope.STRATEGY, id=strategy_id))
        return next((self._engaged[one] for one in targets if one in self._engaged), None)

    def refuse_order(self, book: Book) -> None:
        """Raises ``Conflict`` where no new order of that book is taken now."""
        found = self.covering(book.account_id, book.strategy_id)
        if found is not None:
            message = f"{_sentence(found)} New orders are refused until it is released."
            raise Conflict(message, code=KILL_SWITCH)

    def refuses(self, book: Book) -> bool:
        """Whether ``refuse_order`` would raise."""
        return self.covering(book.account_id, book.strategy_id) is not None

    async def closed(self, strategy: Strategy) -> tuple[Gate, ...]:
        """As ``GateSource.closed``, which needs no look here."""
        return self.glance(strategy)

    def glance(self, strategy: Strategy) -> tuple[Gate, ...]:
        """As ``Glancing.glance``: whether a switch covers the strategy."""
        found = self.covering(strategy.account, strategy.id)
        if found is None:
            return ()
        sentence = f"{_sentence(found)} It starts by itself when the switch is released."
        return (Gate(code=KILL_SWITCH, sentence=sentence, action=GateAction.RELEASE),)

    def listen(self, listener: KillListener) -> Callable[[], None]:
        """Calls ``listener`` after every engagement and release, until undone."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    # ---- acting

    def target(self, user: User, scope: str, id_: str = "") -> KillTarget:
        """What a user means: ``account`` without an id is their own.

        Raises ``Invalid`` for a scope that there is not, ``NotFound`` for what is not theirs.
        """
        accounts = {*self._accounts(), *(one.id for one in self._engaged)}
        return target_of(
            user, scope, id_, registry=self._registry, accounts=accounts, what="the kill switch"
        )

    async def engage(
        self, user: User, target: KillTarget, *, reason: str = "", steps: Iterable[KillStep] = ()
    ) -> Engaged:
        """Holds back what the target covers, from this call on, and has ``steps`` carried out.

        They are on disk before anything of them is done, which happens after the return; where
        they cannot be written down they are done all the same. What is engaged already stays so;
        it becomes an administrator's who engages it as well.
        Raises ``Forbidden`` for the host's switch by somebody who is no administrator, and
        ``Unavailable`` where it is engaged but could not be written down.
        """
        refuse_host(user, target)
        self._hold(user, target, reason)  # waits for no disk and for nobody's turn
        async with self._turn:
            made = self._hold(user, target, reason)  # a release may have been on its way
            task = self.tasks.planned(target, steps, by=user.name)
            if target not in self._unwritten and task is None:
                return made

            def keep(connection: Connection) -> None:
                stored.engage(connection, made)
                if task is not None:
                    self.tasks.keep(connection, task)

            try:
                await self._keep(
                    made.target, "kill_switch_engaged", _engaged_sentence(made, task), keep,
                    by=user.name,
                )  # fmt: skip
                self._unwritten.discard(target)
            except Unavailable as error:
                raise Unavailable(
                    "The kill switch is engaged, but that cannot be written down now, so a"
                    f" restart would forget it: {error.message}",
                    code="KILL_UNWRITTEN",
                ) from error
            finally:
                if task is not None:
                    self.tasks.begin(task)
        return made

    async def release(self, user: User, target: KillTarget) -> None:
        """Lets starts and orders go on; nothing is done where it was not engaged.

        Raises ``Forbidden`` where somebody else engaged it and the user is no administrator.
        """
        refuse_host(user, target)
        async with self._turn:
            engaged = self._engaged.get(target)
            if engaged is None:
                return
            if not user.is_admin and engaged.by != user.name:
                message = f"{engaged.by} has engaged it, and only an administrator may release it."
                raise Forbidden(message, code="KILL_OF_OTHER")
            sentence = f"The kill switch was released by {user.name}."
            ended = self.tasks.released(target)

            def keep(connection: Connection) -> None:
                stored.release(connection, target)
                if ended is not None:
                    self.tasks.keep(connection, ended)

            await self._keep(target, "kill_switch_released", sentence, keep, by=user.name)
            if self._engaged[target] is engaged:  # else somebody has engaged it meanwhile
                if ended is not None:
                    self.tasks.show(ended)
                del self._engaged[target]
                self._unwritten.discard(target)
                tell(self._listeners)

    # ---- inside

    def _hold(self, user: User, target: KillTarget, reason: str) -> Engaged:
        """Has it hold, before that is written down: as it does already, or as this user wants."""
        before = self._engaged.get(target)
        if before is not None and (before.by == user.name or not user.is_admin):
            return before
        printable = "".join(one if one.isprintable() else " " for one in reason)
        said = " ".join(printable.split())[:MOST_REASON]
        made = Engaged(target=target, by=user.name, at=self._clock.now(), reason=said)
        self._engaged[target] = made
        self._unwritten.add(target)
        tell(self._listeners)
        return made

    async def _keep(
        self,
        target: KillTarget,
        kind: str,
        sentence: str,
        write: Callable[[Connection], None],
        *,
        by: str,
    ) -> None:
        event = HostEvent(subject=target.id, at=self._clock.now(), kind=kind, sentence=sentence)

        def both(connection: Connection) -> None:
            write(connection)
            host_events.add(connection, event)
            audit.note(
                connection, kind, at=event.at, by=f"user:{by}", subject=target.id,
                scope=target.scope.value, sentence=sentence,
            )  # fmt: skip

        await self._database.write(both)
        log.warning("%s scope=%s target=%s", kind, target.scope.value, target.id)

    def concerns(self, user: User, target: KillTarget) -> bool:
        """Whether a switch of that target concerns the user."""
        return concerns(user, target, registry=self._registry)


def refuse_host(user: User, target: KillTarget) -> None:
    """Raises ``Forbidden`` where somebody who is no administrator means the whole host."""
    if target.scope is KillScope.HOST and not user.is_admin:
        raise Forbidden(
            "The kill switch of the whole server is for administrators; use that of your account.",
            code="ADMIN_ONLY",
        )


def _engaged_sentence(engaged: Engaged, task: KillTask | None) -> str:
    if task is None:
        return _sentence(engaged)
    return f"{_sentence(engaged)} Asked for besides: {', '.join(task.steps)}."


def _sentence(engaged: Engaged) -> str:
    covers = {
        KillScope.HOST: "the whole server",
        KillScope.ACCOUNT: "the account",
        KillScope.STRATEGY: "the strategy",
    }[engaged.target.scope]
    at = engaged.at.astimezone(IST).strftime("%d %b %H:%M IST")
    why = f": {engaged.reason.rstrip('.')}" if engaged.reason else ""
    return f"The kill switch of {covers} was engaged by {engaged.by} at {at}{why}."

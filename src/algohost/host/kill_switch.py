"""The kill switch: while it is engaged, nothing it covers is started and no new order is taken.

What runs, runs on, open orders can be cancelled and positions closed: to stop what runs is asked
for as usual. It is durable: a server that comes back finds it engaged.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Final

from sqlalchemy import Connection

from algohost.domain.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from algohost.domain.ids import IST, AccountId, StrategyId
from algohost.domain.kill_switch import WHOLE_HOST, Engaged, KillScope, KillTarget
from algohost.domain.orders import Book
from algohost.domain.ports import Clock
from algohost.domain.strategies import Gate, GateAction, Strategy
from algohost.domain.users import User, paper_account, paper_account_of
from algohost.host.listeners import tell
from algohost.host.registry import Registry
from algohost.store import broker_sessions as stored
from algohost.store import host_events
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
        self._engaged = {one.target: one for one in database.read(stored.all_engaged)}
        self._unwritten: set[KillTarget] = set()
        self._turn = asyncio.Lock()
        self._listeners: list[KillListener] = []

    # ---- looking

    def engaged(self, user: User) -> Sequence[Engaged]:
        """What is engaged and concerns the user, widest first; an administrator sees all."""
        order = list(KillScope)
        found = [one for one in self._engaged.values() if self._concerns(user, one.target)]
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

    async def closed(self, strategy: Strategy) -> tuple[Gate, ...]:
        """As ``GateSource.closed``: whether a switch covers the strategy."""
        found = self.covering(paper_account_of(strategy.owner_id), strategy.id)
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
        if scope not in set(KillScope):
            known = ", ".join(KillScope)
            raise Invalid(f"“{scope[:20]}” is not a scope of the kill switch; use {known}.")
        match KillScope(scope):
            case KillScope.HOST:
                return WHOLE_HOST
            case KillScope.ACCOUNT:
                found = KillTarget(scope=KillScope.ACCOUNT, id=id_ or paper_account(user))
                is_known = user.is_admin and found.id in self._accounts()
                is_theirs = is_known or found.id == paper_account(user)
            case KillScope.STRATEGY:
                found = KillTarget(scope=KillScope.STRATEGY, id=id_)
                view = self._registry.find(id_)
                is_theirs = view is not None and (
                    user.is_admin or view.strategy.owner_id == user.id
                )
        if not is_theirs:
            raise NotFound(f"There is no such {scope}; it may have been deleted.", code="NO_TARGET")
        return found

    async def engage(self, user: User, target: KillTarget, *, reason: str = "") -> Engaged:
        """Holds back what the target covers, from this call on.

        What is engaged already stays so; it becomes an administrator's who engages it as well.
        Raises ``Forbidden`` for the host's switch by somebody who is no administrator, and
        ``Unavailable`` where it is engaged but could not be written down.
        """
        _refuse_host(user, target)
        self._hold(user, target, reason)  # waits for no disk and for nobody's turn
        async with self._turn:
            made = self._hold(user, target, reason)  # a release may have been on its way
            if target not in self._unwritten:
                return made
            try:
                await self._keep(
                    made.target, "kill_switch_engaged", _sentence(made),
                    lambda c: stored.engage(c, made),
                )  # fmt: skip
                self._unwritten.discard(target)
            except Unavailable as error:
                raise Unavailable(
                    "The kill switch is engaged, but that cannot be written down now, so a"
                    f" restart would forget it: {error.message}",
                    code="KILL_UNWRITTEN",
                ) from error
        return made

    async def release(self, user: User, target: KillTarget) -> None:
        """Lets starts and orders go on; nothing is done where it was not engaged.

        Raises ``Forbidden`` where somebody else engaged it and the user is no administrator.
        """
        _refuse_host(user, target)
        async with self._turn:
            engaged = self._engaged.get(target)
            if engaged is None:
                return
            if not user.is_admin and engaged.by != user.name:
                message = f"{engaged.by} has engaged it, and only an administrator may release it."
                raise Forbidden(message, code="KILL_OF_OTHER")
            sentence = f"The kill switch was released by {user.name}."
            await self._keep(
                target, "kill_switch_released", sentence, lambda c: stored.release(c, target)
            )
            if self._engaged[target] is engaged:  # else somebody has engaged it meanwhile
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
        self, target: KillTarget, kind: str, sentence: str, write: Callable[[Connection], None]
    ) -> None:
        event = HostEvent(subject=target.id, at=self._clock.now(), kind=kind, sentence=sentence)

        def both(connection: Connection) -> None:
            write(connection)
            host_events.add(connection, event)

        await self._database.write(both)
        log.warning("%s scope=%s target=%s", kind, target.scope.value, target.id)

    def _concerns(self, user: User, target: KillTarget) -> bool:
        match target.scope:
            case KillScope.HOST:
                return True
            case KillScope.ACCOUNT:
                return user.is_admin or target.id == paper_account(user)
            case KillScope.STRATEGY:
                view = self._registry.find(target.id)
                return view is not None and (user.is_admin or view.strategy.owner_id == user.id)


def _refuse_host(user: User, target: KillTarget) -> None:
    if target.scope is KillScope.HOST and not user.is_admin:
        raise Forbidden(
            "The kill switch of the whole server is for administrators; use that of your account.",
            code="ADMIN_ONLY",
        )


def _sentence(engaged: Engaged) -> str:
    covers = {
        KillScope.HOST: "the whole server",
        KillScope.ACCOUNT: "the account",
        KillScope.STRATEGY: "the strategy",
    }[engaged.target.scope]
    at = engaged.at.astimezone(IST).strftime("%d %b %H:%M IST")
    why = f": {engaged.reason.rstrip('.')}" if engaged.reason else ""
    return f"The kill switch of {covers} was engaged by {engaged.by} at {at}{why}."

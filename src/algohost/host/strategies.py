"""What people do with strategies: add, save, start, stop, delete, look.

A command writes an intent and returns when the intent is on disk; the reconciler does the rest.
Every command names the user; somebody else's strategy is as good as none.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from algohost.agent.client import AgentError
from algohost.domain.errors import Conflict, Invalid, NotFound, Unavailable
from algohost.domain.ids import StrategyId, is_strategy_id, strategy_id
from algohost.domain.instruments import Exchange
from algohost.domain.ports import Clock
from algohost.domain.runs import Run
from algohost.domain.strategies import Intent, Mode, Phase, Strategy, Wanted
from algohost.domain.strategy_settings import StrategySettings
from algohost.domain.users import User
from algohost.host import source as source_text
from algohost.host.reconcile import Reconciler
from algohost.host.registry import Registry, RemovalListener, ViewListener
from algohost.host.views import StrategyView
from algohost.store import runs as stored_runs
from algohost.store import strategies as stored
from algohost.store.database import Database

log = logging.getLogger(__name__)

_ON_THE_WAY = frozenset({Phase.PENDING, Phase.STARTING, Phase.STOPPING})


class StrategyService:
    """The commands and looks of users, each checked for its owner."""

    def __init__(
        self, *, clock: Clock, database: Database, registry: Registry, reconciler: Reconciler
    ) -> None:
        self._clock = clock
        self._database = database
        self._registry = registry
        self._reconciler = reconciler

    # ---- looking

    def list(self, user: User) -> Sequence[StrategyView]:
        """The user's strategies, oldest first; an administrator sees all."""
        return [view for view in self._registry if _may_see(user, view)]

    def get(self, user: User, strategy_id: str) -> StrategyView:
        """One strategy. Raises ``NotFound`` for an unknown id and for somebody else's alike."""
        view = self._registry.find(strategy_id) if is_strategy_id(strategy_id) else None
        if view is None or not _may_see(user, view):
            raise NotFound(
                "There is no such strategy; it may have been deleted.", code="NO_STRATEGY"
            )
        return view

    def owns(self, user: User, strategy_id: str) -> bool:
        """Whether ``get`` would answer."""
        view = self._registry.find(strategy_id)
        return view is not None and _may_see(user, view)

    def source(self, user: User, strategy_id: str) -> str:
        """The text of the current version."""
        view = self.get(user, strategy_id)
        return source_text.decode(self._content(view.strategy))

    def runs(self, user: User, strategy_id: str, *, limit: int = 50) -> Sequence[Run]:
        """The newest runs, newest first."""
        view = self.get(user, strategy_id)
        return self._database.read(
            lambda c: stored_runs.of_strategy(c, view.strategy.id, limit=limit)
        )

    def listen(self, listener: ViewListener) -> Callable[[], None]:
        """Calls ``listener`` with each changed view until the returned function is called."""
        return self._registry.listen(listener)

    def listen_removed(self, listener: RemovalListener) -> Callable[[], None]:
        """Calls ``listener`` with id and owner of each deleted strategy."""
        return self._registry.listen_removed(listener)

    async def settled(self, strategy_id: StrategyId, *, timeout_seconds: float) -> StrategyView:
        """The strategy once it is on its way nowhere. Raises ``TimeoutError``."""
        async with asyncio.timeout(timeout_seconds):
            while True:
                view = self._registry.find(strategy_id)
                if view is None:
                    raise NotFound("The strategy was deleted meanwhile.", code="NO_STRATEGY")
                if view.phase not in _ON_THE_WAY:
                    return view
                await self._registry.changed()

    # ---- commands

    async def add(
        self, *, owner: User, name: str, file_name: str, content: bytes, exchange: str = "NSE"
    ) -> StrategyView:
        """Keeps a new strategy; text that does not compile is kept as a draft.

        Raises ``Invalid`` or ``TooLarge`` for what cannot be a strategy.
        """
        plain_name = source_text.accept(file_name, content)
        shown_name = _checked_name(name or plain_name.removesuffix(".py").replace("_", " "))
        if exchange not in set(Exchange):
            known = ", ".join(Exchange)
            raise Invalid(f"“{exchange[:20]}” is not an exchange; choose one of {known}.")
        problem = await source_text.find_problem(plain_name, content)
        now = self._clock.now()

        def keep(connection: Connection) -> Strategy:
            attempt = 0
            new_id = strategy_id(shown_name, now)
            while stored.id_is_taken(connection, new_id):
                attempt += 1
                new_id = strategy_id(shown_name, now, attempt=attempt)
            strategy = Strategy(
                id=new_id,
                owner_id=owner.id,
                name=shown_name,
                file_name=plain_name,
                exchange=exchange,
                mode=Mode.PAPER,
                version_id=stored.version_of(content),
                problem=problem,
                intent=Intent(number=0, wanted=Wanted.STOPPED, by=_name(owner), at=now),
                created_at=now,
            )
            stored.insert(connection, strategy, content)
            return strategy

        return self._registry.put_strategy(await self._database.write(keep))

    async def save_text(self, user: User, strategy_id: str, text: str) -> StrategyView:
        """``save`` of an edited text, in the encoding and with the line ends that it had."""
        view = self.get(user, strategy_id)
        content = source_text.encode(text, like=self._content(view.strategy))
        return await self.save(user, strategy_id, content)

    async def save(self, user: User, strategy_id: str, content: bytes) -> StrategyView:
        """Makes a new version of the code. Raises ``Conflict`` while the strategy runs."""
        view = self.get(user, strategy_id)
        source_text.accept(view.strategy.file_name, content)
        problem = await source_text.find_problem(view.strategy.file_name, content)
        async with self._registry.lock(view.strategy.id):
            view = self.get(user, strategy_id)
            _refuse_while_running(view, "saved")
            changed = replace(view.strategy, version_id=stored.version_of(content), problem=problem)
            now, by = self._clock.now(), _name(user)
            await self._database.write(
                lambda c: stored.save_version(c, changed, content, by=by, at=now)
            )
            return self._registry.put_strategy(changed)

    async def configure(
        self, user: User, strategy_id: str, settings: StrategySettings
    ) -> StrategyView:
        """Keeps how the strategy is run from its next start on."""
        view = self.get(user, strategy_id)
        async with self._registry.lock(view.strategy.id):
            changed = replace(self.get(user, strategy_id).strategy, settings=settings)
            await self._database.write(lambda c: stored.save_settings(c, changed))
            return self._registry.put_strategy(changed)

    async def start(self, user: User, strategy_id: str) -> StrategyView:
        """Wants the strategy running; the intent and the run's row are on disk on return.

        Raises ``Conflict`` (``ALREADY_RUNNING``, with the run's id) while a run of it lives, and
        ``Invalid`` (``SOURCE_PROBLEM``) for a draft.
        """
        view = self.get(user, strategy_id)
        async with self._registry.lock(view.strategy.id):
            view = self.get(user, strategy_id)
            _refuse_second_start(view)
            _refuse_draft(view.strategy)
            await self._intend(view.strategy, Wanted.RUNNING, by=_name(user))
            if not self._is_live(view.strategy.id):  # something holds it back: say what
                await self._first_step(view.strategy.id)
        self._reconciler.look_at(view.strategy.id)
        return self.get(user, strategy_id)

    async def stop(self, user: User, strategy_id: str) -> StrategyView:
        """Wants the strategy stopped; its end is on the way on return.

        Raises ``Conflict`` (``NOT_RUNNING``) where there is nothing to stop, and ``Unavailable``
        where the stop is on its way and could not be written down.
        """
        view = self.get(user, strategy_id)
        async with self._registry.lock(view.strategy.id):
            view = self.get(user, strategy_id)
            if view.phase in {Phase.STOPPED, Phase.ERROR}:
                raise Conflict(
                    f"“{view.strategy.name}” is not running, so there is nothing to stop.",
                    code="NOT_RUNNING",
                )
            if view.strategy.intent.wanted is not Wanted.STOPPED:
                await self._intend_stop(view, by=_name(user))
            await self._first_step(view.strategy.id)
        self._reconciler.look_at(view.strategy.id)
        return self.get(user, strategy_id)

    async def delete(self, user: User, strategy_id: str) -> None:
        """Takes a strategy away; its runs, logs and orders stay on record.

        Raises ``Conflict`` while it runs.
        """
        view = self.get(user, strategy_id)
        async with self._registry.lock(view.strategy.id):
            view = self.get(user, strategy_id)
            _refuse_while_running(view, "deleted")
            now = self._clock.now()
            await self._database.write(lambda c: stored.mark_deleted(c, view.strategy.id, at=now))
            self._registry.remove(view.strategy.id)

    def _content(self, strategy: Strategy) -> bytes:
        return self._database.read(lambda c: stored.content(c, strategy.version_id))

    def _is_live(self, strategy_id: StrategyId) -> bool:
        view = self._registry.find(strategy_id)
        return view is not None and view.latest is not None and view.latest.is_live

    async def _first_step(self, strategy_id: StrategyId) -> None:
        """Takes the first step of an intent. It is on disk by now, and would be carried out
        after a refusal here all the same: whatever fails is for the reconciler to try again."""
        try:
            await self._reconciler.step(strategy_id)
        except (Unavailable, AgentError, OSError) as error:
            log.warning("first_step_failed strategy=%s reason=%s", strategy_id, error)

    async def _intend_stop(self, view: StrategyView, *, by: str) -> None:
        try:
            await self._intend(view.strategy, Wanted.STOPPED, by=by)
        except Unavailable as error:
            if view.latest is None or not view.latest.is_live:
                raise
            try:
                await self._reconciler.stop_unwritten(view.latest, by=by)
            except AgentError:
                raise error from None
            raise Unavailable(
                f"“{view.strategy.name}” is being stopped, but that cannot be written down now:"
                f" {error.message}",
                code="STOP_UNWRITTEN",
            ) from error

    async def _intend(self, strategy: Strategy, wanted: Wanted, *, by: str) -> None:
        intent = Intent(
            number=strategy.intent.number + 1, wanted=wanted, by=by, at=self._clock.now()
        )
        await self._reconciler.intend(strategy, intent)


def _may_see(user: User, view: StrategyView) -> bool:
    return user.is_admin or view.strategy.owner_id == user.id


def _name(user: User) -> str:
    return f"user:{user.name}"


def _checked_name(name: str) -> str:
    cleaned = " ".join(name.split())
    if not cleaned or len(cleaned) > 80 or not cleaned.isprintable():
        raise Invalid(
            "A strategy's name has 1 to 80 printable characters; give it a shorter or plainer one.",
            code="BAD_NAME",
        )
    return cleaned


def _refuse_draft(strategy: Strategy) -> None:
    if strategy.problem is not None:
        problem = strategy.problem
        raise Invalid(
            f"Line {problem.line} does not compile ({problem.message});"
            " mend it and save, then start.",
            code="SOURCE_PROBLEM",
            details={"line": problem.line, "column": problem.column},
        )


def _refuse_second_start(view: StrategyView) -> None:
    if view.phase in {Phase.STOPPED, Phase.ERROR}:
        return
    run_id = view.latest.id if view.latest is not None and view.latest.is_live else None
    said = f"run {run_id}" if run_id else "its start is on the way"
    raise Conflict(
        f"“{view.strategy.name}” is {view.phase.value} already ({said}); stop it first.",
        code="ALREADY_RUNNING",
        details={"run_id": run_id},
    )


def _refuse_while_running(view: StrategyView, done: str) -> None:
    if view.phase not in {Phase.STOPPED, Phase.ERROR}:
        raise Conflict(
            f"“{view.strategy.name}” is {view.phase.value}; it can be {done} once it is stopped.",
            code="STRATEGY_RUNNING",
        )

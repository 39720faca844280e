"""What people do with strategies: add, save, start, stop, delete, look.

A command writes an intent and returns when the intent is on disk; the reconciler does the rest.
Every command names the user; somebody else's strategy is as good as none.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from weakref import WeakValueDictionary

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
from algohost.host import bundles
from algohost.host import source as source_text
from algohost.host.reach import Ceilings, refuse_wider_limits, refuse_wider_reach
from algohost.host.reconcile import Reconciler
from algohost.host.refusals import refuse_draft, refuse_second_start, refuse_while_running
from algohost.host.registry import Registry, RemovalListener, ViewListener
from algohost.host.views import StrategyView, withdrawn
from algohost.store import audit
from algohost.store import runs as stored_runs
from algohost.store import strategies as stored
from algohost.store import variables as stored_variables
from algohost.store.database import Database

log = logging.getLogger(__name__)

_ON_THE_WAY = frozenset({Phase.PENDING, Phase.STARTING, Phase.STOPPING})


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """One file of a version."""

    name: str
    size: int
    is_text: bool
    """Whether it can be shown and edited."""


class StrategyService:
    """The commands and looks of users, each checked for its owner."""

    def __init__(
        self,
        *,
        clock: Clock,
        database: Database,
        registry: Registry,
        reconciler: Reconciler,
        ceilings: Ceilings,
    ) -> None:
        self._clock = clock
        self._database = database
        self._registry = registry
        self._reconciler = reconciler
        self._ceilings = ceilings
        self._saving: WeakValueDictionary[StrategyId, asyncio.Lock] = WeakValueDictionary()

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

    def source(self, user: User, strategy_id: str, file: str = "") -> str:
        """The text of a file of the current version; of the one that is run where none is named.

        Raises ``NotFound`` for a file that is not there and ``Invalid`` for one that is no text.
        """
        strategy = self.get(user, strategy_id).strategy
        content = self._content(strategy)
        files = source_text.files_in(strategy.file_name, content)
        name = file or source_text.main_file(strategy.file_name, content)
        if name not in files:
            raise NotFound(f"The strategy has no file “{name[:120]}”.", code="NO_FILE")
        if len(files) > 1 and not source_text.is_text(files[name]):
            raise Invalid(f"“{name[:120]}” is no text, so it cannot be shown.", code="NOT_TEXT")
        return source_text.decode(files[name])

    def files(self, user: User, strategy_id: str) -> Sequence[SourceFile]:
        """The files of the current version; the one that is run comes first."""
        strategy = self.get(user, strategy_id).strategy
        content = self._content(strategy)
        main = source_text.main_file(strategy.file_name, content)
        found = source_text.files_in(strategy.file_name, content)
        return [
            SourceFile(name=name, size=len(found[name]), is_text=source_text.is_text(found[name]))
            for name in sorted(found, key=lambda name: (name != main, name))
        ]

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
        accepted = await source_text.prepare(file_name, content)
        plain_name, content = accepted.file_name, accepted.content
        shown_name = source_text.checked_name(name or PurePath(plain_name).stem.replace("_", " "))
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
                settings=StrategySettings()
                if owner.is_admin
                else self._ceilings.of_a_new_strategy(),
            )
            stored.insert(connection, strategy, content)
            audit.note(
                connection, "strategy_added", at=now, by=_name(owner), subject=new_id,
                name=shown_name, file=plain_name, version=strategy.version_id,
            )  # fmt: skip
            return strategy

        return self._registry.put_strategy(await self._database.write(keep))

    async def save_text(
        self, user: User, strategy_id: str, text: str, *, file: str = ""
    ) -> StrategyView:
        """``save`` with one edited file, in the encoding and with the line ends that it had."""
        async with self._in_order(self.get(user, strategy_id)):
            strategy = self.get(user, strategy_id).strategy

            def edited() -> bytes:
                return source_text.edited(self._content(strategy), file or bundles.MAIN, text)

            return await self._save(user, strategy, await asyncio.to_thread(edited))

    async def save(
        self, user: User, strategy_id: str, content: bytes, *, file_name: str = ""
    ) -> StrategyView:
        """Makes a new version of all the code: a script, or a zip where ``file_name`` says so.

        Raises ``Conflict`` while the strategy runs.
        """
        async with self._in_order(self.get(user, strategy_id)):
            strategy = self.get(user, strategy_id).strategy
            accepted = await source_text.prepare(file_name or strategy.file_name, content)
            renamed = replace(strategy, file_name=accepted.file_name)
            return await self._save(user, renamed, accepted.content)

    def _in_order(self, view: StrategyView) -> asyncio.Lock:
        """Saves of one strategy follow each other: each changes a file of the version before."""
        return self._saving.setdefault(view.strategy.id, asyncio.Lock())

    async def _save(self, user: User, renamed: Strategy, content: bytes) -> StrategyView:
        strategy_id, file_name = renamed.id, renamed.file_name
        if not bundles.is_bundle(content):
            source_text.accept(file_name, content)
        problem = await source_text.find_problem(file_name, content)
        version_id = await asyncio.to_thread(stored.version_of, content)
        view = self.get(user, strategy_id)
        async with self._registry.lock(view.strategy.id):
            view = self.get(user, strategy_id)
            if view.phase not in {Phase.BACKING_OFF, Phase.WAITING}:  # what is saved starts then
                refuse_while_running(view, "saved")
            changed = replace(
                view.strategy,
                file_name=file_name,
                version_id=version_id,
                problem=problem,
            )
            now, by = self._clock.now(), _name(user)

            def keep(connection: Connection) -> None:
                stored.save_version(connection, changed, content, by=by, at=now)
                audit.note(
                    connection, "code_saved", at=now, by=by, subject=changed.id,
                    file=file_name, version=version_id,
                )  # fmt: skip

            await self._database.write(keep)
            return self._registry.put_strategy(changed)

    async def configure(
        self, user: User, strategy_id: str, changes: Mapping[str, object]
    ) -> StrategyView:
        """Changes how the strategy is run from its next start on; other settings stay.

        ``changes`` are JSON values. Raises ``Invalid`` for settings that no run may be launched
        with, and ``Forbidden`` where somebody who is no administrator would have it reach more
        files than before, or use more than the server's ceilings.
        """
        view = self.get(user, strategy_id)
        async with self._registry.lock(view.strategy.id):
            view = self.get(user, strategy_id)
            before = view.strategy
            settings = before.settings.with_changes(changes)
            self._reconciler.check_settings(settings)
            if not user.is_admin:
                refuse_wider_reach(before.settings, settings)
                refuse_wider_limits(before.settings, settings, self._ceilings)
            changed = replace(before, settings=settings)
            at_rest = withdrawn(view, changed, by=_name(user), at=self._clock.now())

            def keep(connection: Connection) -> None:
                stored.save_settings(connection, at_rest)
                audit.note(
                    connection, "settings_changed", at=self._clock.now(), by=_name(user),
                    subject=at_rest.id, changes=json.dumps(changes, default=str)[:1000],
                )  # fmt: skip
                if at_rest.intent is not changed.intent:
                    stored.add_intent(connection, at_rest.id, at_rest.intent)

            await self._database.write(keep)
            return self._registry.put_strategy(at_rest)

    async def start(self, user: User, strategy_id: str) -> StrategyView:
        """Wants the strategy running; the intent and the run's row are on disk on return.

        Raises ``Conflict`` (``ALREADY_RUNNING``, with the run's id) while a run of it lives, and
        ``Invalid`` (``SOURCE_PROBLEM``) for a draft.
        """
        view = self.get(user, strategy_id)
        async with self._registry.lock(view.strategy.id):
            view = self.get(user, strategy_id)
            refuse_second_start(view)
            refuse_draft(view.strategy)
            await self._intend(view.strategy, Wanted.RUNNING, by=_name(user))
            if not self._is_live(view.strategy.id):  # something holds it back: say what
                await self._first_step(view.strategy.id)
        await self._reconciler.begin(view.strategy.id)
        return self.get(user, strategy_id)

    async def stop(self, user: User, strategy_id: str) -> StrategyView:
        """Wants the strategy stopped; its end is on the way on return.

        Raises ``Conflict`` (``NOT_RUNNING``) where there is nothing to stop, and ``Unavailable``
        where the stop is on its way and could not be written down.
        """
        await self.halt(self.get(user, strategy_id).strategy.id, by=_name(user))
        return self.get(user, strategy_id)

    async def halt(self, strategy_id: StrategyId, *, by: str) -> None:
        """``stop`` for what the server decides itself: ``kill switch``, ``limit: daily loss``."""
        async with self._registry.lock(strategy_id):
            view = self._registry.find(strategy_id)
            if view is None or view.phase in {Phase.STOPPED, Phase.ERROR}:
                name = "The strategy" if view is None else f"“{view.strategy.name}”"
                raise Conflict(
                    f"{name} is not running, so there is nothing to stop.", code="NOT_RUNNING"
                )
            if view.strategy.intent.wanted is not Wanted.STOPPED:
                await self._intend_stop(view, by=by)
            await self._first_step(strategy_id)
        self._reconciler.look_at(strategy_id)

    async def delete(self, user: User, strategy_id: str) -> None:
        """Takes a strategy away, with its variables and secrets; its runs, logs and orders stay.

        Raises ``Conflict`` while it runs.
        """
        view = self.get(user, strategy_id)
        async with self._registry.lock(view.strategy.id):
            view = self.get(user, strategy_id)
            refuse_while_running(view, "deleted")
            now = self._clock.now()

            def forget(connection: Connection) -> None:
                stored.mark_deleted(connection, view.strategy.id, at=now)
                stored_variables.remove_all(connection, view.strategy.id)
                audit.note(
                    connection, "strategy_deleted", at=now, by=_name(user),
                    subject=view.strategy.id, name=view.strategy.name,
                )  # fmt: skip

            await self._database.write(forget)
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

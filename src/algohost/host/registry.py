"""The server's picture of every strategy: loaded once, changed only after the database was.

Pages and the status API read from here, so that looking costs no query. Each strategy has a
lock; whoever changes a strategy (a command, the reconciler) holds it.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from algohost.domain.health import Flag
from algohost.domain.ids import StrategyId, UserId
from algohost.domain.ledger import LedgerRow
from algohost.domain.restarts import MOST_REMEMBERED
from algohost.domain.runs import Run
from algohost.domain.strategies import Gate, Strategy
from algohost.host.views import StrategyView

log = logging.getLogger(__name__)

L = TypeVar("L")
ViewListener = Callable[[StrategyView], None]
RemovalListener = Callable[[StrategyId, UserId], None]


class Registry:
    """Views by strategy id, and who wants to hear of changes. Used on the server's loop only."""

    def __init__(
        self, strategies: Sequence[Strategy], latest: Sequence[Run], restarts: Sequence[Run] = ()
    ) -> None:
        """``restarts`` are those of the newest intents, newest first."""
        runs = {run.strategy_id: run for run in latest}
        earlier: defaultdict[StrategyId, list[Run]] = defaultdict(list)
        for run in restarts:
            if runs[run.strategy_id].id != run.id:
                earlier[run.strategy_id].append(run)
        self._views = {
            s.id: StrategyView(strategy=s, latest=runs.get(s.id), earlier=tuple(earlier[s.id]))
            for s in strategies
        }
        self._locks: defaultdict[StrategyId, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._listeners: list[ViewListener] = []
        self._removal_listeners: list[RemovalListener] = []
        self._changed = asyncio.Event()

    def __iter__(self) -> Iterator[StrategyView]:
        return iter(tuple(self._views.values()))

    def find(self, strategy_id: str) -> StrategyView | None:
        """The view of a strategy, if there is one of that id."""
        return self._views.get(StrategyId(strategy_id))

    def lock(self, strategy_id: StrategyId) -> asyncio.Lock:
        """The lock to hold while changing a strategy."""
        return self._locks[strategy_id]

    def put_strategy(self, strategy: Strategy) -> StrategyView:
        """Shows a new or changed strategy; its run and gates stay as they are."""
        old = self._views.get(strategy.id)
        view = (
            replace(old, strategy=strategy) if old else StrategyView(strategy=strategy, latest=None)
        )
        return self._show(view)

    def put_run(self, run: Run) -> StrategyView:
        """Shows how the newest run of a strategy stands; its gates no longer matter."""
        view = self._views[run.strategy_id]
        earlier = _before(run, view.latest, view.earlier)
        is_same = view.latest is not None and view.latest.id == run.id and run.is_live
        flags = view.flags if is_same else ()
        return self._show(
            replace(view, latest=run, earlier=earlier, gates=(), next_at=None, flags=flags)
        )

    def put_gates(
        self, strategy_id: StrategyId, gates: tuple[Gate, ...], *, next_at: datetime | None = None
    ) -> None:
        """Shows what holds a start back, or when the next restart is due."""
        view = self._views[strategy_id]
        if (view.gates, view.next_at) != (gates, next_at):
            self._show(replace(view, gates=gates, next_at=next_at))

    def put_expected(
        self, strategy: Strategy, next_start: datetime | None, occurrence: LedgerRow | None
    ) -> None:
        """Shows a strategy, the next start of its schedule, what became of the newest one."""
        view = self._views.get(strategy.id)
        shown = (strategy, next_start, occurrence)
        if view is None or (view.strategy, view.next_start, view.occurrence) == shown:
            return
        self._show(replace(view, strategy=strategy, next_start=next_start, occurrence=occurrence))

    def put_flags(self, run: Run, flags: tuple[Flag, ...]) -> None:
        """Shows what is wrong with a live run, while it is the newest of its strategy."""
        view = self._views.get(run.strategy_id)
        latest = None if view is None else view.latest
        is_it = latest is not None and latest.id == run.id and latest.is_live
        if view is not None and is_it and view.flags != flags:
            self._show(replace(view, flags=flags))

    def remove(self, strategy_id: StrategyId) -> None:
        """Forgets a deleted strategy."""
        view = self._views.pop(strategy_id)
        self._locks.pop(strategy_id, None)
        _tell(self._removal_listeners, strategy_id, view.strategy.owner_id)

    def listen(self, listener: ViewListener) -> Callable[[], None]:
        """Calls ``listener`` with each changed view until the returned function is called."""
        return _subscribe(self._listeners, listener)

    def listen_removed(self, listener: RemovalListener) -> Callable[[], None]:
        """Calls ``listener`` with id and owner of each removed strategy."""
        return _subscribe(self._removal_listeners, listener)

    async def changed(self) -> None:
        """Returns after the next change of any view."""
        await self._changed.wait()

    def _show(self, view: StrategyView) -> StrategyView:
        self._views[view.strategy.id] = view
        self._changed.set()
        self._changed = asyncio.Event()
        _tell(self._listeners, view)
        return view


def _before(run: Run, latest: Run | None, earlier: tuple[Run, ...]) -> tuple[Run, ...]:
    """The runs of the same intent before ``run``, newest first."""
    if latest is None or latest.intent_number != run.intent_number:
        return ()
    return earlier if latest.id == run.id else (latest, *earlier)[:MOST_REMEMBERED]


def _subscribe(listeners: list[L], listener: L) -> Callable[[], None]:
    listeners.append(listener)
    return lambda: listeners.remove(listener) if listener in listeners else None


def _tell(listeners: Iterable[Callable[..., None]], *arguments: object) -> None:
    for listener in tuple(listeners):
        try:
            listener(*arguments)
        except Exception:
            log.exception("listener_failed listener=%r", listener)

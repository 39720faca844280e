"""What changed, for every open socket: one set of listeners and one ticker for the whole server.

A watcher holds the ids that changed since it last looked, never the changes themselves. So a
slow socket costs a set of ids, and what it is sent at last is the state of that moment.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from algohost.domain.ids import StrategyId, UserId
from algohost.domain.orders import Order
from algohost.domain.users import User
from algohost.host.views import StrategyView
from algohost.web.rows import rows

if TYPE_CHECKING:
    from algohost.web.services import Host

log = logging.getLogger(__name__)

TICK_SECONDS: Final = 1.0
"""How often figures that move with prices are looked at."""

Row = dict[str, Any]


class Watcher:
    """The strategies that changed since the last ``take``, of those it wants."""

    def __init__(self, wants: Callable[[StrategyId], bool]) -> None:
        self._wants = wants
        self._ids: set[StrategyId] = set()
        self._event = asyncio.Event()

    def add(self, strategy_id: StrategyId) -> None:
        """Notes a change, if it is wanted."""
        if self._wants(strategy_id):
            self._ids.add(strategy_id)
            self._event.set()

    async def wait(self, *, at_most_seconds: float | None = None) -> None:
        """Returns when something has changed, or after the time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most_seconds):
                await self._event.wait()

    def take(self) -> set[StrategyId]:
        """What changed; it is forgotten here."""
        taken, self._ids = self._ids, set()
        self._event.clear()
        return taken


class LiveHub:
    """Rows of strategies, made once for all who look, and who is to hear of changes."""

    def __init__(self, host: "Host") -> None:
        self.host = host
        self._rows: dict[StrategyId, Row] = {}
        self._watchers: set[Watcher] = set()
        self._viewers: dict[UserId, tuple[User, int]] = {}
        self._unlisten: list[Callable[[], None]] = []
        self._ticker: asyncio.Task[None] | None = None

    def rows(self, views: Sequence[StrategyView]) -> list[Row]:
        """Rows as of their last change or tick. Not to be changed by the caller."""
        missing = [view for view in views if view.strategy.id not in self._rows]
        self._rows.update((made["id"], made) for made in rows(missing, self.host))
        return [self._rows[view.strategy.id] for view in views]

    @contextlib.contextmanager
    def watching(self, wants: Callable[[StrategyId], bool]) -> Iterator[Watcher]:
        """A watcher, alive within the block."""
        watcher = Watcher(wants)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    @contextlib.contextmanager
    def viewing(self, user: User) -> Iterator[None]:
        """Listens and ticks for as long as anybody looks."""
        _, looking = self._viewers.get(user.id, (user, 0))
        self._viewers[user.id] = (user, looking + 1)
        if self._ticker is None:
            self._begin()
        try:
            yield
        finally:
            _, looking = self._viewers[user.id]
            self._viewers[user.id] = (user, looking - 1)
            if looking == 1:
                del self._viewers[user.id]
            if not self._viewers:
                self._end()

    def _begin(self) -> None:
        host = self.host
        self._unlisten = [
            host.strategies.listen(lambda view: self._changed(view.strategy.id)),
            host.strategies.listen_removed(lambda strategy_id, _owner: self._changed(strategy_id)),
            host.gateway.listen(self._ordered),
        ]
        self._ticker = asyncio.create_task(self._tick(), name="live figures")

    def _end(self) -> None:
        for unlisten in self._unlisten:
            unlisten()
        self._unlisten = []
        self._rows.clear()
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None

    def _changed(self, strategy_id: StrategyId) -> None:
        self._rows.pop(strategy_id, None)
        for watcher in self._watchers:
            watcher.add(strategy_id)

    def _ordered(self, order: Order) -> None:
        if order.book.strategy_id is not None:
            self._changed(order.book.strategy_id)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                self._look()
            except Exception:  # one bad second must not freeze the figures of every tab
                log.exception("live_figures_failed")

    def _look(self) -> None:
        for made in rows(self._seen(), self.host):
            shown = self._rows.get(made["id"])
            if shown is not None and shown["pnl"] != made["pnl"]:
                self._changed(made["id"])

    def _seen(self) -> list[StrategyView]:
        """Every strategy that somebody may be looking at, once."""
        views: dict[StrategyId, StrategyView] = {}
        for user, _ in self._viewers.values():
            for view in self.host.strategies.list(user):
                views.setdefault(view.strategy.id, view)
        return list(views.values())

"""Which logs are kept: by count, by age and by their size together, for each strategy.

The log of a live run and that of a strategy's newest run are never removed. A removed log's
run says so, and its last lines stay with it. The events of the host are bounded here as well.
"""

import asyncio
import contextlib
import logging
import stat
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from algohost.domain.errors import AlgohostError
from algohost.domain.ids import StrategyId
from algohost.domain.ports import Clock
from algohost.host.registry import Registry
from algohost.host.views import StrategyView
from algohost.runner.log_holes import size_on_disk
from algohost.store import host_events, run_logs
from algohost.store.database import Database
from algohost.store.run_logs import LoggedRun

log = logging.getLogger(__name__)

KEEP_EVENTS_DAYS: Final = 400
"""How long events of the host are kept: as long as the ledger of schedules."""
MOST_EVENTS: Final = 100_000
"""So many are kept at most, the newest."""
_LOOK_SECONDS: Final = 3600.0


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """How much is kept of each strategy; 0 is no bound."""

    runs: int
    days: int
    megabytes: int


class Retention:
    """Removes logs that are too many, too old or too large together."""

    def __init__(
        self,
        *,
        clock: Clock,
        database: Database,
        registry: Registry,
        folder: Path,
        keeping: Keeping,
    ) -> None:
        self._clock = clock
        self._database = database
        self._folder = folder
        self._keeping = keeping
        self._ended: set[StrategyId] = set()
        self._wake = asyncio.Event()
        self._live: dict[StrategyId, bool] = {}
        self.failures = 0
        registry.listen(self._heard)

    async def run(self) -> None:
        """Looks at everything now and every hour, and at a strategy when a run of it has ended."""
        wanted: Iterable[StrategyId | None] = (None,)
        while True:
            for strategy_id in wanted:
                await self._swept(strategy_id)
            wanted = (None,)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._wake.wait()
                    wanted = tuple(self._ended)
            self._ended.clear()
            self._wake.clear()

    async def sweep(self, strategy_id: StrategyId | None = None) -> int:
        """Removes what is too much of one strategy or of all; says how many logs went.

        A crash between removal and its record is made good by the next look.
        """
        known = await asyncio.to_thread(
            self._database.read, lambda c: run_logs.logged_runs(c, strategy_id)
        )
        of_each: defaultdict[StrategyId, list[LoggedRun]] = defaultdict(list)
        for run in known:
            of_each[run.strategy_id].append(run)
        gone = await asyncio.to_thread(self._remove, list(of_each.values()))
        if gone:
            await self._database.write(lambda c: run_logs.forget_logs(c, [r.id for r in gone]))
            log.info("logs_removed count=%d", len(gone))
        return len(gone)

    async def forget_events(self) -> int:
        """Removes events of the host that are too old or too many; says how many."""
        before = self._clock.now() - timedelta(days=KEEP_EVENTS_DAYS)
        gone = await self._database.write(
            lambda c: host_events.forget(c, before=before, most=MOST_EVENTS)
        )
        if gone:
            log.info("host_events_removed count=%d", gone)
        return gone

    def _heard(self, view: StrategyView) -> None:
        is_live = view.latest is not None and view.latest.is_live
        if self._live.get(view.strategy.id) and not is_live:
            self._ended.add(view.strategy.id)
            self._wake.set()
        self._live[view.strategy.id] = is_live

    async def _swept(self, strategy_id: StrategyId | None) -> None:
        try:
            await self.sweep(strategy_id)
            if strategy_id is None:
                await self.forget_events()
        except (AlgohostError, OSError) as error:
            self.failures += 1
            log.warning("logs_not_looked_at strategy=%s reason=%s", strategy_id, error)
        except Exception:  # the loop outlives one bad look
            self.failures += 1
            log.exception("log_retention_failed strategy=%s", strategy_id)

    def _remove(self, of_each: Sequence[Sequence[LoggedRun]]) -> list[LoggedRun]:
        gone = []
        for runs in of_each:
            for run in self._too_much(runs):
                path = self._folder / run.log_name
                if path.parent != self._folder:
                    continue
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:  # a folder in its place, or a disk that is read-only
                    log.warning("log_not_removed run=%s reason=%s", run.id, error)
                else:
                    gone.append(run)
        return gone

    def _too_much(self, runs: Sequence[LoggedRun]) -> list[LoggedRun]:
        """Of one strategy's runs, newest first, those whose logs must go."""
        keeping = self._keeping
        oldest = self._clock.now() - timedelta(days=keeping.days)
        used, found = 0, []
        for number, run in enumerate(runs):
            size = self._size(run)
            if number == 0 or run.is_live:
                used += size
                continue
            is_old = bool(keeping.days) and run.created_at < oldest
            is_beyond = bool(keeping.runs) and number >= keeping.runs
            is_much = bool(keeping.megabytes) and used + size > keeping.megabytes << 20
            if is_old or is_beyond or is_much:
                found.append(run)
            else:
                used += size
        return found

    def _size(self, run: LoggedRun) -> int:
        try:
            status = (self._folder / run.log_name).lstat()
        except OSError:
            return 0
        return size_on_disk(status) if stat.S_ISREG(status.st_mode) else 0

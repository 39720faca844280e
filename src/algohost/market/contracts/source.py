"""The paper broker as a source of its list: made here, in a thread, and kept in a file."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from algohost.domain.calendars import Calendar
from algohost.domain.errors import AlgohostError, Invalid, NotFound, Unavailable
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.master_contracts import Progress
from algohost.domain.ports import Clock
from algohost.market.contracts import file, paper
from algohost.market.contracts.paper import Basis, Made
from algohost.market.contracts.search import SearchableTable
from algohost.market.service import MarketService

log = logging.getLogger(__name__)


class PaperContracts:
    """Implements ``ContractSource``."""

    def __init__(
        self,
        *,
        clock: Clock,
        market: MarketService,
        calendars: Callable[[], Mapping[Exchange, Calendar]],
        folder: Path,
        about: str,
    ) -> None:
        """``about`` names the market with its seed or file: a list of another is not taken over.

        The market is told of each list: what it prices may depend on what is listed.
        """
        self._clock = clock
        self._market = market
        self._calendars = calendars
        self._path = folder / "paper.npz"
        self._about = about

    @property
    def broker(self) -> str:
        """``paper``."""
        return "paper"

    async def stored(self) -> SearchableTable | None:
        """As ``ContractSource.stored``."""
        try:
            found = await asyncio.to_thread(self._read)
        except (Invalid, OSError) as error:
            said = error.message if isinstance(error, AlgohostError) else str(error)
            log.warning("contracts_not_read file=%r reason=%r", str(self._path), said)
            return None
        if found is not None:
            self._market.use_list(found)
        return found

    async def fetch(self, progress: Progress) -> SearchableTable:
        """As ``ContractSource.fetch``."""
        basis = self._basis()
        more = await asyncio.to_thread(self._market.levels, basis.made_at)
        basis = replace(basis, levels={**more, **basis.levels})
        made: list[Made] = paper.traded(basis)
        progress(5, "equities and indices")
        made += await asyncio.to_thread(paper.cash, basis)
        progress(20, "futures and options of indices, commodities and currencies")
        made += await asyncio.to_thread(lambda: list(paper.derivatives(basis)))
        progress(40, "futures and options of stocks")
        made += await asyncio.to_thread(lambda: list(paper.stock_derivatives(basis)))
        progress(70, "the order of the list")
        table = await asyncio.to_thread(paper.assemble, basis.made_at, made)
        progress(90, "the file")
        try:
            await asyncio.to_thread(file.write, self._path, table, about=self._about)
        except OSError as error:
            raise Unavailable(
                f"The list of instruments could not be written to {self._path}"
                f" ({error.strerror or error}); look at the disk.",
                code="CONTRACTS_NOT_WRITTEN",
            ) from error
        self._market.use_list(table)
        return table

    def _read(self) -> SearchableTable | None:
        file.remove_unfinished(self._path.parent)
        return file.read(self._path, about=self._about)

    def _basis(self) -> Basis:
        traded = self._market.instruments()
        levels = {}
        for key in (one.key for one in traded):
            level = self._level(key)
            if level is not None:
                levels[key] = level
        return Basis(
            made_at=self._clock.now(),
            traded=traded,
            levels=levels,
            calendars=self._calendars(),
        )

    def _level(self, key: InstrumentKey) -> Decimal | None:
        try:
            return self._market.quote(key).previous_close
        except (NotFound, Unavailable):
            return None

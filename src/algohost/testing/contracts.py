"""A broker's list of instruments, and where it comes from, as a test wants them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from algohost.domain.contract_symbols import ContractKind, parts_of
from algohost.domain.errors import Unavailable
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.domain.master_contracts import ContractList, Progress
from algohost.domain.ports import Clock


@dataclass(frozen=True)
class MemoryList:
    """Implements ``ContractList`` over a few instruments, in their order."""

    made_at: datetime
    instruments: tuple[Instrument, ...]

    def __len__(self) -> int:
        return len(self.instruments)

    def find(self, key: InstrumentKey) -> Instrument | None:
        """As ``ContractList.find``."""
        return next((one for one in self.instruments if one.key == key), None)

    def search(self, text: str, exchange: Exchange | None, *, limit: int) -> Sequence[Instrument]:
        """What holds every word in its symbol or name."""
        words = text.upper().split()
        return [
            one
            for one in self.instruments
            if words
            and exchange in {None, one.key.exchange}
            and all(word in f"{one.key.symbol} {one.name}".upper() for word in words)
        ][:limit]

    def expiries(self, exchange: Exchange, base: str, *, of_options: bool) -> Sequence[date]:
        """As ``ContractList.expiries``."""
        parts = [parts_of(one.key.symbol) for one in self.instruments
                 if one.key.exchange is exchange]  # fmt: skip
        return sorted(
            {p.expiry for p in parts if p and p.base == base and p.kind.is_option is of_options}
        )

    def strikes(
        self, exchange: Exchange, base: str, expiry: date, kind: ContractKind
    ) -> Sequence[Decimal]:
        """As ``ContractList.strikes``."""
        parts = [parts_of(one.key.symbol) for one in self.instruments
                 if one.key.exchange is exchange]  # fmt: skip
        return sorted(
            p.strike
            for p in parts
            if p and p.strike is not None and (p.base, p.expiry, p.kind) == (base, expiry, kind)
        )

    def places(self, exchange: Exchange | None) -> Sequence[int]:
        """As ``ContractList.places``."""
        return [
            place
            for place, one in enumerate(self.instruments)
            if exchange in {None, one.key.exchange}
        ]

    def at(self, place: int) -> Instrument:
        """As ``ContractList.at``."""
        return self.instruments[place]


@dataclass
class FakeContracts:
    """Implements ``ContractSource``; a new list is made at once, unless the test says otherwise."""

    clock: Clock
    instruments: tuple[Instrument, ...] = ()
    kept: ContractList | None = None
    """What ``stored`` answers with."""
    failures: list[Exception] = field(default_factory=list)
    """What the next downloads raise, one each."""
    gate: asyncio.Event | None = None
    """Where it is there, a download is half done until it is set."""
    fetched: int = 0
    broker: str = "paper"

    async def stored(self) -> ContractList | None:
        """As ``ContractSource.stored``."""
        return self.kept

    async def fetch(self, progress: Progress) -> ContractList:
        """As ``ContractSource.fetch``."""
        self.fetched += 1
        progress(50, "half of it")
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.kept = MemoryList(self.clock.now(), self.instruments)
        return self.kept

    def fail(self, times: int = 1) -> None:
        """The next downloads fail with a sentence."""
        self.failures += [Unavailable("The broker does not answer.")] * times

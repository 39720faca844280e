"""What the rules ask of the world. Implementations live at the edges, doubles in ``testing``."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from algohost.domain.ids import AccountId, RunId
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.domain.orders import Order
from algohost.domain.quotes import Bar, Depth, Interval, Quote


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds that never run backwards, for durations only."""


Jitter = Callable[[RunId], float]
"""Where the chance in a wait comes from: a share in [0, 1), the same for a run at every call."""

QuotesListener = Callable[[Sequence[Quote]], None]
"""Called on the server's loop with the quotes that changed in one tick, in a fixed order."""


class Market(Protocol):
    """Prices of the mode this server runs in: synthetic, recorded, or a broker's."""

    @property
    def name(self) -> str:
        """How the mode is shown: ``synthetic``, ``recorded 2021-05-27 ×10``."""

    def now(self) -> datetime:
        """The market's own instant, aware, in UTC: the wall clock unless a recording plays."""

    def instruments(self) -> Sequence[Instrument]:
        """The whole master contract, in a fixed order."""

    def find(self, key: InstrumentKey) -> Instrument | None:
        """The instrument of that name, if it is listed."""

    def search(self, text: str, exchange: Exchange | None) -> Sequence[Instrument]:
        """Instruments whose symbol or name contains ``text``, best match first."""

    def is_open(self, exchange: Exchange) -> bool:
        """Whether orders of that exchange are matched now."""

    def quote(self, key: InstrumentKey) -> Quote:
        """The newest quote. Raises ``NotFound`` for an instrument that is not listed."""

    def depth(self, key: InstrumentKey) -> Depth:
        """The newest five levels a side. Raises ``NotFound`` as ``quote`` does."""

    def history(
        self, key: InstrumentKey, interval: Interval, start: datetime, end: datetime
    ) -> Sequence[Bar]:
        """Bars that begin in ``[start, end)`` and not after now, oldest first.

        The last one may be unfinished. Raises ``NotFound`` for an instrument that is not
        listed and ``Invalid`` for an interval that this market does not keep.
        """

    def intervals(self) -> Collection[Interval]:
        """The intervals that ``history`` answers."""

    def listen(self, listener: QuotesListener) -> Callable[[], None]:
        """Calls ``listener`` at each tick until the returned function is called."""


@dataclass(frozen=True, kw_only=True)
class JournalRecord:
    """One fact of an account's order journal; ``body`` holds only JSON values."""

    number: int
    """Position in the account's journal: 1, 2, 3, … without a gap."""
    kind: str
    at: datetime
    body: dict[str, object]


class OrderJournal(Protocol):
    """What survives of orders. A method that returns has its facts on disk, synced."""

    async def intend(self, order: Order) -> None:
        """Keeps an order before it is sent anywhere."""

    async def append(self, account_id: AccountId, records: Sequence[JournalRecord]) -> None:
        """Adds facts, all or none. Raises ``Conflict`` where a number is taken or skipped."""

    async def replay(self, account_id: AccountId, *, after: int = 0) -> Sequence[JournalRecord]:
        """The facts of an account in order: all, or those that follow number ``after``."""

    async def intents(self, account_id: AccountId) -> Sequence[Order]:
        """All intended orders of an account in the order they came."""

"""What the rules ask of the world. Implementations live at the edges, doubles in ``testing``."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from algohost.domain.errors import Conflict
from algohost.domain.ids import AccountId, OrderId, RunId
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.domain.orders import Book, Order
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

Wants = Callable[[], Iterable[InstrumentKey]]
"""The instruments that a listener must hear of; what is not listed is passed over."""


class Market(Protocol):
    """Prices of the mode this server runs in: synthetic, recorded, or a broker's."""

    @property
    def name(self) -> str:
        """How the mode is shown: ``synthetic``, ``recorded 2021-05-27 ×10``."""

    def now(self) -> datetime:
        """The market's own instant, aware, in UTC: the wall clock unless a recording plays."""

    def instruments(self) -> Sequence[Instrument]:
        """What it trades and quotes by itself, in a fixed order; ``find`` may know more."""

    def find(self, key: InstrumentKey) -> Instrument | None:
        """The instrument of that name, if it has prices here."""

    def search(self, text: str, exchange: Exchange | None) -> Sequence[Instrument]:
        """Instruments whose symbol or name contains ``text``, best match first."""

    def is_open(self, exchange: Exchange) -> bool:
        """Whether orders of that exchange are matched now."""

    def quote(self, key: InstrumentKey) -> Quote:
        """The newest quote. Raises ``NotFound`` for an instrument that is not listed."""

    def depth(self, key: InstrumentKey) -> Depth:
        """The newest five levels a side. Raises ``NotFound`` as ``quote`` does."""

    def depth_of(self, quote: Quote) -> Depth:
        """The five levels a side around a quote that this market has shown."""

    def history(
        self, key: InstrumentKey, interval: Interval, start: datetime, end: datetime
    ) -> Sequence[Bar]:
        """Bars that begin in ``[start, end)`` and not after now, oldest first.

        The last one may be unfinished. Raises ``NotFound`` for an instrument that is not
        listed and ``Invalid`` for an interval that this market does not keep.
        """

    def intervals(self) -> Collection[Interval]:
        """The intervals that ``history`` answers."""

    def listen(self, listener: QuotesListener, wants: Wants | None = None) -> Callable[[], None]:
        """Calls ``listener`` at each tick until the returned function is called.

        ``wants`` is asked before each tick for instruments that must be in it, where they have a
        price: a market need not tick all that it prices.
        """


@dataclass(frozen=True, kw_only=True)
class JournalRecord:
    """One fact of an account's order journal; ``body`` holds only JSON values."""

    number: int
    """Position in the account's journal: 1, 2, 3, … without a gap."""
    kind: str
    at: datetime
    body: dict[str, object]


@dataclass(frozen=True, kw_only=True)
class OrderKey:
    """Under which name a client sent a request, so that sending it again places nothing."""

    name: str
    """Unique among the requests of one book."""
    digest: str
    """SHA-256 in hex of what was asked; the same name with another one is a mistake."""


class KeyUsed(Conflict):
    """The book has used that key before: what was to be kept with it was not kept."""

    code = "KEY_USED"


class Overtaken(Conflict):
    """The journal does not end with the record that the new ones follow: nothing was kept."""

    code = "OVERTAKEN"


@dataclass(frozen=True, kw_only=True)
class Intent:
    """An order that is about to be sent, and the key under which it was asked for, if any."""

    order: Order
    key: OrderKey | None = None


@dataclass(frozen=True, kw_only=True)
class KeptKey:
    """What was done under a key: the order that was sent, or that nothing had to be."""

    key: OrderKey
    order_id: OrderId | None


class OrderJournal(Protocol):
    """What survives of orders. A method that returns has its facts on disk, synced."""

    async def intend(self, intent: Intent) -> None:
        """Keeps an order before it is sent anywhere, and its key with it.

        Raises ``Conflict`` where the order was intended before, and its kind ``KeyUsed``.
        """

    async def append(
        self,
        account_id: AccountId,
        records: Sequence[JournalRecord],
        *,
        intent: Intent | None = None,
        allowed: Callable[[], None] | None = None,
        after: JournalRecord | None = None,
    ) -> None:
        """Adds facts, and an intent with them as ``intend`` does: all or none.

        Appends may be begun before others have ended: they are written in the order in which
        they were begun, as many at once as wait. ``after`` is the record that these follow;
        where it is not in the journal when the write begins, that is ``Overtaken``.

        ``allowed`` is called when the write begins, in any thread; where it raises, nothing is
        kept. Raises that, ``Conflict`` where a number is taken or skipped, and as ``intend``.
        """

    async def keep_key(self, book: Book, key: OrderKey, *, at: datetime) -> None:
        """Keeps that a request needed no order. Raises ``KeyUsed``."""

    async def find_key(self, book: Book, name: str) -> KeptKey | None:
        """What the book has done under a key. Keys older than a while are forgotten."""

    async def forget_keys(self, before: datetime) -> int:
        """Forgets keys used before an instant; returns how many."""

    async def replay(self, account_id: AccountId, *, after: int = 0) -> Sequence[JournalRecord]:
        """The facts of an account in order: all, or those that follow number ``after``."""

    async def intents(self, account_id: AccountId) -> Sequence[Order]:
        """All intended orders of an account in the order they came."""

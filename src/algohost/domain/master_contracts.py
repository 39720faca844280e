"""The master contract: how the list of a broker stands, and when it is of today.

Brokers publish a new list each morning. A list is of today when it was made after 08:00 IST;
before 08:00, yesterday's is. Holidays make no difference: a list is made on them as well.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, Protocol

from algohost.domain.contract_symbols import ContractKind
from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey

TURN: Final = time(8, 0)
"""When a new list is due, in IST."""
_CLOCKS_DIFFER: Final = timedelta(minutes=5)
"""A list that was made later than now is of a clock that has been set back since; of so much it
may be ahead, for clocks that are corrected all the time."""


def due_since(now: datetime) -> datetime:
    """The newest 08:00 IST that has passed: a list from before it is of another day."""
    here = now.astimezone(IST)
    turn = datetime.combine(here.date(), TURN, IST)
    return turn if here >= turn else turn - timedelta(days=1)


def next_due(now: datetime) -> datetime:
    """The 08:00 IST that comes next."""
    return due_since(now) + timedelta(days=1)


def is_of_today(made_at: datetime, now: datetime) -> bool:
    """Whether a list that was made at ``made_at`` still counts at ``now``."""
    return due_since(now) <= made_at <= now + _CLOCKS_DIFFER


class ContractStatus(StrEnum):
    """How the download of a broker's list stands, by OpenAlgo's words."""

    PENDING = "pending"
    DOWNLOADING = "downloading"
    SUCCESS = "success"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class ContractReport:
    """How the list of one broker stands."""

    broker: str
    status: ContractStatus
    message: str
    """A sentence for people: how far it is, how many there are, or what went wrong."""
    last_updated: datetime | None
    """When the list in use was made; ``None`` where there is none."""
    total_symbols: int
    """Instruments of the list in use, which may be an old one."""
    is_ready: bool
    """Whether the list in use is of today."""
    percent: int | None = None
    """How far a download is, from 0 to 100, while one is on."""


class ContractList(Protocol):
    """A list of instruments that can be asked; nothing of it changes."""

    @property
    def made_at(self) -> datetime:
        """When it was made."""

    def __len__(self) -> int:
        """How many instruments it has."""

    def find(self, key: InstrumentKey) -> Instrument | None:
        """The instrument of that name, if it is listed."""

    def search(self, text: str, exchange: Exchange | None, *, limit: int) -> Sequence[Instrument]:
        """At most ``limit`` instruments that fit every word of ``text``, best match first."""

    def expiries(self, exchange: Exchange, base: str, *, of_options: bool) -> Sequence[date]:
        """When the futures or the options of an underlying expire, in order."""

    def strikes(
        self, exchange: Exchange, base: str, expiry: date, kind: ContractKind
    ) -> Sequence[Decimal]:
        """The strikes of an underlying's calls or puts that expire then, in order."""

    def places(self, exchange: Exchange | None) -> Sequence[int]:
        """The places of an exchange's instruments, or of all, in a fixed order."""

    def at(self, place: int) -> Instrument:
        """The instrument at one of ``places``."""


Progress = Callable[[int, str], None]
"""Told, on the server's loop, how far a download is (0 to 100) and what it is at."""


class ContractSource(Protocol):
    """Where the list of one broker comes from, and where it is kept between servers."""

    @property
    def broker(self) -> str:
        """The broker's name."""

    async def stored(self) -> ContractList | None:
        """The list that was kept last, ``None`` where there is none that can be used.

        Does not block the loop. Raises nothing for a damaged file: it is reported in the log,
        and a new list takes its place.
        """

    async def fetch(self, progress: Progress) -> ContractList:
        """Gets a new list and keeps it: whole, or not at all.

        Raises ``Unavailable`` with a sentence, or ``OSError``, where that did not work; what was
        kept before is then kept still.
        """

"""The list of a broker's instruments: made each day, kept while a new one is made, and searched.

A list is due at 08:00 IST and when the server starts without one of today. While it is not there,
starts wait behind a gate that opens by itself; what runs, runs on, and the list of before serves
searches. What failed is tried again, each time after a longer while.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Final

from algohost.domain.errors import AlgohostError, TooMany
from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.domain.master_contracts import (
    ContractList,
    ContractReport,
    ContractSource,
    ContractStatus,
    is_of_today,
    next_due,
)
from algohost.domain.ports import Clock
from algohost.domain.strategies import Gate, GateAction, Strategy
from algohost.host.listeners import tell
from algohost.store import host_events
from algohost.store import master_contracts as kept
from algohost.store.database import Database
from algohost.store.host_events import HostEvent

log = logging.getLogger(__name__)

MASTER_CONTRACT: Final = "MASTER_CONTRACT"
"""The code of the gate that a missing list closes."""
MASTER_CONTRACT_FAILED: Final = "MASTER_CONTRACT_FAILED"
"""The kind of the event that a failed download is."""

_LOOK_SECONDS: Final = 1.0
_FIRST_LOOK_PAUSE_SECONDS: Final = 0.01
_WAITS_SECONDS: Final = (5.0, 15.0, 60.0, 300.0)
"""How long after a failure the next attempt comes; the last one from then on."""
_LEAST_SECONDS_APART: Final = 20.0
"""So often may people ask for a list that is not due."""

ReportListener = Callable[[ContractReport], None]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What came of asking for a new list."""

    is_started: bool
    message: str


class MasterContracts:
    """One broker's list. Used on the server's loop only; a search never waits.

    Itself the ``GateSource`` of the list.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        database: Database,
        source: ContractSource,
        first_look_seconds: float = 1.0,
    ) -> None:
        """``first_look_seconds``: how long the gate waits for what is kept to be read, before it
        says that nothing is there."""
        self._clock = clock
        self._first_look_seconds = first_look_seconds
        self._database = database
        self._source = source
        self._list: ContractList | None = None
        self._progress: tuple[int, str] | None = None
        self._error: str | None = None
        self._in_a_row = 0
        self.failures = 0
        """Downloads that failed since the server started."""
        self._again_at = 0.0
        self._made_at_monotonic: float | None = None
        self._is_asked = False
        self._has_looked = False
        self._look = asyncio.Event()
        self._listeners: list[ReportListener] = []
        self._told: ContractReport | None = None

    async def run(self) -> None:
        """Keeps the list of today; ends when its task is cancelled."""
        while True:
            try:
                await self.step()
            except Exception:  # a look that went wrong must not be the last one
                log.exception("master_contract_not_looked_at broker=%s", self._source.broker)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._look.wait()
            self._look.clear()

    async def step(self) -> None:
        """One look: takes over what is kept, and gets a new list where one is due or asked for."""
        if not self._has_looked:
            self._list = await self._stored()
            self._has_looked = True
            await self._tell()
        is_wanted = not self._is_of_today() or self._error is not None  # that by force failed
        is_due = is_wanted and self._clock.monotonic() >= self._again_at
        if is_due or self._is_asked:
            await self._download()
        await self._tell()

    def listen(self, listener: ReportListener) -> Callable[[], None]:
        """Calls ``listener`` with each new report, until undone."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    # ---- looking

    def report(self) -> ContractReport:
        """How the list stands now."""
        found, is_ready = self._list, self._is_of_today()
        progress = self._progress
        status, message = self._words(is_ready=is_ready)
        return ContractReport(
            broker=self._source.broker,
            status=status,
            message=message,
            last_updated=None if found is None else found.made_at,
            total_symbols=0 if found is None else len(found),
            is_ready=is_ready,
            percent=None if progress is None else progress[0],
        )

    @property
    def is_busy(self) -> bool:
        """Whether a download is on, or was asked for."""
        return self._progress is not None or self._is_asked

    @property
    def current(self) -> ContractList | None:
        """The list in use, which may be of an earlier day; ``None`` before there is any."""
        return self._list

    def find(self, key: InstrumentKey) -> Instrument | None:
        """The instrument of that name, if it is listed."""
        return None if self._list is None else self._list.find(key)

    def search(
        self, text: str, exchange: Exchange | None = None, *, limit: int = 50
    ) -> Sequence[Instrument]:
        """What fits every word of ``text``, best match first; nothing before there is a list."""
        return [] if self._list is None else self._list.search(text, exchange, limit=limit)

    async def closed(self, strategy: Strategy) -> tuple[Gate, ...]:  # noqa: ARG002 - one list for all
        """As ``GateSource.closed``: the list must be of today, for every strategy."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._first_look_seconds):
                while not self._has_looked:
                    await asyncio.sleep(_FIRST_LOOK_PAUSE_SECONDS)
        return self._gates()

    def glance(self, strategy: Strategy) -> tuple[Gate, ...] | None:  # noqa: ARG002 - as above
        """As ``Glancing.glance``: known from the first look on."""
        return self._gates() if self._has_looked else None

    def _gates(self) -> tuple[Gate, ...]:
        report = self.report()
        if report.is_ready:
            return ()
        return (
            Gate(code=MASTER_CONTRACT, sentence=_gate_sentence(report), action=GateAction.DOWNLOAD),
        )

    # ---- asking

    def download(self, *, force: bool = False) -> Asked:
        """Has a new list made, at once; of today's only with ``force``.

        Raises ``TooMany`` where the one in use was made only just now.
        """
        if self.is_busy:
            return Asked(is_started=False, message="The master contract is being downloaded.")
        report = self.report()
        if report.is_ready and not force:
            return Asked(is_started=False, message=f"{report.message} Nothing was downloaded.")
        if self._made_at_monotonic is not None and report.is_ready:
            wait = self._made_at_monotonic + _LEAST_SECONDS_APART - self._clock.monotonic()
            if wait > 0:
                raise TooMany(
                    f"The master contract was downloaded only just now; ask again in"
                    f" {ceil(wait)} s.",
                    code="JUST_DOWNLOADED",
                    details={"retry_after_seconds": wait},
                )
        self._is_asked = True
        self._look.set()
        return Asked(is_started=True, message="Master contract download started")

    # ---- the job

    async def _download(self) -> None:
        broker, began, was_asked = self._source.broker, self._clock.monotonic(), self._is_asked
        self._is_asked, self._progress = False, (0, "")
        await self._tell()
        try:
            found = await self._source.fetch(self._at)
        except (AlgohostError, OSError) as error:
            said = error.message if isinstance(error, AlgohostError) else str(error)
            await self._failed(said, was_asked=was_asked)
        except Exception as error:  # a broker's client may raise anything: it is tried again
            log.exception("master_contract_broke broker=%s", broker)
            said = f"something went wrong in the server ({type(error).__name__})"
            await self._failed(said, was_asked=was_asked)
        else:
            self._list = found
            self._error, self._in_a_row = None, 0
            self._made_at_monotonic = self._clock.monotonic()
            seconds = self._made_at_monotonic - began
            log.info("master_contract_made broker=%s total=%d seconds=%.2f",
                     broker, len(found), seconds)  # fmt: skip
        finally:
            self._progress = None

    def _at(self, percent: int, what: str) -> None:
        self._progress = (min(max(percent, 0), 99), what)
        self._tell_listeners()

    async def _failed(self, reason: str, *, was_asked: bool) -> None:
        is_first = self._in_a_row == 0
        if is_first or not was_asked:  # who presses the button twice must not wait the longer
            self._in_a_row += 1
        wait = _WAITS_SECONDS[min(self._in_a_row, len(_WAITS_SECONDS)) - 1]
        self.failures += 1
        self._again_at = self._clock.monotonic() + wait
        self._error = reason.strip().rstrip(".")
        self._progress = None
        sentence = self.report().message
        log.error("master_contract_failed broker=%s attempt=%d again_seconds=%.0f reason=%r",
                  self._source.broker, self._in_a_row, wait, self._error[:300])  # fmt: skip
        if not is_first:
            return  # the first says it; it is not repeated every five minutes
        event = HostEvent(
            subject="", at=self._clock.now(), kind=MASTER_CONTRACT_FAILED, sentence=sentence
        )
        try:
            await self._database.write(lambda c: host_events.add(c, event))
        except AlgohostError:
            log.exception("event_not_kept kind=%s", MASTER_CONTRACT_FAILED)

    async def _stored(self) -> ContractList | None:
        try:
            return await self._source.stored()
        except Exception:  # whatever is wrong with what is kept, a new list takes its place
            log.exception("master_contract_not_read broker=%s", self._source.broker)
            return None

    def _is_of_today(self) -> bool:
        return self._list is not None and is_of_today(self._list.made_at, self._clock.now())

    # ---- telling

    def _words(self, *, is_ready: bool) -> tuple[ContractStatus, str]:
        found = self._list
        if self._progress is not None:
            percent, what = self._progress
            at = f": {what}" if what else ""
            said = f"The master contract is being downloaded ({percent} %{at})."
            return ContractStatus.DOWNLOADING, said
        if self._error is not None:
            old = "" if found is None else f" The list of {_when(found.made_at)} is used meanwhile."
            said = f"The master contract could not be downloaded: {self._error}."
            return ContractStatus.ERROR, f"{said} It is tried again by itself.{old}"
        if found is None:
            return ContractStatus.PENDING, "The master contract has not been downloaded yet."
        if is_ready:
            due = _when(next_due(self._clock.now()))
            said = f"{len(found):,} instruments, made {_when(found.made_at)}"
            return ContractStatus.SUCCESS, f"{said}; the next list is due {due}."
        return (
            ContractStatus.PENDING,
            f"The list of {_when(found.made_at)} is not of today; a new one is due.",
        )

    async def _tell(self) -> None:
        report = self.report()
        if self._told is not None and _is_same(report, self._told):
            return
        self._tell_listeners()
        self._told = report
        try:
            await self._database.write(lambda c: kept.put(c, report))
        except AlgohostError:  # the list is there all the same; the table only reports it
            log.exception("master_contract_status_not_kept broker=%s", report.broker)

    def _tell_listeners(self) -> None:
        tell(self._listeners, self.report())


def _gate_sentence(report: ContractReport) -> str:
    return f"Waiting for the master contract of today. {report.message}"


def _is_same(one: ContractReport, other: ContractReport) -> bool:
    return (one.status, one.is_ready, one.last_updated, one.message) == (
        other.status,
        other.is_ready,
        other.last_updated,
        other.message,
    )


def _when(at: datetime) -> str:
    return f"{at.astimezone(IST):%d %b %Y %H:%M} IST"

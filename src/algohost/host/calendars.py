"""The calendars in force: what the program came with, and what administrators entered over it."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import Connection

from algohost.domain.calendar_rows import listed_days, parse_csv, to_csv
from algohost.domain.calendars import (
    EXCHANGES,
    Calendar,
    Edits,
    Knowledge,
    ListedDay,
    Tables,
    YearEntry,
    calendars,
)
from algohost.domain.errors import Forbidden, NotFound
from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange
from algohost.domain.ports import Clock
from algohost.domain.users import User
from algohost.store import audit
from algohost.store import calendars as stored
from algohost.store.database import Database

log = logging.getLogger(__name__)

_INDICES: Final = {Exchange.NSE_INDEX: Exchange.NSE, Exchange.BSE_INDEX: Exchange.BSE}


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What came of an import."""

    days: int
    """Days that differ from the program's own, each counted for each exchange."""
    years: int
    same: int
    """Days that the program knew just so; nothing is kept for them."""

    @property
    def sentence(self) -> str:
        """What a person should read."""
        same = f" {self.same} were known already." if self.same else ""
        years = f", {self.years} years" if self.years else ""
        return f"{self.days} days{years} imported.{same}"


class CalendarService:
    """Looks and edits. Used on the server's loop only; a look never waits."""

    def __init__(self, *, clock: Clock, database: Database, tables: Tables) -> None:
        self._clock = clock
        self._database = database
        self._tables = tables
        self._shipped = {(one.exchange, one.date): one for one in tables.days}
        self._listeners: list[Callable[[], None]] = []
        self._edits = database.read(stored.everything)
        self._calendars = calendars(tables, self._edits)

    # ---- looking

    def today(self) -> date:
        """The present date in India."""
        return self._clock.now().astimezone(IST).date()

    def of(self, exchange: Exchange) -> Calendar:
        """The exchange's calendar; that of an index is its exchange's."""
        return self._calendars[_INDICES.get(exchange, exchange)]

    def all(self) -> Mapping[Exchange, Calendar]:
        """Every calendar, in the order in which they are shown."""
        return self._calendars

    def warnings(self) -> Sequence[str]:
        """A sentence for each missing year that exchanges share."""
        found: dict[str, list[str]] = {}
        for exchange, calendar in self._calendars.items():
            said = calendar.warning(self.today())
            if said is not None:
                found.setdefault(said.replace(f" {exchange} ", " {} "), []).append(exchange.value)
        return [said.format(", ".join(names)) for said, names in found.items()]

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls ``listener`` after every edit, until the returned function is called."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    # ---- editing

    async def put_day(self, user: User, row: Mapping[str, str]) -> Sequence[ListedDay]:
        """Enters a day of one or more exchanges, in place of what was known of it.

        ``row`` has the columns of ``calendar_rows``. Raises ``Invalid``, ``Forbidden``.
        """
        _require_admin(user)
        days = listed_days(row)
        await self._keep(user, Edits(days=tuple(days)))
        return days

    async def remove_day(self, user: User, exchange: Exchange, day: date) -> None:
        """Takes an edit back; the day is then what the program came with.

        Raises ``NotFound`` where nobody has entered anything, ``Forbidden``.
        """
        _require_admin(user)

        def remove(connection: Connection) -> int:
            found = stored.remove_days(connection, [(exchange, day)])
            if found:
                audit.note(
                    connection, "calendar_edit_removed", at=self._clock.now(),
                    by=f"user:{user.name}", subject=f"{exchange}:{day}",
                )  # fmt: skip
            return found

        gone = await self._database.write(remove)
        if not gone:
            raise NotFound(
                f"Nobody has entered anything for {exchange} on {day}; to make a day that the"
                " program lists a trading day, enter it as normal.",
                code="NO_CALENDAR_EDIT",
            )
        self._changed(user, f"removed={exchange}:{day}")

    async def enter_year(self, user: User, exchanges: Sequence[Exchange], year: int) -> None:
        """Says that the published list of a year has been entered. Raises ``Forbidden``."""
        _require_admin(user)
        made = [
            YearEntry(exchange=one, year=year, status=Knowledge.PUBLISHED)
            for one in exchanges
            if one is not Exchange.CRYPTO
        ]
        await self._keep(user, Edits(years=tuple(made)))

    async def import_csv(self, user: User, text: str) -> Imported:
        """Takes every row of a file, or none. Raises ``BadRows``, ``Forbidden``.

        A row that says what the program knows anyway takes an edit of that day back.
        """
        _require_admin(user)
        read = parse_csv(text)
        years = self._new(read)
        final = {(one.exchange, one.year) for one in (*self._edits.years, *years)}
        same = {one for one in read.days if self._is_shipped(one, final)}
        news = Edits(days=tuple(one for one in read.days if one not in same), years=years)
        await self._keep(user, news, instead_of=same)
        return Imported(days=len(news.days), years=len(news.years), same=len(same))

    def export_csv(self) -> str:
        """Every listed day and year in force; importing it changes nothing."""
        days = [
            one
            for calendar in self._calendars.values()
            for year in sorted({*calendar.years, *(d.date.year for d in self._edits.days)})
            for one in calendar.listed(year)
        ]
        years = [
            YearEntry(exchange=exchange, year=year, status=status)
            for exchange in EXCHANGES
            for year, status in sorted(self._calendars[exchange].years.items())
        ]
        return to_csv(Edits(days=tuple(days), years=tuple(years)))

    def _is_shipped(self, day: ListedDay, entered: Collection[tuple[Exchange, int]]) -> bool:
        """Whether the tables say just that, and still count: what is tentative in them does not
        where the year has been entered."""
        if self._shipped.get((day.exchange, day.date)) != day:
            return False
        is_sure = day.status is Knowledge.PUBLISHED
        return is_sure or (day.exchange, day.date.year) not in entered

    def _new(self, read: Edits) -> tuple[YearEntry, ...]:
        return tuple(
            one
            for one in read.years
            if self._calendars[one.exchange].years.get(one.year) is not one.status
        )

    async def _keep(self, user: User, edits: Edits, instead_of: Iterable[ListedDay] = ()) -> None:
        now = self._clock.now()

        def write(connection: Connection) -> None:
            stored.remove_days(connection, [(one.exchange, one.date) for one in instead_of])
            stored.put(connection, edits, by=user.name, at=now)
            audit.note(
                connection, "calendar_edited", at=now, by=f"user:{user.name}",
                days=len(edits.days), years=len(edits.years),
            )  # fmt: skip

        await self._database.write(write)
        self._changed(user, f"days={len(edits.days)} years={len(edits.years)}")

    def _changed(self, user: User, what: str) -> None:
        self._edits = self._database.read(stored.everything)
        self._calendars = calendars(self._tables, self._edits)
        log.info("calendar_edited by=%r %s", user.name, what)
        for listener in tuple(self._listeners):
            listener()


def _require_admin(user: User) -> None:
    if not user.is_admin:
        raise Forbidden("Only an administrator may edit the calendars; ask one.", code="ADMIN_ONLY")

"""An account's state whose every change is on disk before it is true here.

Commits are pipelined. A command is decided on ``newest``: the state with all that was decided
before and is on its way to the disk. ``state``, which is read and told of, takes in a commit
only when it is on disk, and all before it. What was decided on a commit that fails is not kept
by the journal (``Overtaken``), and decided again by whoever asked for it.

When an append fails, nobody knows whether it was kept: once all appends have come back, the
journal is read. If the events are there, the command was done; if not, it was not. If even
reading fails, the outcome is unknown, and nothing else is decided until the journal has answered.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from algohost.broker.crash_points import CrashPoint, Reached
from algohost.broker.ports import OrdersListener, OutcomeUnknown
from algohost.domain.errors import AlgohostError, Unavailable
from algohost.domain.orders import Order
from algohost.domain.ports import Intent, JournalRecord, KeyUsed, OrderJournal, Overtaken
from algohost.exchange.account import AccountState
from algohost.exchange.codec import from_record, to_record
from algohost.exchange.events import Event, order_id_of

log = logging.getLogger(__name__)

MOST_EVENTS_AHEAD: Final = 10_000
"""After so many the state ahead is made anew of what is under way, so that it stays small."""


@dataclass(kw_only=True, slots=True, eq=False)
class _Commit:
    """One append under way, or of unknown outcome."""

    records: Sequence[JournalRecord]
    happened: Sequence[Event]
    draft: AccountState | None
    is_answered: bool = False
    """Whether the append has come back, in whatever way, and was dealt with."""
    found: Sequence[JournalRecord] | None = None
    """What the journal has under these numbers, since it was read for the answer."""


class DurableState:
    """Commits events to the journal, then to the state, then to listeners.

    Several ``commit`` of drafts may be under way at a time, each of a draft of ``newest`` as it
    is when ``commit`` is called; one without a draft must be alone. ``catch_up`` comes before
    each decision. Nothing may be awaited between the decision and its ``commit``.
    """

    def __init__(self, state: AccountState, *, journal: OrderJournal, reached: Reached) -> None:
        self._state = state
        self._journal = journal
        self._reached = reached
        self._pending: deque[_Commit] = deque()
        self._ahead: AccountState | None = None
        self._ahead_since = 0
        self._is_broken = False
        """Whether something on which others were decided was not kept."""
        self._in_doubt = False
        self._unanswered = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._reading = asyncio.Lock()
        self._listeners: list[OrdersListener] = []

    @property
    def is_busy(self) -> bool:
        """Whether anything is on its way to the disk."""
        return self._unanswered > 0

    @property
    def newest(self) -> AccountState:
        """The state with all that is on its way to the disk: to decide on, not to be shown."""
        if not self._pending:
            return self._state
        ahead = self._ahead
        if ahead is None or ahead.events - self._ahead_since > MOST_EVENTS_AHEAD:
            ahead = self._state.draft()
            for one in self._pending:
                _take_into(ahead, one)
            self._ahead, self._ahead_since = ahead, ahead.events
        return ahead

    def listen(self, listener: OrdersListener) -> Callable[[], None]:
        """Calls ``listener`` with the orders that changed, once that is durable.

        Until the returned function is called.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def commit(
        self,
        happened: Sequence[Event],
        intent: Intent | None = None,
        allowed: Callable[[], None] | None = None,
        *,
        draft: AccountState | None = None,
    ) -> None:
        """Makes events durable, and an intent with them, then true, then known.

        ``draft`` is the draft of ``newest`` to which they were applied. Raises what ``allowed``
        raises when the write begins, ``KeyUsed``, ``Overtaken`` where something before it was
        not kept, ``Unavailable`` where the events were not kept, and ``OutcomeUnknown`` where
        nobody can say whether they were.
        """
        self._reached(CrashPoint.BEFORE_APPEND)
        last = self._pending[-1].records[-1] if self._pending else None
        one = self._begun(happened, draft)
        refusal = _Refusal()
        try:
            await self._journal.append(
                self._state.account_id,
                one.records,
                intent=intent,
                allowed=refusal.asking(allowed),
                after=last,
            )
            self._reached(CrashPoint.AFTER_APPEND)
        except (KeyUsed, Overtaken):  # the write was undone, as the journal says itself
            self._was_not_kept(one)
            raise
        except Exception as error:  # noqa: BLE001 - whatever a journal raises, the disk is asked
            if refusal.raised is not None:
                self._was_not_kept(one)
                raise refusal.raised from None
            log.warning("append_failed account=%s error=%r", self._state.account_id, error)
            await self._resolve(one, error)
        except BaseException:
            self._in_doubt = True
            self._answered(one)
            raise
        else:
            await self._was_kept(one)

    async def catch_up(self) -> None:
        """Returns when it is certain what the journal has, and the state has it all.

        Raises ``Unavailable`` where the journal does not answer.
        """
        if not (self._in_doubt or self._is_broken):
            return
        await self._idle.wait()
        async with self._reading:
            if self._in_doubt:
                await self._read()

    async def settled(self) -> None:
        """Returns when nothing is on its way to the disk any more, and the state has it all.

        Raises as ``catch_up``.
        """
        await self._idle.wait()
        await self.catch_up()

    async def _read(self) -> None:
        try:
            tail = await self._journal.replay(self._state.account_id, after=self._state.events)
        except Exception as error:  # the port may raise anything; none of it settles the doubt
            raise Unavailable(
                "The order journal does not answer, so nothing was done. Look at the disk and at "
                "the server's log, then try again.",
                code="JOURNAL_UNAVAILABLE",
            ) from error
        by_number = {record.number: record for record in tail}
        for one in self._pending:
            numbers = (record.number for record in one.records)
            one.found = [by_number[number] for number in numbers if number in by_number]
        self._in_doubt = False
        self._begin_anew()
        self._take_in([from_record(record) for record in tail])

    # -- one commit

    def _begun(self, happened: Sequence[Event], draft: AccountState | None) -> _Commit:
        first = self.newest.events + 1
        records = [to_record(event, number=n) for n, event in enumerate(happened, first)]
        one = _Commit(records=records, happened=happened, draft=draft)
        if self._ahead is not None:
            _take_into(self._ahead, one)
        self._pending.append(one)
        self._unanswered += 1
        self._idle.clear()
        return one

    async def _was_kept(self, one: _Commit) -> None:
        if self._in_doubt or self._pending[0] is not one:
            await self._resolve(one, None)
            return
        self._pending.popleft()
        draft = one.draft
        if draft is None:
            self._take_in(one.happened)
        else:
            self._state.adopt(draft)
            self._tell(draft.orders_told)
        self._answered(one)

    def _was_not_kept(self, one: _Commit) -> None:
        """Certainly not; whatever was decided on it comes back as ``Overtaken``."""
        if one in self._pending:
            self._is_broken = self._is_broken or self._pending[-1] is not one
            self._pending.remove(one)
            self._ahead = None
        self._answered(one)

    def _answered(self, one: _Commit) -> None:
        if one.is_answered:
            return
        one.is_answered = True
        self._unanswered -= 1
        if not self._unanswered:
            if not self._in_doubt:
                self._begin_anew()
            self._idle.set()

    def _begin_anew(self) -> None:
        self._pending.clear()
        self._ahead, self._is_broken = None, False

    async def _resolve(self, one: _Commit, error: Exception | None) -> None:
        """When it is in doubt: returns if it was kept, raises if it was not."""
        self._in_doubt = True
        self._answered(one)
        try:
            while one.found is None:
                await self.catch_up()
        except Unavailable:
            raise OutcomeUnknown(
                "The order journal stopped answering, so it is not known whether this was kept. "
                "It settles when the journal answers; look at the order book before sending it "
                "again.",
            ) from error
        if not one.found:
            raise Unavailable(
                "The order journal could not be written, so nothing was done. Look at the disk "
                "and at the server's log, then try again.",
                code="JOURNAL_NOT_WRITTEN",
            ) from error
        if [(r.kind, r.body) for r in one.found] != [(r.kind, r.body) for r in one.records]:
            raise Unavailable(
                f"Another server wrote the journal of account {self._state.account_id}, so "
                "nothing was done here. Run one server on one data directory.",
                code="JOURNAL_SHARED",
            ) from error

    # -- what is true

    def _take_in(self, happened: Sequence[Event]) -> None:
        changed: list[Order] = []
        for event in happened:
            self._state.apply(event)
            order_id = order_id_of(event)
            order = None if order_id is None else self._state.order(order_id)
            if order is not None:
                changed.append(order)
        self._tell(changed)

    def _tell(self, changed: Sequence[Order]) -> None:
        for listener in list(self._listeners) if changed else ():
            try:
                listener(changed)
            except Exception:
                log.exception("order_listener_failed account=%s", self._state.account_id)


def _take_into(ahead: AccountState, one: _Commit) -> None:
    if one.draft is not None:
        ahead.adopt(one.draft)
        return
    for event in one.happened:
        ahead.apply(event)


class _Refusal:
    """Tells a write that was refused from one that failed."""

    def __init__(self) -> None:
        self.raised: AlgohostError | None = None

    def asking(self, allowed: Callable[[], None] | None) -> Callable[[], None] | None:
        """``allowed``, whose refusal is remembered."""
        if allowed is None:
            return None

        def ask() -> None:
            try:
                allowed()
            except AlgohostError as error:
                self.raised = error
                raise

        return ask

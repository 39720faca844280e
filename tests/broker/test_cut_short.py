"""A journal that ends after any of its appends: nothing in it is half done, and the rest follows.

A crash between two appends leaves what came before. Triggers with their orders, settlements of a
contract in all books and resets are one append each; a square-off is found again by what is left
of it.
"""

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from functools import reduce
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from algohost.domain.errors import AlgohostError
from algohost.domain.gtt import GttStatus
from algohost.domain.ids import AccountId, OrderId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Book, Order, Product
from algohost.domain.ports import JournalRecord
from algohost.exchange.account import AccountState, fold
from algohost.exchange.charge_rates import published
from algohost.exchange.charges import PublishedCharges
from algohost.exchange.closing import EXPIRED, RESET
from algohost.exchange.codec import from_record
from algohost.exchange.events import AccountReset, Cancelled, Event, Settled
from algohost.exchange.gtt_events import GttCancelled
from algohost.exchange.margins import SEGMENT_MARGIN
from algohost.testing.journal import MemoryJournal
from tests.broker.test_paper_day import CALL, EXPIRY, SQUARE_OFF, Server
from tests.broker.world import WHOLE, idle, run
from tests.exchange.desk import ACCOUNT, EMA, FUTURE, INFY, RSI, UNATTRIBUTED, gtt_request

AFTER_EXPIRY = EXPIRY.replace(hour=11)


class Cuttable(MemoryJournal):
    """Remembers what was on disk after each append."""

    def __init__(self) -> None:
        super().__init__()
        self.cuts: list[tuple[int, dict[OrderId, Order]]] = []

    async def append(
        self, account_id: AccountId, records: Sequence[JournalRecord], **others: Any
    ) -> None:
        await super().append(account_id, records, **others)
        self.cuts.append((len(self._records[account_id]), dict(self._intents.get(account_id, {}))))

    def cut(self, number: int) -> MemoryJournal:
        """The disk as it was after that append."""
        journal, (records, intents) = MemoryJournal(), self.cuts[number]
        journal._records[ACCOUNT] = self._records[ACCOUNT][:records]
        journal._intents[ACCOUNT] = dict(intents)
        return journal


Step = Callable[[Server], Awaitable[object]]
owners = st.sampled_from([EMA, RSI, UNATTRIBUTED])
SHARES = ["BUY 10 MARKET MIS", "SELL 7 MARKET MIS", "BUY 5 MARKET CNC", "SELL 5 LIMIT 104 MIS"]
CONTRACTS = ["BUY 75 MARKET NRML", "SELL 150 MARKET NRML", "BUY 75 MARKET MIS"]
GTTS = [
    (INFY, "BUY 5 CNC 97:97.5"),
    (INFY, "BUY 5 CNC 97 103"),
    (INFY, "SELL 5 CNC 97:96 103:103"),
    (FUTURE, "SELL 75 NRML 24500 24700"),
]


def order(text: str, key: InstrumentKey, owner: Book) -> Step:
    return lambda server: server.place(text, key, owner=owner)


def gtt(asked: tuple[InstrumentKey, str], owner: Book) -> Step:
    return lambda server: server.gateway.place_gtt(owner, gtt_request(asked[1], asked[0]))


def tick(shown: tuple[InstrumentKey, int]) -> Step:
    async def step(server: Server) -> None:
        server.market.show(shown[0], last=str(shown[1]))
        server.market.tick()
        await idle()

    return step


async def square_off(server: Server) -> None:
    server.market.at = max(server.market.at, SQUARE_OFF)
    await server.day.look()


async def begin_anew(server: Server) -> None:
    await server.gateway.reset(ACCOUNT, Decimal(5_000_000))


shown = st.tuples(st.just(INFY), st.integers(95, 105)) | st.tuples(
    st.just(FUTURE), st.sampled_from([24400, 24610, 24800])
)
steps = st.one_of(
    st.builds(order, st.sampled_from(SHARES), st.just(INFY), owners),
    st.builds(order, st.sampled_from(CONTRACTS), st.sampled_from([FUTURE, CALL]), owners),
    st.builds(gtt, st.sampled_from(GTTS), owners),
    st.builds(tick, shown),
    st.builds(tick, shown),
    st.sampled_from([square_off, begin_anew]),
)


async def _done(plan: Sequence[Step]) -> Cuttable:
    """The journal of a server that did all of it, until after the contracts expired."""
    journal = Cuttable()
    server = Server(journal)
    await server.gateway.recover(ACCOUNT)
    for step in plan:
        try:
            await step(server)
        except AlgohostError:
            continue  # refused, as some are in some orders
    for ends in (square_off, _expire):
        await ends(server)
    return journal


async def _expire(server: Server) -> None:
    server.market.at = EXPIRY
    await server.day.look()


def _read(records: Sequence[JournalRecord]) -> tuple[AccountState, Sequence[Event]]:
    events = [from_record(record) for record in records]
    charges = PublishedCharges(rates=published())
    return reduce(
        fold, events, AccountState(ACCOUNT, margin=SEGMENT_MARGIN, charges=charges)
    ), events


def _is_whole(state: AccountState, events: Sequence[Event]) -> None:
    for one in state.gtts.all():
        placed = state.order(one.order_id)
        assert (placed is not None) is (one.status is GttStatus.TRIGGERED)
        assert placed is None or placed.book == one.book
    ended = {event.key for event in events if isinstance(event, Settled)}
    for event in events:
        if isinstance(event, Cancelled) and event.reason == EXPIRED:
            gone = state.order(event.order_id)
            assert gone is not None
            ended.add(gone.request.key)
    for key in ended:
        assert not state.resting(key)
        assert not [g for p, g in state.groups().items() if p.key == key and g.position.quantity]
        assert not [g for g in state.gtts.all() if g.request.key == key and g.status == "active"]
    resets = [number for number, e in enumerate(events) if isinstance(e, AccountReset)]
    withdrawn = [
        number
        for number, e in enumerate(events)
        if isinstance(e, Cancelled | GttCancelled) and e.reason == RESET
    ]
    assert not withdrawn or max(withdrawn) < max(resets, default=-1)


async def _goes_on(journal: MemoryJournal) -> None:
    """A server that starts on it, after all has ended, ends all of it, once."""
    server = Server(journal)
    server.market.at = AFTER_EXPIRY
    await server.gateway.recover(ACCOUNT)
    await server.day.look()
    await server.day.look()
    kept = await journal.replay(ACCOUNT)
    await server.day.look()
    assert await journal.replay(ACCOUNT) == kept
    state, events = _read(kept)
    _is_whole(state, events)
    assert {p.product for p, g in state.groups().items() if g.position.quantity} <= {Product.CNC}
    assert not [o for o in server.gateway.orders(WHOLE) if not o.status.is_final]
    realised = sum((g.position.realised for g in state.groups().values()), Decimal(0))
    charges = sum((g.position.charges for g in state.groups().values()), Decimal(0))
    assert (state.realised, state.charges) == (realised, charges)
    assert state.cash == state.deposits + realised - charges


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plan=st.lists(steps, min_size=6, max_size=20), data=st.data())
def test_whatever_the_journal_ends_with_nothing_is_half_done(
    plan: list[Step], data: st.DataObject
) -> None:
    journal = run(_done(plan))
    for number in range(len(journal.cuts)):
        records, _ = journal.cuts[number]
        _is_whole(*_read([record for record, _ in journal._records[ACCOUNT][:records]]))
    number = data.draw(st.integers(0, len(journal.cuts) - 1))
    run(_goes_on(journal.cut(number)))


@pytest.mark.parametrize("books", [1, 3])
def test_a_contract_is_settled_in_all_books_by_one_append(books: int) -> None:
    async def main() -> None:
        journal = Cuttable()
        server = Server(journal)
        await server.gateway.recover(ACCOUNT)
        for owner in (EMA, RSI, UNATTRIBUTED)[:books]:
            await server.place("BUY 75 MARKET NRML", FUTURE, owner=owner)
            await server.gateway.place_gtt(owner, gtt_request("SELL 75 NRML 24000", FUTURE))
        before = len(journal.cuts)
        await _expire(server)
        assert len(journal.cuts) == before + 1
        state, events = _read([record for record, _ in journal._records[ACCOUNT]])
        assert sum(isinstance(event, Settled) for event in events) == books
        assert not state.gtts.active

    run(main())

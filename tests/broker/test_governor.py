"""The governor: never too many in a second, exits first, fair, and nobody waits for ever."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algohost.broker.governor import Lane, OrderGovernor, Waiting
from algohost.broker.risk_port import QueueFull
from algohost.domain.ids import AccountId, StrategyId
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.orders import Book

INFY = InstrumentKey(exchange=Exchange.NSE, symbol="INFY")
CRUDE = InstrumentKey(exchange=Exchange.MCX, symbol="CRUDEOIL")
ACCOUNT = AccountId("live-1")
A, B, C = (StrategyId(name) for name in "abc")


def book(strategy_id: StrategyId | None) -> Book:
    return Book(account_id=ACCOUNT, strategy_id=strategy_id)


ARRIVALS = st.lists(
    st.tuples(
        st.floats(0, 0.4, allow_nan=False),
        st.sampled_from([A, B, C, None]),
        st.booleans(),
    ),
    max_size=120,
)


class Play:
    """A lane, served at every instant at which it says that somebody may go."""

    def __init__(self, per_second: int) -> None:
        self.lane = Lane(per_second=per_second)
        self.now = 0.0
        self.gone: list[tuple[float, Waiting]] = []
        self.late: list[tuple[float, Waiting]] = []
        self.refused = 0

    def serve(self) -> None:
        waiting_exits = self.lane.exits
        gone = self.lane.go(self.now)
        for number, one in enumerate(gone):
            assert one.is_exit or number >= waiting_exits, "an entry went before an exit"
            self.gone.append((self.now, one))
        self.late += [(self.now, one) for one in self.lane.late(self.now)]

    def until(self, end: float) -> None:
        while (at := self.lane.next_at(self.now)) is not None and at <= end:
            self.now = max(self.now, at)
            self.serve()
        self.now = max(self.now, end)

    def arrive(self, strategy_id: StrategyId | None, *, is_exit: bool) -> None:
        try:
            self.lane.ask(strategy_id, is_exit=is_exit, now=self.now)
        except QueueFull:
            self.refused += 1
        self.serve()


@settings(max_examples=60)
@given(per_second=st.integers(1, 12), arrivals=ARRIVALS)
def test_no_window_of_a_second_has_more_and_everybody_goes_or_is_told(
    per_second: int, arrivals: list[tuple[float, StrategyId | None, bool]]
) -> None:
    play = Play(per_second)
    for pause, strategy_id, is_exit in arrivals:
        play.until(play.now + pause)
        play.arrive(strategy_id, is_exit=is_exit)
    play.until(play.now + 1000)
    times = [at for at, _ in play.gone]
    for first, last in zip(times, times[per_second:], strict=False):
        assert last - first >= 1.0 - 1e-9
    assert len(play.lane) == 0
    assert len(play.gone) + len(play.late) + play.refused == len(arrivals)
    assert all(not one.is_exit for _, one in play.late)
    assert all(at - one.since <= 5 + 1e-9 for at, one in play.gone if not one.is_exit)


@settings(max_examples=60)
@given(arrivals=ARRIVALS)
def test_an_exit_waits_only_for_the_exits_before_it(
    arrivals: list[tuple[float, StrategyId | None, bool]],
) -> None:
    """However many entries wait: an exit goes when its turn among the exits has come."""
    with_entries, alone = Play(5), Play(5)
    for pause, strategy_id, is_exit in arrivals:
        for play in (with_entries, alone):
            play.until(play.now + pause)
            if is_exit or play is with_entries:
                play.arrive(strategy_id, is_exit=is_exit)
    for play in (with_entries, alone):
        play.until(play.now + 1000)
    waits = [
        [at - one.since for at, one in play.gone if one.is_exit] for play in (with_entries, alone)
    ]
    assert len(waits[0]) == len(waits[1])
    # those that went in the second before may all have been entries: one second, and no more
    assert all(mixed <= pure + 1 + 1e-9 for mixed, pure in zip(*map(sorted, waits), strict=True))


@settings(max_examples=60)
@given(
    counts=st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20)),
    is_exit=st.booleans(),
)
def test_strategies_take_turns_however_many_orders_one_sends(
    counts: tuple[int, int, int], is_exit: bool
) -> None:
    lane = Lane(per_second=1000)
    for strategy_id, count in zip((A, B, C), counts, strict=True):
        for _ in range(count):
            lane.ask(strategy_id, is_exit=is_exit, now=0.0)
    order = [one.strategy_id for one in lane.go(0.0)]
    assert len(order) == sum(counts)
    went: Counter[StrategyId | None] = Counter()
    left = Counter(dict(zip((A, B, C), counts, strict=True)))
    for gone in order:
        went[gone] += 1
        left[gone or A] -= 1
        waiting = [one for one in (A, B, C) if left[one]]
        assert all(went[gone] - went[one] <= 1 for one in waiting)


def test_one_strategys_orders_keep_their_order() -> None:
    lane = Lane(per_second=1000)
    mine = [lane.ask(A, is_exit=False, now=0.0) for _ in range(5)]
    lane.ask(B, is_exit=False, now=0.0)
    assert [one for one in lane.go(0.0) if one.strategy_id == A] == mine


def test_a_queue_that_is_too_long_refuses_entries_in_a_sentence_and_takes_exits() -> None:
    lane = Lane(per_second=10)
    for _ in range(10):
        lane.ask(A, is_exit=False, now=0.0)
    lane.go(0.0)
    for _ in range(50):
        lane.ask(A, is_exit=False, now=0.0)
    with pytest.raises(QueueFull, match="50 orders wait for their turn") as caught:
        lane.ask(B, is_exit=False, now=0.0)
    assert caught.value.details == {"retry_after_seconds": 1.0}
    lane.ask(A, is_exit=True, now=0.0)
    assert [one.is_exit for one in lane.go(1.0)][:2] == [True, False]


async def turns(governor: OrderGovernor, asked: list[tuple[StrategyId, bool]]) -> list[str]:
    """The order in which they go, when all have asked at one moment."""
    went: list[str] = []

    async def one(strategy_id: StrategyId, is_exit: bool) -> None:
        await governor.turn(book(strategy_id), INFY, is_exit=is_exit)
        went.append(f"{strategy_id}{'!' if is_exit else ''}")

    await asyncio.gather(*(one(*values) for values in asked))
    return went


def test_on_the_loop_exits_go_first_and_strategies_take_turns() -> None:
    async def main() -> list[str]:
        governor = OrderGovernor(rate_of=lambda _account: 40)
        await turns(governor, [(C, False)] * 40)
        return await turns(governor, [(A, False), (A, False), (B, False), (A, True), (B, True)])

    assert asyncio.run(main()) == ["a!", "b!", "a", "b", "a"]


def test_without_a_rate_nobody_waits_and_nothing_is_shown() -> None:
    async def main() -> None:
        governor = OrderGovernor(rate_of=lambda _account: 0)
        await turns(governor, [(A, False)] * 100)
        assert governor.queues() == []

    asyncio.run(main())


def test_exchanges_and_accounts_have_queues_of_their_own() -> None:
    async def main() -> None:
        governor = OrderGovernor(rate_of=lambda account: 1 if account == ACCOUNT else 0)
        waiting = [
            asyncio.ensure_future(governor.turn(book(A), INFY, is_exit=False)) for _ in range(3)
        ]
        await governor.turn(book(A), CRUDE, is_exit=False)
        other = Book(account_id=AccountId("paper-1"), strategy_id=A)
        await governor.turn(other, INFY, is_exit=False)
        await asyncio.sleep(0)
        [queue] = governor.queues()
        assert (queue.account_id, queue.exchange) == (ACCOUNT, Exchange.NSE)
        assert (queue.per_second, queue.waiting, queue.exits) == (1, 2, 0)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert governor.queues() == []

    asyncio.run(main())


def test_who_waits_too_long_is_refused_and_counted() -> None:
    async def main() -> None:
        now = [0.0]
        governor = OrderGovernor(
            rate_of=lambda _account: 1, monotonic=lambda: now[0], longest_wait=2.0
        )
        await governor.turn(book(A), INFY, is_exit=False)
        late = asyncio.ensure_future(governor.turn(book(A), INFY, is_exit=False))
        await asyncio.sleep(0)
        exits = [
            asyncio.ensure_future(governor.turn(book(B), INFY, is_exit=True)) for _ in range(3)
        ]
        await asyncio.sleep(0)
        for at in (1.0, 2.0):
            now[0] = at
            exits.append(asyncio.ensure_future(governor.turn(book(B), INFY, is_exit=True)))
            await asyncio.sleep(0)
        with pytest.raises(QueueFull, match=r"has waited 2\.0 s for its turn"):
            await late
        assert [queue.refused for queue in governor.queues()] == [1]
        for one in exits:
            one.cancel()
        await asyncio.gather(*exits, return_exceptions=True)

    asyncio.run(main())


def test_entries_of_a_book_that_is_refused_now_wait_no_more() -> None:
    """A kill switch is not kept waiting by the queue; the gateway refuses them then."""

    async def main() -> None:
        governor = OrderGovernor(rate_of=lambda _account: 1)
        await governor.turn(book(A), INFY, is_exit=False)
        waits = [
            asyncio.ensure_future(governor.turn(book(one), INFY, is_exit=is_exit))
            for one, is_exit in [(A, False), (B, False), (A, True)]
        ]
        await asyncio.sleep(0)
        governor.hurry(lambda found: found.strategy_id == A)
        await asyncio.wait_for(waits[0], 0.5)
        assert [one.done() for one in waits] == [True, False, False]
        for one in waits:
            one.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    asyncio.run(main())

"""The governor: no more than so many orders a second from one account to one exchange.

``Lane`` is the rule, without a clock. It remembers when the last orders went and lets another one
go when fewer than the rate went within the second before, so no window of one second ever has
more. What waits goes cancellations and exits first, then entries; in both the strategies take
turns, each first come, first served. An entry that would wait, or has waited, too long is refused
in a sentence. Exits are not refused for that: they wait for each other only, and of those an
account has as many as it has positions and open orders.

The rate of an account is asked of ``rate_of``; none means that nothing waits.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from algohost.broker.risk_port import QueueFull
from algohost.domain.ids import AccountId, StrategyId
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.orders import Book

WINDOW_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 5.0
"""How long an entry may wait for its turn."""
MOST_EXITS: Final = 2_000
"""Exits and cancellations that may wait in one lane: beyond it something is broken."""


@dataclass(eq=False, kw_only=True)
class Waiting:
    """One order that waits for its turn."""

    strategy_id: StrategyId | None
    is_exit: bool
    since: float


@dataclass(kw_only=True)
class _Line:
    """Those of one urgency, in turns by strategy."""

    of: dict[StrategyId | None, deque[Waiting]] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(len(mine) for mine in self.of.values())

    def add(self, waiting: Waiting) -> None:
        self.of.setdefault(waiting.strategy_id, deque()).append(waiting)

    def pop(self) -> Waiting:
        """The first of the strategy whose turn it is; that one is last then."""
        strategy_id = next(iter(self.of))
        mine = self.of.pop(strategy_id)
        first = mine.popleft()
        if mine:
            self.of[strategy_id] = mine
        return first

    def remove(self, waiting: Waiting) -> None:
        mine = self.of.get(waiting.strategy_id, deque())
        if waiting in mine:
            mine.remove(waiting)
            if not mine:
                del self.of[waiting.strategy_id]


class Lane:
    """What goes from one account to one exchange. Times are seconds that never run backwards."""

    def __init__(self, *, per_second: int, longest_wait: float = LONGEST_WAIT_SECONDS) -> None:
        self.per_second = per_second
        self._longest_wait = longest_wait
        self._went: deque[float] = deque()
        self._exits = _Line()
        self._entries = _Line()

    def __len__(self) -> int:
        return len(self._exits) + len(self._entries)

    def ask(self, strategy_id: StrategyId | None, *, is_exit: bool, now: float) -> Waiting:
        """Takes a place in the queue. Raises ``QueueFull`` where the wait would be too long."""
        most = int(self.per_second * self._longest_wait)
        if is_exit and len(self._exits) >= MOST_EXITS:
            raise _full(self._exits, self._wait(now))
        if not is_exit and len(self) >= max(most, 1):
            raise _full(self, self._wait(now))
        waiting = Waiting(strategy_id=strategy_id, is_exit=is_exit, since=now)
        (self._exits if is_exit else self._entries).add(waiting)
        return waiting

    def go(self, now: float) -> list[Waiting]:
        """Those whose turn it is, in their order; they count as gone."""
        gone = []
        while len(self) and self._wait(now) <= 0:
            self._went.append(now)
            while len(self._went) > self.per_second:
                self._went.popleft()
            gone.append((self._exits if len(self._exits) else self._entries).pop())
        return gone

    def late(self, now: float) -> list[Waiting]:
        """Entries that have waited too long; they wait no more."""
        found = [
            one
            for mine in self._entries.of.values()
            for one in mine
            if now - one.since >= self._longest_wait
        ]
        for one in found:
            self._entries.remove(one)
        return found

    def leave(self, waiting: Waiting) -> None:
        """Gives a place up."""
        (self._exits if waiting.is_exit else self._entries).remove(waiting)

    def next_at(self, now: float) -> float | None:
        """When to look again; ``None`` while nothing waits."""
        if not len(self):
            return None
        ends = [one.since + self._longest_wait for m in self._entries.of.values() for one in m]
        return min([now + self._wait(now), *ends])

    def oldest(self) -> float | None:
        """Since when the one waits that has waited longest."""
        lines = (self._exits, self._entries)
        return min((o.since for line in lines for m in line.of.values() for o in m), default=None)

    @property
    def exits(self) -> int:
        """How many of those who wait are exits and cancellations."""
        return len(self._exits)

    def _wait(self, now: float) -> float:
        """Seconds until one more may go; zero or less for now."""
        if len(self._went) < self.per_second:
            return 0.0
        return self._went[-self.per_second] + WINDOW_SECONDS - now


@dataclass(frozen=True, kw_only=True)
class Queue:
    """What waits in one lane, for people."""

    account_id: AccountId
    exchange: Exchange
    per_second: int
    waiting: int
    exits: int
    oldest_seconds: float
    refused: int
    """Orders that were refused because of the wait, since the server started."""


@dataclass(kw_only=True)
class _Open:
    """A lane, and who is to be woken."""

    lane: Lane
    turns: dict[Waiting, tuple[Book, asyncio.Future[None]]] = field(default_factory=dict)
    timer: asyncio.TimerHandle | None = None
    refused: int = 0


class OrderGovernor:
    """Implements ``Governor`` on the server's loop."""

    def __init__(
        self,
        *,
        rate_of: Callable[[AccountId], int],
        monotonic: Callable[[], float] | None = None,
        longest_wait: float = LONGEST_WAIT_SECONDS,
    ) -> None:
        """``rate_of`` is orders a second for each exchange, 0 for any number."""
        self._rate_of = rate_of
        self._monotonic = monotonic
        self._longest_wait = longest_wait
        self._lanes: dict[tuple[AccountId, Exchange], _Open] = {}

    async def turn(self, book: Book, key: InstrumentKey, *, is_exit: bool) -> None:
        """As ``Governor.turn``. One who is cancelled while it waits gives its place up."""
        rate = self._rate_of(book.account_id)
        if not rate:
            return
        found = self._lanes.setdefault(
            (book.account_id, key.exchange),
            _Open(lane=Lane(per_second=rate, longest_wait=self._longest_wait)),
        )
        try:
            waiting = found.lane.ask(book.strategy_id, is_exit=is_exit, now=self._now())
        except QueueFull:
            found.refused += 1
            raise
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        found.turns[waiting] = (book, turn)
        self._serve(found)
        try:
            await turn
        finally:
            if found.turns.pop(waiting, None) is not None:
                found.lane.leave(waiting)

    def hurry(self, covers: Callable[[Book], bool]) -> None:
        """Lets entries of those books go at once, without counting them.

        For books whose orders are refused by now: the gateway asks that again when it is their
        turn, so nothing of them is sent.
        """
        for found in self._lanes.values():
            for waiting, (book, _turn) in list(found.turns.items()):
                if not waiting.is_exit and covers(book):
                    found.lane.leave(waiting)
                    _wake(found, waiting)

    def queues(self) -> list[Queue]:
        """Every lane in which something waits or was refused, the longest wait first."""
        now = self._now()
        queues = [
            Queue(
                account_id=account_id,
                exchange=exchange,
                per_second=found.lane.per_second,
                waiting=len(found.lane),
                exits=found.lane.exits,
                oldest_seconds=0.0 if (oldest := found.lane.oldest()) is None else now - oldest,
                refused=found.refused,
            )
            for (account_id, exchange), found in self._lanes.items()
        ]
        return sorted(
            (one for one in queues if one.waiting or one.refused),
            key=lambda one: -one.oldest_seconds,
        )

    def _serve(self, found: _Open) -> None:
        """Wakes whose turn it is, refuses who is late, and sees that somebody looks again."""
        now, lane = self._now(), found.lane
        for waiting in lane.go(now):
            _wake(found, waiting)
        for waiting in lane.late(now):
            found.refused += 1
            _wake(found, waiting, _late(lane, now - waiting.since))
        if found.timer is not None:
            found.timer.cancel()
            found.timer = None
        at = lane.next_at(now)
        if at is not None:
            loop = asyncio.get_running_loop()
            found.timer = loop.call_later(max(at - now, 0.0), self._serve, found)

    def _now(self) -> float:
        return asyncio.get_running_loop().time() if self._monotonic is None else self._monotonic()


def _wake(found: _Open, waiting: Waiting, error: QueueFull | None = None) -> None:
    _book, turn = found.turns.pop(waiting)
    if turn.done():
        return
    if error is None:
        turn.set_result(None)
    else:
        turn.set_exception(error)


def _full(line: "Lane | _Line", wait: float) -> QueueFull:
    return _refusal(f"{len(line)} orders wait for their turn at this exchange already", wait)


def _late(lane: Lane, waited: float) -> QueueFull:
    said = f"The order has waited {waited:.1f} s for its turn at this exchange"
    return _refusal(said, 1.0 / lane.per_second)


def _refusal(said: str, wait: float) -> QueueFull:
    details: Mapping[str, object] = {"retry_after_seconds": max(round(wait, 2), WINDOW_SECONDS)}
    return QueueFull(
        f"{said}, so it was not sent. Send fewer orders a second, or send it again later.",
        details=details,
    )

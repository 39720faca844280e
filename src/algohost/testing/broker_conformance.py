"""What every broker must do, as checks that pytest runs: subclass, and say how yours is opened.

::

    class TestMyBroker(BrokerConformance):
        def case(self):
            return my_case()      # an async context manager that yields a BrokerCase

The broker behind it must be one that trades: a sandbox, a simulator, a server of your own. See
``docs/broker-port.md`` for the contract that these checks are taken from.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Container
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from algohost.domain.errors import Conflict, NotFound
from algohost.domain.ids import IST, AccountId, OrderId, StrategyId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import (
    Action,
    Book,
    Order,
    OrderChanges,
    OrderRequest,
    OrderStatus,
    PriceType,
    Product,
)
from algohost.domain.ports import Clock, Intent, OrderJournal
from algohost.exchange.account import PositionKey

_PATIENCE_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 0.01


@dataclass(frozen=True, kw_only=True)
class BrokerCase:
    """One account at a broker that trades, and what may be ordered there."""

    account_id: AccountId
    open: Callable[[], Awaitable[Any]]
    """Opens the account's ``Broker``; again after a close, as a host that came back does."""
    journal: OrderJournal
    """The journal that the broker is over."""
    clock: Clock
    key: InstrumentKey
    """Something that a market order buys at once."""
    quantity: int
    resting_price: Decimal
    """At which a LIMIT purchase waits."""
    other_price: Decimal
    """Another such price."""


class BrokerConformance(ABC):
    """The checks. Each opens an account of its own."""

    @abstractmethod
    def case(self) -> AbstractAsyncContextManager[BrokerCase]:
        """A new account, gone with the block."""

    def test_numbers_are_never_given_twice_not_even_after_a_restart(self) -> None:
        """``next_order_id``."""

        async def check(case: BrokerCase, broker: Any) -> None:
            first = await _placed(case, broker, _market(case))
            second = broker.next_order_id()
            await broker.close()
            again = await case.open()
            ids = [first.id, second, again.next_order_id()]
            await again.close()
            assert ids[0] not in ids[1:], ids

        self._run(check)

    def test_a_market_order_trades_and_every_read_agrees(self) -> None:
        """``place``, ``order``, ``orders``, ``trades``, ``positions``, ``position``, ``funds``."""

        async def check(case: BrokerCase, broker: Any) -> None:
            order = await _placed(case, broker, _market(case))
            await _until(lambda: _status(broker, order) is OrderStatus.COMPLETE)
            day, mine = _today(case), {order.book}
            done = broker.order(order.id)
            assert done.filled_quantity == case.quantity
            assert done.average_price > 0
            assert [one.id for one in broker.orders(day, mine)] == [order.id]
            trades = [one for one in broker.trades(day) if one.order_id == order.id]
            assert sum(one.quantity for one in trades) == case.quantity
            assert {one.book for one in trades} == {order.book}
            assert [one.id for one in broker.all_trades(mine)] == [one.id for one in trades]
            place = PositionKey(order.book, case.key, Product.MIS)
            assert broker.position(place, day).traded.quantity == case.quantity
            assert place in _places(broker, case, mine)
            assert broker.performances(mine)[order.book].totals.fills == len(trades)
            await _until(lambda: _funds(broker, case) is not None)

        self._run(check)

    def test_sending_an_order_again_does_nothing(self) -> None:
        """``place`` of a known order."""

        async def check(case: BrokerCase, broker: Any) -> None:
            order = await _placed(case, broker, _market(case))
            await _until(lambda: _status(broker, order) is OrderStatus.COMPLETE)
            again = await broker.place(_asked(case, order.id, _market(case)))
            assert again == broker.order(order.id)
            place = PositionKey(order.book, case.key, Product.MIS)
            assert broker.position(place, _today(case)).traded.quantity == case.quantity

        self._run(check)

    def test_an_order_that_waits_can_be_changed_and_withdrawn_once(self) -> None:
        """``modify`` and ``cancel``, and what they refuse."""

        async def check(case: BrokerCase, broker: Any) -> None:
            order = await _placed(case, broker, _limit(case))
            assert order.status is OrderStatus.OPEN
            changed = await broker.modify(order.id, OrderChanges(price=case.other_price))
            assert changed.request.price == case.other_price
            await broker.cancel(order.id, reason="Cancelled on request.")
            await _until(lambda: _status(broker, order) is OrderStatus.CANCELLED)
            await _raises(Conflict, broker.cancel(order.id, reason="Again."))
            await _raises(Conflict, broker.modify(order.id, OrderChanges(price=case.other_price)))
            await _raises(NotFound, broker.cancel(OrderId("250101000000000001"), reason="None."))

        self._run(check)

    def test_a_book_sees_its_own(self) -> None:
        """The ``books`` of every read."""

        async def check(case: BrokerCase, broker: Any) -> None:
            order = await _placed(case, broker, _market(case))
            await _until(lambda: _status(broker, order) is OrderStatus.COMPLETE)
            others = {Book(account_id=case.account_id, strategy_id=StrategyId("another"))}
            assert list(broker.orders(_today(case), others)) == []
            assert _places(broker, case, others) == set()
            assert list(broker.all_trades(others)) == []

        self._run(check)

    def test_listeners_hear_of_an_order_once_it_is_so(self) -> None:
        """``listen``."""

        async def check(case: BrokerCase, broker: Any) -> None:
            heard: list[Order] = []
            stop = broker.listen(lambda orders: heard.extend(orders))
            order = await _placed(case, broker, _market(case))
            await _until(lambda: _status(broker, order) is OrderStatus.COMPLETE)
            assert heard[-1] == broker.order(order.id)
            count = len(heard)
            stop()
            await _placed(case, broker, _limit(case))
            assert len(heard) == count

        self._run(check)

    def test_what_was_known_is_known_after_a_restart(self) -> None:
        """Opening over a journal that has a past."""

        async def check(case: BrokerCase, broker: Any) -> None:
            traded = await _placed(case, broker, _market(case))
            waiting = await _placed(case, broker, _limit(case))
            await _until(lambda: _status(broker, traded) is OrderStatus.COMPLETE)
            before = [broker.order(one.id) for one in (traded, waiting)]
            trades = list(broker.all_trades({traded.book}))
            await broker.close()
            again = await case.open()
            assert [again.order(one.id) for one in (traded, waiting)] == before
            assert list(again.all_trades({traded.book})) == trades
            await again.close()

        self._run(check)

    def test_an_order_that_was_never_sent_is_found_absent_and_buried(self) -> None:
        """``find`` and ``bury`` after a host that stopped between intent and sending."""

        async def check(case: BrokerCase, broker: Any) -> None:
            placed = await _placed(case, broker, _market(case))
            lost = _asked(case, broker.next_order_id(), _limit(case))
            await case.journal.intend(Intent(order=lost))
            await broker.close()
            again = await case.open()
            said = ""
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while said != "Absent":
                    found = await again.find([lost])
                    said = type(found[lost.id]).__name__
                    assert said in {"Absent", "Unsaid"}, said
                    await asyncio.sleep(_LOOK_SECONDS)
            (buried,) = await again.bury([lost], reason="It was never sent.")
            assert (buried.status, buried.reason) == (OrderStatus.REJECTED, "It was never sent.")
            assert again.order(lost.id) == buried
            finding = (await again.find([replace(placed, status=OrderStatus.INTENDED)]))[placed.id]
            assert finding.order == again.order(placed.id)
            await again.close()

        self._run(check)

    def _run(self, check: Callable[[BrokerCase, Any], Awaitable[None]]) -> None:
        async def main() -> None:
            async with self.case() as case:
                broker = await case.open()
                try:
                    await check(case, broker)
                finally:
                    await broker.close()

        asyncio.run(main())


def _market(case: BrokerCase) -> OrderRequest:
    return OrderRequest(key=case.key, action=Action.BUY, quantity=case.quantity)


def _limit(case: BrokerCase) -> OrderRequest:
    return replace(_market(case), price_type=PriceType.LIMIT, price=case.resting_price)


def _asked(case: BrokerCase, order_id: OrderId, request: OrderRequest) -> Order:
    now = case.clock.now()
    return Order(
        id=order_id,
        book=Book(account_id=case.account_id, strategy_id=StrategyId("ema_20250602093000")),
        request=request,
        status=OrderStatus.INTENDED,
        placed_at=now,
        updated_at=now,
    )


async def _placed(case: BrokerCase, broker: Any, request: OrderRequest) -> Order:
    """As a gateway places: the intent is on disk first."""
    order = _asked(case, broker.next_order_id(), request)
    await case.journal.intend(Intent(order=order))
    placed: Order = await broker.place(order)
    assert placed.status is not OrderStatus.REJECTED, placed.reason
    return placed


def _status(broker: Any, order: Order) -> OrderStatus:
    found: OrderStatus = broker.order(order.id).status
    return found


def _places(broker: Any, case: BrokerCase, books: Container[Book]) -> set[PositionKey]:
    days = broker.positions(_today(case), books)
    return {PositionKey(d.traded.book, d.traded.key, d.traded.product) for d in days}


def _funds(broker: Any, case: BrokerCase) -> object:
    try:
        return broker.funds(_today(case))
    except Exception:  # noqa: BLE001 - whatever it raises, it has not told them yet
        return None


def _today(case: BrokerCase) -> Any:
    return case.clock.now().astimezone(IST).date()


async def _until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not what():
            await asyncio.sleep(_LOOK_SECONDS)


async def _raises(kind: type[Exception], work: Awaitable[object]) -> None:
    try:
        await work
    except kind:
        return
    raise AssertionError(f"{kind.__name__} was not raised.")

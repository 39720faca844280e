"""Owners are told of orders that arrived late, and removed accounts are let go."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from algohost.domain.accounts import ARRIVED_LATE, Account
from algohost.domain.errors import Conflict, NotFound
from algohost.domain.ids import AccountId, UserId
from algohost.domain.orders import Order, OrderStatus
from algohost.host.live_watch import LiveWatch
from tests.live.test_matching import order
from tests.live.world import LIVE, OWNER, run, until


class Fakes:
    """Accounts, gateway and messages in one, as far as they are used."""

    def __init__(self) -> None:
        self.heard: list[Callable[[Any], None]] = []
        self.sent: list[tuple[UserId, str, str, int]] = []
        self.shut_ones: list[AccountId] = []
        self.has_target = True
        self.is_removed = False

    def listen(self, listener: Callable[[Any], None]) -> Callable[[], None]:
        self.heard.append(listener)
        return lambda: self.heard.remove(listener)

    def find(self, account_id: AccountId) -> Account:
        if self.is_removed:
            raise NotFound("There is none.")
        return Account(
            id=account_id, owner_id=OWNER, name="Mine", broker="openalgo", created_at=None
        )

    async def shut(self, account_id: AccountId) -> None:
        self.shut_ones.append(account_id)

    async def send(self, user_id: UserId, title: str, body: str, priority: int) -> int:
        if not self.has_target:
            raise Conflict("Nobody has said where messages go.")
        self.sent.append((user_id, title, body, priority))
        return 1


def late(serial: int) -> Order:
    return replace(order(serial), status=OrderStatus.OPEN, reason=ARRIVED_LATE)


def test_an_order_that_arrived_late_is_told_once_and_a_removed_account_is_shut() -> None:
    async def main() -> None:
        fakes = Fakes()
        watch = LiveWatch(accounts=cast("Any", fakes), gateway=fakes, send=fakes.send)
        watching = asyncio.create_task(watch.run())
        await until(lambda: len(fakes.heard) == 2)
        on_order, on_account = fakes.heard
        fakes.has_target = False
        on_order(late(1))  # nobody to tell: the log has it
        await until(lambda: watch.is_idle)
        fakes.has_target = True
        for one in (order(2), late(3), late(3), replace(late(3), status=OrderStatus.COMPLETE)):
            on_order(one)
        on_account(LIVE)
        fakes.is_removed = True
        on_account(LIVE)
        fakes.is_removed = False
        await until(lambda: fakes.shut_ones == [LIVE])
        ((whom, title, body, priority),) = fakes.sent
        assert (whom, title, priority) == (OWNER, "An order arrived late", 9)
        assert late(3).id in body
        assert "“Mine”" in body
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        assert fakes.heard == []

    run(main())

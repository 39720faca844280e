"""A server of orders in small, to be killed: ``-m tests.broker.killed_server FILE LIFE SEED``.

Places, changes and cancels in several books and accounts at once, on a real database, and writes
a line for what it is about to ask (``ask LABEL``) and for what it was told (``told ACCOUNT ORDER
STATUS FILLED``). It goes on until it is killed.
"""

import asyncio
import os
import random
import sys
from dataclasses import replace
from pathlib import Path

from algohost.broker.accounts import PaperBrokers
from algohost.broker.gateway import Gateway, Scope
from algohost.domain.errors import AlgohostError
from algohost.domain.ids import AccountId, StrategyId
from algohost.domain.orders import Book, Order, OrderChanges
from algohost.exchange.fills import AT_TOUCH
from algohost.store.database import open_database
from algohost.store.orders import StoredOrderJournal
from algohost.testing.market import TableMarket
from tests.exchange.desk import INFY, INSTRUMENTS, MORNING, TCS, request

ACCOUNTS = [AccountId("paper-one"), AccountId("paper-two")]
CLIENTS = 6


def shown_market() -> TableMarket:
    """The same market in every life and in the test."""
    market = TableMarket(INSTRUMENTS.values(), at=MORNING)
    market.show(INFY, last="100")
    market.show(TCS, last="200")
    market.tick()
    return market


def say(*words: object) -> None:
    """One line, whole: written at once, or not at all."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def told(order: Order) -> None:
    """Tells of an acknowledged order."""
    status = order.status.value.replace(" ", "-")
    say("told", order.book.account_id, order.id, status, order.filled_quantity)


class Client:
    """One script: orders, now and then the same again with its key, changes and cancels."""

    def __init__(self, gateway: Gateway, number: int, life: str, chance: random.Random) -> None:
        self._gateway = gateway
        self._chance = chance
        self._name = f"{life}-{number}"
        account = ACCOUNTS[number % len(ACCOUNTS)]
        self._book = Book(account_id=account, strategy_id=StrategyId(f"s{number}_20261123093000"))
        self._scope = Scope(account_id=account, strategy_id=self._book.strategy_id)

    async def run(self) -> None:
        """Never ends."""
        count = 0
        while True:
            count += 1
            order = await self._place(f"{self._name}-{count}")
            if not order.status.is_final:
                await self._change(order)

    async def _place(self, label: str) -> Order:
        kind = self._chance.choice(["MARKET", "LIMIT 90", "LIMIT 110"])
        side, units = self._chance.choice(["BUY", "SELL"]), self._chance.randint(1, 9)
        key = self._chance.choice([INFY, TCS])
        asked = replace(request(f"{side} {units} {kind}", key), label=label)
        say("ask", label)
        placing = [self._gateway.place(self._book, asked, key=label)]
        if self._chance.random() < 0.3:
            placing.append(self._gateway.place(self._book, asked, key=label))
        order = (await asyncio.gather(*placing))[0]
        told(order)
        return order

    async def _change(self, order: Order) -> None:
        try:
            if self._chance.random() < 0.5:
                changes = OrderChanges(quantity=self._chance.randint(10, 20))
                told(await self._gateway.modify(self._scope, order.id, changes))
            else:
                told(await self._gateway.cancel(self._scope, order.id))
        except AlgohostError:
            return


async def serve(file: Path, life: str, seed: int) -> None:
    """Until somebody kills it."""
    database = open_database(file)
    journal, market = StoredOrderJournal(database), shown_market()
    brokers = PaperBrokers(journal=journal, market=market, fills=AT_TOUCH)
    gateway = Gateway(journal=journal, market=market, open_broker=brokers.open)
    for account in ACCOUNTS:
        await gateway.recover(account)
    say("up")
    clients = (Client(gateway, n, life, random.Random(f"{seed}-{n}")) for n in range(CLIENTS))
    await asyncio.gather(*(client.run() for client in clients))


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))

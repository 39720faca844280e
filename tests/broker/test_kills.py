"""Promises 3 and 10 by force: a server that places orders is killed, again and again.

``ALGOHOST_KILLS=500`` makes a longer run of it, and ``ALGOHOST_KILL_SEED`` another one.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from algohost.broker.accounts import PaperBrokers
from algohost.broker.gateway import Gateway, Scope
from algohost.domain.ids import OrderId
from algohost.domain.orders import Order, OrderStatus
from algohost.exchange.fills import AT_TOUCH
from algohost.store.database import open_database
from algohost.store.orders import StoredOrderJournal
from tests.broker.killed_server import ACCOUNTS, shown_market

KILLS = int(os.environ.get("ALGOHOST_KILLS", "4"))
SEED = int(os.environ.get("ALGOHOST_KILL_SEED", "1"))

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills with SIGKILL")


@dataclass
class Said:
    """What all lives of the server have said."""

    asked: set[str] = field(default_factory=set)
    told: dict[OrderId, tuple[str, int]] = field(default_factory=dict)

    def hear(self, text: str) -> None:
        """Takes in whole lines; the last one may have been cut."""
        for line in text.rpartition("\n")[0].splitlines():
            match line.split():
                case ["ask", label]:
                    self.asked.add(label)
                case ["told", _, order_id, status, filled]:
                    self.told[OrderId(order_id)] = status.replace("-", " "), int(filled)


def test_no_kill_doubles_loses_or_invents_an_order(tmp_path: Path) -> None:
    """Every life of the server ends with SIGKILL; then the file is read by a new one."""
    chance, said = random.Random(SEED), Said()
    for life in range(KILLS):
        said.hear(_one_life(tmp_path, life, chance))
        asyncio.run(_audit(tmp_path / "a.db", said))
    assert len(said.told) > 10 * KILLS


def _one_life(folder: Path, life: int, chance: random.Random) -> str:
    output = folder / f"{life}.txt"
    words = str(folder / "a.db"), f"l{life}", str(chance.randrange(10**9))
    with output.open("wb") as file:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.broker.killed_server", *words],
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        enough = chance.randint(1, 12_000)  # bytes said, so that no clock decides
        deadline = time.monotonic() + 60
        while server.poll() is None and output.stat().st_size < enough:
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.001)
        assert server.poll() is None, output.read_text()
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
    return output.read_text()


async def _audit(file: Path, said: Said) -> None:
    database = open_database(file)
    journal, market = StoredOrderJournal(database), shown_market()
    brokers = PaperBrokers(journal=journal, market=market, fills=AT_TOUCH)
    gateway = Gateway(journal=journal, market=market, open_broker=brokers.open)
    orders: dict[OrderId, Order] = {}
    for account in ACCOUNTS:
        await gateway.recover(account)
        scope = Scope(account_id=account)
        of_account = gateway.orders(scope)
        orders |= {order.id: order for order in of_account}
        assert {o.id for o in await journal.intents(account)} == {o.id for o in of_account}
        _positions_are_the_trades(gateway, scope)
    labels = Counter(order.request.label for order in orders.values())
    assert max(labels.values(), default=0) <= 1, "doubled"
    assert set(labels) <= said.asked, "invented"
    assert set(said.told) <= set(orders), "lost"
    for order_id, (status, filled) in said.told.items():
        now = orders[order_id]
        assert now.filled_quantity >= filled
        assert now.status.value == status or not OrderStatus(status).is_final
    await gateway.close()
    database.close()


def _positions_are_the_trades(gateway: Gateway, scope: Scope) -> None:
    traded, held = Counter[object](), Counter[object]()
    for trade in gateway.trades(scope):
        traded[trade.book, trade.key, trade.product] += trade.action.sign * trade.quantity
    for view in gateway.positions(scope):
        held[view.position.book, view.position.key, view.position.product] += view.position.quantity
    assert {p: n for p, n in traded.items() if n} == {p: n for p, n in held.items() if n}

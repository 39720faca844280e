"""Limits on the host: who sets them, what a restart leaves, what follows from a daily loss."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from algohost.broker.accounts import PaperBrokers
from algohost.broker.gateway import Gateway
from algohost.broker.risk import RiskGuard
from algohost.domain.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from algohost.domain.ids import StrategyId
from algohost.domain.kill_switch import WHOLE_HOST, KillScope
from algohost.domain.orders import Book, OrderStatus
from algohost.domain.risk import LimitTarget
from algohost.domain.strategies import Phase
from algohost.domain.users import paper_account
from algohost.exchange.fills import AT_TOUCH
from algohost.host.risk import BY_LOSS, LOSS_REACHED, RiskService
from algohost.store import audit
from algohost.store import risk_limits as stored
from algohost.store.database import open_database
from algohost.store.orders import StoredOrderJournal
from algohost.testing.market import TableMarket
from tests.exchange.desk import INFY, INSTRUMENTS, request
from tests.host.harness import ASHA, AT, RAVI, HostUnderTest

RAVIS = LimitTarget(scope=KillScope.ACCOUNT, id=paper_account(RAVI))


class Desk:
    """A host with a gateway and limits."""

    def __init__(self, host: HostUnderTest) -> None:
        self.host = host
        self.market = TableMarket(INSTRUMENTS.values(), at=AT)
        self.market.show(INFY, last="100")
        self.market.tick()

    async def open(self) -> None:
        """The parts that a start of the server makes, and the loop."""
        host = self.host
        accounts = [paper_account(ASHA), paper_account(RAVI)]
        self.guard = RiskGuard(
            market=self.market, monotonic=host.clock.monotonic, accounts=lambda: accounts
        )
        journal = StoredOrderJournal(host.database)
        brokers = PaperBrokers(journal=journal, market=self.market, fills=AT_TOUCH)
        self.gateway = Gateway(
            journal=journal, market=self.market, open_broker=brokers.open, risk=self.guard
        )
        self.guard.watch(self.gateway)
        self.risk = RiskService(
            clock=host.clock,
            database=host.database,
            registry=host.registry,
            guard=self.guard,
            accounts=lambda: accounts,
            halt=host.service.halt,
        )
        for account in accounts:
            await self.gateway.recover(account)
        self.loop = asyncio.create_task(self.risk.run())

    async def close(self) -> None:
        """The end of the loop and of the gateway."""
        self.loop.cancel()
        await asyncio.gather(self.loop, return_exceptions=True)
        await self.gateway.close()

    async def restart(self) -> None:
        """The server dies and comes back on what is on disk."""
        await self.close()
        await self.host.kill_and_restart()
        await self.open()

    async def running(self, name: str) -> LimitTarget:
        """A strategy of Ravi's that runs."""
        made = (await self.host.add(name, owner=RAVI)).strategy.id
        await self.host.service.start(RAVI, made)
        await self.host.service.settled(made, timeout_seconds=5)
        return LimitTarget(scope=KillScope.STRATEGY, id=made)

    async def order(self, target: LimitTarget, asked: str) -> str:
        """The code with which an order of a strategy is refused; its status where it is taken."""
        book = Book(account_id=paper_account(RAVI), strategy_id=StrategyId(target.id))
        try:
            return (await self.gateway.place(book, request(asked))).status
        except Conflict as refusal:
            return refusal.code

    def falls(self, last: str) -> None:
        """A quote, and the time in which it is looked at."""
        self.market.show(INFY, last=last)
        self.market.tick()
        self.host.clock.advance(1)

    def audited(self, target: LimitTarget) -> list[tuple[str, str]]:
        """What of the limits stands in the audit, and by whom."""
        links = self.host.database.read(lambda c: audit.page(c, subject=target.id))
        found = [(one.entry.act, one.entry.by) for one in links]
        return [one for one in found if one[0].startswith(("risk_", "order_refused"))]

    def phase(self, target: LimitTarget) -> Phase:
        view = self.host.registry.find(target.id)
        assert view is not None
        return view.phase


def play(folder: Path, scenario: Callable[[Desk], Awaitable[None]]) -> None:
    async def main() -> None:
        async with HostUnderTest(folder) as host:
            desk = Desk(host)
            await desk.open()
            await scenario(desk)
            await desk.close()

    asyncio.run(main())


def test_limits_hold_at_once_and_over_a_restart(tmp_path: Path) -> None:
    async def scenario(desk: Desk) -> None:
        ema = await desk.running("ema")
        await desk.risk.put(RAVI, ema, {"most_quantity": 10, "symbols": ["NSE:INFY"]})
        assert await desk.order(ema, "BUY 11 MARKET") == "RISK_QUANTITY"
        await desk.restart()
        assert await desk.order(ema, "BUY 11 MARKET") == "RISK_QUANTITY"
        assert await desk.order(ema, "BUY 10 MARKET") == OrderStatus.COMPLETE
        await desk.risk.clear(RAVI, ema)
        await desk.restart()
        assert await desk.order(ema, "BUY 11 MARKET") == OrderStatus.COMPLETE
        kinds = [one.kind for one in desk.risk.events(ema)]
        assert kinds[-1] == "risk_limits_set"
        assert {"risk_quantity", "risk_limits_cleared"} <= set(kinds)
        said = [one.sentence for one in desk.risk.events(ema)][-1]
        assert "set to Units in one order 10, Symbols NSE:INFY by" in said
        assert desk.audited(ema) == [
            ("risk_limits_set", f"user:{RAVI.name}"),
            ("order_refused", f"strategy:{ema.id}"),
            ("risk_limits_cleared", f"user:{RAVI.name}"),
        ]

    play(tmp_path, scenario)


def test_who_may_set_what(tmp_path: Path) -> None:
    async def scenario(desk: Desk) -> None:
        ema = await desk.running("ema")
        ashas = (await desk.host.add("asha's")).strategy.id
        with pytest.raises(Forbidden, match="for administrators"):
            await desk.risk.put(RAVI, WHOLE_HOST, {"most_quantity": 1})
        never_made = f"{paper_account(RAVI)}-1a2b"
        for scope, id_ in [
            ("strategy", ashas), ("account", paper_account(ASHA)), ("strategy", ""),
            ("account", never_made),
        ]:  # fmt: skip
            with pytest.raises(NotFound):
                desk.risk.target(RAVI, scope, id_)
        with pytest.raises(Invalid, match="is not a scope of limits"):
            desk.risk.target(RAVI, "everything")
        assert desk.risk.target(RAVI, "account") == RAVIS
        await desk.risk.put(ASHA, RAVIS, {"most_orders_a_day": 3})
        for act in (desk.risk.clear(RAVI, RAVIS), desk.risk.put(RAVI, RAVIS, {"most_value": 5})):
            with pytest.raises(Forbidden, match="asha has set them"):
                await act
        await desk.risk.put(RAVI, ema, {"most_quantity": 5})
        assert [one.target for one in desk.risk.standings(RAVI)] == [RAVIS, ema]
        assert desk.risk.above(ema) == [WHOLE_HOST, RAVIS]

    play(tmp_path, scenario)


def test_a_limit_that_cannot_be_written_down_does_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_work: object) -> None:
        raise Unavailable("The disk is full.")

    async def scenario(desk: Desk) -> None:
        ema = await desk.running("ema")
        with monkeypatch.context() as disk:
            disk.setattr(desk.host.database, "write", full)
            with pytest.raises(Unavailable):
                await desk.risk.put(RAVI, ema, {"most_quantity": 1})
        assert await desk.order(ema, "BUY 2 MARKET") == OrderStatus.COMPLETE
        assert desk.risk.standing(ema).limits is None

    play(tmp_path, scenario)


def test_the_same_refusal_is_written_down_once_a_minute_with_its_count(tmp_path: Path) -> None:
    async def scenario(desk: Desk) -> None:
        ema = await desk.running("ema")
        await desk.risk.put(RAVI, ema, {"most_quantity": 1})
        for _ in range(5):
            assert await desk.order(ema, "BUY 2 MARKET") == "RISK_QUANTITY"
        desk.host.clock.advance(61)
        await desk.order(ema, "BUY 2 MARKET")

        def refusals() -> list[str]:
            found = desk.risk.events(ema)
            return [one.sentence for one in found if one.kind == "risk_quantity"]

        await desk.host.until(lambda: len(refusals()) == 2, "both are written down")
        newest, first = refusals()
        assert first.startswith("BUY 2 NSE:INFY MIS was refused. 2 units are more than the 1")
        assert newest.endswith("The same 4 times more before.")

    play(tmp_path, scenario)


def test_a_daily_loss_stops_the_strategy_and_holds_over_a_restart_until_the_next_day(
    tmp_path: Path,
) -> None:
    async def scenario(desk: Desk) -> None:
        ema, other = await desk.running("ema"), await desk.running("other")
        await desk.risk.put(RAVI, ema, {"most_daily_loss": 500, "stops_at_loss": True})
        await desk.order(ema, "BUY 100 MARKET")
        desk.falls("90")
        await desk.host.until(lambda: desk.guard.loss(ema) is not None, "the loss is seen")
        await desk.host.until(lambda: bool(desk.host.database.read(stored.losses)), "it is kept")
        assert (desk.phase(ema), desk.phase(other)) == (Phase.STOPPING, Phase.RUNNING)
        view = desk.host.registry.find(ema.id)
        assert view is not None
        assert view.strategy.intent.by == BY_LOSS
        [event] = [one for one in desk.risk.events(ema) if one.kind == LOSS_REACHED]
        assert "reached at 09:15:00 IST with ₹1,000.00" in event.sentence
        assert event.sentence.endswith("1 strategy was stopped.")
        assert (LOSS_REACHED, BY_LOSS) in desk.audited(ema)
        desk.falls("200")
        await desk.restart()
        assert await desk.order(ema, "BUY 1 MARKET") == "RISK_DAILY_LOSS"
        assert await desk.order(ema, "SELL 100 MARKET") == OrderStatus.COMPLETE
        desk.market.at += timedelta(days=1)
        assert await desk.order(ema, "BUY 1 MARKET") == OrderStatus.COMPLETE

    play(tmp_path, scenario)


def test_only_an_administrator_lifts_a_loss_that_was_reached(tmp_path: Path) -> None:
    async def scenario(desk: Desk) -> None:
        ema = await desk.running("ema")
        await desk.risk.put(RAVI, ema, {"most_daily_loss": 500})
        await desk.order(ema, "BUY 100 MARKET")
        desk.falls("90")
        assert await desk.order(ema, "BUY 1 MARKET") == "RISK_DAILY_LOSS"
        assert desk.phase(ema) is Phase.RUNNING  # it was not asked to be stopped
        await desk.host.until(lambda: bool(desk.host.database.read(stored.losses)), "it is kept")
        await desk.risk.put(RAVI, ema, {"most_daily_loss": 50_000})
        assert await desk.order(ema, "BUY 1 MARKET") == "RISK_DAILY_LOSS"
        await desk.risk.put(ASHA, ema, {"most_daily_loss": 900})
        assert await desk.order(ema, "BUY 1 MARKET") == "RISK_DAILY_LOSS"
        await desk.risk.put(ASHA, ema, {"most_daily_loss": 60_000})
        assert await desk.order(ema, "BUY 1 MARKET") == OrderStatus.COMPLETE
        assert desk.host.database.read(stored.losses) == []

    play(tmp_path, scenario)


def test_the_accounts_loss_stops_all_its_strategies(tmp_path: Path) -> None:
    async def scenario(desk: Desk) -> None:
        targets = [await desk.running(name) for name in ("one", "two")]
        ashas = (await desk.host.add("asha's")).strategy.id
        await desk.host.service.start(ASHA, ashas)
        await desk.host.service.settled(ashas, timeout_seconds=5)
        await desk.risk.put(RAVI, RAVIS, {"most_daily_loss": "500", "stops_at_loss": True})
        await desk.order(targets[0], "BUY 100 MARKET")
        desk.falls("90")
        desk.risk._wake.set()
        await desk.host.until(
            lambda: [desk.phase(one) for one in targets] == [Phase.STOPPING] * 2, "both stop"
        )
        assert desk.host.service.get(ASHA, ashas).phase is Phase.RUNNING

    play(tmp_path, scenario)


def test_limits_that_cannot_be_read_are_not_left_out(tmp_path: Path) -> None:
    """A limit that is dropped silently is a limit that does not hold."""
    database = open_database(tmp_path / "algohost.db")
    row = text("INSERT INTO risk_limits VALUES ('host', '', :limits, '2026-11-23', 'asha')")
    for limits in ('{"most_lots": 3}', '{"most_value": "many"}', '{"products": ["BO"]}'):
        damaged = row.bindparams(limits=limits)
        database.write_now(partial(Connection.execute, statement=damaged))
        with pytest.raises(Unavailable, match="risk limits of host"):
            database.read(stored.everything)
        database.write_now(lambda c: stored.remove(c, WHOLE_HOST))
    database.close()


def test_money_and_lists_come_back_as_they_were_kept(tmp_path: Path) -> None:
    async def scenario(desk: Desk) -> None:
        changes = {
            "most_value": "123456.70",
            "price_band_percent": "2.5",
            "symbols": ["NFO:NIFTY*"],
            "products": ["NRML", "MIS"],
        }
        before = await desk.risk.put(ASHA, WHOLE_HOST, changes)
        assert before.limits is not None
        assert before.limits.limits.most_value == Decimal("123456.70")
        assert desk.host.database.read(stored.everything) == [before.limits]

    play(tmp_path, scenario)

"""The ends of days at a server: on time, late, over crashes, and never twice."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from algohost.broker.accounts import PaperBrokers
from algohost.broker.crash_points import CrashPoint, Reached, pass_by
from algohost.broker.gateway import Gateway
from algohost.broker.paper import PaperBroker
from algohost.broker.paper_day import PaperDay
from algohost.broker.views import Scope
from algohost.domain.errors import Conflict, Invalid, NotFound
from algohost.domain.ids import AccountId
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.domain.orders import Book, Order, OrderStatus, Product
from algohost.domain.quotes import Bar, Interval
from algohost.exchange.charge_rates import published
from algohost.exchange.charges import PublishedCharges
from algohost.exchange.fills import AT_TOUCH, FillModel
from algohost.exchange.honest import HONEST
from algohost.exchange.hours import TradingHours
from algohost.exchange.margins import MarginNeeded
from algohost.market.calendars import shipped_calendars
from algohost.testing.journal import MemoryJournal
from algohost.testing.market import TableMarket
from tests.broker.world import WHOLE, Crash, CrashAt, idle, run
from tests.exchange.desk import (
    ACCOUNT,
    EMA,
    FUTURE,
    INFY,
    INSTRUMENTS,
    MORNING,
    NIFTY,
    RSI,
    TCS,
    UNATTRIBUTED,
    gtt_request,
    request,
)

SQUARE_OFF = MORNING.replace(hour=9, minute=45)  # Monday 15:15 in India
CLOSE = MORNING.replace(hour=10, minute=0)
EXPIRY = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
CALL = InstrumentKey(exchange=Exchange.NFO, symbol="NIFTY24NOV2624500CE")
CRUDE = InstrumentKey(exchange=Exchange.MCX, symbol="CRUDEOIL23NOV26FUT")
LATER_CRUDE = InstrumentKey(exchange=Exchange.MCX, symbol="CRUDEOIL18DEC26FUT")
CRUDE_CALL = InstrumentKey(exchange=Exchange.MCX, symbol="CRUDEOIL23NOV265400CE")
HOURS = TradingHours(shipped_calendars().__getitem__)

LISTED = (
    *INSTRUMENTS.values(),
    Instrument(key=CALL, token="5", name="NIFTY", lot_size=75, instrument_type="CE"),
    Instrument(key=CRUDE, token="6", name="CRUDEOIL", lot_size=100, instrument_type="FUT"),
    Instrument(key=LATER_CRUDE, token="7", name="CRUDEOIL", lot_size=100, instrument_type="FUT"),
    Instrument(key=CRUDE_CALL, token="8", name="CRUDEOIL", lot_size=100, instrument_type="CE"),
)


class Server:
    """A gateway over paper accounts with their days. ``restart`` keeps the journal alone."""

    def __init__(
        self,
        journal: MemoryJournal | None = None,
        market: TableMarket | None = None,
        *,
        reached: Reached = pass_by,
        fills: FillModel = AT_TOUCH,
        refuse: Callable[[Book], None] = lambda _book: None,
    ) -> None:
        self.journal = journal or MemoryJournal()
        self.market = market or _market()
        brokers = PaperBrokers(
            journal=self.journal,
            market=self.market,
            hours=HOURS,
            charges=PublishedCharges(rates=published()),
            fills=fills,
            reached=reached,
        )
        self.gateway = Gateway(
            journal=self.journal,
            market=self.market,
            open_broker=brokers.open,
            refuse=refuse,
            reached=reached,
        )
        self.day = PaperDay(market=self.market, gateway=self.gateway, hours=HOURS)

    async def restart(self, *, reached: Reached = pass_by) -> "Server":
        """A new server on what the old one left on disk, its account open."""
        market = _market()
        market.at, market.closed = self.market.at, self.market.closed
        server = Server(self.journal, market, reached=reached)
        await server.gateway.recover(ACCOUNT)
        return server

    async def place(self, asked: str, key: InstrumentKey = INFY, *, owner: Book = EMA) -> Order:
        return await self.gateway.place(owner, request(asked, key))

    def held(self) -> dict[tuple[InstrumentKey, Product], int]:
        views = self.gateway.positions(WHOLE)
        units = Counter[tuple[InstrumentKey, Product]]()
        for view in views:
            units[view.position.key, view.position.product] += view.position.quantity
        return {place: number for place, number in units.items() if number}

    @property
    def broker(self) -> PaperBroker:
        (broker,) = self.gateway.brokers()
        assert isinstance(broker, PaperBroker)
        return broker


def _market() -> TableMarket:
    market = TableMarket(LISTED, at=MORNING)
    market.show(INFY, last="100", bid="99.95", ask="100.05")
    prices = {TCS: "200", NIFTY: "24600", FUTURE: "24610", CALL: "120"}
    prices |= {CRUDE: "5400", LATER_CRUDE: "5450", CRUDE_CALL: "60"}
    for key, last in prices.items():
        market.show(key, last=last)
    market.tick()
    return market


async def _filled_up(server: Server) -> None:
    """MIS on both sides in two books, with orders open, and what is not MIS."""
    await server.place("BUY 10 MARKET MIS", owner=EMA)
    await server.place("SELL 30 MARKET MIS", TCS, owner=RSI)
    await server.place("BUY 75 MARKET MIS", FUTURE, owner=UNATTRIBUTED)
    await server.place("BUY 100 MARKET MIS", LATER_CRUDE, owner=EMA)
    await server.place("BUY 5 MARKET CNC", owner=EMA)
    await server.place("SELL 5 LIMIT 120 MIS", owner=EMA)
    await server.place("BUY 5 SL-M @120 MIS", owner=RSI)
    await server.place("BUY 1 LIMIT 90 CNC", owner=RSI)


def test_square_off_cancels_first_and_closes_at_the_market() -> None:
    async def main() -> None:
        server = await Server().restart()
        await _filled_up(server)
        server.market.at = SQUARE_OFF - timedelta(seconds=1)
        await server.day.look()
        assert len(server.gateway.orders(WHOLE)) == 8
        server.market.at = SQUARE_OFF
        await server.day.look()
        assert server.held() == {(INFY, Product.CNC): 5, (LATER_CRUDE, Product.MIS): 100}
        orders = server.gateway.orders(WHOLE)
        cancelled = [o for o in orders if o.status is OrderStatus.CANCELLED]
        assert {order.reason for order in cancelled} == {"MIS square-off of 23-11-2026 15:15."}
        closing = [o for o in orders if o.request.label == "MIS square-off of 23-11-2026 15:15"]
        assert Counter(str(order.request.key) for order in closing) == {
            str(INFY): 1,
            str(TCS): 1,
            str(FUTURE): 1,
        }
        assert {order.book for order in closing} == {EMA, RSI, UNATTRIBUTED}
        await server.day.look()
        assert server.gateway.orders(WHOLE) == orders

    run(main())


def test_a_kill_switch_keeps_nobody_in() -> None:
    async def main() -> None:
        engaged: list[Book] = []

        def refuse(book: Book) -> None:
            if book in engaged:
                raise Conflict("The kill switch is engaged. Release it first.")

        server = Server(refuse=refuse)
        await server.gateway.recover(ACCOUNT)
        await _filled_up(server)
        engaged += [EMA, RSI, UNATTRIBUTED]
        server.market.at = SQUARE_OFF
        await server.day.look()
        assert server.held() == {(INFY, Product.CNC): 5, (LATER_CRUDE, Product.MIS): 100}

    run(main())


def test_every_paper_account_is_squared_off() -> None:
    async def main() -> None:
        server = await Server().restart()
        other = Book(account_id=AccountId("paper-two"), strategy_id=None)
        await server.gateway.recover(other.account_id)
        await server.place("BUY 10 MARKET MIS", owner=EMA)
        await server.place("SELL 7 MARKET MIS", owner=other)
        server.market.at = SQUARE_OFF
        await server.day.look()
        for account_id in (ACCOUNT, other.account_id):
            views = server.gateway.positions(Scope(account_id=account_id))
            assert [view.position.quantity for view in views] == [0]

    run(main())


def test_commodities_have_their_own_time() -> None:
    async def main() -> None:
        server = await Server().restart()
        await server.place("BUY 100 MARKET MIS", LATER_CRUDE)
        server.market.at = MORNING.replace(hour=17, minute=59, second=59)
        await server.day.look()
        assert server.held() == {(LATER_CRUDE, Product.MIS): 100}
        server.market.at = MORNING.replace(hour=18, minute=0)  # 23:30 in India
        await server.day.look()
        assert server.held() == {}

    run(main())


def test_new_intraday_orders_are_refused_until_the_end_of_the_session() -> None:
    async def main() -> None:
        server = await Server().restart()
        server.market.at = SQUARE_OFF
        refused = await server.place("BUY 1 MARKET MIS")
        assert refused.status is OrderStatus.REJECTED
        assert refused.reason.startswith("MIS orders on NSE are not taken after 15:15")
        assert (await server.place("BUY 1 MARKET CNC")).status is OrderStatus.COMPLETE
        server.market.at = CLOSE
        assert (await server.place("BUY 1 MARKET MIS")).status is OrderStatus.COMPLETE
        await server.day.look()
        assert server.held()[INFY, Product.MIS] == 1
        server.market.at = SQUARE_OFF + timedelta(days=1)
        await server.day.look()
        assert (INFY, Product.MIS) not in server.held()

    run(main())


def test_a_server_that_was_down_squares_off_when_the_exchange_opens_and_says_so() -> None:
    async def main() -> None:
        server = await Server().restart()
        await _filled_up(server)
        server.market.at = CLOSE + timedelta(hours=2)
        server.market.closed = {Exchange.NSE, Exchange.NFO, Exchange.MCX}
        server = await server.restart()
        await server.day.look()
        open_ones = [o for o in server.gateway.orders(WHOLE) if not o.status.is_final]
        assert open_ones == []
        assert server.held()[INFY, Product.MIS] == 10
        server.market.at = MORNING + timedelta(days=2)
        server = await server.restart()
        await server.day.look()
        assert server.held()[INFY, Product.MIS] == 10
        server.market.closed.clear()
        await server.day.look()
        assert server.held() == {}
        labels = {order.request.label for order in server.gateway.orders(WHOLE)}
        assert labels == {
            "MIS square-off of 23-11-2026 15:15, late",
            "MIS square-off of 23-11-2026 23:30, late",
        }

    run(main())


@pytest.mark.parametrize("point", list(CrashPoint))
@pytest.mark.parametrize("visit", [1, 2, 4])
def test_a_crash_in_the_middle_leaves_nothing_doubled_or_undone(
    point: CrashPoint, visit: int
) -> None:
    async def main() -> None:
        server = await Server().restart()
        await _filled_up(server)
        server.market.at = EXPIRY  # Tuesday's close: square-offs, and the future expires
        for _ in range(3):
            crash = CrashAt(point, visit=visit)
            dying = await server.restart(reached=crash)
            try:
                await dying.day.look()
            except Crash:
                await idle()
        server = await server.restart()
        await server.day.look()
        cash = server.gateway.funds(ACCOUNT).cash
        assert (INFY, Product.MIS) not in server.held()
        assert (TCS, Product.MIS) not in server.held()
        assert (FUTURE, Product.MIS) not in server.held()
        trades = server.gateway.trades(WHOLE)
        closed = Counter[InstrumentKey]()
        for trade in trades:
            closed[trade.key] += trade.action.sign * trade.quantity
        assert closed[INFY] == -10
        assert closed[TCS] == 30
        server = await server.restart()
        await server.day.look()
        assert server.gateway.trades(WHOLE) == trades
        assert server.gateway.funds(ACCOUNT).cash == cash
        reasons = {o.reason for o in server.gateway.orders(WHOLE) if o.request.key == FUTURE}
        assert not any("expired" in reason for reason in reasons)

    run(main())


def test_an_option_that_expires_is_settled_at_the_close_of_its_index() -> None:
    async def main() -> None:
        server = await Server().restart()
        await server.place("BUY 75 MARKET NRML", CALL, owner=EMA)
        await server.place("SELL 75 MARKET NRML", CALL, owner=RSI)
        waiting = await server.place("BUY 75 LIMIT 110 NRML", CALL)
        cash = server.gateway.funds(ACCOUNT).cash
        server.market.bars[NIFTY, Interval.M1] = [
            _bar(EXPIRY - timedelta(minutes=1), "24700"),
            _bar(EXPIRY, "24900"),
        ]
        server.market.at = EXPIRY
        await server.day.look()
        assert server.held() == {}
        assert server.gateway.order(WHOLE, waiting.id).status is OrderStatus.CANCELLED
        rows = {v.position.book: v.position.realised for v in server.gateway.positions(WHOLE)}
        assert rows == {EMA: 75 * Decimal(80), RSI: 75 * Decimal(-80)}
        # 0.15 % of 75 × 200 from the book that held it
        assert server.gateway.funds(ACCOUNT).cash == cash - Decimal("22.50")
        assert server.gateway.funds(ACCOUNT).used_margin == 0
        gained = server.gateway.day_pnls(WHOLE)
        assert gained[EMA.strategy_id].charges == Decimal("22.50")
        late = await server.place("BUY 75 MARKET NRML", CALL)
        assert late.reason.startswith("NFO:NIFTY24NOV2624500CE expired on 24-11-2026")

    run(main())


def test_a_commodity_is_settled_at_its_own_price_and_an_option_at_its_future() -> None:
    async def main() -> None:
        server = await Server().restart()
        await server.place("BUY 100 MARKET NRML", CRUDE)
        await server.place("BUY 100 MARKET NRML", CRUDE_CALL)
        server.market.show(CRUDE, last="5500")
        server.market.at = MORNING.replace(hour=18, minute=25)  # 23:55 in India
        await server.day.look()
        assert server.held() == {}
        realised = {v.position.key: v.position.realised for v in server.gateway.positions(WHOLE)}
        assert realised == {CRUDE: 100 * Decimal(100), CRUDE_CALL: 100 * Decimal(40)}

    run(main())


def test_a_square_off_that_fills_in_pieces_is_not_placed_again() -> None:
    """Another for all of it would turn the position."""

    async def main() -> None:
        server = Server(fills=HONEST)
        await server.gateway.recover(ACCOUNT)
        await server.place("BUY 1 MARKET MIS")
        seen = []
        for step in range(20):
            server.market.at += timedelta(seconds=1)
            server.market.show(INFY, last=str(100 + step % 2), bid="99.95", ask="100.05")
            server.market.tick()
            await idle()
            await server.place("BUY 1 MARKET MIS")
        held = server.held()[INFY, Product.MIS]
        assert held > 1
        server.market.at = SQUARE_OFF
        for step in range(200):
            await server.day.look()
            server.market.at += timedelta(seconds=1)
            server.market.show(INFY, last=str(100 + step % 2), bid="99.95", ask="100.05")
            server.market.tick()
            await idle()
            seen.append(server.held().get((INFY, Product.MIS), 0))
        assert min(seen) == 0
        assert seen == sorted(seen, reverse=True)
        labels = [o.request.label for o in server.gateway.orders(WHOLE) if o.request.label]
        assert labels[0] == "MIS square-off of 23-11-2026 15:15"

    run(main())


def test_what_has_no_close_waits_for_one() -> None:
    async def main() -> None:
        server = await Server().restart()
        await server.place("BUY 75 MARKET NRML", FUTURE)
        server.market.at = EXPIRY
        server.market._quotes.pop(NIFTY)
        await server.day.look()
        assert server.held() == {(FUTURE, Product.NRML): 75}
        server.market.show(NIFTY, last="24650")
        await server.day.look()
        assert server.held() == {}

    run(main())


def test_the_day_is_looked_at_when_something_ends_and_once_a_minute() -> None:
    async def main() -> None:
        server, looks = await Server().restart(), list[datetime]()
        look = server.day.look

        async def counted() -> None:
            looks.append(server.market.at)
            await look()

        server.day.look = counted  # type: ignore[method-assign]
        start = SQUARE_OFF - timedelta(seconds=90)
        for second in range(120):
            server.market.at = start + timedelta(seconds=second)
            await server.day.look_if_due()
        assert [at - start for at in looks] == [timedelta(seconds=n) for n in (0, 60, 90)]
        server.market.at = start - timedelta(days=1)  # a clock that was set back
        await server.day.look_if_due()
        assert len(looks) == 4

    run(main())


def test_a_tick_of_a_fast_market_wakes_the_day() -> None:
    async def main() -> None:
        server = await Server().restart()
        await server.place("BUY 10 MARKET MIS")
        running = asyncio.create_task(server.day.run())
        await idle()
        server.market.at = SQUARE_OFF
        server.market.show(INFY, last="101")
        server.market.tick()
        for _ in range(100):
            await idle()
            if not server.held():
                break
        assert server.held() == {}
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run(main())


def test_shares_are_a_position_until_they_are_delivered() -> None:
    async def main() -> None:
        server = await Server().restart()
        await server.place("BUY 10 MARKET CNC")  # Monday; Tuesday is a holiday
        server.market.at = MORNING + timedelta(days=1)
        assert [v.position.quantity for v in server.gateway.positions(WHOLE)] == [10]
        assert server.gateway.holdings(WHOLE) == []
        server.market.at = MORNING + timedelta(days=2)
        assert server.gateway.positions(WHOLE) == []
        assert [v.position.quantity for v in server.gateway.holdings(WHOLE)] == [10]

    run(main())


def test_what_orders_need_is_asked_of_the_gateway() -> None:
    async def main() -> None:
        server = await Server().restart()
        asked = [request("SELL 75 LIMIT 25000 NRML", FUTURE), request("BUY 10 MARKET MIS")]
        assert await server.gateway.margin(ACCOUNT, asked) == MarginNeeded(
            total=Decimal("212075.10"),  # 11.3 % of 18,75,000 and a fifth of 10 × 100.05
            span=Decimal(174375),
            exposure=Decimal(37500),
        )
        unknown = InstrumentKey(exchange=Exchange.NSE, symbol="NOBODY")
        with pytest.raises(NotFound):
            await server.gateway.margin(ACCOUNT, [request("BUY 1 MARKET", unknown)])

    run(main())


def test_what_is_asked_for_a_margin_is_what_an_order_then_holds() -> None:
    async def main() -> None:
        server = await Server().restart()
        for text, key in (
            ("BUY 10 LIMIT 90 MIS", INFY),
            ("SELL 75 LIMIT 130 NRML", CALL),
            ("BUY 75 LIMIT 110 NRML", CALL),
            ("SELL 75 SL-M @24000 NRML", FUTURE),
        ):
            needed = await server.gateway.margin(ACCOUNT, [request(text, key)])
            order = await server.place(text, key)
            assert server.gateway.funds(ACCOUNT).used_margin == needed.total
            await server.gateway.cancel(WHOLE, order.id)

    run(main())


def test_a_paper_account_begins_anew_and_no_other() -> None:
    async def main() -> None:
        server = await Server().restart()
        await _filled_up(server)
        funds = await server.gateway.reset(ACCOUNT)
        assert funds.cash == 10_000_000
        assert funds.used_margin == 0
        assert server.held() == {}
        assert len(server.gateway.trades(WHOLE)) == 5
        assert (await server.gateway.reset(ACCOUNT, Decimal(500))).cash == 500
        with pytest.raises(Invalid):
            await server.gateway.reset(ACCOUNT, Decimal(-1))
        assert (await server.restart()).gateway.funds(ACCOUNT).cash == 500

    run(main())


def test_a_broker_that_does_not_know_margins_says_so() -> None:
    class Real:
        """Not a paper broker."""

    async def main() -> None:
        server = await Server().restart()
        account = server.gateway._accounts.opened(ACCOUNT)
        account.broker = Real()  # type: ignore[assignment]
        with pytest.raises(Conflict, match="does not say what orders need"):
            await server.gateway.margin(ACCOUNT, [request("BUY 1 MARKET")])
        with pytest.raises(Conflict, match="is not a paper account"):
            await server.gateway.reset(ACCOUNT)
        await server.day.look()

    run(main())


def test_charges_of_the_day_are_told_beside_the_gross_profit() -> None:
    async def main() -> None:
        server = await Server().restart()
        await server.place("BUY 10 MARKET MIS", owner=EMA)
        server.market.show(INFY, last="110")
        server.market.tick()
        await server.place("SELL 10 MARKET MIS", owner=EMA)
        trades = server.gateway.trades(WHOLE)
        charges = sum(trade.charges for trade in trades)
        funds, gained = server.gateway.funds(ACCOUNT), server.gateway.day_pnls(WHOLE)
        assert funds.charges == gained[EMA.strategy_id].charges == charges > 0
        assert funds.realised == gained[EMA.strategy_id].realised == Decimal("99.50")
        assert gained[EMA.strategy_id].net == Decimal("99.50") - charges
        assert funds.cash == 10_000_000 + gained[EMA.strategy_id].net

    run(main())


def _bar(start: datetime, close: str) -> Bar:
    price = Decimal(close)
    return Bar(start=start, open=price, high=price, low=price, close=price, volume=0)


def test_day_orders_end_with_the_session_after_a_restart_too() -> None:
    async def main() -> None:
        server = await Server().restart()
        waiting = await server.place("BUY 1 LIMIT 90 CNC")
        crude = await server.place("BUY 100 LIMIT 5300 NRML", LATER_CRUDE)
        gtt = await server.gateway.place_gtt(EMA, gtt_request("BUY 1 CNC 95"))
        server.market.closed = {Exchange.NSE}
        server.market.at = CLOSE + timedelta(hours=1)
        server = await server.restart()
        await server.day.look()
        ended = server.gateway.order(WHOLE, waiting.id)
        assert (ended.status, ended.reason) == (
            OrderStatus.CANCELLED,
            "The session of NSE ended at 15:30, and a DAY order ends with it.",
        )
        assert server.gateway.order(WHOLE, crude.id).status is OrderStatus.OPEN
        assert server.gateway.gtts(WHOLE) == [gtt]
        before = server.journal.appends
        await server.day.look()
        assert server.journal.appends == before

    run(main())

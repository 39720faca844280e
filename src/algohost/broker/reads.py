"""What anybody may ask of the gateway: its reads, each at once and from what is known here."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from decimal import Decimal

from algohost.broker.open_accounts import OpenAccount
from algohost.broker.ports import HasPrices
from algohost.broker.prices import Prices
from algohost.broker.sending import quantity_held
from algohost.broker.views import DayPnl, PositionView, Scope
from algohost.domain.errors import NotFound
from algohost.domain.ids import AccountId, OrderId, StrategyId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Book, Funds, Order, Product, Trade
from algohost.domain.ports import Market
from algohost.exchange.account import PositionKey
from algohost.exchange.day import day_of
from algohost.exchange.performance import Performance


class Reads(ABC):
    """Reads are immediate, and raise ``Unavailable`` for an account that is not open yet.

    A scope sees its own orders only: all others are ``NotFound`` to it.
    """

    _market: Market

    @abstractmethod
    def _opened(self, account_id: AccountId) -> OpenAccount:
        """The account. Raises ``Unavailable`` where it is not open."""

    def order(self, scope: Scope, order_id: OrderId) -> Order:
        """One order. Raises ``NotFound`` for one that does not exist or is out of scope."""
        account = self._opened(scope.account_id)
        order = account.broker.order(order_id)
        if order is None:
            waiting = (one for one in account.on_the_way() if one.id == order_id)
            order = next(waiting, None)
        if order is None or order.book not in scope:
            raise NotFound(f"There is no order {order_id}. Look at the order book for its number.")
        return order

    def orders(self, scope: Scope) -> Sequence[Order]:
        """Today's orders and those of before that are still open, oldest first."""
        account = self._opened(scope.account_id)
        known = account.broker.orders(day_of(self._market.now()), scope)
        waiting = [
            order
            for order in account.on_the_way()
            if order.book in scope and account.broker.order(order.id) is None
        ]
        return [*known, *waiting]

    def trades(self, scope: Scope) -> Sequence[Trade]:
        """Today's trades, oldest first."""
        account = self._opened(scope.account_id)
        trades = account.broker.trades(day_of(self._market.now()))
        return [trade for trade in trades if trade.book in scope]

    def positions(self, scope: Scope) -> Sequence[PositionView]:
        """Positions that are open or were traded today, one per book; see ``views.netted``."""
        account = self._opened(scope.account_id)
        prices = Prices(self._market, account.broker)
        return [
            prices.view(day.traded)
            for day in account.broker.positions(day_of(self._market.now()), scope)
            if day.is_shown
        ]

    def holdings(self, scope: Scope) -> Sequence[PositionView]:
        """CNC shares held since before today, one row per book."""
        account = self._opened(scope.account_id)
        prices = Prices(self._market, account.broker)
        return [
            prices.view(day.settled)
            for day in account.broker.positions(day_of(self._market.now()), scope)
            if day.settled.quantity
        ]

    def held(self, book: Book, key: InstrumentKey, product: Product) -> int:
        """Units that a book holds, settled ones included; below zero is short."""
        account = self._opened(book.account_id)
        return quantity_held(account.broker, PositionKey(book, key, product), self._market)

    def last(self, account_id: AccountId, key: InstrumentKey) -> Decimal | None:
        """The last price by which an account is judged; ``None`` where there is none."""
        broker = self._opened(account_id).broker
        try:
            return (broker if isinstance(broker, HasPrices) else self._market).quote(key).last
        except NotFound:
            return None

    def funds(self, account_id: AccountId) -> Funds:
        """The account's money; ``realised`` is today's."""
        return self._opened(account_id).broker.funds(day_of(self._market.now()))

    def day_pnls(self, scope: Scope) -> Mapping[StrategyId | None, DayPnl]:
        """What each book in scope gained today, that holds something or traded today."""
        account = self._opened(scope.account_id)
        prices = Prices(self._market, account.broker)
        gained: dict[StrategyId | None, DayPnl] = {}
        for day in account.broker.positions(day_of(self._market.now()), scope):
            book = day.opening.book.strategy_id
            gained[book] = gained.get(book, DayPnl()) + prices.gained(day)
        return gained

    def all_trades(self, scope: Scope) -> Sequence[Trade]:
        """Every trade in scope, oldest first."""
        return self._opened(scope.account_id).broker.all_trades(scope)

    def performances(self, scope: Scope) -> Mapping[StrategyId | None, Performance]:
        """How each book in scope that ever traded has done since the account began."""
        found = self._opened(scope.account_id).broker.performances(scope)
        return {book.strategy_id: made for book, made in found.items()}

    def instrument_pnls(self, scope: Scope) -> Mapping[tuple[InstrumentKey, Product], DayPnl]:
        """What the books in scope gained today together, by instrument and product."""
        account = self._opened(scope.account_id)
        prices = Prices(self._market, account.broker)
        gained: dict[tuple[InstrumentKey, Product], DayPnl] = {}
        for day in account.broker.positions(day_of(self._market.now()), scope):
            key = (day.opening.key, day.opening.product)
            gained[key] = gained.get(key, DayPnl()) + prices.gained(day)
        return gained

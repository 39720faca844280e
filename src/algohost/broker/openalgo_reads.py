"""What is shown of a live account: from its ledger here and the last look at its broker."""

from collections.abc import Container, Mapping, Sequence
from datetime import date, datetime

from algohost.broker import openalgo_books as books_of
from algohost.broker.openalgo_books import Snapshot, Surplus
from algohost.broker.openalgo_ledger import LiveLedger
from algohost.domain.errors import NotFound, Unavailable
from algohost.domain.ids import AccountId, OrderId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Book, Funds, Order, Product, Trade
from algohost.domain.quotes import Quote
from algohost.exchange.account import PositionKey
from algohost.exchange.day import DayPosition
from algohost.exchange.performance import Performance


class LiveReads:
    """The reads of ``Broker``: each at once, never from the network."""

    def __init__(self, ledger: LiveLedger) -> None:
        self._ledger = ledger
        self._beyond: Mapping[tuple[InstrumentKey, Product], Surplus] = {}
        self._snapshot: Snapshot | None = None

    def _show(self, snapshot: Snapshot) -> None:
        """Shows what the broker's books say, to which the ledger has just been brought."""
        self._snapshot = snapshot
        self._show_again()

    def _show_again(self) -> None:
        """The ledger has changed: what is beyond it is another part of the same account."""
        if self._snapshot is not None:
            self._beyond = books_of.surplus(self._ledger, self._snapshot)

    @property
    def account_id(self) -> AccountId:
        """As ``Broker.account_id``."""
        return self._ledger.account_id

    def order(self, order_id: OrderId) -> Order | None:
        """As ``Broker.order``."""
        return self._ledger.order(order_id)

    def orders(self, day: date, books: Container[Book]) -> Sequence[Order]:
        """As ``Broker.orders``; those that were placed elsewhere are not ours to show."""
        return self._ledger.orders_of(day, books)

    def trades(self, day: date) -> Sequence[Trade]:
        """As ``Broker.trades``."""
        return self._ledger.trades_on(day)

    def all_trades(self, books: Container[Book]) -> Sequence[Trade]:
        """As ``Broker.all_trades``."""
        return self._ledger.all_trades(books)

    def performances(self, books: Container[Book]) -> Mapping[Book, Performance]:
        """As ``Broker.performances``; before charges, which nobody knows here."""
        found = self._ledger.performances
        return {book: made for book, made in found.items() if book in books}

    def positions(self, day: date, books: Container[Book]) -> Sequence[DayPosition]:
        """As ``Broker.positions``; the unattributed book has what the account holds beyond ours."""
        held = list(self._ledger.positions(day))
        whole = books_of.with_surplus(held, self._beyond, self.account_id)
        return [one for one in whole if one.traded.book in books]

    def position(self, key: PositionKey, day: date) -> DayPosition:
        """As ``Broker.position``."""
        place = (key.key, key.product)
        found = (
            one
            for one in self.positions(day, {key.book})
            if (one.traded.key, one.traded.product) == place
        )
        return next(found, self._ledger.position(key, day))

    def funds(self, day: date) -> Funds:  # noqa: ARG002 - the port's signature
        """As ``Broker.funds``, as the broker told them last. Raises ``Unavailable`` before."""
        if self._snapshot is None:
            raise Unavailable(
                "The broker's server has not told the account's funds yet; try again soon.",
                code="FUNDS_NOT_READ",
            )
        return self._snapshot.funds

    def quote(self, key: InstrumentKey) -> Quote:
        """As ``HasPrices.quote``: of what the account held at the last whole look."""
        found = None if self._snapshot is None else self._snapshot.quotes.get(key)
        if found is None:
            raise NotFound(f"The broker's server has told no price of {key} yet.")
        return found

    @property
    def seen_at(self) -> datetime | None:
        """When the broker's books were last read whole; ``None`` before the first time."""
        return None if self._snapshot is None else self._snapshot.at

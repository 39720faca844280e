"""What the gateway's reads return, beyond orders, trades and funds."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Self

from algohost.domain.ids import AccountId, OrderId, StrategyId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.money import ZERO
from algohost.domain.orders import Book, Order, Position, Product
from algohost.exchange.day import summed


@dataclass(frozen=True, kw_only=True)
class Scope(Container[Book]):
    """Whose orders and positions are meant: one strategy's book, or the whole account."""

    account_id: AccountId
    strategy_id: StrategyId | None = None
    """``None`` is the whole account, the unattributed book included."""

    asked_by: str = field(default="", compare=False)
    """Who asks, where it is neither the strategy nor the account's key: ``kill switch``."""

    @property
    def by(self) -> str:
        """Who asks, for the record: ``strategy:<id>``, ``account:<id>`` or ``asked_by``."""
        whose = f"strategy:{self.strategy_id}" if self.strategy_id else f"account:{self.account_id}"
        return self.asked_by or whose

    @property
    def cancelled(self) -> str:
        """Why an order is cancelled that somebody with this scope withdraws."""
        whose = "its strategy" if self.strategy_id else "the account's API key"
        return f"Cancelled by {f'the {self.asked_by}' if self.asked_by else whose}."

    def __contains__(self, book: object) -> bool:
        return (
            isinstance(book, Book)
            and book.account_id == self.account_id
            and (self.strategy_id is None or self.strategy_id == book.strategy_id)
        )


@dataclass(frozen=True, kw_only=True)
class PositionView:
    """One book's position with what it is worth now, in rupees."""

    position: Position
    """``realised``, bought and sold are of today; quantity and cost of all units."""
    last: Decimal

    @property
    def unrealised(self) -> Decimal:
        """What closing at the last price would gain; exact."""
        return self.position.unrealised(self.last)

    @property
    def pnl(self) -> Decimal:
        """Today's realised and the unrealised P&L together."""
        return self.position.realised + self.unrealised


@dataclass(frozen=True, kw_only=True)
class DayPnl:
    """What a strategy gained today, in rupees: carried positions from their previous close."""

    realised: Decimal = ZERO
    unrealised: Decimal = ZERO
    """The change of unrealised P&L over the day."""
    charges: Decimal = ZERO
    """Brokerage, taxes and fees, which the two others are without."""

    def __add__(self, other: Self) -> Self:
        """Of both together."""
        return replace(
            self,
            realised=self.realised + other.realised,
            unrealised=self.unrealised + other.unrealised,
            charges=self.charges + other.charges,
        )

    @property
    def total(self) -> Decimal:
        """Both sorts of P&L together, without charges, as brokers show it."""
        return self.realised + self.unrealised

    @property
    def net(self) -> Decimal:
        """What is left after charges."""
        return self.total - self.charges


@dataclass(frozen=True, kw_only=True)
class Cancellation:
    """What became of a request to cancel several orders."""

    cancelled: Sequence[Order] = ()
    failed: Sequence[tuple[OrderId, str]] = field(default=())
    """Orders that were not cancelled, each with a sentence saying why."""


def netted(views: Iterable[PositionView], account_id: AccountId) -> list[PositionView]:
    """The positions of several books as an account's: one per instrument and product.

    Quantities, values and both sorts of P&L are sums; the average price is that of the books
    on the side of the net quantity.
    """
    rows: dict[tuple[InstrumentKey, Product], list[PositionView]] = {}
    for view in views:
        rows.setdefault((view.position.key, view.position.product), []).append(view)
    book = Book(account_id=account_id, strategy_id=None)
    return [
        PositionView(position=summed((v.position for v in group), book), last=group[0].last)
        for group in rows.values()
    ]

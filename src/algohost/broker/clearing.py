"""What a kill switch does at the gateway: cancel what works, close what is held."""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Final

from algohost.broker.gateway import Gateway
from algohost.broker.views import Scope
from algohost.domain.errors import Conflict
from algohost.domain.gtt import GttStatus
from algohost.domain.ids import AccountId, StrategyId
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.orders import Book, Order, Position, Product
from algohost.domain.ports import Market

BY: Final = "kill switch"
"""Who cancels and closes, in the reasons and labels of orders."""


class Clearing:
    """One gateway as the kill switch uses it. A scope without a strategy is the whole account."""

    def __init__(self, gateway: Gateway, market: Market) -> None:
        self._gateway = gateway
        self._market = market

    def working(self, account_id: AccountId, strategy_id: StrategyId | None) -> Sequence[Order]:
        """The orders that may still trade. Raises ``Unavailable`` for an account that is shut."""
        scope = Scope(account_id=account_id, strategy_id=strategy_id)
        return [order for order in self._gateway.orders(scope) if not order.status.is_final]

    def held(self, account_id: AccountId, strategy_id: StrategyId | None) -> Sequence[Position]:
        """The open positions, without settled shares. Raises as ``working``."""
        scope = Scope(account_id=account_id, strategy_id=strategy_id)
        views = self._gateway.positions(scope)
        return [view.position for view in views if view.position.quantity]

    async def cancel(self, order: Order) -> None:
        """Withdraws one order. Raises as ``Gateway.cancel``."""
        scope = Scope(account_id=order.book.account_id, asked_by=BY)
        await self._gateway.cancel(scope, order.id)

    def waiting(self, account_id: AccountId, strategy_id: StrategyId | None) -> int:
        """How many GTTs are active; none at a broker that has no GTTs."""
        scope = Scope(account_id=account_id, strategy_id=strategy_id)
        with suppress(Conflict):
            return sum(1 for one in self._gateway.gtts(scope) if one.status is GttStatus.ACTIVE)
        return 0

    async def cancel_waiting(
        self, account_id: AccountId, strategy_id: StrategyId | None
    ) -> Sequence[str]:
        """Withdraws the active GTTs; returns a sentence for each that could not be."""
        scope = Scope(account_id=account_id, strategy_id=strategy_id, asked_by=BY)
        failed = await self._gateway.cancel_all_gtts(scope)
        return [f"GTT {gtt_id}: {why}" for gtt_id, why in failed]

    async def close(self, positions: Collection[Position]) -> Sequence[Order]:
        """Trades against positions of one book at the market. Raises as ``Gateway.place``."""
        wanted = {_name(one) for one in positions}
        placed: list[Order] = []
        for account_id in {one.book.account_id for one in positions}:
            scope = Scope(account_id=account_id)
            placed += await self._gateway.close_positions(
                scope, only=lambda one: _name(one) in wanted, label=BY
            )
        return placed

    def is_open(self, exchange: Exchange) -> bool:
        """Whether the exchange trades now."""
        return self._market.is_open(exchange)

    def listen(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Calls ``changed`` after every change of an order, until undone."""
        return self._gateway.listen(lambda _order: changed())


def _name(position: Position) -> tuple[Book, InstrumentKey, Product]:
    return position.book, position.key, position.product

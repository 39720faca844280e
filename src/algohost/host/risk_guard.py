"""What judges orders at the gateway, as the limits' service uses it."""

from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

from algohost.domain.ids import AccountId, StrategyId
from algohost.domain.orders import Book, OrderRequest
from algohost.domain.risk import Breach, Facts, LimitsOf, LimitTarget, LossReached


class Guard(Protocol):
    """What judges orders, at the gateway; see ``broker.risk.RiskGuard``."""

    def put(self, limits: LimitsOf) -> None:
        """Has limits hold."""

    def drop(self, target: LimitTarget) -> None:
        """Bounds a target no more."""

    def put_loss(self, loss: LossReached) -> None:
        """Remembers that a daily loss was reached."""

    def drop_loss(self, target: LimitTarget) -> None:
        """Forgets it."""

    def loss(self, target: LimitTarget) -> LossReached | None:
        """The loss that was reached today."""

    def facts(self, target: LimitTarget, account_id: AccountId | None = None) -> Facts:
        """What a target has done today."""

    def pnl(self, target: LimitTarget, account_id: AccountId | None = None) -> Decimal:
        """Its P&L of today."""

    def look(self, account_of: Callable[[StrategyId], AccountId | None]) -> None:
        """Sees whether a daily loss is reached."""

    def tell(
        self,
        *,
        on_breach: Callable[[Book, OrderRequest, Breach], None],
        on_loss: Callable[[LossReached], None],
    ) -> None:
        """Whom to tell."""

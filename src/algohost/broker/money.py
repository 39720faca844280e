"""What the gateway answers about an account's money beyond its funds: margins, and a new start."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol, runtime_checkable

from algohost.broker.open_accounts import OpenAccount
from algohost.domain.errors import Conflict
from algohost.domain.ids import AccountId
from algohost.domain.orders import Funds, OrderRequest
from algohost.exchange.margins import MarginNeeded


@runtime_checkable
class KnowsMargin(Protocol):
    """A broker that can say what orders would need."""

    async def margin(self, requests: Sequence[OrderRequest]) -> MarginNeeded:
        """What the orders need together, as if the account held nothing.

        Raises ``NotFound`` for an instrument that is not listed or has no price yet.
        """


@runtime_checkable
class Resettable(Protocol):
    """A broker whose account may begin anew: one of play money."""

    async def reset(self, cash: Decimal | None = None) -> Funds:
        """Cancels all orders, drops all positions and P&L, and begins with ``cash``.

        Without it, with what a new account begins with. Orders and trades stay to be read.
        """


class Money(ABC):
    """Part of the gateway."""

    @abstractmethod
    async def _ready(self, account_id: AccountId) -> OpenAccount:
        """The account. Raises ``Unavailable`` where it cannot be opened."""

    async def margin(self, account_id: AccountId, requests: Sequence[OrderRequest]) -> MarginNeeded:
        """What orders would need together, in rupees, whatever the account holds.

        Raises ``NotFound`` for an instrument that is not listed or has no price yet, and
        ``Conflict`` where the account's broker does not tell.
        """
        broker = (await self._ready(account_id)).broker
        if not isinstance(broker, KnowsMargin):
            raise Conflict(
                f"The broker of account {account_id} does not say what orders need. Look at its "
                "own margin calculator.",
                code="MARGIN_NOT_KNOWN",
            )
        return await broker.margin(requests)

    async def reset(self, account_id: AccountId, cash: Decimal | None = None) -> Funds:
        """Begins a paper account anew: no orders open, no positions, no P&L, its opening cash.

        Raises ``Conflict`` for an account of real money, ``Invalid`` for cash below zero.
        """
        broker = (await self._ready(account_id)).broker
        if not isinstance(broker, Resettable):
            raise Conflict(
                f"Account {account_id} is not a paper account and cannot be reset. Close its "
                "positions instead.",
                code="NOT_A_PAPER_ACCOUNT",
            )
        return await broker.reset(cash)

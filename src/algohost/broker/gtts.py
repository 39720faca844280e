"""What the gateway does with GTTs: orders that wait for a price for up to a year."""

from abc import ABC, abstractmethod
from collections.abc import Container, Sequence
from typing import Protocol, runtime_checkable

from algohost.broker.open_accounts import OpenAccount
from algohost.broker.risk_port import RiskCheck
from algohost.broker.sending import Refuse
from algohost.broker.views import Scope
from algohost.domain.errors import AlgohostError, Conflict, NotFound
from algohost.domain.gtt import Gtt, GttId, GttRequest, GttStatus
from algohost.domain.ids import AccountId
from algohost.domain.orders import Book
from algohost.domain.ports import Market


@runtime_checkable
class KeepsGtts(Protocol):
    """A broker that watches triggers.

    Commands raise as those of ``Broker``. The order of a triggered GTT is one of the broker's
    orders, in the book that placed the GTT.
    """

    async def place_gtt(self, book: Book, request: GttRequest) -> Gtt:
        """Places a GTT and returns it."""

    async def modify_gtt(self, gtt_id: GttId, request: GttRequest) -> Gtt:
        """Replaces what an active GTT asks for and returns it as it stands after."""

    async def cancel_gtt(self, gtt_id: GttId, *, reason: str) -> Gtt:
        """Withdraws an active GTT and returns it as it stands after."""

    def gtts(self, books: Container[Book]) -> Sequence[Gtt]:
        """Every GTT of ``books``, final ones included, oldest first."""


class Gtts(ABC):
    """Part of the gateway. A scope sees and changes the GTTs of its own books only."""

    _market: Market
    _refuse: Refuse
    _risk: RiskCheck

    @abstractmethod
    async def _ready(self, account_id: AccountId) -> OpenAccount:
        """The account. Raises ``Unavailable`` where it cannot be opened."""

    @abstractmethod
    def _opened(self, account_id: AccountId) -> OpenAccount:
        """The account. Raises ``Unavailable`` where it is not open."""

    async def place_gtt(self, book: Book, request: GttRequest) -> Gtt:
        """Places a GTT in a book and returns it.

        Raises ``NotFound`` for an instrument that is not listed, ``Invalid`` where it is
        refused, ``Conflict`` while the kill switch is engaged or where the account's broker has
        no GTTs, ``Unavailable`` where nothing was placed, and its kind ``OutcomeUnknown``.
        """
        if self._market.find(request.key) is None:
            raise NotFound(f"{request.key} is not listed. Check the symbol and the exchange.")
        broker = _keeping(await self._ready(book.account_id))
        self._refuse(book)
        self._admit(book, request)
        return await broker.place_gtt(book, request)

    async def modify_gtt(self, scope: Scope, gtt_id: GttId, request: GttRequest) -> Gtt:
        """Replaces all that an active GTT asks for but its instrument, side and kind.

        Raises as ``place_gtt``, ``NotFound`` for a GTT outside the scope, and ``Conflict`` for
        one that is not active.
        """
        broker = _keeping(await self._ready(scope.account_id))
        book = self.gtt(scope, gtt_id).book
        self._refuse(book)
        self._admit(book, request)
        return await broker.modify_gtt(gtt_id, request)

    async def cancel_gtt(self, scope: Scope, gtt_id: GttId) -> Gtt:
        """Withdraws an active GTT, both legs of it. Raises as ``modify_gtt``."""
        broker = _keeping(await self._ready(scope.account_id))
        self.gtt(scope, gtt_id)
        return await broker.cancel_gtt(gtt_id, reason=scope.cancelled)

    async def cancel_all_gtts(self, scope: Scope) -> Sequence[tuple[GttId, str]]:
        """Withdraws every active GTT in scope; returns those that could not be, and why."""
        broker = (await self._ready(scope.account_id)).broker
        failed: list[tuple[GttId, str]] = []
        for gtt in broker.gtts(scope) if isinstance(broker, KeepsGtts) else ():
            if gtt.status is not GttStatus.ACTIVE:
                continue
            try:
                await self.cancel_gtt(scope, gtt.id)
            except AlgohostError as error:
                failed.append((gtt.id, error.message))
        return failed

    def _admit(self, book: Book, request: GttRequest) -> None:
        """Raises ``Conflict`` where an order that it may place is beyond a limit."""
        for leg in request.legs:
            self._risk.admit_waiting(book, request.order(leg))

    def gtt(self, scope: Scope, gtt_id: GttId) -> Gtt:
        """One GTT. Raises ``NotFound`` for one that does not exist or is out of scope."""
        for gtt in self.gtts(scope):
            if gtt.id == gtt_id:
                return gtt
        raise NotFound(f"There is no GTT {gtt_id}. Look at the GTT order book for its number.")

    def gtts(self, scope: Scope) -> Sequence[Gtt]:
        """Every GTT in scope, final ones included, oldest first.

        Raises ``Conflict`` where the account's broker has no GTTs.
        """
        return _keeping(self._opened(scope.account_id)).gtts(scope)


def _keeping(account: OpenAccount) -> KeepsGtts:
    broker = account.broker
    if not isinstance(broker, KeepsGtts):
        raise Conflict(
            f"The broker of account {broker.account_id} takes no GTTs. Place an order instead.",
            code="NO_GTTS",
        )
    return broker

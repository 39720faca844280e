"""The GTTs of a paper account: decided on its state, kept in its journal."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Sequence

from algohost.domain.gtt import Gtt, GttId, GttRequest
from algohost.domain.ids import OrderId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Book
from algohost.domain.ports import Market
from algohost.exchange import gtt as gtts
from algohost.exchange import rules
from algohost.exchange.account import AccountState
from algohost.exchange.events import Event


class PaperGtts(ABC):
    """Part of the paper broker: implements ``KeepsGtts``."""

    _state: AccountState
    _market: Market

    @abstractmethod
    def next_order_id(self) -> OrderId:
        """A number that nothing of this account has or will be given again."""

    @abstractmethod
    async def decide(self, decision: Callable[[AccountState], Sequence[Event]]) -> Sequence[Event]:
        """Does what ``decision`` makes of the account, alone, and returns it."""

    @abstractmethod
    def _scene(self, key: InstrumentKey) -> rules.Scene:
        """What the market shows of an instrument now."""

    async def place_gtt(self, book: Book, request: GttRequest) -> Gtt:
        """As ``KeepsGtts.place_gtt``."""
        numbers = (self.next_order_id(), self.next_order_id())

        def decision(state: AccountState) -> Sequence[Event]:
            return gtts.place(state, book, request, self._scene(request.key), numbers=numbers)

        await self.decide(decision)
        return self._gtt(GttId(numbers[0]))

    async def modify_gtt(self, gtt_id: GttId, request: GttRequest) -> Gtt:
        """As ``KeepsGtts.modify_gtt``."""

        def decision(state: AccountState) -> Sequence[Event]:
            return gtts.modify(state, gtt_id, request, self._scene(request.key))

        await self.decide(decision)
        return self._gtt(gtt_id)

    async def cancel_gtt(self, gtt_id: GttId, *, reason: str) -> Gtt:
        """As ``KeepsGtts.cancel_gtt``."""
        at = self._market.now()
        await self.decide(lambda state: gtts.cancel(state, gtt_id, at=at, reason=reason))
        return self._gtt(gtt_id)

    def gtts(self, books: Container[Book]) -> Sequence[Gtt]:
        """As ``KeepsGtts.gtts``."""
        return [gtt for gtt in self._state.gtts.all() if gtt.book in books]

    def _gtt(self, gtt_id: GttId) -> Gtt:
        return gtts.known(self._state, gtt_id)

"""What the gateway asks of those who bound orders: limits, and the governor of their pace."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from algohost.domain.errors import TooMany
from algohost.domain.instruments import InstrumentKey
from algohost.domain.orders import Book, Order, OrderRequest


class QueueFull(TooMany):
    """An order waited, or would have to wait, too long for its turn: it was not sent."""

    code = "QUEUE_FULL"


class RiskCheck(Protocol):
    """Limits of a strategy, an account and the host."""

    def admit(self, book: Book, request: OrderRequest) -> AbstractContextManager[None]:
        """Raises ``Conflict`` with a code ``RISK_…`` and a sentence for an order beyond a limit.

        Asked before the order's intent is written: a refused order leaves no trace in the
        journal. The order counts while the returned context lasts, which must be until its
        listeners were told of it: of many at once no more pass than the limit has room for.
        """

    def admit_change(self, order: Order, changed: OrderRequest) -> None:
        """Raises as ``admit`` where ``order`` may not become ``changed``."""

    def admit_waiting(self, book: Book, request: OrderRequest) -> None:
        """Raises as ``admit`` for what a GTT may place one day; what is counted does not count.

        Its order is asked about as any other, by ``admit``, when it is triggered.
        """


class Governor(Protocol):
    """How many orders a second go to an exchange, and in which order."""

    async def turn(self, book: Book, key: InstrumentKey, *, is_exit: bool) -> None:
        """Returns when it is this order's turn; exits go first.

        Asked once the order's intent is on disk, just before the broker gets it, and before a
        modification and a cancellation, which is an exit. Raises ``QueueFull``: the order was
        not sent then, and the caller records it as rejected.
        """


class NoLimits:
    """A ``RiskCheck`` that lets everything pass."""

    def admit(
        self,
        book: Book,  # noqa: ARG002 - the signature is the port's
        request: OrderRequest,  # noqa: ARG002
    ) -> AbstractContextManager[None]:
        """As ``RiskCheck.admit``; never raises."""
        return nullcontext()

    def admit_change(self, order: Order, changed: OrderRequest) -> None:
        """As ``RiskCheck.admit_change``; never raises."""

    def admit_waiting(self, book: Book, request: OrderRequest) -> None:
        """As ``RiskCheck.admit_waiting``; never raises."""


class NoQueue:
    """A ``Governor`` that lets everybody go at once."""

    async def turn(self, book: Book, key: InstrumentKey, *, is_exit: bool) -> None:
        """As ``Governor.turn``; never waits."""

"""What bounds the orders that triggered GTTs place: the kill switch and the limits, as any order.

A GTT is asked for at one time and places its order at another, when a limit may have been reached
or set, or a switch engaged. It is no way around them.
"""

from collections.abc import Callable
from contextlib import ExitStack

from algohost.broker.risk_port import RiskCheck
from algohost.domain.errors import AlgohostError, Conflict
from algohost.domain.orders import Book, OrderRequest


class Admission:
    """Judges orders that the exchange places by itself, for one account."""

    def __init__(self, *, refuse: Callable[[Book], None], risk: RiskCheck) -> None:
        """``refuse`` raises where a book may place no orders now."""
        self._refuse = refuse
        self._risk = risk
        self._admitted = ExitStack()

    def refusal(self, book: Book, request: OrderRequest) -> str | None:
        """Why an order may not be placed now.

        One that may counts until ``settled``: of several in one tick no more pass than a limit
        has room for. Raises ``Unavailable`` where nobody can judge yet, so that nothing happens.
        """
        try:
            self._refuse(book)
        except AlgohostError as refused:
            return refused.message
        try:
            self._admitted.enter_context(self._risk.admit(book, request))
        except Conflict as refused:
            return refused.message
        return None

    def settled(self) -> None:
        """What was admitted is kept and told, or was not to be."""
        self._admitted.close()

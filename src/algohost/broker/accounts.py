"""Opening paper accounts: their past read back, their numbers kept apart."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from algohost.broker.crash_points import Reached, pass_by
from algohost.broker.paper import PaperBroker
from algohost.domain.errors import Unavailable
from algohost.domain.ids import AccountId
from algohost.domain.ports import Market, OrderJournal
from algohost.exchange.account import AccountState
from algohost.exchange.codec import from_record, to_record
from algohost.exchange.events import AccountOpened, Event
from algohost.exchange.fills import AT_TOUCH, FillModel
from algohost.exchange.margins import FLAT_MARGIN, MarginModel
from algohost.exchange.numbers import ACCOUNT_NUMBERS, preferred_account_number

OPENING_CASH: Final = Decimal("10000000.00")
"""What a new paper account begins with: ₹1,00,00,000.00."""


class PaperBrokers:
    """Opens the paper broker of any account; ``open`` is the gateway's ``OpenBroker``.

    Order numbers of two accounts never meet as long as every account is opened before a new
    one is made, which a server does at its start.
    """

    def __init__(
        self,
        *,
        journal: OrderJournal,
        market: Market,
        opening_cash: Decimal = OPENING_CASH,
        fills: FillModel = AT_TOUCH,
        margin: MarginModel = FLAT_MARGIN,
        reached: Reached = pass_by,
    ) -> None:
        self._journal = journal
        self._market = market
        self._opening_cash = opening_cash
        self._fills = fills
        self._margin = margin
        self._reached = reached
        self._numbers: dict[int, AccountId] = {}
        self._turn = asyncio.Lock()

    async def open(self, account_id: AccountId) -> PaperBroker:
        """The broker of an account, made from its journal; a new account gets its cash.

        Raises ``Unavailable`` where the journal does not answer, ``Invalid`` and ``Conflict``
        where what it says cannot be.
        """
        async with self._turn:
            state = AccountState(account_id, margin=self._margin)
            for event in await self._past(account_id):
                state.apply(event)
            self._numbers[state.account_number] = account_id
        return PaperBroker(
            state,
            journal=self._journal,
            market=self._market,
            fills=self._fills,
            reached=self._reached,
        )

    async def _past(self, account_id: AccountId) -> Sequence[Event]:
        try:
            records = await self._journal.replay(account_id)
            if not records:
                opened = self._opened(account_id)
                await self._journal.append(account_id, [to_record(opened, number=1)])
                return [opened]
        except Exception as error:
            raise Unavailable(
                f"The order journal of account {account_id} does not answer. Look at the disk "
                "and at the server's log, then try again.",
                code="JOURNAL_UNAVAILABLE",
            ) from error
        return [from_record(record) for record in records]

    def _opened(self, account_id: AccountId) -> AccountOpened:
        number = preferred_account_number(account_id)
        while self._numbers.get(number, account_id) != account_id:
            number = (number + 1) % ACCOUNT_NUMBERS
        return AccountOpened(
            at=self._market.now(),
            account_id=account_id,
            account_number=number,
            cash=self._opening_cash,
        )

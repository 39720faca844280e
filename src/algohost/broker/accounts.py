"""Opening paper accounts: their past read back, their numbers kept apart."""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

from algohost.broker.account_numbers import AccountNumbers
from algohost.broker.admission import Admission
from algohost.broker.crash_points import Reached, pass_by
from algohost.broker.paper import PaperBroker
from algohost.broker.risk_port import NoLimits, RiskCheck
from algohost.domain.errors import Unavailable
from algohost.domain.ids import AccountId
from algohost.domain.orders import Book
from algohost.domain.ports import Market, OrderJournal
from algohost.exchange.account import AccountState
from algohost.exchange.charges import FREE, ChargeModel
from algohost.exchange.codec import from_record, to_record
from algohost.exchange.events import AccountOpened, Event
from algohost.exchange.fills import FillModel
from algohost.exchange.honest import HONEST
from algohost.exchange.hours import TradingHours
from algohost.exchange.margins import SEGMENT_MARGIN, MarginModel

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
        fills: FillModel = HONEST,
        margin: MarginModel = SEGMENT_MARGIN,
        charges: ChargeModel = FREE,
        hours: TradingHours | None = None,
        refuse: Callable[[Book], None] = lambda _book: None,
        risk: RiskCheck | None = None,
        reached: Reached = pass_by,
        numbers: AccountNumbers | None = None,
    ) -> None:
        """``refuse`` raises where a book may place no orders now: its GTTs place none either.

        ``risk`` judges the orders of triggered GTTs; those of the gateway it has judged already.
        """
        self._journal = journal
        self._market = market
        self._opening_cash = opening_cash
        self._fills = fills
        self._margin = margin
        self._charges = charges
        self._hours = hours
        self._refuse = refuse
        self._risk = risk or NoLimits()
        self._reached = reached
        self._numbers = numbers or AccountNumbers()
        self._turn = asyncio.Lock()

    async def open(self, account_id: AccountId) -> PaperBroker:
        """The broker of an account, made from its journal; a new account gets its cash.

        Raises ``Unavailable`` where the journal does not answer, ``Invalid`` and ``Conflict``
        where what it says cannot be.
        """
        async with self._turn:
            state = AccountState(account_id, margin=self._margin, charges=self._charges)
            for event in await self._past(account_id):
                state.apply(event)
            self._numbers.has(account_id, state.account_number)
        return PaperBroker(
            state,
            journal=self._journal,
            market=self._market,
            fills=self._fills,
            admission=Admission(refuse=self._refuse, risk=self._risk),
            hours=self._hours,
            opening_cash=self._opening_cash,
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
        number = self._numbers.new_for(account_id)
        return AccountOpened(
            at=self._market.now(),
            account_id=account_id,
            account_number=number,
            cash=self._opening_cash,
        )

"""Opening live accounts behind OpenAlgo servers, and looking whether one may be used."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from algohost.broker import openalgo_rows as rows
from algohost.broker.account_numbers import AccountNumbers
from algohost.broker.openalgo import OpenAlgoBroker, Pace
from algohost.broker.openalgo_events import Linked, from_record, to_record
from algohost.broker.openalgo_feed import OrderUpdates
from algohost.broker.openalgo_http import OpenAlgoHttp, Patience, Sleep
from algohost.broker.openalgo_ledger import LiveLedger
from algohost.broker.ports import Broker, OpenBroker
from algohost.domain.accounts import OPENALGO, Account
from algohost.domain.errors import Unavailable
from algohost.domain.ids import AccountId
from algohost.domain.ports import Clock, OrderJournal
from algohost.domain.reach import PUBLIC_ONLY, Reach
from algohost.domain.strategies import Mode

if TYPE_CHECKING:
    from algohost.broker.kinds import BrokerParts

log = logging.getLogger(__name__)

_FIRST_LOOK_SECONDS: Final = 5.0
"""How long opening an account waits for its books; it is open without them after that."""
_ANALYZE: Final = "analyze"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What an OpenAlgo server says of itself and of an account's key."""

    broker: str
    """The broker behind it, as it calls it."""
    is_analyzing: bool
    """Whether it is in its own paper mode: what it takes reaches no exchange."""
    available: Decimal
    """What a new order may use, in rupees."""


class OpenAlgoBrokers:
    """Opens live accounts; ``open`` is an ``OpenBroker``."""

    def __init__(
        self,
        *,
        journal: OrderJournal,
        clock: Clock,
        account_of: Callable[[AccountId], Account],
        key_of: Callable[[AccountId], str],
        reach_of: Callable[[AccountId], Reach] = lambda _account: PUBLIC_ONLY,
        numbers: AccountNumbers | None = None,
        pace: Pace | None = None,
        patience: Patience | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._account_of = account_of
        self._key_of = key_of
        self._reach_of = reach_of
        self._numbers = numbers or AccountNumbers()
        self._pace = pace or Pace()
        self._patience = patience
        self._sleep = sleep

    async def open(self, account_id: AccountId) -> Broker:
        """The broker of an account, made from its journal, following its server from then on.

        It opens whether or not the server answers: what is known here can be read all the same.
        Raises ``Unavailable`` where the journal does not answer, or the key cannot be opened.
        """
        account = self._account_of(account_id)
        await asyncio.to_thread(self._key_of, account_id)
        ledger = await self._past(account_id)
        broker = OpenAlgoBroker(
            ledger,
            http=self._http(account),
            journal=self._journal,
            clock=self._clock,
            pace=self._pace,
            hints=self._hints(account),
        )
        try:
            async with asyncio.timeout(_FIRST_LOOK_SECONDS):
                await broker.look_at_all()
        except (Unavailable, TimeoutError) as error:
            log.warning("broker_not_read account=%s reason=%s", account_id, error)
        broker.follow()
        return broker

    def _http(self, account: Account) -> OpenAlgoHttp:
        return OpenAlgoHttp(
            account.base_url,
            self._key(account),
            reach=self._reach(account),
            patience=self._patience,
            sleep=self._sleep,
        )

    def _hints(self, account: Account) -> OrderUpdates | None:
        if not account.feed_url:
            return None
        return OrderUpdates(account.feed_url, self._key(account), reach=self._reach(account))

    def _reach(self, account: Account) -> Callable[[], Reach]:
        return lambda: self._reach_of(account.id)

    def _key(self, account: Account) -> Callable[[], str]:
        return lambda: self._key_of(account.id)

    async def _past(self, account_id: AccountId) -> LiveLedger:
        ledger = LiveLedger(account_id=account_id)
        try:
            records = await self._journal.replay(account_id)
            if not records:
                number = self._numbers.new_for(account_id)
                linked = Linked(at=self._clock.now(), account_id=account_id, account_number=number)
                records = [to_record(linked, number=1)]
                await self._journal.append(account_id, records)
        except Exception as error:
            raise Unavailable(
                f"The order journal of account {account_id} does not answer. Look at the disk "
                "and at the server's log, then try again.",
                code="JOURNAL_UNAVAILABLE",
            ) from error
        for record in records:
            ledger.apply(from_record(record))
        self._numbers.has(account_id, ledger.account_number)
        return ledger


async def look_at_server(
    base_url: str, key: str, reach: Reach = PUBLIC_ONLY, *, patience: Patience | None = None
) -> Standing:
    """Asks an OpenAlgo server whether a key is good and what is behind it.

    Raises ``Invalid`` where the server refuses the key, ``Unavailable`` where it does not answer.
    """
    http = OpenAlgoHttp(base_url, lambda: key, reach=lambda: reach, patience=patience)
    try:
        pong = await http.ask("ping")
        funds = await http.ask("funds")
    finally:
        await http.close()
    data = pong.get("data")
    broker = data.get("broker") if isinstance(data, dict) else None
    return Standing(
        broker=broker if isinstance(broker, str) and broker.isprintable() else "unknown",
        is_analyzing=_ANALYZE in {pong.get("mode"), funds.get("mode")},
        available=rows.funds_of(funds).available,
    )


class OpenAlgoKind:
    """Implements ``BrokerKind``: live accounts behind an OpenAlgo server that exists already."""

    name = OPENALGO
    mode = Mode.LIVE

    def opener(self, parts: "BrokerParts") -> OpenBroker:
        """As ``BrokerKind.opener``."""
        return OpenAlgoBrokers(
            journal=parts.journal,
            clock=parts.clock,
            account_of=parts.account_of,
            key_of=parts.key_of,
            reach_of=parts.reach_of,
            numbers=parts.numbers,
        ).open


OPENALGO_KIND: Final = OpenAlgoKind()

"""At what an expiring contract is settled: the close of what it is on."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from algohost.domain.contract_symbols import ContractKind, ContractParts
from algohost.domain.errors import AlgohostError
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.ports import Market
from algohost.domain.quotes import Interval
from algohost.exchange.segments import INDICES, contract_of

log = logging.getLogger(__name__)

_BEFORE_CLOSE: Final = timedelta(hours=8)
"""How far back the last price of a day is looked for."""
_CASH: Final = {Exchange.NFO: Exchange.NSE, Exchange.BFO: Exchange.BSE}
_INDEX: Final = {Exchange.NFO: Exchange.NSE_INDEX, Exchange.BFO: Exchange.BSE_INDEX}


class Closes:
    """Closing prices, from the bars that the market keeps, or its newest price.

    Of an index or a share its own. Currencies and commodities are not listed by themselves: a
    future on them closes at its own last price, an option at that of the nearest future that does
    not expire before it. Exchanges settle indices at the average of the last half hour and
    currencies at the central bank's reference rate; here it is the last price before the close.
    """

    def __init__(self, market: Market) -> None:
        self._market = market

    def of(self, key: InstrumentKey, closed: datetime) -> Decimal | None:
        """What a contract that expired at ``closed`` is settled by; ``None`` where nobody knows."""
        contract = contract_of(key)
        if contract is None:
            return None
        for candidate in self._underlyings(key, contract):
            price = self._price(candidate, closed)
            if price is not None:
                return price
        return None

    def _underlyings(self, key: InstrumentKey, contract: ContractParts) -> Iterator[InstrumentKey]:
        if key.exchange in _CASH:
            exchanges = _INDEX if contract.base in INDICES else _CASH
            yield InstrumentKey(exchange=exchanges[key.exchange], symbol=contract.base)
            return
        if contract.kind is ContractKind.FUT:
            yield key
            return
        futures = [
            (parts.expiry, listed.key)
            for listed in self._market.search(contract.base, key.exchange)
            if (parts := contract_of(listed.key)) is not None
            and parts.base == contract.base
            and parts.kind is ContractKind.FUT
            and parts.expiry >= contract.expiry
        ]
        yield from (future for _, future in sorted(futures))

    def _price(self, key: InstrumentKey, closed: datetime) -> Decimal | None:
        if self._market.find(key) is None:
            return None
        if Interval.M1 in self._market.intervals():
            try:
                bars = self._market.history(key, Interval.M1, closed - _BEFORE_CLOSE, closed)
            except AlgohostError as error:
                log.info("no_bars symbol=%s error=%s", key, error.message)
            else:
                if bars:
                    return bars[-1].close
        return self._newest(key)

    def _newest(self, key: InstrumentKey) -> Decimal | None:
        try:
            last = self._market.quote(key).last
        except AlgohostError:
            return None
        log.warning("closed_at_newest symbol=%s price=%s: there are no bars", key, last)
        return last if last > 0 else None

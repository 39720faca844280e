"""Prices of the mode a server runs in: a synthetic market, or a recorded day.

synthetic, synthetic:SEED                                 always open, needs nothing
recorded:FILE?day=2021-05-27&speed=10&from=10:00          a day of a Parquet file as today
"""

from algohost.domain.ports import Clock
from algohost.market.bars import BarColumns
from algohost.market.recorded import RecordedMarket
from algohost.market.service import MarketService
from algohost.market.spec import RecordedSpec, parse
from algohost.market.synthetic import SyntheticMarket

__all__ = ["BarColumns", "MarketService", "open_market"]


def open_market(spec: str, clock: Clock, *, seed: int = 1) -> MarketService:
    """The market that ``spec`` names.

    ``seed`` counts for a synthetic market whose spec has none, and for the order books of
    both. A recording is read here, whole: not in a running event loop. Raises ``Invalid``
    with what to write instead.
    """
    wanted = parse(spec, seed=seed)
    if isinstance(wanted, RecordedSpec):
        return RecordedMarket(wanted, clock, seed=seed)
    return SyntheticMarket(clock, seed=wanted.seed)

"""Which brokers there are: entry points of the group ``algohost.brokers``.

An entry point names a ``BrokerKind``. The two that come with the host are registered the same way;
they are known even where the host runs without having been installed, from its source.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Final, Protocol, runtime_checkable

from algohost.broker.account_numbers import AccountNumbers
from algohost.broker.openalgo_opening import OPENALGO_KIND
from algohost.broker.paper_kind import PAPER_KIND
from algohost.broker.ports import Broker, OpenBroker
from algohost.broker.risk_port import NoLimits, RiskCheck
from algohost.domain.accounts import Account
from algohost.domain.errors import Invalid
from algohost.domain.ids import AccountId
from algohost.domain.orders import Book
from algohost.domain.ports import Clock, Market, OrderJournal
from algohost.domain.reach import PUBLIC_ONLY, Reach
from algohost.domain.strategies import Mode
from algohost.exchange.charges import FREE, ChargeModel
from algohost.exchange.fills import FillModel
from algohost.exchange.honest import HONEST
from algohost.exchange.hours import TradingHours

log = logging.getLogger(__name__)

GROUP: Final = "algohost.brokers"


@dataclass(frozen=True, kw_only=True)
class BrokerParts:
    """What a broker is given of the host."""

    journal: OrderJournal
    market: Market
    clock: Clock
    account_of: Callable[[AccountId], Account]
    """The account of an id. Raises ``NotFound``."""
    key_of: Callable[[AccountId], str]
    """An account's API key, opened; may read the disk. Raises ``Unavailable``, ``NotFound``."""
    reach_of: Callable[[AccountId], Reach] = lambda _account: PUBLIC_ONLY
    """Which addresses the host may connect to for an account; asked at each connection."""
    fills: FillModel = HONEST
    """How paper orders trade."""
    charges: ChargeModel = FREE
    """What paper trades cost."""
    hours: TradingHours | None = None
    """When the days of paper positions end; never, without."""
    numbers: AccountNumbers = field(default_factory=AccountNumbers)
    """The digits of each account in its order numbers."""
    refuse: Callable[[Book], None] = lambda _book: None
    """Raises ``Conflict`` where a book may place no orders now, so that its GTTs place none."""
    risk: RiskCheck = field(default_factory=NoLimits)
    """By what a broker judges orders that it places by itself, as those of triggered GTTs."""


@runtime_checkable
class BrokerKind(Protocol):
    """One sort of broker."""

    @property
    def name(self) -> str:
        """What accounts call it: ``paper``, ``openalgo``."""

    @property
    def mode(self) -> Mode:
        """``LIVE`` where its orders leave this host."""

    def opener(self, parts: BrokerParts) -> OpenBroker:
        """What opens the broker of one account; called once per server."""


_OWN: Final[Sequence[BrokerKind]] = (PAPER_KIND, OPENALGO_KIND)


def broker_kinds() -> Mapping[str, BrokerKind]:
    """Every broker by its name. One that cannot be loaded is logged and left out."""
    found: dict[str, BrokerKind] = {kind.name: kind for kind in _OWN}
    for point in entry_points(group=GROUP):
        try:
            kind = point.load()
        except Exception:
            log.exception("broker_not_loaded name=%s value=%s", point.name, point.value)
            continue
        if not isinstance(kind, BrokerKind) or kind.name != point.name:
            log.error("broker_not_usable name=%s value=%s", point.name, point.value)
            continue
        if kind.name not in found:
            found[kind.name] = kind
    return found


def opener_of_all(parts: BrokerParts, kinds: Mapping[str, BrokerKind]) -> OpenBroker:
    """What opens the broker of any account, by the broker that the account names."""
    openers = {name: kind.opener(parts) for name, kind in kinds.items()}

    async def open_broker(account_id: AccountId) -> Broker:
        name = parts.account_of(account_id).broker
        if name not in openers:
            raise Invalid(
                f"There is no broker “{name[:40]}” on this server; install its package, or remove"
                " the account.",
                code="NO_BROKER",
            )
        return await openers[name](account_id)

    return open_broker

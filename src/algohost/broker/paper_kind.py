"""The paper broker, as it is registered."""

from typing import TYPE_CHECKING, Final

from algohost.broker.accounts import PaperBrokers
from algohost.broker.ports import OpenBroker
from algohost.domain.accounts import PAPER
from algohost.domain.strategies import Mode

if TYPE_CHECKING:
    from algohost.broker.kinds import BrokerParts


class PaperKind:
    """Implements ``BrokerKind``: accounts on the paper exchange of this host."""

    name = PAPER
    mode = Mode.PAPER

    def opener(self, parts: "BrokerParts") -> OpenBroker:
        """As ``BrokerKind.opener``."""
        return PaperBrokers(
            journal=parts.journal,
            market=parts.market,
            fills=parts.fills,
            charges=parts.charges,
            hours=parts.hours,
            refuse=parts.refuse,
            numbers=parts.numbers,
            risk=parts.risk,
        ).open


PAPER_KIND: Final = PaperKind()

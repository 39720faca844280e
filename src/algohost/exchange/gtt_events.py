"""What can happen to a GTT: facts in the past tense, never changed once written."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from algohost.domain.gtt import Gtt, GttId, GttRequest


@dataclass(frozen=True, kw_only=True)
class GttPlaced:
    """Somebody placed a GTT; the number of the order that it may place is kept with it."""

    at: datetime
    gtt: Gtt


@dataclass(frozen=True, kw_only=True)
class GttModified:
    """An active GTT now waits for something else."""

    at: datetime
    gtt_id: GttId
    request: GttRequest
    """The whole request as it stands after the change."""
    last_price: Decimal


@dataclass(frozen=True, kw_only=True)
class GttTriggered:
    """The last price touched the trigger of a leg. What became of its order follows at once."""

    at: datetime
    gtt_id: GttId
    leg: int


@dataclass(frozen=True, kw_only=True)
class GttCancelled:
    """Somebody withdrew an active GTT, both legs of it."""

    at: datetime
    gtt_id: GttId
    reason: str


@dataclass(frozen=True, kw_only=True)
class GttExpired:
    """A GTT waited for as long as one may."""

    at: datetime
    gtt_id: GttId


GttEvent = GttPlaced | GttModified | GttTriggered | GttCancelled | GttExpired

"""The GTTs of an account: the fold of their events."""

from collections.abc import MutableMapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Self

from algohost.domain.errors import Conflict
from algohost.domain.gtt import Gtt, GttId, GttStatus
from algohost.domain.ids import AccountId
from algohost.exchange.gtt_events import (
    GttCancelled,
    GttEvent,
    GttExpired,
    GttModified,
    GttPlaced,
    GttTriggered,
)
from algohost.exchange.layers import Layer


class GttTable:
    """What is known of every GTT ever placed in one account."""

    def __init__(self) -> None:
        self._gtts: MutableMapping[GttId, Gtt] = {}
        self.active = 0
        """How many may still be triggered."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GttTable) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def draft(self) -> Self:
        """A table that starts as this one and can be changed without changing it."""
        draft = type(self).__new__(type(self))
        vars(draft).update(vars(self), _gtts=Layer(self._gtts))
        return draft

    def get(self, gtt_id: str) -> Gtt | None:
        """The GTT of that number."""
        return self._gtts.get(GttId(gtt_id))

    def all(self) -> Sequence[Gtt]:
        """Every one, oldest first."""
        return sorted(self._gtts.values(), key=lambda gtt: gtt.id)

    def apply(self, event: GttEvent, account_id: AccountId) -> tuple[Gtt | None, Gtt]:
        """Takes in an event; returns the GTT as it was and as it is.

        Raises ``Conflict`` for an event that cannot have happened.
        """
        if isinstance(event, GttPlaced):
            gtt = event.gtt
            is_new = gtt.id not in self._gtts and gtt.book.account_id == account_id
            if not is_new or gtt.status is not GttStatus.ACTIVE:
                raise Conflict(f"GTT {gtt.id} is there already or of another account")
            before, after = None, gtt
        else:
            before = self._active(event.gtt_id)
            after = _changed(before, event)
        self._gtts[after.id] = after
        self.active += (after.status is GttStatus.ACTIVE) - (before is not None)
        return before, after

    def _active(self, gtt_id: GttId) -> Gtt:
        gtt = self._gtts.get(gtt_id)
        if gtt is None or gtt.status is not GttStatus.ACTIVE:
            raise Conflict(f"GTT {gtt_id} is unknown or not active")
        return gtt


def _changed(gtt: Gtt, event: GttModified | GttTriggered | GttCancelled | GttExpired) -> Gtt:
    match event:
        case GttModified():
            return _modified(gtt, event)
        case GttTriggered():
            if not 0 <= event.leg < len(gtt.request.legs):
                raise Conflict(f"GTT {gtt.id} has no leg {event.leg}")
            return _ended(gtt, GttStatus.TRIGGERED, at=event.at, leg=event.leg)
        case GttCancelled():
            return _ended(gtt, GttStatus.CANCELLED, at=event.at, reason=event.reason)
        case GttExpired():
            reason = "It was not triggered in the time that a GTT may wait."
            return _ended(gtt, GttStatus.EXPIRED, at=event.at, reason=reason)


def _modified(gtt: Gtt, event: GttModified) -> Gtt:
    old, new = gtt.request, event.request
    if (old.key, old.action, old.kind) != (new.key, new.action, new.kind):
        raise Conflict(f"GTT {gtt.id} changes its instrument, side or kind")
    return replace(gtt, request=new, last_price=event.last_price, updated_at=event.at)


def _ended(
    gtt: Gtt, status: GttStatus, *, at: datetime, reason: str = "", leg: int | None = None
) -> Gtt:
    return replace(gtt, status=status, updated_at=at, reason=reason, leg=leg)

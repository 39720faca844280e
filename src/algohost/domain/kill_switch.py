"""The kill switch: no new orders and no starts, of everything, of one account or one strategy."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final


class KillScope(StrEnum):
    """What a switch covers."""

    HOST = "host"
    """Every strategy and every order of this server."""
    ACCOUNT = "account"
    STRATEGY = "strategy"


@dataclass(frozen=True, kw_only=True)
class KillTarget:
    """Which switch: its scope, and the id of the account or strategy; empty for the host."""

    scope: KillScope
    id: str = ""


WHOLE_HOST: Final = KillTarget(scope=KillScope.HOST)


@dataclass(frozen=True, kw_only=True)
class Engaged:
    """A switch that is engaged: by whom, when and why."""

    target: KillTarget
    by: str
    """The user's name."""
    at: datetime
    reason: str = ""

"""How environments are shown: of one strategy, and all that are on disk."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from algohost.domain.strategies import Gate
from algohost.host.environment_allowing import Proposed
from algohost.host.environment_folders import EnvironmentFacts
from algohost.host.requirements import Requirements
from algohost.store.environments import Allowed

BEING_MADE: Final = "ENVIRONMENT_BEING_MADE"
FAILED: Final = "ENVIRONMENT_FAILED"
NOT_ALLOWED: Final = "ENVIRONMENT_NOT_ALLOWED"
"""Codes of the gates that an environment closes."""


class State(StrEnum):
    """How the environment of a strategy stands."""

    BUILT_IN = "built_in"
    """It asks for nothing of its own."""
    NOT_MADE = "not_made"
    NOT_ALLOWED = "not_allowed"
    """Resolved, and not made before an administrator allows exactly these packages."""
    MAKING = "making"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class EnvironmentView:
    """The environment of one strategy at one moment."""

    state: State
    typed: str = ""
    """The requirements that were typed in, as they were."""
    asked: Requirements | None = None
    facts: EnvironmentFacts | None = None
    """Where it is there."""
    proposed: Proposed | None = None
    """What waits to be allowed."""
    allowed: Allowed | None = None
    """Who allowed it, where somebody had to."""
    line: str = ""
    """What uv said last, while it is being made."""
    error: str = ""
    """All that uv said, where it could not be made."""

    @property
    def gate(self) -> Gate | None:
        """What holds a start back, if anything does."""
        match self.state:
            case State.MAKING | State.NOT_MADE:
                doing = f": {self.line}" if self.line else ""
                return Gate(code=BEING_MADE, sentence=f"The environment is being made{doing}.")
            case State.NOT_ALLOWED:
                key = self.proposed.key[:12] if self.proposed is not None else "ID"
                sentence = (
                    "It waits for an administrator to allow its packages, which run with the"
                    " rights of this server: in the Environment card of its page, or with"
                    f" “algohost environments allow {key}”."
                )
                return Gate(code=NOT_ALLOWED, sentence=sentence)
            case State.FAILED:
                first = self.error.strip().splitlines()[0][:200] if self.error.strip() else ""
                sentence = f"The environment could not be made ({first.rstrip('.')}). Change the"
                return Gate(code=FAILED, sentence=f"{sentence} requirements, or make it again.")
            case _:
                return None


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One environment on disk, for the list."""

    facts: EnvironmentFacts
    used_at: datetime
    wanted_by: tuple[str, ...]
    """Names of the strategies that ask for it."""
    is_in_use: bool
    """Whether a live run was started from it."""

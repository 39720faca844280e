"""What a run finds in its environment besides what every run finds there."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from algohost.domain.ids import StrategyId
from algohost.store import variables as stored
from algohost.store.database import Database
from algohost.store.vault import Vault, VaultProblem


@dataclass(frozen=True, kw_only=True)
class LaunchValues:
    """Values by name."""

    plain: dict[str, str]
    secret: dict[str, str] = field(repr=False)


class LaunchVariables:
    """Reads what a run gets at its start."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        *,
        heard: Callable[[StrategyId, Iterable[str]], None] = lambda _id, _values: None,
    ) -> None:
        """``heard`` is told the secrets of each launch."""
        self._database = database
        self._vault = vault
        self._heard = heard

    def for_launch(self, strategy_id: StrategyId) -> LaunchValues:
        """Variables and opened secrets: all of them, or ``VaultProblem``. In any thread."""
        found = self._database.read(lambda c: stored.values_of(c, strategy_id))
        try:
            values = self._opened(strategy_id, found)
        except VaultProblem:
            again = self._database.read(lambda c: stored.values_of(c, strategy_id))
            if again.sealed == found.sealed:
                raise
            values = self._opened(strategy_id, again)  # they were sealed anew in between
        self._heard(strategy_id, values.secret.values())
        return values

    def _opened(self, strategy_id: StrategyId, found: stored.StoredValues) -> LaunchValues:
        return LaunchValues(
            plain=found.plain,
            secret={
                name: self._vault.open(strategy_id, name, token)
                for name, token in found.sealed.items()
            },
        )

"""The secrets that this server has met, by strategy, for covering them in logs.

They are in its memory and nowhere else. A value that was changed or removed stays known until
the server ends, for it may be in logs; a new server knows what is in the vault then.
"""

import logging
import threading
from collections.abc import Iterable
from typing import Final

from algohost.domain.ids import StrategyId
from algohost.host.log_cover import Cover
from algohost.runner.mask import SHORTEST_MASKABLE
from algohost.store import variables as stored
from algohost.store.database import Database
from algohost.store.vault import Vault, VaultProblem

log = logging.getLogger(__name__)

_MOST_VALUES: Final = 400
"""Of one strategy, which has at most 200 at a time; beyond it those are forgotten that were met
longest ago, so none that is in the vault."""
_NOTHING: Final = Cover()


class KnownSecrets:
    """Safe in any thread; asks database and vault when a strategy is met first."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._lock = threading.Lock()
        self._values: dict[StrategyId, dict[str, None]] = {}
        self._covers: dict[StrategyId, Cover] = {}
        self._read: set[StrategyId] = set()
        self._unopened: set[tuple[StrategyId, bytes]] = set()

    def add(self, strategy_id: StrategyId, values: Iterable[str]) -> None:
        """Knows ``values`` as the strategy's from now on."""
        with self._lock:
            known = self._values.setdefault(strategy_id, {})
            met = {value: None for value in values if len(value) >= SHORTEST_MASKABLE}
            is_fresh = not met.keys() <= known.keys()
            for value in met:
                known.pop(value, None)
            known |= met
            if not is_fresh:
                return
            for value in list(known)[: max(0, len(known) - _MOST_VALUES)]:
                del known[value]
            self._covers.pop(strategy_id, None)

    def learn(self, strategy_id: StrategyId) -> None:
        """Knows what is in the vault now; to be called before it is changed there.

        One that does not open is left out, and tried again when it is needed next.
        """
        sealed = self._database.read(lambda c: stored.values_of(c, strategy_id)).sealed
        opened = []
        for name, token in sealed.items():
            try:
                opened.append(self._vault.open(strategy_id, name, token))
            except VaultProblem as problem:
                if (strategy_id, token) not in self._unopened:  # it is tried at every look
                    self._unopened.add((strategy_id, token))
                    log.warning("secret_not_covered strategy=%s reason=%s", strategy_id, problem)
        self.add(strategy_id, opened)
        if len(opened) == len(sealed):  # else it is tried again
            with self._lock:
                self._read.add(strategy_id)

    def values(self, strategy_id: StrategyId) -> tuple[str, ...]:
        """Every value that the strategy has or had."""
        if strategy_id not in self._read:
            self.learn(strategy_id)
        with self._lock:
            return tuple(self._values.get(strategy_id, ()))

    def cover(self, strategy_id: StrategyId) -> Cover:
        """What covers them."""
        values = self.values(strategy_id)
        if not values:
            return _NOTHING
        with self._lock:
            found = self._covers.get(strategy_id)
        if found is None:
            found = Cover(values)
            with self._lock:
                if tuple(self._values[strategy_id]) == values:  # else more were met meanwhile
                    self._covers[strategy_id] = found
        return found

    def hidden(self, strategy_id: StrategyId, text: str) -> str:
        """``text`` without them: a sentence that was made of a script's own words."""
        raw = text.encode("utf-8", "backslashreplace")  # it may be no text at all
        return self.cover(strategy_id).over(raw).decode("utf-8", "replace")

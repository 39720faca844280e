"""What each strategy asks for: its files are read once for each version, and not kept."""

from typing import Final

from algohost.domain.errors import Invalid
from algohost.domain.ids import StrategyId, VersionId
from algohost.domain.strategies import Strategy
from algohost.host import requirements, source
from algohost.host.registry import Registry
from algohost.host.requirements import Requirements, Written
from algohost.store import environments as stored
from algohost.store import strategies as stored_strategies
from algohost.store.database import Database

_ROOM: Final = 64
"""Versions beyond those of the registry that are remembered before they are forgotten."""


class Asking:
    """The requirements of every strategy of a registry."""

    def __init__(self, database: Database, registry: Registry) -> None:
        self._database = database
        self._registry = registry
        self._typed = dict(database.read(stored.all_requirements))
        self._read: dict[VersionId, Written | Invalid] = {}
        self._asked: dict[
            StrategyId, tuple[tuple[VersionId, str], Requirements | Invalid | None]
        ] = {}

    def typed(self, strategy: Strategy) -> str:
        """The requirements that were typed in, as they were."""
        return self._typed.get(strategy.id, "")

    def type_in(self, strategy_id: StrategyId, text: str) -> None:
        """Notes what the database has been told."""
        self._typed[strategy_id] = text

    def of(self, strategy: Strategy) -> Requirements | None:
        """What the strategy asks for; ``None`` is the built-in environment. Raises ``Invalid``.

        The first time for a version it reads all its files: ``learn`` does that beforehand.
        """
        origin = (strategy.version_id, self.typed(strategy))
        kept = self._asked.get(strategy.id)
        if kept is None or kept[0] != origin:
            found = self._read.get(strategy.version_id) or self._look(strategy)
            kept = self._asked[strategy.id] = (origin, _asked(found, origin[1]))
        if isinstance(kept[1], Invalid):
            raise kept[1]
        return kept[1]

    def is_known_to_ask_nothing(self, strategy: Strategy) -> bool:
        """Whether ``of`` would give ``None`` without a look at the files."""
        origin = (strategy.version_id, self.typed(strategy))
        return self._asked.get(strategy.id) == (origin, None)

    def learn(self, strategy: Strategy) -> None:
        """Reads what a version asks for, unless it is known. May be called in any thread."""
        if strategy.version_id not in self._read:
            self._look(strategy)

    def learn_all(self) -> None:
        """``learn`` for every strategy."""
        for view in self._registry:
            self.learn(view.strategy)

    def forget(self, strategy_id: StrategyId) -> None:
        """The strategy was deleted."""
        self._typed.pop(strategy_id, None)
        self._asked.pop(strategy_id, None)

    def all(self) -> list[tuple[Strategy, Requirements]]:
        """Every strategy that asks for something which can be read."""
        found = []
        for view in self._registry:
            try:
                asked = self.of(view.strategy)
            except Invalid:
                continue
            if asked is not None:
                found.append((view.strategy, asked))
        return found

    def _look(self, strategy: Strategy) -> Written | Invalid:
        content = self._database.read(lambda c: stored_strategies.content(c, strategy.version_id))
        files = source.files_in(strategy.file_name, content)
        main = files[source.main_file(strategy.file_name, content)]
        found: Written | Invalid
        try:
            found = requirements.written(source.decode(main), files)
        except Invalid as error:
            found = error
        wanted = {view.strategy.version_id for view in self._registry} | {strategy.version_id}
        if len(self._read) > len(wanted) + _ROOM:
            self._read = {one: known for one, known in tuple(self._read.items()) if one in wanted}
        self._read[strategy.version_id] = found
        return found


def _asked(found: Written | Invalid, typed: str) -> Requirements | Invalid | None:
    if isinstance(found, Invalid):
        return found
    try:
        return requirements.asked(found, typed)
    except Invalid as error:
        return error

"""Environments that a test moves from state to state; nothing is made."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from algohost.domain.errors import Conflict, Forbidden, Invalid
from algohost.domain.ids import StrategyId
from algohost.domain.strategies import Strategy
from algohost.domain.users import User
from algohost.host import requirements
from algohost.host.environment_allowing import Proposed
from algohost.host.environment_folders import EnvironmentFacts
from algohost.host.environment_views import EnvironmentView, Listed, State
from algohost.store.environments import Allowed

FACTS = EnvironmentFacts(
    key="ab" * 32,
    python="3.12.1",
    packages=(("numpy", "2.4.6"), ("openalgo", "2.0.5"), ("scipy", "1.16.0")),
    size_bytes=181_000_000,
    made_at="2026-11-21T04:10:00+00:00",
)


PROPOSED = Proposed(key=FACTS.key, python=FACTS.python, packages=FACTS.packages)


class FakeEnvironments:
    """The service's face, by the real rules for requirements."""

    def __init__(self) -> None:
        self.views: dict[StrategyId, EnvironmentView] = {}
        self.listeners: list[Callable[[StrategyId], None]] = []

    def view(self, strategy: Strategy) -> EnvironmentView:
        return self.views.get(strategy.id, EnvironmentView(state=State.BUILT_IN))

    async def look(self, strategy: Strategy) -> EnvironmentView:
        return self.view(strategy)

    def listen(self, listener: Callable[[StrategyId], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    async def set_requirements(self, strategy: Strategy, text: str, *, by: User) -> EnvironmentView:
        typed = requirements.check(text)
        asked = requirements.of("", {}, typed)
        state = State.BUILT_IN if asked is None else State.MAKING
        self.put(
            strategy.id,
            EnvironmentView(state=state, typed=typed, asked=asked, line="Resolving packages"),
        )
        return self.view(strategy)

    async def make_again(self, strategy: Strategy) -> EnvironmentView:
        before = self.view(strategy)
        if before.asked is None:
            raise Invalid("It uses the built-in environment.")
        self.put(strategy.id, replace(before, state=State.MAKING, line="Waiting for its turn"))
        return self.view(strategy)

    def waiting(self) -> list[Proposed]:
        return [
            replace(view.proposed, wanted_by=("Pairs",))
            for view in self.views.values()
            if view.proposed is not None
        ]

    async def allow(self, by: User, key: str) -> None:
        if not by.is_admin:
            raise Forbidden("Only an administrator may allow packages.", code="ADMIN_ONLY")
        at = datetime(2026, 11, 21, 5, 0, tzinfo=UTC)
        allowed = Allowed(key=key, python="3.12.1", lock="", allowed_at=at, allowed_by=by.name)
        fits = [
            (strategy_id, view)
            for strategy_id, view in self.views.items()
            if view.proposed is not None and view.proposed.key == key
        ]
        if not fits:
            raise Conflict("The packages have changed since you looked.", code="PACKAGES_CHANGED")
        for strategy_id, view in fits:
            ready = replace(view, state=State.READY, proposed=None, facts=FACTS, allowed=allowed)
            self.put(strategy_id, ready)

    async def listing(self) -> list[Listed]:
        at = datetime(2026, 11, 21, 5, 0, tzinfo=UTC)
        wanted = ("Pairs",) if self.views else ()
        return [Listed(facts=FACTS, used_at=at, wanted_by=wanted, is_in_use=False)]

    async def prune(self, *, unused_days: int) -> list[str]:
        return [] if self.views or unused_days else [FACTS.key]

    def put(self, strategy_id: StrategyId, view: EnvironmentView) -> None:
        """Shows it, and tells who listens."""
        self.views[strategy_id] = view
        for listener in tuple(self.listeners):
            listener(strategy_id)

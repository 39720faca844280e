"""What must hold before a start, asked of everybody who has a say, within a bound of time.

A closed gate holds a start back and does nothing else: what runs, runs on. A source that fails
or does not answer is a gate of its own, ``GATE_TROUBLE``: that the broker session could not be
looked at does not mean that it has expired, nor that it has not.

The reconciler looks at what waits every second. A source that knows that a gate opened calls
``Gates.changed``, and what waits is looked at there and then.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final, Protocol, runtime_checkable

from algohost.domain.errors import AlgohostError
from algohost.domain.ids import StrategyId
from algohost.domain.strategies import Gate, Strategy
from algohost.host.listeners import tell

log = logging.getLogger(__name__)

GATE_TROUBLE: Final = "GATE_TROUBLE"
"""The code of the gate that stands for a source that could not be looked at."""

LOOK_SECONDS: Final = 2.0
"""How long a look may take: a user who starts or stops a strategy waits for it."""
_ABANDON_SECONDS: Final = 60.0
"""After how long a look that does not end is given up, so that another may be tried."""

GatesListener = Callable[[StrategyId | None], None]
"""Called with the strategy for which a gate may have opened; ``None`` is every one of them."""


class GateSource(Protocol):
    """One reason for which a start may have to wait."""

    async def closed(self, strategy: Strategy) -> tuple[Gate, ...]:
        """What holds a start of this strategy back now; empty where nothing does.

        It is asked often (each second for each strategy that waits) and for many strategies at
        once. It may raise: that is ``GATE_TROUBLE``, and it is asked again.
        """


@runtime_checkable
class Glancing(Protocol):
    """A source that often knows its answer by heart: a start asks twice, and waits for each."""

    def glance(self, strategy: Strategy) -> tuple[Gate, ...] | None:
        """What ``closed`` would answer now; ``None`` where it has to look for that."""


class Gates:
    """All sources as one. Itself a ``GateSource`` that never raises; on the server's loop only."""

    def __init__(
        self, sources: Mapping[str, GateSource], *, look_seconds: float = LOOK_SECONDS
    ) -> None:
        """``sources`` by what they look at, as a sentence calls it: ``the broker session``.

        Their order is that in which closed gates are shown.
        """
        self._sources = dict(sources)
        self._glancing = {n: one for n, one in sources.items() if isinstance(one, Glancing)}
        self._look_seconds = look_seconds
        self._late: dict[tuple[str, StrategyId], asyncio.Future[tuple[Gate, ...]]] = {}
        self._troubled: set[str] = set()
        self._listeners: list[GatesListener] = []
        self.failures = 0

    def listen(self, listener: GatesListener) -> Callable[[], None]:
        """Calls ``listener`` whenever a gate may have opened, until undone."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def changed(self, strategy_id: StrategyId | None = None) -> None:
        """A gate may have opened, for one strategy or for all: those that wait are looked at."""
        tell(self._listeners, strategy_id)

    async def closed(self, strategy: Strategy) -> tuple[Gate, ...]:
        """What holds a start of this strategy back now, in the order of the sources."""
        known = self._glances(strategy)
        looks = {
            name: asyncio.ensure_future(source.closed(strategy))
            for name, source in self._sources.items()
            if name not in known and (name, strategy.id) not in self._late
        }
        try:
            if looks:
                await asyncio.wait(looks.values(), timeout=self._look_seconds)
        except asyncio.CancelledError:
            for look in looks.values():
                look.cancel()
            raise
        answers = [
            known[name] if name in known else self._answer(name, strategy.id, looks.get(name))
            for name in self._sources
        ]
        return tuple(gate for gates in answers for gate in gates)

    def glance(self, strategy: Strategy) -> tuple[Gate, ...]:
        """The gates that are known to be closed without a look; none of what has to be looked for.

        It waits for nothing, so what it says holds for whatever is done at once.
        """
        return tuple(gate for gates in self._glances(strategy).values() for gate in gates)

    async def close(self) -> None:
        """Gives up what has not answered."""
        late = tuple(self._late.values())
        for look in late:
            look.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _glances(self, strategy: Strategy) -> dict[str, tuple[Gate, ...]]:
        """The answers of those that need no look, by name."""
        known = {}
        for name, source in self._glancing.items():
            try:
                found = source.glance(strategy)
            except Exception:  # noqa: BLE001, S112 - it is looked at, as any other
                continue
            if found is not None:
                known[name] = found
                self._answers_again(name)
        return known

    def _answers_again(self, name: str) -> None:
        if name in self._troubled:
            self._troubled.discard(name)
            log.info("gate_answers_again source=%r", name)

    def _answer(
        self,
        name: str,
        strategy_id: StrategyId,
        look: asyncio.Future[tuple[Gate, ...]] | None,
    ) -> tuple[Gate, ...]:
        if look is None:
            return (self._trouble(name, "it does not answer"),)
        if not look.done():
            self._keep(name, strategy_id, look)
            return (self._trouble(name, "it does not answer"),)
        if look.cancelled():
            return (self._trouble(name, "the look was given up"),)
        error = look.exception()
        if error is not None:
            return (self._trouble(name, _reason(error)),)
        self._answers_again(name)
        return look.result()

    def _keep(
        self, name: str, strategy_id: StrategyId, look: asyncio.Future[tuple[Gate, ...]]
    ) -> None:
        """Lets a late look go on: while it does, no other is begun that would hang as well.

        Its answer is of the past by then and counts for nothing; it only says that a new look
        may be taken.
        """
        if (name, strategy_id) in self._late:  # two looks at once, and both hang: one is enough
            look.cancel()
            return
        self._late[name, strategy_id] = look
        giving_up = asyncio.get_running_loop().call_later(_ABANDON_SECONDS, look.cancel)

        def ended(_: object) -> None:
            giving_up.cancel()
            del self._late[name, strategy_id]
            if not look.cancelled():
                look.exception()  # seen, so that nobody reports it as never retrieved
            self.changed(strategy_id)

        look.add_done_callback(ended)

    def _trouble(self, name: str, reason: str) -> Gate:
        self.failures += 1
        if name not in self._troubled:  # once, not each second for each strategy that waits
            self._troubled.add(name)
            log.warning("gate_not_looked_at source=%r reason=%s", name, reason[:500])
        what = f"{name[:1].upper()}{name[1:]}"
        sentence = f"{what} could not be looked at ({reason[:300]}); it is tried again."
        return Gate(code=GATE_TROUBLE, sentence=sentence)


def _reason(error: BaseException) -> str:
    said = error.message if isinstance(error, AlgohostError) else f"{type(error).__name__}: {error}"
    return said.strip().rstrip(".:")

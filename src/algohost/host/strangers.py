"""Runs that an agent knows and no live row stands for, as after a database was put back."""

import logging

from algohost.domain.ids import RunId
from algohost.host.keeper import RunKeeper
from algohost.host.registry import Registry

log = logging.getLogger(__name__)


async def end_strangers(agent: RunKeeper, registry: Registry, *, grace_seconds: float) -> None:
    """Forgets those that have ended, and ends the others. Raises ``AgentUnavailable``."""
    live = {v.latest.id for v in registry if v.latest is not None and v.latest.is_live}
    strangers = [fact for fact in agent.facts() if fact.run_id not in live]
    await agent.forget([fact.run_id for fact in strangers if fact.state == "ended"])
    for fact in strangers:
        if fact.state == "running":
            log.warning("run_without_row run=%s pid=%s", fact.run_id, fact.pid)
            await agent.stop(RunId(fact.run_id), grace_seconds=grace_seconds, by="host")

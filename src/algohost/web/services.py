"""What the pages and interfaces are given: the parts of one running server, made by bootstrap."""

from dataclasses import dataclass

from algohost.broker.gateway import Gateway
from algohost.domain.ports import Clock
from algohost.host.agent_watch import AgentWatch
from algohost.host.identity import Identity
from algohost.host.logs import Logs
from algohost.host.strategies import StrategyService
from algohost.market import MarketService
from algohost.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Host:
    """The parts of one running server."""

    clock: Clock
    settings: Settings
    identity: Identity
    strategies: StrategyService
    logs: Logs
    gateway: Gateway
    market: MarketService
    agent: AgentWatch

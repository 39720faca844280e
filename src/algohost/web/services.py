"""What the pages and interfaces are given: the parts of one running server, made by bootstrap."""

from dataclasses import dataclass

from algohost.broker.gateway import Gateway
from algohost.broker.governor import OrderGovernor
from algohost.domain.ports import Clock
from algohost.host.accounts import Accounts
from algohost.host.agent_watch import AgentWatch
from algohost.host.auditing import Audit
from algohost.host.broker_sessions import BrokerSessions
from algohost.host.calendars import CalendarService
from algohost.host.checking import Checking
from algohost.host.environments import Environments
from algohost.host.gates import Gates
from algohost.host.health import Activity
from algohost.host.identity import Identity
from algohost.host.kill_actions import KillActions
from algohost.host.kill_switch import KillSwitch
from algohost.host.live_gate import LiveGate
from algohost.host.logs import Logs
from algohost.host.master_contracts import MasterContracts
from algohost.host.modes import Modes
from algohost.host.notices import Notices
from algohost.host.risk import RiskService
from algohost.host.strategies import StrategyService
from algohost.host.timetables import Timetables
from algohost.host.usage import UsageLog
from algohost.host.variables import VariableService
from algohost.market import MarketService
from algohost.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Host:
    """The parts of one running server."""

    clock: Clock
    settings: Settings
    identity: Identity
    accounts: Accounts
    live_gate: LiveGate
    modes: Modes
    audit: Audit
    calendars: CalendarService
    master_contracts: MasterContracts
    strategies: StrategyService
    timetables: Timetables
    environments: Environments
    gates: Gates
    checking: Checking
    broker_sessions: BrokerSessions
    kill_switch: KillSwitch
    kill_actions: KillActions
    risk: RiskService
    governor: OrderGovernor
    variables: VariableService
    notices: Notices
    logs: Logs
    gateway: Gateway
    market: MarketService
    agent: AgentWatch
    usage: UsageLog
    activity: Activity

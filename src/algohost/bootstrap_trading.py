"""How the gateway meets what bounds it: accounts, kill switch, limits and the governor."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from algohost.broker.clearing import Clearing
from algohost.broker.gateway import Gateway
from algohost.broker.governor import OrderGovernor
from algohost.broker.kinds import BrokerParts, broker_kinds, opener_of_all
from algohost.broker.login import PaperLogin
from algohost.broker.openalgo_opening import look_at_server
from algohost.broker.paper_day import PaperDay
from algohost.broker.risk import RiskGuard
from algohost.broker.views import Scope
from algohost.domain.accounts import mode_of
from algohost.domain.broker_sessions import parse_logout_time
from algohost.domain.errors import AlgohostError
from algohost.domain.ids import AccountId
from algohost.domain.instruments import Exchange
from algohost.domain.orders import Book
from algohost.domain.ports import Clock
from algohost.domain.reach import networks_of
from algohost.domain.strategies import Mode, Strategy
from algohost.domain.users import paper_account_of
from algohost.exchange.charge_rates import published
from algohost.exchange.charges import FREE, ChargeModel, Plan, PublishedCharges
from algohost.exchange.hours import SQUARE_OFF, SquareOff, TradingHours
from algohost.exchange.models import FILL_MODELS
from algohost.host.accounts import Accounts
from algohost.host.broker_sessions import BrokerSessions
from algohost.host.calendars import CalendarService
from algohost.host.environments import Environments
from algohost.host.gates import Gates
from algohost.host.identity import Identity
from algohost.host.kill_actions import KillActions
from algohost.host.kill_switch import KillSwitch
from algohost.host.live_gate import LiveGate
from algohost.host.master_contracts import MasterContracts
from algohost.host.modes import Modes
from algohost.host.registry import Registry
from algohost.host.risk import RiskService
from algohost.host.strategies import StrategyService
from algohost.host.trading_day import TradingDay
from algohost.market import MarketService
from algohost.market.contracts import PaperContracts
from algohost.settings import Settings
from algohost.store.database import Database
from algohost.store.orders import StoredOrderJournal
from algohost.store.vault import Vault

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Trading:
    """Users, their accounts, and what every order passes."""

    clock: Clock
    database: Database
    registry: Registry
    market: MarketService
    identity: Identity
    user_accounts: Accounts
    live_gate: LiveGate
    kill_switch: KillSwitch
    guard: RiskGuard
    governor: OrderGovernor
    gateway: Gateway
    paper_day: PaperDay

    def accounts(self) -> Collection[AccountId]:
        """Every account that there is."""
        return self.user_accounts.ids()

    def modes(self, strategies: StrategyService) -> Modes:
        """What moves strategies between accounts."""
        return Modes(
            clock=self.clock,
            database=self.database,
            registry=self.registry,
            strategies=strategies,
            accounts=self.user_accounts,
        )

    def limits(self, strategies: StrategyService) -> RiskService:
        """The limits that the guard judges by."""
        return RiskService(
            clock=self.clock,
            database=self.database,
            registry=self.registry,
            guard=self.guard,
            accounts=self.accounts,
            halt=strategies.halt,
        )

    def contracts(
        self, settings: Settings, folder: Path, calendars: CalendarService
    ) -> MasterContracts:
        """The list of what can be traded, kept in ``folder``."""
        source = PaperContracts(
            clock=self.clock,
            market=self.market,
            calendars=calendars.all,
            folder=folder,
            about=f"{settings.market} seed={settings.market_seed}",
        )
        return MasterContracts(clock=self.clock, database=self.database, source=source)

    def gates(
        self,
        sessions: BrokerSessions,
        calendars: CalendarService,
        contracts: MasterContracts,
        environments: Environments,
    ) -> Gates:
        """What holds starts back; whatever changes there has those that wait looked at."""
        gates = Gates(
            {
                "the kill switch": self.kill_switch,
                "the broker session": sessions,
                "the account": self.live_gate,
                "the master contract": contracts,
                "the trading day": TradingDay(self.clock, calendars),
                "the environment": environments,
            }
        )
        self.kill_switch.listen(gates.changed)
        sessions.listen(lambda _account: gates.changed())
        calendars.listen(gates.changed)
        self.user_accounts.listen(lambda _account: gates.changed())
        contracts.listen(lambda report: gates.changed() if report.is_ready else None)
        return gates

    def kill_actions(self, strategies: StrategyService) -> KillActions:
        """What carries out what kill switches are asked for."""
        return KillActions(
            clock=self.clock,
            tasks=self.kill_switch.tasks,
            registry=self.registry,
            trading=Clearing(self.gateway, self.market),
            accounts=self.accounts,
            accounts_of=_accounts_of,
            halt=strategies.halt,
        )


async def open_trading(
    settings: Settings,
    *,
    clock: Clock,
    database: Database,
    registry: Registry,
    market: MarketService,
    vault: Vault,
    calendars: CalendarService,
) -> Trading:
    """Users, and their accounts, each as its journal has left it."""
    identity, kinds = Identity(database, clock), broker_kinds()
    user_accounts = Accounts(
        clock=clock,
        database=database,
        vault=vault,
        registry=registry,
        live_brokers=[name for name, kind in kinds.items() if kind.mode is Mode.LIVE],
        users=identity.users,
        networks=networks_of(settings.live_networks),
    )
    accounts = user_accounts.ids
    live_gate = LiveGate(clock=clock, accounts=user_accounts, look=look_at_server)
    user_accounts.listen(live_gate.forget)

    def rate_of(account_id: AccountId) -> int:
        is_live = mode_of(account_id) is Mode.LIVE
        return settings.live_orders_per_second if is_live else settings.paper_orders_per_second

    kill_switch = KillSwitch(clock=clock, database=database, registry=registry, accounts=accounts)
    guard = RiskGuard(market=market, monotonic=clock.monotonic, accounts=accounts)
    governor = OrderGovernor(rate_of=rate_of)
    kill_switch.listen(lambda: governor.hurry(kill_switch.refuses))
    journal = StoredOrderJournal(database)

    def refuse(book: Book) -> None:
        kill_switch.refuse_order(book)
        user_accounts.refuse_order(book)

    hours = _hours(settings, calendars)
    parts = BrokerParts(
        journal=journal,
        market=market,
        clock=clock,
        account_of=user_accounts.find,
        key_of=user_accounts.key_of,
        reach_of=user_accounts.reach_of,
        fills=FILL_MODELS[settings.paper_fills],
        charges=_charges(settings),
        hours=hours,
        refuse=refuse,
        risk=guard,
    )

    gateway = Gateway(
        journal=journal,
        market=market,
        open_broker=opener_of_all(parts, kinds),
        refuse=refuse,
        risk=guard,
        governor=governor,
    )
    guard.watch(gateway)
    user_accounts.has_open_orders = lambda account_id: _has_open_orders(gateway, account_id)
    for account_id in accounts():
        await _recovered(gateway, account_id)
    paper_day = PaperDay(market=market, gateway=gateway, hours=hours)
    await paper_day.look_if_due()  # what ended while no server ran, before anything else trades
    return Trading(
        clock=clock,
        database=database,
        registry=registry,
        market=market,
        identity=identity,
        user_accounts=user_accounts,
        live_gate=live_gate,
        kill_switch=kill_switch,
        guard=guard,
        governor=governor,
        gateway=gateway,
        paper_day=paper_day,
    )


def _charges(settings: Settings) -> ChargeModel:
    if settings.paper_charges == "none":
        return FREE
    plan = Plan(
        per_order=Decimal(str(settings.paper_brokerage)),
        percent=Decimal(str(settings.paper_brokerage_percent)),
        charges_delivery=settings.paper_brokerage_delivery,
    )
    return PublishedCharges(rates=published(), plan=plan)


def _hours(settings: Settings, calendars: CalendarService) -> TradingHours:
    before_close = {
        exchange: timedelta(minutes=minutes)
        for exchange in SQUARE_OFF.before_close
        if (minutes := _minutes(settings, exchange))
    }
    return TradingHours(calendars.of, square_off=SquareOff(before_close=before_close))


def _minutes(settings: Settings, exchange: Exchange) -> int:
    if exchange in {Exchange.MCX, Exchange.NCO}:
        return settings.square_off_minutes_commodities
    return settings.square_off_minutes


async def _recovered(gateway: Gateway, account_id: AccountId) -> None:
    """Opens an account; a live one that cannot be opened now does not keep the others shut."""
    try:
        await gateway.recover(account_id)
    except AlgohostError as error:
        if mode_of(account_id) is not Mode.LIVE:
            raise
        log.error("account_not_opened account=%s reason=%s", account_id, error)  # noqa: TRY400 - the sentence says it all


async def _has_open_orders(gateway: Gateway, account_id: AccountId) -> bool:
    """Whether an account has orders that may still trade; one that stays shut may have some."""
    try:
        await gateway.recover(account_id)
        orders = gateway.orders(Scope(account_id=account_id))
    except AlgohostError:
        return True
    return any(not order.status.is_final for order in orders)


def _accounts_of(strategy: Strategy) -> Collection[AccountId]:
    """Its account, and the first one of its owner, where it may still hold something."""
    return dict.fromkeys([strategy.account, paper_account_of(strategy.owner_id)])


def broker_sessions(settings: Settings, *, clock: Clock, database: Database) -> BrokerSessions:
    """The logins of accounts at their brokers."""
    return BrokerSessions(
        clock=clock,
        database=database,
        login=PaperLogin(until=parse_logout_time(settings.paper_login_until)),
        told_ahead=timedelta(minutes=settings.broker_warning_minutes),
    )

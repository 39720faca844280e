"""Limits at the gateway: an order is judged from memory, in microseconds.

What counts (open orders, orders of the day) is kept by listening to the orders; the first look at
an account takes it from the account as its journal has left it. An order that was admitted and is
not known yet counts while it is on its way, so that of many sent at once no more pass than the
limit has room for. The P&L of a day is looked at again after a fill, and four times a second.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Final, Protocol

from algohost.broker.views import DayPnl, Scope
from algohost.domain.accounts import mode_of
from algohost.domain.errors import Conflict, NotFound, Unavailable
from algohost.domain.ids import AccountId, OrderId, StrategyId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.kill_switch import WHOLE_HOST, KillScope
from algohost.domain.money import ZERO
from algohost.domain.orders import Book, Order, OrderRequest, Product
from algohost.domain.ports import Market
from algohost.domain.risk import (
    Asked,
    Breach,
    Facts,
    LimitsOf,
    LimitTarget,
    LossReached,
    breach,
    has_lost_too_much,
    is_exit,
)
from algohost.domain.strategies import Mode
from algohost.exchange.day import day_of

PNL_SECONDS: Final = 0.25
"""How old a P&L may be that a loss is judged by, where nothing traded since."""
FILLED_SECONDS: Final = 0.05
"""The same, where something has."""

BreachListener = Callable[[Book, OrderRequest, Breach], None]
LossListener = Callable[[LossReached], None]


class Orders(Protocol):
    """What the guard reads of the gateway."""

    def orders(self, scope: Scope) -> Sequence[Order]:
        """Today's orders and those that are still open."""

    def held(self, book: Book, key: InstrumentKey, product: Product) -> int:
        """Units that a book holds."""

    def day_pnls(self, scope: Scope) -> Mapping[StrategyId | None, DayPnl]:
        """What each book gained today."""

    def last(self, account_id: AccountId, key: InstrumentKey) -> Decimal | None:
        """The last price by which an account is judged."""

    def listen(self, listener: Callable[[Order], None]) -> Callable[[], None]:
        """Tells of every order that changed."""


@dataclass(kw_only=True)
class _Tally:
    """What one account has done on one day."""

    day: date
    working: dict[StrategyId | None, dict[OrderId, Order]] = field(default_factory=dict)
    seen: set[OrderId] = field(default_factory=set)
    placed: Counter[StrategyId | None] = field(default_factory=Counter)
    on_the_way: list[tuple[Book, OrderRequest]] = field(default_factory=list)
    """Admitted and not told of yet."""
    arrived: list[tuple[Book, OrderRequest]] = field(default_factory=list)
    """Told of, before the one who placed it has the answer."""

    def leave(self, mine: tuple[Book, OrderRequest]) -> None:
        """The way of an order has ended; of equal ones, one is as good as another."""
        (self.arrived if mine in self.arrived else self.on_the_way).remove(mine)

    def take(self, order: Order) -> None:
        mine = (order.book, order.request)
        working = self.working.get(order.book.strategy_id, {})
        is_known = order.id in self.seen or order.id in working
        if not is_known and mine in self.on_the_way:
            self.on_the_way.remove(mine)
            self.arrived.append(mine)
        self.count(order)

    def count(self, order: Order) -> None:
        mine = self.working.setdefault(order.book.strategy_id, {})
        if order.status.is_final:
            mine.pop(order.id, None)
        else:
            mine[order.id] = order
        if order.id not in self.seen and day_of(order.placed_at) == self.day:
            self.seen.add(order.id)
            self.placed[order.book.strategy_id] += 1

    def roll(self, day: date, orders: Iterable[Order]) -> None:
        """Begins a day with what it has already: a clock that was put back returns to one."""
        self.day = day
        self.seen.clear()
        self.placed.clear()
        for order in orders:
            self.count(order)

    def open_orders(self, strategy_id: StrategyId | None, *, whole: bool) -> int:
        if whole:
            return sum(len(mine) for mine in self.working.values()) + len(self.on_the_way)
        return len(self.working.get(strategy_id, ())) + self._coming(strategy_id)

    def orders_today(self, strategy_id: StrategyId | None, *, whole: bool) -> int:
        if whole:
            return self.placed.total() + len(self.on_the_way)
        return self.placed[strategy_id] + self._coming(strategy_id)

    def _coming(self, strategy_id: StrategyId | None) -> int:
        return sum(1 for book, _ in self.on_the_way if book.strategy_id == strategy_id)


class _Admitted(AbstractContextManager[None]):
    """An order on its way. It counts from the moment of its admission, before it is entered."""

    def __init__(self, tally: _Tally, book: Book, request: OrderRequest) -> None:
        self._tally = tally
        self._mine = (book, request)
        tally.on_the_way.append(self._mine)

    def __exit__(self, *_: object) -> None:
        self._tally.leave(self._mine)


@dataclass(kw_only=True)
class _Gained:
    """The day's P&L of an account's books at one moment."""

    at: float
    of: Mapping[StrategyId | None, Decimal]


class RiskGuard:
    """Implements ``RiskCheck``. Used on the server's loop only.

    ``watch`` gives it the gateway; before, and without limits, everything passes.
    """

    def __init__(
        self,
        *,
        market: Market,
        monotonic: Callable[[], float],
        accounts: Callable[[], Collection[AccountId]],
    ) -> None:
        """``accounts`` says which there are: the host's facts are those of all together."""
        self._market = market
        self._monotonic = monotonic
        self._accounts = accounts
        self._limits: dict[LimitTarget, LimitsOf] = {}
        self._losses: dict[LimitTarget, LossReached] = {}
        self._tallies: dict[AccountId, _Tally] = {}
        self._gained: dict[AccountId, _Gained] = {}
        self._traded: set[AccountId] = set()
        self._orders: Orders | None = None
        self._on_breach: BreachListener = lambda _book, _request, _breach: None
        self._on_loss: LossListener = lambda _loss: None

    def watch(self, orders: Orders) -> Callable[[], None]:
        """Judges by the orders of that gateway, until the returned function is called."""
        self._orders = orders
        return orders.listen(self._heard)

    def tell(self, *, on_breach: BreachListener, on_loss: LossListener) -> None:
        """Whom to tell of a refusal, and when a daily loss is reached. They may not wait."""
        self._on_breach, self._on_loss = on_breach, on_loss

    # -- what is set

    def put(self, limits: LimitsOf) -> None:
        """Has limits hold from now on, instead of the target's former ones."""
        self._limits[limits.target] = limits

    def drop(self, target: LimitTarget) -> None:
        """Bounds a target no more."""
        self._limits.pop(target, None)

    def put_loss(self, loss: LossReached) -> None:
        """Remembers that a daily loss was reached."""
        self._losses[loss.target] = loss

    def drop_loss(self, target: LimitTarget) -> None:
        """Forgets it, so that entries are taken again."""
        self._losses.pop(target, None)

    def loss(self, target: LimitTarget) -> LossReached | None:
        """The loss that was reached today."""
        found = self._losses.get(target)
        return found if found is not None and found.day == self._today() else None

    # -- judging

    def admit(self, book: Book, request: OrderRequest) -> AbstractContextManager[None]:
        """As ``RiskCheck.admit``."""
        applying = self._applying(book)
        if not applying:
            return nullcontext()
        self._judge(book, request, applying)
        return _Admitted(self._tally(book.account_id), book, request)

    def admit_change(self, order: Order, changed: OrderRequest) -> None:
        """As ``RiskCheck.admit_change``. A filled part of the order is part of the change."""
        applying = self._applying(order.book)
        if applying:
            self._judge(order.book, changed, applying, changing=order)

    def admit_waiting(self, book: Book, request: OrderRequest) -> None:
        """As ``RiskCheck.admit_waiting``. No band: its price is far from the last one by design."""
        applying = self._applying(book)
        unbanded = [
            replace(one, limits=replace(one.limits, price_band_percent=None)) for one in applying
        ]
        if unbanded:
            self._judge(book, request, unbanded, is_change=True)

    def facts(self, target: LimitTarget, account_id: AccountId | None = None) -> Facts:
        """What a target has done today; ``account_id`` is that of a strategy."""
        strategy_id = StrategyId(target.id) if target.scope is KillScope.STRATEGY else None
        whole = target.scope is not KillScope.STRATEGY
        open_orders = orders_today = 0
        for account in self._accounts_of(target, account_id):
            with suppress(Unavailable):  # an account that is shut trades nothing
                tally = self._tally(account)
                open_orders += tally.open_orders(strategy_id, whole=whole)
                orders_today += tally.orders_today(strategy_id, whole=whole)
        return Facts(open_orders=open_orders, orders_today=orders_today, loss=self.loss(target))

    def pnl(self, target: LimitTarget, account_id: AccountId | None = None) -> Decimal:
        """The target's P&L of today in rupees, before charges."""
        total = ZERO
        for account in self._accounts_of(target, account_id):
            try:
                gained = self._day_pnls(account)
            except Unavailable:
                continue  # shut: it is looked at when it opens
            if target.scope is KillScope.STRATEGY:
                total += gained.get(StrategyId(target.id), ZERO)
            else:
                total += sum(gained.values(), ZERO)
        return total

    def look(self, account_of: Callable[[StrategyId], AccountId | None]) -> None:
        """Sees whether a daily loss is reached, where nothing is ordered too."""
        for one in list(self._limits.values()):
            account = None
            if one.target.scope is KillScope.STRATEGY:
                account = account_of(StrategyId(one.target.id))
                if account is None:
                    continue
            self._note_loss(one, account)

    # -- inside

    def _judge(
        self,
        book: Book,
        request: OrderRequest,
        applying: Iterable[LimitsOf],
        *,
        changing: Order | None = None,
        is_change: bool = False,
    ) -> None:
        asked = Asked(
            request=request,
            last=self._last(book.account_id, request.key),
            is_exit=self._is_exit(book, request, changing),
            is_change=is_change or changing is not None,
        )
        for one in applying:
            self._note_loss(one, book.account_id)
            facts = self.facts(one.target, book.account_id)
            found = breach(one.target, one.limits, asked, facts)
            if found is not None:
                self._on_breach(book, request, found)
                raise Conflict(
                    found.sentence, code=found.code.value, details={"scope": one.target.scope.value}
                )

    def _applying(self, book: Book) -> list[LimitsOf]:
        if not self._limits or self._orders is None:
            return []
        targets = [WHOLE_HOST, LimitTarget(scope=KillScope.ACCOUNT, id=book.account_id)]
        if book.strategy_id is not None:
            targets.append(LimitTarget(scope=KillScope.STRATEGY, id=book.strategy_id))
        return [self._limits[one] for one in targets if one in self._limits]

    def _is_exit(self, book: Book, request: OrderRequest, changing: Order | None) -> bool:
        assert self._orders is not None, "nothing is judged before there is a gateway"
        tally = self._tally(book.account_id)
        known = tally.working.get(book.strategy_id, {}).values()
        itself = None if changing is None else changing.id
        others = [(one.request, one.open_quantity) for one in known if one.id != itself]
        others += [(one, one.quantity) for whose, one in tally.on_the_way if whose == book]
        there = [
            (one, units)
            for one, units in others
            if one.key == request.key and one.product is request.product
        ]
        held = self._orders.held(book, request.key, request.product)
        return is_exit(request, held, there)

    def _note_loss(self, one: LimitsOf, account_id: AccountId | None) -> None:
        target = one.target
        if one.limits.most_daily_loss is None or self.loss(target) is not None:
            return
        pnl = self.pnl(target, account_id)
        if has_lost_too_much(one.limits, pnl):
            now = self._market.now()
            reached = LossReached(target=target, day=day_of(now), at=now, lost=-pnl)
            self._losses[target] = reached
            self._on_loss(reached)

    def _accounts_of(
        self, target: LimitTarget, account_id: AccountId | None
    ) -> Collection[AccountId]:
        match target.scope:
            case KillScope.HOST:
                return self._accounts()
            case KillScope.ACCOUNT:
                return [AccountId(target.id)]
            case KillScope.STRATEGY:
                return [] if account_id is None else [account_id]

    def _tally(self, account_id: AccountId) -> _Tally:
        today = self._today()
        tally = self._tallies.get(account_id)
        if tally is None or tally.day != today:
            assert self._orders is not None, "nothing is counted before there is a gateway"
            known = self._orders.orders(Scope(account_id=account_id))
            tally = tally or _Tally(day=today)
            tally.roll(today, known)
            self._tallies[account_id] = tally
        return tally

    def _day_pnls(self, account_id: AccountId) -> Mapping[StrategyId | None, Decimal]:
        assert self._orders is not None, "nothing is valued before there is a gateway"
        now, known = self._monotonic(), self._gained.get(account_id)
        most = FILLED_SECONDS if account_id in self._traded else PNL_SECONDS
        if known is None or now - known.at >= most:
            gained = self._orders.day_pnls(Scope(account_id=account_id))
            known = _Gained(at=now, of={book: one.total for book, one in gained.items()})
            self._gained[account_id] = known
            self._traded.discard(account_id)
        return known.of

    def _heard(self, order: Order) -> None:
        account_id = order.book.account_id
        tally = self._tallies.get(account_id)
        if tally is not None:
            tally.take(order)  # of another day, all are counted anew when one is asked for
        if order.filled_quantity:
            self._traded.add(account_id)

    def _last(self, account_id: AccountId, key: InstrumentKey) -> Decimal | None:
        if mode_of(account_id) is Mode.LIVE:  # this host's market knows nothing of its prices
            return None if self._orders is None else self._orders.last(account_id, key)
        try:
            return self._market.quote(key).last
        except NotFound:
            return None

    def _today(self) -> date:
        return day_of(self._market.now())

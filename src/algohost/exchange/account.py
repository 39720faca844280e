"""One paper account: the fold of its events.

``AccountState.apply`` is the only function that changes one. It believes what is written, and
refuses what cannot have happened (a fill of an order that is final, a number used twice) with
``Conflict``: a journal like that is damaged, and guessing would be worse than stopping.

An order moves along these arrows only::

    intended ──▶ trigger pending ──▶ open ──▶ complete
        │               │  ▲ modified │
        ├──▶ rejected   │  └──────────┤
        └──▶ open       └──▶ cancelled ◀┘
"""

from collections.abc import Iterator, MutableMapping
from datetime import date, datetime
from decimal import Decimal

from algohost.domain.errors import Conflict
from algohost.domain.ids import AccountId, OrderId
from algohost.domain.instruments import InstrumentKey
from algohost.domain.money import ZERO
from algohost.domain.orders import Action, Book, Order, OrderStatus, Position, Trade
from algohost.domain.values import changed
from algohost.exchange import events as ev
from algohost.exchange.account_reads import (
    Marks,
    Net,
    day_in_india,
    position_key,
)
from algohost.exchange.arrows import ARROWS
from algohost.exchange.charges import FREE, Bill, ChargeModel, billed
from algohost.exchange.drafts import Drafts, Story, Took
from algohost.exchange.groups import Group, PositionKey
from algohost.exchange.gtt_events import GttEvent, GttPlaced
from algohost.exchange.gtt_table import GttTable
from algohost.exchange.margins import FLAT_MARGIN, Exposure, MarginModel, Resting, hold_for
from algohost.exchange.numbers import serial_of
from algohost.exchange.performance import Performance
from algohost.exchange.wakes import Wake, Wakes

__all__ = ["ARROWS", "AccountState", "Group", "Marks", "PositionKey", "fold", "position_key"]


class AccountState(Drafts):
    """The truth about one account after the events applied so far.

    Readers get immutable values. ``draft`` gives a state to try events on, at a cost that does
    not grow with the account.
    """

    def __init__(
        self,
        account_id: AccountId,
        *,
        margin: MarginModel = FLAT_MARGIN,
        charges: ChargeModel = FREE,
    ) -> None:
        self.account_id = account_id
        self.account_number = 0
        self.events = 0
        """How many events were applied: the number of the newest journal record."""
        self.deposits = ZERO
        self.realised = ZERO
        """Realised P&L of all books since the account was opened or reset."""
        self.charges = ZERO
        """Rupees of brokerage, taxes and fees since then, which ``realised`` is without."""
        self.hold = ZERO
        """Rupees held for positions and open orders."""
        self.last_order_serial = 0
        self.last_trade_serial = 0
        self._margin = margin
        self._charging = charges
        self._orders: MutableMapping[OrderId, Order] = {}
        self._groups: MutableMapping[PositionKey, Group] = {}
        self._resting: MutableMapping[InstrumentKey, MutableMapping[OrderId, Resting]] = {}
        self._net: MutableMapping[InstrumentKey, Net] = {}
        self._order_days: dict[date, dict[Book, list[OrderId]]] = {}
        self._trade_days: dict[date, list[Trade]] = {}
        self._places: dict[Book, dict[PositionKey, None]] = {}
        self._performances: dict[Book, Performance] = {}
        self._bills: MutableMapping[OrderId, Bill] = {}
        self._debited: MutableMapping[InstrumentKey, date] = {}
        self._gtts = GttTable()
        self._wakes: Wakes | None = Wakes()
        """Of a draft there are none."""
        self._story: Story | None = None
        """Of a draft alone."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccountState) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    # -- reading

    @property
    def gtts(self) -> GttTable:
        """Every GTT; to be read only."""
        return self._gtts

    def wake_of(self, key: InstrumentKey) -> Wake | None:
        """Which prices of an instrument concern an order or a GTT."""
        return None if self._wakes is None else self._wakes.of(key)

    def waits_in(self, key: InstrumentKey) -> bool:
        """Whether a quote of an instrument can concern anything."""
        wake = self.wake_of(key)
        return wake is not None and not wake.is_empty

    def watched(self) -> Iterator[InstrumentKey]:
        """The instruments in which an order or a GTT waits, or units are open."""
        yield from self._wakes.waiting() if self._wakes is not None else ()
        yield from (key for key, net in self._net.items() if net.quantity)

    # -- changing

    def apply(self, event: ev.Event) -> None:
        """Takes in the next event. Raises ``Conflict`` for one that cannot have happened."""
        if (self.events == 0) is not isinstance(event, ev.AccountOpened):
            raise _damaged(
                self,
                f"{type(event).__name__} is out of place: an account is opened "
                "once, by its first entry",
            )
        match event:
            case ev.AccountOpened():
                self._open(event)
            case ev.CashSet():
                self.deposits = event.cash - self.realised + self.charges
            case ev.AccountReset():
                self._reset(event)
            case ev.Settled():
                self._settle(event)
            case ev.Accepted():
                self._admit(event.order, statuses=frozenset(ARROWS))
                self._keep(event.order, reserve=event.reserve)
            case ev.Rejected():
                self._admit(event.order, statuses=frozenset({OrderStatus.REJECTED}))
            case ev.Triggered():
                self._trigger(event)
            case ev.Filled():
                self._fill(event)
            case ev.Modified():
                self._modify(event)
            case ev.Cancelled():
                item = self._item(event.order_id)
                order = self._moved(
                    item.order, OrderStatus.CANCELLED, at=event.at, reason=event.reason
                )
                self._keep(order, reserve=item.reserve)
            case _:
                self._keep_gtt(event)
        self.events += 1
        if self._story is not None:
            self._story.happened.append(event)
            order_id = ev.order_id_of(event)
            if order_id is not None:
                self._story.orders.append(self._orders[order_id])

    def _open(self, event: ev.AccountOpened) -> None:
        if event.account_id != self.account_id:
            raise _damaged(self, f"it opens the account {event.account_id}")
        self.account_number = event.account_number
        self.deposits = event.cash

    def _admit(self, order: Order, *, statuses: frozenset[OrderStatus]) -> None:
        serial = serial_of(order.id)
        if order.status not in statuses or order.filled_quantity:
            raise _damaged(self, f"order {order.id} begins as {order.status}")
        if order.id in self._orders or order.book.account_id != self.account_id:
            raise _damaged(self, f"order {order.id} is there already or of another account")
        self._orders[order.id] = order
        day = self._order_days.setdefault(day_in_india(order.placed_at), {})
        day.setdefault(order.book, []).append(order.id)
        self.last_order_serial = max(self.last_order_serial, serial)

    def _item(self, order_id: OrderId) -> Resting:
        order = self._orders.get(order_id)
        item = self._resting.get(order.request.key, {}).get(order_id) if order else None
        if item is None:
            raise _damaged(self, f"order {order_id} is unknown or final")
        return item

    def _trigger(self, event: ev.Triggered) -> None:
        item = self._item(event.order_id)
        if item.order.status is not OrderStatus.TRIGGER_PENDING:
            raise _damaged(self, f"order {event.order_id} waits for no trigger")
        self._keep(self._moved(item.order, OrderStatus.OPEN, at=event.at), reserve=item.reserve)

    def _moved(self, order: Order, status: OrderStatus, *, at: datetime, reason: str = "") -> Order:
        if status not in ARROWS.get(order.status, frozenset()):
            raise _damaged(self, f"order {order.id} cannot go from {order.status} to {status}")
        return changed(order, status=status, updated_at=at, reason=reason)

    def _modify(self, event: ev.Modified) -> None:
        order = self._moved(self._item(event.order_id).order, event.status, at=event.at)
        same = (event.request.key, event.request.action, event.request.product)
        if same != (order.request.key, order.request.action, order.request.product):
            raise _damaged(self, f"order {order.id} changes its instrument, side or product")
        if event.request.quantity <= order.filled_quantity:
            raise _damaged(self, f"order {order.id} asks for less than has traded")
        self._keep(changed(order, request=event.request), reserve=event.reserve)

    def _fill(self, event: ev.Filled) -> None:
        item = self._item(event.order_id)
        order, serial = item.order, serial_of(event.trade_id)
        can_fill = order.status is OrderStatus.OPEN and 0 < event.quantity <= order.open_quantity
        if not can_fill or serial <= self.last_trade_serial:
            raise _damaged(self, f"order {order.id} cannot fill {event.quantity} more units")
        filled = order.filled_quantity + event.quantity
        is_whole = filled == order.request.quantity
        paid = order.average_price * order.filled_quantity + event.price * event.quantity
        moved = self._moved(
            order, OrderStatus.COMPLETE if is_whole else OrderStatus.OPEN, at=event.at
        )
        average = paid / filled if order.filled_quantity else event.price
        if not is_whole:
            turnover = event.quantity * event.price
            self._bills[order.id] = billed(
                self._bills.get(order.id), turnover=turnover, charges=event.charges, at=event.at
            )
        self.last_trade_serial = serial
        self._trade_days.setdefault(day_in_india(event.at), []).append(ev.trade_of(order, event))
        if event.charges.dp:
            self._debited[order.request.key] = day_in_india(event.at)
        self._book(
            position_key(order),
            action=order.request.action,
            quantity=event.quantity,
            fill=event,
        )
        self._keep(
            changed(moved, filled_quantity=filled, average_price=average), reserve=item.reserve
        )

    def _book(
        self, place: PositionKey, *, action: Action, quantity: int, fill: ev.Filled | ev.Settled
    ) -> None:
        """Takes a fill into the position, the account's sums and the net of the instrument."""
        group, charges = self.group(place), fill.charges.total
        traded = group.traded(
            action=action, quantity=quantity, price=fill.price, charges=charges, at=fill.at
        )
        before, after = group.position, traded.position
        net, cost = self._net.get(place.key, Net()), after.open_value - before.open_value
        units, value = self._paid(after, minus=before)
        self.realised += after.realised - before.realised
        self.charges += charges
        self._net[place.key] = Net(
            quantity=net.quantity + action.sign * quantity,
            open_value=net.open_value + cost,
            paid_quantity=net.paid_quantity + units,
            paid_value=net.paid_value + value,
        )
        self._groups[place] = traded
        self._perform(Took(before, after, charges, fill.at))

    def _paid(self, after: Position, *, minus: Position) -> tuple[int, Decimal]:
        """How many more units are held, and what they cost, where that is paid in full."""
        one = Exposure(after.key, after.product, Action.BUY, 1, Decimal(1))
        if self._margin.required(one) < 1:
            return 0, ZERO
        held, was = (p if p.quantity > 0 else None for p in (after, minus))
        units = (held.quantity if held else 0) - (was.quantity if was else 0)
        return units, (held.open_value if held else ZERO) - (was.open_value if was else ZERO)

    def _settle(self, event: ev.Settled) -> None:
        place = PositionKey(event.book, event.key, event.product)
        group = self.group(place)
        held = group.position.quantity
        if not held or group.buys.units or group.sells.units:
            raise _damaged(self, f"{event.key} expires with nothing held, or with orders open")
        action = Action.SELL if held > 0 else Action.BUY
        self._book(place, action=action, quantity=abs(held), fill=event)
        self.hold -= group.hold
        self._groups[place] = changed(self._groups[place], hold=ZERO)

    def _reset(self, event: ev.AccountReset) -> None:
        if self.open_orders():
            raise _damaged(self, "it is reset with orders open")
        if self._gtts.active:
            raise _damaged(self, "it is reset with GTTs active")
        self.deposits, self.realised, self.charges, self.hold = event.cash, ZERO, ZERO, ZERO
        self._groups, self._net, self._resting, self._places = {}, {}, {}, {}
        self._bills, self._debited, self._performances = {}, {}, {}

    def _keep_gtt(self, event: GttEvent) -> None:
        try:
            before, after = self._gtts.apply(event, self.account_id)
        except Conflict as error:
            raise _damaged(self, error.message) from error
        if isinstance(event, GttPlaced):
            self.last_order_serial = max(self.last_order_serial, serial_of(after.order_id))
        if self._wakes is not None:
            self._wakes.keep_gtt(before, after)

    def _keep(self, order: Order, *, reserve: Decimal) -> None:
        """Stores an order, and its group with what is now held for it."""
        self._orders[order.id] = order
        place, item = position_key(order), Resting(order=order, reserve=reserve)
        group, resting = self.group(place), self._resting_to_change(place.key)
        is_final, is_buy = order.status.is_final, order.request.action is Action.BUY
        before = resting.pop(order.id, None) if is_final else resting.get(order.id)
        side = group.buys if is_buy else group.sells
        if before is not None:
            side = side.plus(before, sign=-1)
        if not is_final:
            resting[order.id] = item
            side = side.plus(item, sign=1)
        buys, sells = (side, group.sells) if is_buy else (group.buys, side)
        if self._wakes is not None:
            self._wakes.keep_order(None if before is None else before.order, order)
        hold = hold_for(self._margin, group.position, buys=buys, sells=sells)
        self.hold += hold - group.hold
        self._groups[place] = changed(group, buys=buys, sells=sells, hold=hold)
        self._places.setdefault(place.book, {})[place] = None


def fold(state: AccountState, event: ev.Event) -> AccountState:
    """``state`` after ``event``; the state itself is changed and returned, for ``reduce``."""
    state.apply(event)
    return state


def _damaged(state: AccountState, what: str) -> Conflict:
    return Conflict(
        f"Entry {state.events + 1} in the journal of account {state.account_id} cannot have "
        f"happened: {what}. Restore the journal from a backup.",
        code="JOURNAL_DAMAGED",
    )

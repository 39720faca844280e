"""What each topic of the live socket sends: a snapshot first, then what changed.

A topic is a coroutine that sends until it is cancelled. It waits for its socket before it looks
again, so that whoever reads slowly gets fewer and later messages, each of them true.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, cast

from algohost.broker.gateway import PositionView, Scope
from algohost.domain.errors import Unavailable
from algohost.domain.ids import RunId, StrategyId
from algohost.domain.orders import Order, Trade
from algohost.domain.runs import Run
from algohost.domain.users import User
from algohost.host.logs import LogChunk
from algohost.web import shown
from algohost.web.live_hub import LiveHub, Row, Watcher

Send = Callable[[Mapping[str, Any]], Awaitable[None]]

PAUSE_SECONDS: Final = 0.25
"""Between two messages of a topic: at most four a second."""
_LOG_PAUSE_SECONDS: Final = 0.1
_LOG_TAIL_BYTES: Final = 524_288
_LOG_LAG_BYTES: Final = 1_048_576
"""A reader further behind than this is given the tail anew instead of all that it missed."""


async def strategies(hub: LiveHub, user: User, send: Send) -> None:
    """``{rows, counts, pnl}``, then ``{changes, removed, counts, pnl}``.

    A change is a row's id with the fields that are new; a new strategy comes as a whole row.
    """
    service = hub.host.strategies
    known: dict[str, Row] = {}
    with hub.watching(lambda i: i in known or service.owns(user, i)) as watcher:
        known = {row["id"]: row for row in hub.rows(service.list(user))}
        await send({"rows": list(reversed(known.values())), **_totals(known.values())})
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            await watcher.wait()
            wanted = watcher.take()
            there = {v.strategy.id: v for v in service.list(user) if v.strategy.id in wanted}
            removed = [i for i in wanted - there.keys() if known.pop(i, None) is not None]
            changes = []
            for new in hub.rows(list(there.values())):
                difference = _difference(known.get(new["id"]), new)
                known[new["id"]] = new
                if difference:
                    changes.append({"id": new["id"], **difference})
            if changes or removed:
                totals = _totals(known.values())
                await send({"changes": changes, "removed": removed, **totals})


async def runs(hub: LiveHub, user: User, strategy_id: StrategyId, send: Send) -> None:
    """``{reset, runs}`` with the newest fifty, then ``{runs}`` with the one that changed."""
    service = hub.host.strategies
    with hub.watching(lambda i: i == strategy_id) as watcher:
        known = await asyncio.to_thread(service.runs, user, strategy_id)
        await send({"reset": True, "runs": [shown.run_row(run) for run in known]})
        last = known[0] if known else None
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            latest = service.get(user, strategy_id).latest
            if latest is not None and latest != last:
                last = latest
                await send({"runs": [shown.run_row(latest)]})
            await watcher.wait()
            watcher.take()


async def orders(hub: LiveHub, user: User, strategy_id: StrategyId, send: Send) -> None:
    """``{reset, orders, trades, positions}``, then ``{orders?, trades?, positions?}``.

    Changed orders and new trades; positions as a whole, whenever one of them or a price moved.
    """
    account_id = hub.host.strategies.get(user, strategy_id).strategy.account
    scope = Scope(account_id=account_id, strategy_id=strategy_id)
    gateway = hub.host.gateway
    await _opened(hub, scope)
    with hub.watching(lambda i: i == strategy_id) as watcher:
        sent = {order.id: order for order in gateway.orders(scope)}
        trades = {trade.id: trade for trade in gateway.trades(scope)}
        positions = [_position(view) for view in gateway.positions(scope)]
        first = {"orders": map(_order, sent.values()), "trades": map(_trade, trades.values())}
        await send({"reset": True, "positions": positions} | {k: [*v] for k, v in first.items()})
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            await watcher.wait(at_most_seconds=1.0)
            hub.host.strategies.get(user, strategy_id)  # NotFound ends the topic
            watcher.take()
            message: dict[str, Any] = {}
            changed = [o for o in gateway.orders(scope) if sent.get(o.id) != o]
            fresh = [t for t in gateway.trades(scope) if t.id not in trades]
            now = [_position(view) for view in gateway.positions(scope)]
            if changed:
                sent.update((order.id, order) for order in changed)
                message["orders"] = [_order(order) for order in changed]
            if fresh:
                trades.update((trade.id, trade) for trade in fresh)
                message["trades"] = [_trade(trade) for trade in fresh]
            if now != positions:
                positions = message["positions"] = now
            if message:
                await send(message)


async def log(hub: LiveHub, user: User, strategy_id: StrategyId, send: Send) -> None:
    """``{reset, run_id, lines, from, truncated}`` of the newest run, then ``{lines}``.

    A new run begins with a new reset.
    """
    service = hub.host.strategies
    with hub.watching(lambda i: i == strategy_id) as watcher:
        shown_run: RunId | None = None
        while True:
            latest = service.get(user, strategy_id).latest
            if latest is None or not latest.log_name:
                if shown_run is None:
                    await send({"reset": True, "run_id": None, "lines": [], "from": 0})
            elif latest.id != shown_run:
                shown_run = latest.id
                while not await _log_of_run(hub, user, latest, send):
                    pass
            await _change(watcher)


async def _change(watcher: Watcher) -> None:
    await watcher.wait()
    watcher.take()


async def _log_of_run(hub: LiveHub, user: User, run: Run, send: Send) -> bool:
    """Sends the tail and follows to the end; false where the reader fell too far behind."""
    service, logs = hub.host.strategies, hub.host.logs
    path = logs.path(run)
    tail = await asyncio.to_thread(logs.tail, run, max_bytes=_LOG_TAIL_BYTES)
    await send(
        {
            "reset": True,
            "run_id": run.id,
            "lines": tail.lines,
            "from": tail.start,
            "truncated": tail.truncated,
        }
    )

    def still_live(run_id: RunId) -> bool:
        latest = service.get(user, run.strategy_id).latest  # NotFound ends the topic
        return latest is not None and latest.id == run_id and latest.is_live

    following = cast("AsyncGenerator[LogChunk]", logs.follow(run, tail.end, still_live))
    async with contextlib.aclosing(following) as chunks:
        async for chunk in chunks:
            await send({"lines": chunk.lines})
            if _size(path) - chunk.end > _LOG_LAG_BYTES:
                return False
            await asyncio.sleep(_LOG_PAUSE_SECONDS)
    return True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


async def _opened(hub: LiveHub, scope: Scope) -> None:
    """Opens an account that nobody has used yet; reads refuse it until then."""
    try:
        hub.host.gateway.orders(scope)
    except Unavailable:
        await hub.host.gateway.recover(scope.account_id)


def _totals(rows: Iterable[Row]) -> dict[str, Any]:
    known = list(rows)
    return {
        "counts": dict(Counter(shown.badge(one) for one in known)),
        "pnl": shown.total_pnl(known),
    }


def _difference(old: Row | None, new: Row) -> dict[str, Any]:
    if old is None:
        return dict(new)
    return {name: value for name, value in new.items() if old.get(name) != value}


def _order(order: Order) -> dict[str, Any]:
    request = order.request
    return {
        "id": order.id,
        "at": shown.iso(order.placed_at),
        "symbol": request.key.symbol,
        "exchange": request.key.exchange.value,
        "side": request.action.value,
        "product": request.product.value,
        "price_type": request.price_type.value,
        "quantity": request.quantity,
        "filled": order.filled_quantity,
        "price": str(request.price) if request.price_type.needs_price else None,
        "trigger_price": str(request.trigger_price) if request.price_type.needs_trigger else None,
        "average_price": str(order.average_price) if order.filled_quantity else None,
        "status": order.status.value,
        "reason": order.reason,
    }


def _trade(trade: Trade) -> dict[str, Any]:
    return {
        "id": trade.id,
        "order_id": trade.order_id,
        "at": shown.iso(trade.at),
        "symbol": trade.key.symbol,
        "exchange": trade.key.exchange.value,
        "side": trade.action.value,
        "product": trade.product.value,
        "quantity": trade.quantity,
        "price": str(trade.price),
        "value": str(trade.price * trade.quantity),
    }


def _position(view: PositionView) -> dict[str, Any]:
    position = view.position
    return {
        "symbol": position.key.symbol,
        "exchange": position.key.exchange.value,
        "product": position.product.value,
        "quantity": position.quantity,
        "average_price": str(position.average_price) if position.quantity else None,
        "last_price": str(view.last),
        "pnl": f"{view.pnl:.2f}",
    }

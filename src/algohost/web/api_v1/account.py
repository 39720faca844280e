"""The books of an account or a strategy: funds, orders, trades, positions, holdings."""

from decimal import Decimal
from typing import Any, TypeVar

from starlette.responses import Response

from algohost.broker.views import DayPnl, PositionView, netted
from algohost.domain.accounts import mode_of
from algohost.domain.orders import Action, OrderStatus, Trade
from algohost.domain.strategies import Mode
from algohost.web.api_v1.answers import BROKER, in_turns, ist_text, price, rupees, success
from algohost.web.api_v1.call import Call
from algohost.web.api_v1.contracts import refuse_untradable
from algohost.web.api_v1.order_requests import Margin
from algohost.web.api_v1.orders import opened, order_row, scope_of
from algohost.web.api_v1.requests import Asked
from algohost.web.performance import books_json

M = TypeVar("M", bound=Asked)


async def funds(call: Call[Asked]) -> Response:
    """``funds``: of the account, whoever of its strategies asks."""
    gateway = await opened(call)
    money = gateway.funds(call.principal.account_id)
    return success(
        data={
            "availablecash": rupees(money.available),
            "collateral": rupees(money.collateral),
            "m2mrealized": rupees(money.realised),
            "m2munrealized": rupees(money.unrealised),
            "utiliseddebits": rupees(money.used_margin),
        }
    )


async def order_book(call: Call[Asked]) -> Response:
    """``orderbook``: the orders in scope, and how many of each sort."""
    gateway = await opened(call)
    orders = gateway.orders(scope_of(call.principal))
    working = {
        OrderStatus.OPEN,
        OrderStatus.TRIGGER_PENDING,
        OrderStatus.INTENDED,
        OrderStatus.UNKNOWN,
    }
    rows = await in_turns(orders, order_row)
    statistics = {
        "total_buy_orders": sum(o.request.action is Action.BUY for o in orders),
        "total_sell_orders": sum(o.request.action is Action.SELL for o in orders),
        "total_completed_orders": sum(o.status is OrderStatus.COMPLETE for o in orders),
        "total_open_orders": sum(o.status in working for o in orders),
        "total_rejected_orders": sum(o.status is OrderStatus.REJECTED for o in orders),
    }
    return success(data={"orders": rows, "statistics": statistics})


async def trade_book(call: Call[Asked]) -> Response:
    """``tradebook``: every fill in scope."""
    gateway = await opened(call)
    trades = gateway.trades(scope_of(call.principal))
    return success(data=await in_turns(trades, _trade_row))


async def position_book(call: Call[Asked]) -> Response:
    """``positionbook``: one row per instrument and product, the closed ones with their P&L."""
    return success(data=await in_turns(await netted_positions(call), _position_row))


async def holdings(call: Call[Asked]) -> Response:
    """``holdings``: what was bought for delivery before today, and what it is worth."""
    gateway = await opened(call)
    views = netted(gateway.holdings(scope_of(call.principal)), call.principal.account_id)
    cost = sum((v.position.open_value for v in views), Decimal(0))
    gain = sum((v.unrealised for v in views), Decimal(0))
    return success(
        data={
            "holdings": [_holding_row(v) for v in views],
            "statistics": {
                "totalholdingvalue": rupees(cost + gain),
                "totalinvvalue": rupees(cost),
                "totalprofitandloss": rupees(gain),
                "totalpnlpercentage": _percent(gain, cost),
            },
        }
    )


async def margin(call: Call[Margin]) -> Response:
    """``margin``: what the orders would block together, whatever the account holds."""
    asked = call.asked
    for one in asked.positions:
        refuse_untradable(call, one.key)
    requests = [one.labelled("") for one in asked.positions]
    needed = await call.host.gateway.margin(call.principal.account_id, requests)
    return success(
        data={
            "total_margin_required": rupees(needed.total),
            "span_margin": rupees(needed.span),
            "exposure_margin": rupees(needed.exposure),
        }
    )


async def ping(call: Call[Asked]) -> Response:
    """``ping``: says that the key is good and where its orders go."""
    account_id = call.principal.account_id
    is_paper = mode_of(account_id) is Mode.PAPER
    broker = BROKER if is_paper else call.host.accounts.find(account_id).broker
    return success(data={"message": "pong", "broker": broker})


async def pnl_books(call: Call[Asked]) -> Response:
    """``pnl/books``: what each book in scope has gained since the account began."""
    gateway = await opened(call)
    return success(data=books_json(gateway, scope_of(call.principal)))


async def pnl_symbols(call: Call[Asked]) -> Response:
    """``pnl/symbols``: the P&L of each instrument and product, and what of it is today's.

    ``pnl`` is the position book's; ``total_pnl_today`` counts carried units from their previous
    close, so the two differ for those.
    """
    net, scope = await netted_positions(call), scope_of(call.principal)
    today = call.host.gateway.instrument_pnls(scope)
    rows = [(v, today.get((v.position.key, v.position.product), DayPnl())) for v in net]
    sums = {
        "total_pnl": sum((v.pnl for v, _ in rows), Decimal(0)),
        "total_unrealized_pnl": sum((v.unrealised for v, _ in rows), Decimal(0)),
        "total_today_realized_pnl": sum((v.position.realised for v, _ in rows), Decimal(0)),
        "total_pnl_today": sum((day.total for _, day in rows), Decimal(0)),
    }
    return success(
        data=[_pnl_row(view, day) for view, day in rows],
        **{name: rupees(amount) for name, amount in sums.items()},
    )


async def netted_positions(call: Call[M]) -> list[PositionView]:
    """The positions in the caller's scope, one per instrument and product."""
    gateway = await opened(call)
    views = gateway.positions(scope_of(call.principal))
    return netted(views, call.principal.account_id)


def _pnl_row(view: PositionView, day: DayPnl) -> dict[str, Any]:
    held = view.position
    return {
        "symbol": held.key.symbol,
        "exchange": held.key.exchange.value,
        "product": held.product.value,
        "quantity": held.quantity,
        "pnl": rupees(view.pnl),
        "unrealized_pnl": rupees(view.unrealised),
        "today_realized_pnl": rupees(held.realised),
        "total_pnl_today": rupees(day.total),
    }


def _position_row(view: PositionView) -> dict[str, Any]:
    held = view.position
    return {
        "symbol": held.key.symbol,
        "exchange": held.key.exchange.value,
        "product": held.product.value,
        "quantity": held.quantity,
        "average_price": price(held.average_price),
        "ltp": price(view.last),
        "pnl": rupees(view.pnl),
    }


def _holding_row(view: PositionView) -> dict[str, Any]:
    gain = view.unrealised
    return {
        **_position_row(view),
        "pnl": rupees(gain),
        "pnlpercent": _percent(gain, view.position.open_value),
    }


def _trade_row(trade: Trade) -> dict[str, Any]:
    return {
        "action": trade.action.value,
        "symbol": trade.key.symbol,
        "exchange": trade.key.exchange.value,
        "orderid": trade.order_id,
        "product": trade.product.value,
        "quantity": trade.quantity,
        "average_price": price(trade.price),
        "timestamp": ist_text(trade.at),
        "trade_value": rupees(trade.price * trade.quantity),
    }


def _percent(part: Decimal, whole: Decimal) -> float:
    return round(float(part / whole * 100), 2) if whole else 0.0

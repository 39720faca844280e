"""What books have gained: totals, days and trades, of a strategy and of an account, as CSV too."""

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from algohost.broker.views import DayPnl, Scope
from algohost.domain.ids import IST
from algohost.domain.orders import Trade
from algohost.domain.users import paper_account
from algohost.exchange.performance import DayResult, Performance, Totals
from algohost.web.access import Access, Route, host_of, user_of
from algohost.web.answers import done

if TYPE_CHECKING:
    from algohost.broker.gateway import Gateway

_PAISE: Final = Decimal("0.01")
_SHARE: Final = Decimal("0.0001")
DAY_COLUMNS: Final = (
    "date", "realised", "charges", "net", "turnover", "fills", "round_trips", "wins",
)  # fmt: skip
TRADE_COLUMNS: Final = (
    "at", "trade_id", "order_id", "strategy_id", "exchange", "symbol", "product", "action",
    "quantity", "price", "value", "charges",
)  # fmt: skip


def performance_json(made: Performance, today: DayPnl) -> dict[str, Any]:
    """One book in JSON values; money in rupees as text."""
    return {
        "totals": totals_json(made.totals),
        "today": {
            "realised": _rupees(today.realised),
            "unrealised": _rupees(today.unrealised),
            "total": _rupees(today.total),
        },
        "days": [day_json(str(day), result) for day, result in made.days.items()],
    }


def totals_json(totals: Totals) -> dict[str, Any]:
    """``Totals``; shares from 0 to 1, ``null`` where there is nothing to divide by."""
    return {
        "realised": _rupees(totals.realised),
        "charges": _rupees(totals.charges),
        "net": _rupees(totals.net),
        "turnover": _rupees(totals.turnover),
        "fills": totals.fills,
        "round_trips": totals.round_trips,
        "wins": totals.wins,
        "win_rate": _ratio(totals.win_rate),
        "profit_factor": _ratio(totals.profit_factor),
        "drawdown": _rupees(totals.drawdown),
    }


def day_json(day: str, result: DayResult) -> dict[str, Any]:
    """One day of a book."""
    return {
        "date": day,
        "realised": _rupees(result.realised),
        "charges": _rupees(result.charges),
        "net": _rupees(result.net),
        "turnover": _rupees(result.turnover),
        "fills": result.fills,
        "round_trips": result.round_trips,
        "wins": result.wins,
    }


def books_json(gateway: "Gateway", scope: Scope) -> dict[str, Any]:
    """Every book in scope, the unattributed one with ``strategy_id`` ``null``, and their sums.

    Of a whole account the sums of realised P&L and of charges are the account's own: all that
    it ever traded is in one book or another.
    """
    found, today = gateway.performances(scope), gateway.day_pnls(scope)
    books = sorted(found, key=lambda one: (one is None, one or ""))
    return {
        "account_id": scope.account_id,
        "books": [
            {
                "strategy_id": book,
                "totals": totals_json(found[book].totals),
                "today": _rupees(today.get(book, DayPnl()).total),
            }
            for book in books
        ],
        "realised": _rupees(sum((one.totals.realised for one in found.values()), Decimal(0))),
        "charges": _rupees(sum((one.totals.charges for one in found.values()), Decimal(0))),
    }


def days_csv(made: Performance) -> str:
    """The days of a book, oldest first."""
    rows = (day_json(str(day), result) for day, result in made.days.items())
    return _csv(DAY_COLUMNS, ([row[name] for name in DAY_COLUMNS] for row in rows))


def trades_csv(trades: Sequence[Trade]) -> str:
    """Trades, oldest first, with times in IST."""
    rows = (
        (
            trade.at.astimezone(IST).isoformat(sep=" ", timespec="milliseconds"),
            # spreadsheets round numbers of eighteen digits: an apostrophe keeps them text
            f"'{trade.id}", f"'{trade.order_id}", trade.book.strategy_id or "",
            trade.key.exchange.value, trade.key.symbol, trade.product.value, trade.action.value,
            trade.quantity, trade.price, trade.quantity * trade.price, trade.charges,
        )
        for trade in trades
    )  # fmt: skip
    return _csv(TRADE_COLUMNS, rows)


async def _scope_of(request: Request) -> Scope:
    host = host_of(request)
    view = host.strategies.get(user_of(request), request.path_params["strategy_id"])
    account_id = view.strategy.account
    await host.gateway.recover(account_id)
    return Scope(account_id=account_id, strategy_id=view.strategy.id)


async def performance(request: Request) -> Response:
    """``GET /python/performance/<id>``: totals, today and each day of a strategy's book."""
    scope, gateway = await _scope_of(request), host_of(request).gateway
    book = scope.strategy_id
    made = gateway.performances(scope).get(book, Performance())
    return done("", **performance_json(made, gateway.day_pnls(scope).get(book, DayPnl())))


async def performance_days(request: Request) -> Response:
    """``GET /python/performance/<id>/days``: the days as CSV."""
    scope, gateway = await _scope_of(request), host_of(request).gateway
    made = gateway.performances(scope).get(scope.strategy_id, Performance())
    return _attached(days_csv(made), f"{scope.strategy_id}-days.csv")


async def performance_trades(request: Request) -> Response:
    """``GET /python/performance/<id>/trades``: every trade of its book as CSV."""
    scope, gateway = await _scope_of(request), host_of(request).gateway
    text = await run_in_threadpool(trades_csv, gateway.all_trades(scope))
    return _attached(text, f"{scope.strategy_id}-trades.csv")


async def account_performance(request: Request) -> Response:
    """``GET /account/performance``: every book of the user's own paper account."""
    host, account_id = host_of(request), paper_account(user_of(request))
    await host.gateway.recover(account_id)
    return done("", **books_json(host.gateway, Scope(account_id=account_id)))


async def account_trades(request: Request) -> Response:
    """``GET /account/trades``: every trade of the user's own paper account as CSV."""
    host, account_id = host_of(request), paper_account(user_of(request))
    await host.gateway.recover(account_id)
    trades = host.gateway.all_trades(Scope(account_id=account_id))
    return _attached(await run_in_threadpool(trades_csv, trades), "trades.csv")


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _attached(text: str, name: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


def _rupees(amount: Decimal) -> str:
    return str(amount.quantize(_PAISE))


def _ratio(share: Decimal | None) -> float | None:
    return None if share is None else float(share.quantize(_SHARE))


_OF_STRATEGY: Final = "/python/performance/{strategy_id}"

ROUTES: Final[list[Route]] = [
    Route(method="GET", path=_OF_STRATEGY, endpoint=performance, access=Access.OWNER),
    Route(
        method="GET", path=f"{_OF_STRATEGY}/days", endpoint=performance_days, access=Access.OWNER
    ),
    Route(
        method="GET",
        path=f"{_OF_STRATEGY}/trades",
        endpoint=performance_trades,
        access=Access.OWNER,
    ),
    Route(
        method="GET",
        path="/account/performance",
        endpoint=account_performance,
        access=Access.USER,
    ),
    Route(method="GET", path="/account/trades", endpoint=account_trades, access=Access.USER),
]

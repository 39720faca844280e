"""What the server answers to the command line about what strategies have gained."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from algohost.broker.views import DayPnl, Scope
from algohost.domain.users import User
from algohost.exchange.performance import Performance
from algohost.web.performance import days_csv, performance_json, trades_csv

if TYPE_CHECKING:
    from algohost.web.services import Host

Act = Callable[[Request], Awaitable[Response]]


class PerformanceControl:
    """The answers, over one host; ``actor`` says as whom a request acts."""

    def __init__(self, host: "Host", actor: Callable[[Request], User]) -> None:
        self._host = host
        self._actor = actor
        self.table: list[tuple[str, str, Act]] = [
            ("GET", "/v1/strategies/{id}/performance", self.performance),
            ("GET", "/v1/strategies/{id}/trades", self.trades),
        ]

    async def performance(self, request: Request) -> Response:
        """Totals, today and each day of a strategy's book; the days as ``csv`` too."""
        scope, gateway = await self._scope(request), self._host.gateway
        book = scope.strategy_id
        made = gateway.performances(scope).get(book, Performance())
        today = gateway.day_pnls(scope).get(book, DayPnl())
        told = performance_json(made, today)
        return JSONResponse({"success": True, **told, "csv": days_csv(made)})

    async def trades(self, request: Request) -> Response:
        """Every trade of a strategy's book as ``csv``."""
        trades = self._host.gateway.all_trades(await self._scope(request))
        return JSONResponse({"success": True, "csv": await run_in_threadpool(trades_csv, trades)})

    async def _scope(self, request: Request) -> Scope:
        view = self._host.strategies.get(self._actor(request), request.path_params["id"])
        await self._host.gateway.recover(view.strategy.account)
        return Scope(account_id=view.strategy.account, strategy_id=view.strategy.id)

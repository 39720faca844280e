"""The web application: the table of routes, their guards, and the layers around them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from algohost import __version__
from algohost.domain.errors import AlgohostError
from algohost.web import (
    accounts,
    agenda,
    api_v1,
    auditing,
    auth,
    broker,
    calendar,
    environments,
    live,
    logs,
    market_sessions,
    master_contracts,
    notices,
    pages,
    performance,
    risk,
    schedules,
    settings,
    strategies,
    usage,
)
from algohost.web.access import Access, Route, guarded, refuse_undeclared
from algohost.web.errors import Errors
from algohost.web.rows import StatusBoard
from algohost.web.security import Security, own_names
from algohost.web.static_files import StaticFiles

if TYPE_CHECKING:
    from algohost.web.services import Host


async def healthz(request: Request) -> Response:  # noqa: ARG001 - every endpoint takes the request
    """``GET /healthz``: that the server answers, and its version."""
    return JSONResponse({"status": "ok", "version": __version__})


ROUTES: Final[list[Route]] = [
    Route(method="GET", path="/healthz", endpoint=healthz, access=Access.PUBLIC),
    *auth.ROUTES,
    *auditing.ROUTES,
    *strategies.ROUTES,
    *usage.ROUTES,
    *performance.ROUTES,
    *logs.ROUTES,
    *settings.ROUTES,
    *environments.ROUTES,
    *accounts.ROUTES,
    *broker.ROUTES,
    *risk.ROUTES,
    *calendar.ROUTES,
    *market_sessions.ROUTES,
    *master_contracts.ROUTES,
    *notices.ROUTES,
    *schedules.ROUTES,
    *agenda.ROUTES,
    *pages.ROUTES,
    *live.ROUTES,
    *api_v1.ROUTES,
]
"""Who may use what: everything but ``/static``, which the application adds."""


def create_app(host: "Host") -> Starlette:
    """The application over ``host``, whose parts must be open and stay so while it serves.

    Raises ``RuntimeError`` where a route has no rule, or a path has two; so does its start, for
    routes that were added since.
    """
    return app_of([*ROUTES, *StaticFiles().routes], host)


def app_of(table: Iterable[Route], host: "Host") -> Starlette:
    """``create_app`` over another table."""
    errors = Errors(pages.error_page)
    app = Starlette(
        routes=guarded(table, host, errors),
        middleware=[
            Middleware(
                Security,
                names=own_names(host.settings.host, host.settings.public_hosts),
                refuse=errors.response,
            )
        ],
        exception_handlers=_handlers(errors),
        lifespan=_lifespan,
    )
    app.router.redirect_slashes = False  # it would answer with an address made from ``Host``
    app.state.host = host
    app.state.status_board = StatusBoard(host)
    refuse_undeclared(app.routes)
    return app


def _handlers(errors: Errors) -> dict[Any, Callable[[Request, Any], Awaitable[Response]]]:
    """For what happens outside every guard: no such path, no such method, a fault of a layer."""

    async def refused(request: Request, error: AlgohostError | HTTPException) -> Response:
        return errors.response(request, error)

    async def failed(request: Request, _error: Exception) -> Response:
        return errors.unexpected(request)

    return {HTTPException: refused, AlgohostError: refused, Exception: failed}


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    refuse_undeclared(app.routes)
    try:
        yield
    finally:
        app.state.status_board.close()

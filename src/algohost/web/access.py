"""Who may use which route: one table, enforced around each endpoint.

An endpoint module exports ``ROUTES``, a list of ``Route``; ``web.app`` gathers them and puts a
``Guard`` around each endpoint. Nothing else decides about access, so an endpoint that is reached
has a right to be: ``user_of(request)`` is there where the rule says USER, ADMIN or OWNER, and
``principal_of(request)`` where it says KEY. An application with a route outside the table does
not start.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from secrets import compare_digest, token_urlsafe
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.routing import Route as HttpRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from algohost.domain.errors import AlgohostError, Forbidden, NotFound, TooLarge, Unauthorized
from algohost.domain.ids import is_strategy_id
from algohost.domain.users import Principal, User
from algohost.web.bodies import CappedBody, json_object
from algohost.web.errors import Errors, ErrorStyle
from algohost.web.packing import pack_page
from algohost.web.security import can_deny_with_answer, is_same_origin

if TYPE_CHECKING:
    from algohost.host.identity import Session
    from algohost.web.services import Host

log = logging.getLogger(__name__)

SESSION_COOKIE: Final = "algohost_session"
ANONYMOUS_COOKIE: Final = "algohost_anonymous"
CSRF_HEADER: Final = "x-csrftoken"
WEBSOCKET: Final = "WEBSOCKET"
"""The ``method`` of a route that is a WebSocket."""
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", WEBSOCKET})
JSON_BODY_BYTES: Final = 65_536


class Access(StrEnum):
    """Who may use a route."""

    PUBLIC = "public"
    """Anybody; nobody is looked for."""
    ANONYMOUS = "anonymous"
    """Anybody; to change something, the token of a page that this server gave out."""
    SETUP = "setup"
    """As ANONYMOUS, while there is no user; afterwards there is no such route."""
    USER = "user"
    """Whoever is logged in."""
    ADMIN = "admin"
    """Whoever is logged in as an administrator."""
    OWNER = "owner"
    """The owner of the path's ``{strategy_id}``, or an administrator. To others it is not there."""
    KEY = "key"
    """A program with an API key or a run's token. No cookie counts here, so no CSRF either."""


SESSION_ACCESS: Final = frozenset({Access.USER, Access.ADMIN, Access.OWNER})
PAGE_TOKEN_ACCESS: Final = frozenset({Access.ANONYMOUS, Access.SETUP})

HttpEndpoint = Callable[[Request], Awaitable[Response]]
SocketEndpoint = Callable[[WebSocket], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Route:
    """One row of the table: what answers a method and path, and who may ask."""

    method: str
    """``GET``, ``POST``, … or ``WEBSOCKET``. A GET route answers HEAD as well."""
    path: str
    endpoint: HttpEndpoint | SocketEndpoint
    access: Access
    max_body_bytes: int = JSON_BODY_BYTES
    """A request with more is answered 413 before the rest is read."""
    key_in_query: bool = False
    """Whether the key may stand in the address, which is where existing programs put it for some
    KEY routes by GET. Elsewhere it is in the body, or in the header ``X-API-KEY``."""

    def __post_init__(self) -> None:
        if ("{strategy_id}" in self.path) != (self.access is Access.OWNER):
            raise RuntimeError(
                f"{self.method} {self.path}: a path with {{strategy_id}} has Access.OWNER,"
                " and no other path has; correct its Route."
            )


def user_of(connection: HTTPConnection) -> User:
    """Who is logged in; only for routes with USER, ADMIN or OWNER."""
    return cast("User", connection.state.user)


def principal_of(connection: HTTPConnection) -> Principal:
    """Who is behind the key; only for routes with KEY."""
    return cast("Principal", connection.state.principal)


def body_of(request: Request) -> dict[str, Any]:
    """The JSON object that a KEY route was sent, ``apikey`` included; empty for a GET."""
    return cast("dict[str, Any]", request.state.body)


def host_of(connection: HTTPConnection) -> "Host":
    """The object graph behind the application."""
    return cast("Host", connection.state.host)


def csrf_of(request: Request) -> str:
    """What the page's scripts must send as ``X-CSRFToken``; for all routes but PUBLIC and KEY."""
    return cast("str", request.state.csrf)


def session_secret(connection: HTTPConnection) -> str | None:
    """The session cookie's content, whatever it may be worth."""
    return connection.cookies.get(cookie_name(connection, SESSION_COOKIE))


def session_is_alive(connection: HTTPConnection) -> bool:
    """Whether the session that opened a long connection still counts; does not keep it awake.

    A live socket asks at least every 30 s, and closes when the answer is no.
    """
    secret = session_secret(connection)
    return secret is not None and host_of(connection).identity.peek(secret) is not None


def cookie_name(connection: HTTPConnection, name: str) -> str:
    """``name``, with the prefix that pins it to this host where the connection is TLS."""
    return f"__Host-{name}" if is_secure(connection) else name


def is_secure(connection: HTTPConnection) -> bool:
    """Whether the browser reached this server over TLS."""
    return connection.scope["scheme"] in {"https", "wss"}


def set_cookie(
    request: Request, response: Response, name: str, value: str, *, max_age_seconds: int | None
) -> None:
    """Sets a cookie that scripts cannot read and other sites do not send; ``""`` deletes it."""
    response.set_cookie(
        cookie_name(request, name),
        value,
        max_age=max_age_seconds,
        path="/",
        secure=is_secure(request),
        httponly=True,
        samesite="lax",
    )


class Guard:
    """An endpoint behind its rule: an ASGI application that lets through whom the rule admits."""

    def __init__(self, route: Route, host: "Host", errors: Errors) -> None:
        self.route = route
        self._host = host
        self._errors = errors
        self._style = ErrorStyle.OPENALGO if route.access is Access.KEY else ErrorStyle.OURS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(WebSocket(scope, receive, send))
            return
        body = CappedBody(scope, receive, self.route.max_body_bytes)
        request = Request(scope, body, send)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        except (AlgohostError, HTTPException) as error:
            if isinstance(error, TooLarge):
                await body.drain()
            response = self._errors.response(request, error, self._style)
        except Exception:
            log.exception(
                "request_failed request_id=%s method=%s route=%s",
                self._errors.request_id(request),
                scope["method"],
                self.route.path,
            )
            response = self._errors.unexpected(request, self._style)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        request.state.host = self._host
        if self.route.access is Access.KEY:
            await self._admit_key(request)
        elif self.route.access is not Access.PUBLIC:
            turned_away = self._admit_session(request)
            if turned_away is not None:
                return turned_away
        response = await cast("HttpEndpoint", self.route.endpoint)(request)
        fresh = getattr(request.state, "fresh_page_token", None)
        if fresh is not None:
            set_cookie(request, response, ANONYMOUS_COOKIE, fresh, max_age_seconds=None)
        pack_page(request, response)
        return response

    async def _socket(self, socket: WebSocket) -> None:
        socket.state.host = self._host
        try:
            if self.route.access is not Access.PUBLIC:
                if not is_same_origin(socket.scope, needs_origin=True):
                    raise _another_site()
                self._find_session(socket)
                self._require(socket)
        except AlgohostError as error:
            if can_deny_with_answer(socket.scope):
                await socket.send_denial_response(self._errors.response(socket, error, self._style))
            else:
                await socket.close(1008)
            return
        await cast("SocketEndpoint", self.route.endpoint)(socket)

    async def _admit_key(self, request: Request) -> None:
        if request.method in SAFE_METHODS:
            request.state.body = {}
            key = request.query_params.get("apikey") if self.route.key_in_query else None
        else:
            request.state.body = await json_object(request)
            key = request.state.body.get("apikey")
        if key is None or key == "":
            key = request.headers.get("x-api-key")
        principal = self._host.identity.principal(key) if isinstance(key, str) else None
        if principal is None:
            raise Forbidden("Invalid openalgo apikey", code="INVALID_API_KEY")
        request.state.principal = principal

    def _admit_session(self, request: Request) -> Response | None:
        """Lets the request through, raises, or returns where a browser must go first."""
        access = self.route.access
        if access is Access.SETUP and self._host.identity.has_users():
            if request.method == "GET":
                return RedirectResponse("/login", 303)
            raise NotFound("There is no such page: this server has been set up.")
        unsafe = request.method not in SAFE_METHODS
        if unsafe and not is_same_origin(request.scope):
            raise _another_site()
        session = self._find_session(request)
        if access in PAGE_TOKEN_ACCESS:
            if access is Access.ANONYMOUS and not unsafe and not self._host.identity.has_users():
                return RedirectResponse("/setup", 303)
            self._find_page_token(request)
        elif session is None and request.method == "GET" and self._errors.wants_page(request):
            return RedirectResponse(self._entrance(request), 303)
        else:
            self._require_session(request)
        if unsafe:
            _check_token(request)
        self._require(request)
        return None

    def _entrance(self, request: Request) -> str:
        if not self._host.identity.has_users():
            return "/setup"
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return "/login" if path == "/" else f"/login?next={quote(path, safe='/')}"

    def _find_session(self, connection: HTTPConnection) -> "Session | None":
        secret = session_secret(connection)
        session = self._host.identity.session(secret) if secret else None
        state = connection.state
        state.session = session
        state.user = session.user if session else None
        state.csrf = session.csrf if session else ""
        return session

    def _find_page_token(self, request: Request) -> None:
        """The double submit of pages before login: the same text in a cookie and a header.

        Another site can make a browser send the cookie, but neither read it nor set the header.
        """
        token = request.cookies.get(cookie_name(request, ANONYMOUS_COOKIE), "")
        if len(token) < 32 and request.method in SAFE_METHODS:
            token = token_urlsafe(32)
            request.state.fresh_page_token = token
        request.state.csrf = token

    def _require(self, connection: HTTPConnection) -> None:
        if self.route.access not in SESSION_ACCESS:
            return
        self._require_session(connection)
        if self.route.access is Access.ADMIN and not user_of(connection).is_admin:
            raise Forbidden("Only an administrator may do this; ask one.", code="ADMIN_ONLY")
        if self.route.access is Access.OWNER:
            strategy_id = connection.path_params["strategy_id"]
            if not is_strategy_id(strategy_id):
                raise _no_such_strategy()
            self._host.strategies.get(user_of(connection), strategy_id)  # NotFound to others

    def _require_session(self, connection: HTTPConnection) -> None:
        if connection.state.session is None:
            raise Unauthorized("You are not logged in, or no longer; log in and try again.")


def _check_token(request: Request) -> None:
    sent, expected = request.headers.get(CSRF_HEADER, ""), csrf_of(request)
    if not expected or not compare_digest(sent.encode(), expected.encode()):
        raise Forbidden("The page is out of date; reload it and try again.", code="CSRF")


def _another_site() -> Forbidden:
    return Forbidden(
        "The request came from another site and was refused; use this server's own pages.",
        code="CROSS_SITE",
    )


def _no_such_strategy() -> NotFound:
    return NotFound("There is no such strategy; it may have been deleted.")


def guarded(routes: Iterable[Route], host: "Host", errors: Errors) -> list[BaseRoute]:
    """The table as the router takes it. Raises ``RuntimeError`` where two rows are the same."""
    made: dict[tuple[str, str], BaseRoute] = {}
    for route in sorted(routes, key=_plain_paths_first):
        name = (route.method, route.path)
        if name in made:
            raise RuntimeError(f"{route.method} {route.path} is twice in the table of routes.")
        guard = Guard(route, host, errors)
        if route.method == WEBSOCKET:
            made[name] = WebSocketRoute(route.path, guard)
        else:
            made[name] = HttpRoute(route.path, guard, methods=[route.method])
    return list(made.values())


def _plain_paths_first(route: Route) -> tuple[bool, int, bool]:
    """The router takes the first that fits, and ``/python/new`` fits ``/python/{strategy_id}``.

    It looks at one row after another, so what programs call comes before what people do.
    """
    return ":path}" in route.path, route.path.count("{"), route.access is not Access.KEY


def refuse_undeclared(routes: Iterable[BaseRoute]) -> None:
    """Raises ``RuntimeError`` for a route that is not behind a ``Guard``."""
    for route in routes:
        if isinstance(route, HttpRoute | WebSocketRoute) and isinstance(route.endpoint, Guard):
            continue
        raise RuntimeError(
            f"The route {getattr(route, 'path', route)!r} says nowhere who may use it;"
            " give it a Route with an Access in its module's ROUTES."
        )

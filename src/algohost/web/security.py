"""What holds for every request before any route is looked at.

Three things: the name by which the server was called must be one of its own (a page of another
site that points its own name at this machine gets nothing), every answer carries the headers
that keep a browser from running or framing what is not ours, and every request has an id.
"""

import re
import secrets
from collections.abc import Callable, Iterable
from itertools import count
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from algohost.domain.errors import AlgohostError

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; frame-ancestors 'none';"
    " base-uri 'none'; form-action 'self'"
)
_HEADERS: Final = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_RAW_HEADERS: Final = tuple((n.encode(), v.encode()) for n, v in _HEADERS.items())
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+?)\.?(?::[0-9]{1,5})?")
_ORIGIN: Final = re.compile(r"https?://([^/?#@\s]+)")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_ANY_ADDRESS: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not bound


class Misdirected(AlgohostError):
    """The request was meant for a host that is not this one."""

    code = "WRONG_HOST"
    http_status = 421


ErrorResponse = Callable[[HTTPConnection, AlgohostError], Response]


def own_names(bound_to: str, public_hosts: Iterable[str]) -> frozenset[str]:
    """The names by which this server may be called, without ports, in lower case."""
    names = {name.strip().lower() for name in (*public_hosts, bound_to)} - _ANY_ADDRESS
    return _LOOPBACK | {
        f"[{name}]" if ":" in name and not name.startswith("[") else name for name in names
    }


def is_same_origin(scope: Scope, *, needs_origin: bool = False) -> bool:
    """Whether a browser says that one of our own pages sent this.

    Looks at ``Sec-Fetch-Site`` and at ``Origin``, and believes neither alone. A client that is no
    browser sends neither and passes, unless ``needs_origin``: it has no cookies to abuse.
    """
    origins, sites, hosts = [], [], []
    for name, value in scope["headers"]:
        if name == b"origin":
            origins.append(value)
        elif name == b"sec-fetch-site":
            sites.append(value)
        elif name == b"host":
            hosts.append(value)
    if len(origins) > 1 or len(sites) > 1 or len(hosts) != 1:
        return False
    if sites and sites[0] not in {b"same-origin", b"none"}:
        return False
    if not origins:
        return not needs_origin
    match = _ORIGIN.fullmatch(origins[0].decode("latin-1").lower())
    return match is not None and match[1] == hosts[0].decode("latin-1").lower()


def can_deny_with_answer(scope: Scope) -> bool:
    """Whether the server below can refuse a WebSocket with a whole HTTP answer."""
    return "websocket.http.response" in (scope.get("extensions") or {})


class Security:
    """The outermost layer; see the module."""

    def __init__(self, app: ASGIApp, *, names: frozenset[str], refuse: ErrorResponse) -> None:
        self._app = app
        self._names = names
        self._refuse = refuse
        self._known: dict[bytes, bool] = {}
        self._boot = secrets.token_hex(3)
        self._numbers = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        request_id = f"{self._boot}-{next(self._numbers)}"
        scope["algohost.request_id"] = request_id
        is_head = scope.get("method") == "HEAD"
        is_secure = scope["scheme"] in {"https", "wss"}

        async def marked(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                _mark(message, request_id, is_secure=is_secure)
            elif is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        if self._is_ours(scope):
            # routes know GET only; the server below us knows from its own scope to send no body
            inner = {**scope, "method": "GET"} if is_head else scope
            await self._app(inner, receive, marked)
            return
        if scope["type"] == "websocket" and not can_deny_with_answer(scope):
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        error = Misdirected(
            "This server is not known by the name it was called by; use http://localhost or add"
            " the name to the setting public_hosts.",
        )
        await self._refuse(HTTPConnection(scope), error)(scope, receive, marked)

    def _is_ours(self, scope: Scope) -> bool:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1:
            return False
        known = self._known.get(hosts[0])
        if known is None:
            match = _HOST.fullmatch(hosts[0].decode("latin-1").lower())
            known = match is not None and match[1] in self._names
            if len(self._known) < 64:
                self._known[hosts[0]] = known
        return known


def _mark(message: Message, request_id: str, *, is_secure: bool) -> None:
    given = {name.lower() for name, _ in message.get("headers", ())}
    headers = [  # a new list: the old one may belong to an answer that is sent again
        *message.get("headers", ()),
        *(pair for pair in _RAW_HEADERS if pair[0] not in given),
        (b"x-request-id", request_id.encode()),
    ]
    if b"cache-control" not in given:
        headers.append((b"cache-control", b"no-store"))
    if is_secure:
        headers.append((b"strict-transport-security", b"max-age=31536000"))
    message["headers"] = headers

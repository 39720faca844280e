"""The one way from an admitted request to its handler: rate, fields, then the deed."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from algohost.domain.errors import Invalid, TooMany
from algohost.domain.users import Principal
from algohost.web.access import body_of, host_of, principal_of
from algohost.web.api_v1.answers import answering_for
from algohost.web.api_v1.limits import Kind, RateLimits, rates_of
from algohost.web.api_v1.requests import Asked, parse
from algohost.web.api_v1.shapes import Shape

if TYPE_CHECKING:
    from algohost.web.services import Host

KEY_HEADER: Final = "idempotency-key"
KEY_FIELD: Final = "idempotency_key"
CALL_HEADER: Final = "x-algohost-call"
_CALL: Final = re.compile(r"[0-9a-zA-Z-]{1,64}")
MOST_KEY: Final = 128
"""Characters."""

M = TypeVar("M", bound=Asked)


@dataclass(frozen=True, kw_only=True, slots=True)
class Call(Generic[M]):
    """What a handler gets: the object graph, who asks, and for what."""

    host: "Host"
    principal: Principal
    asked: M
    key: str | None = None
    """What makes a repeated request do nothing again; ``None`` where the client sent none."""

    def key_of(self, part: object) -> str | None:
        """The key of one order of a request for several."""
        return None if self.key is None else f"{self.key}/{part}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint(Generic[M]):
    """What answers a KEY route: the fields it reads, who handles them, and what a call counts as.

    What a document of the API needs to know of requests is in ``model``, of answers in ``shape``.
    """

    model: type[M]
    handler: Callable[[Call[M]], Awaitable[Response]]
    kind: Kind = Kind.API
    shape: type[Shape] | None = None
    """What a success looks like, where it is written down."""

    async def __call__(self, request: Request) -> Response:
        """Rate, fields, then the deed. Raises ``TooMany``, ``Invalid`` and as the handler."""
        host, principal = host_of(request), principal_of(request)
        host.activity.touch(principal.run_id)
        answering_for(principal.account_id)
        limits = limits_of(request, host)
        wait_seconds = limits.take(self.kind, _holder(principal))
        if wait_seconds > 0:
            raise TooMany(
                f"More than {limits.rate(self.kind):g} {self.kind} calls in one second with this"
                f" key; wait {max(wait_seconds, 0.01):.2f} s and send it again.",
                code="RATE_LIMIT",
                details={"retry_after_seconds": wait_seconds},
            )
        asked = parse(self.model, body_of(request))
        key = _key_in(request)
        return await self.handler(Call(host=host, principal=principal, asked=asked, key=key))


def endpoint(
    model: type[M],
    handler: Callable[[Call[M]], Awaitable[Response]],
    kind: Kind = Kind.API,
    *,
    shape: type[Shape] | None = None,
) -> Endpoint[M]:
    """``handler`` as an endpoint of a KEY route; a call counts as one of ``kind``."""
    return Endpoint(model=model, handler=handler, kind=kind, shape=shape)


def limits_of(request: Request, host: "Host") -> RateLimits:
    """The limits of this application: ``app.state.rate_limits``, or from now on the settings'."""
    state = request.app.state
    limits: RateLimits | None = getattr(state, "rate_limits", None)
    if limits is None:
        limits = state.rate_limits = RateLimits(host.clock.monotonic, rates_of(host.settings))
    return limits


def _key_in(request: Request) -> str | None:
    """The client's key for this request, in the header or, as a script can do it, in the body."""
    key = request.headers.get(KEY_HEADER) or body_of(request).get(KEY_FIELD)
    if key is None or key == "":
        return _key_of_run(request)
    if not isinstance(key, str) or len(key) > MOST_KEY or not (key.isascii() and key.isprintable()):
        raise Invalid(
            f"{KEY_FIELD} must be text of at most {MOST_KEY} printable ASCII characters.",
            code="BAD_FIELDS",
        )
    return f"client:{key}"


def _key_of_run(request: Request) -> str | None:
    """Which call of which run this is, where the run's client says so: see ``runner.client``."""
    run_id, call = principal_of(request).run_id, request.headers.get(CALL_HEADER)
    if run_id is None or call is None or _CALL.fullmatch(call) is None:
        return None
    return f"run:{run_id}:{call}"


def _holder(principal: Principal) -> str:
    """Whose bucket: a run's own, or the account's, however often its key is renewed."""
    return principal.run_id or principal.account_id

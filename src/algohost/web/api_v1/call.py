"""The one way from an admitted request to its handler: rate, fields, then the deed."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from algohost.domain.errors import TooMany
from algohost.domain.users import Principal
from algohost.web.access import HttpEndpoint, body_of, host_of, principal_of
from algohost.web.api_v1.limits import Kind, RateLimits, rates_of
from algohost.web.api_v1.requests import Asked, parse

if TYPE_CHECKING:
    from algohost.web.services import Host

M = TypeVar("M", bound=Asked)


@dataclass(frozen=True, kw_only=True, slots=True)
class Call(Generic[M]):
    """What a handler gets: the object graph, who asks, and for what."""

    host: "Host"
    principal: Principal
    asked: M


def endpoint(
    model: type[M], handler: Callable[[Call[M]], Awaitable[Response]], kind: Kind = Kind.API
) -> HttpEndpoint:
    """``handler`` as an endpoint of a KEY route; a call counts as one of ``kind``."""

    async def answer(request: Request) -> Response:
        host, principal = host_of(request), principal_of(request)
        host.activity.touch(principal.run_id)
        limits = limits_of(request, host)
        wait_seconds = limits.take(kind, _holder(principal))
        if wait_seconds > 0:
            raise TooMany(
                f"More than {limits.rate(kind):g} {kind} calls in one second with this key;"
                f" wait {wait_seconds:.2f} s and send it again.",
                code="RATE_LIMIT",
                details={"retry_after_seconds": wait_seconds},
            )
        asked = parse(model, body_of(request))
        return await handler(Call(host=host, principal=principal, asked=asked))

    return answer


def limits_of(request: Request, host: "Host") -> RateLimits:
    """The limits of this application: ``app.state.rate_limits``, or from now on the settings'."""
    state = request.app.state
    limits: RateLimits | None = getattr(state, "rate_limits", None)
    if limits is None:
        limits = state.rate_limits = RateLimits(host.clock.monotonic, rates_of(host.settings))
    return limits


def _holder(principal: Principal) -> str:
    """Whose bucket: a run's own, or the account's, however often its key is renewed."""
    return principal.run_id or principal.account_id

"""What the server answers to the command line about limits and the governor."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from algohost.domain.errors import Invalid
from algohost.domain.kill_switch import KillScope
from algohost.domain.users import User
from algohost.web.bodies import json_object
from algohost.web.risk import queues_json, standing_json, target_json

if TYPE_CHECKING:
    from algohost.web.services import Host

Act = Callable[[Request], Awaitable[Response]]


class RiskControl:
    """The answers, over one host; ``actor`` says as whom a request acts."""

    def __init__(self, host: "Host", actor: Callable[[Request], User]) -> None:
        self._host = host
        self._actor = actor
        self.table: list[tuple[str, str, Act]] = [
            ("GET", "/v1/risk", self.everything),
            ("POST", "/v1/risk/show", self.show),
            ("POST", "/v1/risk/set", self.put),
            ("POST", "/v1/risk/clear", self.clear),
        ]

    async def everything(self, request: Request) -> Response:
        """Every target with limits that concerns the user, and what waits for its turn."""
        user, host = self._actor(request), self._host
        found = [standing_json(host, user, one) for one in host.risk.standings(user)]
        return _told(limits=found, queues=queues_json(host, user))

    async def show(self, request: Request) -> Response:
        """The target of ``{scope, id?}``, what is above it, and what was refused of it."""
        user, body = self._actor(request), await json_object(request)
        target = self._host.risk.target(user, *_named(body))
        return _told(**await target_json(self._host, user, target))

    async def put(self, request: Request) -> Response:
        """Changes the limits of ``{scope, id?, limits}``."""
        user, body = self._actor(request), await json_object(request)
        limits = body.get("limits")
        if not isinstance(limits, dict):
            raise Invalid("limits must be an object of limits by name.")
        target = self._host.risk.target(user, *_named(body))
        standing = await self._host.risk.put(user, target, limits)
        return _told(target=standing_json(self._host, user, standing))

    async def clear(self, request: Request) -> Response:
        """Takes all limits of ``{scope, id?}`` away."""
        user, body = self._actor(request), await json_object(request)
        target = self._host.risk.target(user, *_named(body))
        standing = await self._host.risk.clear(user, target)
        return _told(target=standing_json(self._host, user, standing))


def _named(body: dict[str, Any]) -> tuple[str, str]:
    scope, id_ = body.get("scope", KillScope.ACCOUNT.value), body.get("id", "")
    if not isinstance(scope, str) or not isinstance(id_, str):
        raise Invalid("scope and id must be texts.")
    return scope, id_


def _told(**fields: Any) -> Response:
    return JSONResponse({"success": True, **fields})

"""What the server answers to the command line about environments."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from algohost.domain.errors import Forbidden, Invalid
from algohost.domain.strategies import Strategy
from algohost.domain.users import User
from algohost.host.environment_views import EnvironmentView
from algohost.web.bodies import json_object
from algohost.web.environments import shown

if TYPE_CHECKING:
    from algohost.web.services import Host

Act = Callable[[Request], Awaitable[Response]]

_STRATEGY: Final = "/v1/strategies/{id}/environment"


class EnvironmentControl:
    """The answers, over one host; ``actor`` says as whom a request acts."""

    def __init__(self, host: "Host", actor: Callable[[Request], User]) -> None:
        self._host = host
        self._actor = actor
        self.table: list[tuple[str, str, Act]] = [
            ("GET", _STRATEGY, self.show),
            ("POST", _STRATEGY, self.set_requirements),
            ("POST", f"{_STRATEGY}/again", self.make_again),
            ("GET", "/v1/environments", self.list_all),
            ("POST", "/v1/environments/allow", self.allow),
            ("POST", "/v1/environments/prune", self.prune),
        ]

    async def show(self, request: Request) -> Response:
        """How the environment of a strategy stands."""
        return _told(await self._host.environments.look(self._strategy(request)))

    async def set_requirements(self, request: Request) -> Response:
        """Keeps the text of ``{requirements}``."""
        text = (await json_object(request)).get("requirements")
        if not isinstance(text, str):
            raise Invalid("Send the requirements as a text.")
        strategy, by = self._strategy(request), self._actor(request)
        return _told(await self._host.environments.set_requirements(strategy, text, by=by))

    async def make_again(self, request: Request) -> Response:
        """Resolves anew and makes it."""
        return _told(await self._host.environments.make_again(self._strategy(request)))

    async def list_all(self, request: Request) -> Response:
        """Every environment on disk; for administrators."""
        self._refuse_others(request)
        found = [
            {
                "key": one.facts.key,
                "python": one.facts.python,
                "packages": len(one.facts.packages),
                "size_bytes": one.facts.size_bytes,
                "used_at": one.used_at.isoformat(),
                "wanted_by": list(one.wanted_by),
                "is_in_use": one.is_in_use,
            }
            for one in await self._host.environments.listing()
        ]
        waiting = [
            {
                "key": one.key,
                "python": one.python,
                "packages": [list(package) for package in one.packages],
                "wanted_by": list(one.wanted_by),
            }
            for one in self._host.environments.waiting()
        ]
        return JSONResponse({"success": True, "environments": found, "waiting": waiting})

    async def allow(self, request: Request) -> Response:
        """Allows the packages of ``{key}``; for administrators."""
        self._refuse_others(request)
        key = (await json_object(request)).get("key")
        if not isinstance(key, str):
            raise Invalid("Send the key as a text.")
        await self._host.environments.allow(self._actor(request), key)
        return JSONResponse({"success": True, "allowed": key})

    async def prune(self, request: Request) -> Response:
        """Removes what nobody asks for and nobody used for ``{days}``; for administrators."""
        self._refuse_others(request)
        days = (await json_object(request)).get("days")
        if type(days) is not int or not 0 <= days <= 3650:
            raise Invalid("The days must be a whole number from 0 to 3650.")
        removed = await self._host.environments.prune(unused_days=days)
        return JSONResponse({"success": True, "removed": list(removed)})

    def _strategy(self, request: Request) -> Strategy:
        actor = self._actor(request)
        return self._host.strategies.get(actor, request.path_params["id"]).strategy

    def _refuse_others(self, request: Request) -> None:
        if not self._actor(request).is_admin:
            raise Forbidden("Environments are shared by all users; an administrator may do this.")


def _told(view: EnvironmentView) -> Response:
    body: dict[str, Any] = {"success": True, "environment": shown(view)}
    return JSONResponse(body)

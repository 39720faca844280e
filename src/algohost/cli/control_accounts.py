"""What the server answers to the command line about accounts, and about modes of strategies."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from algohost.domain.users import User
from algohost.web import accounts as shown
from algohost.web.bodies import json_as

if TYPE_CHECKING:
    from algohost.web.services import Host

Act = Callable[[Request], Awaitable[Response]]


class AccountControl:
    """The answers, over one host; ``actor`` says as whom a request acts."""

    def __init__(self, host: "Host", actor: Callable[[Request], User]) -> None:
        self._host = host
        self._actor = actor
        self.table: list[tuple[str, str, Act]] = [
            ("GET", "/v1/accounts", self.list_all),
            ("POST", "/v1/accounts", self.add),
            ("POST", "/v1/accounts/rename", self.rename),
            ("POST", "/v1/accounts/key", self.set_key),
            ("POST", "/v1/accounts/disable", self.disable),
            ("POST", "/v1/accounts/enable", self.enable),
            ("POST", "/v1/accounts/remove", self.remove),
            ("POST", "/v1/accounts/reset", self.reset),
            ("POST", "/v1/accounts/test", self.test),
            ("GET", "/v1/strategies/{id}/mode", self.mode),
            ("POST", "/v1/strategies/{id}/mode", self.set_mode),
        ]

    async def list_all(self, request: Request) -> Response:
        """The user's accounts."""
        return self._told(self._actor(request))

    async def add(self, request: Request) -> Response:
        """A new account."""
        user = self._actor(request)
        made = await shown.added(self._host, user, await json_as(request, shown.NewAccount))
        return _success(account=shown.account_json(self._host, made))

    async def rename(self, request: Request) -> Response:
        """Calls it something else."""
        user, asked = await self._asked(request)
        await self._host.accounts.rename(user, asked.id, asked.name)
        return self._told(user)

    async def set_key(self, request: Request) -> Response:
        """Gives it another key."""
        user, asked = await self._asked(request)
        await self._host.accounts.set_key(user, asked.id, asked.api_key)
        return self._told(user)

    async def disable(self, request: Request) -> Response:
        """No starts, no new orders."""
        user, asked = await self._asked(request)
        await self._host.accounts.disable(user, asked.id)
        return self._told(user)

    async def enable(self, request: Request) -> Response:
        """Undoes ``disable``."""
        user, asked = await self._asked(request)
        await self._host.accounts.enable(user, asked.id)
        return self._told(user)

    async def remove(self, request: Request) -> Response:
        """Takes it away."""
        user, asked = await self._asked(request)
        await self._host.accounts.remove(user, asked.id)
        return self._told(user)

    async def reset(self, request: Request) -> Response:
        """Has a paper account begin anew."""
        user = self._actor(request)
        said = await shown.begun_anew(self._host, user, await json_as(request, shown.FreshAccount))
        return _success(sentence=said)

    async def test(self, request: Request) -> Response:
        """Asks its server how it stands."""
        user, asked = await self._asked(request)
        return _success(**await shown.tested(self._host, user, asked.id))

    async def mode(self, request: Request) -> Response:
        """Where a strategy's orders go."""
        view = self._host.strategies.get(self._actor(request), request.path_params["id"])
        return _success(**shown.mode_json(self._host, view))

    async def set_mode(self, request: Request) -> Response:
        """Has them go elsewhere from the next start on."""
        asked, user = await json_as(request, shown.NewMode), self._actor(request)
        view = await shown.moved(self._host, user, request.path_params["id"], asked)
        return _success(**shown.mode_json(self._host, view))

    async def _asked(self, request: Request) -> tuple[User, shown.NamedAccount]:
        return self._actor(request), await json_as(request, shown.NamedAccount)

    def _told(self, user: User) -> Response:
        return _success(accounts=shown.accounts_json(self._host, user))


def _success(**fields: Any) -> Response:
    return JSONResponse({"success": True, **fields})

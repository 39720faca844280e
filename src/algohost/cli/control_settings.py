"""What the server answers to the command line about settings, variables, secrets and keys."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from algohost.domain.errors import Forbidden, Invalid
from algohost.domain.users import User
from algohost.web import settings as shown
from algohost.web.bodies import json_object

if TYPE_CHECKING:
    from algohost.web.services import Host

Act = Callable[[Request], Awaitable[Response]]

_STRATEGY: Final = "/v1/strategies/{id}"


class SettingsControl:
    """The answers, over one host; ``actor`` says as whom a request acts."""

    def __init__(self, host: "Host", actor: Callable[[Request], User]) -> None:
        self._host = host
        self._actor = actor
        self.table: list[tuple[str, str, Act]] = [
            ("GET", f"{_STRATEGY}/settings", self.settings),
            ("POST", f"{_STRATEGY}/settings", self.change),
            ("POST", f"{_STRATEGY}/variables", self.set_variables),
            ("POST", f"{_STRATEGY}/variables/delete", self.remove_variables),
            ("POST", f"{_STRATEGY}/secrets", self.set_secret),
            ("POST", f"{_STRATEGY}/secrets/delete", self.remove_secrets),
            ("POST", "/v1/keys/rotate", self.rotate_keys),
        ]

    async def settings(self, request: Request) -> Response:
        """Settings, variables, and the names of secrets."""
        return await self._told(request, "")

    async def change(self, request: Request) -> Response:
        """Changes the settings that the body names."""
        await shown.change(self._host, *self._asked(request), await json_object(request))
        return await self._told(request, "The settings were saved.")

    async def set_variables(self, request: Request) -> Response:
        """Sets the variables of ``{values}``: all or none."""
        values = (await json_object(request)).get("values")
        if not isinstance(values, dict) or not all(type(one) is str for one in values.values()):
            raise Invalid("Send the variables as an object of texts, in values.")
        await self._host.variables.set_plain(*self._asked(request), values)
        return await self._told(request, f"{_list(values)} set.")

    async def remove_variables(self, request: Request) -> Response:
        """Removes ``{names}``: all or none."""
        names = await _names(request)
        await self._host.variables.remove_plain(*self._asked(request), names)
        return await self._told(request, f"{_list(names)} removed.")

    async def set_secret(self, request: Request) -> Response:
        """Sets one secret, ``{name, value}``."""
        body = await json_object(request)
        name, value = body.get("name"), body.get("value")
        if not isinstance(name, str) or not isinstance(value, str):
            raise Invalid("Send name and value as texts.")
        await self._host.variables.set_secret(*self._asked(request), name, value)
        return await self._told(request, f"The secret {name} was set.")

    async def remove_secrets(self, request: Request) -> Response:
        """Removes ``{names}``: all or none."""
        names = await _names(request)
        await self._host.variables.remove_secrets(*self._asked(request), names)
        return await self._told(request, f"{_list(names)} removed.")

    async def rotate_keys(self, request: Request) -> Response:
        """A new key for every secret of every strategy; for administrators."""
        if not self._actor(request).is_admin:
            raise Forbidden("The key is that of all users; an administrator may rotate it.")
        return JSONResponse({"success": True, "resealed": await self._host.variables.rotate_keys()})

    def _asked(self, request: Request) -> tuple[User, str]:
        return self._actor(request), request.path_params["id"]

    async def _told(self, request: Request, message: str) -> Response:
        user, strategy_id = self._asked(request)
        found = await run_in_threadpool(shown.state, self._host, user, strategy_id)
        applies = shown.when_it_applies(self._host, user, strategy_id)
        said = f"{message} {applies}" if message else ""
        return JSONResponse({"success": True, "message": said, **found})


async def _names(request: Request) -> list[str]:
    names: Any = (await json_object(request)).get("names")
    if not isinstance(names, list) or not all(type(one) is str for one in names):
        raise Invalid("Send the names as a list of texts, in names.")
    return names


def _list(names: Any) -> str:
    found = list(names)
    return f"{', '.join(found)} {'was' if len(found) == 1 else 'were'}"

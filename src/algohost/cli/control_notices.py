"""What the server answers to the command line about notification targets."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from algohost.domain.errors import Invalid
from algohost.domain.users import User
from algohost.web.bodies import json_object
from algohost.web.notices import latest_json, targets_json, tested_json

if TYPE_CHECKING:
    from algohost.web.services import Host

Act = Callable[[Request], Awaitable[Response]]


class NoticeControl:
    """The answers, over one host; ``actor`` says as whom a request acts."""

    def __init__(self, host: "Host", actor: Callable[[Request], User]) -> None:
        self._host = host
        self._actor = actor
        self.table: list[tuple[str, str, Act]] = [
            ("GET", "/v1/notices", self.show),
            ("POST", "/v1/notices/targets", self.add),
            ("POST", "/v1/notices/targets/remove", self.remove),
            ("POST", "/v1/notices/targets/test", self.test),
        ]

    async def show(self, request: Request) -> Response:
        """The targets, and how the last messages fared."""
        user = self._actor(request)
        return _told(targets=targets_json(self._host, user), latest=latest_json(self._host, user))

    async def add(self, request: Request) -> Response:
        """Adds the target ``{name, url}``."""
        user, body = self._actor(request), await json_object(request)
        new = await self._host.notices.add(user, _text(body, "name"), _text(body, "url"))
        return _told(added=new.name, service=new.service)

    async def remove(self, request: Request) -> Response:
        """Removes the target ``{name}``."""
        user, body = self._actor(request), await json_object(request)
        await self._host.notices.remove(user, _text(body, "name"))
        return _told(removed=_text(body, "name"))

    async def test(self, request: Request) -> Response:
        """Sends a test to the target ``{name?}``, or to all."""
        user, body = self._actor(request), await json_object(request)
        name = _text(body, "name") if body.get("name") is not None else None
        return _told(tested=tested_json(list(await self._host.notices.test(user, name))))


def _told(**fields: Any) -> Response:
    return JSONResponse({"success": True, **fields})


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise Invalid(f"{name} must be a text.")
    return value

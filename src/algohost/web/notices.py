"""Where a user's messages go, and how the last ones fared. Addresses go in and never come out."""

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from algohost.domain.notices import MOST_URL
from algohost.domain.users import User
from algohost.web.access import Access, HttpEndpoint, Route, host_of, user_of
from algohost.web.answers import done
from algohost.web.bodies import json_as
from algohost.web.shown import iso

if TYPE_CHECKING:
    from algohost.web.services import Host


class _New(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    name: str = Field(max_length=200)
    url: str = Field(max_length=MOST_URL)


class _Named(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    name: str = Field(max_length=200)


class _NamedOrAll(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    name: str | None = Field(default=None, max_length=200)


def targets_json(host: "Host", user: User) -> list[dict[str, Any]]:
    """The user's targets, without their addresses."""
    return [
        {"id": one.id, "name": one.name, "service": one.service, "added_at": iso(one.added_at)}
        for one in host.notices.targets(user)
    ]


def latest_json(host: "Host", user: User) -> list[dict[str, Any]]:
    """The user's last messages and how each fared; the text only while it waits."""
    names = {one.id: one.name for one in host.notices.targets(user)}
    return [
        {
            "at": iso(one.at),
            "target": names.get(one.target_id, "removed"),
            "title": one.title,
            "priority": one.priority,
            "state": one.state.value,
            "tries": one.tries,
            "ended_at": iso(one.ended_at),
            "reason": one.reason,
        }
        for one in host.notices.latest(user)
    ]


def tested_json(tested: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """How a test fared with each target."""
    return [{"name": name, "arrived": not reason, "reason": reason} for name, reason in tested]


async def show(request: Request) -> Response:
    """``GET /api/notices``: the targets, and the last messages."""
    host, user = host_of(request), user_of(request)
    return done("", targets=targets_json(host, user), latest=latest_json(host, user))


async def add(request: Request) -> Response:
    """``POST /api/notices/targets`` with ``{name, url}``; the address is not shown again."""
    body = await json_as(request, _New)
    host, user = host_of(request), user_of(request)
    new = await host.notices.add(user, body.name, body.url)
    message = f"Messages go to {new.name} ({new.service}) from now on. Send a test."
    return done(message, targets=targets_json(host, user))


async def remove(request: Request) -> Response:
    """``POST /api/notices/targets/remove`` with ``{name}``."""
    body = await json_as(request, _Named)
    host, user = host_of(request), user_of(request)
    await host.notices.remove(user, body.name)
    return done("The notification target is removed.", targets=targets_json(host, user))


async def test(request: Request) -> Response:
    """``POST /api/notices/targets/test`` with ``{name?}``: one target, or all."""
    body = await json_as(request, _NamedOrAll)
    host, user = host_of(request), user_of(request)
    tested = list(await host.notices.test(user, body.name))
    arrived = sum(not reason for _, reason in tested)
    message = f"{arrived} of {len(tested)} targets took the test message."
    return done(message, tested=tested_json(tested))


def _route(method: str, path: str, endpoint: HttpEndpoint) -> Route:
    return Route(
        method=method, path=path, endpoint=endpoint, access=Access.USER, max_body_bytes=8_192
    )


ROUTES: Final[list[Route]] = [
    _route("GET", "/api/notices", show),
    _route("POST", "/api/notices/targets", add),
    _route("POST", "/api/notices/targets/remove", remove),
    _route("POST", "/api/notices/targets/test", test),
]

"""The JSON routes of a strategy's settings, variables and secrets.

No answer ever holds the value of a secret, nor a refusal what was sent as one.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from algohost.domain.strategy_settings import StrategySettings
from algohost.domain.users import User
from algohost.web.access import Access, HttpEndpoint, Route, host_of, user_of
from algohost.web.answers import done
from algohost.web.bodies import json_as, json_object
from algohost.web.shown import iso

if TYPE_CHECKING:
    from algohost.web.services import Host

_VALUE_BYTES: Final = 262_144
"""JSON writes a byte of a value with up to six; the value's own limit is checked after decoding."""


class _Named(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    name: str


class _Valued(_Named):
    value: str


def complete(settings: StrategySettings) -> dict[str, Any]:
    """Every setting in JSON values, those with their default too."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(settings).items()
    }


def state(host: "Host", user: User, strategy_id: str) -> dict[str, Any]:
    """Settings, variables with values, secrets without; reads the database."""
    view = host.strategies.get(user, strategy_id)
    found = host.variables.list(user, strategy_id)
    return {
        "settings": complete(view.strategy.settings),
        "variables": [
            {"name": one.name, "value": one.value, "changed_at": iso(one.changed_at)}
            for one in found
            if not one.is_secret
        ],
        "secrets": [
            {"name": one.name, "changed_at": iso(one.changed_at)} for one in found if one.is_secret
        ],
    }


async def change(
    host: "Host", user: User, strategy_id: str, changes: dict[str, object]
) -> StrategySettings:
    """Keeps ``changes`` over the settings in force. Raises ``Invalid``, ``Forbidden``."""
    view = await host.strategies.configure(user, strategy_id, changes)
    return view.strategy.settings


def when_it_applies(host: "Host", user: User, strategy_id: str) -> str:
    """The sentence that ends every answer to a change."""
    latest = host.strategies.get(user, strategy_id).latest
    if latest is not None and latest.is_live:
        return "The run that is on keeps what it has; this applies from the next start."
    return "This applies from the next start."


async def _told(request: Request, message: str) -> Response:
    host, user, strategy_id = _asked(request)
    applies = when_it_applies(host, user, strategy_id)
    found = await run_in_threadpool(state, host, user, strategy_id)
    return done(f"{message} {applies}", **found)


def _asked(request: Request) -> tuple["Host", User, str]:
    return host_of(request), user_of(request), request.path_params["strategy_id"]


async def settings(request: Request) -> Response:
    """``GET /python/settings/<id>``: settings, variables, and the names of secrets."""
    return done("", **await run_in_threadpool(state, *_asked(request)))


async def save_settings(request: Request) -> Response:
    """``POST /python/settings/<id>`` with settings to change; others stay as they are."""
    await change(*_asked(request), await json_object(request))
    return await _told(request, "The settings were saved.")


async def set_variable(request: Request) -> Response:
    """``POST /python/variable/<id>`` with ``{name, value}``: adds or replaces."""
    body = await json_as(request, _Valued)
    host, user, strategy_id = _asked(request)
    await host.variables.set_plain(user, strategy_id, {body.name: body.value})
    return await _told(request, f"{body.name} was set.")


async def remove_variable(request: Request) -> Response:
    """``POST /python/variable/<id>/delete`` with ``{name}``."""
    body = await json_as(request, _Named)
    host, user, strategy_id = _asked(request)
    await host.variables.remove_plain(user, strategy_id, [body.name])
    return await _told(request, f"{body.name} was removed.")


async def set_secret(request: Request) -> Response:
    """``POST /python/secret/<id>`` with ``{name, value}``: adds or replaces; never shown again."""
    body = await json_as(request, _Valued)
    host, user, strategy_id = _asked(request)
    await host.variables.set_secret(user, strategy_id, body.name, body.value)
    return await _told(request, f"The secret {body.name} was set.")


async def remove_secret(request: Request) -> Response:
    """``POST /python/secret/<id>/delete`` with ``{name}``."""
    body = await json_as(request, _Named)
    host, user, strategy_id = _asked(request)
    await host.variables.remove_secrets(user, strategy_id, [body.name])
    return await _told(request, f"The secret {body.name} was removed.")


def _owner(method: str, path: str, endpoint: HttpEndpoint, most_bytes: int = 16_384) -> Route:
    return Route(
        method=method,
        path=path,
        endpoint=endpoint,
        access=Access.OWNER,
        max_body_bytes=most_bytes,
    )


ROUTES: Final[list[Route]] = [
    _owner("GET", "/python/settings/{strategy_id}", settings),
    _owner("POST", "/python/settings/{strategy_id}", save_settings, 65_536),
    _owner("POST", "/python/variable/{strategy_id}", set_variable, _VALUE_BYTES),
    _owner("POST", "/python/variable/{strategy_id}/delete", remove_variable),
    _owner("POST", "/python/secret/{strategy_id}", set_secret, _VALUE_BYTES),
    _owner("POST", "/python/secret/{strategy_id}/delete", remove_secret),
]

"""The environment of a strategy in JSON: its routes, and what the live socket sends of it."""

import asyncio
import contextlib
import platform
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from algohost.domain.ids import StrategyId
from algohost.domain.strategies import Strategy
from algohost.domain.users import User
from algohost.host.environment_views import EnvironmentView, State
from algohost.host.requirements import MOST_CHARACTERS
from algohost.web.access import Access, HttpEndpoint, Route, host_of, user_of
from algohost.web.answers import done
from algohost.web.bodies import json_as
from algohost.web.live_hub import LiveHub
from algohost.web.live_topics import PAUSE_SECONDS, Send

if TYPE_CHECKING:
    from algohost.web.services import Host

_LOOK_SECONDS: Final = 5.0
_WORDS: Final = {
    State.BUILT_IN: "Built in",
    State.NOT_MADE: "Not made yet",
    State.MAKING: "Being made",
    State.NOT_ALLOWED: "Not allowed yet",
    State.READY: "Ready",
    State.FAILED: "Not made",
}


class _Requirements(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    requirements: str = Field(max_length=MOST_CHARACTERS)


class _Allowed(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    key: str = Field(max_length=64)


def shown(view: EnvironmentView) -> dict[str, Any]:
    """An environment in JSON values; control characters of what uv said are taken out."""
    asked, facts, allowed = view.asked, view.facts, view.allowed
    found = facts or view.proposed
    built_in = platform.python_version() if view.state is State.BUILT_IN else None
    return {
        "state": view.state.value,
        "word": _WORDS[view.state],
        "asked": list(asked.lines) if asked else [],
        "asked_python": asked.python if asked else "",
        "origin": asked.origin.value if asked else "",
        "requirements": view.typed,
        "python": found.python if found else built_in,
        "packages": [list(one) for one in found.packages] if found else [],
        "size_bytes": facts.size_bytes if facts else None,
        "made_at": facts.made_at if facts else None,
        "key": found.key if found else None,
        "allowed_by": allowed.allowed_by if allowed else None,
        "allowed_at": allowed.allowed_at.isoformat(timespec="seconds") if allowed else None,
        "line": _plain(view.line),
        "error": _plain(view.error),
    }


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


async def show(request: Request) -> Response:
    """``GET /python/environment/<id>``: how it stands."""
    host, strategy = _asked(request)
    return done("", environment=shown(await host.environments.look(strategy)))


async def set_requirements(request: Request) -> Response:
    """``POST /python/environment/<id>`` with ``{requirements}``; empty text asks for none."""
    body = await json_as(request, _Requirements)
    host, strategy = _asked(request)
    by, text = user_of(request), body.requirements
    view = await host.environments.set_requirements(strategy, text, by=by)
    said = "The requirements were saved. They apply from the next start."
    return done(said, environment=shown(view))


async def make_again(request: Request) -> Response:
    """``POST /python/environment/<id>/again``: resolves anew and makes it."""
    host, strategy = _asked(request)
    view = await host.environments.make_again(strategy)
    return done("The environment is being made.", environment=shown(view))


async def allow(request: Request) -> Response:
    """``POST /python/environment/<id>/allow`` with ``{key}``, by an administrator.

    The key names what the administrator has seen: of other packages nothing is allowed.
    """
    body = await json_as(request, _Allowed)
    host, strategy = _asked(request)
    await host.environments.allow(user_of(request), body.key)
    view = await host.environments.look(strategy)
    return done("The packages were allowed.", environment=shown(view))


async def topic(hub: LiveHub, user: User, strategy_id: StrategyId, send: Send) -> None:
    """``{environment}`` at once, and again whenever it changes."""
    environments, changed = hub.host.environments, asyncio.Event()

    def heard(changed_id: StrategyId) -> None:
        if changed_id == strategy_id:
            changed.set()

    stop = environments.listen(heard)
    try:
        last = None
        while True:
            strategy = hub.host.strategies.get(user, strategy_id).strategy  # NotFound ends it
            now = shown(await environments.look(strategy))
            if now != last:
                last = now
                await send({"environment": now})
            await asyncio.sleep(PAUSE_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await changed.wait()
            changed.clear()
    finally:
        stop()


def _asked(request: Request) -> tuple["Host", Strategy]:
    host = host_of(request)
    view = host.strategies.get(user_of(request), request.path_params["strategy_id"])
    return host, view.strategy


def _owner(method: str, path: str, endpoint: HttpEndpoint, most_bytes: int = 4_096) -> Route:
    return Route(
        method=method,
        path=path,
        endpoint=endpoint,
        access=Access.OWNER,
        max_body_bytes=most_bytes,
    )


ROUTES: Final[list[Route]] = [
    _owner("GET", "/python/environment/{strategy_id}", show),
    _owner("POST", "/python/environment/{strategy_id}", set_requirements, 4 * MOST_CHARACTERS),
    _owner("POST", "/python/environment/{strategy_id}/again", make_again),
    _owner("POST", "/python/environment/{strategy_id}/allow", allow),
]

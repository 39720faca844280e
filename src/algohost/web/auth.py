"""Setting up, logging in and logging out."""

from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from algohost.domain.users import paper_account
from algohost.web.access import (
    ANONYMOUS_COOKIE,
    SESSION_COOKIE,
    Access,
    Route,
    host_of,
    session_secret,
    set_cookie,
)
from algohost.web.answers import done
from algohost.web.bodies import json_as

if TYPE_CHECKING:
    from algohost.host.identity import Session

HOME: Final = "/python"


class _Login(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    name: str = Field(max_length=256)
    password: str = Field(max_length=4_096)
    next: str = Field(default=HOME, max_length=2_048)


class _Setup(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    token: str = Field(max_length=256)
    name: str = Field(max_length=256)
    password: str = Field(max_length=4_096)


async def set_up(request: Request) -> Response:
    """``POST /setup``: makes the first administrator and logs them in."""
    body = await json_as(request, _Setup)
    identity, peer = host_of(request).identity, peer_of(request)
    user = await identity.complete_setup(body.token, body.name, body.password, peer)
    await host_of(request).gateway.recover(paper_account(user))
    session, secret = await identity.log_in(body.name, body.password, peer)
    return _entered(request, session, secret, "The server is set up.", HOME)


async def log_in(request: Request) -> Response:
    """``POST /login``: a new session, whatever cookie came along; the old one ends."""
    body = await json_as(request, _Login)
    identity = host_of(request).identity
    session, secret = await identity.log_in(body.name, body.password, peer_of(request))
    earlier = session_secret(request)
    if earlier:
        await identity.log_out(earlier)
    return _entered(request, session, secret, "You are logged in.", safe_next(body.next))


async def log_out(request: Request) -> Response:
    """``POST /logout``: the session ends at once, here and wherever its cookie was copied to."""
    secret = session_secret(request)
    if secret:
        await host_of(request).identity.log_out(secret)
    response = done("You are logged out.")
    set_cookie(request, response, SESSION_COOKIE, "", max_age_seconds=0)
    return response


def peer_of(request: Request) -> str:
    """The address of whoever connected. Headers that claim another one are not believed."""
    return request.client.host if request.client else "unknown"


def safe_next(path: str) -> str:
    """``path`` if it leads to a page of this server, else the list of strategies."""
    is_ours = path.startswith("/") and path[1:2] not in {"/", "\\"} and path.isprintable()
    return path if is_ours and "\\" not in path else HOME


def _entered(
    request: Request, session: "Session", secret: str, message: str, lead_to: str
) -> Response:
    user = {"name": session.user.name, "is_admin": session.user.is_admin}
    response = done(message, user=user, csrf=session.csrf, next=lead_to)
    left = session.expires_at - host_of(request).clock.now()
    seconds = int(left.total_seconds())
    set_cookie(request, response, SESSION_COOKIE, secret, max_age_seconds=seconds)
    set_cookie(request, response, ANONYMOUS_COOKIE, "", max_age_seconds=0)
    return response


ROUTES: Final[list[Route]] = [
    Route(method="POST", path="/setup", endpoint=set_up, access=Access.SETUP),
    Route(method="POST", path="/login", endpoint=log_in, access=Access.ANONYMOUS),
    Route(method="POST", path="/logout", endpoint=log_out, access=Access.USER),
]

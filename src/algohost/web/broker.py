"""Broker sessions, “Check & start” and the kill switch: their routes, and what is live of them."""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from algohost.domain.broker_sessions import SessionState
from algohost.domain.errors import Invalid
from algohost.domain.kill_switch import Engaged, KillScope, KillStep
from algohost.domain.runs import RunState
from algohost.domain.users import User, paper_account
from algohost.host.broker_sessions import BROKER_LOGGED_OUT
from algohost.host.checking import Checked
from algohost.host.kill_switch import MOST_REASON, refuse_host
from algohost.web.access import Access, HttpEndpoint, Route, host_of, user_of
from algohost.web.answers import done
from algohost.web.bodies import json_as, json_object
from algohost.web.kill_tasks import drill_json, steps_asked, tasks_json
from algohost.web.kill_words import left_sentence, steps_sentence
from algohost.web.live_topics import PAUSE_SECONDS, Send
from algohost.web.master_contracts import report_json
from algohost.web.risk import queues_json
from algohost.web.rows import gate_json
from algohost.web.shown import iso, ist_long

if TYPE_CHECKING:
    from algohost.web.live_hub import LiveHub
    from algohost.web.services import Host

_LOOK_SECONDS: Final = 1.0
_MOST_ANSWERS: Final = 16
_GO_ON: Final = "Running strategies go on until stopped."
_WORDS: Final = {
    SessionState.LOGGED_IN: "Logged in",
    SessionState.LOGGED_OUT: "Logged out",
    SessionState.EXPIRED: "Expired",
}


class _Target(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    scope: str = Field(default=KillScope.ACCOUNT.value, max_length=20)
    id: str = Field(default="", max_length=120)
    reason: str = Field(default="", max_length=MOST_REASON)
    steps: list[str] = Field(default_factory=list, max_length=len(KillStep))
    drill: bool = False
    """Only say what the steps would do, and engage nothing."""


# ---- in JSON values


def session_json(host: "Host", user: User) -> dict[str, Any]:
    """The login of the user's account, and how many strategies it concerns."""
    view = host.broker_sessions.view(user)
    mine = [v for v in host.strategies.list(user) if v.strategy.owner_id == user.id]
    return {
        "account_id": view.account_id,
        "broker": view.broker,
        "state": view.state.value,
        "word": _WORDS[view.state],
        "since": iso(view.since),
        "by": view.by,
        "expires_at": iso(view.expires_at),
        "is_expiring": view.is_expiring,
        "fields": [
            {"name": one.name, "label": one.label, "is_secret": one.is_secret}
            for one in view.fields
        ],
        "running": sum(
            1 for v in mine if v.latest is not None and v.latest.state is RunState.RUNNING
        ),
        "waiting": sum(1 for v in mine if any(gate.code == BROKER_LOGGED_OUT for gate in v.gates)),
    }


def engaged_json(host: "Host", user: User, engaged: Engaged) -> dict[str, Any]:
    """An engaged switch, and whether the user may release it."""
    target = engaged.target
    is_host = target.scope is KillScope.HOST
    covers = _covers(host, user, engaged)
    why = f" ({engaged.reason.rstrip('.')})" if engaged.reason else ""
    return {
        "scope": target.scope.value,
        "id": target.id,
        "covers": covers,
        "by": engaged.by,
        "at": iso(engaged.at),
        "reason": engaged.reason,
        "sentence": f"The kill switch of {covers} is engaged by {engaged.by} since"
        f" {ist_long(engaged.at)}{why}. Nothing starts, new orders are refused.",
        "may_release": user.is_admin or (not is_host and engaged.by == user.name),
    }


def switches_json(host: "Host", user: User) -> list[dict[str, Any]]:
    """Every engaged switch that concerns the user, widest first."""
    return [engaged_json(host, user, one) for one in host.kill_switch.engaged(user)]


def checked_json(checked: Checked) -> dict[str, Any]:
    """What a look at all gates has found."""
    return {
        "started": [v.strategy.id for v in checked.started],
        "waiting": [
            {
                "id": v.strategy.id,
                "name": v.strategy.name,
                "gates": [gate_json(gate) for gate in v.gates],
            }
            for v in checked.waiting
        ],
    }


def state_json(host: "Host", user: User) -> dict[str, Any]:
    """What the panel and the banner show; reads no disk."""
    return {
        "session": session_json(host, user),
        "contracts": report_json(host),
        "kill_switches": switches_json(host, user),
        "kill_tasks": tasks_json(host, user),
        "queues": queues_json(host, user),
    }


def _covers(host: "Host", user: User, engaged: Engaged) -> str:
    target = engaged.target
    match target.scope:
        case KillScope.HOST:
            return "the whole server"
        case KillScope.ACCOUNT:
            return "your account" if target.id == paper_account(user) else f"account {target.id}"
        case KillScope.STRATEGY:
            return f"“{host.strategies.get(user, target.id).strategy.name}”"


# ---- routes


async def session(request: Request) -> Response:
    """``GET /api/broker/session``: how the login stands, and what happened to it lately."""
    host, user = host_of(request), user_of(request)
    events = await run_in_threadpool(host.broker_sessions.events, user)
    shown = [{"at": iso(e.at), "kind": e.kind, "sentence": e.sentence} for e in events]
    return done("", session=session_json(host, user), events=shown)


async def log_in(request: Request) -> Response:
    """``POST /api/broker/login`` with what the broker asks for, by the names in ``fields``."""
    host, user = host_of(request), user_of(request)
    await host.broker_sessions.log_in(user, answers_of(await json_object(request)))
    return done("You are logged in to the broker.", **state_json(host, user))


async def log_out(request: Request) -> Response:
    """``POST /api/broker/logout``: starts wait from now on; what runs, runs on."""
    host, user = host_of(request), user_of(request)
    await host.broker_sessions.log_out(user)
    message = "You are logged out of the broker. Running strategies go on; starts wait."
    return done(message, **state_json(host, user))


async def check_contracts(request: Request) -> Response:
    """``POST /python/check-contracts``: a look at all gates, now; what may start is started."""
    host, user = host_of(request), user_of(request)
    checked = await host.checking.check_and_start(user)
    return done(checked.sentence, **checked_json(checked))


async def kill_switches(request: Request) -> Response:
    """``GET /api/kill-switch``: what is engaged and concerns the asker, and what it was asked."""
    host, user = host_of(request), user_of(request)
    return done("", kill_switches=switches_json(host, user), kill_tasks=tasks_json(host, user))


async def engage(request: Request) -> Response:
    """``POST /api/kill-switch/engage`` with ``{scope?, id?, reason?, steps?, drill?}``.

    One's own account by default. A drill says what the steps would do, and engages nothing.
    """
    body = await json_as(request, _Target)
    host, user = host_of(request), user_of(request)
    target = host.kill_switch.target(user, body.scope, body.id)
    steps = steps_asked(body.steps)
    if body.drill:
        refuse_host(user, target)
        left = host.kill_actions.drill(target, steps or tuple(KillStep))
        return done(left_sentence(left), drill=drill_json(left))
    engaged = await host.kill_switch.engage(user, target, reason=body.reason, steps=steps)
    covers = _covers(host, user, engaged)
    rest = f"It will {steps_sentence(steps)}." if steps else _GO_ON
    return done(
        f"The kill switch of {covers} is engaged. {rest}",
        kill_switches=switches_json(host, user),
        kill_tasks=tasks_json(host, user),
    )


async def release(request: Request) -> Response:
    """``POST /api/kill-switch/release`` with ``{scope?, id?}``; by default one's account."""
    body = await json_as(request, _Target)
    host, user = host_of(request), user_of(request)
    await host.kill_switch.release(user, host.kill_switch.target(user, body.scope, body.id))
    others = switches_json(host, user)
    message = "The kill switch is released; what waits for it starts by itself."
    if others:
        message = "The kill switch is released. Another one is engaged; what it covers waits on."
    return done(message, kill_switches=others)


def answers_of(body: dict[str, Any]) -> dict[str, str]:
    """What was typed into the fields of a login. Raises ``Invalid``, and repeats nothing of it."""
    if len(body) > _MOST_ANSWERS or not all(isinstance(value, str) for value in body.values()):
        raise Invalid("Send the fields of the login as texts.")
    return body


async def topic(hub: "LiveHub", user: User, send: Send) -> None:
    """``{session, contracts, kill_switches}`` at once, and again whenever they change."""
    host, changed = hub.host, asyncio.Event()
    unlisten = [
        host.broker_sessions.listen(lambda _account: changed.set()),
        host.kill_switch.listen(changed.set),
        host.kill_switch.tasks.listen(changed.set),
        host.master_contracts.listen(lambda _report: changed.set()),
        host.strategies.listen(lambda _view: changed.set()),
    ]
    last = None
    try:
        while True:
            now = state_json(host, user)
            if now != last:
                last = now
                await send(now)
            await asyncio.sleep(PAUSE_SECONDS)
            with contextlib.suppress(TimeoutError):  # an expiry comes by the clock alone
                async with asyncio.timeout(_LOOK_SECONDS):
                    await changed.wait()
            changed.clear()
    finally:
        for stop in unlisten:
            stop()


def _route(method: str, path: str, endpoint: HttpEndpoint) -> Route:
    return Route(
        method=method, path=path, endpoint=endpoint, access=Access.USER, max_body_bytes=4_096
    )


ROUTES: Final[list[Route]] = [
    _route("GET", "/api/broker/session", session),
    _route("POST", "/api/broker/login", log_in),
    _route("POST", "/api/broker/logout", log_out),
    _route("POST", "/python/check-contracts", check_contracts),
    _route("GET", "/api/kill-switch", kill_switches),
    _route("POST", "/api/kill-switch/engage", engage),
    _route("POST", "/api/kill-switch/release", release),
]

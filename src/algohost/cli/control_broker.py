"""What the server answers to the command line about broker sessions, kill switch and limits."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from algohost.cli.control_risk import RiskControl
from algohost.domain.errors import Invalid
from algohost.domain.kill_switch import KillScope, KillStep
from algohost.domain.users import User
from algohost.host.kill_switch import refuse_host
from algohost.web.bodies import json_object
from algohost.web.broker import answers_of, checked_json, session_json, switches_json
from algohost.web.kill_tasks import drill_json, steps_asked, tasks_json
from algohost.web.shown import iso

if TYPE_CHECKING:
    from algohost.web.services import Host

Act = Callable[[Request], Awaitable[Response]]


class BrokerControl:
    """The answers, over one host; ``actor`` says as whom a request acts."""

    def __init__(self, host: "Host", actor: Callable[[Request], User]) -> None:
        self._host = host
        self._actor = actor
        self.table: list[tuple[str, str, Act]] = [
            ("GET", "/v1/broker", self.status),
            ("POST", "/v1/broker/login", self.log_in),
            ("POST", "/v1/broker/logout", self.log_out),
            ("POST", "/v1/broker/check", self.check),
            ("GET", "/v1/kill", self.switches),
            ("POST", "/v1/kill/engage", self.engage),
            ("POST", "/v1/kill/release", self.release),
            *RiskControl(host, actor).table,
        ]

    async def status(self, request: Request) -> Response:
        """How the login of the user's account stands, and what happened to it lately."""
        user = self._actor(request)
        events = await run_in_threadpool(self._host.broker_sessions.events, user)
        shown = [{"at": iso(e.at), "kind": e.kind, "sentence": e.sentence} for e in events]
        return self._told(session=session_json(self._host, user), events=shown)

    async def log_in(self, request: Request) -> Response:
        """Opens a session with the answers in the body."""
        user = self._actor(request)
        await self._host.broker_sessions.log_in(user, answers_of(await json_object(request)))
        return self._told(session=session_json(self._host, user))

    async def log_out(self, request: Request) -> Response:
        """Ends the session."""
        user = self._actor(request)
        await self._host.broker_sessions.log_out(user)
        return self._told(session=session_json(self._host, user))

    async def check(self, request: Request) -> Response:
        """Looks at all gates and starts what nothing holds back."""
        checked = await self._host.checking.check_and_start(self._actor(request))
        return self._told(message=checked.sentence, **checked_json(checked))

    async def switches(self, request: Request) -> Response:
        """Every engaged switch that concerns the user."""
        return self._switches(self._actor(request))

    async def engage(self, request: Request) -> Response:
        """Engages the switch of ``{scope, id?, reason?, steps?}``; with ``drill`` only says so."""
        user, body = self._actor(request), await json_object(request)
        target = self._host.kill_switch.target(user, _text(body, "scope"), _text(body, "id"))
        asked = body.get("steps", [])
        steps = steps_asked(asked if isinstance(asked, list) else [asked])
        if body.get("drill") is True:
            refuse_host(user, target)
            left = self._host.kill_actions.drill(target, steps or tuple(KillStep))
            return self._told(drill=drill_json(left))
        reason = _text(body, "reason")
        await self._host.kill_switch.engage(user, target, reason=reason, steps=steps)
        return self._switches(user)

    async def release(self, request: Request) -> Response:
        """Releases the switch of ``{scope, id?}``."""
        user, body = self._actor(request), await json_object(request)
        target = self._host.kill_switch.target(user, _text(body, "scope"), _text(body, "id"))
        await self._host.kill_switch.release(user, target)
        return self._switches(user)

    def _switches(self, user: User) -> Response:
        return self._told(
            kill_switches=switches_json(self._host, user), kill_tasks=tasks_json(self._host, user)
        )

    def _told(self, **fields: Any) -> Response:
        return JSONResponse({"success": True, **fields})


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name, KillScope.ACCOUNT.value if name == "scope" else "")
    if not isinstance(value, str):
        raise Invalid(f"{name} must be a text.")
    return value

"""What the server answers to the command line, over the control socket.

Whoever reaches the socket is the server's own Unix user, who could read the database anyway;
there is no password here. Each request acts as a named user, so that owners and limits are the
same as in the pages.
"""

import base64
import binascii
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from algohost import __version__
from algohost.cli.control_accounts import AccountControl
from algohost.cli.control_audit import AuditControl
from algohost.cli.control_broker import BrokerControl
from algohost.cli.control_calendars import CalendarControl
from algohost.cli.control_contracts import ContractControl
from algohost.cli.control_environments import EnvironmentControl
from algohost.cli.control_notices import NoticeControl
from algohost.cli.control_performance import PerformanceControl
from algohost.cli.control_schedules import ScheduleControl
from algohost.cli.control_settings import SettingsControl
from algohost.domain.errors import AlgohostError, Conflict, Invalid, NotFound, Unauthorized
from algohost.domain.runs import Run, signal_name
from algohost.domain.strategies import Phase
from algohost.domain.users import User, paper_account
from algohost.host import requirements
from algohost.host.log_search import search
from algohost.web.logs import MOST_RUNS, page_json, query_of
from algohost.web.rows import row, rows
from algohost.web.usage import figures

if TYPE_CHECKING:
    from algohost.web.services import Host

STOP_SECONDS = 30.0
_AT_REST = frozenset({Phase.STOPPED, Phase.ERROR})


def create_control_app(
    host: "Host", *, token: str | None = None, end: Callable[[], None] | None = None
) -> Starlette:
    """The application behind the control socket.

    ``token``: what each request must bear, where the socket is one that others can reach.
    ``end`` ends the server; None for the signal that ``serve`` waits for.
    """
    control = _Control(host, end or _end_this_process)
    table: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
        ("GET", "/v1/server", control.server),
        ("GET", "/v1/status", control.status),
        ("POST", "/v1/down", control.down),
        ("POST", "/v1/users", control.add_user),
        ("POST", "/v1/passwords", control.set_password),
        ("POST", "/v1/keys", control.new_key),
        ("GET", "/v1/strategies", control.list_strategies),
        ("POST", "/v1/strategies", control.add_strategy),
        ("GET", "/v1/strategies/{id}", control.show_strategy),
        ("DELETE", "/v1/strategies/{id}", control.delete_strategy),
        ("POST", "/v1/strategies/{id}/start", control.start_strategy),
        ("POST", "/v1/strategies/{id}/stop", control.stop_strategy),
        ("GET", "/v1/strategies/{id}/log", control.log),
        ("GET", "/v1/strategies/{id}/search", control.search),
        *control.accounts.table,
        *control.settings.table,
        *control.calendars.table,
        *control.contracts.table,
        *control.audit.table,
        *control.performance.table,
        *control.schedules.table,
        *control.broker.table,
        *control.notices.table,
        *control.environments.table,
    ]
    routes = [Route(path, _guarded(act, token), methods=[method]) for method, path, act in table]
    return Starlette(routes=routes, exception_handlers={404: _nothing_there})


class _Control:
    """The answers, over one host."""

    def __init__(self, host: "Host", end: Callable[[], None]) -> None:
        self._host = host
        self._end = end
        self.accounts = AccountControl(host, self._actor)
        self.settings = SettingsControl(host, self._actor)
        self.calendars = CalendarControl(host, self._actor)
        self.contracts = ContractControl(host, self._actor)
        self.audit = AuditControl(host)
        self.performance = PerformanceControl(host, self._actor)
        self.schedules = ScheduleControl(host, self._actor)
        self.broker = BrokerControl(host, self._actor)
        self.notices = NoticeControl(host, self._actor)
        self.environments = EnvironmentControl(host, self._actor)

    # ---- the server

    async def server(self, request: Request) -> Response:  # noqa: ARG002
        settings = self._host.settings
        has_users = self._host.identity.has_users()
        token = None if has_users else self._host.identity.setup_token()
        trouble = await run_in_threadpool(self._host.variables.trouble)
        return _done(
            version=__version__,
            pid=os.getpid(),
            web=settings.web_url,
            feed=settings.feed_url,
            data_dir=str(settings.data_dir),
            market=settings.market,
            setup_link=f"{settings.web_url}/setup?token={token}" if token else None,
            has_users=has_users,
            agent=self._host.agent.is_connected,
            secrets_trouble=trouble,
        )

    async def status(self, request: Request) -> Response:
        """How the server stands, also before there is a user, and each strategy."""
        views = (
            self._host.strategies.list(self._actor(request))
            if self._host.identity.has_users()
            else ()
        )
        counts: dict[str, int] = {}
        for view in views:
            counts[view.phase.value] = counts.get(view.phase.value, 0) + 1
        server = json.loads(bytes((await self.server(request)).body))
        return _done(**server, counts=counts, strategies=rows(views, self._host))

    async def down(self, request: Request) -> Response:
        """Ends the server, after the answer is out; every run first where ``runs`` says so."""
        body = await _body(request)
        stopped = await self._stop_all() if body.get("runs") is True else []
        return JSONResponse(
            {"success": True, "pid": os.getpid(), "stopped": stopped},
            background=BackgroundTask(self._ended),
        )

    async def _ended(self) -> None:
        self._end()

    async def _stop_all(self) -> list[str]:
        asked = []
        for user in self._host.identity.users():
            for view in self._host.strategies.list(user):
                if view.strategy.owner_id == user.id and view.phase not in _AT_REST:
                    await self._host.strategies.stop(user, view.strategy.id)
                    asked.append(view.strategy.id)
        for strategy_id in asked:
            await self._settled(strategy_id)
        return [str(strategy_id) for strategy_id in asked]

    # ---- users

    async def add_user(self, request: Request) -> Response:
        body = await _body(request)
        user = await self._host.identity.create_user(
            _text(body, "name"), _text(body, "password"), is_admin=body.get("is_admin") is True
        )
        await self._host.gateway.recover(paper_account(user))
        return _done(user={"id": user.id, "name": user.name, "is_admin": user.is_admin})

    async def set_password(self, request: Request) -> Response:
        body = await _body(request)
        user = self._user_named(_text(body, "name"))
        await self._host.identity.set_password(user.id, _text(body, "password"))
        return _done(user=user.name)

    async def new_key(self, request: Request) -> Response:
        user = self._user_named(_text(await _body(request), "name"))
        return _done(user=user.name, key=await self._host.identity.new_key(user.id))

    def _user_named(self, name: str) -> User:
        for user in self._host.identity.users():
            if user.name.casefold() == name.casefold():
                return user
        message = f"There is no user {name[:80]!r}; make one with 'algohost user add'."
        raise NotFound(message, code="NO_USER")

    def _actor(self, request: Request) -> User:
        """The user whom the request names, or the only one it can mean."""
        named = request.query_params.get("user")
        if named is not None:
            return self._user_named(named)
        users = list(self._host.identity.users())
        candidates = [u for u in users if u.is_admin] if len(users) > 1 else users
        if len(candidates) == 1:
            return candidates[0]
        if not users:
            message = "There is no user yet; open the setup link, or run 'algohost user add'."
            raise Unauthorized(message, code="NO_USER")
        names = ", ".join(u.name for u in candidates or users)
        message = f"Say as whom, with --user: {names}."
        raise Invalid(message, code="WHICH_USER")

    # ---- strategies

    async def list_strategies(self, request: Request) -> Response:
        views = self._host.strategies.list(self._actor(request))
        return _done(strategies=rows(views, self._host))

    async def add_strategy(self, request: Request) -> Response:
        body = await _body(request)
        try:
            content = base64.b64decode(_text(body, "content"), validate=True)
        except binascii.Error as error:
            message = "The file's content arrived damaged; send it again."
            raise Invalid(message) from error
        asked = requirements.check(_text(body, "requirements")) if "requirements" in body else ""
        view = await self._host.strategies.add(
            owner=(by := self._actor(request)),
            name=_text(body, "name"),
            file_name=_text(body, "file_name"),
            content=content,
            exchange=_text(body, "exchange"),
        )
        if asked:
            await self._host.environments.set_requirements(view.strategy, asked, by=by)
        return _done(strategy=row(view, self._host))

    async def show_strategy(self, request: Request) -> Response:
        actor, strategy_id = self._actor(request), request.path_params["id"]
        view = self._host.strategies.get(actor, strategy_id)
        runs = self._host.strategies.runs(actor, strategy_id, limit=10)
        used = await run_in_threadpool(figures, self._host, view)
        return _done(
            strategy=row(view, self._host),
            runs=[_run_row(run) for run in runs],
            usage={"now": used["now"], "events": used["events"]},
        )

    async def delete_strategy(self, request: Request) -> Response:
        await self._host.strategies.delete(self._actor(request), request.path_params["id"])
        return _done(deleted=request.path_params["id"])

    async def start_strategy(self, request: Request) -> Response:
        """Starts, and waits until it runs, ended or waits for a gate."""
        actor, strategy_id = self._actor(request), request.path_params["id"]
        view = await self._host.strategies.start(actor, strategy_id)
        if request.query_params.get("wait") != "0":
            await self._settled(view.strategy.id)
            view = self._host.strategies.get(actor, strategy_id)
        if view.phase is Phase.ERROR and view.latest is not None and view.latest.process is None:
            message = f"“{view.strategy.name}” did not start: {view.sentence}"
            raise Conflict(message, code="FAILED_TO_START")
        return _done(strategy=row(view, self._host))

    async def stop_strategy(self, request: Request) -> Response:
        actor, strategy_id = self._actor(request), request.path_params["id"]
        view = await self._host.strategies.stop(actor, strategy_id)
        if request.query_params.get("wait") != "0":
            await self._settled(view.strategy.id)
            view = self._host.strategies.get(actor, strategy_id)
        return _done(strategy=row(view, self._host))

    async def _settled(self, strategy_id: Any) -> None:
        seconds = self._host.settings.stop_grace_seconds + STOP_SECONDS
        try:
            await self._host.strategies.settled(strategy_id, timeout_seconds=seconds)
        except TimeoutError as error:
            phase = next(
                view.phase.value
                for user in self._host.identity.users()
                for view in self._host.strategies.list(user)
                if view.strategy.id == strategy_id
            )
            message = f"{strategy_id} is still {phase} after {seconds:.0f} s; look again later."
            raise Conflict(message, code="NOT_SETTLED") from error

    async def search(self, request: Request) -> Response:
        """Lines of all runs' logs, asked for as in ``GET /python/search/<id>``."""
        actor, strategy_id = self._actor(request), request.path_params["id"]
        service = self._host.strategies
        runs = await run_in_threadpool(service.runs, actor, strategy_id, limit=MOST_RUNS)
        query, logs = query_of(request.query_params), self._host.logs
        page = await search(logs.folder, runs, query, secrets_of=logs.secrets_of)
        return _done(**page_json(page, runs))

    async def log(self, request: Request) -> Response:
        """The newest run's log, one JSON object per piece; with ``follow=1`` until it ends."""
        actor, strategy_id = self._actor(request), request.path_params["id"]
        view = self._host.strategies.get(actor, strategy_id)
        run = view.latest
        if run is None:
            message = f"“{view.strategy.name}” has not run yet, so it has no log; start it first."
            raise NotFound(message, code="NO_LOG")
        self._host.logs.path(run)
        follow = request.query_params.get("follow") == "1"
        return StreamingResponse(
            self._log_pieces(actor, run, follow=follow), media_type="application/x-ndjson"
        )

    async def _log_pieces(self, actor: User, run: Run, *, follow: bool) -> AsyncIterator[bytes]:
        logs = self._host.logs

        def still_live(_run_id: object) -> bool:
            latest = self._host.strategies.get(actor, run.strategy_id).latest
            return latest is not None and latest.id == run.id and latest.is_live

        live = still_live(run.id)
        tail = await run_in_threadpool(logs.tail, run)
        yield _piece(lines=tail.lines, end=tail.end, truncated=tail.truncated)
        if not live:
            rest = await run_in_threadpool(logs.rest, run, tail.end)
            if rest.lines:
                yield _piece(lines=rest.lines, end=rest.end, truncated=False)
        elif follow:
            async for chunk in logs.follow(run, tail.end, still_live):
                yield _piece(lines=chunk.lines, end=chunk.end, truncated=False)


def _guarded(
    act: Callable[[Request], Awaitable[Response]], token: str | None
) -> Callable[[Request], Awaitable[Response]]:
    """``act`` with the errors of the domain as envelopes, behind the token where there is one."""

    async def answered(request: Request) -> Response:
        try:
            if token is not None and request.headers.get("authorization") != f"Bearer {token}":
                message = "This is the control port of algohost; use the program 'algohost'."
                raise Unauthorized(message)
            return await act(request)
        except AlgohostError as error:
            envelope: dict[str, Any] = {
                "success": False,
                "message": error.message,
                "error_code": error.code,
            }
            if error.details:
                envelope["details"] = error.details
            return JSONResponse(envelope, status_code=error.http_status)

    return answered


async def _nothing_there(_request: Request, _error: Exception) -> Response:
    message = "The server knows nothing of that id; 'algohost strategy list' shows all."
    return JSONResponse(
        {"success": False, "message": message, "error_code": NotFound.code}, status_code=404
    )


def _end_this_process() -> None:
    signal.raise_signal(signal.SIGTERM)


def _done(**fields: Any) -> Response:
    return JSONResponse({"success": True, **fields})


def _piece(**fields: Any) -> bytes:
    return json.dumps(fields).encode() + b"\n"


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        message = "Send a JSON object."
        raise Invalid(message)
    return body


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        message = f"{name} is missing, or is not text."
        raise Invalid(message)
    return value


def _run_row(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "state": run.state.value,
        "created_at": run.created_at.isoformat(),
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "ended_at": run.ended_at.isoformat() if run.ended_at else None,
        "outcome": str(run.outcome) if run.outcome else None,
        "signal": signal_name(run.outcome.signal) if run.outcome and run.outcome.signal else None,
        "reason": run.outcome.reason if run.outcome else "",
        "attempt": run.attempt,
        "stopped_by": run.stop_asked_by,
        "pid": run.process.pid if run.process else None,
        "peak_memory_bytes": run.peak_memory_bytes,
        "cpu_seconds": run.cpu_seconds,
        "log_name": run.log_name,
    }

"""The pages: server-rendered HTML that stands by itself; scripts make it live."""

from pathlib import Path
from typing import Any, Final

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from algohost.domain.instruments import Exchange
from algohost.domain.runs import LIVE
from algohost.host.bundles import MOST_PACKED_BYTES
from algohost.web import broker, market_sessions, schedules, shown, usage
from algohost.web.access import Access, Route, csrf_of, host_of, user_of
from algohost.web.assets import Assets
from algohost.web.auth import safe_next
from algohost.web.environments import shown as shown_environment
from algohost.web.rows import row, rows
from algohost.web.settings import state as settings_state
from algohost.web.strategies import MOST_FILE_BYTES

TABS: Final = ("overview", "log", "orders", "code", "schedule", "runs", "settings")
_HEADINGS: Final = {
    400: "That cannot be done",
    401: "Log in first",
    403: "Not allowed",
    404: "Not found",
    409: "Not now",
    429: "Too many attempts",
    500: "Something went wrong",
    503: "Not available now",
}
_BLANK_ROW: Final[dict[str, Any]] = {
    "id": "",
    "name": "",
    "file_name": "",
    "exchange": "",
    "mode": "paper",
    "phase": "stopped",
    "sentence": "",
    "flags": [],
    "gates": [],
    "restart": None,
    "schedule": "",
    "next_start": None,
    "last_start": None,
    "since": None,
    "run_id": None,
    "pid": None,
    "outcome": None,
    "pnl": None,
    "problem": None,
    "order_count": 0,
}


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(shown.FILTERS)
    environment.filters["json"] = _embedded
    environment.globals["asset"] = Assets().url
    return environment


def _embedded(value: object) -> Markup:
    """JSON that can stand inside a script element: nothing in it can end the element."""
    return Markup(orjson.dumps(value).decode().replace("<", "\\u003c"))  # noqa: S704 - see above


_TEMPLATES: Final = _environment()


def _page(request: Request, template: str, **values: object) -> HTMLResponse:
    html = _TEMPLATES.get_template(template).render(csrf=csrf_of(request), mode="paper", **values)
    return HTMLResponse(html)


def inner_page(request: Request, template: str, nav: str, **values: object) -> HTMLResponse:
    """A page inside the shell: with the market's state, the clock and the user."""
    host = host_of(request)
    return _page(
        request,
        template,
        nav=nav,
        user=user_of(request),
        market_name=shown.market_name(host.market.name),
        sessions=market_sessions.states_json(host.calendars.all(), host.clock.now()),
        now_ms=int(host.clock.now().timestamp() * 1000),
        kill_switches=broker.switches_json(host, user_of(request)),
        **values,
    )


def error_page(_connection: HTTPConnection, status: int, sentence: str, request_id: str) -> str:
    """The HTML of an error: what was wrong and what to do, and a way back."""
    heading = _HEADINGS.get(status, "That did not work")
    return _TEMPLATES.get_template("error.html").render(
        csrf="",
        mode="paper",
        status=status,
        heading=heading,
        sentence=sentence,
        request_id=request_id if status >= 500 else "",
    )


# ---- before login


async def setup_page(request: Request) -> Response:
    """``GET /setup?token=…``: the first administrator; without the token, where to find it."""
    return _page(request, "setup.html", token=request.query_params.get("token", ""))


async def login_page(request: Request) -> Response:
    """``GET /login?next=…``: ``next`` counts only where it leads to this server."""
    next_path = safe_next(request.query_params.get("next", "/python"))
    if request.state.session is not None:
        return RedirectResponse(next_path, 303)
    return _page(request, "login.html", next=next_path)


# ---- strategies


async def home(request: Request) -> Response:  # noqa: ARG001 - every endpoint takes the request
    """``GET /``: the list of strategies is home."""
    return RedirectResponse("/python", 303)


async def strategies_page(request: Request) -> Response:
    """``GET /python``: every strategy that the user may see, newest first."""
    host, user = host_of(request), user_of(request)
    found = rows(reversed(host.strategies.list(user)), host)
    return inner_page(
        request,
        "strategies.html",
        nav="strategies",
        rows=found,
        groups=shown.group_counts(found),
        pnl=shown.total_pnl(found),
        broker=broker.state_json(host, user),
        blank=_BLANK_ROW,
    )


async def new_page(request: Request) -> Response:
    """``GET /python/new``: upload."""
    exchanges = [exchange.value for exchange in Exchange if not exchange.is_index]
    return inner_page(
        request,
        "strategy_new.html",
        nav="new",
        exchanges=exchanges,
        max_bytes=MOST_FILE_BYTES,
        max_zip_bytes=MOST_PACKED_BYTES,
    )


async def overview_page(request: Request) -> Response:
    """``GET /python/<id>``: one strategy; the address's fragment names the tab."""
    return await _strategy_page(request, "overview")


async def edit_page(request: Request) -> Response:
    """``GET /python/edit/<id>``: the same page, opened at the code."""
    return await _strategy_page(request, "code")


async def log_page(request: Request) -> Response:
    """``GET /python/logs/<id>``: the same page, opened at the log."""
    return await _strategy_page(request, "log")


async def _strategy_page(request: Request, tab: str) -> Response:
    host, user = host_of(request), user_of(request)
    view = host.strategies.get(user, request.path_params["strategy_id"])
    strategy_id = view.strategy.id
    runs = await run_in_threadpool(host.strategies.runs, user, strategy_id)
    source = await run_in_threadpool(host.strategies.source, user, strategy_id)
    config = await run_in_threadpool(settings_state, host, user, strategy_id)
    files = await run_in_threadpool(host.strategies.files, user, strategy_id)
    environment = shown_environment(await host.environments.look(view.strategy))
    return inner_page(
        request,
        "strategy.html",
        nav="strategies",
        tab=tab,
        tabs=TABS,
        row=row(view, host),
        latest=view.latest,
        live=view.latest is not None and view.latest.state in LIVE,
        usage=await run_in_threadpool(usage.figures, host, view),
        runs=[shown.run_row(run) for run in runs],
        source=source,
        config=config,
        timetable=await run_in_threadpool(schedules.state, host, user, strategy_id),
        files=files,
        environment=environment,
        version=view.strategy.version_id,
        created_at=shown.ist_long(view.strategy.created_at),
    )


def _get(path: str, endpoint: Any, access: Access) -> Route:
    return Route(method="GET", path=path, endpoint=endpoint, access=access)


ROUTES: Final[list[Route]] = [
    _get("/", home, Access.USER),
    _get("/setup", setup_page, Access.SETUP),
    _get("/login", login_page, Access.ANONYMOUS),
    _get("/python", strategies_page, Access.USER),
    _get("/python/new", new_page, Access.USER),
    _get("/python/edit/{strategy_id}", edit_page, Access.OWNER),
    _get("/python/logs/{strategy_id}", log_page, Access.OWNER),
    _get("/python/{strategy_id}", overview_page, Access.OWNER),
]
"""``/python/{strategy_id}`` comes last: the other addresses of one part must win over it."""

"""The table of routes: each rule against each asker, taken from the rule alone (S10, S12, S14)."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount
from starlette.websockets import WebSocket

from algohost.domain.users import User
from algohost.web.access import PAGE_TOKEN_ACCESS, SESSION_ACCESS, WEBSOCKET, Access, Route
from algohost.web.app import ROUTES, app_of, create_app
from algohost.web.static_files import StaticFiles
from tests.web.asgi import Answer, Browser, knock
from tests.web.conftest import People
from tests.web.world import World

TABLE = [*ROUTES, *StaticFiles().routes]
REACHED = 299
"""What the stand-in for every endpoint answers, so that only the rule speaks."""


async def reached(_request: Request) -> Response:
    return PlainTextResponse("reached", REACHED)


async def reached_socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


def stand_ins(routes: list[Route]) -> list[Route]:
    return [
        replace(r, endpoint=reached_socket if r.method == WEBSOCKET else reached) for r in routes
    ]


ADMIN_ONLY = Route(method="POST", path="/an-admin-route", endpoint=reached, access=Access.ADMIN)


@pytest.fixture
def app(world: World) -> Starlette:
    """The real table over stand-ins, and one route of the level that no route has yet."""
    return app_of([*stand_ins(TABLE), ADMIN_ONLY], world.host)


def address(route: Route, people: People) -> str:
    filled = route.path.replace("{strategy_id}", people.strategy.strategy.id)
    filled = filled.replace("{run_id}", "0123456789abcdef")
    return filled.replace("{name:path}", "app.css").replace("{rest:path}", "anything")


def users(people: People) -> dict[str, User | None]:
    return {
        "anonymous": None,
        "other": people.other,
        "owner": people.owner,
        "admin": people.admin,
    }


def expected(route: Route, who: str, token: str) -> int:
    """What the rule says, and nothing else."""
    unsafe = route.method not in {"GET", WEBSOCKET}
    passed = 101 if route.method == WEBSOCKET else REACHED
    match route.access:
        case Access.PUBLIC:
            return REACHED
        case Access.KEY:
            return 403  # nobody here sends a key, and cookies do not count
        case Access.SETUP:
            return 404 if unsafe else 303  # there are users
        case Access.ANONYMOUS:
            return 403 if unsafe and token != "right" else REACHED
        case Access.USER | Access.OWNER | Access.ADMIN if who == "anonymous":
            return 401
        case _ if unsafe and token != "right":
            return 403
        case Access.OWNER:
            return 404 if who == "other" else passed
        case Access.ADMIN:
            return passed if who == "admin" else 403
        case _:
            return passed


def tokens(route: Route) -> Iterator[str]:
    yield "right"
    if route.method not in {"GET", WEBSOCKET}:
        yield from ("missing", "wrong", "of somebody else")


def test_every_route_lets_in_whom_its_rule_admits_and_nobody_else(
    world: World, app: Starlette, people: People
) -> None:
    stranger = world.browser(people.other, app)
    answers, wanted = {}, {}
    for route in [*TABLE, ADMIN_ONLY]:
        for who, user in users(people).items():
            for token in tokens(route):
                browser = world.browser(user, app)
                if route.access in PAGE_TOKEN_ACCESS:
                    browser.cookies["algohost_anonymous"] = browser.csrf = "t" * 43
                if who == "other" and token == "of somebody else":
                    stranger = world.browser(people.owner, app)
                sent = {"right": browser.csrf, "wrong": "w" * 43}.get(token)
                browser.csrf = stranger.csrf if token == "of somebody else" else sent or ""
                case = f"{route.method} {route.path} by {who}, token {token}"
                answers[case] = status_of(world, browser, route, address(route, people))
                wanted[case] = expected(route, who, token)
    assert answers == wanted
    assert len(answers) > 200


def status_of(world: World, browser: Browser, route: Route, path: str) -> int:
    if route.method == WEBSOCKET:
        origin: dict[str, str | None] = {"origin": "http://localhost:5000"}
        return world.run(knock(browser.app, path, browser.headers(extra=origin)))
    return browser.ask(route.method, path, b"{}").status


def test_before_setup_there_is_nothing_but_the_setup_page(world: World) -> None:
    app = app_of(stand_ins(TABLE), world.host)
    for route in TABLE:
        browser = world.browser(app=app)
        browser.cookies["algohost_anonymous"] = browser.csrf = "t" * 43
        path = route.path.replace("{strategy_id}", "ema_20250602093000")
        status = status_of(world, browser, route, path)
        open_to_all = route.access in {Access.PUBLIC, Access.SETUP}
        if route.path == "/login":
            assert status == (303 if route.method == "GET" else REACHED)
        else:
            assert (status in {REACHED, 101}) is open_to_all, route
    assert world.browser().page("/python").header("location") == "/setup"


CROSS_SITE: list[dict[str, str | None]] = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "origin": None},
    {"sec-fetch-site": "", "origin": None},
    {"origin": "null"},
    {"origin": "null", "sec-fetch-site": None},
    {"origin": "http://evil.example", "sec-fetch-site": None},
    {"origin": "http://evil.example"},
    {"origin": "http://localhost:5001", "sec-fetch-site": None},
    {"origin": "http://localhost", "sec-fetch-site": None},
    {"origin": "http://localhost:5000.evil.example", "sec-fetch-site": None},
    {"origin": "http://evil.example/http://localhost:5000", "sec-fetch-site": None},
    {"origin": "http://user@localhost:5000", "sec-fetch-site": None},
    {"origin": "file://localhost:5000", "sec-fetch-site": None},
    {"origin": "", "sec-fetch-site": None},
]


def test_another_site_changes_nothing_even_with_cookie_and_token(
    world: World, app: Starlette, people: People
) -> None:
    admitted = []
    guarded = [r for r in TABLE if r.access in SESSION_ACCESS | {Access.ANONYMOUS}]
    unsafe = [r for r in guarded if r.method not in {"GET", WEBSOCKET}]
    for route, headers in itertools.product(unsafe, CROSS_SITE):
        browser = world.browser(people.owner, app)
        if route.access is Access.ANONYMOUS:
            browser.cookies["algohost_anonymous"] = browser.csrf = "t" * 43
        status = browser.ask(route.method, address(route, people), b"", headers).status
        if status != 403:
            admitted.append((route.method, route.path, headers, status))
    assert admitted == []


def test_a_client_that_is_no_browser_needs_the_token_only(
    world: World, app: Starlette, people: People
) -> None:
    plain: dict[str, str | None] = {"origin": None, "sec-fetch-site": None}
    browser = world.browser(people.owner, app)
    assert browser.ask("POST", "/python/key", b"", plain).status == REACHED
    browser.csrf = ""
    assert browser.ask("POST", "/python/key", b"", plain).status == 403


def test_two_origins_are_none(world: World, app: Starlette, people: People) -> None:
    browser = world.browser(people.owner, app)
    doubled = [*browser.headers("POST"), ("origin", "http://localhost:5000")]
    browser.headers = lambda *_: doubled  # type: ignore[method-assign]
    assert browser.ask("POST", "/python/key").status == 403


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null", "http://localhost:5001"])
def test_a_socket_of_another_site_is_refused(
    world: World, people: People, origin: str | None
) -> None:
    browser = world.browser(people.owner)
    assert world.run(knock(world.app, "/ws", browser.headers(extra={"origin": origin}))) == 403


PAYLOADS = [
    "..", ".", "%2e%2e", "..%2f..%2fetc%2fpasswd", "../../etc/passwd", "..\\..\\etc\\passwd",
    "/etc/passwd", "ema_20250602093000\n", "ema_20250602093000\x00", "\x00", "ema_20250602093000/",
    "ema_20250602093000%0a", "EMA_20250602093000", "ema_２０２５０６０２０９３０００", "é" * 40,
    "a" * 5_000, "_20250602093000", "ema_20250602093000.py", "{strategy_id}", "' OR 1=1 --",
    "ema_20250602093000;x", "\u202eema_20250602093000", "",
]  # fmt: skip


def test_an_id_that_we_did_not_make_is_nowhere(
    world: World, app: Starlette, people: People
) -> None:
    """S7, for each parameter of the table; nothing behind the rule is ever reached."""
    found = []
    browser = world.browser(people.admin, app)
    for route in TABLE:
        if "{strategy_id}" not in route.path:
            continue
        for payload in PAYLOADS:
            path = route.path.replace("{strategy_id}", payload).replace("{run_id}", payload)
            status = browser.ask(route.method, path, b"{}").status
            if status not in {404, 405}:
                plain = any(r.path == path.rstrip("/") for r in TABLE)  # "/python/" + "" + …
                if not plain:
                    found.append((route.method, path, status))
    assert found == []


def with_key(browser: Browser, route: Route, path: str, key: object) -> Answer:
    """Asks as a program does: the key in the body, or by GET in the address or the header."""
    if route.method != "GET":
        return browser.post(path, {"apikey": key})
    if route.key_in_query:
        return browser.ask("GET", path, query=urlencode({"apikey": key}))
    return browser.get(path, x_api_key=str(key))


def test_a_key_in_the_address_counts_only_where_clients_put_it(
    world: World, app: Starlette, people: People
) -> None:
    """An address is kept in more logs than a header (S15)."""
    key = world.run(world.host.identity.new_key(people.owner.id))
    browser, taken = world.browser(app=app), set()
    for route in TABLE:
        if route.access is Access.KEY and route.method == "GET":
            answer = browser.ask("GET", address(route, people), query=f"apikey={key}")
            taken |= {route.path} if answer.status == REACHED else set()
    assert taken == {"/api/v1/instruments", "/api/v1/ticker/{ticker}"}


def test_a_key_opens_the_interface_of_programs_and_no_page(
    world: World, app: Starlette, people: People
) -> None:
    key = world.run(world.host.identity.new_key(people.owner.id))
    browser = world.browser(app=app)
    for route in TABLE:
        path = address(route, people)
        if route.access is Access.KEY:
            assert with_key(browser, route, path, key).status == REACHED
            for wrong in ("", "x" * 64, None, 7, ["a"], {"a": 1}):
                answer = with_key(browser, route, path, wrong)
                assert answer.status == 403
                assert answer.json() == {"status": "error", "message": "Invalid openalgo apikey"}
        elif route.access in SESSION_ACCESS and route.method == "GET":
            status = browser.ask("GET", path, query=f"apikey={key}").status
            assert status == 401
            assert browser.get(path, x_api_key=key).status == 401


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"a"', b"{", b"\xff", b"[" * 100_000, b"apikey=1"]
)
def test_what_is_no_json_object_is_refused_in_the_clients_envelope(
    world: World, people: People, body: bytes
) -> None:
    answer = world.browser().ask("POST", "/api/v1/funds", body)
    assert answer.status == 400
    assert answer.json()["status"] == "error"


# ---- the table itself


def test_a_route_that_is_not_in_the_table_keeps_the_server_from_starting(world: World) -> None:
    app = create_app(world.host)
    app.add_route("/sneaky", reached)

    async def start() -> None:
        async with app.router.lifespan_context(app):
            pass

    with pytest.raises(RuntimeError, match="'/sneaky' says nowhere who may use it"):
        world.run(start())


def test_a_mounted_application_is_refused_too(world: World) -> None:
    app = create_app(world.host)
    app.router.routes.append(Mount("/inner", app=Starlette()))

    async def start() -> None:
        async with app.router.lifespan_context(app):
            pass

    with pytest.raises(RuntimeError, match="'/inner' says nowhere"):
        world.run(start())


def test_one_path_has_one_rule(world: World) -> None:
    twice = Route(method="GET", path="/healthz", endpoint=reached, access=Access.USER)
    with pytest.raises(RuntimeError, match="GET /healthz is twice"):
        app_of([*TABLE, twice], world.host)


@pytest.mark.parametrize(
    ("path", "access"),
    [("/python/x/{strategy_id}", Access.USER), ("/python/x", Access.OWNER)],
)
def test_an_owners_route_names_the_strategy_and_no_other_does(path: str, access: Access) -> None:
    with pytest.raises(RuntimeError, match="a path with"):
        Route(method="GET", path=path, endpoint=reached, access=access)


def test_a_get_changes_nothing_by_its_rule() -> None:
    """Whatever writes is a POST: a link or an image cannot carry the token."""
    verbs = ("start", "stop", "delete", "save", "upload", "logout", "key")
    writing = [r for r in TABLE if r.method == "GET" and r.path.split("/")[-2:][0] in verbs]
    assert writing == []

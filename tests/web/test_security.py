"""What holds for every request: names, headers, sizes, error pages (S5, S8, S13, S26)."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from starlette.requests import Request
from starlette.responses import Response

from algohost.domain.errors import Invalid
from algohost.domain.users import User
from algohost.web.access import WEBSOCKET, Access, Route
from algohost.web.app import app_of
from algohost.web.security import own_names
from tests.web.asgi import Answer, exchange, knock
from tests.web.conftest import People
from tests.web.test_access import TABLE, address
from tests.web.world import World


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost:5000", "LOCALHOST:5000", "127.0.0.1:5000", "[::1]:5000",
        "algo.example", "algo.example:443", "algo.example.",
    ],
)  # fmt: skip
def test_the_server_answers_to_its_own_names(world: World, host: str) -> None:
    assert world.browser().get("/healthz", host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:5000", "localhost.evil.example", "127.0.0.1.nip.io",
        "0.0.0.0:5000", "[::]:5000", "[::ffff:127.0.0.1]:5000", "2130706433", "0x7f000001",
        "127.1", "localhost:", "localhost:5000:5000", "localhost@evil.example",
        "localhost,evil.example", "localhost/", "", "http://localhost:5000", "localhost\t",
        "xalgo.example", "algo.example.evil.example",
    ],
)  # fmt: skip
def test_any_other_name_is_refused(world: World, people: People, host: str) -> None:
    browser = world.browser(people.admin)
    for path in ("/healthz", "/python/status", "/api/v1/funds", "/nothing"):
        answer = browser.get(path, host=host)
        assert answer.status == 421
        if host:
            assert host not in answer.text
    sent = browser.headers(extra={"host": host, "origin": f"http://{host}"})
    assert world.run(knock(world.app, "/ws", sent)) == 421


def test_no_name_and_two_names_are_refused(world: World) -> None:
    for headers in ([], [("host", "localhost"), ("host", "localhost")]):
        asked = exchange(world.app, "GET", "/healthz", headers, nothing())
        assert world.run(asked).status == 421


def test_the_names_follow_from_the_settings() -> None:
    loopback = {"localhost", "127.0.0.1", "[::1]"}
    assert own_names("127.0.0.1", ()) == loopback
    assert own_names("0.0.0.0", ("Algo.Example",)) == {*loopback, "algo.example"}
    assert own_names("fd00::5", ("[fd00::6]",)) == {*loopback, "[fd00::5]", "[fd00::6]"}


def test_every_answer_carries_the_headers_that_bind_a_browser(world: World, people: People) -> None:
    browser = world.browser(people.owner)
    for path in ("/healthz", "/python", "/python/status", "/nothing", "/api/v1/x", "/login"):
        answer = browser.get(path)
        policy = answer.header("content-security-policy") or ""
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "base-uri 'none'" in policy
        assert "form-action 'self'" in policy
        assert "unsafe" not in policy
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("x-frame-options") == "DENY"
        assert answer.header("cache-control") == "no-store"
        assert re.fullmatch(r"[0-9a-f]{6}-\d+", answer.header("x-request-id") or "")
        assert answer.header("server") is None
        names = [name for name, _ in answer.headers]
        assert len(names) == len(set(names))


def test_a_head_is_a_get_without_a_body(world: World, people: People) -> None:
    browser = world.browser(people.owner)
    for path in ("/healthz", "/python/status", "/python"):
        head, get = browser.ask("HEAD", path), browser.ask("GET", path)
        assert (head.status, head.body) == (200, b"")
        assert head.header("content-type") == get.header("content-type")
    assert world.browser().ask("HEAD", "/python/status").status == 401
    assert browser.ask("HEAD", "/logout").status == 405


def test_no_answer_is_made_from_the_name_that_was_called(world: World, people: People) -> None:
    """A slash too many is not redirected to an address built from ``Host``."""
    assert world.browser(people.owner).get("/python/").status == 404


# ---- sizes


async def nothing() -> AsyncIterator[bytes]:
    return
    yield b""


class Flood:
    """A body without end, which counts what was taken of it."""

    def __init__(self, opening: bytes = b"") -> None:
        self.taken = 0
        self._opening = opening

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._opening
        while self.taken < 100_000_000:
            self.taken += 65_536
            yield b"x" * 65_536


def asker(route: Route, people: People) -> User:
    """Somebody whom the route serves."""
    return people.admin if route.access is Access.ADMIN else people.owner


OPENING = b'--e\r\nContent-Disposition: form-data; name="file"; filename="a.py"\r\n\r\n'
READS_NOTHING = {
    *("/logout", "/python/key", "/python/start", "/python/stop", "/python/delete"),
    *("/python/environment/{strategy_id}/again", "/python/unschedule"),
    *("/api/broker/logout", "/python/check-contracts"),
}
FORMS = {"/python/upload", "/python/new", "/python/replace/{strategy_id}"}
JSON = "application/json"
KINDS = {"/calendar/import": "text/csv"}
"""What the routes read that take neither JSON nor a form."""
READING = [
    route
    for route in TABLE
    if route.method == "POST"
    and route.access not in {Access.PUBLIC, Access.SETUP}
    and route.path.removesuffix("/{strategy_id}") not in READS_NOTHING
]


@pytest.mark.parametrize("length", [None, "10000000000"])
def test_a_body_without_end_is_cut_off_at_the_routes_cap(
    world: World, people: People, length: str | None
) -> None:
    """S8: for every route that reads; where the length is announced, nothing is read at all."""
    kept = []
    for route in READING:
        is_form = route.path in FORMS
        kind = "multipart/form-data; boundary=e" if is_form else KINDS.get(route.path, JSON)
        browser = world.browser(asker(route, people))
        if route.access is Access.ANONYMOUS:
            browser.cookies["algohost_anonymous"] = browser.csrf = "t" * 43
        flood = Flood(OPENING if is_form else b"")
        headers = browser.headers("POST", {"content-type": kind, "content-length": length})
        path = address(route, people)
        answer = world.run(exchange(world.app, "POST", path, headers, flood.chunks()))
        most = route.max_body_bytes + 65_536 if length is None else 0
        if (answer.status, answer.header("connection")) != (413, "close") or flood.taken > most:
            kept.append((route.path, answer.status, flood.taken))
    assert kept == []
    assert len(READING) > 20


# ---- faults of ours


def test_a_fault_in_any_endpoint_shows_an_id_and_nothing_else(
    world: World, people: People, caplog: pytest.LogCaptureFixture
) -> None:
    """S26: the canary of the exception stands in the log and in no answer."""
    canary = "canary /etc/secret SELECT * FROM users"

    async def broken(_request: Request) -> Response:
        raise ZeroDivisionError(canary)

    http = [route for route in TABLE if route.method != WEBSOCKET]
    app = app_of([replace(route, endpoint=broken) for route in http], world.host)
    key = world.run(world.host.identity.new_key(people.owner.id))
    for route in http:
        if route.access is Access.SETUP:
            continue
        for accept in ("application/json", "text/html"):
            browser = world.browser(asker(route, people), app)
            if route.access is Access.ANONYMOUS:
                browser.cookies["algohost_anonymous"] = browser.csrf = "t" * 43
            body = json.dumps({"apikey": key}).encode()
            headers = {"content-type": "application/json", "accept": accept, "x-api-key": key}
            path = address(route, people)
            answer = browser.ask(route.method, path, body, headers)
            _is_a_bare_fault(answer, route.access is Access.KEY)
            request_id = answer.header("x-request-id") or "?"
            logged = [r for r in caplog.records if f"request_id={request_id} " in r.getMessage()]
            assert len(logged) == 1
            assert canary in str(logged[0].exc_info)


def _is_a_bare_fault(answer: Answer, of_key: bool) -> None:
    assert answer.status == 500
    for word in ("canary", "ZeroDivision", "Traceback", "SELECT", "starlette", ".py"):
        assert word not in answer.text
    request_id = answer.header("x-request-id") or "?"
    if answer.header("content-type") != "application/json":
        assert request_id in answer.text
    elif of_key:
        assert answer.json()["status"] == "error"
        assert answer.json()["request_id"] == request_id
    else:
        body = answer.json()
        assert (body["success"], body["error_code"]) == (False, "INTERNAL")
        assert body["details"] == {"request_id": request_id}


def test_what_a_refusal_quotes_is_text_on_the_page(world: World, people: People) -> None:
    """S5: markup in an error's sentence is shown, not obeyed."""

    async def refusing(_request: Request) -> Response:
        raise Invalid("<script>alert(1)</script> is no name; choose another.")

    health = next(route for route in TABLE if route.path == "/healthz")
    app = app_of([replace(health, endpoint=refusing)], world.host)
    page = world.browser(app=app).page("/healthz")
    assert page.status == 400
    assert (page.header("content-type") or "").startswith("text/html")
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "NOT_FOUND"),
        ("GET", "/static/../app.py", 404, "NOT_FOUND"),
        ("GET", "/static/.stamp", 404, "NOT_FOUND"),
        ("DELETE", "/python/key", 405, "METHOD_NOT_ALLOWED"),
        ("OPTIONS", "/python/status", 405, "METHOD_NOT_ALLOWED"),
        ("TRACE", "/login", 405, "METHOD_NOT_ALLOWED"),
    ],
)
def test_what_is_not_there_is_refused_in_the_envelope(
    world: World, people: People, method: str, path: str, status: int, code: str
) -> None:
    answer = world.browser(people.owner).ask(method, path)
    assert (answer.status, answer.json()["error_code"]) == (status, code)
    assert answer.json()["success"] is False
    assert answer.json()["message"].endswith(".")

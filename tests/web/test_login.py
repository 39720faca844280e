"""Setting up, logging in and out in a browser (S1, S10, S11, S12)."""

import pytest

from algohost.web.auth import safe_next
from tests.identity.world import PASSWORD
from tests.web.asgi import Browser
from tests.web.conftest import People
from tests.web.world import World


def at_login(world: World, path: str = "/login") -> Browser:
    """A browser that has opened the page and knows the token written there."""
    browser = world.browser()
    page = browser.page(path)
    assert page.status == 200
    browser.csrf = browser.cookies["algohost_anonymous"]
    assert f'content="{browser.csrf}"' in page.text
    return browser


def test_the_first_administrator_is_made_with_the_token_and_is_logged_in(world: World) -> None:
    browser = at_login(world, "/setup")
    token = world.host.identity.setup_token()
    answer = browser.post("/setup", {"token": token, "name": "asha", "password": PASSWORD})
    assert answer.json()["user"] == {"name": "asha", "is_admin": True}
    assert browser.get("/python/status").json()["strategies"] == []
    again = at_login(world).post("/setup", {"token": token, "name": "b", "password": PASSWORD})
    assert again.status == 404
    assert world.browser().page("/setup").header("location") == "/login"


def test_a_wrong_setup_token_makes_nobody(world: World) -> None:
    answer = at_login(world, "/setup").post(
        "/setup", {"token": "guess", "name": "asha", "password": PASSWORD}
    )
    assert (answer.status, answer.json()["error_code"]) == (403, "SETUP_TOKEN")
    assert not world.host.identity.has_users()


def test_a_login_gives_a_cookie_that_scripts_and_other_sites_do_not_get(
    world: World, people: People
) -> None:
    browser = at_login(world)
    answer = browser.post("/login", {"name": "ravi", "password": PASSWORD})
    (cookie,) = (
        value
        for name, value in answer.headers
        if name == "set-cookie" and value.startswith("algohost_session=")
    )
    flags = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/", "max-age=604800"} <= flags
    assert answer.json()["user"] == {"name": "ravi", "is_admin": False}
    assert browser.get("/python/status").status == 200
    assert "algohost_anonymous" not in browser.cookies


def test_over_tls_the_cookie_is_secure_and_pinned_to_the_host(world: World, people: People) -> None:
    browser = world.browser()
    browser.ask("GET", "/login", headers={"accept": "text/html"}, scheme="https")
    browser.csrf = browser.cookies["__Host-algohost_anonymous"]
    body = b'{"name": "ravi", "password": "' + PASSWORD.encode() + b'"}'
    headers = {"content-type": "application/json", "origin": "https://localhost:5000"}
    answer = browser.ask("POST", "/login", body, headers, scheme="https")
    cookie = next(v for n, v in answer.headers if n == "set-cookie" and "session" in v)
    assert cookie.startswith("__Host-algohost_session=")
    assert "; Secure" in cookie
    assert answer.header("strict-transport-security") == "max-age=31536000"


def test_a_login_ends_the_session_whose_cookie_came_along(world: World, people: People) -> None:
    """Fixation: whoever planted a cookie holds nothing afterwards."""
    browser = at_login(world)
    planted = world.browser(people.other).cookies["algohost_session"]
    browser.cookies["algohost_session"] = planted
    answer = browser.post("/login", {"name": "ravi", "password": PASSWORD})
    assert answer.status == 200
    assert browser.cookies["algohost_session"] != planted
    assert world.host.identity.peek(planted) is None


def test_a_cookie_that_was_never_given_out_stays_worthless(world: World, people: People) -> None:
    browser = at_login(world)
    browser.cookies["algohost_session"] = "chosen-by-somebody-else"
    browser.post("/login", {"name": "ravi", "password": PASSWORD})
    assert world.host.identity.peek("chosen-by-somebody-else") is None


def test_logging_out_kills_copies_of_the_cookie_too(world: World, people: People) -> None:
    browser = world.browser(people.owner)
    copy = dict(browser.cookies)
    assert browser.post("/logout").status == 200
    assert browser.cookies == {}
    browser.cookies = copy
    assert browser.get("/python/status").status == 401


@pytest.mark.parametrize(
    ("name", "password"), [("ravi", "wrong password"), ("nobody", PASSWORD), ("ravi", "p" * 4_000)]
)
def test_a_failed_login_says_the_same_whoever_was_asked_for(
    world: World, people: People, name: str, password: str
) -> None:
    answer = at_login(world).post("/login", {"name": name, "password": password})
    assert answer.status == 401
    assert answer.json() == {
        "success": False,
        "message": "The name or the password is wrong; check both.",
        "error_code": "WRONG_CREDENTIALS",
    }


def test_too_many_attempts_are_told_when_to_come_back(world: World, people: People) -> None:
    browser = at_login(world)
    for _ in range(5):
        browser.post("/login", {"name": "ravi", "password": "wrong password"})
    answer = browser.ask(
        "POST",
        "/login",
        b'{"name": "ravi", "password": "x"}',
        {"content-type": "application/json", "x-forwarded-for": "203.0.113.9"},
    )
    assert (answer.status, answer.header("retry-after")) == (429, "1")
    assert answer.json()["error_code"] == "TOO_MANY_ATTEMPTS"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"name": "ravi"}, "password is missing."),
        ({"name": 7, "password": "x"}, "name: input should be a valid string."),
        ({"name": "r" * 257, "password": "x"}, "name: string should have at most 256 characters."),
        ({}, "name is missing; password is missing."),
    ],
)
def test_a_bad_body_is_refused_with_one_sentence(
    world: World, people: People, body: object, message: str
) -> None:
    answer = at_login(world).post("/login", body)
    assert (answer.status, answer.json()["message"]) == (400, message)


def test_a_form_of_another_kind_is_not_read(world: World, people: People) -> None:
    answer = at_login(world).post("/login", {"name": "ravi"}, content_type="text/plain")
    assert (answer.status, answer.json()["error_code"]) == (415, "WRONG_CONTENT_TYPE")


def test_a_login_from_another_site_is_refused(world: World, people: People) -> None:
    """Login CSRF: the victim would work in the attacker's account."""
    browser = at_login(world)
    browser.csrf = "the attacker cannot read the page's token"
    assert browser.post("/login", {"name": "meera", "password": PASSWORD}).status == 403
    blank = world.browser()
    blank.csrf = ""
    assert blank.post("/login", {"name": "meera", "password": PASSWORD}).status == 403


@pytest.mark.parametrize(
    ("asked", "led_to"),
    [
        ("/python/new", "/python/new"),
        ("/python/a_20250602093000?tab=log", "/python/a_20250602093000?tab=log"),
        ("", "/python"),
        ("//evil.example", "/python"),
        ("/\\evil.example", "/python"),
        ("/a\\..\\\\evil.example", "/python"),
        ("https://evil.example", "/python"),
        ("javascript:alert(1)", "/python"),
        ("/\t/evil.example", "/python"),
        ("/\n/evil.example", "/python"),
        ("python", "/python"),
    ],
)
def test_a_login_leads_to_this_server_only(asked: str, led_to: str) -> None:
    assert safe_next(asked) == led_to


def test_whoever_is_not_logged_in_is_led_to_the_login_and_back(
    world: World, people: People
) -> None:
    page = world.browser().page("/python/new", query="a=1&b=//x")
    assert page.status == 303
    assert page.header("location") == "/login?next=/python/new%3Fa%3D1%26b%3D//x"

"""A name without a place to break it stays within the page at any width."""

import pytest
from playwright.sync_api import Page, expect

from algohost.domain.users import User
from tests.browser.conftest import Server

NAME = "<img src=x onerror=alert(1)>"
OVERFLOW = """() => [...document.querySelectorAll("main *, header *")].filter((one) =>
    one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 1
    && !one.closest(".tabs, .chips, .cm-editor, .log, pre")
    && document.documentElement.scrollWidth > innerWidth
).map((one) => one.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("name", [NAME, "a" * 80])
def test_a_long_word_as_a_name_widens_no_page(login: Page, server: Server, name: str) -> None:
    """S5: shown as it was typed, and broken where there is no room."""
    stage, views = server.stage.strategies, list(server.stage.strategies.registry)
    owner_id = views[0].strategy.owner_id
    owner = User(id=owner_id, name="asha", is_admin=True, created_at=views[0].strategy.created_at)
    server.do(lambda: views.append(stage.put(owner, name, "long.py", "print(1)\n")))
    wanted = views[-1].strategy.id
    login.set_viewport_size({"width": 390, "height": 820})
    for tab in ("overview", "log", "runs", "orders", "settings", "code"):
        login.goto(f"/python/{wanted}#{tab}")
        expect(login.locator("h1")).to_have_text(name)
        width = login.evaluate("document.documentElement.scrollWidth")
        assert (tab, width, login.evaluate(OVERFLOW)) == (tab, 390, [])

"""Every page in both themes: no serious finding of axe, and a picture to look at."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Server, log_in, watch

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
PAGES = {
    "list": "/python",
    "upload": "/python/new",
    "overview": "/python/{running}",
    "log": "/python/{running}#log",
    "orders": "/python/{running}#orders",
    "code": "/python/{draft}#code",
    "schedule": "/python/{stopped}#schedule",
    "runs": "/python/{running}#runs",
    "settings": "/python/{running}#settings",
    "failed": "/python/{error}",
    "tomorrow": "/schedule",
    "audit": "/audit?check=1",
    "accounts": "/accounts",
    "calendar": "/calendar",
}
SIZES = {"desk": (1366, 820), "phone": (390, 844)}


def findings(page: Page) -> list[Any]:
    """What axe calls serious or critical, with where it is."""
    found: list[Any] = page.evaluate(
        """async (source) => {
            (0, eval)(source);
            const { violations } = await axe.run();
            return violations.filter(({ impact }) => ["serious", "critical"].includes(impact))
              .map(({ id, nodes }) => [id, nodes.map((n) => `${n.target}: ${n.failureSummary}`)]);
        }""",
        AXE.read_text(),
    )
    return found


@pytest.mark.parametrize("theme", ["day", "night"])
@pytest.mark.parametrize("size", SIZES)
def test_every_page_is_sound_in_both_themes(
    browser: Browser, server: Server, theme: str, size: str
) -> None:
    """``ALGOHOST_SHOTS`` names a folder in which the pictures are kept."""
    width, height = SIZES[size]
    context = browser.new_context(
        base_url=server.url,
        viewport={"width": width, "height": height},
        reduced_motion="reduce",
        bypass_csp=True,  # axe is put in from outside; every other test keeps the policy
    )
    context.add_init_script(f"localStorage.setItem('theme', '{theme}')")
    page = context.new_page()
    watched = watch(page, server.url)
    folder = os.environ.get("ALGOHOST_SHOTS")
    serious = {}
    page.goto("/login")
    # axe must not look while the script is enabling the button
    expect(page.get_by_role("button", name="Log in")).to_be_enabled()
    serious["login"] = findings(page)
    log_in(page)
    for name, path in PAGES.items():
        page.goto(path.format(**server.ids))
        page.wait_for_timeout(500)
        if folder:
            page.screenshot(path=f"{folder}/{name}-{size}-{theme}.png")
        serious[name] = findings(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    serious["shortcuts"] = findings(page)
    context.close()
    assert {k: v for k, v in serious.items() if v} == {}, json.dumps(serious, indent=1)
    assert (watched.errors, watched.foreign) == ([], [])

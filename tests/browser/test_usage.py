"""The lines of resource use on a strategy's page, and flags of health wherever it is shown."""

import time

import pytest
from playwright.sync_api import Page, expect

from algohost.domain.health import Ailment, Flag
from algohost.domain.ids import RunId
from algohost.runner.measures import Usage, UsageSample
from tests.browser.conftest import Server

pytestmark = pytest.mark.browser

MB = 1 << 20
BUSY = Flag(
    ailment=Ailment.BUSY,
    sentence="Keeps a core busy: 99% or more for 60 s. Most often at line 12 of ema.py.",
)


def measured(server: Server, run_id: RunId, ago: float, *, cpu: float, memory: float) -> None:
    """Lets the server hear what the agent would say."""
    sample = UsageSample(
        run_id=run_id,
        cpu_seconds=cpu,
        waited_seconds=0.0,
        memory_bytes=int(memory * MB),
        memory_kind="pss",
        threads=7,
        processes=1,
        folder_bytes=3 * MB,
        log_bytes=MB,
    )
    now = time.time() - ago
    usage = Usage(at=now, monotonic=now, samples=(sample,))
    server.do(server.stage.host.usage.hear, usage)


def run_of(server: Server) -> RunId:
    return server.stage.strategies.history[server.ids["running"]][0].id


def test_processor_and_memory_are_drawn_and_go_on_live(login: Page, server: Server) -> None:
    for n in range(20):
        measured(server, run_of(server), 120 - n * 5, cpu=n * 2.0, memory=50 + n)
    login.goto(f"/python/{server.ids['running']}")
    panel = login.locator("usage-panel")
    expect(panel.locator("[data-usage=cpu]")).to_have_text("40 %")
    expect(panel.locator("[data-usage=memory]")).to_have_text("69.0 MB")
    expect(panel).to_contain_text("7 threads · 1 process · folder 3.0 MB · log 1.0 MB")
    assert panel.locator(".spark-line").count() == 2
    spoken = panel.get_by_role("img", name="Memory of the last 30 minutes")
    expect(spoken).to_have_attribute(
        "aria-label", "Memory of the last 30 minutes: 69.0 MB at the end, 69.0 MB at most"
    )
    measured(server, run_of(server), 0, cpu=38.0 + 25, memory=300)
    expect(panel.locator("[data-usage=memory]")).to_have_text("300 MB")


def test_before_anything_was_measured_the_page_says_so(login: Page, server: Server) -> None:
    login.goto(f"/python/{server.ids['stopped']}")
    panel = login.locator("usage-panel")
    expect(panel).to_contain_text("Measured while a run lives.")
    expect(panel.get_by_role("img", name="CPU: not measured yet")).to_be_attached()


def test_a_flag_is_on_the_row_and_on_the_page_and_goes_again(login: Page, server: Server) -> None:
    run = server.stage.strategies.history[server.ids["running"]][0]
    registry = server.stage.strategies.registry
    login.goto("/python")
    row = login.locator(f"tr[data-strategy={server.ids['running']}]")
    server.do(registry.put_flags, run, (BUSY,))
    expect(row.locator(".note")).to_contain_text("Keeps a core busy")
    expect(row).to_have_attribute("data-flagged", "yes")
    login.goto(f"/python/{server.ids['running']}")
    notice = login.locator("[data-flags]")
    expect(notice).to_contain_text("line 12 of ema.py")
    server.do(registry.put_flags, run, ())
    expect(notice).to_be_hidden()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_a_phone_the_lines_stand_under_each_other(
    login: Page, server: Server, theme: str
) -> None:
    login.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    login.set_viewport_size({"width": 375, "height": 800})
    measured(server, run_of(server), 5, cpu=1.0, memory=50)
    measured(server, run_of(server), 0, cpu=2.0, memory=50)
    login.goto(f"/python/{server.ids['running']}")
    first, second = (
        login.locator(f"[data-spark={name}]").bounding_box() for name in ("cpu", "memory")
    )
    assert first is not None
    assert second is not None
    assert second["y"] > first["y"] + first["height"]
    assert login.evaluate("document.documentElement.scrollWidth") <= 375

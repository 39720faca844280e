"""Risk limits and the fuller kill switch, as people meet them on the pages."""

from decimal import Decimal

import pytest
from playwright.sync_api import Browser, Page, expect

from algohost.domain.kill_switch import WHOLE_HOST, KillScope, KillTarget
from algohost.domain.orders import OrderStatus
from tests.browser.conftest import Server, Watched, log_in, watch
from tests.browser.test_broker import panel, wait
from tests.browser.test_looks import findings

pytestmark = pytest.mark.browser


def test_a_strategys_limits_are_set_at_its_settings_and_a_bad_one_is_told_at_its_field(
    login: Page, server: Server, watched: Watched
) -> None:
    made = server.ids["stopped"]
    panel(login).goto(f"/python/{made}#settings")
    limits = login.get_by_role("region", name="Risk limits")
    field = limits.get_by_label("Units in one order")
    expect(field).to_be_enabled()
    field.fill("0")
    limits.get_by_role("button", name="Set limits").click()
    expect(limits.locator("[data-error=most_quantity]")).to_contain_text("give a whole number")
    expect(field).to_be_focused()
    watched.forget()
    field.fill("75")
    limits.get_by_label("Symbols").fill("nse:infy, NFO:NIFTY*")
    limits.get_by_label("Daily loss, ₹").fill("2500")
    limits.get_by_label("Stop at the daily loss").check()
    login.keyboard.press("Enter")
    expect(login.locator("#toasts")).to_contain_text("The limits of the strategy hold from now on")
    expect(limits.get_by_label("Symbols")).to_have_value("NSE:INFY, NFO:NIFTY*")
    expect(limits.locator("[data-today]")).to_contain_text("Set by asha")
    target = KillTarget(scope=KillScope.STRATEGY, id=made)
    kept = server.stage.host.risk.standing(target).limits
    assert kept is not None
    assert (kept.limits.most_quantity, kept.limits.stops_at_loss) == (75, True)
    limits.get_by_role("button", name="Take all away").click()
    asked = login.get_by_role("dialog", name="Take all these limits away?")
    asked.get_by_role("button", name="Cancel").click()
    expect(asked).to_be_hidden()
    expect(limits.get_by_label("Daily loss, ₹")).to_have_value("2500")
    limits.get_by_role("button", name="Take all away").click()
    asked.get_by_role("button", name="Take all away").click()
    expect(limits.get_by_label("Daily loss, ₹")).to_have_value("")


def test_what_another_page_has_set_meanwhile_stays(login: Page, server: Server) -> None:
    """Of two pages each sends what was changed in it, and nothing that it does not know anew."""
    made = server.ids["stopped"]
    panel(login).goto(f"/python/{made}#settings")
    limits = login.get_by_role("region", name="Risk limits")
    expect(limits.get_by_label("Units in one order")).to_be_enabled()
    target = KillTarget(scope=KillScope.STRATEGY, id=made)
    stage = server.stage
    wait(server, stage.host.risk.put(stage.user, target, {"most_daily_loss": 900}))
    limits.get_by_label("Units in one order").fill("75")
    limits.get_by_role("button", name="Set limits").click()
    expect(limits.get_by_label("Daily loss, ₹")).to_have_value("900")
    kept = stage.host.risk.standing(target).limits
    assert kept is not None
    assert (kept.limits.most_quantity, kept.limits.most_daily_loss) == (75, Decimal(900))


def test_the_account_and_the_host_have_theirs_beside_the_kill_switch(login: Page) -> None:
    page = panel(login)
    page.get_by_role("button", name="Risk limits").click()
    dialog = page.get_by_role("dialog", name="Risk limits")
    account = dialog.get_by_role("region", name="Risk limits of your account")
    account.get_by_label("Orders a day").fill("100")
    account.get_by_role("button", name="Set limits").click()
    expect(page.locator("#toasts")).to_contain_text("The limits of the account hold from now on")
    host = dialog.get_by_role("region", name="Risk limits of the host")
    expect(host.get_by_label("Orders a day")).to_have_value("")
    dialog.locator("[data-close]").click()
    expect(dialog).to_be_hidden()


def test_positions_are_closed_only_for_who_types_it_and_a_drill_does_nothing(
    login: Page, server: Server
) -> None:
    page, stage = panel(login), server.stage
    server.do(
        lambda: stage.gateway.add(
            stage.user, server.ids["running"], status=OrderStatus.OPEN, symbol="INFY"
        )
    )
    page.get_by_role("button", name="Kill switch").click()
    dialog = page.get_by_role("dialog", name="Engage the kill switch?")
    engage = dialog.get_by_role("button", name="Engage")
    dialog.get_by_label("The whole server, all users").check()
    dialog.get_by_label("Close positions at the market").check()
    expect(dialog.get_by_label("Cancel open orders", exact=True)).to_be_checked()
    expect(engage).to_be_disabled()
    dialog.get_by_role("button", name="Drill").click()
    expect(dialog.get_by_role("status")).to_contain_text("A drill: nothing was done. It would")
    assert stage.host.kill_switch.engaged(stage.user) == []
    dialog.get_by_label("Type KILL to close positions").fill("kill")
    expect(engage).to_be_enabled()
    engage.click()
    banner = page.locator("kill-banner .kill-banner")
    expect(banner).to_contain_text("Asked to cancel open orders and close positions.")
    task = stage.host.kill_switch.tasks.find(WHOLE_HOST)
    assert task is not None
    assert [step.value for step in task.steps] == ["cancel", "flatten"]


def test_a_strategy_has_a_switch_of_its_own_in_its_menu(login: Page, server: Server) -> None:
    made = server.ids["running"]
    panel(login).goto(f"/python/{made}")
    login.locator("kill-banner:defined").wait_for(state="attached")
    login.get_by_role("button", name="More about").click()
    login.locator("#strategy-menu").get_by_role("button", name="Kill switch").click()
    dialog = login.get_by_role("dialog", name="Engage the kill switch?")
    expect(dialog).to_contain_text("only.")
    expect(dialog.get_by_label("The whole server, all users")).to_be_hidden()
    dialog.get_by_label("Stop strategies").check()
    dialog.get_by_role("button", name="Engage").click()
    expect(login.locator("kill-banner .kill-banner")).to_contain_text("Asked to stop strategies.")
    [engaged] = server.stage.host.kill_switch.engaged(server.stage.user)
    assert (engaged.target.scope, engaged.target.id) == (KillScope.STRATEGY, made)


@pytest.mark.parametrize("width", [1280, 375])
def test_limits_and_dialogs_have_no_accessibility_faults(
    browser: Browser, server: Server, width: int
) -> None:
    stage = server.stage
    put = stage.host.risk.put(stage.user, WHOLE_HOST, {"most_quantity": 5})
    wait(server, put)
    context = browser.new_context(
        base_url=server.url,
        viewport={"width": width, "height": 812},
        reduced_motion="reduce",
        bypass_csp=True,  # axe is put in from outside
    )
    page = context.new_page()
    watched = watch(page, server.url)
    log_in(page)
    panel(page)
    page.get_by_role("button", name="Risk limits").click()
    expect(page.locator("#risk-dialog [data-save]").last).to_be_enabled()
    assert findings(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Kill switch").click()
    page.get_by_label("Close positions at the market").check()
    assert findings(page) == []
    page.goto(f"/python/{server.ids['stopped']}#settings")
    expect(page.locator("#panel-settings [data-save]").last).to_be_enabled()
    assert findings(page) == []
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) == 0
    context.close()
    assert (watched.errors, watched.foreign) == ([], [])

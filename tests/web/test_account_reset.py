"""A paper account that begins anew, over HTTP."""

from decimal import Decimal

import pytest

from algohost.domain.users import paper_account
from tests.web.asgi import Browser
from tests.web.conftest import People
from tests.web.test_accounts import LIVE
from tests.web.world import World


@pytest.fixture
def browser(world: World, people: People) -> Browser:
    return world.browser(people.owner)


@pytest.mark.parametrize(
    ("cash", "begins"),
    [("", "₹1,00,00,000.00"), ("250000", "₹2,50,000.00"), ("0", "₹0.00")],
)
def test_a_paper_account_begins_anew(
    world: World, browser: Browser, people: People, cash: str, begins: str
) -> None:
    account = paper_account(people.owner)
    answer = browser.post("/api/accounts/reset", {"id": account, "cash": cash})
    assert (answer.status, answer.json()["message"]) == (
        200,
        f"“Paper” begins anew with {begins}.",
    )
    given = Decimal(cash) if cash else Decimal(10_000_000)
    assert world.host.gateway.funds(account).cash == given


@pytest.mark.parametrize("cash", ["-1", "much", "NaN", "Infinity", "1e20"])
def test_with_what_is_no_cash_nothing_is_reset(
    world: World, browser: Browser, people: People, cash: str
) -> None:
    account = paper_account(people.owner)
    answer = browser.post("/api/accounts/reset", {"id": account, "cash": cash})
    assert (answer.status, answer.json()["error_code"]) == (400, "BAD_CASH")
    assert world.host.gateway.funds(account).cash == 10_000_000


def test_an_account_of_real_money_is_not_reset(browser: Browser) -> None:
    live = browser.post("/api/accounts", dict(LIVE)).json()["account"]["id"]
    answer = browser.post("/api/accounts/reset", {"id": live})
    assert (answer.status, answer.json()["error_code"]) == (409, "NOT_A_PAPER_ACCOUNT")


def test_nobody_resets_the_account_of_another(world: World, people: People) -> None:
    answer = world.browser(people.other).post(
        "/api/accounts/reset", {"id": paper_account(people.owner)}
    )
    assert (answer.status, answer.json()["error_code"]) == (404, "NO_ACCOUNT")

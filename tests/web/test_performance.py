"""What books have gained, over the routes; the sums themselves are in tests/exchange."""

import csv
import io
from decimal import Decimal

from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.orders import Action, Book, OrderRequest, OrderStatus
from algohost.domain.users import paper_account
from tests.web.conftest import People
from tests.web.world import World

RELIANCE = InstrumentKey(exchange=Exchange.NSE, symbol="RELIANCE")


def trade(world: World, people: People) -> None:
    """A round trip of the strategy, and a purchase with the account's own key."""
    account = paper_account(people.owner)
    own = Book(account_id=account, strategy_id=people.strategy.strategy.id)
    gateway = world.host.gateway
    for book, side, units in (
        (own, Action.BUY, 10), (own, Action.SELL, 10),
        (Book(account_id=account, strategy_id=None), Action.BUY, 3),
    ):  # fmt: skip
        request = OrderRequest(key=RELIANCE, action=side, quantity=units)
        assert world.run(gateway.place(book, request)).status is OrderStatus.COMPLETE


def test_a_strategys_book_says_what_it_gained(world: World, people: People) -> None:
    trade(world, people)
    path = f"/python/performance/{people.strategy.strategy.id}"
    browser = world.browser(people.owner)
    told = browser.page(path).json()
    totals, (day,) = told["totals"], told["days"]
    assert (totals["fills"], totals["round_trips"], totals["wins"]) == (2, 1, 0)  # the spread
    assert Decimal(totals["net"]) == Decimal(totals["realised"]) - Decimal(totals["charges"])
    assert Decimal(totals["drawdown"]) == -Decimal(totals["net"]) > 0
    assert (totals["win_rate"], totals["profit_factor"]) == (0.0, 0.0)
    assert day["net"] == totals["net"]
    (row,) = csv.DictReader(io.StringIO(browser.page(f"{path}/days").text))
    assert row == {name: str(value) for name, value in day.items()}
    trades = list(csv.DictReader(io.StringIO(browser.page(f"{path}/trades").text)))
    assert [(one["action"], one["quantity"]) for one in trades] == [("BUY", "10"), ("SELL", "10")]


def test_the_books_of_an_account_sum_to_it(world: World, people: People) -> None:
    trade(world, people)
    browser = world.browser(people.owner)
    told = browser.page("/account/performance").json()
    assert [book["strategy_id"] for book in told["books"]] == [people.strategy.strategy.id, None]
    for name in ("realised", "charges"):
        parts = [Decimal(book["totals"][name]) for book in told["books"]]
        assert Decimal(told[name]) == sum(parts)
    trades = list(csv.DictReader(io.StringIO(browser.page("/account/trades").text)))
    assert [one["strategy_id"] for one in trades][2] == ""


def test_a_book_that_never_traded_is_all_zeros(world: World, people: People) -> None:
    path = f"/python/performance/{people.strategy.strategy.id}"
    told = world.browser(people.owner).page(path).json()
    assert (told["totals"]["net"], told["totals"]["win_rate"], told["days"]) == ("0.00", None, [])

"""Order updates: every change, once it is on disk, to whom it concerns, and after a break."""

import threading
from decimal import Decimal
from typing import Any

import pytest

from algohost.broker.paper_day import PaperDay
from algohost.domain.gtt import GttKind, GttLeg, GttRequest
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.orders import Action, PriceType, Product
from algohost.exchange.hours import TradingHours
from algohost.market.calendars import shipped_calendars
from algohost.testing.journal import MemoryJournal
from algohost.web import feed_outbox
from tests.api.served import ACCOUNT_KEY, OTHER_RUN_TOKEN, RUN_TOKEN, Served
from tests.feed.conftest import Opens
from tests.feed.speaker import Heard, Speaker
from tests.feed.test_server import RELIANCE, becomes

KEY = InstrumentKey(exchange=Exchange.NSE, symbol="RELIANCE")
BUY = {**RELIANCE, "action": "BUY", "quantity": 2, "product": "MIS"}


def last(server: Served) -> Decimal:
    """The instrument's last price."""
    return server.do(lambda: server.host.market.quote(KEY).last)


def far_below(server: Served) -> dict[str, Any]:
    """A purchase that will not trade soon."""
    return {**BUY, "pricetype": "LIMIT", "price": float(last(server) - 50)}


def buy_at(trigger: Decimal) -> GttRequest:
    """A GTT that buys one share when a price is touched, wherever the market goes then."""
    return GttRequest(
        key=KEY,
        action=Action.BUY,
        quantity=1,
        product=Product.CNC,
        kind=GttKind.SINGLE,
        legs=[GttLeg(trigger_price=trigger, price_type=PriceType.LIMIT, price=trigger + 20)],
    )


def updates(speaker: Speaker, *, until: str) -> list[Heard]:
    """Order updates up to the first with that status."""
    heard: list[Heard] = []
    while not heard or heard[-1]["order_status"] != until:
        message = speaker.hear()
        if message["type"] == "order_update":
            heard.append(message)
    return heard


def test_every_change_of_an_order_is_told_in_order(server: Served, client: Opens) -> None:
    speaker = client()
    speaker.ask(action="subscribe_orders")
    asked = far_below(server)
    placed = server.post("placeorder", **asked).json()["orderid"]
    lower = asked["price"] - 1
    changes = {**asked, "price": lower, "quantity": 3, "disclosed_quantity": 0, "trigger_price": 0}
    assert server.post("modifyorder", orderid=placed, **changes).status_code == 200
    assert server.post("cancelorder", orderid=placed).status_code == 200
    heard = updates(speaker, until="cancelled")
    told = [(h["orderid"], h["order_status"], h["quantity"], h["price"]) for h in heard]
    assert told == [
        (placed, "open", 2, asked["price"]),
        (placed, "open", 3, lower),
        (placed, "cancelled", 3, lower),
    ]
    assert [h["pending_quantity"] for h in heard] == [2, 3, 0]


def test_a_rejection_is_told_with_its_reason(server: Served, client: Opens) -> None:
    speaker = client()
    speaker.ask(action="subscribe_orders")
    answer = server.post("placeorder", **{**BUY, "quantity": 10_000_000})
    assert answer.status_code == 400
    [heard] = updates(speaker, until="rejected")
    assert heard["orderid"] == answer.json()["orderid"]
    assert heard["rejection_reason"] == answer.json()["message"]


def test_the_order_of_a_gtt_is_told_when_its_trigger_is_touched(
    server: Served, client: Opens
) -> None:
    """To the run whose GTT it is; the GTT itself is in no order book and has no updates."""
    speaker, stranger = client(RUN_TOKEN), client(OTHER_RUN_TOKEN)
    for one in (speaker, stranger):
        one.ask(action="subscribe_orders")
    server.post("placeorder", **BUY, apikey=OTHER_RUN_TOKEN)  # opens the account
    updates(stranger, until="complete")
    book, price = server.keys.known[RUN_TOKEN].book, last(server)
    gtts = [
        server.wait_for(server.host.gateway.place_gtt(book, buy_at(price + away)))
        for away in (-1, 1)
    ]
    assert speaker.nothing_more()
    for _ in range(3_000):
        server.tick()
        if abs(last(server) - price) >= 1:
            break
    heard = updates(speaker, until="complete")
    assert len({h["orderid"] for h in heard}) == 1
    assert heard[0]["orderid"] in {gtt.order_id for gtt in gtts}
    assert stranger.nothing_more()


def test_the_orders_that_square_a_position_off_are_told(server: Served, client: Opens) -> None:
    """What waits is cancelled, and what is held is sold, in the book of the run."""
    speaker = client(RUN_TOKEN)
    server.post("placeorder", **BUY, apikey=RUN_TOKEN)
    waits = server.post("placeorder", **far_below(server), apikey=RUN_TOKEN).json()["orderid"]
    speaker.ask(action="subscribe_orders")
    hours = TradingHours(shipped_calendars().__getitem__)
    day = PaperDay(market=server.host.market, gateway=server.host.gateway, hours=hours)
    server.tick(6 * 3600)  # 15:30 in India
    server.wait_for(day.look())
    cancelled = updates(speaker, until="cancelled")[-1]
    assert cancelled["orderid"] == waits
    closed = updates(speaker, until="complete")[-1]
    assert (closed["action"], closed["filled_quantity"], closed["product"]) == ("SELL", 2, "MIS")


def test_nothing_is_told_before_it_is_on_disk(server: Served, client: Opens) -> None:
    speaker = client()
    speaker.ask(action="subscribe_orders")
    server.post("placeorder", **BUY)
    updates(speaker, until="complete")
    journal = server.host.gateway._journal
    assert isinstance(journal, MemoryJournal)
    server.do(journal.gate.clear)
    answers: list[str] = []
    sender = threading.Thread(
        target=lambda: answers.append(server.post("placeorder", **BUY).json()["orderid"])
    )
    sender.start()
    assert becomes(lambda: server.do(lambda: journal.waiting) > 0)
    assert speaker.nothing_more()
    server.do(journal.gate.set)
    heard = updates(speaker, until="complete")
    sender.join(30)
    assert {h["orderid"] for h in heard} == set(answers)


def test_after_a_break_a_client_catches_up_from_the_last_update_it_heard(
    server: Served, client: Opens
) -> None:
    """Each order that has changed since comes once, as it stands, before anything newer."""
    before = client(RUN_TOKEN)
    before.ask(action="subscribe_orders")
    open_one = server.post("placeorder", **far_below(server), apikey=RUN_TOKEN).json()["orderid"]
    heard_last = updates(before, until="open")[-1]["timestamp"]
    before.socket.close()
    server.tick()
    server.post("cancelorder", orderid=open_one, apikey=RUN_TOKEN)
    server.tick()
    missed = server.post("placeorder", **BUY, apikey=RUN_TOKEN).json()["orderid"]
    server.post("placeorder", **BUY, apikey=OTHER_RUN_TOKEN)  # of another book
    after = client(RUN_TOKEN)
    answer = after.ask(action="subscribe_orders", since=heard_last + 1)
    assert (answer["status"], answer["missed"]) == ("success", 2)
    newer = server.post("placeorder", **BUY, apikey=RUN_TOKEN).json()["orderid"]
    told: list[tuple[str, str]] = []
    while (newer, "complete") not in told:
        update = after.hear()
        told.append((update["orderid"], update["order_status"]))
    assert told[:2] == [(open_one, "cancelled"), (missed, "complete")]
    assert {one for one, _ in told[2:]} == {newer}


def test_a_client_that_asks_for_no_past_is_told_none(server: Served, client: Opens) -> None:
    """The openalgo client asks so when it reconnects: no fill is to be taken for a second one."""
    server.post("placeorder", **BUY)
    speaker = client()
    assert "missed" not in speaker.ask(action="subscribe_orders")
    assert speaker.nothing_more()


def test_a_past_that_is_too_long_is_refused_with_what_to_do(
    server: Served, client: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_outbox, "MOST_UNSENT_ORDERS", 1)
    for _ in range(2):
        server.post("placeorder", **BUY)
    speaker = client()
    answer = speaker.ask(action="subscribe_orders", since=0)
    assert (answer["status"], answer["code"]) == ("error", "TOO_MANY_MISSED")
    assert answer["message"].endswith("ask the order book.")
    assert speaker.ask(action="subscribe_orders")["status"] == "success"


@pytest.mark.parametrize("since", ["2025-06-02", -1, 1.5, True, {}])
def test_since_must_be_a_timestamp(client: Opens, since: object) -> None:
    answer = client(ACCOUNT_KEY).ask(action="subscribe_orders", since=since)
    assert (answer["status"], answer["code"]) == ("error", "BAD_SINCE")

"""GTTs: placed, changed, triggered through the same rules as any order, at most once."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import reduce

import pytest

from algohost.domain.errors import Conflict, Invalid, NotFound
from algohost.domain.gtt import GTT_LIFE, MOST_ACTIVE_GTTS, Gtt, GttKind, GttLeg, GttStatus
from algohost.domain.orders import OrderStatus, PriceType
from algohost.exchange import gtt as gtts
from algohost.exchange.account import AccountState, fold
from algohost.exchange.codec import from_record, to_record
from algohost.exchange.events import Accepted, Event, Filled, Rejected
from algohost.exchange.gtt_events import (
    GttCancelled,
    GttExpired,
    GttModified,
    GttPlaced,
    GttTriggered,
)
from algohost.exchange.next_open import NEXT_OPEN
from tests.exchange.desk import (
    ACCOUNT,
    EMA,
    FUTURE,
    INFY,
    INSTRUMENTS,
    MORNING,
    NIFTY,
    Desk,
    gtt_request,
    quote,
)


@pytest.fixture
def desk() -> Desk:
    """Infosys at 100, and ten shares of it held."""
    desk = Desk()
    desk.tick([quote(last="100"), quote(FUTURE, last="24000"), quote(NIFTY, last="23900")])
    desk.place("BUY 10 MARKET CNC")
    return desk


def test_a_single_waits_and_places_its_order_when_its_trigger_is_touched(desk: Desk) -> None:
    gtt = desk.place_gtt(gtt_request("BUY 5 CNC 95:96"))
    assert (gtt.status, gtt.order_id in {o.id for o in desk.state.open_orders()}) == (
        GttStatus.ACTIVE,
        False,
    )
    assert desk.show(quote(last="95.05")) == []
    happened = desk.show(quote(last="95"))
    assert [type(event) for event in happened] == [GttTriggered, Accepted, Filled]
    order = desk.order(gtt.order_id)
    assert (order.book, order.status, order.average_price) == (
        EMA,
        OrderStatus.COMPLETE,
        Decimal(95),
    )
    after = desk.gtt(gtt.id)
    assert (after.status, after.leg) == (GttStatus.TRIGGERED, 0)


@pytest.mark.parametrize(("last", "leg", "limit"), [("94", 0, "94.5"), ("111", 1, "109.5")])
def test_one_leg_of_an_oco_cancels_the_other(desk: Desk, last: str, leg: int, limit: str) -> None:
    gtt = desk.place_gtt(gtt_request("SELL 10 CNC 110:109.5 95:94.5"))
    assert gtt.triggers == (Decimal(95), Decimal(110))
    desk.show(quote(last=last))
    assert (desk.gtt(gtt.id).leg, desk.order(gtt.order_id).request.price) == (leg, Decimal(limit))
    for again in ("94", "111"):
        assert not [e for e in desk.show(quote(last=again)) if isinstance(e, GttTriggered)]


def test_a_gap_beyond_the_trigger_triggers_too_and_the_limit_still_holds(desk: Desk) -> None:
    gtt = desk.place_gtt(gtt_request("SELL 10 CNC 95:94.5"))
    desk.show(quote(last="90"))
    assert desk.order(gtt.order_id).status is OrderStatus.OPEN


def test_an_order_that_the_account_cannot_carry_is_rejected_and_the_gtt_is_spent(
    desk: Desk,
) -> None:
    gtt = desk.place_gtt(gtt_request("BUY 5000 CNC 95"))
    happened = desk.show(quote(last="95"))
    assert [type(event) for event in happened] == [GttTriggered, Rejected]
    assert desk.order(gtt.order_id).reason.startswith("Insufficient funds")
    assert desk.gtt(gtt.id).status is GttStatus.TRIGGERED


def test_a_book_that_may_place_nothing_places_nothing_by_a_gtt_either(desk: Desk) -> None:
    gtt = desk.place_gtt(gtt_request("BUY 5 CNC 95"))
    desk.refused[EMA] = "The kill switch is engaged."
    desk.show(quote(last="95"))
    order = desk.order(gtt.order_id)
    assert (order.status, order.reason) == (OrderStatus.REJECTED, "The kill switch is engaged.")


def test_several_of_one_tick_trade_in_the_order_they_came_among_orders(desk: Desk) -> None:
    first = desk.place("BUY 1 LIMIT 95")
    second = desk.place_gtt(gtt_request("BUY 1 CNC 96"))
    third = desk.place("BUY 1 LIMIT 96")
    happened = desk.show(quote(last="94"))
    filled = [event.order_id for event in happened if isinstance(event, Filled)]
    assert filled == [first.id, second.order_id, third.id]


def test_the_numbers_of_a_gtt_and_of_its_order_are_nobody_elses(desk: Desk) -> None:
    gtt = desk.place_gtt(gtt_request("BUY 1 CNC 96"))
    later = desk.place("BUY 1 LIMIT 90")
    assert len({gtt.id, gtt.order_id, later.id}) == 3
    assert gtt.id < gtt.order_id < later.id


def test_a_changed_gtt_waits_for_what_it_says_now(desk: Desk) -> None:
    gtt = desk.place_gtt(gtt_request("BUY 5 CNC 95:95"))
    changed = desk.modify_gtt(gtt.id, gtt_request("BUY 7 CNC 105"))
    assert (changed.status, changed.request.quantity) == (GttStatus.ACTIVE, 7)
    assert desk.show(quote(last="95")) == []
    assert desk.show(quote(last="105")) != []


@pytest.mark.parametrize("text", ["SELL 5 CNC 95:95", "BUY 5 CNC 95:95 105:105"])
def test_a_gtt_keeps_its_side_and_its_kind(desk: Desk, text: str) -> None:
    gtt = desk.place_gtt(gtt_request("BUY 5 CNC 95:95"))
    with pytest.raises(Invalid, match="keeps its instrument, its side and its kind"):
        desk.modify_gtt(gtt.id, gtt_request(text))


Command = Callable[[Desk, Gtt], object]


@pytest.mark.parametrize(
    "command",
    [
        lambda d, g: d.cancel_gtt(g.id),
        lambda d, g: d.modify_gtt(g.id, g.request),
    ],
    ids=["cancel", "modify"],
)
@pytest.mark.parametrize("ending", ["triggered", "cancelled", "expired"])
def test_a_final_gtt_changes_no_more(desk: Desk, command: Command, ending: str) -> None:
    gtt = desk.place_gtt(gtt_request("BUY 5 CNC 95:95"))
    if ending == "triggered":
        desk.show(quote(last="95"))
    elif ending == "cancelled":
        desk.cancel_gtt(gtt.id)
    else:
        desk.at += GTT_LIFE
        desk.keep(gtts.expired(desk.state, at=desk.at))
    with pytest.raises(Conflict, match=f"GTT {gtt.id} is {ending} and cannot change any more"):
        command(desk, gtt)
    desk.show(quote(last="90"))
    assert desk.gtt(gtt.id).status == ending


def test_an_unknown_gtt_is_not_found(desk: Desk) -> None:
    with pytest.raises(NotFound, match="There is no GTT 42"):
        desk.cancel_gtt("42")


def test_a_year_is_as_long_as_a_gtt_waits(desk: Desk) -> None:
    gtt = desk.place_gtt(gtt_request("BUY 5 CNC 95:95"))
    assert gtt.expires_at == MORNING + timedelta(days=365)
    desk.at = gtt.expires_at - timedelta(seconds=1)
    assert gtts.expired(desk.state, at=desk.at) == []
    desk.at = gtt.expires_at
    assert [type(event) for event in desk.show(quote(last="95"))] == [GttExpired]
    assert desk.gtt(gtt.id).status is GttStatus.EXPIRED
    assert desk.state.order(gtt.order_id) is None


def test_a_gtt_on_a_contract_ends_with_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    november = replace(INSTRUMENTS[FUTURE], expiry=date(2026, 11, 24))
    monkeypatch.setitem(INSTRUMENTS, FUTURE, november)
    gtt = desk.place_gtt(gtt_request("BUY 75 NRML 23000", FUTURE))
    assert gtt.expires_at.isoformat() == "2026-11-24T18:30:00+00:00"


REFUSED = [
    ("BUY 5 MIS 95", INFY, "A GTT may wait for days, and MIS ends with the day."),
    ("BUY 75 CNC 23000", FUTURE, "CNC is for shares on NSE and BSE."),
    ("BUY 5 CNC 23000", NIFTY, "NIFTY is an index and cannot be traded."),
    ("BUY 5 NRML 95", INFY, "NRML is for derivatives. Use CNC for delivery or MIS for the day"),
    ("BUY 10 NRML 23000", FUTURE, "Quantity 10 is not a multiple of the lot size 75."),
    ("BUY 1875 NRML 23000", FUTURE, "Quantity 1875 is above the freeze quantity 1800."),
    ("BUY 5 CNC 95.01", INFY, "Trigger price 95.01 is not a multiple of the tick size"),
    ("BUY 5 CNC 95:94.99", INFY, "Price 94.99 is not a multiple of the tick size"),
    ("BUY 5 CNC 0", INFY, "Trigger price 0 is not possible"),
    ("BUY 5 CNC 100", INFY, "Trigger price 100 is the last price."),
    ("SELL 5 CNC 90:90 95:95", INFY, "The trigger prices 90 and 95 of an OCO must lie below"),
]


@pytest.mark.parametrize(("text", "key", "reason"), REFUSED, ids=[row[2][:40] for row in REFUSED])
def test_a_refused_gtt_says_why_and_leaves_no_trace(
    desk: Desk, text: str, key: object, reason: str
) -> None:
    events = desk.state.events
    with pytest.raises(Invalid) as refusal:
        desk.place_gtt(gtt_request(text, key))  # type: ignore[arg-type]
    assert refusal.value.message.startswith(reason)
    assert desk.state.events == events


def test_a_gtt_has_the_legs_of_its_kind_and_no_second_trigger(desk: Desk) -> None:
    asked = gtt_request("BUY 5 CNC 95:95")
    with pytest.raises(Invalid, match="kind OCO has 2 trigger prices"):
        desk.place_gtt(replace(asked, kind=GttKind.OCO))
    stop = GttLeg(trigger_price=Decimal(95), price_type=PriceType.SL_M)
    with pytest.raises(Invalid, match="places a LIMIT or a MARKET order"):
        desk.place_gtt(replace(asked, legs=(stop,)))


def test_an_account_has_at_most_as_many_as_a_broker_allows(desk: Desk) -> None:
    placed = [desk.place_gtt(gtt_request("BUY 5 CNC 95:95")) for _ in range(MOST_ACTIVE_GTTS)]
    with pytest.raises(Invalid, match="250 GTTs are active in this account"):
        desk.place_gtt(gtt_request("BUY 5 CNC 95:95"))
    desk.cancel_gtt(placed[0].id)
    assert desk.place_gtt(gtt_request("BUY 5 CNC 95:95")).status is GttStatus.ACTIVE


def test_gtts_survive_a_restart_as_part_of_the_journal(desk: Desk) -> None:
    single = desk.place_gtt(gtt_request("BUY 5 CNC 95:95"))
    desk.modify_gtt(single.id, gtt_request("BUY 6 CNC 95:95"))
    desk.place_gtt(gtt_request("SELL 10 CNC 90:89.5 110:109.5"))
    desk.show(quote(last="95"))
    replayed = reduce(fold, map(from_record, desk.records), AccountState(ACCOUNT))
    assert replayed == desk.state
    assert [g.status for g in replayed.gtts.all()] == [GttStatus.TRIGGERED, GttStatus.ACTIVE]
    desk.state, desk.venue = replayed, desk.new_venue()
    assert [type(e) for e in desk.show(quote(last="110"))] == [GttTriggered, Accepted, Filled]


def test_an_event_of_a_gtt_comes_back_from_its_record_digit_for_digit(desk: Desk) -> None:
    gtt = desk.place_gtt(gtt_request("SELL 10 CNC 90:89.50 110:109.5"))
    kinds: list[Event] = [
        GttPlaced(at=MORNING, gtt=gtt),
        GttModified(at=MORNING, gtt_id=gtt.id, request=gtt.request, last_price=Decimal("100.00")),
        GttTriggered(at=MORNING, gtt_id=gtt.id, leg=1),
        GttCancelled(at=MORNING, gtt_id=gtt.id, reason="“sorry”\n"),
        GttExpired(at=MORNING, gtt_id=gtt.id),
    ]
    for event in kinds:
        back = from_record(to_record(event, number=1))
        assert (back, repr(back)) == (event, repr(event))


IMPOSSIBLE: list[tuple[str, Callable[[Gtt], Event]]] = [
    ("placed twice", lambda g: GttPlaced(at=MORNING, gtt=replace(g, status=GttStatus.ACTIVE))),
    ("triggered twice", lambda g: GttTriggered(at=MORNING, gtt_id=g.id, leg=0)),
    ("cancelled after its trigger", lambda g: GttCancelled(at=MORNING, gtt_id=g.id, reason="")),
    ("expired after its trigger", lambda g: GttExpired(at=MORNING, gtt_id=g.id)),
]


@pytest.mark.parametrize("event", [c[1] for c in IMPOSSIBLE], ids=[c[0] for c in IMPOSSIBLE])
def test_what_cannot_have_happened_to_a_gtt_is_refused(
    desk: Desk, event: Callable[[Gtt], Event]
) -> None:
    gtt = desk.place_gtt(gtt_request("BUY 5 CNC 95:95"))
    desk.show(quote(last="95"))
    with pytest.raises(Conflict, match="cannot have happened: GTT"):
        desk.state.apply(event(desk.gtt(gtt.id)))


def test_a_bar_triggers_with_any_of_its_prices() -> None:
    desk = Desk(fills=NEXT_OPEN)
    desk.show(quote(last="100"))
    gtt = desk.place_gtt(gtt_request("BUY 5 CNC 95:96"))
    desk.at += timedelta(minutes=1)
    desk.show(replace(quote(last="99"), open=Decimal(98), high=Decimal(99), low=Decimal(94)))
    assert desk.order(gtt.order_id).status is OrderStatus.OPEN

"""Which instruments an account must hear of: those in which it waits for a price or holds units."""

from algohost.domain.instruments import InstrumentKey
from tests.exchange.desk import FUTURE, INFY, Desk, gtt_request, quote


def watched(desk: Desk) -> set[InstrumentKey]:
    return set(desk.state.watched())


def test_an_account_hears_of_what_waits_and_of_what_it_holds() -> None:
    desk = Desk()
    desk.tick([quote(last="100"), quote(FUTURE, last="24000")])
    assert watched(desk) == set()
    resting = desk.place("BUY 10 LIMIT 95 MIS")
    assert watched(desk) == {INFY}
    desk.cancel(resting.id)
    assert watched(desk) == set()
    desk.place("BUY 10 MARKET MIS")
    assert watched(desk) == {INFY}
    desk.place("SELL 10 MARKET MIS")
    assert watched(desk) == set()
    gtt = desk.place_gtt(gtt_request("BUY 5 CNC 95:96"))
    assert watched(desk) == {INFY}
    desk.cancel_gtt(gtt.id)
    assert watched(desk) == set()

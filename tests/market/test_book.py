"""The order book that is drawn around a last price."""

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.quotes import Quote
from algohost.market import book
from algohost.market.money import rupees
from tests.market.recordings import NIFTY, RELIANCE, TCS, ist

AT = int(ist("2021-05-27 11:00:00").timestamp())


def quote_at(last: int, second: int = AT, tick: int = 5) -> Quote:
    bid, ask = book.best(RELIANCE, second, last, tick, 1)
    price = rupees(last)
    return Quote(
        key=RELIANCE,
        at=datetime.fromtimestamp(second, UTC),
        last=price,
        bid=rupees(bid),
        ask=rupees(ask),
        open=price,
        high=price,
        low=price,
        previous_close=price,
        volume=0,
    )


@given(
    st.integers(min_value=1, max_value=5_000_000),
    st.integers(min_value=0, max_value=2_000_000_000),
    st.sampled_from([1, 5, 10]),
)
def test_the_spread_is_one_to_three_ticks_around_the_last_price(
    last: int, second: int, tick: int
) -> None:
    bid, ask = book.best(RELIANCE, second, last, tick, 1)
    assert 1 <= (ask - bid) / tick <= 3
    assert bid % tick == ask % tick == 0
    assert bid >= tick
    if last >= 2 * tick:
        assert bid <= last <= ask
    assert (bid, ask) == book.best(RELIANCE, second, last, tick, 1)


@given(st.integers(min_value=5, max_value=5_000_000), st.sampled_from([1, 5]))
def test_depth_begins_at_the_quote_and_steps_away_by_ticks(last: int, tick: int) -> None:
    quote = quote_at(last, tick=tick)
    shown = book.depth(quote, tick, 1)
    assert (len(shown.bids), len(shown.asks)) == (5, 5)
    assert (quote.bid, quote.ask) == (shown.bids[0].price, shown.asks[0].price)
    step = rupees(tick)
    assert [quote.ask + step * n for n in range(5)] == [level.price for level in shown.asks]
    expected = [max(quote.bid - step * n, Decimal(0)) for n in range(5)]
    assert expected == [level.price for level in shown.bids]
    for level in (*shown.bids, *shown.asks):
        assert (level.price > 0) == (level.quantity > 0)
        assert 0 <= level.orders <= level.quantity
    assert shown.total_bid_quantity >= sum(level.quantity for level in shown.bids)
    assert shown == book.depth(quote, tick, 1)


def test_the_book_changes_with_instrument_second_and_seed() -> None:
    def books(key: object, start: int, seed: int) -> list[book.Best]:
        return [book.best(key, start + n, 140_000, 5, seed) for n in range(50)]  # type: ignore[arg-type]

    one = books(RELIANCE, AT, 1)
    assert one != books(TCS, AT, 1)
    assert one != books(RELIANCE, AT + 1, 1)
    assert one != books(RELIANCE, AT, 2)


def test_a_dear_stock_and_a_closed_session_have_wider_spreads() -> None:
    def mean(last: int, start: int) -> float:
        pairs = [book.best(RELIANCE, start + n, last, 5, 1) for n in range(500)]
        return sum(ask - bid for bid, ask in pairs) / len(pairs)

    night = int(ist("2021-05-27 22:00:00").timestamp())
    assert mean(30_000, AT) < mean(600_000, AT)
    assert mean(30_000, AT) < mean(30_000, night)


def test_an_index_has_no_book() -> None:
    assert book.best(NIFTY, AT, 1_532_390, 5, 1) == (0, 0)

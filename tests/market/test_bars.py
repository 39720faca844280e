"""Where bars begin and end, and how they are merged."""

from datetime import datetime
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.ids import IST
from algohost.domain.quotes import Interval
from algohost.market.bars import PaiseBars, bar_end, bar_start, resample, to_bars, to_columns
from tests.market.recordings import ist

instants = st.integers(min_value=1_400_000_000, max_value=2_000_000_000)
intervals = st.sampled_from(list(Interval))


def text(second: int) -> str:
    return datetime.fromtimestamp(second, IST).strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(
    ("interval", "at", "start", "end"),
    [
        ("1s", "2021-05-27 09:15:07", "2021-05-27 09:15:07", "2021-05-27 09:15:08"),
        ("45s", "2021-05-27 09:16:29", "2021-05-27 09:15:45", "2021-05-27 09:16:30"),
        ("1m", "2021-05-27 10:00:59", "2021-05-27 10:00:00", "2021-05-27 10:01:00"),
        ("2m", "2021-05-27 09:16:59", "2021-05-27 09:15:00", "2021-05-27 09:17:00"),
        ("10m", "2021-05-27 09:24:00", "2021-05-27 09:15:00", "2021-05-27 09:25:00"),
        ("20m", "2021-05-27 09:34:59", "2021-05-27 09:15:00", "2021-05-27 09:35:00"),
        ("30m", "2021-05-27 09:45:00", "2021-05-27 09:45:00", "2021-05-27 10:15:00"),
        ("1h", "2021-05-27 10:14:59", "2021-05-27 09:15:00", "2021-05-27 10:15:00"),
        ("1h", "2021-05-27 08:20:00", "2021-05-27 08:15:00", "2021-05-27 09:15:00"),
        # The day's first hour is short, and no bar crosses midnight.
        ("1h", "2021-05-27 00:05:00", "2021-05-27 00:00:00", "2021-05-27 00:15:00"),
        ("1h", "2021-05-27 23:50:00", "2021-05-27 23:15:00", "2021-05-28 00:00:00"),
        ("2h", "2021-05-27 13:20:00", "2021-05-27 13:15:00", "2021-05-27 15:15:00"),
        ("4h", "2021-05-27 09:14:59", "2021-05-27 05:15:00", "2021-05-27 09:15:00"),
        ("4h", "2021-05-27 15:29:00", "2021-05-27 13:15:00", "2021-05-27 17:15:00"),
        ("D", "2021-05-27 23:59:59", "2021-05-27 00:00:00", "2021-05-28 00:00:00"),
        ("W", "2021-05-27 12:00:00", "2021-05-24 00:00:00", "2021-05-31 00:00:00"),
        ("W", "2021-05-30 23:59:59", "2021-05-24 00:00:00", "2021-05-31 00:00:00"),
        ("W", "2021-05-31 00:00:00", "2021-05-31 00:00:00", "2021-06-07 00:00:00"),
        ("M", "2021-05-27 12:00:00", "2021-05-01 00:00:00", "2021-06-01 00:00:00"),
        ("M", "2024-02-29 23:59:59", "2024-02-01 00:00:00", "2024-03-01 00:00:00"),
        ("M", "2021-12-31 23:59:59", "2021-12-01 00:00:00", "2022-01-01 00:00:00"),
    ],
)
def test_a_bar_covers_its_span(interval: str, at: str, start: str, end: str) -> None:
    """Minutes and hours count from 09:15 IST, weeks from Monday, months from the first."""
    second = int(ist(at).timestamp())
    expected = (start, end)
    actual = (
        text(bar_start(second, Interval(interval))),
        text(bar_end(second, Interval(interval))),
    )
    assert expected == actual


@given(instants, intervals)
def test_bars_tile_time_without_gap_or_overlap(instant: int, interval: Interval) -> None:
    start, end = bar_start(instant, interval), bar_end(instant, interval)
    assert start <= instant < end
    assert start == bar_start(end - 1, interval)
    assert end == bar_start(end, interval)


rows = st.lists(
    st.tuples(
        st.integers(min_value=0, max_value=40 * 1440),
        st.integers(min_value=1, max_value=10_000),
        st.integers(min_value=1, max_value=10_000),
        st.integers(min_value=0, max_value=500),
    ),
    max_size=60,
    unique_by=lambda row: row[0],
).map(sorted)


@given(rows, intervals)
def test_merged_bars_are_what_a_plain_loop_gives(
    drawn: list[tuple[int, int, int, int]], interval: Interval
) -> None:
    start = 1_622_000_000 // 60 * 60
    table = [
        (start + minute * 60, opened, max(opened, close) + 1, min(opened, close), close, volume)
        for minute, opened, close, volume in drawn
    ]
    expected = []
    for begin, grouped in groupby(table, key=lambda row: bar_start(row[0], interval)):
        group = list(grouped)
        expected.append(
            (
                begin,
                group[0][1],
                max(row[2] for row in group),
                min(row[3] for row in group),
                group[-1][4],
                sum(row[5] for row in group),
            )
        )
    columns = np.array(table, dtype=np.int64).reshape(-1, 6).T
    merged = resample(PaiseBars(*columns), interval)
    actual = list(zip(*(column.tolist() for column in merged.columns()), strict=True))
    if interval.length is not None and interval.length.total_seconds() < 60:
        # A minute cannot be split: its bar stands at the span that holds its start.
        assert [row[1:] for row in expected] == [row[1:] for row in actual]
    else:
        assert expected == actual


@given(st.lists(st.integers(min_value=1, max_value=99_999_999), min_size=1, max_size=20))
def test_prices_pass_through_floats_without_losing_a_paisa(paise: list[int]) -> None:
    column = np.array(paise, dtype=np.int64)
    bars = to_bars(to_columns(PaiseBars(column, column, column, column, column, column)))
    assert paise == [int(bar.close * 100) for bar in bars]
    assert all(bar.close.as_tuple().exponent == -2 for bar in bars)


def test_joining_nothing_is_no_bars() -> None:
    assert len(PaiseBars.joined([])) == 0
    assert len(resample(PaiseBars.none(), Interval.D)) == 0

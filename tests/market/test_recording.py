"""Reading recordings, with the faults that they have."""

import os
from collections.abc import Callable, Iterable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from algohost.domain.errors import Invalid
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.quotes import Interval, Quote
from tests.market.recordings import (
    TCS,
    TODAY,
    TickRow,
    history,
    opened,
    stamps,
    write,
    write_minutes,
    write_ticks,
)


def test_impossible_rows_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    texts = [f"2021-05-27 09:{minute}:00" for minute in range(15, 24)]
    file = write(
        tmp_path / "faults.parquet",
        {
            "symbol": ["TCS", "TCS", "TCS", None, "TCS", "TCS", "TCS", "TCS", "TCS"],
            "exchange": ["NSE"] * 9,
            "timestamp": stamps([*texts[:4], None, *texts[5:8], texts[7]]),
            "open": [100.0, None, 100.0, 100.0, 100.0, float("nan"), 0.0, 100.0, 102.0],
            # The first bar's extremes do not hold its own close and open.
            "high": [99.0, 101.0, float("inf"), 101.0, 101.0, 101.0, 101.0, 101.0, 103.0],
            "low": [101.0, 99.0, 99.0, 99.0, 99.0, 99.0, 99.0, 99.0, 101.0],
            "close": [102.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0, 102.5],
            "volume": [-5, 1, 1, 1, 1, 1, 1, 1, 7],
        },
    )
    market, clock = opened(file)
    clock.advance(900)
    assert history(market, TCS, Interval.M1) == [
        ("11-25 09:15:00", 100, 102, 99, 102, 0),
        ("11-25 09:22:00", 102, 103, 101, 102.5, 7),  # written twice: the later row counts
    ]
    assert "recording_rows_left_out file='faults.parquet' rows=6 of=9" in caplog.text


@pytest.mark.parametrize(
    ("zone", "wall"),
    [
        (None, "2021-05-27 09:15:03"),
        ("UTC", "2021-05-27 09:15:59"),
        ("Asia/Kolkata", "2021-05-27 09:15:00"),
    ],
)
def test_instants_without_a_zone_are_indian_and_starts_are_whole_minutes(
    tmp_path: Path, zone: str | None, wall: str
) -> None:
    file = write_minutes(tmp_path / "zone.parquet", [(TCS, wall, 1, 2, 1, 2, 3)], zone)
    market, clock = opened(file)
    clock.advance(60)
    assert history(market, TCS, Interval.M1) == [("11-25 09:15:00", 1, 2, 1, 2, 3)]


def test_integers_and_coded_text_are_read_like_any_other(tmp_path: Path) -> None:
    file = write(
        tmp_path / "coded.parquet",
        {
            "symbol": pa.array(["TCS", "INFY", "TCS"]).dictionary_encode(),
            "exchange": pa.array(["NSE", "NSE", "NSE"]).dictionary_encode(),
            "timestamp": stamps([f"2021-05-27 09:15:0{n}" for n in (3, 1, 2)]),
            "ltp": pa.array([300, 150, 299], pa.int32()),
            "volume": pa.array([12.0, 5.0, 10.0]),
            "a column more": [1, 2, 3],
        },
    )
    market, clock = opened(file)
    clock.advance(3)
    assert history(market, TCS, Interval.S1) == [
        ("11-25 09:15:02", 299, 299, 299, 299, 10),
        ("11-25 09:15:03", 300, 300, 300, 300, 2),
    ]
    infosys = market.search("INFY", None)[0]
    assert ("Infosys", Decimal("0.05")) == (infosys.name, infosys.tick_size)


def test_prices_off_the_grid_of_five_paise_make_a_finer_one(tmp_path: Path) -> None:
    rows: list[TickRow] = [(TCS, "2021-05-27 09:15:00", 100.02, 1)]
    market, _ = opened(write_ticks(tmp_path / "fine.parquet", rows))
    instrument = market.find(TCS)
    assert instrument is not None
    assert Decimal("0.01") == instrument.tick_size
    assert Decimal("100.02") == market.quote(TCS).last


def without(column: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        columns: dict[str, object] = {
            "symbol": ["TCS"],
            "exchange": ["NSE"],
            "timestamp": stamps(["2021-05-27 09:15:00"]),
            "ltp": [1.0],
            "volume": [1],
        }
        del columns[column]
        return write(folder / "without.parquet", columns)

    return make


def with_column(column: str, values: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        columns: dict[str, object] = {
            "symbol": ["TCS"],
            "exchange": ["NSE"],
            "timestamp": stamps(["2021-05-27 09:15:00"]),
            "ltp": [1.0],
            "volume": [1],
        }
        return write(folder / "with.parquet", columns | {column: values})

    return make


def text_file(folder: Path) -> Path:
    (folder / "text.parquet").write_text("symbol,exchange\n")
    return folder / "text.parquet"


def cut_short(folder: Path) -> Path:
    rows: list[TickRow] = [(TCS, f"2021-05-27 09:15:{n}", 100.0, n) for n in range(10, 60)]
    whole = write_ticks(folder / "whole.parquet", rows).read_bytes()
    (folder / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    return folder / "cut.parquet"


@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (lambda folder: folder / "nothing.parquet", "RECORDING_MISSING", "There is no file"),
        (lambda folder: folder, "RECORDING_MISSING", "There is no file"),
        (text_file, "RECORDING_UNREADABLE", "cannot be read as Parquet"),
        (cut_short, "RECORDING_UNREADABLE", "cannot be read as Parquet"),
        (without("ltp"), "RECORDING_COLUMNS", "has the columns exchange, symbol, timestamp"),
        (without("symbol"), "RECORDING_COLUMNS", "a recording has symbol, exchange"),
        (with_column("timestamp", ["09:15"]), "RECORDING_COLUMNS", "timestamp .* no instants"),
        (with_column("ltp", ["dear"]), "RECORDING_COLUMNS", "not of the kind it must be"),
        (with_column("volume", ["much"]), "RECORDING_COLUMNS", "not of the kind it must be"),
        (with_column("exchange", ["NASDAQ"]), "RECORDING_COLUMNS", "'NASDAQ', which is no exch"),
        (with_column("ltp", [-1.0]), "RECORDING_EMPTY", "no usable record"),
        (with_column("ltp", pa.array([None], pa.float64())), "RECORDING_EMPTY", "no usable"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_a_sentence(
    tmp_path: Path, make: Callable[[Path], Path], code: str, says: str
) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        opened(make(tmp_path))
    assert code == refused.value.code


# Real recordings, where there are any -------------------------------------------------------------

REAL = os.environ.get("ALGOHOST_MARKET_DATA")
needs_real = pytest.mark.skipif(
    not REAL, reason="ALGOHOST_MARKET_DATA names no folder with real recordings"
)


def real(pattern: str) -> Path:
    found = sorted(Path(REAL or ".").glob(pattern))
    if not found:
        pytest.skip(f"no {pattern} in ALGOHOST_MARKET_DATA")
    return found[0]


@needs_real
@pytest.mark.parametrize("pattern", ["*minute*.parquet", "*ticks*.parquet"])
def test_a_real_day_plays_from_the_open_to_the_close(pattern: str) -> None:
    """Every quote holds together, volumes never fall, and history ends as the quotes do."""
    market, clock = opened(real(pattern))
    newest: dict[InstrumentKey, Quote] = {}

    def check(quotes: Iterable[Quote]) -> None:
        for quote in quotes:
            before = newest.get(quote.key)
            assert quote.low <= quote.last <= quote.high
            assert quote.low <= quote.open <= quote.high
            assert before is None or before.at < quote.at
            assert (
                before is None or before.volume <= quote.volume or before.at.date() < TODAY.date()
            )
            newest[quote.key] = quote

    market.listen(check)
    while market.is_open(Exchange.NSE):
        market.tick()
        clock.advance(7)
    market.tick()
    assert len(newest) == len(market.instruments())
    midnight = TODAY.replace(hour=0)
    for key, quote in newest.items():
        (day,) = market.history(key, Interval.D, midnight, midnight + timedelta(days=1))
        assert (day.open, day.high, day.low, day.close, day.volume) == (
            quote.open, quote.high, quote.low, quote.last, quote.volume
        )  # fmt: skip

"""Reading recordings, with the faults that they have."""

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from algohost.domain.errors import Invalid
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.domain.quotes import Interval, Quote
from tests.market.recordings import (
    TCS,
    TODAY,
    Column,
    Columns,
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


SECONDS = [f"2021-05-27 09:15:0{second}" for second in (3, 1, 2)]
TICKS: Columns = {
    "symbol": ["TCS", "INFY", "TCS"],
    "exchange": ["NSE", "NSE", "NSE"],
    "timestamp": stamps(SECONDS),
    "ltp": [300.05, 150.0, 299.1],
    "volume": [12, 5, 10],
}
TCS_BARS = [
    ("11-25 09:15:02", 299.1, 299.1, 299.1, 299.1, 10),
    ("11-25 09:15:03", 300.05, 300.05, 300.05, 300.05, 2),
]


@pytest.mark.parametrize(
    "columns",
    [
        {"ltp": Column("DECIMAL(10, 2)", ["300.05", "150.00", "299.10"])},
        {"ltp": Column("FLOAT", [300.05, 150.0, 299.1])},
        {"ltp": ["300.05", " 150 ", "299.1"], "volume": ["12", "5", "10"]},
        {"volume": Column("UTINYINT", [12, 5, 10])},
        {"volume": [12.0, 5.0, 10.0]},
        {"symbol": Column("BLOB", [b"TCS", b"INFY", b"TCS"])},
        {"exchange": Column("ENUM('NSE')", ["NSE"] * 3)},
        {"timestamp": Column("TIMESTAMP_NS", SECONDS)},
        {"timestamp": Column("TIMESTAMP_MS", SECONDS)},
        {"timestamp": Column("TIMESTAMPTZ_NS", [f"{text}+05:30" for text in SECONDS])},
        {"a column more": [1, 2, 3], "depth": Column("DOUBLE[]", [[1.0], None, []])},
    ],
)  # fmt: skip
def test_every_kind_of_column_that_can_be_meant_is_read(tmp_path: Path, columns: Columns) -> None:
    market, clock = opened(write(tmp_path / "kinds.parquet", {**TICKS, **columns}))
    clock.advance(3)
    assert history(market, TCS, Interval.S1) == TCS_BARS
    infosys = market.search("INFY", None)[0]
    assert ("Infosys", Decimal("0.05")) == (infosys.name, infosys.tick_size)


WRITTEN = Path(__file__).parent / "written"


@pytest.mark.parametrize("name", ["pyarrow_fixed_offset", "pyarrow_no_zone", "polars"])
def test_files_of_other_programs_are_read_alike(name: str) -> None:
    """By pyarrow 26 with nanoseconds at ``+05:30``, coded symbols, decimals, Zstandard and pages
    of version 2; with milliseconds of the wall clock and gzip; by Polars 2 with categories."""
    market, clock = opened(WRITTEN / f"{name}.parquet")
    clock.advance(3)
    assert history(market, TCS, Interval.S1) == TCS_BARS


def test_a_name_that_looks_like_a_pattern_or_a_partition_is_only_a_name(tmp_path: Path) -> None:
    folder = tmp_path / "symbol=INFY" / "~ [1]*"
    folder.mkdir(parents=True)
    (tmp_path / "symbol=INFY" / "~ 1").mkdir()
    file = write(folder / "a[b]*'.parquet", TICKS)
    for other in (folder / "ab'.parquet", tmp_path / "symbol=INFY" / "~ 1" / file.name):
        shutil.copy(WRITTEN / "pyarrow_int96.parquet", other)
    market, clock = opened(file)
    clock.advance(3)
    assert history(market, TCS, Interval.S1) == TCS_BARS


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_reading_leaves_no_thread_behind(tmp_path: Path) -> None:
    """The server starts processes, and an idle one should sleep."""
    file = write(tmp_path / "ticks.parquet", TICKS)
    opened(file)
    before = set(os.listdir("/proc/self/task"))
    opened(file)
    assert set(os.listdir("/proc/self/task")) <= before


def test_prices_off_the_grid_of_five_paise_make_a_finer_one(tmp_path: Path) -> None:
    rows: list[TickRow] = [(TCS, "2021-05-27 09:15:00", 100.02, 1)]
    market, _ = opened(write_ticks(tmp_path / "fine.parquet", rows))
    instrument = market.find(TCS)
    assert instrument is not None
    assert Decimal("0.01") == instrument.tick_size
    assert Decimal("100.02") == market.quote(TCS).last


def without(column: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        columns = {name: values for name, values in TICKS.items() if name != column}
        return write(folder / "without.parquet", columns)

    return make


def with_column(column: str, kind: str, value: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        return write(folder / "with.parquet", {**TICKS, column: Column(kind, [value] * 3)})

    return make


def empty(folder: Path) -> Path:
    kinds = ("VARCHAR", "VARCHAR", "TIMESTAMPTZ", "DOUBLE", "BIGINT")
    columns = {name: Column(kind, []) for name, kind in zip(TICKS, kinds, strict=True)}
    return write(folder / "empty.parquet", columns)


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
        (with_column("timestamp", "VARCHAR", "09:15"), "RECORDING_COLUMNS", "tamp .* no instants"),
        (with_column("timestamp", "DATE", "2021-05-27"), "RECORDING_COLUMNS", "no instants"),
        (with_column("timestamp", "TIME", "09:15:00"), "RECORDING_COLUMNS", "no instants"),
        (lambda _: WRITTEN / "pyarrow_int96.parquet", "RECORDING_COLUMNS", "INT96, .* no zone"),
        (with_column("ltp", "VARCHAR", "dear"), "RECORDING_COLUMNS", "not of the kind it must be"),
        (with_column("ltp", "DATE", "2021-05-27"), "RECORDING_COLUMNS", "not of the kind it must"),
        (with_column("ltp", "DOUBLE[]", [1.0]), "RECORDING_COLUMNS", "not of the kind it must be"),
        (with_column("volume", "VARCHAR", "much"), "RECORDING_COLUMNS", "not of the kind it must"),
        (with_column("exchange", "VARCHAR", "NASDAQ"), "RECORDING_COLUMNS", "'NASDAQ', which is"),
        (with_column("ltp", "DOUBLE", -1.0), "RECORDING_EMPTY", "no usable record"),
        (with_column("ltp", "DOUBLE", None), "RECORDING_EMPTY", "no usable record"),
        (with_column("symbol", "VARCHAR", None), "RECORDING_EMPTY", "no usable record"),
        (empty, "RECORDING_EMPTY", "no usable record"),
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

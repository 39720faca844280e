"""Reading a recording of prices from a Parquet file.

Two shapes are told apart by their columns: bars of a minute (``symbol, exchange, timestamp,
open, high, low, close, volume``, the timestamp being the bar's start) and ticks (``symbol,
exchange, timestamp, ltp, volume``, the volume being of the day so far). Both become bars, of
60 seconds or of one, in the order of time. A recording has faults; what is impossible is left
out and counted in the log, what is missing stays missing, nothing is made up:

- rows without a symbol, an instant or a price above zero are left out;
- of two rows for one minute or second the later one in the file counts;
- a high below the open or close, or a low above, is moved to it;
- a day's volume that goes down is held until it is passed again, a negative one is 0;
- instants without a zone are taken as Asia/Kolkata.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from algohost.domain.errors import Invalid
from algohost.domain.instruments import Exchange, InstrumentKey
from algohost.market.bars import DAY_SECONDS, IST_OFFSET, IntArray, PaiseBars

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

_NAMED: Final = ("symbol", "exchange", "timestamp")
MINUTE_COLUMNS: Final = (*_NAMED, "open", "high", "low", "close", "volume")
TICK_COLUMNS: Final = (*_NAMED, "ltp", "volume")
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What a file holds up to the day to replay, at the instants of its recording."""

    day: int
    """The IST day to replay, as days since 1970-01-01."""
    days: IntArray
    """The days with records, up to and including ``day``, in order."""
    seconds: int
    """The length of one bar: 60 or 1."""
    series: Mapping[InstrumentKey, PaiseBars]


@dataclass(frozen=True, kw_only=True)
class _Rows:
    keys: list[InstrumentKey]
    which: IntArray
    """The place in ``keys`` of each row's instrument."""
    instants: IntArray
    prices: list[NDArray[np.float64]]
    volume: IntArray


def read(file: Path, day: date | None) -> Recording:
    """The recording in ``file`` up to ``day``, by default its last.

    Raises ``Invalid`` where there is no such file, it is not Parquet, it lacks columns or
    records, or it has no record of ``day``.
    """
    table, columns = _table(file)
    seconds = 60 if columns == MINUTE_COLUMNS else 1
    rows = _rows(file, table, columns)
    of_day = (rows.instants + IST_OFFSET) // DAY_SECONDS
    days = np.unique(of_day)
    chosen = _chosen_day(file, days, day)
    series = {}
    order = np.lexsort((rows.instants, rows.which))
    order = order[of_day[order] <= chosen]
    bounds = np.searchsorted(rows.which[order], np.arange(len(rows.keys) + 1))
    for place in sorted(range(len(rows.keys)), key=rows.keys.__getitem__):
        own = order[bounds[place] : bounds[place + 1]]
        if len(own):
            series[rows.keys[place]] = _bars(rows, own, seconds)
    return Recording(day=chosen, days=days[days <= chosen], seconds=seconds, series=series)


def _table(file: Path) -> tuple["pa.Table", tuple[str, ...]]:
    # pyarrow costs a tenth of a second and 40 MB; only who replays a recording pays.
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not file.is_file():
        raise Invalid(
            f"There is no file {str(file)!r}; give the path of a Parquet recording.",
            code="RECORDING_MISSING",
        )
    try:
        names = set(pq.read_schema(file).names)
        columns = next(
            (shape for shape in (MINUTE_COLUMNS, TICK_COLUMNS) if names.issuperset(shape)), None
        )
        if columns is not None:
            # Symbols repeat in every row: read as text they would cost most of the memory.
            with pq.ParquetFile(file, read_dictionary=["symbol", "exchange"]) as parquet:
                return parquet.read(columns=list(columns)), columns
    except (pa.ArrowException, OSError) as error:
        raise Invalid(
            f"{str(file)!r} cannot be read as Parquet ({str(error)[:200]}); give a recording "
            "written as Parquet.",
            code="RECORDING_UNREADABLE",
        ) from error
    raise Invalid(
        f"{str(file)!r} has the columns {', '.join(sorted(names))[:300]}; a recording has "
        f"{', '.join(MINUTE_COLUMNS)} (minutes) or {', '.join(TICK_COLUMNS)} (ticks).",
        code="RECORDING_COLUMNS",
    )


def _rows(file: Path, table: "pa.Table", columns: tuple[str, ...]) -> _Rows:
    import pyarrow as pa
    import pyarrow.compute as pc

    total = table.num_rows
    table = table.drop_null()
    stamps = table.column("timestamp")
    if not pa.types.is_timestamp(stamps.type):
        raise _bad_column(file, "timestamp", "holds no instants")
    try:
        symbols = _names(table.column("symbol"))
        exchanges = _names(table.column("exchange"))
        micros = stamps.cast(pa.timestamp("us", stamps.type.tz), safe=False).cast(pa.int64())
        prices = [pc.cast(table.column(name), pa.float64()).to_numpy() for name in columns[3:-1]]
        volume = pc.cast(table.column("volume"), pa.float64()).to_numpy()
    except pa.ArrowException as error:
        raise Invalid(
            f"A column of {str(file)!r} is not of the kind it must be ({str(error)[:200]}); "
            "prices and volumes are numbers, symbols and exchanges are text.",
            code="RECORDING_COLUMNS",
        ) from error
    instants = micros.to_numpy() // 1_000_000 - (0 if stamps.type.tz else IST_OFFSET)
    good = np.isfinite(volume)
    for price in prices:
        good &= np.isfinite(price) & (price > 0) & (price < 1e9)
    if not good.any():
        raise Invalid(f"{str(file)!r} holds no usable record.", code="RECORDING_EMPTY")
    if (left_out := total - int(good.sum())) > 0:
        log.warning("recording_rows_left_out file=%r rows=%d of=%d", file.name, left_out, total)
    keys, which = _keys(file, symbols, exchanges, good)
    return _Rows(
        keys=keys,
        which=which,
        instants=instants[good],
        prices=[price[good] for price in prices],
        volume=np.rint(np.clip(volume[good], 0, 1e15)).astype(np.int64),
    )


def _names(column: "pa.ChunkedArray") -> tuple[list[str], IntArray]:
    import pyarrow as pa

    coded = column.dictionary_encode().unify_dictionaries().combine_chunks()
    names = coded.dictionary.cast(pa.string()).to_pylist()
    return names, coded.indices.to_numpy().astype(np.int64)


def _keys(
    file: Path,
    symbols: tuple[list[str], IntArray],
    exchanges: tuple[list[str], IntArray],
    good: NDArray[np.bool_],
) -> tuple[list[InstrumentKey], IntArray]:
    pairs, which = np.unique(
        exchanges[1][good] * len(symbols[0]) + symbols[1][good], return_inverse=True
    )
    keys = []
    for pair in pairs.tolist():
        exchange, symbol = divmod(pair, len(symbols[0]))
        name = exchanges[0][exchange]
        if name not in set(Exchange):
            raise _bad_column(file, "exchange", f"has {name[:40]!r}, which is no exchange")
        keys.append(InstrumentKey(exchange=Exchange(name), symbol=symbols[0][symbol]))
    return keys, which


def _bad_column(file: Path, column: str, what: str) -> Invalid:
    needed = {
        "timestamp": "a Parquet timestamp, best with the zone Asia/Kolkata",
        "exchange": f"one of {', '.join(Exchange)}",
    }[column]
    return Invalid(
        f"The column {column} of {str(file)!r} {what}; it must hold {needed}.",
        code="RECORDING_COLUMNS",
    )


def _chosen_day(file: Path, days: IntArray, day: date | None) -> int:
    if day is None:
        return int(days[-1])
    wanted = (day - _EPOCH).days
    if wanted in days:
        return wanted
    first, last = (np.datetime64(int(days[place]), "D") for place in (0, -1))
    raise Invalid(
        f"{str(file)!r} has no record of {day}; it has {len(days)} days from {first} to {last}.",
        code="RECORDING_DAY",
        details={"days": [str(np.datetime64(int(known), "D")) for known in days]},
    )


def _bars(rows: _Rows, own: NDArray[np.intp], seconds: int) -> PaiseBars:
    start = rows.instants[own] // seconds * seconds
    newest = np.append(start[1:] != start[:-1], True)
    own, start = own[newest], start[newest]
    paise = [np.rint(price[own] * 100).astype(np.int64) for price in rows.prices]
    volume = rows.volume[own]
    if seconds == 1:
        last = paise[0]
        return PaiseBars(start, last, last, last, last, _traded(start, volume))
    opened, high, low, close = paise
    return PaiseBars(
        start,
        opened,
        np.maximum.reduce([opened, high, low, close]),
        np.minimum.reduce([opened, high, low, close]),
        close,
        volume,
    )


def _traded(start: IntArray, of_day: IntArray) -> IntArray:
    """The units of each second, where the file has those of the day so far."""
    days = (start + IST_OFFSET) // DAY_SECONDS
    traded = np.empty_like(of_day)
    for day in np.unique(days):
        rows = days == day
        traded[rows] = np.diff(np.maximum.accumulate(of_day[rows]), prepend=0)
    return traded

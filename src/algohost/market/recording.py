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
- instants without a zone are taken as Asia/Kolkata; those of the old kind INT96 are refused, for
  some programs write them in UTC and some in local time, and the file does not say which.
"""

import glob
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
    from duckdb import DuckDBPyConnection

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
    prices: list[IntArray]
    """In paise, as in the file's columns."""
    volume: IntArray


_ALONE: Final[dict[str, str | bool | int | float | list[str]]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "temp_directory": "",
}
"""For the reader: it fetches nothing from anywhere and writes no file."""


def read(file: Path, day: date | None) -> Recording:
    """The recording in ``file`` up to ``day``, by default its last.

    Raises ``Invalid`` where there is no such file, it is not Parquet, it lacks columns or
    records, or it has no record of ``day``.
    """
    columns, rows = _read(file)
    seconds = 60 if columns == MINUTE_COLUMNS else 1
    of_day = (rows.instants + IST_OFFSET) // DAY_SECONDS
    days = np.unique(of_day)
    chosen = _chosen_day(file, days, day)
    series = {}
    order = np.lexsort((rows.instants, rows.which))
    order = order[of_day[order] <= chosen]
    bounds = np.searchsorted(rows.which[order], np.arange(len(rows.keys) + 1))
    for place, key in enumerate(rows.keys):
        own = order[bounds[place] : bounds[place + 1]]
        if len(own):
            series[key] = _bars(rows, own, seconds)
    return Recording(day=chosen, days=days[days <= chosen], seconds=seconds, series=series)


def _read(file: Path) -> tuple[tuple[str, ...], _Rows]:
    with _opened(file) as base:
        kinds = {str(row[0]): str(row[1]) for row in base.execute("DESCRIBE file").fetchall()}
        columns = next(
            (shape for shape in (MINUTE_COLUMNS, TICK_COLUMNS) if kinds.keys() >= set(shape)), None
        )
        if columns is None:
            raise Invalid(
                f"{str(file)!r} has the columns {', '.join(sorted(kinds))[:300]}; a recording has "
                f"{', '.join(MINUTE_COLUMNS)} (minutes) or {', '.join(TICK_COLUMNS)} (ticks).",
                code="RECORDING_COLUMNS",
            )
        has_zone = _has_zone(file, base, kinds["timestamp"])
        _view_usable(base, columns, "TIMESTAMPTZ" if has_zone else "TIMESTAMP")
        return columns, _rows(file, base, columns, ahead=0 if has_zone else IST_OFFSET)


@contextmanager
def _opened(file: Path) -> Iterator["DuckDBPyConnection"]:
    """The file as a view of that name; what goes wrong with it becomes a sentence."""
    # duckdb costs a fifth of a second and 40 MB; only who replays a recording pays.
    import duckdb

    if not file.is_file():
        raise Invalid(
            f"There is no file {str(file)!r}; give the path of a Parquet recording.",
            code="RECORDING_MISSING",
        )
    try:
        with duckdb.connect(config=_ALONE) as base:
            base.read_parquet(
                _literally(file), binary_as_string=True, hive_partitioning=False
            ).create_view("file")
            yield base
    except duckdb.ConversionException as error:
        raise Invalid(
            f"A column of {str(file)!r} is not of the kind it must be ({_first_line(error)}); "
            "prices and volumes are numbers, symbols and exchanges are text.",
            code="RECORDING_COLUMNS",
        ) from error
    except duckdb.Error as error:
        raise Invalid(
            f"{str(file)!r} cannot be read as Parquet ({_first_line(error)}); give a recording "
            "written as Parquet.",
            code="RECORDING_UNREADABLE",
        ) from error


def _literally(file: Path) -> str:
    """The path as a pattern that no other file matches."""
    return glob.escape(str(file.absolute()))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def _has_zone(file: Path, base: "DuckDBPyConnection", kind: str) -> bool:
    """Whether the column holds instants, and not times of a wall clock."""
    if not kind.startswith("TIMESTAMP"):
        raise _bad_column(file, "timestamp", "holds no instants")
    stored = base.execute(
        "SELECT type FROM parquet_schema(?) WHERE name = 'timestamp'", [_literally(file)]
    ).fetchall()
    if ("INT96",) in stored:
        raise _bad_column(file, "timestamp", "is of the kind INT96, which tells no zone")
    return kind.startswith("TIMESTAMPTZ") or kind.endswith("WITH TIME ZONE")


def _rows(file: Path, base: "DuckDBPyConnection", columns: tuple[str, ...], *, ahead: int) -> _Rows:
    keys = _keys(file, base)
    if not keys:
        raise Invalid(f"{str(file)!r} holds no usable record.", code="RECORDING_EMPTY")
    found = base.execute(
        "SELECT * EXCLUDE (exchange, symbol), "
        "enum_code(CAST(exchange || ':' || symbol AS instruments)) AS which FROM usable"
    ).fetchnumpy()
    (total,) = base.execute("SELECT count(*) FROM file").fetchall()[0]
    which = np.asarray(found["which"]).astype(np.int64)
    if (left_out := total - len(which)) > 0:
        log.warning("recording_rows_left_out file=%r rows=%d of=%d", file.name, left_out, total)
    return _Rows(
        keys=keys,
        which=which,
        instants=np.asarray(found["instant"]) - ahead,
        prices=[np.asarray(found[f"{name}_paise"]) for name in columns[3:-1]],
        volume=np.asarray(found["units"]),
    )


def _view_usable(base: "DuckDBPyConnection", columns: tuple[str, ...], instant: str) -> None:
    """The rows that count, in the order of the file, as a view of whole numbers."""
    prices = columns[3:-1]
    numbers = ", ".join(f"CAST({name} AS DOUBLE) AS {name}" for name in (*prices, "volume"))
    # a cast rounds as Python does, halves to even, and fails where nothing fits
    paise = ", ".join(f"CAST({name} * 100 AS BIGINT) AS {name}_paise" for name in prices)
    possible = " AND ".join(f"isfinite({name}) AND {name} > 0 AND {name} < 1e9" for name in prices)
    base.execute(
        f"CREATE VIEW usable AS SELECT exchange, symbol, instant, {paise}, "  # noqa: S608 - own words
        "CAST(least(greatest(volume, 0), 1e15) AS BIGINT) AS units FROM "
        "(SELECT CAST(exchange AS VARCHAR) AS exchange, CAST(symbol AS VARCHAR) AS symbol, "
        f'epoch_us(CAST("timestamp" AS {instant})) // 1000000 AS instant, {numbers} FROM file) '
        "WHERE exchange IS NOT NULL AND symbol IS NOT NULL AND instant IS NOT NULL "
        f"AND isfinite(volume) AND {possible}"
    )


def _keys(file: Path, base: "DuckDBPyConnection") -> list[InstrumentKey]:
    """Every instrument in order; the type ``instruments`` numbers them by their place."""
    base.execute(
        "CREATE TABLE instrument AS SELECT DISTINCT exchange, symbol FROM usable ORDER BY ALL"
    )
    keys = []
    for exchange, symbol in base.execute("SELECT exchange, symbol FROM instrument").fetchall():
        if exchange not in set(Exchange):
            raise _bad_column(file, "exchange", f"has {exchange[:40]!r}, which is no exchange")
        keys.append(InstrumentKey(exchange=Exchange(exchange), symbol=symbol))
    if keys:
        base.execute(
            "CREATE TYPE instruments AS ENUM (SELECT exchange || ':' || symbol FROM instrument)"
        )
    return keys


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
    paise = [price[own] for price in rows.prices]
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

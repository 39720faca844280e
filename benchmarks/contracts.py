"""The master contract: loaded, searched, its memory; beside pandas over the same list."""

import asyncio
import csv
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from algohost.domain.contract_symbols import strike_text
from algohost.domain.instruments import Instrument
from algohost.host.clock import SystemClock
from algohost.market.calendars import shipped_calendars
from algohost.market.contracts import PaperContracts, file
from algohost.market.contracts.search import SearchableTable
from algohost.market.synthetic import SyntheticMarket
from benchmarks.figures import Figure, median, percentile
from benchmarks.measures import FULL, Amount
from benchmarks.server import Server

_ABOUT = "benchmark"
_QUERIES = 10_000
_SHOWN = 50
_RIVAL_QUERIES = 100
_ROUNDS = 5

# Both print the growth of their own memory, in MB, from what they need anyway to the loaded list.
_MEMORY = """
import sys
from pathlib import Path
{imports}

def pss():
    text = Path("/proc/self/smaps_rollup").read_text()
    return int(text.split("Pss:")[1].split()[0]) * 1024 / 1e6

before = pss()
{load}
print(pss() - before)
"""
_OURS = (
    "from algohost.market.contracts import file",
    f"kept = file.read(Path(sys.argv[1]), about={_ABOUT!r}); kept.search('nifty', None, limit=50)",
)
_PANDAS = (
    "import pandas",
    "kept = pandas.read_csv(sys.argv[1]); kept[kept.symbol.str.contains('NIFTY')].head(50)",
)


def contracts(_server: Server, amount: Amount) -> list[Figure]:
    """The list of today: load, search as people type, memory."""
    with TemporaryDirectory(prefix="algohost-bench-") as folder:
        path, rival = Path(folder) / "paper.npz", Path(folder) / "paper.csv"
        table = asyncio.run(_made(Path(folder)))
        rows = [table.at(place) for place in table.places(None)]
        _write_csv(rival, rows)
        total = f"{len(table):,} instruments"
        ours = median([_seconds(lambda: file.read(path, about=_ABOUT)) for _ in range(_ROUNDS)])
        pandas = median([_seconds(lambda: pd.read_csv(rival)) for _ in range(_ROUNDS)])
        count = _QUERIES if amount == FULL else _QUERIES // 10
        asked = _queries(rows, count)
        mine = _times(asked, lambda text: table.search(text, None, limit=_SHOWN))
        theirs = _pandas_times(pd.read_csv(rival), asked[:_RIVAL_QUERIES])
        memory = _memory(_OURS, path), _memory(_PANDAS, rival)
    return [
        Figure(name=f"Load {total} (rival: pandas.read_csv)", unit="ms", ours=ours * 1000,
               rival=pandas * 1000, goal=3_000),
        Figure(name=f"Search of {total}, p50 (rival: str.contains)", unit="µs",
               ours=percentile(mine, 50), rival=percentile(theirs, 50)),
        Figure(name=f"Search of {total}, p99 (rival: str.contains)", unit="µs",
               ours=percentile(mine, 99), rival=percentile(theirs, 99), goal=10_000),
        Figure(name=f"Memory of {total}, loaded (rival: DataFrame)", unit="MB",
               ours=memory[0], rival=memory[1]),
    ]  # fmt: skip


async def _made(folder: Path) -> SearchableTable:
    clock = SystemClock()
    market = SyntheticMarket(clock)
    await asyncio.to_thread(market.tick)
    source = PaperContracts(
        clock=clock, market=market, calendars=shipped_calendars, folder=folder, about=_ABOUT
    )
    return await source.fetch(lambda _percent, _what: None)


def _write_csv(path: Path, rows: Sequence[Instrument]) -> None:
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["symbol", "name", "exchange", "token", "expiry", "strike", "lotsize",
                         "instrumenttype", "tick_size"])  # fmt: skip
        for one in rows:
            writer.writerow([one.key.symbol, one.name, one.key.exchange, one.token,
                             one.expiry or "", one.strike or 0, one.lot_size,
                             one.instrument_type, one.tick_size])  # fmt: skip


def _queries(rows: Sequence[Instrument], count: int) -> list[str]:
    """What people type: parts of names, and contracts by base, expiry, strike and kind."""
    chance = random.Random(1)
    made = []
    for _ in range(count):
        one = chance.choice(rows)
        base = one.name if one.expiry is not None else one.key.symbol
        forms = [base, base[: chance.randint(2, 6)], one.name.split()[0], one.key.symbol,
                 one.key.symbol[: chance.randint(3, 14)]]  # fmt: skip
        if one.expiry is not None:
            forms.append(f"{base} {one.expiry:%b} {one.instrument_type}")
        if one.strike is not None:
            forms.append(f"{base} {strike_text(one.strike)} {one.instrument_type} {one.expiry:%b}")
            forms.append(f"{strike_text(one.strike)} {one.instrument_type}")
        made.append(chance.choice(forms).lower())
    return made


def _pandas_times(frame: pd.DataFrame, asked: Sequence[str]) -> list[float]:
    symbols, names = frame["symbol"].astype(str), frame["name"].astype(str).str.upper()

    def search(text: str) -> object:
        fits = pd.Series(data=True, index=frame.index)
        for word in text.upper().split():
            fits &= symbols.str.contains(word, regex=False) | names.str.contains(word, regex=False)
        return frame[fits].head(_SHOWN)

    return _times(asked, search)


def _times(asked: Sequence[str], search: Callable[[str], object]) -> list[float]:
    """How long each took, in microseconds."""
    return [_seconds(lambda text=text: search(text)) * 1e6 for text in asked]  # type: ignore[misc]


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _memory(parts: tuple[str, str], path: Path) -> float:
    code = _MEMORY.format(imports=parts[0], load=parts[1])
    said = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    return float(said.stdout)

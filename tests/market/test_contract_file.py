"""The file of a list: whole or not there, whatever happens while it is written."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from algohost.domain.errors import Invalid, Unavailable
from algohost.domain.instruments import Exchange
from algohost.market.calendars import shipped_calendars
from algohost.market.contracts import PaperContracts, file, paper
from algohost.market.synthetic import SyntheticMarket
from algohost.testing.clock import FakeClock
from tests.market import recordings
from tests.market.lists import CATALOGUE, basis, make, monday
from tests.market.recordings import write_minutes

CATALOGUE_SORTED = sorted(CATALOGUE, key=lambda one: (not one.key.exchange.is_index, one.key))
WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from algohost.market.contracts import file
from tests.market.lists import basis, make
from datetime import date

table, saved = make(basis(date(2026, 11, 25))), np.savez

def half(opened, **columns):
    saved(opened, **columns)
    opened.truncate(opened.tell() // 2)
    opened.flush()
    print("half", flush=True)
    time.sleep(60)

np.savez = half
file.write(Path(sys.argv[1]), table, about="tests")
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "contracts" / "paper.npz"


def source(path: Path, about: str = "tests") -> PaperContracts:
    clock = FakeClock()
    return PaperContracts(
        clock=clock,
        market=SyntheticMarket(clock, seed=7),
        calendars=shipped_calendars,
        folder=path.parent,
        about=about,
    )


def test_a_list_comes_back_from_its_file_as_it_was(path: Path) -> None:
    file.write(path, monday(), about="tests")
    again = file.read(path, about="tests")
    assert again is not None
    assert again.made_at == monday().made_at
    assert [again.at(n) for n in range(0, len(again), 11)] == [
        monday().at(n) for n in range(0, len(monday()), 11)
    ]
    assert again.search("nifty 24500", None, limit=50) == monday().search(
        "nifty 24500", None, limit=50
    )
    if os.name != "nt":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_list_of_another_market_is_not_taken_over(path: Path) -> None:
    file.write(path, monday(), about="synthetic seed=1")
    assert file.read(path, about="synthetic seed=2") is None
    assert file.read(path.with_name("none.npz"), about="tests") is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[: len(whole) // 2],
        lambda whole: b"nothing of the kind",
        lambda whole: whole[:2_000] + bytes([whole[2_000] ^ 255]) + whole[2_001:],
        # a column whose numbers are said to be shorter: numpy reads half, and no checksum
        lambda whole: whole.replace(b"'descr': '<i8'", b"'descr': '<i4'", 1),
    ],
)
def test_a_damaged_file_is_reported_and_made_anew(
    path: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    file.write(path, monday(), about="tests")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(Invalid, match="damaged"):
        file.read(path, about="tests")
    assert asyncio.run(source(path).stored()) is None
    assert "contracts_not_read" in caplog.text


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_file_that_is_read_is_the_one_that_was_written(path: Path, data: st.DataObject) -> None:
    """Whatever bytes differ: it is refused, or the list is just what it was."""
    of = basis()
    table = paper.assemble(of.made_at, paper.traded(of))
    file.write(path, table, about="tests")
    whole = bytearray(path.read_bytes())
    places = st.integers(0, len(whole) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=5)):
        whole[place] = data.draw(st.integers(0, 255))
    path.write_bytes(whole[: data.draw(st.just(len(whole)) | places)])
    try:
        again = file.read(path, about="tests")
    except (Invalid, OSError):
        return
    if again is not None:
        assert [again.at(n) for n in range(len(again))] == list(CATALOGUE_SORTED)
        assert again.made_at == table.made_at


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_writer_that_is_killed_half_way_leaves_the_old_list(path: Path) -> None:
    file.write(path, monday(), about="tests")
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"half\n"
    assert len(list(path.parent.iterdir())) == 2
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    again = file.read(path, about="tests")
    assert again is not None
    assert again.made_at == monday().made_at
    file.remove_unfinished(path.parent)
    assert list(path.parent.iterdir()) == [path]


def test_a_disk_that_refuses_leaves_the_old_list_and_nothing_beside_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write(path, monday(), about="tests")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        file.write(path, make(basis()), about="tests")
    monkeypatch.undo()
    assert list(path.parent.iterdir()) == [path]
    assert file.read(path, about="tests") is not None


def test_the_source_makes_keeps_and_takes_over_its_list(path: Path) -> None:
    told: list[int] = []
    made = asyncio.run(source(path).fetch(lambda percent, _what: told.append(percent)))
    assert len(made) >= 50_000
    assert told == sorted(told)
    kept = asyncio.run(source(path).stored())
    assert kept is not None
    assert (kept.made_at, len(kept)) == (made.made_at, len(made))
    assert asyncio.run(source(path, about="another").stored()) is None


def test_beside_a_recording_the_list_has_what_was_recorded_and_all_the_rest(
    tmp_path: Path,
) -> None:
    """What was recorded has the recording's tokens, and strikes lie around its prices."""
    recorded = write_minutes(
        tmp_path / "day.parquet",
        [
            (recordings.NIFTY, "2021-05-27 15:29:00", 15_300.0, 15_310.0, 15_290.0, 15_300.0, 0),
            (recordings.NIFTY, "2021-05-28 09:15:00", 15_420.0, 15_440.0, 15_410.0, 15_430.0, 0),
            (recordings.TCS, "2021-05-28 09:15:00", 3_150.0, 3_160.0, 3_140.0, 3_155.0, 500),
        ],
    )
    market, clock = recordings.opened(recorded)
    one = PaperContracts(
        clock=clock,
        market=market,
        calendars=shipped_calendars,
        folder=tmp_path / "contracts",
        about="recorded",
    )
    table = asyncio.run(one.fetch(lambda _percent, _what: None))
    assert [table.find(item.key) for item in market.instruments()] == list(market.instruments())
    assert len(table) > 50_000
    [at_the_money, *_] = table.search("nifty nov ce", Exchange.NFO, limit=1)
    assert at_the_money.strike == 15_300
    reliance = table.find(recordings.RELIANCE)
    assert reliance is not None
    assert market.find(recordings.RELIANCE) is None


def test_a_list_that_cannot_be_kept_is_a_sentence(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file, "write", refuse)
    with pytest.raises(Unavailable, match=r"could not be written to .*No space left on device"):
        asyncio.run(source(path).fetch(lambda _percent, _what: None))

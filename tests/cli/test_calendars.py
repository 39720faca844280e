"""``algohost calendar``, with a server and without one."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from algohost.cli.app import run
from algohost.cli.offline import open_identity
from tests.cli.fakes import FakeHost, control_server

HEADER = "exchanges,date,kind,name,hours,status,note\n"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory with an administrator."""
    folder = tmp_path / "data"

    async def add() -> None:
        with open_identity(folder, None) as identity:
            await identity.create_user("asha", "a quiet river at dawn", is_admin=True)

    asyncio.run(add())
    return folder


def said(capsys: pytest.CaptureFixture[str], words: list[str], data_dir: Path) -> tuple[int, str]:
    capsys.readouterr()
    code = run([*words, "--data-dir", str(data_dir)])
    return code, capsys.readouterr().out


def test_a_month_is_shown_without_a_server(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["calendar", "show", "--exchange", "mcx", "--month", "2026-11"]
    code, out = said(capsys, words, data_dir)
    assert code == 0
    assert "Tue 2026-11-24  evening  17:00-23:55  Guru Nanak Jayanti" in out
    code, out = said(capsys, [*words, "--json"], data_dir)
    found = json.loads(out)
    assert (found["exchange"], found["published_until"]) == ("MCX", "2026-12-31")
    assert found["days"][23]["sessions"][0]["opens_at"] == "2026-11-24T11:30:00+00:00"


def test_an_import_is_kept_and_exported(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "days.csv"
    file.write_text(HEADER + "NSE,2026-11-20,holiday,Mourning,,,\n")
    code, out = said(capsys, ["calendar", "import", str(file)], data_dir)
    assert (code, out) == (0, "1 days imported.\n")
    assert (
        "NSE,2026-11-20,holiday,Mourning,,published,"
        in said(capsys, ["calendar", "export"], data_dir)[1]
    )


@pytest.mark.parametrize(
    ("words", "content", "error"),
    [
        (["show", "--exchange", "LSE"], "", "NO_CALENDAR"),
        (["show", "--month", "2026-13"], "", "INVALID"),
        (["import", "FILE"], HEADER + "NSE,x,holiday,y,,,\n", "BAD_CALENDAR_ROWS"),
        (["import", "FILE", "--user", "ravi"], HEADER, "NO_USER"),
        (["import", "missing.csv"], "", "NO_FILE"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_code(
    data_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    content: str,
    error: str,
) -> None:
    file = tmp_path / "days.csv"
    file.write_text(content)
    given = [str(file) if word == "FILE" else word for word in words]
    code, out = said(capsys, ["calendar", *given, "--json"], data_dir)
    assert (code, json.loads(out)["error_code"]) == (1, error)


def test_a_running_server_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its calendars are in memory: an import beside it would not be seen."""
    from algohost.host.calendars import CalendarService
    from algohost.market.calendars import shipped
    from algohost.store.database import open_database
    from algohost.testing.clock import FakeClock

    database = open_database(tmp_path / "beside.db")
    host: Any = FakeHost(tmp_path)
    host.calendars = CalendarService(clock=FakeClock(), database=database, tables=shipped())
    file = tmp_path / "days.csv"
    file.write_text(HEADER + "NSE,2026-11-20,holiday,Mourning,,,\n")
    with control_server(host):
        assert said(capsys, ["calendar", "import", str(file)], tmp_path) == (
            0,
            "1 days imported.\n",
        )
        shown = said(capsys, ["calendar", "show", "--month", "2026-11"], tmp_path)[1]
        assert "Fri 2026-11-20  holiday  -            Mourning" in shown
        assert "Mourning" in said(capsys, ["calendar", "export"], tmp_path)[1]
    database.close()

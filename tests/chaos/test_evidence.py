"""A chaos run that breaks a promise leaves behind what is needed to find out why."""

import sqlite3
from pathlib import Path

from tests.chaos.evidence import Timeline, keep


def test_logs_journals_database_and_timeline_are_kept(tmp_path: Path) -> None:
    """The database is one whole file, with what stood in its write-ahead log."""
    data = tmp_path / "data"
    files = {
        "server.log": "server",
        "agent/agent.log": "agent",
        "agent/journal.jsonl": "{}",
        "log/strategies/trader_1.log": "SENT 1",
        "work/trader_1/sent": "1",
    }
    for name, text in files.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(text)
    database = sqlite3.connect(data / "algohost.db")
    database.execute("PRAGMA journal_mode=WAL")
    with database:
        database.execute("CREATE TABLE runs (id TEXT)")
        database.execute("INSERT INTO runs VALUES ('r1')")
    timeline = Timeline(is_shown=False)
    timeline.note("kill the server")

    folder = tmp_path / "kept"
    keep(data, folder, timeline, ["Order 1 was never sent and is there."])
    database.close()

    assert {name: (folder / name).read_text() for name in files} == files
    assert (folder / "timeline.txt").read_text().endswith(" kill the server\n")
    assert (folder / "breaches.txt").read_text() == "Order 1 was never sent and is there.\n"
    copy = sqlite3.connect(folder / "algohost.db")
    assert copy.execute("SELECT id FROM runs").fetchall() == [("r1",)]
    copy.close()


def test_a_database_that_is_damaged_is_kept_as_it_is(tmp_path: Path) -> None:
    """What cannot be read is evidence, too."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "algohost.db").write_bytes(b"no database" * 1000)
    keep(tmp_path / "data", tmp_path / "kept", Timeline(is_shown=False), [])
    assert (tmp_path / "kept" / "algohost.db").read_bytes() == b"no database" * 1000

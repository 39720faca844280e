"""The journal keeps every fact through torn lines, full disks, compaction and many writers."""

import errno
import os
import threading
from pathlib import Path

import pytest

from algohost.runner.journal import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl")


def runs(journal: Journal) -> list[str]:
    return [fact["run"] for fact in journal.read().facts]


def test_there_is_nothing_in_a_journal_that_is_not_there(journal: Journal) -> None:
    assert (journal.read().facts, journal.size()) == ((), 0)


def test_facts_are_read_in_the_order_they_were_written(journal: Journal) -> None:
    for i in range(5):
        journal.append({"fact": "started", "run": str(i)})
    assert runs(journal) == ["0", "1", "2", "3", "4"]
    assert journal.path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("cut", range(1, 32, 3))
def test_a_torn_last_line_costs_only_itself(journal: Journal, cut: int) -> None:
    journal.append({"fact": "started", "run": "a"})
    journal.append({"fact": "started", "run": "torn"})
    with journal.path.open("r+b") as file:
        file.truncate(journal.size() - cut)
    journal.append({"fact": "started", "run": "b"})
    reading = journal.read()
    assert [fact["run"] for fact in reading.facts if fact["run"] != "torn"] == ["a", "b"]
    assert [number for number, _ in reading.broken] in ([2], [])


def test_broken_lines_are_reported_with_their_number_and_survive_compaction(
    journal: Journal,
) -> None:
    lines = [b'{"fact":"started","run":"a"}', b"\xff\x00", b"[1]", b'{"run":"b"}']
    journal.path.write_bytes(b"\n".join(lines) + b"\n")
    assert journal.read().broken == ((2, lines[1]), (3, lines[2]), (4, lines[3]))
    journal.compact({"a", "b"})
    assert [line for _, line in journal.read().broken] == lines[1:]


def test_a_full_disk_raises_and_the_next_fact_is_whole(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append({"fact": "started", "run": "a"})
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", full)
        return write(descriptor, data[:10])

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space left"):
        journal.append({"fact": "started", "run": "lost"})
    monkeypatch.setattr(os, "write", write)
    journal.append({"fact": "started", "run": "b"})
    assert runs(journal) == ["a", "b"]


def test_compaction_under_many_writers_loses_nothing(journal: Journal) -> None:
    """An append that waited for the lock on the replaced file goes to the new one."""

    def write(name: str) -> None:
        own = Journal(journal.path)
        for i in range(40):
            own.append({"fact": "started", "run": f"{name}{i}"})
            own.append({"fact": "started", "run": "gone"})

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        journal.compact({"gone"})
    journal.compact({"gone"})
    assert sorted(runs(journal)) == sorted(f"{name}{i}" for name in "abcd" for i in range(40))

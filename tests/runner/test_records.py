"""Exit records: the run may have put anything where its record is to be."""

import json
import os
from pathlib import Path

import pytest

from algohost.runner.records import (
    LONGEST_ERROR,
    LONGEST_REASON,
    Record,
    journal_path,
    read,
    record_path,
    write,
)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "record"
    record = Record(code=3, reason="ValueError: x", is_out_of_memory=False)
    write(str(path), record)
    assert read(path) == record


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such files")
def test_what_is_no_file_is_no_record_and_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe without a writer would freeze the agent."""
    pipe, link, folder = tmp_path / "pipe", tmp_path / "link", tmp_path / "folder"
    os.mkfifo(pipe)
    write(str(tmp_path / "elsewhere"), Record(code=0))
    link.symlink_to(tmp_path / "elsewhere")
    folder.mkdir()
    assert [read(one) for one in (pipe, link, folder, tmp_path / "none")] == [None] * 4


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"code": True}, Record()),
        ({"code": 10**30, "signal": -(10**30)}, Record()),
        ({"code": "0", "signal": [9]}, Record()),
        ({"error": "one\ntwo\x1b[31m\u202e"}, Record(error="one two [31m ")),
        ({"error": "x" * 9999}, Record(error="x" * LONGEST_ERROR)),
        ({"reason": "x\r\n" * 999}, Record(reason=("x  " * 999)[:LONGEST_REASON])),
        ({"reason": 5, "error": {}}, Record()),
        ({"is_out_of_memory": 1}, Record()),
    ],
)
def test_what_makes_no_sense_is_left_out(
    tmp_path: Path, written: dict[str, object], expected: Record
) -> None:
    path = tmp_path / "record"
    path.write_text(json.dumps(written))
    assert read(path) == expected


@pytest.mark.parametrize(
    "text", ["", "[]", "5", "{", "[" * 20_000, '{"code": 1' + "0" * 9000 + "}"]
)
def test_what_is_no_object_is_no_record(tmp_path: Path, text: str) -> None:
    path = tmp_path / "record"
    path.write_text(text)
    assert read(path) is None


def test_the_journal_lies_beside_the_records(tmp_path: Path) -> None:
    assert journal_path(str(record_path(tmp_path, "r"))) == tmp_path / "journal.jsonl"

"""Reading logs that a strategy has tampered with, and logs with anything in them."""

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from algohost.domain.errors import NotFound
from algohost.domain.ids import RunId, StrategyId, VersionId
from algohost.domain.runs import Run
from algohost.host.inotify import FileWatcher
from algohost.host.logs import Logs

RUN = Run(
    id=RunId("r1"),
    strategy_id=StrategyId("ema"),
    version_id=VersionId("v"),
    intent_number=1,
    created_at=datetime(2026, 11, 23, tzinfo=UTC),
    log_name="ema_20261123_091500_IST.log",
)


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Logs]:
    folder = tmp_path / "log"
    folder.mkdir()
    (tmp_path / "algohost.db").write_bytes(b"SECRET\n")

    async def watcher() -> FileWatcher:
        return FileWatcher()

    with asyncio.Runner() as runner:
        watching = runner.run(watcher())
        yield Logs(folder, watching)

        async def close() -> None:
            watching.close()

        runner.run(close())


TRICKS: dict[str, Callable[[Path, Path], None]] = {
    "symbolic link": lambda log, secret: log.symlink_to(secret),
    "hard link": lambda log, secret: os.link(secret, log),
    "pipe": lambda log, _secret: os.mkfifo(log),
    "folder": lambda log, _secret: log.mkdir(),
    "device": lambda log, _secret: log.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_what_a_strategy_put_in_its_logs_place_is_neither_shown_nor_waited_for(
    logs: Logs, tmp_path: Path, trick: str
) -> None:
    """A pipe held the server's loop for ever; a second name of the database was shown."""
    TRICKS[trick](tmp_path / "log" / RUN.log_name, tmp_path / "algohost.db")
    for look in (logs.path, logs.tail, lambda run: logs.read(run, 0), lambda r: logs.rest(r, 0)):
        with pytest.raises(NotFound):
            look(RUN)


def test_a_pipe_that_appears_after_the_look_is_not_waited_for(
    logs: Logs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log" / RUN.log_name
    os.mkfifo(log)
    monkeypatch.setattr(logs, "path", lambda _run: log)
    with pytest.raises(NotFound):
        logs.read(RUN, 0)


def test_a_name_that_leads_out_of_the_folder_is_no_log(logs: Logs) -> None:
    with pytest.raises(NotFound):
        logs.path(replace(RUN, log_name="../algohost.db"))


def test_of_one_endless_line_the_end_is_shown(logs: Logs, tmp_path: Path) -> None:
    (tmp_path / "log" / RUN.log_name).write_bytes(b"x" * 300_000 + b"the end")
    tail = logs.tail(RUN, max_bytes=20_000)
    assert (len(tail.lines), tail.lines[0][-7:], tail.truncated) == (1, "the end", True)


def test_control_characters_are_shown_and_do_nothing(logs: Logs, tmp_path: Path) -> None:
    """Among them the eight-bit ones, a single one of which is an escape to some terminals."""
    text = "a\x1b[2Jb\x9b31mc\x00d\u202ee\tf\n"
    (tmp_path / "log" / RUN.log_name).write_bytes(text.encode() + b"\xff\xfe\n")
    assert logs.read(RUN, 0).lines == ["a␛[2Jb\ufffd31mc␀d\ufffde\tf", "\\xff\\xfe"]

"""Reading logs that a strategy has tampered with, and logs with anything in them."""

import asyncio
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.errors import NotFound
from algohost.domain.ids import RunId, StrategyId, VersionId
from algohost.domain.runs import Run
from algohost.host.inotify import FileWatcher
from algohost.host.logs import Logs
from algohost.runner.log_holes import drop_before

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


# A log whose beginning was dropped (promise 7), and files with anything in them (R13)


def with_hole(path: Path, text: bytes, cut: int) -> None:
    path.write_bytes(text)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    drop_before(descriptor, cut)
    os.close(descriptor)


def test_what_was_dropped_is_one_line_in_tail_pages_and_download(
    logs: Logs, tmp_path: Path
) -> None:
    text = b"".join(b"%07d\n" % i for i in range(4000))
    with_hole(tmp_path / "log" / RUN.log_name, text, 24_000)
    words = "[24000 bytes of earlier output were dropped]"
    tail = logs.tail(RUN)
    assert (tail.lines[:2], tail.start, tail.truncated) == ([words, "0003000"], 24_000, False)
    assert logs.tail(RUN, max_bytes=80).lines[0] == "0003991"
    first = logs.read(RUN, 0, 24)
    assert (first.lines, first.start, first.end) == (
        [words, "0003000", "0003001", "0003002"],
        24_000,
        24_024,
    )
    assert b"".join(logs.pieces(RUN)) == words.encode() + b"\n" + text[24_000:]


def test_an_offset_leads_to_its_line_and_those_around_it(logs: Logs, tmp_path: Path) -> None:
    text = b"".join(b"%07d\n" % i for i in range(4000))
    (tmp_path / "log" / RUN.log_name).write_bytes(text)
    chunk = logs.around(RUN, 16_000, max_bytes=84)
    assert (chunk.lines[0], chunk.lines[-1], chunk.start) == ("0001995", "0002004", 15_960)
    assert chunk.truncated
    assert logs.around(RUN, 0, max_bytes=80).lines[0] == "0000000"
    assert logs.around(RUN, 1 << 40, max_bytes=80).lines[-1] == "0003999"


def test_a_long_line_is_read_in_small_pieces(logs: Logs, tmp_path: Path) -> None:
    path = tmp_path / "log" / RUN.log_name
    path.write_bytes(b"begin" + b"\0" * 500_000 + b"the end")
    tail = logs.tail(RUN, max_bytes=100_000)
    assert (len(tail.lines), tail.lines[0][-7:], len(tail.lines[0]) < 17_000) == (
        1,
        "the end",
        True,
    )
    assert "characters left out" in tail.lines[0]
    piece = logs.read(RUN, 0)
    assert (piece.lines[0][:6], piece.end) == ("begin␀", 65_536)
    assert len(next(logs.pieces(RUN))) <= 262_144


BLOCK, HUGE = 4096, 1 << 36


def made_long(path: Path, *parts: tuple[int, bytes]) -> None:
    """A log that its script has made as long as it likes, with something here and there."""
    with path.open("wb") as file:
        for offset, text in parts:
            file.truncate(offset)
            file.seek(offset)
            file.write(text)


def hole(count: int) -> str:
    return f"[{count} bytes that hold nothing were passed over]"


def test_holes_that_a_script_made_are_passed_over_and_not_read(logs: Logs, tmp_path: Path) -> None:
    """R13: 64 GiB without anything in them once were NULs to read, to send and to show."""
    path = tmp_path / "log" / RUN.log_name
    made_long(path, (0, b"one\ntw"), (HUGE, b"three\n"), (2 * HUGE + 5, b"four\nfi"))
    first, second = HUGE - BLOCK, HUGE + 5 - BLOCK
    passed = [hole(first), hole(second + BLOCK - 6 + 6)]
    tail = logs.tail(RUN)
    assert (tail.lines[:2], tail.truncated) == (["one", "tw"], False)
    assert [line for line in tail.lines if "[" not in line] == ["one", "tw", "three", "four"]
    assert len(tail.lines) == 4 + len(passed)
    seen: list[str] = []
    at = 0
    while (chunk := logs.read(RUN, at)).end != at:
        seen, at = seen + chunk.lines, chunk.end
    assert (seen, at) == (tail.lines, tail.end)
    assert logs.rest(RUN, at).lines == ["fi"]
    assert logs.last_lines(RUN) == [*tail.lines, "fi"]
    download = b"".join(logs.pieces(RUN)).decode().split("\n")
    assert download == [*tail.lines, "fi"]
    around = logs.around(RUN, HUGE)
    assert (around.lines, around.offsets) == (["three"], (HUGE,))


@pytest.mark.parametrize("parts", [[(HUGE, b"")], [(0, b"one\n"), (HUGE, b"")]])
def test_a_log_that_ends_in_a_hole_is_read_at_once(
    logs: Logs, tmp_path: Path, parts: list[tuple[int, bytes]]
) -> None:
    made_long(tmp_path / "log" / RUN.log_name, *parts)
    begin = [text.decode().strip() for _, text in parts if text]
    assert [line for line in logs.tail(RUN).lines if "[" not in line] == begin
    assert [line for line in logs.last_lines(RUN) if "[" not in line] == begin
    assert len(b"".join(logs.pieces(RUN))) < 200


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from([b"a\n", b"bc\nd\n", b"x" * 5000 + b"\n"])),
        max_size=8,
    ),
    st.sampled_from([64, 700, 65_536]),
)
def test_every_line_between_holes_is_read_once(parts: list[tuple[int, bytes]], most: int) -> None:
    """Whatever holes there are: reading on from piece to piece, and the download, lose nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / RUN.log_name
        written = b""
        with path.open("wb") as file:
            for blocks, text in parts:
                file.seek(blocks * BLOCK, os.SEEK_END)
                file.write(text)
                written += text
        logs = Logs(Path(folder), cast("FileWatcher", None))
        seen: list[str] = []
        at = 0
        while (chunk := logs.read(RUN, at, most)).end != at:
            seen, at = seen + chunk.lines, chunk.end
        shown = "".join(line for line in seen if not line.startswith("[")).replace("␀", "")
        assert shown == written.decode().replace("\n", "")
        lines = b"".join(logs.pieces(RUN)).replace(b"\0", b"").decode().split("\n")
        assert [x for x in lines if x and x[0] != "["] == written.decode().split("\n")[:-1]


def test_the_last_lines_are_at_most_two_hundred_and_64_kilobytes(
    logs: Logs, tmp_path: Path
) -> None:
    path = tmp_path / "log" / RUN.log_name
    assert logs.last_lines(RUN) == []
    path.write_bytes(b"".join(b"%d\n" % i for i in range(1000)) + b"Killed in the mid")
    assert logs.last_lines(RUN) == [*(str(i) for i in range(801, 1000)), "Killed in the mid"]
    path.write_bytes((b"y" * 9_999 + b"\n") * 100)
    assert len(logs.last_lines(RUN)) == 6


HAPPENINGS: dict[str, Callable[[Path], None]] = {
    "deleted": lambda log: log.unlink(),
    "moved away": lambda log: (log.rename(log.with_name("old")), None)[1],
    "emptied": lambda log: os.truncate(log, 0),
}


@pytest.mark.parametrize("happening", HAPPENINGS)
def test_a_follower_goes_on_in_the_file_that_takes_the_place(
    tmp_path: Path, happening: str
) -> None:
    """R14: the log is taken away from under whoever reads it."""
    folder = tmp_path / "log"
    folder.mkdir()
    path = folder / RUN.log_name
    path.write_bytes(b"one\ntwo\n")

    async def follow() -> list[list[str]]:
        watcher = FileWatcher()
        live = [True]
        following = Logs(folder, watcher).follow(RUN, 0, lambda _run: live[0])
        seen = [(await anext(following)).lines]
        HAPPENINGS[happening](path)
        with path.open("ab") as file:
            file.write(b"new\n")
        seen.append((await anext(following)).lines)
        live.clear()
        live.append(False)
        with path.open("ab") as file:
            file.write(b"last words")
        seen += [chunk.lines async for chunk in following]
        watcher.close()
        return seen

    assert asyncio.run(follow()) == [["one", "two"], ["new"], ["last words"]]


def test_a_follower_goes_on_after_holes_and_cuts(tmp_path: Path) -> None:
    """R14: ``os.ftruncate(1, 1 << 36)`` and ``os.ftruncate(1, 0)`` are no end of the log."""
    path = tmp_path / RUN.log_name
    path.write_bytes(b"one\n")

    async def follow() -> list[list[str]]:
        watcher = FileWatcher()
        live = [True]
        following = Logs(tmp_path, watcher).follow(RUN, 0, lambda _run: live[0])
        seen = [(await anext(following)).lines]
        os.truncate(path, HUGE)
        with path.open("ab") as file:
            file.write(b"two\n")
        seen.append((await anext(following)).lines)
        os.truncate(path, 0)
        waiting = asyncio.ensure_future(anext(following))
        await asyncio.wait([waiting], timeout=1.5)  # it has seen that the log is empty
        with path.open("ab") as file:
            file.write(b"three\nfour\n")
        seen.append((await waiting).lines)
        live[0] = False
        seen += [chunk.lines async for chunk in following]
        watcher.close()
        return seen

    found = asyncio.run(follow())
    assert [line for lines in found for line in lines if "[" not in line] == [
        *("one", "two", "three", "four")
    ]


def test_a_follower_passes_over_what_is_dropped_under_it(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    with_hole(folder / RUN.log_name, b"".join(b"%07d\n" % i for i in range(4000)), 31_984)

    async def follow() -> list[list[str]]:
        watcher = FileWatcher()
        following = Logs(folder, watcher).follow(RUN, 80, lambda _run: False)
        seen = [chunk.lines async for chunk in following]
        watcher.close()
        return seen

    words = "[31984 bytes of earlier output were dropped]"
    assert asyncio.run(follow()) == [[words, "0003998", "0003999"]]


def test_a_follower_reads_beside_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is slow, or a log that is full of NULs, must not hold up the server (R13)."""
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / RUN.log_name).write_bytes(b"one\nlast words")
    readers: list[threading.Thread] = []

    def opened(path: Path, flags: int) -> int:
        readers.append(threading.current_thread())
        return os_open(path, flags)

    os_open = os.open
    monkeypatch.setattr(os, "open", opened)

    async def follow() -> list[list[str]]:
        watcher = FileWatcher()
        seen = [
            chunk.lines async for chunk in Logs(folder, watcher).follow(RUN, 0, lambda _: False)
        ]
        watcher.close()
        return seen

    assert asyncio.run(follow()) == [["one"], ["last words"]]
    assert readers
    assert threading.main_thread() not in readers

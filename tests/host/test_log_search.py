"""Search in the logs of a strategy's runs: what is found, in which order, and what stops it."""

import asyncio
import os
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algohost.domain.errors import Invalid
from algohost.domain.ids import RunId, StrategyId, VersionId
from algohost.domain.runs import Run
from algohost.host import log_scan, log_search
from algohost.host.log_find import literal_part
from algohost.host.log_scan import Job, scan
from algohost.host.log_search import Page, Query, moment, search
from algohost.host.log_searchers import LOG_SEARCHERS
from algohost.runner.log_holes import drop_before

OLD = """\
2026-11-23 09:15:00 IST INFO started
2026-11-23 09:15:01 IST Bought 75 NIFTY at 24,512.35
2026-11-23 09:15:02 IST WARNING slow answer
plain line of C code
2026-11-23 09:16:00 IST Traceback (most recent call last):
2026-11-23 09:16:00 IST   File "ema.py", line 3, in <module>
2026-11-23 09:16:00 IST ZeroDivisionError: division by zero
"""
NEW = """\
2026-11-24 09:15:00 IST INFO started
2026-11-24 09:15:01 IST bought 50 BANKNIFTY \x1b[31m
2026-11-24 09:15:02 IST ERROR order rejected: RMS
"""


def run(number: int, day: int) -> Run:
    at = datetime(2026, 11, day, 3, 45, tzinfo=UTC)
    return Run(
        id=RunId(f"{number:016x}"), strategy_id=StrategyId("ema"), version_id=VersionId("v"),
        intent_number=number, created_at=at, ended_at=at + timedelta(hours=6),
        log_name=f"ema_202611{day}_091500_IST.log",
    )  # fmt: skip


RUNS = [run(2, 24), run(1, 23)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for one, text in zip(RUNS, (NEW, OLD), strict=True):
        (tmp_path / one.log_name).write_text(text)
    return tmp_path


def find(folder: Path, runs: Sequence[Run] = RUNS, /, **query: object) -> Page:
    return asyncio.run(search(folder, runs, Query(**query)))  # type: ignore[arg-type]


CASES: list[tuple[dict[str, object], list[str]]] = [
    ({"text": "bought"}, ["bought 50 BANKNIFTY ␛[31m", "Bought 75 NIFTY at 24,512.35"]),
    ({"text": "Bought"}, ["Bought 75 NIFTY at 24,512.35"]),
    ({"text": "nothing like it"}, []),
    ({"text": r"bought \d+ nifty", "is_expression": True}, ["Bought 75 NIFTY at 24,512.35"]),
    ({"text": r"^2026.*\d{2},\d{3}", "is_expression": True}, ["Bought 75 NIFTY at 24,512.35"]),
    ({"text": r"started\s+2026", "is_expression": True}, []),
    ({"text": r"(RMS|ZERO)$", "is_expression": True}, ["ERROR order rejected: RMS"]),
    ({"text": r"(rms|zero)$", "is_expression": True},
     ["ERROR order rejected: RMS", "ZeroDivisionError: division by zero"]),
    ({"level": "error"},
     ["ERROR order rejected: RMS", "ZeroDivisionError: division by zero",
      '  File "ema.py", line 3, in <module>', "Traceback (most recent call last):"]),
    ({"level": "warning", "text": "slow"}, ["WARNING slow answer"]),
    ({"level": "error", "text": "slow"}, []),
    ({"text": "plain"}, ["plain line of C code"]),
    ({"text": "started", "since": moment("2026-11-24")}, ["INFO started"]),
    ({"text": "started", "until": moment("2026-11-23 09:15")}, ["INFO started"]),
    ({"since": moment("2026-11-23 09:15:02"), "until": moment("2026-11-23 09:15:30")},
     ["plain line of C code", "WARNING slow answer"]),
]  # fmt: skip


@pytest.mark.parametrize(("query", "expected"), CASES)
def test_lines_are_found_newest_first(
    folder: Path, query: dict[str, object], expected: list[str]
) -> None:
    page = find(folder, **query)
    assert ([hit.text for hit in page.hits], page.cursor) == (expected, None)


def test_a_hit_names_its_run_its_place_its_time_and_level(folder: Path) -> None:
    (hit,) = find(folder, text="slow").hits
    assert (hit.run_id, hit.at, hit.level) == (RUNS[1].id, "2026-11-23 09:15:02", "warning")
    assert OLD.encode()[hit.offset :].startswith(b"2026-11-23 09:15:02 IST WARNING slow")


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
@pytest.mark.parametrize("is_expression", [False, True])
def test_a_cursor_goes_on_where_the_page_ended(
    folder: Path, limit: int, is_expression: bool
) -> None:
    whole = find(folder, text="1", is_expression=is_expression).hits
    hits, cursor = [], ""
    for _ in range(20):
        page = find(folder, text="1", is_expression=is_expression, limit=limit, cursor=cursor)
        assert len(page.hits) <= limit
        hits += page.hits
        if page.cursor is None:
            break
        cursor = page.cursor
    assert hits == whole


@settings(max_examples=40, deadline=None)
@given(
    lines=st.lists(st.text("ab1 \r\té", max_size=30), max_size=60),
    needle=st.sampled_from(["a", "ab", "b1", "é"]),
    chunk=st.integers(16, 200),
    limit=st.integers(1, 20),
)
def test_no_line_is_missed_or_found_twice_whatever_the_chunks(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[str],
    needle: str,
    chunk: int,
    limit: int,
) -> None:
    path = tmp_path_factory.mktemp("logs") / "log"
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_scan, "CHUNK_BYTES", max(chunk, 70))
        found, before = [], None
        while True:
            job = Job(paths=[str(path)], text=needle, before=before, limit=limit)
            findings = scan(job)
            found += [one.line.decode() for one in findings.found]
            if findings.stopped is None:
                break
            before = findings.stopped[1]
    assert found == [line.rstrip("\r") for line in lines[::-1] if needle in line]


def test_what_was_dropped_of_a_log_is_not_searched(folder: Path) -> None:
    path = folder / RUNS[0].log_name
    path.write_bytes(b"needle 123456789\n" * 1000)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    drop_before(descriptor, 16_000)
    os.close(descriptor)
    page = find(folder, text="needle", limit=500)
    assert (len(page.hits), page.hits[-1].offset) == (58, 16_014)


def test_nothing_that_a_strategy_put_in_a_logs_place_is_read(folder: Path) -> None:
    """S6: a link to a foreign file, another name of one, a pipe that nobody writes to."""
    secret = folder / "vault"
    secret.write_bytes(b"needle\n")
    path = folder / RUNS[0].log_name
    tricks: list[Callable[[], None]] = [
        lambda: path.symlink_to(secret),
        lambda: os.link(secret, path),
        lambda: os.mkfifo(path),
        path.mkdir,
    ]
    for trick in tricks:
        path.unlink()
        trick()
        assert find(folder, text="needle").hits == []
    outside = replace(RUNS[0], log_name="../vault")
    with pytest.raises(Invalid):
        find(folder, [outside], text="needle")


def test_an_expression_that_takes_for_ever_is_ended_and_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the interpreter, so it must have one of its own."""
    monkeypatch.setattr(log_search, "_PROCESS_SECONDS", 0.5)
    (folder / RUNS[0].log_name).write_bytes(b"a" * 60 + b"\n")
    with pytest.raises(Invalid, match="takes too long") as refusal:
        find(folder, text=r"(a+)+b", is_expression=True)
    assert refusal.value.code == "SLOW_EXPRESSION"


def test_a_search_that_runs_out_of_time_gives_what_it_has_and_a_cursor(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_search, "_SCAN_SECONDS", 0.0)
    page = find(folder, text="bought")
    assert page.cursor is not None
    hits = list(page.hits)
    while page.cursor is not None:
        page = find(folder, text="bought", cursor=page.cursor)
        hits += page.hits
    assert len(hits) == 2


def test_the_time_is_looked_at_between_small_files_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty files of a megabyte took four times their time; a call gets on by one file at least."""
    paths = [str(folder / run.log_name) for run in RUNS]
    late = Job(paths=paths, text="bought", seconds=0.0)
    findings = scan(late)
    assert [one.file for one in findings.found] == [0]
    assert findings.stopped is not None
    assert findings.stopped[0] == 1
    rest = scan(replace(late, paths=paths[1:], before=findings.stopped[1]))
    assert ([one.file for one in rest.found], rest.stopped) == ([0], None)
    monkeypatch.setattr(log_scan, "CHUNK_BYTES", 100)
    within = scan(replace(late, paths=paths[1:]))
    assert within.stopped is not None
    assert within.stopped[0] == 0


def test_a_search_takes_no_thread_that_launches_need(folder: Path) -> None:
    """Launches, too, use the loop's own threads; here they are all taken."""
    release = threading.Event()

    async def check() -> Page:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as only:
            loop.set_default_executor(only)
            held = loop.run_in_executor(None, release.wait)
            try:
                return await search(folder, RUNS, Query(text="bought"))
            finally:
                release.set()
                await held

    assert len(asyncio.run(check()).hits) == 2


REFUSED: list[tuple[dict[str, object], str]] = [
    ({}, "Say what to look for"),
    ({"text": "x" * 501}, "at most 500 characters"),
    ({"text": "x", "level": "loud"}, "is no level"),
    ({"text": "x", "limit": 0}, "Ask for 1 to 500"),
    ({"text": "x", "cursor": "nonsense"}, "is no place to go on from"),
    ({"text": "x", "cursor": f"{RUNS[0].id}.{'9' * 5000}"}, "is no place to go on from"),
    ({"text": "x", "cursor": f"{RUNS[0].id}.-1"}, "is no place to go on from"),
    ({"text": "x", "cursor": "00000000000000ff.1"}, "log is gone"),
    ({"text": "(", "is_expression": True}, "no regular expression"),
]


@pytest.mark.parametrize(("query", "words"), REFUSED)
def test_what_cannot_be_searched_is_refused_in_words(
    folder: Path, query: dict[str, object], words: str
) -> None:
    with pytest.raises(Invalid, match=re.escape(words)):
        find(folder, **query)


def test_a_time_is_read_as_india_writes_it() -> None:
    assert moment("") is None
    assert moment("2026-11-23 09:15") == datetime(2026, 11, 23, 3, 45, tzinfo=UTC)
    assert moment("2026-11-23 09:15:00 IST") == moment("2026-11-23T03:45:00+00:00")
    with pytest.raises(Invalid, match="is no time"):
        moment("yesterday")


PARTS = {
    "needle": "needle", r"needle\s+in": "needle", "needle?": "needl", "^needle": "needle",
    "needle|pin": "", "(?x) needle": "", r"\d+ rejected": " rejected", r"\d+ rejected$": "",
    "a+b": "", r"\bneedle": "", "[abc]def": "def", "abc{0}": "", "(abc)*": "", r"abc\d*": "abc",
}  # fmt: skip


@pytest.mark.parametrize("expression", PARTS)
def test_the_part_that_is_looked_for_first_is_in_every_match(expression: str) -> None:
    assert literal_part(expression) == PARTS[expression]


@settings(max_examples=150, deadline=None)
@given(st.from_regex(r"(abc|[ab]|\\d|\.|b\?|c\*|a\+|\(ab\)\*|def){1,6}", fullmatch=True), st.data())
def test_whatever_matches_holds_the_part(expression: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(expression, fullmatch=True))
    assert literal_part(expression) in text


def test_it_leaves_no_process_behind(folder: Path) -> None:
    find(folder, text="a.", is_expression=True)
    LOG_SEARCHERS.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


QUERIES: list[dict[str, object]] = [
    {"since": moment("2026-11-24")},
    {"until": moment("2026-11-25")},
    {"text": "IST"},
    {"text": "e|w", "is_expression": True},
]


def test_a_page_of_findings_is_not_spent_in_a_hole(tmp_path: Path) -> None:
    """R13: ``os.ftruncate(1, 1 << 36)`` makes a log of 64 GiB, of which 3 lines were written."""
    path = tmp_path / RUNS[0].log_name
    with path.open("wb") as file:
        file.write(b"2026-11-24 09:15:00 IST one\n")
        file.truncate((1 << 36) + 5)
        file.seek(0, os.SEEK_END)
        file.write(b"2026-11-24 09:16:00 IST two\n")
        file.seek(1 << 20, os.SEEK_END)
        file.write(b"2026-11-24 09:17:00 IST three\n")
        file.truncate(1 << 38)
    expected = [("three", "2026-11-24 09:17:00"), ("two", "2026-11-24 09:16:00")]
    expected.append(("one", "2026-11-24 09:15:00"))
    for query in QUERIES:
        page = find(tmp_path, RUNS[:1], **query)
        assert ([(hit.text, hit.at) for hit in page.hits], page.cursor) == (expected, None)

"""Secrets are covered in the log files themselves, in place and whatever becomes of the files."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from algohost.domain.ids import RunId, StrategyId, VersionId
from algohost.domain.runs import Run, RunState
from algohost.host import log_scrub
from algohost.host.log_cover import Cover
from algohost.host.log_scrub import LogScrubber
from algohost.host.registry import Registry
from algohost.runner.log_holes import drop_before, first_kept, size_on_disk
from tests.host.harness import ASHA, HostUnderTest

SECRET = "s3cr3t-T0ken_value"
HIDDEN = "*" * len(SECRET)
RUN = Run(
    id=RunId("r1"),
    strategy_id=StrategyId("ema"),
    version_id=VersionId("v"),
    intent_number=1,
    created_at=datetime(2026, 11, 23, tzinfo=UTC),
    log_name="ema_20261123_091500_IST.log",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "log"
    folder.mkdir()
    return folder / RUN.log_name


@pytest.fixture
def scrubber(path: Path) -> LogScrubber:
    cover = Cover([SECRET])
    return LogScrubber(folder=path.parent, registry=Registry((), ()), cover=lambda _id: cover)


def test_what_is_found_is_overwritten_in_its_place(scrubber: LogScrubber, path: Path) -> None:
    path.write_text(f"one\nkey {SECRET}\n{SECRET[:9]}\n{SECRET[9:]} two\n")
    assert scrubber.scrub(RUN, seconds=9, has_ended=True)
    assert path.read_text() == f"one\nkey {HIDDEN}\n{'*' * 9}\n{'*' * (len(SECRET) - 9)} two\n"


def test_a_live_run_goes_on_appending_and_a_secret_in_two_looks_is_covered(
    scrubber: LogScrubber, path: Path
) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for text in (f"a {SECRET} b {SECRET[:8]}", f"{SECRET[8:]} c\n", "d\n"):
        os.write(log, text.encode())
        assert scrubber.scrub(RUN, seconds=9, has_ended=False)
    os.close(log)
    assert path.read_text() == f"a {HIDDEN} b {HIDDEN} c\nd\n"
    assert scrubber.scrub(RUN, seconds=9, has_ended=True)


def test_a_run_that_was_killed_in_the_middle_of_a_secret_leaves_no_beginning_of_it(
    scrubber: LogScrubber, path: Path
) -> None:
    path.write_text(f"key {SECRET[:11]}")
    assert scrubber.scrub(RUN, seconds=9, has_ended=False)
    assert path.read_text() == f"key {SECRET[:11]}", "of a live run it waits for what follows"
    assert scrubber.scrub(RUN, seconds=9, has_ended=True)
    assert path.read_text() == f"key {'*' * 11}"


def test_a_long_log_is_covered_in_turns(
    scrubber: LogScrubber, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each turn gets on by one piece at least; a secret lies across their edges."""
    monkeypatch.setattr(log_scrub, "_CHUNK_BYTES", 100)
    path.write_text(f"{SECRET}\n" * 100)
    turns = 1
    while not scrubber.scrub(RUN, seconds=0, has_ended=True):
        turns += 1
    assert turns > 3
    assert path.read_text() == f"{HIDDEN}\n" * 100


def test_pieces_that_take_long_become_smaller(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop waits while one is looked through; with many secrets that would be noticed."""
    sizes: list[int] = []

    class Slow(Cover):
        def spans(self, text: bytes, *, is_open: bool = False) -> list[tuple[int, int]]:
            sizes.append(len(text))
            return super().spans(text, is_open=is_open)

    monkeypatch.setattr(log_scrub, "_LONG_SECONDS", -1.0)
    cover = Slow([SECRET])
    path.write_text(f"{SECRET}\n" * 60_000)
    slow = LogScrubber(folder=path.parent, registry=Registry((), ()), cover=lambda _id: cover)
    assert slow.scrub(RUN, seconds=60, has_ended=True)
    assert sizes[0] > 200_000
    assert max(sizes[6:]) < 16_384 + 2 * cover.margin + 1
    assert path.read_text() == f"{HIDDEN}\n" * 60_000


@pytest.mark.parametrize("kept", [300_000, 9_000, 1_200])
def test_a_beginning_that_is_dropped_in_the_moment_of_writing_stays_dropped(
    scrubber: LogScrubber, path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """The write waits for whoever makes the hole, and would put an island into it."""
    text = f"{'x' * 999}\n{SECRET}\n{'z' * 400_000}\n".encode()
    path.write_bytes(text)
    write = os.pwrite

    def late(descriptor: int, text: bytes, offset: int) -> int:
        drop_before(descriptor, kept)
        return write(descriptor, text, offset)

    monkeypatch.setattr(os, "pwrite", late)
    assert scrubber.scrub(RUN, seconds=9, has_ended=True)
    raw = path.read_bytes()
    assert raw[:kept] == bytes(kept)
    assert raw[kept:] == text[kept:]
    with path.open("rb") as file:
        assert first_kept(file.fileno(), len(raw)) == kept


def test_holes_stay_holes(scrubber: LogScrubber, path: Path) -> None:
    """Of a log whose beginning was dropped, and of one that its script made long."""
    path.write_text("x" * 99 + "\n" + f"{SECRET}\n" * 20_000)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    drop_before(descriptor, 300_000)
    os.ftruncate(descriptor, 1 << 36)
    os.write(descriptor, f"{SECRET}\n".encode())
    before = os.fstat(descriptor)
    assert scrubber.scrub(RUN, seconds=9, has_ended=True)
    after = os.fstat(descriptor)
    os.close(descriptor)
    assert (after.st_size, size_on_disk(after)) == (before.st_size, size_on_disk(before))
    with path.open("rb") as file:
        file.seek(300_000)
        shown = file.read(200_000)
        file.seek(-len(SECRET) - 1, os.SEEK_END)
        end = file.read()
    assert SECRET.encode() not in shown
    assert shown.count(HIDDEN.encode()) > 4000
    assert end == f"{HIDDEN}\n".encode()


TRICKS: dict[str, Callable[[Path, Path], None]] = {
    "symbolic link": lambda log, foreign: log.symlink_to(foreign),
    "hard link": lambda log, foreign: os.link(foreign, log),
    "pipe": lambda log, _foreign: os.mkfifo(log),
    "folder": lambda log, _foreign: log.mkdir(),
    "nothing": lambda _log, _foreign: None,
}


@pytest.mark.parametrize("trick", TRICKS)
def test_nothing_that_a_strategy_put_in_its_logs_place_is_written(
    scrubber: LogScrubber, path: Path, tmp_path: Path, trick: str
) -> None:
    """S6: what is overwritten must not be a file of the server, or of anybody else."""
    foreign = tmp_path / "algohost.db"
    foreign.write_text(SECRET)
    TRICKS[trick](path, foreign)
    assert scrubber.scrub(RUN, seconds=9, has_ended=True)
    assert foreign.read_text() == SECRET
    outside = replace(RUN, log_name="../algohost.db")
    assert scrubber.scrub(outside, seconds=9, has_ended=True)
    assert foreign.read_text() == SECRET


def test_a_log_that_was_replaced_or_cut_is_looked_at_from_its_beginning(
    scrubber: LogScrubber, path: Path
) -> None:
    """R14."""
    path.write_text("x" * 10_000 + "\n")
    assert scrubber.scrub(RUN, seconds=9, has_ended=False)
    path.rename(path.with_name("old"))
    path.write_text(f"{SECRET}\n" + "y" * 20_000)
    assert scrubber.scrub(RUN, seconds=9, has_ended=False)
    assert path.read_text().startswith(HIDDEN)
    path.write_text(f"{SECRET}\n")
    assert scrubber.scrub(RUN, seconds=9, has_ended=False)
    assert path.read_text() == f"{HIDDEN}\n"
    os.truncate(path, 0)
    path.write_text(f"{SECRET}\n" * 2)
    assert scrubber.scrub(RUN, seconds=9, has_ended=False), "it is longer than it was"
    assert path.read_text() == f"{HIDDEN}\n" * 2


class Changing(Cover):
    """Something happens to the log between the look and the write."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__([SECRET])
        self._happens = happens

    def spans(self, text: bytes, *, is_open: bool = False) -> list[tuple[int, int]]:
        found = super().spans(text, is_open=is_open)
        self._happens()
        return found


CHANGES: dict[str, Callable[[Path], object]] = {
    "cut to nothing": lambda log: os.truncate(log, 0),
    "dropped": lambda log: dropped(log, 8192),
    "written over": lambda log: log.write_text("z" * 9000),
}


def dropped(log: Path, count: int) -> None:
    descriptor = os.open(log, os.O_RDWR | os.O_APPEND)
    drop_before(descriptor, count)
    os.close(descriptor)


@pytest.mark.parametrize("change", CHANGES)
def test_a_log_that_changes_in_that_moment_is_left_as_it_is(path: Path, change: str) -> None:
    """Else a hole would get a piece in its middle, and an emptied log a size again."""
    path.write_text(f"{SECRET}\n" + "x" * 9000)
    after: list[tuple[bytes, int]] = []

    def happens() -> None:
        CHANGES[change](path)
        after.append((path.read_bytes(), size_on_disk(path.stat())))

    cover = Changing(happens)
    scrubber = LogScrubber(folder=path.parent, registry=Registry((), ()), cover=lambda _id: cover)
    scrubber.scrub(RUN, seconds=9, has_ended=False)
    assert (path.read_bytes(), size_on_disk(path.stat())) == after[-1]


def test_logs_of_strategies_without_secrets_are_not_opened(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text("x")
    scrubber = LogScrubber(folder=path.parent, registry=Registry((), ()), cover=lambda _id: Cover())
    monkeypatch.setattr(os, "open", None)
    assert scrubber.scrub(RUN, seconds=9, has_ended=True)


def test_a_log_that_cannot_be_looked_at_holds_up_no_end(
    scrubber: LogScrubber,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path.write_text(f"{SECRET}\n")

    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pwrite", fail)
    scrubber.before_the_end(RUN)
    scrubber.before_the_end(RUN)
    assert caplog.text.count("log_not_scrubbed run=r1") == 1


@contextlib.contextmanager
def noted(scrubber: LogScrubber) -> Iterator[set[threading.Thread]]:
    threads: set[threading.Thread] = set()
    scrub = scrubber.scrub

    def noting(run: Run, *, seconds: float, has_ended: bool) -> bool:
        threads.add(threading.current_thread())
        return scrub(run, seconds=seconds, has_ended=has_ended)

    scrubber.scrub = noting  # type: ignore[method-assign]
    yield threads


def test_the_loop_covers_live_logs_and_what_a_dead_server_left(tmp_path: Path) -> None:
    """In a thread of its own: beside the loop, and taking no thread that launches need."""

    async def main() -> None:
        async with HostUnderTest(tmp_path) as host:
            live, ended = [(await host.add(name)).strategy for name in ("one", "two")]
            paths = []
            for strategy in (live, ended):
                view = await host.service.start(ASHA, strategy.id)
                assert view.latest is not None
                log = tmp_path / "log" / "strategies" / view.latest.log_name
                log.parent.mkdir(parents=True, exist_ok=True)
                log.write_text(f"{SECRET}\n" + "x" * 2000)
                paths.append(log)
            assert view.latest is not None
            run_id = view.latest.id
            await host.until(lambda: run_id in host.keeper.specs, "launched")
            host.keeper.exits(run_id, code=1)
            host.reconciler.look_at(ended.id)

            def has_ended() -> bool:
                found = host.registry.find(ended.id)
                return (
                    found is not None
                    and found.latest is not None
                    and (found.latest.state is RunState.ENDED)
                )

            await host.until(has_ended, "the end")
            scrubber = LogScrubber(
                folder=tmp_path / "log" / "strategies",
                registry=host.registry,
                cover=lambda _id: Cover([SECRET]),
            )
            with noted(scrubber) as threads:
                task = asyncio.create_task(scrubber.run())
                await host.until(
                    lambda: all(one.read_text().startswith(HIDDEN) for one in paths), "covered"
                )
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            assert threading.main_thread() not in threads
            assert scrubber.failures == 0

    asyncio.run(main())

"""Promise 7: a log holds no more than it may, and is never the reason a run dies (R13, R14, S6)."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from algohost.agent.logs import LogKeeper
from algohost.agent.loop import Loop
from algohost.agent.runs import Run
from algohost.agent.table import Table
from algohost.runner import log_holes
from algohost.runner.bounds import Limits
from algohost.runner.journal import Journal
from algohost.runner.log_holes import (
    drop_before,
    dropped_words,
    first_kept,
    line_end_after,
    size_on_disk,
)
from algohost.runner.mask import MARKER
from algohost.runner.messages import Launcher
from tests.agent.driving import ENV, LAUNCHERS, Driver, is_alive, until

MB = 1 << 20
FLOOD = """
import os, time
line = b"%012d " + b"x" * 86 + b"\\n"
until = time.monotonic() + 2
n = 0
while time.monotonic() < until:
    os.write(1, b"".join(line % i for i in range(n, n + 2000)))
    n += 2000
print("wrote", n, flush=True)
time.sleep(60)
"""


def on_disk(path: Path) -> int:
    return size_on_disk(path.stat())


def kept(path: Path) -> bytes:
    """What a reader sees of the log."""
    with path.open("rb") as file:
        size = path.stat().st_size
        first = first_kept(file.fileno(), size)
        return os.pread(file.fileno(), size - first, first)


def test_a_flood_stays_near_its_bound_loses_no_new_line_and_ends_nobody(
    lone: Callable[..., Driver],
) -> None:
    """R13, in small: some 100 MB into a log of 4 MB."""
    driver = lone()
    fact = driver.start("flood", FLOOD, limits=Limits(log_bytes=4 * MB))
    path = driver.log_path("flood")
    highest = 0

    def has_ended_its_flood() -> bool:
        nonlocal highest
        if not path.exists():
            return False
        highest = max(highest, on_disk(path))
        with path.open("rb") as file:
            file.seek(-200, 2) if path.stat().st_size > 200 else None
            return b"wrote" in file.read()

    until(has_ended_its_flood, seconds=30)
    until(lambda: on_disk(path) <= 4 * MB)
    assert fact.pid is not None
    assert is_alive(fact.pid)
    written = path.stat().st_size
    assert written > 8 * MB
    assert highest < written / 2 + 4 * MB
    lines = kept(path).splitlines()
    numbers = [int(line[:12]) for line in lines if re.match(rb"\d{12} ", line)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(numbers) == len(lines) - 1, "the first line that is kept is whole"
    assert int(lines[-1].split()[-1]) == numbers[-1] + 1


def test_a_new_agent_knows_the_bound_of_a_run_it_has_not_started(
    lone: Callable[..., Driver],
) -> None:
    script = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGUSR1, lambda *_: os.write(1, (b'y' * 99 + b'\\n') * 40_000))\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(1)\n"
    )
    driver = lone()
    fact = driver.start("later", script, limits=Limits(log_bytes=MB))
    driver.says("later", "ready")
    driver.kill(driver.status()["pid"])
    driver.connect()
    assert fact.pid is not None
    os.kill(fact.pid, signal.SIGUSR1)
    path = driver.log_path("later")
    until(lambda: path.stat().st_size >= 4_000_000)
    until(lambda: on_disk(path) <= MB)
    assert kept(path).endswith(b"y\n")


class Kept:
    """A keeper without agent: one run with a log, looked at when the test says so."""

    def __init__(self, folder: Path, log_bytes: int = 64 * 1024) -> None:
        state = folder / "state"
        (state / "exits").mkdir(parents=True)
        self.path = folder / "run.log"
        self.loop = Loop()
        table = Table(state, Journal(state / "journal"), self.loop, compact_above_bytes=MB)
        self.run = Run(
            run_id="r", mark=1, boot_id="b", launcher="zygote", launched_at=0.0,
            log_path=str(self.path), limits=Limits(log_bytes=log_bytes),
        )  # fmt: skip
        table.intend(self.run)
        self.table = table
        self.keeper = LogKeeper(table, self.loop)

    def look(self, wanted: Callable[[], object]) -> None:
        """Turns the loop until it is so."""
        deadline = time.monotonic() + 10
        while not wanted():
            assert time.monotonic() < deadline, "it did not happen in time"
            self.loop.run_once()


@pytest.fixture
def kept_run(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def write(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_the_newest_lines_stay_and_offsets_are_what_they_were(kept_run: Kept) -> None:
    data = b"".join(b"%09d\n" % i for i in range(30_000))
    write(kept_run.path, data)
    kept_run.keeper.begin()
    kept_run.look(lambda: on_disk(kept_run.path) <= 64 * 1024)
    assert kept_run.path.stat().st_size == len(data)
    rest = kept(kept_run.path)
    assert (data.endswith(rest), len(rest) % 10) == (True, 0)
    assert 32 * 1024 - 10 <= len(rest) <= 32 * 1024


def test_one_line_without_end_is_bounded_too(kept_run: Kept) -> None:
    write(kept_run.path, b"x" * MB)
    kept_run.keeper.begin()
    kept_run.look(lambda: on_disk(kept_run.path) <= 64 * 1024)
    assert kept(kept_run.path) == b"x" * 32 * 1024


def test_a_run_without_bound_keeps_everything(tmp_path: Path) -> None:
    free = Kept(tmp_path, log_bytes=0)
    write(free.path, b"x" * MB)
    free.keeper.begin()
    free.keeper._look()
    assert len(kept(free.path)) == MB


def test_a_quiet_log_is_asked_for_its_size_alone_and_looked_at_once_it_grows(
    kept_run: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R13: what waits costs next to nothing, and a flood is noticed as soon as ever."""
    write(kept_run.path, b"first\n")
    kept_run.keeper.begin()
    kept_run.look(lambda: kept_run.keeper._watched["r"].descriptor is not None)
    watched = kept_run.keeper._watched["r"]
    looks: list[int] = []
    real = LogKeeper._look_at

    def counted(self: LogKeeper, one: Any, now: float) -> None:
        looks.append(one.size)
        real(self, one, now)

    monkeypatch.setattr(LogKeeper, "_look_at", counted)

    def turn() -> None:
        watched.due = time.monotonic() + 3600
        kept_run.keeper._next_turn = 0
        kept_run.keeper._look()

    for _ in range(5):
        turn()
    assert looks == []
    write(kept_run.path, b"second\n")
    turn()
    assert looks == [6]
    turn()
    assert (looks, watched.size) == ([6], 13)
    write(kept_run.path, b"x" * MB)
    turn()
    assert on_disk(kept_run.path) <= 64 * 1024
    assert watched.is_fast, "the next look does not wait for the next turn"


TRICKS: dict[str, Callable[[Path, Path], None]] = {
    "symbolic link": lambda log, secret: log.symlink_to(secret),
    "hard link": lambda log, secret: os.link(secret, log),
    "folder": lambda log, _secret: log.mkdir(),
    "pipe": lambda log, _secret: os.mkfifo(log),
}


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize("is_later", [False, True])
def test_nothing_foreign_in_a_logs_place_is_touched(
    kept_run: Kept, tmp_path: Path, trick: str, is_later: bool
) -> None:
    """S6: the agent cuts and writes logs; a run may put anything where its log was."""
    secret = tmp_path / "vault"
    secret.write_bytes(b"secret\n" * 100_000)
    if is_later:
        write(kept_run.path, b"first\n")
        kept_run.keeper.begin()
        kept_run.look(lambda: kept_run.keeper._watched["r"].descriptor is not None)
        held = os.open(kept_run.path, os.O_WRONLY | os.O_APPEND)
        kept_run.path.unlink()
        os.write(held, b"second\n" * 20_000)
        os.close(held)
    TRICKS[trick](kept_run.path, secret)
    kept_run.keeper.begin()
    kept_run.look(lambda: kept_run.keeper._watched["r"].looked > 0)
    for _ in range(3):
        kept_run.keeper._watched["r"].due = 0
        kept_run.keeper._look()
    assert secret.read_bytes() == b"secret\n" * 100_000


@pytest.mark.parametrize("is_replaced", [False, True])
def test_output_of_a_log_that_was_taken_away_goes_on_under_its_name(
    kept_run: Kept, is_replaced: bool
) -> None:
    """R14: somebody's own rotation moves a log of a live run away."""
    write(kept_run.path, b"before\n")
    held = os.open(kept_run.path, os.O_WRONLY | os.O_APPEND)
    kept_run.keeper.begin()
    kept_run.look(lambda: kept_run.keeper._watched["r"].size == 7)
    kept_run.path.rename(kept_run.path.with_name("old"))
    if is_replaced:
        kept_run.path.touch()
    os.write(held, b"after 1\n")
    kept_run.look(lambda: kept_run.path.exists() and b"after 1" in kept_run.path.read_bytes())
    os.write(held, b"after 2\n")
    kept_run.look(lambda: b"after 2" in kept_run.path.read_bytes())
    os.close(held)
    assert kept_run.path.read_bytes() == b"after 1\nafter 2\n"


def test_what_a_run_wrote_last_is_cut_at_its_end_and_the_descriptor_let_go(
    kept_run: Kept,
) -> None:
    kept_run.keeper.begin()
    write(kept_run.path, b"x\n" * MB)
    kept_run.table.conclude(kept_run.run)
    assert on_disk(kept_run.path) <= 64 * 1024
    assert kept_run.keeper._watched == {}


def test_without_holes_the_newest_part_is_copied_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_holes, "_fallocate", None)
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"%07d\n" % i for i in range(1000)))
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    assert drop_before(descriptor, line_end_after(descriptor, 7_199)) == path.stat().st_size
    assert path.read_bytes().startswith(dropped_words(7200).encode() + b"\n0000900\n")
    drop_before(descriptor, line_end_after(descriptor, path.stat().st_size - 81))
    os.close(descriptor)
    assert path.read_bytes().startswith(dropped_words(7920).encode() + b"\n0000990\n")


def test_a_log_that_is_all_hole_or_empty_has_nothing_kept(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"")
    with path.open("r+b") as file:
        assert first_kept(file.fileno(), 0) == 0
        file.truncate(8192)
        assert first_kept(file.fileno(), 8192) == 8192


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_secrets_are_in_the_runs_environment_and_nowhere_in_its_log(
    driver: Driver, launcher: Launcher
) -> None:
    """S3, promise 8: also the run's own key, a traceback, and the reason of the outcome."""
    secret, token = "s3cr3t-of-a-broker", "key-of-this-run-0123456789"
    script = (
        "import base64, os, sys\n"
        "value, key = os.environ['BROKER_SECRET'], os.environ['OPENALGO_API_KEY']\n"
        "print(len(value), value, key, base64.b64encode(b'me:' + value.encode()).decode())\n"
        "print(value[:9], end='', flush=True)\n"
        "print(value[9:], file=sys.stdout)\n"
        "raise RuntimeError(f'refused: {value} {key}')\n"
    )
    run_id = f"masked-{launcher}"
    env = {**ENV, "OPENALGO_API_KEY": token}
    driver.start(run_id, script, env=env, secrets={"BROKER_SECRET": secret}, launcher=launcher)
    fact = driver.ended(run_id)
    text = driver.log(run_id)
    assert f"{len(secret)} {MARKER.decode()} {MARKER.decode()} " in text
    assert "RuntimeError: refused" in text
    assert fact.exit is not None
    for place in (text, repr(fact), (driver.state_dir / "journal.jsonl").read_text()):
        assert [one for one in (secret, token, secret[:9], secret[9:]) if one in place] == []


@pytest.mark.parametrize("written", [8_000_000, 300_000])
def test_what_was_dropped_is_found_by_reading_one_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    """R13: a script may write NULs without end, and every reader asks on the server's loop.

    NULs that it wrote are its output; a hole is what was dropped.
    """
    lengths = []

    def read_at(descriptor: int, count: int, offset: int) -> bytes:
        data = os.pread(descriptor, count, offset)
        lengths.append(len(data))
        return data

    monkeypatch.setattr(log_holes, "read_at", read_at)
    path = tmp_path / "log"
    with path.open("w+b") as file:
        file.write(b"\0" * written + b"kept\n")
        file.flush()
        assert first_kept(file.fileno(), written + 5) == 0
        assert sum(lengths) <= 65_537
        drop_before(file.fileno(), written)
        assert first_kept(file.fileno(), written + 5) == written
        assert sum(lengths) <= 2 * 65_537

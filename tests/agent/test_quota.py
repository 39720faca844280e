"""What a working folder holds: how it is counted, and what happens when it is too much."""

import errno
import os
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from algohost.agent import quota
from algohost.agent.quota import Measured, measure, over_limit
from algohost.runner.bounds import Limits
from tests.agent.driving import Driver, until

pytestmark = pytest.mark.processes

MB = 1 << 20


def found(folder: Path) -> Measured:
    return rest_of(measure(str(folder)))


def rest_of(walk: Generator[None, None, Measured]) -> Measured:
    while True:
        try:
            next(walk)
        except StopIteration as end:
            value: Measured = end.value
            return value


def fill(path: Path, megabytes: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(megabytes * MB))
    return path


def test_files_of_all_folders_count_by_what_they_take_on_disk(tmp_path: Path) -> None:
    fill(tmp_path / "a", 1)
    fill(tmp_path / "deep" / "er" / "b", 2)
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(500 * MB)
    measured = found(tmp_path)
    assert 3 * MB <= measured.bytes < 4 * MB
    assert measured.entries == 5


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    fill(tmp_path / "a", 2)
    for n in range(50):
        os.link(tmp_path / "a", tmp_path / f"again{n}")
    assert found(tmp_path).bytes < 3 * MB


def test_links_lead_nowhere(tmp_path: Path) -> None:
    """S6: neither a link to a folder nor one in place of a folder is followed."""
    outside = tmp_path / "outside"
    fill(outside / "big", 3)
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "link").symlink_to(outside)
    (folder / "file").symlink_to(outside / "big")
    assert found(folder).bytes < MB
    (tmp_path / "itself").symlink_to(outside)
    with pytest.raises(OSError, match=r"itself|symbolic|Not a directory"):
        found(tmp_path / "itself")


def test_a_folder_that_becomes_a_link_while_it_waits_is_left_out(tmp_path: Path) -> None:
    """S6: the race between listing a folder and opening it."""
    outside, folder = tmp_path / "outside", tmp_path / "work"
    fill(outside / "big", 3)
    fill(folder / "sub" / "small", 1)
    for n in range(500):
        (folder / f"f{n}").touch()
    walk = measure(str(folder))
    next(walk)  # part of the folder is listed
    (folder / "sub").rename(folder / "elsewhere")
    (folder / "sub").symlink_to(outside)
    assert rest_of(walk).bytes < 2 * MB


def test_a_folder_that_vanishes_in_between_is_no_error(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    fill(folder / "sub" / "small", 1)
    for n in range(500):
        (folder / f"f{n}").touch()
    walk = measure(str(folder))
    next(walk)
    (folder / "sub" / "small").unlink()
    (folder / "sub").rmdir()
    assert rest_of(walk).bytes < MB


def test_nesting_beyond_what_a_path_can_name_counts_as_over_the_limit(tmp_path: Path) -> None:
    """There a script could hide what it likes."""
    start = Path.cwd()
    try:
        os.chdir(tmp_path)
        for _ in range(25):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
    finally:
        os.chdir(start)
    measured = found(tmp_path)
    assert measured.is_too_deep
    assert "nested too deeply" in (over_limit(measured, MB) or "")
    for _ in range(25):  # rmtree cannot name it, either
        here = tmp_path
        while len(str(here)) < 3500 and (here / ("d" * 200)).is_dir():
            here /= "d" * 200
        os.chdir(here)
        try:
            _remove_below()
        finally:
            os.chdir(start)


def _remove_below() -> None:
    names = []
    while os.path.isdir("d" * 200):
        os.chdir("d" * 200)
        names.append("d" * 200)
    for name in names:
        os.chdir("..")
        os.rmdir(name)


@pytest.mark.parametrize(
    ("held", "most", "said"),
    [
        (MB, 0, None),
        (MB, MB, None),
        (int(1.2 * 1024 * MB), 1024 * MB, "Its folder holds 1.20 GB, the limit is 1.00 GB."),
        (41 * MB, 20 * MB, "Its folder holds 41.0 MB, the limit is 20.0 MB."),
        (60 * MB + 1, 60 * MB, "Its folder holds 60.1 MB, the limit is 60.0 MB."),
        (1024 * MB + 1, 1024 * MB, "Its folder holds 1.01 GB, the limit is 1.00 GB."),
    ],
)
def test_the_sentence_says_how_much_and_the_limit(held: int, most: int, said: str | None) -> None:
    measured = Measured(bytes=held, entries=1, unseen=0, is_too_deep=False)
    assert over_limit(measured, most) == said


def test_a_folder_that_its_owner_has_closed_counts_all_the_same(tmp_path: Path) -> None:
    """Neither a folder that cannot be listed, nor one that cannot be entered, hides anything."""
    for mode in (0o300, 0o600, 0o000):
        fill(tmp_path / f"{mode:o}" / "inner" / "big", 2)
        (tmp_path / f"{mode:o}").chmod(mode)
    measured = found(tmp_path)
    assert (measured.bytes >= 6 * MB, measured.unseen) == (True, 0)


def test_a_working_folder_that_is_closed_itself_is_measured(tmp_path: Path) -> None:
    fill(tmp_path / "work" / "big", 2)
    (tmp_path / "work").chmod(0o300)
    assert found(tmp_path / "work").bytes >= 2 * MB


@pytest.mark.parametrize("refused", [errno.EACCES, errno.EPERM])
def test_what_cannot_be_looked_into_counts_as_over_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    """S6: where the rights cannot be put right either, nothing is taken on trust."""
    fill(tmp_path / "closed" / "big", 2)
    real = os.open

    def closed(path: str, flags: int, *, dir_fd: int | None = None) -> int:
        if path.endswith("closed"):
            raise OSError(refused, os.strerror(refused))
        return real(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", closed)
    measured = found(tmp_path)
    assert measured.unseen == 1
    assert (over_limit(measured, MB) or "").startswith("1 of its folders cannot be looked into")
    assert over_limit(measured, 0) is None


def test_more_files_than_anybody_needs_are_over_the_limit() -> None:
    many = Measured(bytes=0, entries=quota.MOST_ENTRIES + 1, unseen=0, is_too_deep=False)
    assert "more than 1,000,000 files" in (over_limit(many, MB) or "")
    assert over_limit(many, 0) is None


HOARD = """
import os, time
for n in range(20):
    with open(f"part{n}", "wb") as file:
        file.write(os.urandom(1 << 20))
print("full", flush=True)
time.sleep(600)
"""


def test_twenty_files_that_are_too_much_together_end_the_run_as_a_breach(
    driver: Driver, tmp_path: Path
) -> None:
    """Promise 6, and the one attack of the hostile suite that the kernel cannot stop."""
    driver.start("hoard", HOARD, cwd=str(tmp_path), limits=Limits(disk_bytes=5 * MB))
    ended = driver.ended("hoard")
    assert ended.exit is not None
    assert ended.exit.stop_by == "limit: disk"
    assert (ended.exit.reason or "").startswith("Its folder holds ")
    assert (ended.exit.reason or "").endswith("the limit is 5.0 MB.")


def test_an_agent_that_comes_back_still_knows_the_limit(
    lone: Callable[..., Driver], tmp_path: Path
) -> None:
    """Promise 2: the limits are in the journal."""
    driver = lone()
    source = (
        "import os, time\nprint('begun', flush=True)\n"
        "while not os.path.exists('go'):\n    time.sleep(0.01)\n"
    ) + HOARD
    driver.start("later", source, cwd=str(tmp_path), limits=Limits(disk_bytes=5 * MB))
    driver.says("later", "begun")
    driver.kill(driver.status()["pid"])
    driver.connect()
    (tmp_path / "go").touch()
    ended = driver.ended("later")
    assert ended.exit is not None
    assert ended.exit.stop_by == "limit: disk"


def test_a_stop_that_somebody_asked_for_first_stays_theirs(driver: Driver, tmp_path: Path) -> None:
    """A full folder that is noticed while the run ends is not why it ends."""
    source = "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: None)\n" + HOARD
    driver.start("asked", source, cwd=str(tmp_path), limits=Limits(disk_bytes=5 * MB))
    driver.stop("asked", grace_seconds=4)
    ended = driver.ended("asked")
    assert ended.exit is not None
    assert (ended.exit.stop_by, ended.exit.reason) == ("test", None)


def test_the_run_says_that_its_folder_is_watched(driver: Driver, tmp_path: Path) -> None:
    driver.start(
        "told", "import time\ntime.sleep(600)", cwd=str(tmp_path), limits=Limits(disk_bytes=MB)
    )
    enforced = until(lambda: {one.name: one for one in driver.facts()["told"].enforced})
    assert enforced["disk"].is_on
    assert "CPU share" in enforced
    driver.stop("told", grace_seconds=0)

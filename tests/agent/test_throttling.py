"""R22: a run that keeps a core busy yields to all others, and is let go when it calms down."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from algohost.agent.cgroups import Groups
from algohost.agent.throttling import FirstThatCan, Niceness, Throttling, can_lower_niceness
from algohost.runner.bounds import Limits
from algohost.runner.measures import UsageSample
from tests.agent.driving import until
from tests.agent.test_cgroups import look, tree


class PlayedLever:
    """Remembers what it was told; ``can`` says whether it moves anything."""

    def __init__(self, *, can: bool = True, held: Sequence[str] = ()) -> None:
        self.can = can
        self.held = set(held)

    def yields(self, run_id: str, _pids: Sequence[int]) -> bool:
        return run_id in self.held

    def throttle(self, run_id: str, _pids: Sequence[int]) -> bool:
        if self.can:
            self.held.add(run_id)
        return self.can

    def let_go(self, run_id: str, _pids: Sequence[int]) -> bool:
        if self.can:
            self.held.discard(run_id)
        return self.can


class Watched:
    """One run, looked at every five seconds."""

    def __init__(self, lever: PlayedLever) -> None:
        self._throttling = Throttling(lever)
        self._now = self._cpu = self._waited = 0.0

    def look(self, share: float, *, waiting: float = 0.0, threads: int = 1) -> bool:
        """Whether it is throttled after five more seconds with that share of a core."""
        self._now += 5
        self._cpu += 5 * share
        self._waited += 5 * waiting
        sample = UsageSample(
            run_id="r",
            cpu_seconds=self._cpu,
            waited_seconds=self._waited,
            memory_bytes=1,
            memory_kind="pss",
            threads=threads,
            processes=1,
            folder_bytes=0,
            log_bytes=0,
        )
        (judged,) = self._throttling.look([sample], now=self._now, trees={"r": [1]})
        return judged.is_throttled


PACES = [  # shares of a core in intervals of five seconds, and after which looks it is throttled
    ("a busy loop", [1.0] * 5, [2, 3, 4, 5]),
    ("two cores", [2.0] * 5, [4, 5]),
    ("nine seconds of eight cores", [1.2, 8.0, 5.0, 0.0], []),
    ("ten seconds of two cores", [1.5, 2.0, 1.5, 0.0], []),
    ("just busy enough", [0.9] * 3, [2, 3]),
    ("not quite", [0.89] * 6, []),
    ("a strategy that works a while each minute", [1.0, 0.3, 0, 0, 1.0, 0.3, 0, 0], []),
    ("it calms down", [1.0, 1.0, 0.1, 0.1, 0.1], [2, 3]),
    ("it calms down too shortly", [1.0, 1.0, 0.1, 1.0, 0.1, 1.0], [2, 3, 4, 5, 6]),
    ("once more", [1.0, 1.0, 0.0, 0.0, 1.0, 1.0], [2, 3, 6]),
]


@pytest.mark.parametrize(("name", "shares", "throttled"), PACES, ids=[row[0] for row in PACES])
def test_ten_seconds_of_a_whole_core_throttle_and_ten_of_calm_let_go(
    name: str, shares: list[float], throttled: list[int]
) -> None:
    watched = Watched(PlayedLever())
    watched.look(0.0)
    found = [number for number, share in enumerate(shares, 1) if watched.look(share)]
    assert found == throttled


def test_threads_are_throttled_when_all_ten_seconds_were_busy() -> None:
    """A warm-up of one second on many cores has the processor time of ten on one."""
    watched = Watched(PlayedLever())
    watched.look(0.0, threads=200)
    assert [watched.look(1.0, threads=200) for _ in range(2)] == [False, False]
    assert [watched.look(0.1, threads=200) for _ in range(2)] == [False, False]
    assert [watched.look(1.0, threads=200) for _ in range(4)] == [False, False, False, True]


def test_waiting_for_a_processor_is_wanting_one() -> None:
    """Or a throttled run would calm down because it is throttled."""
    watched = Watched(PlayedLever())
    watched.look(0.0)
    assert [watched.look(0.1, waiting=0.9) for _ in range(4)] == [False, True, True, True]


def test_what_cannot_be_throttled_is_not_said_to_be() -> None:
    watched = Watched(PlayedLever(can=False))
    assert [watched.look(1.0) for _ in range(4)] == [False] * 4


def test_what_an_earlier_agent_has_throttled_is_let_go_by_its_successor() -> None:
    """The kernel remembers it, and nobody else has to."""
    lever = PlayedLever(held=["r"])
    watched = Watched(lever)
    assert [watched.look(share) for share in (2.0, 0.0, 0.0, 0.0)] == [True, True, False, False]
    assert lever.held == set()


def test_a_script_that_makes_itself_nicer_is_not_called_throttled() -> None:
    """It is no busy loop, and its niceness is its own affair."""
    lever = PlayedLever(held=["r"])
    watched = Watched(lever)
    assert [watched.look(0.1) for _ in range(6)] == [False] * 6
    assert lever.held == {"r"}


def test_a_run_with_a_control_group_has_a_tenth_of_its_weight(tmp_path: Path) -> None:
    unit = tree(tmp_path)
    groups, renice = Groups(look(tmp_path)), PlayedLever()
    groups.open()
    lever = FirstThatCan((groups, renice))
    group = Path(groups.make("r1", Limits()))
    weights = [(group / "cpu.weight").read_text()]
    assert lever.throttle("r1", [1])
    weights.append((group / "cpu.weight").read_text())
    assert lever.yields("r1", [1])
    assert Groups(look(tmp_path)).yields("r1")
    assert lever.let_go("r1", [1])
    weights.append((group / "cpu.weight").read_text())
    assert (weights, renice.held) == (["100", "10", "100"], set())
    assert lever.throttle("from before there were groups", [1])
    assert renice.held == {"from before there were groups"}
    assert (unit / "agent" / "cpu.weight").read_text() == "1000"


THREADS = """
import os, threading
os.nice(10)
threading.Thread(target=input, daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"""


@pytest.fixture
def nice() -> Iterator[int]:
    """The pid of a process with two threads, ten steps nicer than this one."""
    child = subprocess.Popen(
        [sys.executable, "-c", THREADS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    yield child.pid
    child.kill()
    child.communicate()


def niceness(pid: int) -> list[int]:
    threads = os.listdir(f"/proc/{pid}/task")
    return [os.getpriority(os.PRIO_PROCESS, int(thread)) for thread in threads]


@pytest.mark.skipif(sys.platform != "linux", reason="threads are in /proc")
def test_every_thread_yields_and_is_put_back(nice: int) -> None:
    usual = os.nice(0) + 10
    if not can_lower_niceness(usual):
        pytest.skip("this user cannot lower niceness again")
    until(lambda: len(niceness(nice)) == 2)
    lever = Niceness(usual, can_undo=True)
    assert not lever.yields("r", [nice])
    assert lever.throttle("r", [nice])
    assert (niceness(nice), lever.yields("r", [nice])) == ([19, 19], True)
    assert lever.let_go("r", [nice])
    assert niceness(nice) == [usual, usual]


@pytest.mark.skipif(sys.platform != "linux", reason="threads are in /proc")
def test_what_could_not_be_undone_is_not_done(nice: int) -> None:
    lever = Niceness(os.nice(0) + 10, can_undo=False)
    assert not lever.throttle("r", [nice])
    assert set(niceness(nice)) == {os.nice(0) + 10}


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
@pytest.mark.parametrize(
    ("capabilities", "can"),
    [("0000000000800000", True), ("00000000007fffff", False), ("nonsense", False), ("", False)],
)
def test_niceness_is_lowered_by_who_may(tmp_path: Path, capabilities: str, *, can: bool) -> None:
    import resource

    if resource.getrlimit(resource.RLIMIT_NICE)[0] != 0:
        pytest.skip("this user may lower niceness anyway")
    status = tmp_path / "status"
    status.write_text(f"Name:\tx\nCapEff:\t{capabilities}\n")
    assert can_lower_niceness(10, status=status, proc=tmp_path) is can


@pytest.mark.skipif(sys.platform != "linux", reason="sessions count on Linux")
def test_where_sessions_count_only_root_can_weigh_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = tmp_path / "sys" / "kernel" / "sched_autogroup_enabled"
    setting.parent.mkdir(parents=True)
    setting.write_text("1\n")
    status = tmp_path / "status"
    status.write_text("CapEff:\t0000000000800000\n")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not can_lower_niceness(10, status=status, proc=tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert can_lower_niceness(10, status=status, proc=tmp_path)

"""Control groups: where they are used, what is written, and that one write ends a whole tree."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from algohost.agent.cgroups import Delegation, Groups, find, settings_of
from algohost.runner.bounds import Limits
from tests.agent.driving import is_alive, until

MB = 1 << 20
UID = os.getuid() or 12345


def tree(folder: Path, *, controllers: str = "cpuset cpu io memory pids", uid: int = UID) -> Path:
    """A mounted hierarchy as far as files can play one, with the agent in ``/user/unit``."""
    unit = folder / "user" / "unit"
    unit.mkdir(parents=True)
    for place in (folder, unit):
        (place / "cgroup.controllers").write_text(controllers)
        (place / "cgroup.procs").write_text("")
        (place / "cgroup.subtree_control").write_text("")
    (folder / "own").write_text("0::/user/unit\n")
    if os.getuid() == 0:
        os.chown(unit, uid, -1)
    return unit


def look(folder: Path, *, uid: int = UID) -> Delegation:
    return find(mount=folder, own=folder / "own", uid=uid)


def test_a_subtree_of_ones_own_with_all_controllers_is_used(tmp_path: Path) -> None:
    unit = tree(tmp_path)
    assert look(tmp_path).folder == unit


def test_an_agent_that_is_started_again_finds_the_subtree_above_its_leaf(tmp_path: Path) -> None:
    unit = tree(tmp_path)
    (unit / "agent").mkdir()
    (unit / "agent" / "cgroup.procs").write_text("")
    (tmp_path / "own").write_text("1:name=systemd:/x\n0::/user/unit/agent\n")
    assert look(tmp_path).folder == unit


def test_a_group_that_was_not_handed_over_is_left_alone(tmp_path: Path) -> None:
    """Root may write anywhere; that makes nothing the agent's own."""
    tree(tmp_path)
    assert look(tmp_path, uid=0).folder is None
    assert look(tmp_path, uid=0).why_not == "no control group is delegated to the agent"


@pytest.mark.parametrize(
    ("controllers", "why"),
    [
        ("cpu memory", "the delegated control group lacks pids"),
        ("hugetlb", "the delegated control group lacks memory and cpu and pids"),
    ],
)
def test_a_subtree_without_the_controllers_says_which(
    tmp_path: Path, controllers: str, why: str
) -> None:
    tree(tmp_path, controllers=controllers)
    found = look(tmp_path)
    assert (found.folder, found.why_not) == (None, why)


def test_a_system_without_control_groups_says_so(tmp_path: Path) -> None:
    assert find(mount=tmp_path, own=tmp_path / "none").why_not == (
        "this system has no control groups"
    )
    (tmp_path / "own").write_text("0::/\n")
    assert find(mount=tmp_path, own=tmp_path / "own").why_not == (
        "control groups of version 2 are not mounted"
    )


@pytest.mark.parametrize(
    ("limits", "written"),
    [
        (Limits(), {}),
        (
            Limits(memory_bytes=512 * MB, threads=64, cpu_percent=150),
            {
                "memory.max": str(512 * MB),
                "pids.max": "64",
                "cpu.max": "150000 100000",
            },
        ),
        (Limits(cpu_percent=1), {"cpu.max": "1000 100000"}),
    ],
)
def test_limits_become_the_files_of_a_group(limits: Limits, written: dict[str, str]) -> None:
    always = {"memory.oom.group": "1", "cpu.weight": "100"}
    assert settings_of(limits) == {**always, **written}


def test_a_run_gets_a_group_with_its_limits_and_is_told_so(tmp_path: Path) -> None:
    unit = tree(tmp_path)
    groups, limits = Groups(look(tmp_path)), Limits(memory_bytes=MB, cpu_percent=50)
    groups.open()
    assert (unit / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"
    assert (unit / "agent" / "cgroup.procs").read_text() == str(os.getpid())
    group = Path(groups.make("r1", limits))
    assert group == unit / "run-r1"
    assert (group / "cpu.max").read_text() == "50000 100000"
    said = {one.name: (one.is_on, one.how) for one in groups.enforced("r1", limits)}
    assert said == {
        "CPU share": (True, "control group, at most 50 % of a core"),
        "memory of the tree": (True, "control group"),
    }


def test_what_the_kernel_counts_is_read_from_the_group(tmp_path: Path) -> None:
    """R18: a kill for the limit of memory is the run's outcome."""
    unit = tree(tmp_path)
    groups = Groups(look(tmp_path))
    group = Path(groups.make("r1", Limits()))
    assert (groups.memory_kills("r1"), groups.memory_bytes("r1")) == (0, None)
    (group / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    (group / "memory.stat").write_text("anon 12345\nfile 99\n")
    assert (groups.memory_kills("r1"), groups.memory_bytes("r1")) == (2, 12345)
    assert groups.kill("r1")
    assert (group / "cgroup.kill").read_text() == "1"
    (unit / "run-old").mkdir()
    (unit / "run-alive").mkdir()
    groups.drop_others(["r1", "alive"])
    assert not (unit / "run-old").exists()
    assert (unit / "run-alive").exists()


def test_where_nothing_is_delegated_nothing_is_made_and_the_run_says_why() -> None:
    groups = Groups(Delegation(folder=None, controllers=frozenset(), why_not="it is not"))
    limits = Limits(memory_bytes=MB, cpu_percent=50)
    groups.open()
    assert groups.make("r1", limits) == ""
    assert not groups.kill("r1")
    assert groups.memory_bytes("r1") is None
    said = {one.name: (one.is_on, one.how) for one in groups.enforced("r1", limits)}
    assert said == {
        "CPU share": (False, "nice only: it is not"),
        "memory of the tree": (False, "it is not"),
    }


@pytest.fixture
def real() -> Iterator[Path]:
    """A group of version 2 in which a process may be put; its controllers do not matter."""
    for mount in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")):
        folder = mount / f"algohost-test-{os.getpid()}"
        try:
            if not (mount / "cgroup.procs").exists():
                continue
            folder.mkdir()
        except OSError:
            continue
        yield folder
        folder.rmdir()
        return
    pytest.skip("no control group of version 2 can be made here")


@pytest.mark.processes
def test_one_write_ends_a_tree_that_has_left_its_session(real: Path) -> None:
    """Promise 6: the last step of the ladder, where the kernel offers it."""
    groups = Groups(Delegation(folder=real, controllers=frozenset()))
    group = real / "run-r1"
    group.mkdir()
    source = (
        "import os, sys, time\n"
        f"open({str(group / 'cgroup.procs')!r}, 'w').write('0')\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    print(os.getpid(), flush=True)\n"
        "time.sleep(600)\n"
    )
    main = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE)
    assert main.stdout is not None
    escaped = int(main.stdout.readline())
    assert groups.kill("r1")
    assert main.wait(10) == -9
    until(lambda: not is_alive(escaped))
    main.stdout.close()

    def is_gone() -> bool:
        groups.drop("r1")
        return not group.exists()

    until(is_gone)

"""Who belongs to a run's tree, by one look at the process table."""

import pytest

from algohost.agent.runs import Run
from algohost.agent.trees import members
from algohost.runner.processes import Seen

MARK = 5000
OTHER = 7000


def run(run_id: str = "r", pid: int = 100, mark: int = MARK) -> Run:
    return Run(
        run_id=run_id, mark=mark, boot_id="b", launcher="zygote", launched_at=0.0,
        pid=pid, start_ticks=pid * 10,
    )  # fmt: skip


def seen(
    pid: int, *, parent: int = 1, session: int = 1, mark: int | None = None, ticks: int = 0,
    is_zombie: bool = False,
) -> Seen:  # fmt: skip
    return Seen(
        pid=pid, parent=parent, session=session, start_ticks=ticks or pid * 10, mark=mark,
        is_zombie=is_zombie,
    )  # fmt: skip


MAIN = seen(100, session=100, mark=MARK)
CASES = [
    ("the main process", [MAIN], {100}),
    ("a child", [MAIN, seen(101, parent=100, session=100, mark=MARK)], {100, 101}),
    ("a double fork with setsid", [MAIN, seen(102, session=102, mark=MARK)], {100, 102}),
    ("the same after main has gone", [seen(102, session=102, mark=MARK)], {102}),
    ("a stranger", [MAIN, seen(200, session=200)], {100}),
    ("another run's process", [MAIN, seen(200, session=200, mark=OTHER)], {100}),
    (
        "a child that lowered its mark, while main lives",
        [MAIN, seen(103, parent=100, session=103, mark=3)],
        {100, 103},
    ),
    (
        "its grandchild",
        [MAIN, seen(103, parent=100, mark=3), seen(104, parent=103, session=104, mark=2)],
        {100, 103, 104},
    ),
    ("a lowered mark in the session of a gone main", [seen(105, session=100, mark=3)], {105}),
    ("an unmarked process in a later session of that number", [seen(105, session=100)], set()),
    (
        "another process that has main's pid now, and its child",
        [seen(100, session=100, ticks=999), seen(106, parent=100, session=100)],
        set(),
    ),
    ("zombies", [seen(100, session=100, mark=MARK, is_zombie=True)], set()),
    ("the agent itself", [MAIN, seen(50, mark=MARK)], {100}),
    ("a zygote that descends from main", [MAIN, seen(51, parent=100, mark=MARK)], {100}),
]


@pytest.mark.parametrize(("_what", "look", "expected"), CASES, ids=[case[0] for case in CASES])
def test_a_tree_has_its_members_and_nobody_else(
    _what: str, look: list[Seen], expected: set[int]
) -> None:
    found = members([run()], look, spared={50, 51})
    assert {one.pid for one in found["r"]} == expected


def test_several_runs_share_one_look() -> None:
    look = [MAIN, seen(200, session=200, mark=OTHER), seen(201, mark=OTHER), seen(300)]
    runs = [run(), run("s", pid=200, mark=OTHER), run("t", pid=400, mark=9)]
    found = {
        run_id: {one.pid for one in tree} for run_id, tree in members(runs, look, spared=()).items()
    }
    assert found == {"r": {100}, "s": {200, 201}, "t": set()}

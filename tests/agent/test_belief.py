"""What a run says of itself is believed only where it can be true."""

import json
from pathlib import Path

import pytest

from algohost.agent.loop import Loop
from algohost.agent.runs import MainExit, Run
from algohost.agent.table import Table
from algohost.agent.unheard import UNKNOWN, Unheard
from algohost.runner.bounds import Enforced
from algohost.runner.journal import Journal
from algohost.runner.messages import How
from algohost.runner.records import Record, record_path, write
from algohost.runner.request import SETUP_FAILED, ready_fact
from tests.agent.driving import LAUNCHERS, Driver, until

FORGED = "Could not start: the market is closed."
HELD = (Enforced(name="files", is_on=True, how="Landlock ABI 7."),)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    (tmp_path / "exits").mkdir()
    return Table(tmp_path, Journal(tmp_path / "journal.jsonl"), Loop(), compact_above_bytes=1)


def known(table: Table, code: int | None = SETUP_FAILED, how: How = "reaped") -> Run:
    run = Run(
        run_id="r", mark=1, boot_id="b", launcher="zygote", launched_at=0.0, pid=7,
        exited=MainExit(code=code, signal=None, how=how, at=0.0),
    )  # fmt: skip
    table.intend(run)
    return run


@pytest.mark.parametrize(
    ("code", "how", "said", "is_believed"),
    [
        (SETUP_FAILED, "reaped", SETUP_FAILED, True),
        (0, "reaped", SETUP_FAILED, False),
        (1, "reaped", 1, False),
        (None, "unknown", SETUP_FAILED, True),
        (None, "unknown", 0, False),
    ],
)
def test_a_failed_start_is_believed_only_of_a_process_that_ended_like_one(
    table: Table, code: int | None, how: How, said: int, is_believed: bool
) -> None:
    """R18: a run must not be able to pretend at the end of its day that it never began."""
    run = known(table, code, how)
    write(str(record_path(table.state_dir, "r")), Record(code=said, error=FORGED))
    table.conclude(run)
    assert run.error == (FORGED if is_believed else None)
    assert (run.exit is None) is is_believed


@pytest.mark.parametrize("is_heard", [True, False])
def test_a_run_that_was_set_up_has_not_failed_to_start(table: Table, is_heard: bool) -> None:
    """Whether this agent has heard it, or the child wrote it while none lived."""
    run = known(table)
    table.journal.append(ready_fact("r", HELD))
    if is_heard:
        run.apply(ready_fact("r", HELD))
    else:
        run.is_ready = True
    write(str(record_path(table.state_dir, "r")), Record(code=SETUP_FAILED, error=FORGED))
    table.conclude(run)
    assert (run.error, run.exit is not None, run.enforced) == (None, True, HELD)


@pytest.mark.parametrize("is_written", [True, False])
def test_what_nobody_heard_is_read_from_the_journal_or_is_told_as_unknown(
    table: Table, is_written: bool
) -> None:
    """S17: a page never says less than is known, and never nothing."""
    run = Run(run_id="r", mark=1, boot_id="b", launcher="zygote", launched_at=0.0, pid=7)
    table.intend(run)
    if is_written:
        table.journal.append(ready_fact("r", HELD))
    told = []
    table.listen(lambda run: told.append(run.state))
    unheard, loop = Unheard(table, table._loop), table._loop
    unheard.expect(run)

    def is_known() -> bool:
        loop.run_once()
        return bool(told)

    until(is_known)
    assert told == ["running"]
    assert run.enforced == (HELD if is_written else (UNKNOWN,))
    assert run.has_told_ready is is_written
    loop._selector.close()


@pytest.mark.processes
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_run_writes_itself_what_holds_it_and_once(driver: Driver, launcher: str) -> None:
    run_id = f"writes-{launcher}"
    driver.start(run_id, "import time\ntime.sleep(60)\n", launcher=launcher)
    lines = (driver.state_dir / "journal.jsonl").read_text().splitlines()
    facts = [one for one in map(json.loads, lines) if one["run"] == run_id]
    found = [one for one in facts if one["fact"] == "ready"]
    assert [Enforced.list_from_json(one["enforced"]) for one in found] == [
        tuple(
            one for one in driver.facts()[run_id].enforced if one.name not in ("disk", "CPU share")
        )
    ]
    driver.stop(run_id, grace_seconds=0)

"""What happens to state: the table in ``docs/schedules.md``, line by line, over many strategies."""

import os
import re
import shutil
from datetime import timedelta
from pathlib import Path

from algohost.domain.runs import RunState
from algohost.domain.strategies import Phase
from tests.host.harness import ASHA
from tests.host.scheduled import ScheduledHost, at, play

DOCS = Path(__file__).parents[2] / "docs" / "schedules.md"
MANY = int(os.environ.get("ALGOHOST_TEST_STRATEGIES", "30"))


async def many(host: ScheduledHost) -> list[str]:
    """So many strategies, started by their schedules."""
    ids = [await host.scheduled(name=f"s{number}") for number in range(MANY)]
    await host.look(at("09:15"))
    await host.until(lambda: len(host.keeper.alive()) == MANY, "all run")
    await host.until(lambda: all(host.view(i).phase is Phase.RUNNING for i in ids), "all shown")
    return ids


def all_run(host: ScheduledHost, ids: list[str]) -> bool:
    return all(host.view(i).phase is Phase.RUNNING for i in ids)


def test_a_server_that_restarts_adopts_every_run(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        ids = await many(host)
        before = sorted(host.keeper.alive())
        await host.crash(away=timedelta(minutes=1))
        await host.look()
        await host.until(lambda: all_run(host, ids), "all are shown as running")
        assert sorted(host.keeper.alive()) == before
        assert len(host.keeper.launches) == MANY

    play(tmp_path, scenario)


def test_an_agent_that_restarts_disturbs_no_run(tmp_path: Path) -> None:
    async def scenario(host: ScheduledHost) -> None:
        ids = await many(host)
        host.keeper.is_away = True
        await host.look(at("09:20"))
        host.keeper.returns()
        await host.look(at("09:21"))
        assert all_run(host, ids)
        assert len(host.keeper.launches) == MANY

    play(tmp_path, scenario)


def test_a_machine_that_reboots_inside_the_window_starts_all_again(tmp_path: Path) -> None:
    """Each once more, by ``restore``, with its former run recorded as interrupted."""

    async def scenario(host: ScheduledHost) -> None:
        ids = await many(host)
        host.keeper.reboots()
        await host.crash(away=timedelta(minutes=2))

        def are_lost() -> bool:
            latest = [host.view(i).latest for i in ids]
            return all(run is not None and run.state is RunState.ENDED for run in latest)

        await host.until(are_lost, "all are known to be lost")
        await host.look()
        await host.until(lambda: all_run(host, ids), "all run again")
        assert len(host.keeper.alive()) == MANY
        assert {host.view(i).strategy.intent.by for i in ids} == {"restore"}

    play(tmp_path, scenario)


def test_a_user_who_logs_out_stops_nothing(tmp_path: Path) -> None:
    """Sessions are no part of what is wanted: without any, starts fire and runs go on."""

    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        await host.database.write(lambda c: c.exec_driver_sql("DELETE FROM sessions"))
        await host.look(at("09:15"))
        await host.shows(strategy_id, Phase.RUNNING)
        await host.look(at("12:00"))
        assert host.view(strategy_id).phase is Phase.RUNNING

    play(tmp_path, scenario)


def test_a_database_from_before_the_start_starts_it_once_more_and_only_one_lives(
    tmp_path: Path,
) -> None:
    """The run that the restored database does not know is ended, as nobody could stop it."""

    async def scenario(host: ScheduledHost) -> None:
        strategy_id = await host.scheduled()
        path, backup = host.database.path, tmp_path / "backup.db"
        host.database.close()
        shutil.copy(path, backup)
        await host.crash()
        await host.look(at("09:15"))
        await host.shows(strategy_id, Phase.RUNNING)
        [unknown] = host.keeper.alive()
        await host.halt()
        host.database.close()
        for left in tmp_path.glob("algohost.db*"):
            left.unlink()
        shutil.copy(backup, path)
        host.clock.advance(timedelta(minutes=30))
        host._open()
        host.begin()
        await host.look()

        def one_lives() -> bool:
            for run_id in host.keeper.alive():
                if host.keeper.known[run_id].state == "stopping":
                    host.keeper.exits(run_id)
            return host.keeper.alive() == host.keeper.launches[1:] and unknown is not None

        await host.until(one_lives, "only the run that the database knows")
        await host.shows(strategy_id, Phase.RUNNING)
        [row] = host.rows(strategy_id)
        assert (row.state.value, row.lateness_ms) == ("started", 30 * 60 * 1000)
        assert host.view(strategy_id).strategy.owner_id == ASHA.id

    play(tmp_path, scenario)


def test_every_line_of_the_documented_table_names_tests_that_exist() -> None:
    text = DOCS.read_text(encoding="utf-8").partition("## What happens to state")[2]
    table = text.partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")][1:]
    sources = "".join(path.read_text("utf-8") for path in DOCS.parents[1].glob("tests/*/test_*.py"))
    assert len(lines) >= 9
    for line in lines:
        names = re.findall(r"`(test_\w+)`", line)
        assert names, line
        assert [name for name in names if f"def {name}(" not in sources] == []

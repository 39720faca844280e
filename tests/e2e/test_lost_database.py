"""A database that is gone is not a new installation while its strategies still run."""

from pathlib import Path

import pytest

from tests.e2e.running import RunningServer, running_server, until
from tests.e2e.test_kills import TICKER, is_alive

pytestmark = pytest.mark.processes


def refused(server: RunningServer) -> str:
    with pytest.raises(AssertionError, match="the server ended"):
        server.start()
    return server.log().splitlines()[-1]


def test_an_empty_database_is_refused_and_runs_go_on(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        strategy_id = server.add(TICKER)
        server.begin(strategy_id)  # it waits for the agent where that is not up yet
        running = until(lambda: (r := server.row(strategy_id))["phase"] == "running" and r, "runs")
        pid = running["pid"]
        server.kill()
        database = server.data_dir / "algohost.db"
        kept = database.rename(tmp_path / "kept.db")
        for name in ("algohost.db-wal", "algohost.db-shm"):
            (server.data_dir / name).rename(tmp_path / name.replace("algohost", "kept"))
        assert "missing or empty" in refused(server)
        database.touch()
        assert "missing or empty" in refused(server)
        assert is_alive(pid)
        kept.rename(database)
        (tmp_path / "kept.db-wal").rename(server.data_dir / "algohost.db-wal")
        server.start()
        until(lambda: server.row(strategy_id)["phase"] == "running", "found again")
        assert server.row(strategy_id)["pid"] == pid

"""A real server: a start waits for the login with its gate, and then happens by itself, once."""

from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.running import running_server, until

pytestmark = pytest.mark.processes

SCRIPT = """
import time
with open("lives", "a") as lives:
    lives.write("x")
time.sleep(600)
"""


def test_logged_out_a_start_waits_and_after_the_login_it_starts_once(tmp_path: Path) -> None:
    """Bar R26: with its gate as data, over a death of the server, and what ran before runs on."""
    with running_server(tmp_path / "data") as server:
        goes_on, waits = server.add(SCRIPT, "goes on"), server.add(SCRIPT, "waits")
        pid = server.begin(goes_on)["pid"]
        assert server.cli("broker", "logout")[0] == 0
        with closing(server.browser()) as browser:
            answer = browser.post(f"/python/start/{waits}").json()
        assert answer["strategy"]["phase"] == "waiting"
        assert answer["strategy"]["gates"][0]["code"] == "BROKER_LOGGED_OUT"
        server.kill()
        server.start()
        row = until(
            lambda: (row := server.row(waits))["phase"] == "waiting" and row, "still waiting"
        )
        assert [gate["action"] for gate in row["gates"]] == ["login"]
        with closing(server.browser()) as browser:
            checked = browser.post("/python/check-contracts").json()
            assert [one["id"] for one in checked["waiting"]] == [waits]
            assert browser.post("/api/broker/login", json={}).status_code == 200
        until(lambda: server.row(waits)["phase"] == "running", "started by itself")
        lives = server.data_dir / "work" / waits / "lives"
        until(lives.exists, "its script began")
        assert server.cli("broker", "check")[1] == "Nothing waits.\n"
        assert lives.read_text() == "x"
        assert (server.row(goes_on)["phase"], server.row(goes_on)["pid"]) == ("running", pid)


def test_an_engaged_kill_switch_outlives_the_server_and_its_release_starts_what_waits(
    tmp_path: Path,
) -> None:
    with running_server(tmp_path / "data") as server:
        made = server.add(SCRIPT)
        code, out, _ = server.cli("kill", "engage", "--all", "--reason", "A drill")
        assert (code, "the whole server  asha" in out) == (0, True)
        assert server.begin(made)["phase"] == "waiting"
        server.kill()
        server.start()
        assert "A drill" in server.cli("kill", "status")[1]
        assert server.row(made)["phase"] == "waiting"
        assert server.cli("kill", "release", "--all")[1] == "No kill switch is engaged.\n"
        until(lambda: server.row(made)["phase"] == "running", "started by itself")

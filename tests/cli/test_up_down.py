"""The server in the background, with real processes: up, down, killed, and up again."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from algohost.cli.rundir import RunDir

pytestmark = pytest.mark.processes

SLEEPS = "import time\nprint('here', flush=True)\nwhile True:\n    time.sleep(0.1)\n"


class Place:
    """A data directory and ports of its own."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.ports = free_ports()

    def run(
        self, *words: str, given: str = "", ports: bool = False
    ) -> "subprocess.CompletedProcess[str]":
        flags = ["--port", str(self.ports[0]), "--feed-port", str(self.ports[1])] if ports else []
        return subprocess.run(
            [sys.executable, "-m", "algohost.cli", *words, *flags, "--data-dir", self.data_dir],
            input=given,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def json(self, *words: str, given: str = "", ports: bool = False) -> dict[str, Any]:
        done = self.run(*words, "--json", given=given, ports=ports)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert isinstance(answer, dict)
        return answer

    def up(self) -> dict[str, Any]:
        return self.json("up", ports=True)


def free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as two:
        return one.getsockname()[1], two.getsockname()[1]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path / "data")
    try:
        yield made
    finally:
        ended = made.run("down", "--all")
        assert ended.returncode == 0, ended.stderr


def poll(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def add_sleeper(place: Place, tmp_path: Path) -> str:
    place.json("user", "add", "ann", "--admin", "--password-stdin", given="long enough words")
    file = tmp_path / "sleeps.py"
    file.write_text(SLEEPS)
    return str(place.json("strategy", "add", str(file), "--name", "Sleeps")["strategy"]["id"])


def test_up_gives_a_page_that_answers_and_says_so_again(place: Place) -> None:
    first = place.up()
    assert first["started"] is True
    with urllib.request.urlopen(first["setup_link"], timeout=10) as page:
        assert page.status == 200
    again = place.run("up", ports=True)
    assert again.returncode == 0
    assert again.stdout.startswith(f"A server already runs.\n  pages  {first['web']}\n")
    assert place.json("up", ports=True)["pid"] == first["pid"]
    other = place.run("up", "--market", "synthetic:7")
    assert (other.returncode, other.stdout) == (1, "")
    assert "with market synthetic; end it with 'algohost down'" in other.stderr
    assert place.run("down").stdout == "The server has ended.\n"
    poll(lambda: not is_alive(first["pid"]), "the server lives on")
    assert place.run("down").returncode == 0


def test_people_are_served_by_the_running_server(place: Place) -> None:
    """Each of these goes another way without a server, so that one alone would show nothing."""
    place.up()
    place.json("user", "add", "ann", "--admin", "--password-stdin", given="long enough words")
    assert place.json("key", "new", "--user", "ann")["user"] == "ann"
    words = ("user", "password", "Ann", "--password-stdin")
    assert place.json(*words, given="other words, long enough")["user"] == "ann"
    assert place.run("user", "password", "bob", "--password-stdin", given="x" * 12).returncode == 1


def test_two_at_once_make_one_server(place: Place) -> None:
    words = ["up", "--port", str(place.ports[0]), "--feed-port", str(place.ports[1])]
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "algohost.cli", *words, "--data-dir", place.data_dir, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=100) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert len({json.loads(out)["pid"] for out, _ in said}) == 1


def test_a_taken_port_is_refused_with_who_and_another(place: Place) -> None:
    with socket.create_server(("127.0.0.1", place.ports[0])):
        refused = place.run("up", ports=True)
    assert refused.returncode == 1
    assert f"Port {place.ports[0]} is in use by process {os.getpid()} (" in refused.stderr
    assert "is free." in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not RunDir(place.data_dir).is_held()


def test_a_database_of_a_newer_program_is_refused_untouched(place: Place) -> None:
    place.json("user", "add", "ann", "--admin", "--password-stdin", given="long enough words")
    connection = sqlite3.connect(place.data_dir / "algohost.db")
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    refused = place.run("up", ports=True)
    assert refused.returncode == 1
    assert "was written by a newer algohost" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_down_all_ends_what_a_killed_server_left_behind(place: Place, tmp_path: Path) -> None:
    first = place.up()
    made = add_sleeper(place, tmp_path)
    pid = place.json("strategy", "start", made)["strategy"]["pid"]
    os.kill(first["pid"], signal.SIGKILL)
    poll(lambda: not RunDir(place.data_dir).is_held(), "the killed server holds its lock")
    assert place.run("status").returncode == 3
    assert is_alive(pid)
    ended = place.json("down", "--all")
    assert (ended["server_stopped"], ended["agent_stopped"]) == (False, True)
    poll(lambda: not is_alive(pid), "the strategy outlived 'down --all'")
    place.up()
    row = place.json("strategy", "show", made)["strategy"]
    assert (row["phase"], row["outcome"]) == ("stopped", "stopped")


def test_down_leaves_a_strategy_running_for_the_next_server(place: Place, tmp_path: Path) -> None:
    place.up()
    made = add_sleeper(place, tmp_path)
    pid = place.json("strategy", "start", made)["strategy"]["pid"]
    assert place.run("down").returncode == 0
    assert is_alive(pid)
    place.up()
    assert place.json("strategy", "show", made)["strategy"]["pid"] == pid
    ended = place.json("down", "--all")
    assert (ended["stopped"], ended["agent_stopped"]) == ([made], True)
    poll(lambda: not is_alive(pid), "the strategy outlived 'down --all'")


def test_serve_ends_at_sigterm_with_exit_code_zero(place: Place) -> None:
    flags = ["--port", str(place.ports[0]), "--feed-port", str(place.ports[1])]
    server = subprocess.Popen(
        [sys.executable, "-m", "algohost.cli", "serve", *flags, "--data-dir", place.data_dir],
        stderr=subprocess.DEVNULL,
    )
    poll(lambda: place.run("status").returncode != 3, "serve does not answer")
    second = place.run("serve", ports=True)
    assert second.returncode == 1
    assert f"A server already runs on the data directory {place.data_dir}" in second.stderr
    server.terminate()
    assert server.wait(30) == 0

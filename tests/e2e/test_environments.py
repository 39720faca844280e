"""A hosted script imports a package of its own environment, through a zygote of its own."""

import io
import os
import zipfile
from pathlib import Path

import pytest

from algohost.runner.confine import landlock
from tests.e2e.running import running_server, until
from tests.wheels import offline, write_wheel

pytestmark = pytest.mark.processes

MAIN = """# /// script
# dependencies = ["tinyone"]
# ///
import sys, time
import helpers
import tinyone
print("tiny", tinyone.VERSION, helpers.WORD, sys.prefix, flush=True)
try:
    open(sys.prefix + "/../../algohost.db", "rb").read(1)
    print("the database was read", flush=True)
except PermissionError:
    print("confined", flush=True)
time.sleep(60)
"""


def test_a_bundle_runs_with_its_own_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R26: the start waits for the environment and happens by itself; UV_* are respected.

    Promise 9 holds for it as for any other: its script cannot read the database.
    """
    for name in [name for name in os.environ if name.startswith("UV_")]:
        monkeypatch.delenv(name)
    for name, value in offline(tmp_path).items():
        monkeypatch.setenv(name, value)
    write_wheel(tmp_path / "wheels", "tinyone", "1.5")
    write_wheel(tmp_path / "wheels", "openalgo", "9.9")
    folder = tmp_path / "pairs"
    folder.mkdir()
    (folder / "main.py").write_text(MAIN)
    (folder / "helpers.py").write_text("WORD = 'namaste'\n")
    data = tmp_path / "data"
    with running_server(data) as server:
        code, out, err = server.cli("strategy", "add", str(folder), "--name", "Pairs")
        assert code == 0, err
        made = out.strip()
        server.begin(made)
        until(lambda: server.row(made)["phase"] == "running", "it runs by itself")
        until(lambda: "tiny 1.5 namaste" in server.run_log(made), f"{server.run_log(made)}")
        [environment] = (data / "environments").glob("[0-9a-f]*")
        assert str(environment) in server.run_log(made)
        if landlock.abi() > 0:
            until(lambda: "confined" in server.run_log(made), "confined as any other")
        interpreters = {zygote["interpreter"] for zygote in server.agent()["zygotes"]}
        assert str(environment / "bin" / "python") in interpreters
        shown = server.cli("strategy", "environment", made)[1]
        assert "tinyone 1.5" in shown
        assert "Nothing to remove" in server.cli("environments", "prune")[1]
        server.stop(made)
        assert server.cli("strategy", "delete", made)[0] == 0
        assert "Removed 1 environment." in server.cli("environments", "prune")[1]
        assert list((data / "environments").glob("[0-9a-f]*")) == []


def test_a_failure_is_told_in_full_and_mended_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in offline(tmp_path).items():
        monkeypatch.setenv(name, value)
    write_wheel(tmp_path / "wheels", "openalgo", "9.9")
    script, asked = tmp_path / "a.py", tmp_path / "requirements.txt"
    script.write_text("import tinyone, time\nprint('tiny', tinyone.VERSION, flush=True)\n")
    asked.write_text("tinyone>=1\n")
    with running_server(tmp_path / "data") as server:
        words = ("strategy", "add", str(script), "--name", "A", "--requirements", str(asked))
        made = server.cli(*words)[1].strip()
        until(
            lambda: "No solution found" in server.cli("strategy", "environment", made)[1],
            "the failure is shown",
        )
        code, out, _ = server.cli("strategy", "start", made)
        assert (code, "A is waiting" in out) == (0, True)
        assert "could not be made" in out
        write_wheel(tmp_path / "wheels", "tinyone", "1.0")
        server.cli("strategy", "environment", made, "--again")
        until(lambda: "tiny 1.0" in server.run_log(made), "it started by itself")


def test_a_zip_of_many_megabytes_is_sent_and_refused_politely(tmp_path: Path) -> None:
    """S8: what is too large is refused before it is read, and the server goes on."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("main.py", "print(1)\n")
        archive.writestr("data.bin", os.urandom(21 << 20))
    (tmp_path / "big.zip").write_bytes(made.getvalue())
    with running_server(tmp_path / "data") as server:
        code, _, err = server.cli("strategy", "add", str(tmp_path / "big.zip"), "--name", "Big")
        assert code == 1
        assert "it may have at most" in err
        client = server.browser()
        answer = client.post(
            "/python/upload", files={"file": ("big.zip", made.getvalue())}, data={"name": "Big"}
        )
        assert answer.status_code == 413
        assert client.get("/python/status").status_code == 200
        client.close()

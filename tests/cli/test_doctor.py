"""What the doctor sees, and that it says broken of what is broken."""

import json
import socket
import sqlite3
from pathlib import Path

import pytest

from algohost.cli.app import run
from algohost.cli.doctor import Check, Health, examine
from algohost.runner.bounds import Enforced
from algohost.settings import load
from algohost.store.database import open_database
from algohost.store.vault import Vault


def check(name: str, **flags: object) -> Check:
    found = [c for c in examine(load(flags)) if c.name == name]
    assert found, name
    return found[0]


def test_nothing_is_broken_before_the_first_start(tmp_path: Path) -> None:
    found = examine(load({"data_dir": tmp_path / "none", "port": 1, "feed_port": 2}))
    told = {c.name: c for c in found if c.name not in {"ports", "pages"}}
    assert [c for c in told.values() if c.health is Health.BROKEN] == []
    assert "the first start makes it" in told["data directory"].sentence
    assert not (tmp_path / "none").exists()


def test_a_database_of_this_version_is_whole(tmp_path: Path) -> None:
    open_database(tmp_path / "algohost.db").close()
    assert check("database", data_dir=tmp_path).health is Health.OK


def test_a_database_of_a_newer_program_is_broken(tmp_path: Path) -> None:
    open_database(tmp_path / "algohost.db").close()
    with sqlite3.connect(tmp_path / "algohost.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    found = check("database", data_dir=tmp_path)
    assert found.health is Health.BROKEN
    assert "A newer algohost wrote it (tables 9999)" in found.sentence


def test_keys_for_secrets_are_looked_at_and_never_made(tmp_path: Path) -> None:
    """Bar S2: readable by others, damaged, or lost while there are secrets, is broken."""
    vault = Vault(tmp_path / "keys", has_sealed=lambda: False)
    assert check("keys", data_dir=tmp_path).health is Health.NOTE
    assert not vault.path.exists()
    vault.prepare()
    assert check("keys", data_dir=tmp_path).health is Health.OK
    vault.path.chmod(0o644)
    exposed = check("keys", data_dir=tmp_path)
    assert (exposed.health, "chmod 600" in exposed.sentence) == (Health.BROKEN, True)
    vault.path.chmod(0o600)
    vault.path.write_text("")
    assert "is empty" in check("keys", data_dir=tmp_path).sentence
    vault.path.unlink()
    open_database(tmp_path / "algohost.db").close()
    with sqlite3.connect(tmp_path / "algohost.db") as connection:
        connection.execute("INSERT INTO variables VALUES ('s', 'TOKEN', NULL, x'00', '2026')")
    connection.close()
    lost = check("keys", data_dir=tmp_path)
    assert (lost.health, "is missing" in lost.sentence) == (Health.BROKEN, True)


@pytest.mark.parametrize("content", [b"no database at all, just text " * 200, b""])
def test_a_file_that_is_no_database_is_broken(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "algohost.db").write_bytes(content)
    assert check("database", data_dir=tmp_path).health is Health.BROKEN


def test_a_data_directory_that_is_a_file_is_broken(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert check("data directory", data_dir=tmp_path / "data").health is Health.BROKEN


def test_a_data_directory_that_others_may_read_is_noted(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    found = check("data directory", data_dir=tmp_path)
    assert (found.health, "chmod 700" in found.sentence) == (Health.NOTE, True)
    tmp_path.chmod(0o700)
    assert check("data directory", data_dir=tmp_path).health is Health.OK


def test_a_full_disk_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 1024})())
    assert check("disk", data_dir=tmp_path).health is Health.BROKEN


def test_a_taken_port_is_broken_and_ends_with_exit_code_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("ALGOHOST_PORT", str(taken.getsockname()[1]))
        assert run(["doctor", "--data-dir", str(tmp_path), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["success"] is False
    assert "ports" in answer["broken"]


def test_each_subject_of_confinement_has_a_line_and_what_is_not_enforced_is_a_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """S25: where the kernel cannot, the doctor says so."""
    offered = (
        Enforced(name="files", is_on=True, how="Landlock ABI 3."),
        Enforced(name="network", is_on=False, how="Linux 6.7 can."),
    )
    monkeypatch.setattr("algohost.runner.confine.offers", lambda: offered)
    found = [one for one in examine(load({})) if one.name == "confinement"]
    assert [(one.health, one.sentence) for one in found] == [
        (Health.OK, "files: Landlock ABI 3."),
        (Health.NOTE, "network: Linux 6.7 can."),
    ]


def test_without_pidfd_the_slower_way_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("os.pidfd_open", raising=False)
    found = check("launcher", data_dir=tmp_path)
    assert found.health is Health.NOTE
    assert "no pidfd" in found.sentence


def test_a_misspelt_variable_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALGOHOST_PROT", "1")
    assert "ALGOHOST_PROT" in check("settings", data_dir=tmp_path).sentence

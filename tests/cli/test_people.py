"""Users and keys made while no server runs, in the database itself."""

import asyncio
import io
import json
from pathlib import Path

import pytest

from algohost.bootstrap import open_identity
from algohost.cli.app import run
from algohost.cli.rundir import RunDir
from algohost.domain.errors import Unauthorized
from algohost.settings import Settings


def add_user(
    monkeypatch: pytest.MonkeyPatch, data_dir: Path, name: str, password: str, *words: str
) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(password))
    return run(["user", "add", name, "--password-stdin", "--data-dir", str(data_dir), *words])


def test_a_user_and_a_key_are_there_when_the_server_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert add_user(monkeypatch, tmp_path, "ann", "a good long one\n", "--admin", "--json") == 0
    user = json.loads(capsys.readouterr().out)["user"]
    assert (user["name"], user["is_admin"]) == ("ann", True)
    assert run(["key", "new", "--user", "Ann", "--data-dir", str(tmp_path)]) == 0
    key = capsys.readouterr().out.strip()
    with open_identity(Settings(data_dir=tmp_path)) as identity:
        principal = identity.principal(key)
        assert principal is not None
        assert principal.user.name == "ann"


def test_a_forgotten_password_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert add_user(monkeypatch, tmp_path, "ann", "a good long one") == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("another long one"))
    words = ["user", "password", "Ann", "--password-stdin", "--data-dir", str(tmp_path)]
    assert run(words) == 0
    assert "ann has another password" in capsys.readouterr().out
    with open_identity(Settings(data_dir=tmp_path)) as identity:
        session, _ = asyncio.run(identity.log_in("ann", "another long one", "test"))
        with pytest.raises(Unauthorized):
            asyncio.run(identity.log_in("ann", "a good long one", "test"))
    assert session.user.name == "ann"
    monkeypatch.setattr("sys.stdin", io.StringIO("another long one"))
    words[2] = "nobody"
    assert run(words) == 1
    assert "There is no user 'nobody'" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_the_line_end_is_not_part_of_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    assert add_user(monkeypatch, tmp_path, "ann", f"with a space {ending}") == 0
    with open_identity(Settings(data_dir=tmp_path)) as identity:
        session, _ = asyncio.run(identity.log_in("ann", "with a space ", "test"))
    assert session.user.name == "ann"


@pytest.mark.parametrize(
    ("name", "password", "said"),
    [("ann", "short", "The password must have 10"), ("<b>", "long enough words", "The name must")],
)
def test_what_the_server_would_refuse_is_refused_without_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    password: str,
    said: str,
) -> None:
    assert add_user(monkeypatch, tmp_path, name, password) == 1
    assert said in capsys.readouterr().err


def test_a_key_for_nobody_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["key", "new", "--user", "zed", "--data-dir", str(tmp_path)]) == 1
    assert "There is no user 'zed'" in capsys.readouterr().err


def test_a_password_is_never_taken_from_a_pipe_that_was_not_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("long enough words\n"))
    assert run(["user", "add", "ann", "--data-dir", str(tmp_path)]) == 1
    assert "give it with --password-stdin" in capsys.readouterr().err


def test_a_server_that_holds_the_data_but_does_not_answer_is_not_gone_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.make()
    with run_dir.locked():
        assert add_user(monkeypatch, tmp_path, "ann", "long enough words") == 3
    assert "is starting, stopping or stuck" in capsys.readouterr().err
    assert not (tmp_path / "algohost.db").exists()

"""The words of the command line, its exit codes, and its JSON: what other people's scripts use."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from algohost.cli.app import run
from tests.cli.fakes import FakeHost, control_server

CODE = "print('hello')\n"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FakeHost]:
    with control_server(FakeHost(tmp_path / "data")) as served:
        yield served


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(CODE)
    return path


class Shell:
    """Types a command and keeps what it said."""

    def __init__(self, data_dir: Path, capture: pytest.CaptureFixture[str]) -> None:
        self._data_dir = data_dir
        self._capture = capture

    def __call__(self, *words: str) -> int:
        code = run([*words, "--data-dir", str(self._data_dir)])
        captured = self._capture.readouterr()
        self.out, self.err = captured.out, captured.err
        return code

    def json(self, *words: str) -> dict[str, object]:
        self(*words, "--json")
        answer = json.loads(self.out)
        assert isinstance(answer, dict)
        return answer


@pytest.fixture
def shell(host: FakeHost, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(host.settings.data_dir, capsys)


def add(shell: Shell, file: Path, name: str = "My one") -> str:
    assert shell("strategy", "add", str(file), "--name", name) == 0
    return shell.out.strip()


def test_a_strategy_from_its_file_to_its_end(shell: Shell, host: FakeHost, file: Path) -> None:
    made = add(shell, file)
    assert made == "my_one_20260302093000"
    assert shell("strategy", "list") == 0
    assert f"{made}  My one  stopped" in shell.out
    assert shell("strategy", "start", made) == 0
    assert shell.out == "My one is running (process 4321).\n"
    (host.log_folder / f"{made}.log").write_text("one\ntwo\nunfinished")
    assert shell("strategy", "logs", made) == 0
    assert shell.out == "one\ntwo\n"
    assert shell("strategy", "stop", made) == 0
    assert shell.out == "My one is stopped. Stopped at 02 Mar 09:30:00 IST.\n"
    assert shell("strategy", "logs", made) == 0
    assert shell.out == "one\ntwo\nunfinished\n"
    assert shell("strategy", "show", made) == 0
    assert "00000000000000aa  stopped  02 Mar 2026 09:30:00 IST" in shell.out
    assert "not known" in shell.out  # its processor time, which this host has not measured
    assert shell("strategy", "delete", made) == 0
    assert shell("strategy", "show", made) == 1


def test_a_second_start_is_refused_with_the_run(shell: Shell, file: Path) -> None:
    made = add(shell, file)
    assert shell("strategy", "start", made) == 0
    assert shell("strategy", "start", made) == 1
    assert shell.err == "algohost: It is running already.\n"
    answer = shell.json("strategy", "start", made)
    assert answer == {
        "success": False,
        "message": "It is running already.",
        "error_code": "ALREADY_RUNNING",
        "details": {"run_id": "r"},
    }


def test_a_start_that_fails_is_a_refusal(shell: Shell, host: FakeHost, file: Path) -> None:
    made = add(shell, file)
    host.strategies.fails_to_start = True
    assert shell("strategy", "start", made) == 1
    assert "did not start: Failed to start (no such interpreter)" in shell.err


def test_stop_of_a_stopped_one_is_refused(shell: Shell, file: Path) -> None:
    assert shell("strategy", "stop", add(shell, file)) == 1
    assert shell.err == "algohost: It is not running.\n"


def test_a_draft_is_added_with_a_warning(shell: Shell, file: Path) -> None:
    file.write_text("x = (\n")
    assert shell("strategy", "add", str(file), "--name", "Draft") == 0
    assert shell.out == "draft_20260302093000\n"
    assert "added as a draft, because it does not compile: line 1, column 1" in shell.err


def test_a_file_that_cannot_be_read_is_refused(shell: Shell, tmp_path: Path) -> None:
    assert shell("strategy", "add", str(tmp_path / "none.py"), "--name", "x") == 1
    assert "No such file or directory" in shell.err


def test_a_log_before_the_first_run_says_so(shell: Shell, file: Path) -> None:
    assert shell("strategy", "logs", add(shell, file)) == 1
    assert "has not run yet" in shell.err


def test_status_shows_the_server_and_its_strategies(shell: Shell, file: Path) -> None:
    assert shell("status") == 0
    assert "no strategies yet" in shell.out
    made = add(shell, file)
    shell("strategy", "start", made)
    answer = shell.json("status")
    assert answer["counts"] == {"running": 1}
    assert answer["web"] == "http://127.0.0.1:5000"
    assert shell("status") == 0
    assert "1 running" in shell.out


@pytest.mark.parametrize("words", [["status"], ["strategy", "list"], ["config"], ["doctor"]])
def test_json_is_one_object_on_one_line(shell: Shell, words: list[str]) -> None:
    answer = shell.json(*words)
    assert answer["success"] is True
    assert shell.out.count("\n") == 1


def test_users_and_keys_through_the_server(
    shell: Shell, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("long enough words\n"))
    assert shell("user", "add", "bob", "--password-stdin") == 0
    assert shell.out == "Added the user bob.\n"
    assert [u.name for u in host.identity.users()] == ["ann", "bob"]
    assert host.gateway.opened == ["paper-u1"]
    assert shell("key", "new", "--user", "bob") == 0
    assert shell.out == "key-of-u1\n"
    assert shell("key", "new", "--user", "zed") == 1


def test_down_ends_the_server(shell: Shell, host: FakeHost, file: Path) -> None:
    made = add(shell, file)
    shell("strategy", "start", made)
    assert shell("down") == 0
    assert shell.out == "The server has ended.\n"
    assert host.ends.is_set()
    assert host.strategies.views[made].phase == "running"


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["strategy", "list"],
        ["strategy", "show", "x"],
        ["strategy", "start", "x"],
        ["strategy", "stop", "x"],
        ["strategy", "logs", "x"],
        ["strategy", "logs", "-f", "x"],
        ["strategy", "delete", "x"],
    ],
)
def test_without_a_server_the_exit_code_is_three(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(tmp_path / "none", capsys)
    assert shell(*words) == 3
    assert shell.err == (
        f"algohost: No server runs on {tmp_path / 'none'}; start one with 'algohost up'.\n"
    )
    answer = shell.json(*words)
    assert (answer["success"], answer["error_code"]) == (False, "SERVER_NOT_REACHABLE")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["bogus"],
        ["strategy"],
        ["strategy", "add"],
        ["strategy", "add", "x.py"],
        ["strategy", "show"],
        ["strategy", "show", "a", "b"],
        ["user", "add"],
        ["key", "new"],
        ["up", "--port", "many"],
        ["status", "--bogus"],
    ],
)
def test_wrong_usage_has_exit_code_two(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    assert "Usage: algohost" in capsys.readouterr().err


def test_help_and_version_are_no_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.endswith("algohost 0.1.0\n")


def test_a_configuration_that_cannot_be_used_is_a_refusal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["status", "--config", str(tmp_path / "none.toml")]) == 1
    assert "none.toml cannot be read (No such file or directory)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["strategy", "start"], ["status", "--nope"], ["up", "--port", "many"], ["nothing"]],
    ids=["no id", "no such option", "no number", "no such command"],
)
def test_wrong_usage_is_one_json_object_too(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """And the usage on the error output, as without ``--json``."""
    assert run([*words, "--json"]) == 2
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert (answer["success"], answer["error_code"]) == (False, "WRONG_USAGE")
    assert answer["message"] in captured.err.replace("\n", " ")


def test_the_ports_of_the_server_that_runs_are_told(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the settings have become since its start."""
    monkeypatch.setenv("ALGOHOST_PORT", "1")
    assert shell.json("config")["running"] == {"port": 5000, "feed_port": 8765}
    assert shell("config") == 0
    assert shell.out.splitlines()[-1] == (
        "The server that runs was started with other ports: port 5000."
    )
    assert shell("doctor") == 0
    said = [line.split(maxsplit=2)[2] for line in shell.out.splitlines() if " ports " in line]
    assert [line for line in said if "our server's" in line] == [
        "5000 is our server's.",
        "8765 is our server's.",
    ]


def test_without_a_server_no_ports_of_one_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["config", "--data-dir", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["running"] is None

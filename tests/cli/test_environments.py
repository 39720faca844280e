"""Strategies of several files and environments on the command line."""

import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from algohost.cli.app import run
from algohost.domain.ids import StrategyId
from algohost.host.environment_views import EnvironmentView, State
from algohost.host.requirements import Origin, Requirements
from tests.browser.fake_environments import FACTS, PROPOSED, FakeEnvironments
from tests.cli.fakes import FakeHost, control_server

ASKED = Requirements(lines=("openalgo", "scipy"), origin=Origin.TYPED)


class Host(FakeHost):
    """A host that keeps what was sent to it, and plays environments."""

    def __init__(
        self, data_dir: Path, users: Sequence[tuple[str, bool]] = (("ann", True),)
    ) -> None:
        super().__init__(data_dir, users)
        self.environments = FakeEnvironments()
        self.sent: list[tuple[str, bytes]] = []
        add = self.strategies.add

        async def kept(**values: Any) -> Any:
            self.sent.append((values["file_name"], values["content"]))
            return await add(**{**values, "content": b"", "file_name": "main.py"})

        self.strategies.add = kept  # type: ignore[method-assign]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    served = Host(tmp_path / "data")
    with control_server(served):
        yield served


def said(host: Host, capture: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = run([*words, "--data-dir", str(host.settings.data_dir)])
    captured = capture.readouterr()
    return code, captured.out, captured.err


def test_a_folder_is_sent_as_a_zip_without_what_tools_left(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pairs"
    for name in ("main.py", "lib/a.py", ".git/config", ".venv/x.py", "lib/__pycache__/a.pyc"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "link.py").symlink_to("/etc/hostname")
    code, out, _ = said(host, capsys, "strategy", "add", str(folder), "--name", "Pairs")
    assert (code, out) == (0, "pairs_20260302093000\n")
    [(name, content)] = host.sent
    assert name == "pairs.zip"
    (tmp_path / "sent.zip").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "sent.zip") as archive:
        assert archive.namelist() == ["lib/a.py", "main.py"]


def test_requirements_go_with_a_new_strategy_or_refuse_it(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script, asked = tmp_path / "a.py", tmp_path / "asked.txt"
    script.write_text("print(1)\n")
    asked.write_text("-r /etc/passwd\n")
    words = ("strategy", "add", str(script), "--name", "A", "--requirements", str(asked))
    code, _, err = said(host, capsys, *words)
    assert (code, host.sent) == (1, [])
    assert "options cannot stand there" in err
    asked.write_text("scipy\n")
    code, out, _ = said(host, capsys, *words)
    assert code == 0
    view = host.environments.views[StrategyId(out.strip())]
    assert view.asked is not None
    assert view.asked.lines == ("openalgo", "scipy")


def test_an_environment_is_shown_and_its_error_in_full(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "a.py"
    script.write_text("print(1)\n")
    made = said(host, capsys, "strategy", "add", str(script), "--name", "A")[1].strip()
    assert "state     built in" in said(host, capsys, "strategy", "environment", made)[1]
    ready = EnvironmentView(state=State.READY, asked=ASKED, facts=FACTS)
    host.environments.views[StrategyId(made)] = ready
    shown = said(host, capsys, "strategy", "environment", made)[1]
    assert "asked     openalgo, scipy (in the strategy's settings)" in shown
    assert "  scipy 1.16.0\n" in shown
    error = "error: No solution found\n  cause: because"
    failed = replace(ready, state=State.FAILED, facts=None, error=error)
    host.environments.views[StrategyId(made)] = failed
    assert said(host, capsys, "strategy", "environment", made)[1].endswith(f"\n{error}\n")
    again = said(host, capsys, "strategy", "environment", made, "--again")[1]
    assert "state     being made" in again


def test_environments_are_listed_and_pruned(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    listed = said(host, capsys, "environments", "list")[1]
    assert "abababababab  3.12.1  3         181 MB  21 Nov 2026  nobody" in listed
    code, out, _ = said(host, capsys, "environments", "prune", "--days", "30")
    assert (code, out) == (0, "Nothing to remove.\n")
    pruned = json.loads(said(host, capsys, "environments", "prune", "--json")[1])
    assert pruned == {"success": True, "removed": [FACTS.key]}


def put_waiting(host: Host, capsys: pytest.CaptureFixture[str], folder: Path) -> str:
    script = folder / "a.py"
    script.write_text("print(1)\n")
    made = said(host, capsys, "strategy", "add", str(script), "--name", "A")[1].strip()
    waits = EnvironmentView(state=State.NOT_ALLOWED, asked=ASKED, proposed=PROPOSED)
    host.environments.views[StrategyId(made)] = waits
    return made


@pytest.mark.parametrize("is_by_key", [True, False])
def test_packages_are_seen_and_then_allowed(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, is_by_key: bool
) -> None:
    made = put_waiting(host, capsys, tmp_path)
    listed = said(host, capsys, "environments", "list")[1]
    assert "Waiting to be allowed:\n" in listed
    assert "abababababab  3.12.1  3         Pairs" in listed
    shown = said(host, capsys, "strategy", "environment", made)[1]
    assert "state     not allowed yet" in shown
    assert "key       abababababab, for an administrator to allow" in shown
    what = FACTS.key[:12] if is_by_key else made
    code, out, err = said(host, capsys, "environments", "allow", what)
    assert (code, out, "--yes" in err, "scipy 1.16.0" in err) == (1, "", True, True)
    assert host.environments.views[StrategyId(made)].state is State.NOT_ALLOWED
    code, out, _ = said(host, capsys, "environments", "allow", what, "--yes")
    assert (code, out.splitlines()[0]) == (0, "Allowed abababababab:")
    assert "  scipy 1.16.0" in out
    assert "allowed   by ann" in said(host, capsys, "strategy", "environment", made)[1]
    assert said(host, capsys, "environments", "allow", what, "--yes")[0] == 1


@pytest.mark.parametrize("what", ["ab", "", "cd" * 6, "zz" * 32])
def test_what_does_not_wait_is_not_allowed(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    put_waiting(host, capsys, tmp_path)
    code, _, err = said(host, capsys, "environments", "allow", what, "--yes")
    assert (code, "environments list" in err) == (1, True)


def test_only_an_administrator_allows_packages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = Host(tmp_path / "data", users=(("ann", True), ("ben", False)))
    with control_server(served):
        put_waiting(served, capsys, tmp_path)
        words = ("environments", "allow", FACTS.key[:12], "--yes", "--user", "ben")
        code, _, err = said(served, capsys, *words)
        assert (code, "an administrator may do this" in err) == (1, True)
        assert [view.state for view in served.environments.views.values()] == [State.NOT_ALLOWED]

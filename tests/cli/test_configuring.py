"""Settings, variables, secrets and keys by the command line (bars S2 and S4)."""

import asyncio
import io
import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from algohost.cli import configuring
from algohost.cli.app import run
from algohost.domain.strategy_settings import Restart, StrategySettings
from algohost.host.launch_values import LaunchVariables
from algohost.store.database import open_database
from algohost.store.vault import KEY_FILE, Vault, read_keys
from tests.cli.fakes import FakeHost, control_server
from tests.host.harness import ASHA, HostUnderTest

CANARY = "canary-5e0d-in-the-mine"


class Shell:
    """Types commands about one strategy and keeps what they said."""

    def __init__(
        self, inner: HostUnderTest, host: FakeHost, monkeypatch: pytest.MonkeyPatch, capture: Any
    ) -> None:
        self.inner = inner
        self.host = host
        self.strategy_id = asyncio.run(inner.add(owner=ASHA)).strategy.id
        self._monkeypatch = monkeypatch
        self._capture = capture

    def __call__(self, words: str, *more: str, stdin: str = "") -> int:
        """``ID`` in the words is the strategy's."""
        typed = [self.strategy_id if word == "ID" else word for word in words.split()]
        self._monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = run([*typed, *more, "--data-dir", str(self.inner.folder)])
        self.out, self.err = self._capture.readouterr()
        return code

    def json(self, words: str, *more: str) -> dict[str, Any]:
        self(words, *more, "--json")
        return dict(json.loads(self.out))

    @property
    def settings(self) -> StrategySettings:
        return self.inner.service.get(ASHA, self.strategy_id).strategy.settings

    def secrets(self) -> dict[str, str]:
        inner = self.inner
        return LaunchVariables(inner.database, inner.vault).for_launch(self.strategy_id).secret


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    """A control server over real commands and a real database."""
    inner = HostUnderTest(tmp_path)
    host: Any = FakeHost(tmp_path)
    host.strategies, host.variables = inner.service, inner.variables
    with control_server(host):
        yield Shell(inner, host, monkeypatch, capsys)
    inner.database.close()


def test_settings_are_set_by_their_names(shell: Shell) -> None:
    words = "strategy set ID ports=443,5432 readable=/srv/data memory_mb=512 restart=on_failure"
    assert shell(f"{words} may_start_processes=yes is_confined=off cpu_percent=50") == 0
    assert shell.out == "The settings were saved. This applies from the next start.\n"
    assert shell.settings == StrategySettings(
        ports=(443, 5432),
        readable=("/srv/data",),
        memory_mb=512,
        restart=Restart.ON_FAILURE,
        may_start_processes=True,
        is_confined=False,
        cpu_percent=50,
    )
    assert shell("strategy set ID ports= readable= is_confined=on") == 0
    assert (shell.settings.ports, shell.settings.readable) == ((), ())
    assert shell.settings.is_confined


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("memory_mb=much", "The memory limit in MB must be a whole number from 0 to 1048576."),
        ("memory_mb=-1", "The memory limit in MB must be a whole number"),
        ("ports=443,http", "“http” is not a TCP port; a port is 1 to 65535."),
        ("is_confined=perhaps", "The setting is_confined is not true or false."),
        ("restart=often", "“often” is no restart policy: choose never, on_failure, always."),
        ("readable=data", "“data” cannot be a readable folder"),
        ("colour=red", "There is no setting “colour”."),
        ("memory_mb", "Each word must be KEY=VALUE; one of them is not."),
        ("=1", "Each word must be KEY=VALUE; one of them is not."),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_the_same_sentence(
    shell: Shell, pair: str, said: str
) -> None:
    assert shell(f"strategy set ID threads=7 {pair}") == 1
    assert said in shell.err
    assert shell.settings == StrategySettings()


def test_settings_are_shown_with_what_differs(shell: Shell) -> None:
    shell("strategy set ID ports=443 memory_mb=512")
    shell("strategy var set ID SYMBOL=SBIN")
    shell("strategy secret set ID TOKEN --value-stdin", stdin=CANARY)
    assert shell("strategy settings ID") == 0
    lines = [line.split() for line in shell.out.splitlines()]
    assert ["memory_mb", "512"] in lines
    assert ["ports", "443"] in lines
    assert ["threads", "1024", "default"] in lines
    assert ["variables", "SYMBOL"] in lines
    assert ["secrets", "TOKEN"] in lines
    shown = shell.json("strategy settings ID")
    assert shown["settings"]["memory_mb"] == 512
    assert list(shown["settings"]) == list(StrategySettings.__dataclass_fields__)
    assert [one["name"] for one in shown["secrets"]] == ["TOKEN"]
    assert CANARY not in str(shown)


def test_variables_are_set_listed_and_removed(shell: Shell) -> None:
    assert shell("strategy var set ID", "SYMBOL=SBIN", "QUERY=a=b c") == 0
    assert shell.out == "SYMBOL, QUERY were set. This applies from the next start.\n"
    assert shell("strategy var list ID") == 0
    assert "a=b c" in shell.out
    assert re.search(r"\d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d IST$", shell.out, re.MULTILINE)
    listed = shell.json("strategy var list ID")["variables"]
    assert all(datetime.fromisoformat(one["changed_at"]).tzinfo == UTC for one in listed)
    assert {one["name"]: one["value"] for one in listed} == {"SYMBOL": "SBIN", "QUERY": "a=b c"}
    assert shell("strategy var remove ID QUERY SYMBOL") == 0
    assert shell("strategy var list ID") == 0
    assert shell.out == "No variables.\n"
    assert shell("strategy var remove ID QUERY") == 1
    assert "has no variable of that name" in shell.err


def test_of_several_variables_all_are_set_or_none(shell: Shell) -> None:
    assert shell("strategy var set ID A=1 PATH=/tmp B=2") == 1
    assert "PATH is set by the host at every start" in shell.err
    assert shell.json("strategy var list ID")["variables"] == []


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_comes_from_the_input_and_goes_nowhere(shell: Shell, ending: str) -> None:
    assert shell("strategy secret set ID TOKEN --value-stdin", stdin=CANARY + ending) == 0
    assert shell.out == "The secret TOKEN was set. This applies from the next start.\n"
    assert shell.secrets() == {"TOKEN": CANARY}
    assert shell("strategy secret list ID") == 0
    assert "TOKEN  ••••••••" in shell.out
    assert CANARY not in shell.out
    assert re.search(r" IST$", shell.out, re.MULTILINE)
    assert set(shell.json("strategy secret list ID")["secrets"][0]) == {"name", "changed_at"}
    assert shell("strategy secret remove ID TOKEN") == 0
    assert shell.secrets() == {}


def test_a_secret_is_never_taken_from_the_command_line(shell: Shell) -> None:
    """Whoever lists the processes of the machine would read it there."""
    assert shell("strategy secret set ID TOKEN", CANARY) == 2
    assert shell("strategy secret set ID", f"TOKEN={CANARY}") == 1
    assert "There is no terminal to ask for the value" in shell.err
    assert shell.secrets() == {}


def test_a_secret_that_is_too_long_is_refused_and_not_cut(shell: Shell) -> None:
    assert shell("strategy secret set ID TOKEN --value-stdin", stdin="x" * 200_000) == 1
    assert "may have 32,768" in shell.err
    assert shell.secrets() == {}


# ---- keys


def test_keys_are_rotated_while_the_server_runs(shell: Shell) -> None:
    shell("strategy secret set ID TOKEN --value-stdin", stdin=CANARY)
    path = shell.inner.folder / "keys" / KEY_FILE
    before = read_keys(path)
    assert shell("keys rotate") == 0
    assert shell.out == "The key is new; secrets sealed under it: 1.\n"
    assert len(read_keys(path)) == 1
    assert read_keys(path) != before
    assert shell.secrets() == {"TOKEN": CANARY}
    assert shell.json("keys rotate") == {"success": True, "resealed": 1}


def test_only_an_administrator_rotates_the_key_of_all(shell: Shell) -> None:
    """As with environments, which all users share, too."""
    shell("strategy secret set ID TOKEN --value-stdin", stdin=CANARY)
    path = shell.inner.folder / "keys" / KEY_FILE
    before = read_keys(path)
    asyncio.run(shell.host.identity.create_user("ravi", "longer than ten", is_admin=False))
    assert shell("keys rotate --user ravi") == 1
    assert "an administrator may rotate it" in shell.err
    assert read_keys(path) == before
    assert shell("keys rotate --user ann") == 0
    assert read_keys(path) != before


def test_keys_are_rotated_without_a_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def prepared() -> str:
        async with HostUnderTest(tmp_path) as host:
            view = await host.add()
            await host.variables.set_secret(ASHA, view.strategy.id, "TOKEN", CANARY)
            return view.strategy.id

    strategy_id = asyncio.run(prepared())
    path = tmp_path / "keys" / KEY_FILE
    before = read_keys(path)
    assert run(["keys", "rotate", "--data-dir", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"success": True, "resealed": 1}
    assert read_keys(path) != before
    database = open_database(tmp_path / "algohost.db")
    vault = Vault(path.parent, has_sealed=lambda: True)
    values = LaunchVariables(database, vault).for_launch(strategy_id)  # type: ignore[arg-type]
    database.close()
    assert values.secret == {"TOKEN": CANARY}


def test_keys_that_others_can_read_are_not_rotated_without_a_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["keys", "rotate", "--data-dir", str(tmp_path)]) == 0
    (tmp_path / "keys" / KEY_FILE).chmod(0o644)
    assert run(["keys", "rotate", "--data-dir", str(tmp_path)]) == 1
    assert "can be read or changed by others (mode 0644)" in capsys.readouterr().err


# ---- the manual


def test_every_setting_is_in_the_manual_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs/variables-and-secrets.md").read_text("utf-8")
    written = dict(re.findall(r"^\| `(\w+)` \| (\S+) \| .+ \|$", page, re.MULTILINE))
    assert written == {
        name: configuring.shown(value) for name, value in asdict(StrategySettings()).items()
    }

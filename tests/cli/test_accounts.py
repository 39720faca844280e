"""``algohost account`` and ``algohost strategy mode``: a key that is typed and never printed."""

import asyncio
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from algohost.broker.openalgo_opening import Standing
from algohost.cli.app import run
from algohost.host.accounts import Accounts
from algohost.host.live_gate import LiveGate
from algohost.host.modes import Modes
from algohost.host.registry import Registry
from algohost.store import users as stored_users
from algohost.store.database import open_database
from algohost.store.users import StoredUser
from algohost.store.vault import Vault
from tests.cli.fakes import FakeHost, control_server

KEY = "k3y-of-the-upstream-5e0d9b7a"


class Host(FakeHost):
    """A host with real accounts, whose server always answers."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.database = open_database(data_dir / "algohost.db")
        (user,) = self.identity.users()
        stored = StoredUser(user=user, password_hash="none")
        self.database.write_now(lambda c: stored_users.insert_user(c, stored))
        adding = self.strategies.add(
            owner=user, name="EMA", file_name="ema.py", content=b"", exchange="NSE"
        )
        registry = Registry([asyncio.run(adding).strategy], [])
        self.accounts = Accounts(
            clock=self.clock,
            database=self.database,
            vault=Vault(data_dir / "keys", has_sealed=lambda: False),
            registry=registry,
            live_brokers=["openalgo"],
            users=self.identity.users,
        )

        async def look(_url: str, key: str, _reach: object) -> Standing:
            assert key == KEY
            return Standing(broker="zerodha", is_analyzing=True, available=Decimal("12.50"))

        self.live_gate = LiveGate(clock=self.clock, accounts=self.accounts, look=look)
        self.modes = Modes(
            clock=self.clock,
            database=self.database,
            registry=registry,
            strategies=self.strategies,  # type: ignore[arg-type]
            accounts=self.accounts,
        )


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    served = Host(tmp_path / "data")
    with control_server(served):
        yield served
    served.database.close()


def told(host: Host, *words: str) -> list[str]:
    """The words, for this host's data directory."""
    return [*words, "--data-dir", str(host.settings.data_dir)]


def test_an_account_is_added_tested_and_removed_and_its_key_is_not_printed(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{KEY}\n"))
    url = "https://algo.example.in"
    assert run(told(host, "account", "add", "Zerodha", "--url", url)) == 0
    account_id = capsys.readouterr().out.strip()
    assert run(told(host, "account", "list")) == 0
    assert run(told(host, "account", "test", "zerodha")) == 0
    said = capsys.readouterr()
    assert account_id in said.out
    assert "in its own analyzer mode" in said.out
    assert "₹12.50" in said.out
    assert run(told(host, "account", "add", "Second", "--broker", "paper")) == 0
    for act in ("disable", "enable", "remove"):
        assert run(told(host, "account", act, "Second")) == 0
    assert run(told(host, "account", "rename", "Zerodha", "Main")) == 0
    capsys.readouterr()
    assert run(told(host, "account", "list", "--json")) == 0
    names = [one["name"] for one in json.loads(capsys.readouterr().out)["accounts"]]
    assert names == ["Paper", "Main"]
    assert KEY not in said.out + said.err


def test_going_live_without_the_strategys_name_is_refused(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{KEY}\n"))
    run(told(host, "account", "add", "Zerodha", "--url", "https://algo.example.in"))
    strategy = host.strategies.list(host.identity.users()[0])[0].strategy
    capsys.readouterr()
    assert run(told(host, "strategy", "mode", strategy.id)) == 0
    assert "trades paper, in the account “Paper”" in capsys.readouterr().out
    assert run(told(host, "strategy", "mode", strategy.id, "live")) != 0
    assert strategy.name in capsys.readouterr().err
    confirmed = ("strategy", "mode", strategy.id, "live", "--confirm", strategy.name)
    assert run(told(host, *confirmed)) == 0
    assert "live, with real money, in the account “Zerodha”" in capsys.readouterr().out

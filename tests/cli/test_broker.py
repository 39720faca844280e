"""``algohost broker`` and ``algohost kill``: what they say, and as whom they act."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import time, timedelta
from pathlib import Path

import pytest

from algohost.broker.login import PaperLogin
from algohost.cli.app import run
from algohost.domain.strategies import Gate, Intent, Wanted
from algohost.domain.users import User, paper_account
from algohost.host.broker_sessions import BrokerSessions
from algohost.host.checking import Checked
from algohost.host.kill_switch import KillSwitch
from algohost.host.registry import Registry
from algohost.store.database import open_database
from algohost.testing.clock import FakeClock
from tests.cli.fakes import NOW, FakeHost, control_server


class Host(FakeHost):
    """A host with real sessions and switches, whose strategies all wait."""

    def __init__(
        self, data_dir: Path, users: Sequence[tuple[str, bool]] = (("ann", True), ("bob", False))
    ) -> None:
        super().__init__(data_dir, users)
        clock = FakeClock(NOW)
        self.database = open_database(data_dir / "algohost.db")
        self.broker_sessions = BrokerSessions(
            clock=clock,
            database=self.database,
            login=PaperLogin(until=time(3, 30)),
            told_ahead=timedelta(minutes=30),
        )
        self.kill_switch = KillSwitch(
            clock=clock,
            database=self.database,
            registry=Registry([], []),
            accounts=lambda: [paper_account(user) for user in self.identity.users()],
        )
        self.checking = self

    async def check_and_start(self, user: User) -> Checked:
        gate = Gate(code="CLOSED", sentence="It is closed.")
        intent = Intent(number=1, wanted=Wanted.RUNNING, by="user:ann", at=NOW)
        views = [
            replace(view, strategy=replace(view.strategy, intent=intent), gates=(gate,))
            for view in self.strategies.list(user)
        ]
        return Checked(started=(), waiting=views)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    served = Host(tmp_path / "data")
    with control_server(served):
        yield served
    served.database.close()


def said(host: Host, capture: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = run([*words, "--data-dir", str(host.settings.data_dir)])
    captured = capture.readouterr()
    return code, captured.out, captured.err


def test_a_session_is_opened_shown_and_ended(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    first = said(host, capsys, "broker", "status")[1]
    assert first == (
        "paper-u0 (paper): Logged out.\n"
        "0 running, which go on; 0 waiting. Log in with 'algohost broker login'.\n"
    )
    code, out, _ = said(host, capsys, "broker", "login")
    since, until = "02 Mar 2026 09:30:00 IST", "03 Mar 2026 03:30:00 IST"
    assert (code, out) == (0, f"paper-u0 (paper): Logged in since {since}, until {until}.\n")
    assert "ann logged in, until 03 Mar 03:30 IST." in said(host, capsys, "broker", "status")[1]
    told = json.loads(said(host, capsys, "broker", "status", "--user", "bob", "--json")[1])
    assert (told["session"]["account_id"], told["session"]["state"]) == ("paper-u1", "logged_out")
    assert said(host, capsys, "broker", "logout")[0] == 0
    code, _, err = said(host, capsys, "broker", "logout")
    assert (code, "nothing to end" in err) == (1, True)


def test_check_says_what_waits_and_for_what(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "a.py"
    script.write_text("print(1)\n")
    said(host, capsys, "strategy", "add", str(script), "--name", "Mine")
    code, out, _ = said(host, capsys, "broker", "check")
    assert (code, out) == (
        0,
        "1 strategy still waiting: It is closed.\nMine: It is closed.\n",
    )


def test_the_kill_switch_is_engaged_listed_and_released(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(host, capsys, "kill", "status")[1] == "No kill switch is engaged.\n"
    code, out, _ = said(host, capsys, "kill", "engage", "--all", "--reason", "A drill")
    assert (code, out.splitlines()) == (
        0,
        [
            "ENGAGED FOR       BY   SINCE                     REASON",
            "the whole server  ann  02 Mar 2026 09:30:00 IST  A drill",
        ],
    )
    said(host, capsys, "kill", "engage", "--user", "bob")
    found = json.loads(said(host, capsys, "kill", "status", "--json")[1])["kill_switches"]
    assert [(one["scope"], one["by"]) for one in found] == [("host", "ann"), ("account", "bob")]
    code, _, err = said(host, capsys, "kill", "release", "--all", "--user", "bob")
    assert (code, "administrators" in err) == (1, True)
    said(host, capsys, "kill", "release", "--user", "bob")
    assert said(host, capsys, "kill", "release", "--all")[1] == "No kill switch is engaged.\n"


def test_bytes_that_are_no_text_keep_nobody_from_engaging(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a terminal in Latin-1 sends for “café”."""
    code, out, _ = said(host, capsys, "kill", "engage", "--all", "--reason", "caf\udce9")
    assert (code, "caf?" in out) == (0, True)
    code, _, err = said(host, capsys, "kill", "release", "--user", "\udcff")
    assert (code, "There is no user" in err) == (1, True)


@pytest.mark.parametrize("act", ["engage", "release"])
def test_an_empty_id_of_a_strategy_turns_no_account(
    host: Host, capsys: pytest.CaptureFixture[str], act: str
) -> None:
    """A script whose variable is not set means one strategy, and no wider switch than that."""
    said(host, capsys, "kill", "engage", "--user", "bob")
    code, _, err = said(host, capsys, "kill", act, "--user", "ann", "--strategy", "")
    assert (code, "no such strategy" in err) == (1, True)
    found = json.loads(said(host, capsys, "kill", "status", "--json")[1])["kill_switches"]
    assert [(one["scope"], one["by"]) for one in found] == [("account", "bob")]


def test_all_and_one_strategy_at_once_is_wrong_usage(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = said(host, capsys, "kill", "engage", "--all", "--strategy", "x")
    assert (code, "Give --all or --strategy" in err) == (2, True)

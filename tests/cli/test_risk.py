"""``algohost risk``, and what ``algohost kill`` is asked for beyond holding back."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from algohost.broker.clearing import Clearing
from algohost.broker.governor import OrderGovernor
from algohost.broker.risk import RiskGuard
from algohost.cli.app import run
from algohost.domain.ids import AccountId, StrategyId
from algohost.domain.kill_switch import WHOLE_HOST, KillReport, KillState
from algohost.domain.users import paper_account
from algohost.host.kill_actions import KillActions
from algohost.host.kill_switch import KillSwitch
from algohost.host.registry import Registry
from algohost.host.risk import RiskService
from algohost.store.database import open_database
from algohost.testing.clock import FakeClock
from algohost.testing.market import TableMarket
from tests.broker.world import World
from tests.cli.fakes import NOW, FakeHost, control_server
from tests.exchange.desk import INSTRUMENTS


async def halt(strategy_id: StrategyId, *, by: str) -> None:
    """There are none."""


class Host(FakeHost):
    """A host with real limits and switches, and no strategies."""

    def __init__(
        self, data_dir: Path, users: Sequence[tuple[str, bool]] = (("ann", True), ("bob", False))
    ) -> None:
        super().__init__(data_dir, users)
        clock, registry = FakeClock(NOW), Registry([], [])
        self.database = open_database(data_dir / "algohost.db")
        market = TableMarket(INSTRUMENTS.values(), at=NOW)
        gateway = World(market=market).gateway

        def accounts() -> list[AccountId]:
            return [paper_account(user) for user in self.identity.users()]

        guard = RiskGuard(market=market, monotonic=clock.monotonic, accounts=accounts)
        guard.watch(gateway)
        self.risk = RiskService(
            clock=clock,
            database=self.database,
            registry=registry,
            guard=guard,
            accounts=accounts,
            halt=halt,
        )
        self.governor = OrderGovernor(rate_of=lambda _account: 0)
        self.kill_switch = KillSwitch(
            clock=clock, database=self.database, registry=registry, accounts=accounts
        )
        self.kill_actions = KillActions(
            clock=clock,
            tasks=self.kill_switch.tasks,
            registry=registry,
            trading=Clearing(gateway, market),
            accounts=list,
            accounts_of=lambda strategy: [strategy.account],
            halt=halt,
        )


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A control server in front of it."""
    served = Host(tmp_path / "data")
    with control_server(served):
        yield served
    served.database.close()


def asked(host: Host, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command that succeeds says."""
    assert run([*words, "--data-dir", str(host.settings.data_dir)]) == 0
    return capsys.readouterr().out


def test_limits_are_set_shown_changed_and_taken_away(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    said = asked(
        host, capsys, "risk", "set", "--quantity", "75", "--loss", "2500", "--stop-at-loss",
        "--symbols", "nse:infy,NFO:NIFTY*",
    )  # fmt: skip
    assert "Limits of the account, set by ann at " in said
    assert "NSE:INFY,NFO:NIFTY*" in said
    shown = asked(host, capsys, "risk", "show")
    assert "Units in one order" in shown
    assert "The limits of the account were set to Units in one order 75" in shown
    asked(host, capsys, "risk", "set", "--quantity", "none", "--orders", "20")
    told = json.loads(asked(host, capsys, "risk", "list", "--json"))
    [one] = told["limits"]
    assert (one["limits"]["most_quantity"], one["limits"]["most_orders_a_day"]) == (None, 20)
    assert (one["limits"]["most_daily_loss"], one["by"]) == ("2500", "ann")
    assert "has no limits of its own" in asked(host, capsys, "risk", "clear")
    assert asked(host, capsys, "risk", "list").strip() == "No limits."


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (["set", "--quantity", "0"], "Units in one order: give a whole number"),
        (["set", "--all", "--quantity", "5", "--user", "bob"], "for administrators"),
        (["set", "--strategy", "nobody", "--quantity", "5"], "no such strategy"),
        (["set"], "at least one limit"),
        (["set", "--all", "--strategy", "x", "--quantity", "5"], "not both"),
    ],
)
def test_what_cannot_be_set_is_refused_in_a_sentence(
    host: Host, capsys: pytest.CaptureFixture[str], words: Sequence[str], refusal: str
) -> None:
    assert run(["risk", *words, "--data-dir", str(host.settings.data_dir)]) != 0
    assert refusal in " ".join(capsys.readouterr().err.split())


def test_a_user_sees_the_hosts_limits_and_not_what_others_do(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(host, capsys, "risk", "set", "--all", "--orders", "500")
    told = json.loads(asked(host, capsys, "risk", "show", "--all", "--user", "bob", "--json"))
    assert told["target"]["limits"]["most_orders_a_day"] == 500
    assert (told["target"]["orders_today"], told["target"]["pnl"], told["events"]) == (
        None, None, [],
    )  # fmt: skip
    assert told["target"]["may_set"] is False


def test_a_drill_engages_nothing_and_says_so(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    said = asked(host, capsys, "kill", "engage", "--all", "--flatten", "--stop", "--drill")
    assert said.strip() == "A drill: nothing was done, and there is nothing to do."
    assert "No kill switch is engaged." in asked(host, capsys, "kill", "status")


def test_what_a_switch_was_asked_for_is_said_with_how_far_it_is(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    told = asked(host, capsys, "kill", "engage", "--all", "--flatten", "--stop")
    assert "Asked to cancel open orders, close positions and stop strategies." in told
    data_dir = str(host.settings.data_dir)
    late = ["kill", "engage", "--all", "--stop", "--wait", "0.2", "--data-dir", data_dir]
    assert run(late) == 1  # nobody carries it out here
    capsys.readouterr()
    task = host.kill_switch.tasks.find(WHOLE_HOST)
    assert task is not None
    report = KillReport(orders_left=2, runs_left=1, troubles=("NSE is closed.",))
    host.kill_switch.tasks.show(replace(task, state=KillState.PENDING, report=report))
    said = asked(host, capsys, "kill", "status")
    assert "Left: 2 open orders and 1 strategy. NSE is closed." in said
    asked(host, capsys, "kill", "release", "--all")
    assert "released before all was done" in asked(host, capsys, "kill", "status")

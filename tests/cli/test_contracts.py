"""The master contract on the command line."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from algohost.cli.app import run
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.host.master_contracts import MasterContracts
from algohost.store.database import open_database
from algohost.testing.clock import FakeClock
from algohost.testing.contracts import FakeContracts
from tests.cli.fakes import NOW, FakeHost, control_server

RELIANCE = Instrument(
    key=InstrumentKey(exchange=Exchange.NSE, symbol="RELIANCE"), token="1037", name="Reliance"
)


class Host(FakeHost):
    """A host whose list the test plays; its job runs on the control server's loop."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.clock = FakeClock(NOW)
        self.database = open_database(data_dir.parent / "contracts.db")
        self.source = FakeContracts(self.clock, instruments=(RELIANCE,))
        self.master_contracts = MasterContracts(
            clock=self.clock, database=self.database, source=self.source
        )
        self.market = SimpleNamespace(has_prices=lambda one: one == RELIANCE)
        ask = self.master_contracts.download

        def asked(*, force: bool = False) -> object:
            told = ask(force=force)
            self.job = asyncio.get_running_loop().create_task(self.master_contracts.step())
            return told

        self.master_contracts.download = asked  # type: ignore[method-assign, assignment]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    served = Host(tmp_path / "data")
    with control_server(served):
        yield served
    served.database.close()


def said(host: Host, capture: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = run(["contracts", *words, "--data-dir", str(host.settings.data_dir)])
    captured = capture.readouterr()
    return code, captured.out, captured.err


def test_the_status_says_whether_the_list_is_of_today(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = said(host, capsys, "status")
    assert code == 0
    assert "of today     no: starts wait for a new list" in out
    assert "has not been downloaded yet" in out


def test_a_download_is_waited_for(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(host, capsys, "download")
    assert code == 0
    assert out.startswith("Master contract download started.\n")
    assert "state        success" in out
    assert "instruments  1\n" in out


def test_a_download_of_what_is_of_today_needs_force(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    said(host, capsys, "download")
    code, out, _ = said(host, capsys, "download", "--json")
    assert (code, json.loads(out)["started"]) == (0, False)
    host.clock.advance(60)
    code, out, _ = said(host, capsys, "download", "--force", "--json")
    assert (code, json.loads(out)["started"]) == (0, True)
    assert host.source.fetched == 2


def test_a_download_that_fails_is_a_refusal_with_its_reason(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.source.fail()
    code, _, err = said(host, capsys, "download")
    assert code == 1
    assert "could not be downloaded: The broker does not answer." in err


def test_a_search_shows_the_best_first(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    said(host, capsys, "download")
    code, out, _ = said(host, capsys, "search", "reli")
    assert code == 0
    assert out.splitlines()[1].split() == ["NSE", "RELIANCE", "Reliance", "-", "1", "0.05", "here"]
    code, out, _ = said(host, capsys, "search", "reli", "--exchange", "BSE")
    assert (code, out) == (0, "Nothing fits all of these words.\n")
    code, _, err = said(host, capsys, "search", "reli", "--exchange", "NOWHERE")
    assert code == 1
    assert "is no exchange" in err

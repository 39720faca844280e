"""``algohost notify``: what it says, and that an address comes from the input alone."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from algohost.cli.app import run
from algohost.host.notices import Notices
from algohost.store import sealed
from algohost.store.database import open_database
from algohost.store.users import StoredUser, insert_user
from algohost.store.vault import Vault
from algohost.testing.clock import FakeClock
from algohost.testing.courier import FakeCourier
from tests.cli.fakes import NOW, FakeHost, control_server

CANARY = "canary-5e0d-in-the-mine"


class Host(FakeHost):
    """A host with real notices, whose courier keeps what it is given."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir, (("ann", True),))
        self.database = open_database(data_dir / "algohost.db")
        for user in self.identity.users():
            stored = StoredUser(user=user, password_hash="none")
            self.database.write_now(lambda c, new=stored: insert_user(c, new))  # type: ignore[misc]
        vault = Vault(data_dir / "keys", has_sealed=lambda: self.database.read(sealed.anything))
        self.courier = FakeCourier()
        self.notices = Notices(
            clock=FakeClock(NOW), database=self.database, vault=vault, courier=self.courier
        )


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    served = Host(tmp_path / "data")
    with control_server(served):
        yield served
    served.database.close()


def said(host: Host, capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """What the command prints, and that it ends with that code."""
    assert run([*words, "--data-dir", str(host.settings.data_dir)]) == code
    printed = capsys.readouterr()
    return printed.out + printed.err


def test_a_target_comes_from_the_input_and_is_tested_listed_and_removed(
    host: Host, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    none = said(host, capsys, "notify", "list")
    assert none == "There is no notification target; add one with 'algohost notify add'.\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(f"fake://{CANARY}\n"))
    added = said(host, capsys, "notify", "add", "phone")
    assert added.startswith("Messages go to phone (Fake) from now on.")
    assert said(host, capsys, "notify", "test") == "phone: arrived\n"
    host.courier.reason = "The service is down."
    failed = said(host, capsys, "notify", "test", "phone", code=1)
    assert failed == "phone: The service is down.\n"
    listed = said(host, capsys, "notify", "list")
    assert "phone" in listed
    as_json = said(host, capsys, "notify", "list", "--json")
    assert json.loads(as_json)["targets"][0]["service"] == "Fake"
    removed = said(host, capsys, "notify", "remove", "phone")
    assert removed == "Nothing is sent to phone any more.\n"
    assert CANARY not in added + failed + listed + as_json
    assert {one.url for one in host.courier.letters} == {f"fake://{CANARY}"}


def test_what_is_refused_is_said_in_a_sentence(
    host: Host, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert "none of apprise's" in said(host, capsys, "notify", "add", "phone", code=1)
    assert "add a notification target" in said(host, capsys, "notify", "test", code=1)
    assert "no notification target" in said(host, capsys, "notify", "remove", "x", code=1)

"""Variables and secrets of a strategy: what is taken, what is refused, what a run gets.

Promise 8; bars S2, S4 and S14 as far as the commands go.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from sqlalchemy import Connection

from algohost.bootstrap import open_host
from algohost.domain.errors import AlgohostError, Forbidden, Invalid, NotFound
from algohost.domain.ids import StrategyId
from algohost.domain.runs import OutcomeKind
from algohost.domain.strategies import Phase
from algohost.domain.strategy_settings import StrategySettings
from algohost.domain.variables import LEAST_SECRET_CHARACTERS, check_name, check_secret, check_value
from algohost.host import configured
from algohost.host.launch import Folders
from algohost.host.launch_values import LaunchVariables
from algohost.runner.mask import SHORTEST_MASKABLE, mask_of
from algohost.runner.messages import LaunchSpec
from algohost.settings import Settings
from algohost.store import variables as stored_variables
from algohost.store.vault import (
    KEY_FILE,
    KeyExposed,
    KeyLost,
    SealBroken,
    Vault,
    read_keys,
)
from tests.host.harness import ASHA, RAVI, HostUnderTest

CANARY = "canary-5e0d-in-the-mine"
Scenario = Callable[[HostUnderTest, str], Awaitable[None]]


def play(folder: Path, scenario: Scenario) -> None:
    """Lets ``scenario`` act on a host with one strategy of Ravi's."""

    async def main() -> None:
        async with HostUnderTest(folder) as host:
            view = await host.add(owner=RAVI)
            await scenario(host, view.strategy.id)

    asyncio.run(main())


async def launched(host: HostUnderTest, strategy_id: str) -> LaunchSpec:
    """What the agent was given at a start."""
    view = await host.service.start(RAVI, strategy_id)
    assert view.latest is not None
    run_id = view.latest.id
    await host.until(lambda: run_id in host.keeper.specs, "launched")
    return host.keeper.specs[run_id]


# ---- what may be called what


@pytest.mark.parametrize("name", ["A", "_", "symbol", "BROKER_TOKEN_2", "n" * 100])
def test_a_plain_name_is_taken(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "2FA", "A-B", "A B", "A=B", "A\n", "Ä", "A.B", "n" * 101, "A\0", CANARY],
)
def test_what_is_no_name_is_refused_and_not_repeated(name: str) -> None:
    """Somebody may have typed the value where the name belongs."""
    with pytest.raises(Invalid, match="A name has 1 to 100 letters") as refusal:
        check_name(name)
    assert refusal.value.details == {"field": "name"}
    assert not name or len(name) < 3 or name not in refusal.value.message


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("PATH", "set by the host"),
        ("Path", "set by the host"),
        ("HOME", "set by the host"),
        ("TMPDIR", "set by the host"),
        ("OPENALGO_API_KEY", "set by the host"),
        ("ALGOHOST_PORT", "set by the host"),
        ("LC_ALL", "set by the host"),
        ("STRATEGY_ID", "set by the host"),
        ("LD_PRELOAD", "break the interpreter that runs the script, as every LD_… could"),
        ("PYTHONPATH", "as every PYTHON… could"),
        ("PYTHONSTARTUP", "as every PYTHON… could"),
        ("DYLD_INSERT_LIBRARIES", "as every DYLD_… could"),
        ("GLIBC_TUNABLES", "as every GLIBC_… could"),
    ],
)
def test_a_name_that_the_host_or_the_interpreter_needs_is_refused_by_name(
    name: str, reason: str
) -> None:
    with pytest.raises(Invalid, match=reason) as refusal:
        check_name(name)
    assert refusal.value.message.startswith(name)


def test_every_name_that_the_host_gives_a_run_is_refused(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        spec = await launched(host, strategy_id)
        for name in spec.env:
            with pytest.raises(Invalid):
                check_name(name)

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("value", "said"),
    [("a\0b", "NUL"), ("x" * 32_769, "32,769 bytes"), ("é" * 16_385, "32,770"), ("\ud800", "text")],
)
def test_a_value_that_no_variable_can_hold_is_refused(value: str, said: str) -> None:
    for check in (check_value, check_secret):
        with pytest.raises(Invalid, match=said) as refusal:
            check(value)
        assert refusal.value.details == {"field": "value"}


@pytest.mark.parametrize("value", ["", "12345", "  1234  ", "\n\n\n\n\n\n\n"])
def test_a_secret_that_cannot_be_masked_is_refused(value: str) -> None:
    assert check_value(value) == value
    with pytest.raises(Invalid, match="at least 6 characters"):
        check_secret(value)


def test_the_shortest_secret_is_the_shortest_text_that_runs_mask() -> None:
    """Bar S3: two layers that may not import each other say the same number."""
    assert LEAST_SECRET_CHARACTERS == SHORTEST_MASKABLE
    shortest = "x" * SHORTEST_MASKABLE
    assert (check_secret(shortest), mask_of([shortest]) is None) == (shortest, False)
    assert mask_of([shortest[1:]]) is None
    for refused in (shortest[1:], f"{shortest[1:]} ", f"\t{shortest[1:]}\n"):
        with pytest.raises(Invalid, match=f"at least {SHORTEST_MASKABLE} characters"):
            check_secret(refused)


def test_a_value_may_have_lines_and_any_language() -> None:
    for value in ("", "x" * 32_768, "एक दो", "-----BEGIN KEY-----\nAA==\n", "a=b;c&d"):
        assert check_value(value) == value


# ---- what a run gets


def test_a_run_gets_its_variables_and_its_secrets_apart(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        await host.variables.set_plain(RAVI, strategy_id, {"SYMBOL": "SBIN", "LOTS": "4"})
        await host.variables.set_secret(RAVI, strategy_id, "BROKER_TOKEN", CANARY)
        spec = await launched(host, strategy_id)
        assert (spec.env["SYMBOL"], spec.env["LOTS"]) == ("SBIN", "4")
        assert spec.secrets == {"BROKER_TOKEN": CANARY}
        assert "BROKER_TOKEN" not in spec.env
        assert CANARY not in repr(spec)

    play(tmp_path, scenario)


def test_another_strategy_gets_none_of_it(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        await host.variables.set_plain(RAVI, strategy_id, {"SYMBOL": "SBIN"})
        await host.variables.set_secret(RAVI, strategy_id, "BROKER_TOKEN", CANARY)
        other = (await host.add("RSI", owner=RAVI)).strategy.id
        spec = await launched(host, other)
        assert "SYMBOL" not in spec.env
        assert spec.secrets == {}

    play(tmp_path, scenario)


def test_a_change_while_it_runs_is_for_the_next_start(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        await host.variables.set_secret(RAVI, strategy_id, "BROKER_TOKEN", CANARY)
        first = await launched(host, strategy_id)
        await host.variables.set_secret(RAVI, strategy_id, "BROKER_TOKEN", "another one")
        assert first.secrets == {"BROKER_TOKEN": CANARY}
        host.keeper.exits(first.run_id)
        await host.until(
            lambda: host.service.get(RAVI, strategy_id).phase is Phase.STOPPED, "stopped"
        )
        second = await launched(host, strategy_id)
        assert second.secrets == {"BROKER_TOKEN": "another one"}

    play(tmp_path, scenario)


@pytest.mark.parametrize("trouble", ["lost", "damaged", "another key", "another strategy's"])
def test_without_its_secrets_a_strategy_does_not_start_and_says_why(
    tmp_path: Path, trouble: str
) -> None:
    """Never a start without them: a script that finds no token may trade without its limits."""

    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        other = (await host.add("RSI", owner=RAVI)).strategy.id
        await host.variables.set_secret(RAVI, strategy_id, "BROKER_TOKEN", CANARY)
        path = host.vault.path
        match trouble:
            case "lost":
                path.unlink()
            case "damaged":
                path.write_text("half a k")
            case "another key":
                stranger = Vault(host.folder / "elsewhere", has_sealed=lambda: False)
                stranger.prepare()
                stranger.path.replace(path)
            case _:
                host.database.write_now(
                    lambda c: c.exec_driver_sql(f"UPDATE variables SET strategy_id = '{other}'")
                )
                strategy_id, other = other, strategy_id
        await host.kill_and_restart()
        await host.service.start(RAVI, strategy_id)
        await host.until(
            lambda: host.service.get(RAVI, strategy_id).phase is Phase.ERROR, "it has failed"
        )
        view = host.service.get(RAVI, strategy_id)
        assert view.latest is not None
        assert view.latest.outcome is not None
        assert view.latest.outcome.kind is OutcomeKind.FAILED_TO_START
        assert "cannot be opened" in view.sentence or "key file" in view.sentence
        assert host.keeper.launches == []
        assert host.tokens.live == {}
        assert (await launched(host, other)).secrets == {}  # the others are not held back

    play(tmp_path, scenario)


def test_a_lost_key_leaves_a_way_out_by_removing_what_it_sealed(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        await host.variables.set_secret(RAVI, strategy_id, "BROKER_TOKEN", CANARY)
        host.vault.path.unlink()
        await host.kill_and_restart()
        with pytest.raises(KeyLost):
            await host.variables.set_secret(RAVI, strategy_id, "BROKER_TOKEN", CANARY)
        await host.variables.remove_secrets(RAVI, strategy_id, ["BROKER_TOKEN"])
        await host.variables.set_secret(RAVI, strategy_id, "BROKER_TOKEN", CANARY)
        assert (await launched(host, strategy_id)).secrets == {"BROKER_TOKEN": CANARY}

    play(tmp_path, scenario)


def test_deleting_a_strategy_removes_what_it_had(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        await host.variables.set_plain(RAVI, strategy_id, {"SYMBOL": "SBIN"})
        await host.variables.set_secret(RAVI, strategy_id, "BROKER_TOKEN", CANARY)
        await host.service.delete(RAVI, strategy_id)
        left = host.database.read(
            lambda c: c.exec_driver_sql("SELECT count(*) FROM variables").scalar()
        )
        assert left == 0

    play(tmp_path, scenario)


# ---- who may


def test_somebody_elses_strategy_is_as_good_as_none(tmp_path: Path) -> None:
    """Bar S14, for the names of secrets too."""

    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        hers = (await host.add("hers", owner=ASHA)).strategy.id
        await host.variables.set_secret(ASHA, hers, "BROKER_TOKEN", CANARY)
        variables = host.variables
        with pytest.raises(NotFound, match="no such strategy"):
            variables.list(RAVI, hers)
        for act in (
            variables.set_plain(RAVI, hers, {"A": "b"}),
            variables.set_secret(RAVI, hers, "BROKER_TOKEN", "mine now"),
            variables.remove_plain(RAVI, hers, ["A"]),
            variables.remove_secrets(RAVI, hers, ["BROKER_TOKEN"]),
        ):
            with pytest.raises(NotFound, match="no such strategy"):
                await act
        assert [one.name for one in variables.list(ASHA, hers)] == ["BROKER_TOKEN"]

    play(tmp_path, scenario)


@pytest.mark.parametrize("wider", [{"is_confined": False}, {"readable": ("/srv/data",)}])
def test_only_an_administrator_lets_a_run_read_more_of_the_machine(
    tmp_path: Path, wider: dict[str, bool | tuple[str, ...]]
) -> None:
    """All runs are of one Unix user: who could look further could read other users' secrets."""

    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        settings = StrategySettings.from_json(wider)
        with pytest.raises(Forbidden, match="Only an administrator") as refusal:
            await host.service.configure(RAVI, strategy_id, asdict(settings))
        assert refusal.value.details == {"field": next(iter(wider))}
        await host.service.configure(ASHA, strategy_id, asdict(settings))
        kept = StrategySettings.from_json({**wider, "memory_mb": 512})
        view = await host.service.configure(
            RAVI, strategy_id, asdict(kept)
        )  # what is there may stay
        assert view.strategy.settings == kept
        narrow = StrategySettings()
        assert (
            await host.service.configure(RAVI, strategy_id, asdict(narrow))
        ).strategy.settings == narrow

    play(tmp_path, scenario)


@pytest.mark.parametrize("where", [".", "..", "keys", "algohost.db", "link"])
def test_the_servers_own_folder_is_never_readable(tmp_path: Path, where: str) -> None:
    """Bar S17: neither itself, nor a folder around or inside it, nor a link that leads there."""

    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        link = tmp_path.parent / f"{tmp_path.name}-link"
        link.symlink_to(tmp_path / "keys")
        path = str(link) if where == "link" else str(tmp_path / where)
        with pytest.raises(Invalid, match="leads to the data of this server"):
            await host.service.configure(
                ASHA, strategy_id, asdict(StrategySettings(readable=(path,)))
            )

    play(tmp_path, scenario)


def test_a_readable_folder_that_has_become_a_link_home_starts_nothing(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        folder = tmp_path.parent / f"{tmp_path.name}-market"
        folder.mkdir()
        await host.service.configure(
            ASHA, strategy_id, asdict(StrategySettings(readable=(str(folder),)))
        )
        assert (await launched(host, strategy_id)).confinement is not None
        host.keeper.exits(host.keeper.launches[0])
        await host.until(
            lambda: host.service.get(RAVI, strategy_id).phase is Phase.STOPPED, "stopped"
        )
        folder.rmdir()
        folder.symlink_to(tmp_path)
        await host.service.start(RAVI, strategy_id)
        await host.until(
            lambda: host.service.get(RAVI, strategy_id).phase is Phase.ERROR, "it has failed"
        )
        assert len(host.keeper.launches) == 1

    play(tmp_path, scenario)


# ---- keys


def test_a_rotation_while_secrets_are_set_loses_none(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        wanted = {f"TOKEN_{n}": f"value number {n}" for n in range(40)}
        before: tuple[str, ...] = ()

        async def set_all() -> None:
            for name, value in wanted.items():
                await host.variables.set_secret(RAVI, strategy_id, name, value)

        async def rotate() -> None:
            nonlocal before
            await host.variables.set_secret(RAVI, strategy_id, "FIRST", "the first one")
            before = read_keys(host.vault.path)
            for _ in range(8):
                await host.variables.rotate_keys()

        await asyncio.gather(set_all(), rotate(), host.variables.rotate_keys())
        spec = await launched(host, strategy_id)
        assert spec.secrets == {**wanted, "FIRST": "the first one"}
        (only,) = read_keys(host.vault.path)
        assert only not in before

    play(tmp_path, scenario)


def test_secrets_that_are_sealed_anew_while_a_run_is_launched_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A launch reads in a thread: what it has read may open under no key that is left."""
    real, opened = Vault.open, threading.Event()

    def late(self: Vault, strategy_id: StrategyId, name: str, token: bytes) -> str:
        if opened.is_set():
            return real(self, strategy_id, name, token)
        opened.set()
        raise SealBroken("The secret TOKEN cannot be opened.")

    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        await host.variables.set_secret(RAVI, strategy_id, "TOKEN", CANARY)
        values = LaunchVariables(host.database, host.vault)
        reads: list[object] = []
        stored_values = stored_variables.values_of

        def sealed_anew(connection: Connection, of: StrategyId) -> stored_variables.StoredValues:
            reads.append(of)
            if len(reads) == 2:
                asyncio.run_coroutine_threadsafe(host.variables.rotate_keys(), loop).result(30)
            return stored_values(connection, of)

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(Vault, "open", late)
        with pytest.raises(SealBroken):
            await asyncio.to_thread(values.for_launch, StrategyId(strategy_id))
        opened.clear()
        monkeypatch.setattr(stored_variables, "values_of", sealed_anew)
        found = await asyncio.to_thread(values.for_launch, StrategyId(strategy_id))
        assert found.secret == {"TOKEN": CANARY}

    play(tmp_path, scenario)


def test_nothing_about_a_secret_is_said_but_its_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        refusals: list[AlgohostError] = []
        await host.variables.set_secret(RAVI, strategy_id, "BROKER_TOKEN", CANARY)
        for name, value in (
            (CANARY, "x"),
            ("PATH", CANARY),
            ("A", CANARY * 2000),
            ("B", CANARY + "\0"),
        ):
            with pytest.raises(AlgohostError) as refusal:
                await host.variables.set_secret(RAVI, strategy_id, name, value)
            refusals.append(refusal.value)
        host.database.write_now(lambda c: c.exec_driver_sql("UPDATE variables SET name = 'OTHER'"))
        with pytest.raises(SealBroken) as broken:
            await host.variables.rotate_keys()
        refusals.append(broken.value)
        said = [f"{one} {one.details} {one.__cause__} {one.__context__}" for one in refusals]
        assert [one for one in said if CANARY in one] == []

    play(tmp_path, scenario)
    assert "secret_set" in caplog.text
    assert CANARY not in caplog.text


# ---- the server's own start


def test_a_server_does_not_start_on_a_key_that_others_can_read(tmp_path: Path) -> None:
    """Bar S2; and the sentence says how to mend it."""
    Vault(tmp_path / "keys", has_sealed=lambda: False).prepare()
    (tmp_path / "keys" / KEY_FILE).chmod(0o640)

    async def start() -> None:
        async with open_host(Settings(data_dir=tmp_path)):
            pytest.fail("it has started")

    with pytest.raises(KeyExposed, match="chmod 600"):
        asyncio.run(start())


def test_a_server_without_its_key_starts_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It must look after the runs that are on; only what has secrets is held back."""

    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        await host.variables.set_secret(RAVI, strategy_id, "BROKER_TOKEN", CANARY)
        host.vault.path.unlink()
        vault = configured.prepared_vault(host.database, Folders(data=tmp_path))
        assert vault.key_count == 0
        assert not vault.path.exists()

    play(tmp_path, scenario)
    assert "vault_shut reason=The key file" in caplog.text

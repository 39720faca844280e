"""Which secrets a server covers: present ones, those of launches, and what they were before."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from algohost.domain.ids import StrategyId
from algohost.host import known_secrets
from algohost.host.known_secrets import KnownSecrets
from algohost.host.launch_values import LaunchVariables
from algohost.host.log_cover import Cover
from algohost.host.variables import VariableService
from algohost.store.vault import KEY_FILE
from tests.host.harness import RAVI, HostUnderTest

FIRST, SECOND, OTHER = "first-value-1", "second-value-2", "other-value-3"


def service(host: HostUnderTest, known: KnownSecrets) -> VariableService:
    return VariableService(
        clock=host.clock,
        database=host.database,
        vault=host.vault,
        strategies=host.service,
        before_change=known.learn,
    )


def test_a_value_stays_known_after_it_was_changed_and_removed(tmp_path: Path) -> None:
    """It is in the log of the run that was started with it."""

    async def main() -> None:
        async with HostUnderTest(tmp_path) as host:
            strategy_id = StrategyId((await host.add(owner=RAVI)).strategy.id)
            known = KnownSecrets(host.database, host.vault)
            variables = service(host, known)
            assert known.values(strategy_id) == ()
            assert not known.cover(strategy_id).has_secrets
            await variables.set_secret(RAVI, strategy_id, "TOKEN", FIRST)
            await variables.set_secret(RAVI, strategy_id, "TOKEN", SECOND)
            await variables.remove_secrets(RAVI, strategy_id, ["TOKEN"])
            assert set(known.values(strategy_id)) == {FIRST, SECOND}
            assert known.hidden(strategy_id, f"refused {FIRST}") == f"refused {'*' * len(FIRST)}"
            assert known.hidden(strategy_id, "odd \ud800") == "odd \\ud800"
            fresh = KnownSecrets(host.database, host.vault)
            assert fresh.values(strategy_id) == (), "a new server knows what is in the vault now"

    asyncio.run(main())


def test_a_launch_makes_its_secrets_known_and_a_new_server_reads_them(tmp_path: Path) -> None:
    async def main() -> None:
        async with HostUnderTest(tmp_path) as host:
            strategy_id = StrategyId((await host.add(owner=RAVI)).strategy.id)
            await host.variables.set_secret(RAVI, strategy_id, "TOKEN", FIRST)
            known = KnownSecrets(host.database, host.vault)
            launching = LaunchVariables(host.database, host.vault, heard=known.add)
            assert launching.for_launch(strategy_id).secret == {"TOKEN": FIRST}
            await host.variables.remove_secrets(RAVI, strategy_id, ["TOKEN"])
            assert known.values(strategy_id) == (FIRST,)
            await host.variables.set_secret(RAVI, strategy_id, "TOKEN", OTHER)
            assert KnownSecrets(host.database, host.vault).values(strategy_id) == (OTHER,)

    asyncio.run(main())


def test_without_its_key_it_covers_what_it_knows_and_tries_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with HostUnderTest(tmp_path) as host:
            strategy_id = StrategyId((await host.add(owner=RAVI)).strategy.id)
            await host.variables.set_secret(RAVI, strategy_id, "TOKEN", FIRST)
            key = tmp_path / "keys" / KEY_FILE
            text = key.read_bytes()
            key.unlink()
            host.vault._keys = ()
            known = KnownSecrets(host.database, host.vault)
            with caplog.at_level(logging.WARNING):
                assert [known.values(strategy_id) for _ in range(3)] == [()] * 3
            assert caplog.text.count("secret_not_covered") == 1, "it is looked at every two seconds"
            assert FIRST not in caplog.text
            key.write_bytes(text)
            key.chmod(0o600)
            assert known.values(strategy_id) == (FIRST,)

    asyncio.run(main())


def test_of_many_values_the_newest_are_known(tmp_path: Path) -> None:
    async def main() -> None:
        async with HostUnderTest(tmp_path) as host:
            strategy_id = StrategyId((await host.add(owner=RAVI)).strategy.id)
            known = KnownSecrets(host.database, host.vault)
            known.add(strategy_id, [f"value-number-{i}" for i in range(1000)])
            known.add(strategy_id, ["12345"])
            assert known.values(strategy_id) == tuple(f"value-number-{i}" for i in range(600, 1000))

    asyncio.run(main())


def test_what_is_in_the_vault_is_known_however_often_another_one_was_changed(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with HostUnderTest(tmp_path) as host:
            strategy_id = StrategyId((await host.add(owner=RAVI)).strategy.id)
            known = KnownSecrets(host.database, host.vault)
            await host.variables.set_secret(RAVI, strategy_id, "STAYS", FIRST)
            for number in range(500):
                known.learn(strategy_id)
                known.add(strategy_id, [f"value-number-{number}"])
            assert FIRST in known.values(strategy_id)

    asyncio.run(main())


def test_a_value_that_is_met_while_a_cover_is_made_is_covered_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A launch in one thread, a page in another."""

    async def main() -> None:
        async with HostUnderTest(tmp_path) as host:
            strategy_id = StrategyId((await host.add(owner=RAVI)).strategy.id)
            known = KnownSecrets(host.database, host.vault)
            known.add(strategy_id, [FIRST])

            def slow(values: Sequence[str]) -> Cover:
                known.add(strategy_id, [SECOND])
                return Cover(values)

            with monkeypatch.context() as patch:
                patch.setattr(known_secrets, "Cover", slow)
                known.cover(strategy_id)
            assert known.cover(strategy_id).over(SECOND.encode()) == b"*" * len(SECOND)

    asyncio.run(main())

"""Bars S2 and S17, promise 8: sealed values open for their own strategy, under a key kept apart."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from algohost.domain.errors import Conflict, Invalid, NotFound
from algohost.domain.ids import StrategyId
from algohost.domain.variables import Variable
from algohost.store import variables as stored
from algohost.store.database import Database, open_database
from algohost.store.vault import (
    KeyDamaged,
    KeyExposed,
    KeyLost,
    RotationPoint,
    SealBroken,
    Vault,
    make_first_key,
    read_keys,
)

AT = datetime(2026, 11, 23, 3, 45, tzinfo=UTC)
EMA, RSI = StrategyId("ema_20261123091500"), StrategyId("rsi_20261123091500")
CANARY = "canary-5e0d-in-the-mine"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "a.db")
    for statement in (
        "INSERT INTO users VALUES ('u', 'asha', 'hash', 1, '2026-11-23T00:00:00+00:00')",
        "INSERT INTO versions VALUES ('v', x'00', '2026-11-23T00:00:00+00:00')",
        *(
            "INSERT INTO strategies (id, owner_id, name, file_name, exchange, mode, version_id,"
            f" created_at) VALUES ('{one}', 'u', 'n', 'f.py', 'NSE', 'paper', 'v', '2026')"
            for one in (EMA, RSI)
        ),
    ):
        opened.write_now(lambda c, s=statement: c.execute(text(s)))  # type: ignore[misc]
    yield opened
    opened.close()


def vault_of(database: Database) -> Vault:
    folder = database.path.parent / "keys"
    return Vault(folder, has_sealed=lambda: database.read(stored.any_sealed))


@pytest.fixture
def vault(database: Database) -> Vault:
    made = vault_of(database)
    made.prepare()
    return made


def keep(database: Database, vault: Vault, strategy: StrategyId, name: str, value: str) -> None:
    secret = Variable(name=name, value=None, changed_at=AT)
    token = vault.seal(strategy, name, value)
    database.write_now(lambda c: stored.put(c, strategy, secret, sealed=token))


def opened(database: Database, vault: Vault, strategy: StrategyId) -> dict[str, str]:
    sealed = database.read(lambda c: stored.values_of(c, strategy)).sealed
    return {name: vault.open(strategy, name, token) for name, token in sealed.items()}


def reseal(database: Database, vault: Vault) -> int:
    return database.write_now(
        lambda c: stored.reseal(c, lambda s, n, t: vault.seal(s, n, vault.open(s, n, t)))
    )


# ---- the key file


def test_the_first_start_makes_a_key_that_only_its_owner_can_reach(vault: Vault) -> None:
    assert vault.path.name == ".encryption_key"
    assert vault.path.stat().st_mode & 0o777 == 0o600
    assert vault.path.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in vault.path.parent.iterdir()] == [".encryption_key"]
    assert len(read_keys(vault.path)) == 1


def test_each_installation_has_a_key_of_its_own_and_keeps_it(tmp_path: Path) -> None:
    keys = set()
    for folder in (tmp_path / "one", tmp_path / "two", tmp_path / "one"):
        vault = Vault(folder, has_sealed=lambda: False)
        vault.prepare()
        keys.add(read_keys(vault.path))
    assert len(keys) == 2


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o666, 0o777])
def test_a_key_that_others_can_reach_is_refused_with_the_remedy(vault: Vault, mode: int) -> None:
    vault.path.chmod(mode)
    with pytest.raises(KeyExposed, match=rf"mode {mode:04o}.*chmod 600"):
        read_keys(vault.path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_key_of_another_user_is_refused(vault: Vault) -> None:
    os.chown(vault.path, 12345, -1)
    with pytest.raises(KeyExposed, match="belongs to another user"):
        read_keys(vault.path)


KEY = Fernet.generate_key().decode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n\n  \n", "is empty"),
        (KEY[:20].encode(), "is cut short"),
        (KEY.encode(), "is cut short"),
        (f"{KEY}\n{KEY[:30]}".encode(), "is cut short"),
        (f"{KEY[:30]}\n".encode(), "holds something that is no key"),
        (f"{KEY}\nnot a key\n".encode(), "holds something that is no key"),
        (b"\xff\xfe\x00\n", "holds something that is no key"),
    ],
)
def test_what_is_no_list_of_keys_is_refused_and_left_as_it_is(
    tmp_path: Path, content: bytes, said: str
) -> None:
    vault = Vault(tmp_path, has_sealed=lambda: False)
    vault.path.write_bytes(content)
    vault.path.chmod(0o600)
    with pytest.raises(KeyDamaged, match=said):
        vault.prepare()
    assert vault.path.read_bytes() == content


def test_a_link_or_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    make_first_key(elsewhere / "k", KEY)
    link = tmp_path / "link"
    link.symlink_to(elsewhere / "k")
    with pytest.raises(KeyDamaged, match="cannot be read"):
        read_keys(link)
    with pytest.raises(KeyDamaged, match="is no file"):
        read_keys(elsewhere)


def test_a_lost_key_is_never_made_anew_while_something_is_sealed(
    database: Database, vault: Vault
) -> None:
    keep(database, vault, EMA, "TOKEN", CANARY)
    vault.path.unlink()
    later = vault_of(database)
    assert isinstance(later.problem(), KeyLost)
    assert isinstance(vault.problem(), KeyLost)  # which has read it before
    with pytest.raises(KeyLost, match="Restore it from a backup"):
        later.prepare()
    assert not vault.path.exists()
    database.write_now(lambda c: stored.remove_all(c, EMA))
    assert later.problem() is None
    later.prepare()
    assert vault.path.exists()


def test_a_key_that_comes_back_heals_without_a_restart(database: Database, vault: Vault) -> None:
    keep(database, vault, EMA, "TOKEN", CANARY)
    away = vault.path.rename(vault.path.with_name("away"))
    later = vault_of(database)
    with pytest.raises(KeyLost):
        opened(database, later, EMA)
    away.rename(vault.path)
    assert opened(database, later, EMA) == {"TOKEN": CANARY}


def test_a_crash_while_the_first_key_is_made_leaves_the_next_start_free(tmp_path: Path) -> None:
    (tmp_path / ".encryption_key.new").write_text("half a k")
    vault = Vault(tmp_path, has_sealed=lambda: False)
    vault.prepare()
    assert [path.name for path in tmp_path.iterdir()] == [".encryption_key"]


def test_a_second_first_key_never_replaces_a_key(vault: Vault) -> None:
    before = vault.path.read_bytes()
    with pytest.raises(KeyDamaged, match="cannot be made"):
        make_first_key(vault.path, KEY)
    assert vault.path.read_bytes() == before


# ---- sealing

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=200)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
ids = st.sampled_from([EMA, RSI])


@pytest.fixture(scope="module")
def lone_vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    vault = Vault(tmp_path_factory.mktemp("lone"), has_sealed=lambda: False)
    vault.prepare()
    return vault


@given(value=texts, name=names, other_name=names, of=ids, other=ids)
@settings(deadline=None)
def test_a_sealed_value_opens_for_its_own_strategy_and_name_and_no_other(
    lone_vault: Vault, value: str, name: str, other_name: str, of: StrategyId, other: StrategyId
) -> None:
    token = lone_vault.seal(of, name, value)
    assert lone_vault.open(of, name, token) == value
    if (other, other_name) != (of, name):
        with pytest.raises(SealBroken):
            lone_vault.open(other, other_name, token)


@given(value=texts, at=st.integers(min_value=0), flip=st.integers(1, 255))
@settings(deadline=None)
def test_a_changed_token_does_not_open(lone_vault: Vault, value: str, at: int, flip: int) -> None:
    token = bytearray(lone_vault.seal(EMA, "TOKEN", value))
    token[at % len(token)] ^= flip
    with contextlib.suppress(SealBroken):
        assert lone_vault.open(EMA, "TOKEN", bytes(token)) == value  # a bit that base64 ignores


@given(words=st.lists(texts, min_size=2, max_size=4))
@settings(deadline=None)
def test_a_token_of_something_else_is_no_secret(lone_vault: Vault, words: list[str]) -> None:
    foreign = Fernet(read_keys(lone_vault.path)[0]).encrypt(repr(words).encode())
    with pytest.raises(SealBroken):
        lone_vault.open(EMA, "TOKEN", foreign)


def test_a_row_copied_to_another_strategy_does_not_open(database: Database, vault: Vault) -> None:
    keep(database, vault, EMA, "TOKEN", CANARY)
    database.write_now(
        lambda c: c.execute(
            text(
                f"INSERT INTO variables SELECT '{RSI}', name, value, sealed, changed_at"
                " FROM variables"
            )
        )
    )
    with pytest.raises(SealBroken, match="not for this strategy"):
        opened(database, vault, RSI)


def test_the_database_alone_gives_nothing_away(database: Database, vault: Vault) -> None:
    """Bar S2: a stolen database without the key file reveals no secret."""
    keep(database, vault, EMA, "TOKEN", CANARY)
    vault.rotate(lambda: reseal(database, vault))
    sqlite3.connect(database.path).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for path in database.path.parent.glob("a.db*"):
        content = path.read_bytes()
        assert CANARY.encode() not in content
        assert all(key.encode() not in content for key in read_keys(vault.path))


# ---- rotation


class Crash(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("point", list(RotationPoint))
def test_a_crash_in_a_rotation_leaves_everything_readable_and_the_next_one_finishes(
    database: Database, vault: Vault, point: RotationPoint
) -> None:
    secrets = {EMA: {"A": CANARY, "B": "b" * 10}, RSI: {"A": "another one"}}
    for strategy, values in secrets.items():
        for name, value in values.items():
            keep(database, vault, strategy, name, value)

    def crash(at: RotationPoint) -> None:
        if at is point:
            raise Crash

    with pytest.raises(Crash):
        vault.rotate(lambda: reseal(database, vault), reached=crash)
    later = vault_of(database)
    later.prepare()
    assert {s: opened(database, later, s) for s in secrets} == secrets
    before = read_keys(vault.path)
    assert later.rotate(lambda: reseal(database, later)) == 3
    assert {s: opened(database, later, s) for s in secrets} == secrets
    (only,) = read_keys(vault.path)
    assert only not in before
    assert [path.name for path in vault.path.parent.iterdir()] == [".encryption_key"]


def test_a_rotation_that_cannot_open_a_value_drops_no_key(database: Database, vault: Vault) -> None:
    keep(database, vault, EMA, "TOKEN", CANARY)
    (before,) = read_keys(vault.path)
    database.write_now(lambda c: c.execute(text("UPDATE variables SET name = 'OTHER'")))
    with pytest.raises(SealBroken, match="OTHER"):
        vault.rotate(lambda: reseal(database, vault))
    assert before in read_keys(vault.path)
    database.write_now(lambda c: c.execute(text("UPDATE variables SET name = 'TOKEN'")))
    assert opened(database, vault, EMA) == {"TOKEN": CANARY}
    assert vault.rotate(lambda: reseal(database, vault)) == 1
    assert vault.key_count == 1


def test_after_a_rotation_the_old_key_opens_nothing(database: Database, vault: Vault) -> None:
    keep(database, vault, EMA, "TOKEN", CANARY)
    stolen = vault.path.read_bytes()
    vault.rotate(lambda: reseal(database, vault))
    vault.path.write_bytes(stolen)
    with pytest.raises(SealBroken):
        opened(database, vault_of(database), EMA)


@given(steps=st.lists(st.sampled_from([*RotationPoint, "whole", "restart", "set"]), max_size=8))
@settings(max_examples=25, deadline=None)
def test_no_order_of_rotations_crashes_and_changes_loses_a_value(
    tmp_path_factory: pytest.TempPathFactory, steps: list[RotationPoint | str]
) -> None:
    """Rotation as a machine: the tokens of a table in memory, the keys on a real disk."""
    folder = tmp_path_factory.mktemp("machine")
    table: dict[str, bytes] = {}
    wanted: dict[str, str] = {}
    vault = Vault(folder, has_sealed=lambda: bool(table))
    vault.prepare()

    def renew() -> int:
        table.update({n: vault.seal(EMA, n, vault.open(EMA, n, t)) for n, t in table.items()})
        return len(table)

    for number, step in enumerate(["set", *steps]):
        if step == "set":
            wanted[f"N{number}"] = f"value {number}"
            table[f"N{number}"] = vault.seal(EMA, f"N{number}", f"value {number}")
        elif step == "whole":
            vault.rotate(renew)
            assert vault.key_count == 1
        elif isinstance(step, RotationPoint):

            def crash(at: RotationPoint, point: RotationPoint = step) -> None:
                if at is point:
                    raise Crash

            with pytest.raises(Crash):
                vault.rotate(renew, reached=crash)
            vault = Vault(folder, has_sealed=lambda: bool(table))
            vault.prepare()
        else:
            vault = Vault(folder, has_sealed=lambda: bool(table))
            vault.prepare()
        assert {name: vault.open(EMA, name, token) for name, token in table.items()} == wanted


# ---- what is kept


def plain(name: str, value: str) -> Variable:
    return Variable(name=name, value=value, changed_at=AT)


def test_a_listing_never_holds_a_secrets_value(database: Database, vault: Vault) -> None:
    keep(database, vault, EMA, "TOKEN", CANARY)
    database.write_now(lambda c: stored.put(c, EMA, plain("SYMBOL", "SBIN")))
    listed = database.read(lambda c: stored.of_strategy(c, EMA))
    assert [(v.name, v.value, v.is_secret) for v in listed] == [
        ("SYMBOL", "SBIN", False),
        ("TOKEN", None, True),
    ]
    assert database.read(lambda c: stored.of_strategy(c, RSI)) == []


def test_a_name_is_one_thing_at_a_time(database: Database, vault: Vault) -> None:
    keep(database, vault, EMA, "TOKEN", CANARY)
    with pytest.raises(Conflict, match="TOKEN is a secret; remove it first"):
        database.write_now(lambda c: stored.put(c, EMA, plain("TOKEN", "x")))
    database.write_now(lambda c: stored.put(c, EMA, plain("SYMBOL", "SBIN")))
    with pytest.raises(Conflict, match="SYMBOL is a plain variable, whose value was shown"):
        keep(database, vault, EMA, "SYMBOL", CANARY)
    with pytest.raises(NotFound, match="no variable of that name"):
        database.write_now(lambda c: stored.remove(c, EMA, "TOKEN", is_secret=False))


def test_there_is_an_end_to_how_many_and_how_much(database: Database) -> None:
    for number in range(200):
        database.write_now(lambda c, n=number: stored.put(c, EMA, plain(f"V{n}", "x")))  # type: ignore[misc]
    with pytest.raises(Invalid, match="at most 200"):
        database.write_now(lambda c: stored.put(c, EMA, plain("ONE_MORE", "x")))
    database.write_now(lambda c: stored.put(c, EMA, plain("V0", "replaced")))
    for number in range(3):
        database.write_now(lambda c, n=number: stored.put(c, EMA, plain(f"V{n}", "é" * 16_384)))  # type: ignore[misc]
    with pytest.raises(Invalid, match="All values of a strategy together"):
        database.write_now(lambda c: stored.put(c, EMA, plain("V3", "é" * 16_384)))


def test_nothing_is_kept_for_a_strategy_that_was_deleted(database: Database) -> None:
    database.write_now(lambda c: c.execute(text("UPDATE strategies SET deleted_at = '2026'")))
    with pytest.raises(NotFound, match="deleted meanwhile"):
        database.write_now(lambda c: stored.put(c, EMA, plain("SYMBOL", "SBIN")))

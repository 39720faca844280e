"""Logging in, staying in, and being put out (S11, S12)."""

import asyncio
import sqlite3
import time
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from argon2 import PasswordHasher

from algohost.domain.errors import TooMany, Unauthorized
from algohost.host.identity import Identity
from tests.identity.world import PASSWORD, World


def test_a_session_knows_its_user_also_after_a_restart(world: World) -> None:
    user = world.user()
    secret = world.log_in()
    before = world.session(secret)
    world.restart()
    after = world.session(secret)
    assert before is not None
    assert before.user == user
    assert after == before


def test_a_name_is_the_same_in_capitals(world: World) -> None:
    world.user("asha")
    session = world.session(world.log_in("ASHA"))
    assert session is not None
    assert session.user.name == "asha"


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("asha", "a boat on the rivers"),
        ("asha", ""),
        ("asha", PASSWORD + "x" * 2_000),
        ("nobody", PASSWORD),
        ("", ""),
        ("asha\x00", PASSWORD),
    ],
)
def test_a_wrong_name_and_a_wrong_password_are_told_apart_by_nobody(
    world: World, name: str, password: str
) -> None:
    world.user("asha")
    with pytest.raises(Unauthorized) as refusal:
        world.log_in(name, password)
    assert refusal.value.message == "The name or the password is wrong; check both."
    assert refusal.value.code == "WRONG_CREDENTIALS"


def test_an_unknown_name_costs_the_same_work_as_a_known_one(world: World) -> None:
    """Counted, not timed: both check one Argon2 hash of the same cost."""
    world.user("asha")
    checked: list[str] = []

    class Counting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002
            checked.append(str(hash).rsplit("$", 2)[0])
            return super().verify(hash, password)

    hasher = Counting(time_cost=1, memory_cost=8, parallelism=1)
    identity = Identity(world.database, world.clock, hasher=hasher)
    for name in ("asha", "nobody"):
        with pytest.raises(Unauthorized):
            world.run(identity.log_in(name, "not the password", "10.0.0.1"))
    assert len(checked) == 2
    assert checked[0] == checked[1]


def test_the_loop_goes_on_while_a_password_is_checked(world: World) -> None:
    class Slow(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002
            time.sleep(0.2)
            return super().verify(hash, password)

    world.user("asha")
    identity = Identity(
        world.database, world.clock, hasher=Slow(time_cost=1, memory_cost=8, parallelism=1)
    )

    async def count_beats() -> int:
        login = asyncio.create_task(identity.log_in("asha", PASSWORD, "10.0.0.1"))
        beats = 0
        while not login.done():
            await asyncio.sleep(0.001)
            beats += 1
        return beats

    assert world.run(count_beats()) > 10


def test_each_login_has_a_cookie_and_a_token_of_its_own(world: World) -> None:
    world.user()
    secrets = [world.log_in() for _ in range(3)]
    sessions = [world.session(secret) for secret in secrets]
    assert len(set(secrets)) == 3
    assert len({session.csrf for session in sessions if session}) == 3
    assert all(len(secret) >= 43 for secret in secrets)  # 256 bits in base64


def test_logging_out_ends_that_session_at_once_and_for_good(world: World) -> None:
    world.user()
    secret, other = world.log_in(), world.log_in()
    world.run(world.identity.log_out(secret))
    assert world.session(secret) is None
    assert world.session(other) is not None
    world.restart()
    assert world.session(secret) is None
    assert world.session(other) is not None


def test_a_new_password_ends_all_sessions_of_its_user_only(world: World) -> None:
    asha, _ = world.user("asha"), world.user("ravi")
    hers, his = [world.log_in("asha"), world.log_in("asha")], world.log_in("ravi")
    world.run(world.identity.set_password(asha.id, "another long password"))
    for _ in range(2):
        assert [world.session(secret) for secret in hers] == [None, None]
        assert world.session(his) is not None
        world.restart()
    with pytest.raises(Unauthorized):
        world.log_in("asha")
    assert world.session(world.log_in("asha", "another long password"))


def test_a_login_that_was_under_way_during_a_password_change_fails(world: World) -> None:
    asha = world.user("asha")

    async def both() -> object:
        login = asyncio.create_task(world.identity.log_in("asha", PASSWORD, "10.0.0.1"))
        await asyncio.sleep(0)  # it has read the old hash and waits for its check
        await world.identity.set_password(asha.id, "another long password")
        return (await asyncio.gather(login, return_exceptions=True))[0]

    result = world.run(both())
    if not isinstance(result, Unauthorized):  # it was faster: then the change has ended it
        assert isinstance(result, tuple)
        assert world.session(result[1]) is None
    world.restart()
    assert world.database.read(lambda c: c.exec_driver_sql("SELECT * FROM sessions").all()) == []


def test_a_session_ends_after_twelve_idle_hours(world: World) -> None:
    world.user()
    secret = world.log_in()
    world.clock.advance(timedelta(hours=12) - timedelta(seconds=1))
    assert world.session(secret) is not None
    world.clock.advance(timedelta(hours=12))
    assert world.session(secret) is None


def test_looking_at_a_session_without_using_it_does_not_keep_it_awake(world: World) -> None:
    world.user()
    secret = world.log_in()
    for _ in range(11):
        world.clock.advance(timedelta(hours=1))
        assert world.identity.peek(secret) is not None
    world.clock.advance(timedelta(hours=1))
    assert world.identity.peek(secret) is None


def test_a_session_in_use_ends_after_seven_days(world: World) -> None:
    world.user()
    secret = world.log_in()

    for _ in range(7 * 24 - 1):
        world.clock.advance(timedelta(hours=1))
        assert world.session(secret) is not None
    world.clock.advance(timedelta(hours=1))
    assert world.session(secret) is None


def test_use_is_remembered_over_a_restart(world: World) -> None:
    world.user()
    secret = world.log_in()

    world.clock.advance(timedelta(hours=11))
    assert world.session(secret) is not None
    world.restart()
    world.clock.advance(timedelta(hours=11))
    assert world.session(secret) is not None


def test_expired_sessions_are_swept_out_at_the_next_login(world: World) -> None:
    world.user()
    for _ in range(3):
        world.log_in()
    world.clock.advance(timedelta(days=8))
    world.log_in()
    rows = world.database.read(lambda c: c.exec_driver_sql("SELECT * FROM sessions").all())
    assert len(rows) == 1


@pytest.mark.parametrize("secret", ["", "x", "\ud800", "a" * 100_000, "\x00"])
def test_a_made_up_cookie_is_nobody(world: World, secret: str) -> None:
    world.user()
    world.log_in()
    assert world.session(secret) is None
    assert world.identity.peek(secret) is None
    world.run(world.identity.log_out(secret))


def test_a_stolen_database_opens_nothing(world: World, tmp_path: Path) -> None:
    """Neither password, cookie nor key stands in the file (S16)."""
    user = world.user()
    secret, key = world.log_in(), world.run(world.identity.new_key(user.id))
    world.close()
    with sqlite3.connect(tmp_path / "algohost.db") as copy:
        dump = "\n".join(copy.iterdump())
    copy.close()
    everything = dump.encode() + b"".join(
        path.read_bytes() for path in tmp_path.iterdir() if path.is_file()
    )
    for canary in (PASSWORD, secret, key, key[8:]):
        assert canary.encode() not in everything
    world.__init__(tmp_path)  # type: ignore[misc]  # so that the fixture has something to close


def test_wrong_passwords_slow_down_the_account_from_everywhere(world: World) -> None:
    world.user("asha")
    world.user("ravi")
    for number in range(5):
        with pytest.raises(Unauthorized):
            world.log_in("asha", "wrong", f"10.0.{number}.1")
    with pytest.raises(TooMany) as refusal:
        world.log_in("asha", PASSWORD, "10.1.0.1")
    assert refusal.value.details == {"retry_after_seconds": 1}
    assert world.log_in("ravi")
    world.clock.advance(1)
    assert world.log_in("asha", PASSWORD, "10.1.0.1")


def test_an_unknown_account_is_slowed_down_in_the_same_way(world: World) -> None:
    for _ in range(5):
        with pytest.raises(Unauthorized):
            world.log_in("nobody", "wrong")
    with pytest.raises(TooMany):
        world.log_in("nobody", "wrong")


def test_a_hundred_attempts_at_once_are_a_hundred_attempts(world: World) -> None:
    world.user("asha")

    async def burst() -> list[object]:
        attempts = [world.identity.log_in("asha", "wrong", "10.0.0.1") for _ in range(100)]
        return await asyncio.gather(*attempts, return_exceptions=True)

    kinds = [type(result) for result in world.run(burst())]
    assert (kinds.count(Unauthorized), kinds.count(TooMany)) == (5, 95)

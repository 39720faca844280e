"""Setting up once, and who may be made how (S1)."""

import asyncio
from datetime import timedelta

import pytest

from algohost.domain.errors import AlgohostError, Conflict, Forbidden, Invalid, TooMany
from tests.identity.world import PASSWORD, World


def test_a_server_without_users_has_a_setup_token_that_works_once(world: World) -> None:
    token = world.identity.setup_token()
    assert token is not None

    admin = world.run(world.identity.complete_setup(token, "asha", PASSWORD))

    assert (admin.name, admin.is_admin) == ("asha", True)
    assert world.identity.has_users()
    assert world.identity.setup_token() is None
    with pytest.raises(Forbidden):
        world.run(world.identity.complete_setup(token, "ravi", PASSWORD))


def test_each_start_has_another_setup_token(world: World) -> None:
    first = world.identity.setup_token()
    world.restart()
    assert first is not None
    assert world.identity.setup_token() not in {first, None}
    with pytest.raises(Forbidden):
        world.run(world.identity.complete_setup(first, "asha", PASSWORD))


def test_a_server_with_users_has_no_setup_token_after_a_restart(world: World) -> None:
    world.user()
    world.restart()
    assert world.identity.setup_token() is None
    assert world.identity.has_users()


def test_the_setup_token_expires_after_a_day(world: World) -> None:
    token = world.identity.setup_token()
    assert token is not None
    world.clock.advance(timedelta(hours=24))
    assert world.identity.setup_token() is None
    with pytest.raises(Forbidden):
        world.run(world.identity.complete_setup(token, "asha", PASSWORD))


def test_two_at_once_with_the_setup_token_make_one_administrator(world: World) -> None:
    token = world.identity.setup_token()
    assert token is not None

    async def both() -> tuple[object, object]:
        return await asyncio.gather(
            world.identity.complete_setup(token, "asha", PASSWORD),
            world.identity.complete_setup(token, "ravi", PASSWORD),
            return_exceptions=True,
        )

    results = world.run(both())
    assert sum(isinstance(result, Conflict) for result in results) == 1
    assert len(world.identity.users()) == 1


def test_guessing_the_setup_token_is_slowed_down(world: World) -> None:
    for _ in range(5):
        with pytest.raises(Forbidden):
            world.run(world.identity.complete_setup("guess", "asha", PASSWORD, "10.0.0.9"))
    with pytest.raises(TooMany):
        world.run(world.identity.complete_setup("guess", "asha", PASSWORD, "10.0.0.9"))


@pytest.mark.parametrize(
    "name",
    [
        "",
        " asha",
        "asha ",
        "asha\n",
        "a/b",
        "<b>",
        "..",
        "-a",
        "a" * 65,
        "अशा",
        "a\x00b",
        "(setup)",
    ],
)
def test_a_name_that_could_be_mistaken_is_refused(world: World, name: str) -> None:
    with pytest.raises(Invalid):
        world.run(world.identity.create_user(name, PASSWORD, is_admin=False))


@pytest.mark.parametrize("name", ["a", "asha", "asha.rao", "asha_rao-2", "asha@example.in", "A1"])
def test_a_plain_name_is_accepted(world: World, name: str) -> None:
    assert world.user(name).name == name


@pytest.mark.parametrize("password", ["", "ninechars", "p" * 1_025, "ASHA.RAO.12"])
def test_a_bad_password_is_refused(world: World, password: str) -> None:
    with pytest.raises(Invalid):
        world.run(world.identity.create_user("asha.rao.12", password, is_admin=False))


def test_a_name_is_taken_in_capitals_too(world: World) -> None:
    world.user("asha")
    with pytest.raises(Conflict):
        world.user("ASHA")


def test_a_refused_user_leaves_nothing(world: World) -> None:
    for name, password in [("asha", "short"), ("<b>", PASSWORD)]:
        with pytest.raises(AlgohostError):
            world.run(world.identity.create_user(name, password, is_admin=True))
    world.restart()
    assert world.identity.users() == ()


def test_users_are_there_after_a_restart(world: World) -> None:
    made = [world.user("asha", is_admin=True)]
    world.clock.advance(1)
    made.append(world.user("ravi"))
    world.restart()
    assert list(world.identity.users()) == made
    assert world.identity.user(made[0].id) == made[0]

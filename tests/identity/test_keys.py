"""API keys and runs' tokens (S16)."""

import re

import pytest

from algohost.domain.errors import Invalid, NotFound
from algohost.domain.ids import RunId, StrategyId, UserId
from algohost.domain.orders import Book
from algohost.domain.users import Principal, User, paper_account
from algohost.host.tokens import mint
from tests.identity.world import World

RUN = RunId("0123456789abcdef")


def of_run(user: User, run_id: RunId = RUN) -> Principal:
    return Principal(
        user=user,
        account_id=paper_account(user),
        strategy_id=StrategyId("ema_20250602093000"),
        run_id=run_id,
    )


def test_a_new_key_is_its_users_also_after_a_restart(world: World) -> None:
    user = world.user()
    key = world.run(world.identity.new_key(user.id))
    assert re.fullmatch("[0-9a-f]{64}", key)
    for _ in range(2):
        principal = world.identity.principal(key)
        assert principal == Principal(user=user, account_id=paper_account(user))
        assert principal.book == Book(account_id=paper_account(user), strategy_id=None)
        world.restart()


def test_a_new_key_kills_the_earlier_one_of_that_user_only(world: World) -> None:
    asha, ravi = world.user("asha"), world.user("ravi")
    old, his = (world.run(world.identity.new_key(user.id)) for user in (asha, ravi))
    world.identity.add_run_token(mint()[1], of_run(asha))
    new = world.run(world.identity.new_key(asha.id))
    for _ in range(2):
        assert world.identity.principal(old) is None
        assert world.identity.principal(new) is not None
        assert world.identity.principal(his) is not None
        world.restart()


def test_a_key_for_nobody_is_refused(world: World) -> None:
    with pytest.raises(NotFound):
        world.run(world.identity.new_key(UserId("nobody")))


@pytest.mark.parametrize("key", ["", "a" * 64, "A" * 64, "0" * 100_000, "\ud800", "é"])
def test_a_made_up_key_is_nobody(world: World, key: str) -> None:
    world.run(world.identity.new_key(world.user().id))
    assert world.identity.principal(key) is None


def test_the_hash_of_a_key_is_no_key(world: World) -> None:
    user = world.user()
    token, token_hash = mint()
    world.identity.add_run_token(token_hash, of_run(user))
    assert world.identity.principal(token_hash) is None
    assert world.identity.principal(token) == of_run(user)


def test_a_runs_token_acts_for_its_strategys_book_until_the_run_ends(world: World) -> None:
    user = world.user()
    token, token_hash = mint()
    world.identity.add_run_token(token_hash, of_run(user))
    principal = world.identity.principal(token)
    assert principal is not None
    assert principal.book.strategy_id == StrategyId("ema_20250602093000")
    world.run(world.identity.new_key(user.id))
    assert world.identity.principal(token) is not None, "a new key is not about runs"
    world.identity.drop_run_token(RUN)
    assert world.identity.principal(token) is None
    world.identity.drop_run_token(RUN)


def test_a_run_has_one_token(world: World) -> None:
    user = world.user()
    (first, first_hash), (second, second_hash) = mint(), mint()
    world.identity.add_run_token(first_hash, of_run(user))
    world.identity.add_run_token(second_hash, of_run(user))
    assert world.identity.principal(first) is None
    assert world.identity.principal(second) is not None


def test_a_token_without_a_run_is_refused(world: World) -> None:
    user = world.user()
    with pytest.raises(Invalid):
        world.identity.add_run_token(
            mint()[1], Principal(user=user, account_id=paper_account(user))
        )

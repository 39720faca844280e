"""One server for each test, and the people who use it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from algohost.domain.users import User
from algohost.host.views import StrategyView
from tests.web.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A server that nobody has set up."""
    opened = World(tmp_path)
    yield opened
    opened.close()


@dataclass(frozen=True, kw_only=True)
class People:
    """An administrator, the owner of a strategy, and somebody else."""

    admin: User
    owner: User
    other: User
    strategy: StrategyView


@pytest.fixture
def people(world: World) -> People:
    """Three users and one strategy."""
    admin, owner, other = world.user("asha", is_admin=True), world.user("ravi"), world.user("meera")
    return People(admin=admin, owner=owner, other=other, strategy=world.strategy(owner))

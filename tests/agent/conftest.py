"""Agents for the tests: one that a module shares, and ones that may be killed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agent.driving import Driver


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """A warm agent that the tests of a module share and do not harm."""
    driver = Driver(tmp_path_factory.mktemp("shared"), "--warm")
    yield driver
    driver.close()


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[Callable[..., Driver]]:
    """Makes an agent of a test's own."""
    made: list[Driver] = []

    def make(*options: str) -> Driver:
        made.append(Driver(tmp_path / f"agent{len(made)}", *options))
        return made[-1]

    yield make
    for driver in made:
        driver.close()

"""One server for the tests of this package that do not mind each other's orders."""

from collections.abc import Iterator

import pytest

from tests.api.served import Served, running


@pytest.fixture(scope="session")
def shared_server() -> Iterator[Served]:
    """A server for calls that change nothing."""
    with running() as served:
        yield served


@pytest.fixture
def server() -> Iterator[Served]:
    """A server of one's own."""
    with running() as served:
        yield served

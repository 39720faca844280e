"""The server that stands for somebody else's OpenAlgo server."""

from collections.abc import Iterator

import pytest

from tests.api.served import Served, running


@pytest.fixture
def served() -> Iterator[Served]:
    """A server of one's own, without limits of rate."""
    with running() as one:
        yield one

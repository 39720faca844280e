"""One world for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.identity.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A server's identities, without any user."""
    opened = World(tmp_path)
    yield opened
    opened.close()

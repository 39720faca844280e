"""A server of its own for each test of the feed, and clients that speak its protocol."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.api.served import ACCOUNT_KEY, Served, running
from tests.feed.speaker import Speaker

Opens = Callable[..., Speaker]


@pytest.fixture
def server() -> Iterator[Served]:
    """A server that nobody else uses."""
    with running() as served:
        yield served


@pytest.fixture
def client(server: Served) -> Iterator[Opens]:
    """Opens connections that are closed when the test ends; with a key they authenticate."""
    with ExitStack() as stack:

        def opened(key: str | None = ACCOUNT_KEY, *, url: str | None = None) -> Speaker:
            speaker = stack.enter_context(Speaker(url or server.feed_url))
            if key is not None:
                assert speaker.ask(action="authenticate", api_key=key)["status"] == "success"
            return speaker

        yield opened

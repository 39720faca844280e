"""A client that says what a test tells it to and keeps what it hears."""

import json
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

Heard = dict[str, Any]


class Speaker:
    """One connection to the feed."""

    def __init__(self, url: str) -> None:
        self._opening = connect(url, open_timeout=10, close_timeout=2, compression=None)

    def __enter__(self) -> Self:
        self.socket = self._opening.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._opening.__exit__(kind, error, traceback)

    def say(self, **message: Any) -> None:
        """Sends one message."""
        self.socket.send(json.dumps(message))

    def hear(self, seconds: float = 10) -> Heard:
        """The next message."""
        heard: Heard = json.loads(self.socket.recv(timeout=seconds))
        return heard

    def ask(self, **message: Any) -> Heard:
        """Sends one message and returns the answer, which comes before any data."""
        self.say(**message)
        while True:
            heard = self.hear()
            if heard.get("type") not in {"market_data", "order_update"}:
                return heard

    def data(self, count: int) -> list[Heard]:
        """The next ``count`` messages of market data."""
        return [self.hear() for _ in range(count)]

    def until(self, wanted: Callable[[Heard], bool], seconds: float = 20) -> Heard:
        """The first message that is wanted."""
        end = time.monotonic() + seconds
        while True:
            heard = self.hear(max(0.1, end - time.monotonic()))
            if wanted(heard):
                return heard

    def nothing_more(self) -> bool:
        """Whether the server has nothing to say before its answer to a ping."""
        self.say(action="ping")
        return str(self.hear()["type"]) == "pong"

    def closed_with(self, seconds: float = 10) -> int:
        """The code with which the server closes the connection."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                self.socket.recv(timeout=seconds)
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else 1006
        raise AssertionError("the connection is still open")

"""Answers that leave in one piece.

A server writes the head of an answer and its body one after the other, and each write is a call
of the kernel that wakes the client: on a busy machine the client runs on our core before the
body has left. Here what is written in one turn of the loop leaves together.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HELD: Final = 65_536
"""Bytes; with more it is written at once, so that the transport can say that it is full."""


class OneWrite:
    """A transport as the protocol sees it: holds what is written until the loop's next turn."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        """As ``Transport.write``, a moment later."""
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        self._size += len(data)
        if self._size > MOST_HELD:
            self.flush()

    def flush(self) -> None:
        """Writes what is held."""
        held, self._held, self._size = self._held, [], 0
        if held and not self._transport.is_closing():
            self._transport.write(b"".join(held))

    def close(self) -> None:
        """As ``Transport.close``: what was written before leaves before."""
        self.flush()
        self._transport.close()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """As ``Transport.set_protocol``: for a connection that becomes a WebSocket."""
        self.flush()
        self._transport.set_protocol(protocol)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class OneWriteProtocol(HttpToolsProtocol):
    """uvicorn's protocol over ``OneWrite``; ``Config(http=OneWriteProtocol)``."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As uvicorn's."""
        super().connection_made(OneWrite(transport, self.loop))  # type: ignore[arg-type]

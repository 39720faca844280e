"""A proxy in front of an OpenAlgo server that fails as networks and servers do, on demand."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

_BUSY = (
    b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 0.01\r\ncontent-type: application/json\r\n"
    b'content-length: 42\r\n\r\n{"status":"error","message":"Slow down."}\r\n'
)
_BROKEN = b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>"


class Fault(StrEnum):
    """What happens to one request."""

    NONE = "none"
    CUT_BEFORE = "cut before"
    """It never reaches the server: the connection ends."""
    CUT_AFTER = "cut after"
    """The server takes it, and the answer is lost."""
    CUT_WITHIN = "cut within"
    """The server takes it, and half of the answer comes."""
    SILENT_BEFORE = "silent before"
    """It never reaches the server, and nobody says so."""
    SILENT_AFTER = "silent after"
    """The server takes it, and nobody says so."""
    BUSY = "busy"
    """429 with Retry-After: the server did not look at it."""
    BROKEN_BEFORE = "broken before"
    """502 from in between, and the server did not get it."""
    BROKEN_AFTER = "broken after"
    """502 from in between, although the server took it."""
    STALE = "stale"
    """The answer is the one that the request before got; the server takes it all the same."""
    DIES = "dies"
    """The server takes it and is gone for a while, before anybody hears of it."""


@dataclass
class Proxy:
    """Passes requests on; ``next_orders`` says what becomes of those that place orders."""

    upstream_port: int
    port: int = 0
    next_orders: list[Fault] = field(default_factory=list)
    other_faults: dict[str, Fault] = field(default_factory=dict)
    """What becomes of the next request to an endpoint, by its name."""
    away: bool = False
    placed: int = 0
    """How many orders were let through to the server."""
    seen: list[bytes] = field(default_factory=list)
    on_die: Callable[[], None] = lambda: None
    _last: bytes = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        try:
            while not self.away:
                request = await _message(reader)
                if request is None or self.away:
                    return
                self.seen.append(request)
                if not await self._answer(request, writer):
                    return
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, request: bytes, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        is_order = request.startswith(b"POST /api/v1/placeorder ")
        fault = self.next_orders.pop(0) if is_order and self.next_orders else Fault.NONE
        name = request.partition(b" HTTP")[0].rpartition(b"/")[2].decode()
        fault = self.other_faults.pop(name, fault)
        match fault:
            case Fault.CUT_BEFORE:
                return False
            case Fault.SILENT_BEFORE:
                await asyncio.sleep(0.4)
                return False
            case Fault.BUSY | Fault.BROKEN_BEFORE:
                writer.write(_BUSY if fault is Fault.BUSY else _BROKEN)
                await writer.drain()
                return fault is Fault.BROKEN_BEFORE
        self.placed += is_order
        answer = await self._passed_on(request)
        match fault:
            case Fault.CUT_AFTER:
                return False
            case Fault.DIES:
                self.away = True
                self.on_die()
                return False
            case Fault.SILENT_AFTER:
                await asyncio.sleep(0.4)
                return False
            case Fault.CUT_WITHIN:
                writer.write(answer[: len(answer) - 9])
                await writer.drain()
                return False
            case Fault.BROKEN_AFTER:
                answer = _BROKEN
            case Fault.STALE if self._last:
                answer = self._last
        if is_order and fault is Fault.NONE:
            self._last = answer
        writer.write(answer)
        await writer.drain()
        return True

    async def deliver(self, request: bytes) -> None:
        """Passes a request on that was held back until now."""
        self.placed += 1
        await self._passed_on(request)

    async def _passed_on(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        try:
            writer.write(request)
            await writer.drain()
            return await _message(reader) or b""
        finally:
            writer.close()


async def _message(reader: asyncio.StreamReader) -> bytes | None:
    """A whole HTTP/1.1 message with a content length; ``None`` at the end of the connection."""
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return head + await reader.readexactly(length)


@asynccontextmanager
async def proxied(upstream_port: int) -> AsyncIterator[Proxy]:
    """A proxy on a port of its own, for as long as the block lasts."""
    proxy = Proxy(upstream_port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()

"""The feed with many clients, beside the obvious broadcast under the same load.

Each client keeps what it receives with the time it came, and nothing is looked at before the
end, so that no client waits for another one's JSON. A quote's own time is the second that it
shows: from there to the client is the whole way, the ticker's being late included.
"""

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from websockets.frames import Frame, Opcode

from algohost.domain.instruments import Exchange
from algohost.host.clock import SystemClock
from algohost.market.synthetic import SyntheticMarket
from algohost.runner import slices
from benchmarks.figures import Figure, percentile
from benchmarks.measures import FULL, Amount
from benchmarks.server import Server, free_ports

CLIENTS = 200
SYMBOLS = 50
_QUOTE = 2
_STAMP = re.compile(rb'"market_data","symbol":.*?"timestamp":(\d+)|'
                    rb'"market_data", "symbol":.*?"timestamp": (\d+)')  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What all clients of one server heard."""

    waits: Sequence[float]
    """Milliseconds of each message, from the second that it shows."""
    rate: float
    """Messages a second, all clients together: what has not changed is not told."""
    core_share: float
    """Of one core, in percent: what the server's process used meanwhile."""


def feed(server: Server, amount: Amount) -> list[Figure]:
    """How late ticks are, and what they cost, with 200 clients of 50 instruments each."""
    seconds = 20 if amount == FULL else 5
    market = SyntheticMarket(SystemClock(), seed=1)
    listed = [one.key for one in market.instruments() if one.key.exchange is Exchange.NSE]
    listed += [one.key for one in market.instruments() if one.key.exchange is not Exchange.NSE]
    asked = [{"symbol": key.symbol, "exchange": key.exchange.value} for key in listed[:SYMBOLS]]
    slices.ask_for(slices.PROMPT)  # as the server is: the clients stand for other machines
    ours = asyncio.run(_measure(server.feed_port, server.key, asked, server.pid, seconds))
    [port] = free_ports(1)
    symbols = [one["symbol"] for one in asked]
    rival = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.feed_rival", str(port), *symbols],
        stderr=subprocess.DEVNULL,  # it has a word about each client that leaves
    )
    try:
        theirs = asyncio.run(_measure(port, server.key, asked, rival.pid, seconds))
    finally:
        rival.kill()
        rival.wait()
        slices.ask_for(slices.USUAL)
    name = f"Feed, {CLIENTS} clients of {SYMBOLS} instruments, tick to received"
    return [
        Figure(
            name=f"{name}, p50 (beside json.dumps and send for each client)",
            unit="ms",
            ours=percentile(ours.waits, 50),
            rival=percentile(theirs.waits, 50),
        ),
        Figure(
            name=f"{name}, p99",
            unit="ms",
            ours=percentile(ours.waits, 99),
            rival=percentile(theirs.waits, 99),
            goal=50,
        ),
        Figure(
            name="… share of one core, the whole server",
            unit="%",
            ours=ours.core_share,
            rival=theirs.core_share,
            goal=50,
        ),
        Figure(
            name="… messages a second",
            unit="",
            ours=ours.rate,
            rival=theirs.rate,
            more_is_better=True,
        ),
    ]


async def _measure(
    port: int, key: str, asked: list[dict[str, str]], pid: int, seconds: int
) -> Heard:
    loop = asyncio.get_running_loop()
    clients = [_Client(key, asked) for _ in range(CLIENTS)]
    await _until_it_listens(port)
    for client in clients:
        await loop.create_connection(lambda one=client: one, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.sleep(2)  # all are subscribed, and have what comes at once
    await asyncio.sleep(1.5 - time.time() % 1)  # from the middle of a second
    first, before = time.time(), _cpu_seconds(pid)
    await asyncio.sleep(seconds)
    last, after = time.time(), _cpu_seconds(pid)
    await asyncio.sleep(1)
    for client in clients:
        client.transport.close()
    heard = [client.waits(first, last) for client in clients]
    if len({len(waits) for waits in heard}) != 1 or not heard[0]:
        raise SystemExit("The clients of the feed did not all hear the same.")
    return Heard(
        waits=[wait for waits in heard for wait in waits],
        rate=CLIENTS * len(heard[0]) / seconds,
        core_share=100 * (after - before) / (last - first),
    )


async def _until_it_listens(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise SystemExit(f"Nobody listens on port {port}.")


def _cpu_seconds(pid: int) -> float:
    """Of all threads that it has now, to the nanosecond: a tick's work is over in few of the
    hundredths of a second that ``stat`` counts in."""
    used = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # it has ended
            used += int((task / "schedstat").read_text().split()[0])
    return used / 1e9


class _Client(asyncio.Protocol):
    """Says who it is and what it wants, and keeps all that comes with the time it came."""

    transport: asyncio.Transport

    def __init__(self, key: str, asked: list[dict[str, str]]) -> None:
        self._key = key
        self._asked = asked
        self._came: list[tuple[float, bytes]] = []
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        nonce = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {nonce}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        if self._is_open:
            self._came.append((time.time(), data))
            return
        if b" 101 " not in data:
            raise SystemExit(f"The feed did not open: {data[:200]!r}")
        self._is_open = True
        self._say({"action": "authenticate", "api_key": self._key})
        self._say({"action": "subscribe", "symbols": self._asked, "mode": _QUOTE})

    def _say(self, message: dict[str, object]) -> None:
        self.transport.write(Frame(Opcode.TEXT, json.dumps(message).encode()).serialize(mask=True))

    def waits(self, first: float, last: float) -> list[float]:
        """Milliseconds of each message whose second is within; it came with its last byte."""
        stream = b"".join(data for _, data in self._came)
        ends, end = [], 0
        for at, data in self._came:
            end += len(data)
            ends.append((end, at))
        waits, place = [], 0
        for found in _STAMP.finditer(stream):
            while ends[place][0] < found.end():
                place += 1
            second = int(found[1] or found[2]) / 1000
            if first < second <= last:
                waits.append((ends[place][1] - second) * 1000)
        return waits

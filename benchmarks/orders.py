"""Orders and quotes under load, beside a plain Flask server and beside SQLite alone."""

import asyncio
import http.client
import importlib.util
import json
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from benchmarks import measures, rival
from benchmarks.figures import Figure, median, percentile
from benchmarks.measures import ORDER_PAUSE_SECONDS, Amount
from benchmarks.server import Server, free_ports, running_server

CLIENTS = 16
UNLIMITED = {
    "ALGOHOST_ORDERS_PER_SECOND": "0",
    "ALGOHOST_API_CALLS_PER_SECOND": "0",
    "ALGOHOST_PAPER_ORDERS_PER_SECOND": "0",
}
ORDER = {
    "strategy": "bench",
    "symbol": "RELIANCE",
    "exchange": "NSE",
    "quantity": 1,
    "pricetype": "MARKET",
    "product": "MIS",
}


def orders(server: Server, amount: Amount) -> list[Figure]:
    """Round trips at the pace that one key may send and without a pause, and what one client and
    many get through."""
    paced: list[float] = []
    theirs: _Unpaced | None = None
    beside = "rival not installed: flask, flask-sqlalchemy"
    if importlib.util.find_spec("flask_sqlalchemy") is not None:
        beside = "beside Flask, SQLAlchemy and SQLite"
        with _rival() as port:
            paced = measures.pooled_orders(port, rival.KEY, amount.orders)
            theirs = _unpaced(port, rival.KEY, amount)
    with running_server(UNLIMITED) as unlimited:
        ours = _unpaced(unlimited.port, unlimited.key, amount)
        quotes = _quotes_a_second(unlimited.port, unlimited.key, amount)
    return [
        *measures.order_round_trips(server, amount, rivals=paced, beside=beside),
        Figure(
            name="SQLite alone: INSERT and COMMIT, synced, p50",
            unit="ms",
            ours=percentile(_commits(amount.orders), 50),
        ),
        *(
            Figure(
                name=f"Order over HTTP without a pause, p{percent} ({beside})",
                unit="ms",
                ours=percentile(ours.times, percent),
                rival=None if theirs is None else percentile(theirs.times, percent),
            )
            for percent in (50, 99)
        ),
        *(
            Figure(
                name=f"Orders of one account over {_connections(clients)} ({beside})",
                unit="orders/s",
                ours=ours.rates[clients],
                rival=None if theirs is None else theirs.rates[clients],
                goal=300 if clients > 1 else None,
                more_is_better=True,
            )
            for clients in (1, CLIENTS)
        ),
        Figure(
            name=f"Quotes over {CLIENTS} connections",
            unit="requests/s",
            ours=quotes,
            goal=2000,
            more_is_better=True,
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class _Unpaced:
    """What a server does with orders that do not wait for anything but its answers."""

    times: list[float]
    """Round trips over one connection, in ms."""
    rates: dict[int, float]
    """Orders a second, by how many connections send them."""


def _unpaced(port: int, key: str, amount: Amount) -> _Unpaced:
    asked = [_request(port, "placeorder", key, {**ORDER, "action": a}) for a in ("BUY", "SELL")]
    count = amount.requests // 10
    return _Unpaced(
        times=measures.pooled_orders(port, key, 5 * amount.orders, pause_seconds=0),
        rates={
            clients: median(
                [
                    _rate(port, asked, count if clients > 1 else count // 2, clients=clients)
                    for _ in range(max(3, amount.rounds))
                ]
            )
            for clients in (1, CLIENTS)
        },
    )


def _connections(clients: int) -> str:
    return "1 connection" if clients == 1 else f"{clients} connections"


def _quotes_a_second(port: int, key: str, amount: Amount) -> float:
    asked = [_request(port, "quotes", key, {"symbol": "RELIANCE", "exchange": "NSE"})]
    count = amount.requests // 2
    return median([_rate(port, asked, count) for _ in range(max(3, amount.rounds))])


def _request(port: int, name: str, key: str, fields: dict[str, object]) -> bytes:
    body = json.dumps({"apikey": key, **fields}).encode()
    head = (
        f"POST /api/v1/{name} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _rate(port: int, requests: list[bytes], count: int, *, clients: int = CLIENTS) -> float:
    """Successful answers a second, ``count`` of them over all connections."""
    each = count // clients

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request, _ in zip(cycle(requests), range(each), strict=False):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            assert length is not None
            body = await reader.readexactly(int(length[1]))
            if json.loads(body).get("status") != "success":
                raise SystemExit(f"A request was refused: {body[:300]!r}")
            if b"connection: close" in head.lower():  # Flask's own server keeps none
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    async def all_of_them() -> None:
        await asyncio.gather(*(ask() for _ in range(clients)))

    began = time.perf_counter()
    asyncio.run(all_of_them())
    return each * clients / (time.perf_counter() - began)


def _commits(count: int) -> list[float]:
    """What one durable row costs without anything around it, at the same pace, in ms."""
    times = []
    with (
        tempfile.TemporaryDirectory(prefix="algohost-bench-") as folder,
        closing(sqlite3.connect(Path(folder) / "a.db", isolation_level=None)) as database,
    ):
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            database.execute(f"PRAGMA {pragma}")
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, body TEXT)")
        for _ in range(count):
            began = time.perf_counter()
            database.execute("BEGIN IMMEDIATE")
            database.execute("INSERT INTO orders (body) VALUES (?)", ("x" * 600,))
            database.execute("COMMIT")
            times.append((time.perf_counter() - began) * 1000)
            time.sleep(ORDER_PAUSE_SECONDS)
    return times


@contextmanager
def _rival() -> Iterator[int]:
    """The port of a rival that is gone at the end."""
    [port] = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="algohost-bench-") as folder:
        words = [sys.executable, "-m", "benchmarks.rival", str(port), f"{folder}/rival.db"]
        process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        try:
            _wait_for(port, process)
            yield port
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.05)
        else:
            return
        finally:
            connection.close()
    raise SystemExit("The rival did not start.")

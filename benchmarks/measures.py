"""What is measured, each beside plain ``python`` where there is such a thing."""

import asyncio
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import scripts
from benchmarks.figures import Figure, median, percentile
from benchmarks.server import Server

ORDER_PAUSE_SECONDS = 0.11  # a key may send ten a second


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How often each thing is done."""

    single_starts: int
    starts_at_once: int
    rounds: int
    resident: int
    strategies: int
    requests: int
    orders: int
    lines: int
    answers: int
    searched_mb: int


FULL = Amount(
    single_starts=30,
    starts_at_once=100,
    rounds=3,
    resident=10,
    strategies=200,
    requests=20_000,
    orders=200,
    lines=200_000,
    answers=500,
    searched_mb=100,
)
QUICK = Amount(
    single_starts=5,
    starts_at_once=20,
    rounds=1,
    resident=3,
    strategies=40,
    requests=2_000,
    orders=20,
    lines=50_000,
    answers=200,
    searched_mb=10,
)


def single_starts(server: Server, amount: Amount) -> list[Figure]:
    """From pressing Start to the script's first line, and to its imports being done."""
    ids = server.upload_many("single", scripts.FIRST_LINE, amount.single_starts)
    first, ready = [], []
    press = server.start_button()
    for one in ids:
        began = press(one)
        times = [float(text) for text in server.logged(one, "TIMES")]
        first.append((times[0] - began) * 1000)
        ready.append((times[1] - began) * 1000)
    server.wait_for_phase(ids, "stopped")
    with _script(scripts.FIRST_LINE) as file:
        plain = [_plain_times(file) for _ in range(amount.single_starts)]
    plain_first, plain_ready = ([p[i] for p in plain] for i in (0, 1))
    return [
        Figure(
            name="Start to first line, p50",
            unit="ms",
            ours=median(first),
            rival=median(plain_first),
            goal=15,
        ),
        Figure(
            name="Start to first line, p99",
            unit="ms",
            ours=percentile(first, 99),
            rival=percentile(plain_first, 99),
        ),
        Figure(
            name="Start to pandas and openalgo imported, p50",
            unit="ms",
            ours=median(ready),
            rival=median(plain_ready),
        ),
    ]


def starts_at_once(server: Server, amount: Amount) -> list[Figure]:
    """A hundred strategies, from the first press of Start to the last one's imports done."""
    count = amount.starts_at_once
    ids = server.upload_many("crowd", scripts.FIRST_LINE, count)
    ours, rivals = [], []
    for number in range(1, amount.rounds + 1):
        began = time.clock_gettime(time.CLOCK_MONOTONIC)
        server.start_all(ids)
        last = max(float(server.logged(one, "TIMES", run=number)[1]) for one in ids)
        ours.append(last - began)
        server.wait_for_phase(ids, "stopped")
        with _script(scripts.FIRST_LINE) as file:
            rivals.append(_plain_crowd(file, count))
    goal = 2 if count == FULL.starts_at_once else None
    return [
        Figure(
            name=f"{count} starts at once, all ready",
            unit="s",
            ours=median(ours),
            rival=median(rivals),
            goal=goal,
        )
    ]


def memory(server: Server, amount: Amount) -> list[Figure]:
    """What one more strategy takes after fetching a DataFrame: PSS, shared pages divided."""
    ids = server.upload_many("resident", scripts.DATA_FRAME, amount.resident)
    server.start_all(ids)
    pids = [int(server.logged(one, "FETCHED")[1]) for one in ids]
    ours = [pss_mb(pid) for pid in pids]
    for one in ids:
        server.stop(one)
    server.wait_for_phase(ids, "stopped")
    with _script(scripts.DATA_FRAME) as file:
        plain = [_plain(file, server) for _ in range(amount.resident)]
        try:
            for process in plain:
                assert process.stdout is not None
                assert process.stdout.readline().startswith("FETCHED")
            rivals = [pss_mb(process.pid) for process in plain]
        finally:
            for process in plain:
                process.kill()
                process.communicate()
    return [
        Figure(
            name="Memory per strategy after a DataFrame (PSS)",
            unit="MB",
            ours=median(ours),
            rival=median(rivals),
            goal=20,
        )
    ]


def status_requests(server: Server, amount: Amount) -> list[Figure]:
    """Requests a second of the list that pages and scripts poll, over sixteen connections."""
    have = len(server.rows())
    server.upload_many("listed", scripts.FIRST_LINE, max(0, amount.strategies - have))
    cookie = "; ".join(f"{name}={value}" for name, value in server.cookies.items())
    request = (
        f"GET /python/status HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nCookie: {cookie}\r\n\r\n"
    ).encode()
    rates = [
        asyncio.run(_rate(server.port, request, connections=16, count=amount.requests))
        for _ in range(max(3, amount.rounds))
    ]
    return [
        Figure(
            name=f"/python/status with {len(server.rows())} strategies",
            unit="requests/s",
            ours=median(rates),
            goal=1500,
            more_is_better=True,
        )
    ]


def order_round_trips(
    server: Server, amount: Amount, *, rivals: Sequence[float] = (), beside: str = ""
) -> list[Figure]:
    """From sending an order to its acknowledgement, its journal write included.

    ``rivals`` are the times of another server, ``beside`` says of which.
    """
    pooled = pooled_orders(server.port, server.key, amount.orders)
    code = scripts.ORDERS.format(count=amount.orders, pause=ORDER_PAUSE_SECONDS)
    hosted_id = server.upload("orders", code)
    server.start(hosted_id)
    hosted = [float(text) for text in server.logged(hosted_id, "MILLISECONDS")]
    server.wait_for_phase([hosted_id], "stopped")
    with _script(code) as file:
        process = _plain(file, server)
        said, errors = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"The orders of the plain script failed: {errors}")
    stock = [float(text) for text in said.split()[1:]]
    return [
        *(
            Figure(
                name=f"Order over HTTP, p{percent} ({beside})",
                unit="ms",
                ours=percentile(pooled, percent),
                rival=percentile(rivals, percent) if rivals else None,
                goal=goal,
            )
            for percent, goal in ((50, 3), (99, 15))
        ),
        Figure(
            name="Order by the openalgo client, p50",
            unit="ms",
            ours=percentile(hosted, 50),
            rival=percentile(stock, 50),
        ),
        Figure(
            name="Order by the openalgo client, p99",
            unit="ms",
            ours=percentile(hosted, 99),
            rival=percentile(stock, 99),
        ),
    ]


def pooled_orders(
    port: int, key: str, count: int, *, pause_seconds: float = ORDER_PAUSE_SECONDS
) -> list[float]:
    """Round trips of orders over one connection, in ms; by default as fast as a key may send."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = {
        "apikey": key,
        "strategy": "bench",
        "symbol": "RELIANCE",
        "exchange": "NSE",
        "quantity": 1,
        "pricetype": "MARKET",
        "product": "MIS",
    }
    times = []
    for number in range(count + 3):
        sent = json.dumps({**body, "action": "SELL" if number % 2 else "BUY"})
        began = time.perf_counter()
        connection.request("POST", "/api/v1/placeorder", sent, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        times.append((time.perf_counter() - began) * 1000)
        if answer.get("status") != "success":
            raise SystemExit(f"An order was refused: {answer}")
        if pause_seconds:
            time.sleep(pause_seconds)
    connection.close()
    return times[3:]


async def _rate(port: int, request: bytes, *, connections: int, count: int) -> float:
    each = count // connections

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
        for _ in range(each):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"/python/status answered {head[:80]!r}")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            assert length is not None
            await reader.readexactly(int(length[1]))
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(connections)))
    return each * connections / (time.perf_counter() - began)


def _plain_times(file: Path) -> tuple[float, float]:
    began = time.clock_gettime(time.CLOCK_MONOTONIC)
    said = subprocess.run([sys.executable, str(file)], capture_output=True, check=True).stdout
    first, ready = (float(text) for text in said.split()[1:3])
    return (first - began) * 1000, (ready - began) * 1000


def _plain_crowd(file: Path, count: int) -> float:
    began = time.clock_gettime(time.CLOCK_MONOTONIC)
    crowd = [
        subprocess.Popen([sys.executable, str(file)], stdout=subprocess.PIPE) for _ in range(count)
    ]
    return max(float(process.communicate()[0].split()[2]) for process in crowd) - began


def _plain(file: Path, server: Server) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(file)],
        env={**os.environ, "OPENALGO_API_KEY": server.key, "HOST_SERVER": server.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def pss_mb(pid: int) -> float:
    """Memory of a process in MB, shared pages divided among those who share them."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024 / 1e6  # the kernel's kB are 1,024 bytes, the goal's MB are not


@contextmanager
def _script(code: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="algohost-bench-") as folder:
        file = Path(folder) / "script.py"
        file.write_text(code)
        yield file

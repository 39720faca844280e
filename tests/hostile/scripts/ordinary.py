"""What an ordinary strategy does: all of it must work under the default confinement."""

import asyncio
import csv
import json
import locale
import logging
import logging.handlers
import os
import queue
import shutil
import signal
import socket
import sqlite3
import ssl
import sys
import tempfile
import threading
import time
import urllib.request
import zipfile
import zoneinfo
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import certifi
import httpx
import numpy as np
import pandas as pd
import websocket

PORT = int(os.environ["ALLOWED_PORT"])


def frames() -> str:
    index = pd.date_range("2026-01-01 09:15", periods=400, freq="min", tz="Asia/Kolkata")
    frame = pd.DataFrame({"close": np.arange(400.0)}, index=index)
    frame.to_csv("frame.csv")
    read = pd.read_csv("frame.csv", index_col=0)
    return f"{len(read)} {frame['close'].ewm(span=9).mean().iloc[-1]:.2f}"


def many_threads() -> str:
    leave, started = threading.Event(), queue.Queue[int]()

    def work() -> None:
        started.put(int(np.ones((40, 40)).dot(np.ones((40, 40)))[0, 0]))
        leave.wait()

    threads = [threading.Thread(target=work) for _ in range(200)]
    try:
        for thread in threads:
            thread.start()
        total = sum(started.get() for _ in threads)
    finally:
        leave.set()
    for thread in threads:
        thread.join()
    return str(total)


def pool() -> str:
    with ThreadPoolExecutor(8) as executor:
        return str(sum(executor.map(abs, range(-100, 0))))


def asyncio_client() -> str:
    async def work() -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        line = await reader.readline()
        writer.close()
        await asyncio.to_thread(time.sleep, 0)
        return line.decode().strip()

    return asyncio.run(work())


def http_by_httpx() -> str:
    return httpx.get(f"http://127.0.0.1:{PORT}/").text


def http_by_urllib() -> str:
    with urllib.request.urlopen(f"http://localhost:{PORT}/", timeout=5) as answer:
        return str(answer.read().decode())


def http_by_requests() -> str:
    try:
        import requests
    except ModuleNotFoundError:
        return "served"  # it is not installed here
    return str(requests.get(f"http://localhost:{PORT}/", timeout=5).text)


def web_socket() -> str:
    connection = websocket.create_connection(f"ws://127.0.0.1:{os.environ['FEED_PORT']}/")
    connection.send("hello")
    said = str(connection.recv())
    connection.close()
    return said


def temporary_files() -> str:
    with tempfile.NamedTemporaryFile("w+") as file, tempfile.TemporaryDirectory() as folder:
        file.write("x")
        Path(folder, "a").write_text("x")
        return str(Path(folder).is_relative_to(os.environ["TMPDIR"]))


def database() -> str:
    connection = sqlite3.connect("own.db")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t (a)")
    with connection:
        connection.execute("INSERT INTO t VALUES (1)")
    found = connection.execute("SELECT sum(a) FROM t").fetchone()[0]
    connection.close()
    return str(found)


def files() -> str:
    with open("rows.csv", "w", newline="") as file:
        csv.writer(file).writerow([1, 2])
    shutil.copy("rows.csv", "copied.csv")
    shutil.copy2("rows.csv", "copied2.csv")
    os.makedirs("a/b")
    os.rename("copied.csv", "a/b/moved.csv")
    with zipfile.ZipFile("all.zip", "w") as archive:
        archive.write("a/b/moved.csv")
    os.symlink("rows.csv", "linked.csv")
    os.link("rows.csv", "hard.csv")
    os.truncate("rows.csv", 1)
    shutil.rmtree("a")
    return Path("hard.csv").read_text()


def log_files() -> str:
    handler = logging.handlers.RotatingFileHandler("own.log", maxBytes=60, backupCount=2)
    logger = logging.getLogger("own")
    logger.addHandler(handler)
    for number in range(20):
        logger.warning("line %d", number)
    handler.close()
    return str(len(list(Path.cwd().glob("own.log*"))))


def times() -> str:
    zone = zoneinfo.ZoneInfo("America/New_York")
    locale.setlocale(locale.LC_ALL, "C.UTF-8")
    return datetime(2026, 1, 1, tzinfo=zone).strftime("%Z ") + time.tzname[0]


def certificates() -> str:
    return str(len(ssl.create_default_context(cafile=certifi.where()).get_ca_certs()) > 50)


def itself() -> str:
    status = Path("/proc/self/status").read_text()
    threads = [line for line in status.splitlines() if line.startswith("Threads:")]
    return f"{len(threads)} {len(os.listdir('/proc/self/task')) > 0} {(os.cpu_count() or 0) > 0}"


def own_signals() -> str:
    heard = []
    signal.signal(signal.SIGUSR1, lambda number, _frame: heard.append(number))
    os.kill(os.getpid(), signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR1)
    return str(len(heard))


def names() -> str:
    return str(socket.getaddrinfo("localhost", PORT, socket.AF_INET)[0][4][0])


def socket_pair() -> str:
    one, other = socket.socketpair()
    one.send(b"x")
    return other.recv(1).decode()


def late_import() -> str:
    import colorsys
    import html.parser

    return f"{colorsys.__name__} {html.parser.__name__}"


def randomness() -> str:
    return str(len(os.urandom(8)) + len(Path("/dev/urandom").open("rb").read(8)))


WORKS = [
    frames, many_threads, pool, asyncio_client, http_by_httpx, http_by_urllib, http_by_requests,
    web_socket, temporary_files, database, files, log_files, times, certificates, itself,
    own_signals, names, socket_pair, late_import, randomness,
]  # fmt: skip

if __name__ == "__main__":
    results = {}
    for work in WORKS:
        try:
            results[work.__name__] = work()
        except Exception as error:  # noqa: BLE001 - a failure is a result
            results[work.__name__] = f"{type(error).__name__}: {error}"
    print("RESULTS " + json.dumps(results), flush=True)
    sys.exit(3)

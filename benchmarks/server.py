"""A real server on a data directory and ports of its own, used as a browser would use it."""

import asyncio
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import httpx

from algohost.agent.client import AgentClient
from algohost.settings import Settings

PASSWORD = "only for this benchmark"
WAIT_SECONDS = 120.0


class Server:
    """A running server, logged in to."""

    def __init__(self, data_dir: Path, port: int, feed_port: int, key: str) -> None:
        self.data_dir = data_dir
        self.port = port
        self.feed_port = feed_port
        self.key = key
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx.Client(base_url=self.url, timeout=60)
        self._log_in()
        self.pid = int(_algohost("status", at=data_dir)["pid"])
        self.grace_seconds = Settings().stop_grace_seconds

    def _log_in(self) -> None:
        page = self.http.get("/login").text
        answer = self.http.post(
            "/login",
            json={"name": "bench", "password": PASSWORD},
            headers={"X-CSRFToken": _csrf(page)},
        )
        answer.raise_for_status()
        self.headers = {"X-CSRFToken": str(answer.json()["csrf"])}
        self.cookies = dict(self.http.cookies)

    def upload(self, name: str, code: str) -> str:
        """A new strategy's id."""
        answer = self.http.post(
            "/python/upload",
            files={"file": (f"{name}.py", code.encode())},
            data={"name": name},
            headers=self.headers,
        )
        answer.raise_for_status()
        return str(answer.json()["strategy_id"])

    def upload_many(self, name: str, code: str, count: int) -> list[str]:
        """The ids of ``count`` new strategies."""
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda n: self.upload(f"{name} {n}", code), range(count)))

    def start(self, strategy_id: str) -> None:
        """Presses Start."""
        self.http.post(f"/python/start/{strategy_id}", headers=self.headers).raise_for_status()

    def start_button(self) -> Callable[[str], float]:
        """Start over one open connection, as a browser has; gives the moment of each press."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {**self.headers, "Cookie": cookie}

        def press(strategy_id: str) -> float:
            at = time.clock_gettime(time.CLOCK_MONOTONIC)
            connection.request("POST", f"/python/start/{strategy_id}", headers=headers)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status != 200:
                raise SystemExit(f"Start was refused: {said.decode()}")
            return at

        return press

    def start_all(self, ids: list[str]) -> None:
        """Presses Start on all of them, sixteen at a time."""
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(self.start, ids))

    def stop(self, strategy_id: str) -> None:
        """Presses Stop."""
        self.http.post(f"/python/stop/{strategy_id}", headers=self.headers).raise_for_status()

    def stop_all(self, ids: list[str]) -> None:
        """Presses Stop on all of them, sixteen at a time."""
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(self.stop, ids))

    def set(self, strategy_id: str, *settings: str) -> None:
        """Changes settings of a strategy."""
        _algohost("strategy", "set", strategy_id, *settings, at=self.data_dir)

    def set_secret(self, strategy_id: str, name: str, value: str) -> None:
        """Keeps a secret for the strategy's next run."""
        words = ("strategy", "secret", "set", strategy_id, name, "--value-stdin")
        _algohost(*words, at=self.data_dir, given=value)

    def own_pids(self) -> list[int]:
        """The processes that are ours: server, agent, zygotes."""
        return [self.pid, *_agent_pids(self.data_dir)]

    def rows(self) -> dict[str, dict[str, Any]]:
        """Every strategy's row by id."""
        answer = self.http.get("/python/status").json()
        return {row["id"]: row for row in answer["strategies"]}

    def wait_for_phase(self, ids: list[str], phase: str) -> None:
        """Returns when all of them are in ``phase``."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            rows = self.rows()
            others = {rows[i]["phase"] for i in ids} - {phase}
            if not others:
                return
            if "error" in others or time.monotonic() > deadline:
                said = [rows[i] for i in ids if rows[i]["phase"] != phase][:1]
                raise SystemExit(f"The strategies did not come to be {phase}: {said}")
            time.sleep(0.02)

    def logged(self, strategy_id: str, word: str, *, run: int = 1) -> list[str]:
        """What follows ``word`` on its line in the log of the strategy's ``run``-th run."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            logs = sorted((self.data_dir / "log/strategies").glob(f"{strategy_id}_2*.log"))
            if len(logs) >= run:
                found = re.search(rf"{word} (.*)\n", logs[run - 1].read_text(errors="replace"))
                if found:
                    return found[1].split()
            time.sleep(0.02)
        raise SystemExit(f"{strategy_id} has not written {word} after {WAIT_SECONDS:.0f} s.")


@contextmanager
def running_server(settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[Server]:
    """A server that is gone, with its agent and runs, at the end.

    ``settings`` are variables of its environment.
    """
    with TemporaryDirectory(prefix="algohost-bench-", ignore_cleanup_errors=True) as folder:
        data_dir = Path(folder) / "data"
        port, feed_port = free_ports(2)
        _algohost(
            "user", "add", "bench", "--admin", "--password-stdin", at=data_dir, given=PASSWORD
        )
        key = str(_algohost("key", "new", "--user", "bench", at=data_dir)["key"])
        ports = ("--port", str(port), "--feed-port", str(feed_port))
        _algohost("up", *ports, at=data_dir, settings=settings)
        try:
            yield Server(data_dir, port, feed_port, key)
        finally:
            _algohost("down", "--all", at=data_dir)


def _algohost(
    *words: str, at: Path, given: str = "", settings: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "algohost.cli", *words, "--data-dir", str(at), "--json"],
        input=given,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"algohost {' '.join(words)} failed: {done.stderr}")
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def _agent_pids(data_dir: Path) -> list[int]:
    async def pids() -> list[int]:
        client = await AgentClient.connect(data_dir / "agent")
        try:
            about = await client.status()
        finally:
            await client.close()
        return [about["pid"], *(zygote["pid"] for zygote in about["zygotes"])]

    return asyncio.run(pids())


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports


def _csrf(page: str) -> str:
    found = re.search(r'<meta name="csrf" content="([^"]+)"', page)
    if found is None:
        raise SystemExit("The login page carries no token.")
    return found[1]

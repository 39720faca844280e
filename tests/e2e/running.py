"""A real server in a process of its own, with its agent, zygote and runs, on free ports."""

import asyncio
import base64
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from algohost.agent.client import AgentClient
from algohost.cli.control_client import Control

PASSWORD = "correct horse battery"
WAIT_SECONDS = 30.0


def until(holds: Callable[[], object], what: str, *, seconds: float = WAIT_SECONDS) -> Any:
    """The first true value of ``holds``; fails with ``what`` when the time is over."""
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.01)
    return value


def waits_for_contracts(row: dict[str, Any]) -> bool:
    """Whether a start has been answered before the day's list was there, on a busy machine."""
    return [gate["code"] for gate in row["gates"]] == ["MASTER_CONTRACT"]


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in held]


class RunningServer:
    """Started, killed and started again by tests; everything is gone after ``end``."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.port, self.feed_port = free_ports(2)
        self.control = Control(data_dir)
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *, module: str = "algohost.cli", **extra: str) -> None:
        """Starts the server; returns when its page answers.

        ``module`` is what runs the command line, ``extra`` more of its environment.
        """
        self.launch(module=module, **extra)
        until(self._answers, f"the page answers; {self.log()[-2000:]}")

    def launch(self, *, module: str = "algohost.cli", **extra: str) -> None:
        """Starts the server and does not wait for it."""
        skipped = ("ALGOHOST_", "PYTHONDONTWRITEBYTECODE")  # a second start has its bytecode
        environment = {k: v for k, v in os.environ.items() if not k.startswith(skipped)}
        # what a test sees must not hang on the hour at which it runs
        environment["ALGOHOST_SQUARE_OFF_MINUTES"] = "0"
        environment |= {f"ALGOHOST_{k.upper()}": v for k, v in self._settings.items()} | extra
        words = ("serve", "--data-dir", str(self.data_dir), "--port", str(self.port))
        self.data_dir.mkdir(exist_ok=True)
        with (self.data_dir / "server.log").open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *words, "--feed-port", str(self.feed_port)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
            )

    @property
    def is_up(self) -> bool:
        """Whether the server's process lives."""
        return self._process is not None and self._process.poll() is None

    def answers(self) -> bool:
        """Whether its page is served."""
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200
        return False

    def kill(self, sign: signal.Signals = signal.SIGKILL) -> int:
        """Ends the server with a signal; returns its exit code."""
        assert self._process is not None
        self._process.send_signal(sign)
        return self._process.wait(WAIT_SECONDS)

    def end(self) -> None:
        """Takes everything down, the agent and the runs as well."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        self.cli("down", "--all")

    def cli(self, *words: str, stdin: str = "") -> tuple[int, str, str]:
        """Runs a command line as a script would: exit code, output, errors."""
        done = subprocess.run(
            [sys.executable, "-m", "algohost.cli", *words, "--data-dir", str(self.data_dir)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """What the command line's socket answers."""
        return self.control.ask(method, path, body, timeout_seconds=60)

    def log(self) -> str:
        path = self.data_dir / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # ---- what tests do with it

    def add_user(self, name: str = "asha") -> None:
        self.ask("POST", "/v1/users", {"name": name, "password": PASSWORD, "is_admin": True})

    def new_key(self, name: str = "asha") -> str:
        return str(self.ask("POST", "/v1/keys", {"name": name})["key"])

    def add(self, source: str, name: str = "ticker") -> str:
        body = {
            "name": name,
            "file_name": f"{name}.py",
            "exchange": "NSE",
            "content": base64.b64encode(source.encode()).decode(),
        }
        return str(self.ask("POST", "/v1/strategies", body)["strategy"]["id"])

    def begin(self, strategy_id: str) -> dict[str, Any]:
        answer = self.ask("POST", f"/v1/strategies/{strategy_id}/start")
        if not waits_for_contracts(answer["strategy"]):
            return dict(answer["strategy"])

        def begun() -> dict[str, Any] | None:
            row = self.row(strategy_id)
            return None if waits_for_contracts(row) or row["phase"] == "starting" else row

        return dict(until(begun, "the contracts of a server that is new are there"))

    def stop(self, strategy_id: str) -> dict[str, Any]:
        answer = self.ask("POST", f"/v1/strategies/{strategy_id}/stop")
        return dict(answer["strategy"])

    def row(self, strategy_id: str) -> dict[str, Any]:
        return dict(self.ask("GET", f"/v1/strategies/{strategy_id}")["strategy"])

    def run_log(self, strategy_id: str) -> str:
        logs = sorted((self.data_dir / "log" / "strategies").glob(f"{strategy_id}*.log"))
        return "".join(path.read_text() for path in logs)

    def agent(self) -> dict[str, Any]:
        """What the agent says of itself: ``pid`` and ``zygotes``."""

        async def status() -> dict[str, Any]:
            client = await AgentClient.connect(self.data_dir / "agent")
            try:
                return await client.status()
            finally:
                await client.close()

        return asyncio.run(status())

    def browser(self) -> httpx.Client:
        """A client that is logged in, with the session's CSRF token in its headers."""
        client = httpx.Client(base_url=self.url, headers={"origin": self.url})
        page = client.get("/login").text
        client.headers["x-csrftoken"] = _token_in(page)
        answer = client.post("/login", json={"name": "asha", "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        client.headers["x-csrftoken"] = _token_in(client.get("/python").text)
        return client

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError(f"the server ended: {self.log()[-3000:]}")
        return self.answers()


def _token_in(page: str) -> str:
    found = re.search(r'name="csrf(?:-token)?" content="([^"]+)"', page)
    assert found is not None, page[:2000]
    return found[1]


@contextlib.contextmanager
def running_server(data_dir: Path, **settings: str) -> Iterator[RunningServer]:
    """A server with the administrator asha, up for as long as the block lasts."""
    server = RunningServer(data_dir, **settings)
    try:
        server.start()
        server.add_user()
        yield server
    finally:
        server.end()

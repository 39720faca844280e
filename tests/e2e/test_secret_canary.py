"""Bars S4 and S17, promise 8: a secret is nowhere but in the vault and in its own run's memory.

A unique secret is stored, a hosted script says it in every way it can think of, through Python's
streams and past them, everything of the server is exercised, and then all that it has written,
answered and started is searched.
"""

import base64
import hashlib
import html
import json
import secrets
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote, quote_plus

import httpx
import pytest
from websockets.sync.client import connect

from algohost.web.access import SESSION_COOKIE, Access
from algohost.web.app import ROUTES
from tests.e2e.running import RunningServer, running_server, until

pytestmark = pytest.mark.processes

LOUD = """
import base64, ctypes, faulthandler, hashlib, html, json, logging, os, pathlib, subprocess, sys
import time, urllib.parse

def past_python(secret):
    raw = secret.encode()
    os.write(1, b"raw " + raw + b" raw")
    for part in (raw[:11], raw[11:25] + b"\\n", raw[25:] + b"\\n", raw.hex().encode() + b"\\n"):
        os.write(2, part)
    os.write(1, base64.encodebytes(b"12" + raw * 4))
    ctypes.CDLL(None).dprintf(1, b"c %s\\n", raw)
    subprocess.run(["echo", "child", secret], check=True)
    tell = "import os; print(os.environ['BROKER_TOKEN'])"
    subprocess.run([sys.executable, "-c", tell], check=True)
    subprocess.run(["base64", "-w", "20"], input=raw, check=True)
    exec(compile("faulthandler.dump_traceback(1)", secret, "exec"))
    print("past Python", flush=True)

secret = os.environ["BROKER_TOKEN"]
if "QUIET" not in os.environ:
    pathlib.Path("digest").write_text(hashlib.sha256(secret.encode()).hexdigest())
    print("whole", secret, secret)
    for piece in (secret[:9], secret[9:20], secret[20:], "\\n"):
        sys.stdout.write(piece)
        sys.stdout.flush()
        time.sleep(0.05)
    for letter in secret:
        print(letter, end="", flush=True)
    print()
    for filler in ("", "a", "ab"):
        print(base64.b64encode((filler + secret).encode()).decode())
        print(base64.urlsafe_b64encode((filler + secret).encode()).decode())
    print("hex", secret.encode().hex())
    print("url", "https://x.example/?t=" + urllib.parse.quote(secret))
    print("form", urllib.parse.quote_plus(secret))
    print("json", json.dumps({"token": secret}), json.dumps({"t": secret}, ensure_ascii=False))
    print("twice", json.dumps(json.dumps({"token": secret})))
    print("repr", [secret], html.escape(secret))
    print(secret, file=sys.stderr)
    logging.basicConfig()
    logging.error("refused: %s", secret)
    for path in ("../../keys/.encryption_key", "../../algohost.db", "../../server.log"):
        try:
            print(path, "is open", len(open(path, "rb").read()))
        except OSError:
            print(path, "is shut")
    past_python(secret)
    print("said everything", flush=True)
    raise RuntimeError("the broker refused " + secret)
past_python(secret)
print("quiet", flush=True)
while True:
    time.sleep(0.2)
"""


def forms(secret: str) -> dict[str, bytes]:
    """Every way of writing the secret that the sweep looks for."""
    raw = secret.encode()
    escaped = json.dumps(secret)[1:-1]
    found = {
        "plain": raw,
        "reversed": raw[::-1],
        "utf-16": secret.encode("utf-16-le"),
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "url": quote(secret).encode(),
        "url, all": quote(secret, safe="").encode(),
        "form": quote_plus(secret).encode(),
        "json": escaped.encode(),
        "json, utf-8": json.dumps(secret, ensure_ascii=False)[1:-1].encode(),
        "json twice": json.dumps(escaped)[1:-1].encode(),
        "repr": repr(secret)[1:-1].encode(),
        "html": html.escape(secret).encode(),
        "html, bare quotes": html.escape(secret, quote=False).encode(),
    }
    for shift in range(3):  # the letters that no neighbour changes
        for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            begin = -(-shift * 4 // 3)
            text = encode(b"\0" * shift + raw).rstrip(b"=")
            found[f"{name} {shift}"] = text[begin + 1 : -1]
    return found


def what_holds(content: bytes, secret: str) -> list[str]:
    """The forms that are in ``content``, also where stamps or line ends were put between."""
    joined = b"".join(line[24:] if line[20:23] == b"IST" else line for line in content.splitlines())
    return [name for name, form in forms(secret).items() if form in content or form in joined]


class Sweep:
    """Everything that was answered, and a look at everything else."""

    def __init__(self, server: RunningServer, secret: str) -> None:
        self.server = server
        self.secret = secret
        self.answers: dict[str, bytes] = {}

    def leaks(self) -> dict[str, list[str]]:
        """Where the secret is found, and in which form."""
        places = {**self.answers, **self._files(), **self._processes()}
        found = {name: what_holds(content, self.secret) for name, content in places.items()}
        return {name: kinds for name, kinds in found.items() if kinds}

    def _files(self) -> dict[str, bytes]:
        folder = self.server.data_dir
        return {
            str(path.relative_to(folder)): path.read_bytes() + str(path).encode()
            for path in folder.rglob("*")
            if path.is_file()
        }

    def _processes(self) -> dict[str, bytes]:
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            for name in ("environ", "cmdline", "comm"):
                with suppress(OSError):  # it has ended, or is shut to us
                    found[str(process / name)] = (process / name).read_bytes()
        return found

    # ---- exercising

    def pages(self, ids: dict[str, str], client: httpx.Client) -> None:
        """Every route that reads, as page and as JSON, with and without a search."""
        for route in ROUTES:
            if route.method != "GET":
                continue
            path = route.path.replace("{rest:path}", "nothing")
            for name, value in ids.items():
                path = path.replace(f"{{{name}}}", value)
            for accept in ("text/html", "application/json"):
                for query in ({}, {"q": "refused", "find": "refused", "text": "whole"}):
                    answer = client.get(path, params=query, headers={"accept": accept})
                    self.take(f"GET {path} {accept} {query}", answer)

    def errors(self, strategy_id: str, client: httpx.Client) -> None:
        """Requests that are refused, with the secret in them; a refusal repeats nothing."""
        path = f"/python/secret/{strategy_id}"
        for name, value in (
            (self.secret, "longer than six"),
            ("PATH", self.secret),
            ("A", f"{self.secret}\0"),
            ("B", self.secret * 1000),
            ("B", self.secret * 10_000),
        ):
            answer = client.post(path, json={"name": name, "value": value})
            assert 400 <= answer.status_code < 500, answer.text
            self.take(f"POST {path} {len(name)} {len(value)}", answer)
        kind = {"content-type": "application/json"}
        for body in (f'["{self.secret}"]', f"{{{self.secret}", f'{{"name": ["{self.secret}"]}}'):
            self.take(f"POST {path} {len(body)}", client.post(path, content=body, headers=kind))
        self.take("no token", client.post(path, json={}, headers={"x-csrftoken": "wrong"}))
        self.take("no form", client.post(path, data={"value": self.secret}))
        self.take("no method", client.put(path, json={"value": self.secret}))
        self.take("nobody", httpx.post(f"{self.server.url}{path}", json={"value": self.secret}))
        self.take("nowhere", client.get("/python/nothing_20260101000000"))

    def programs(self, client: httpx.Client) -> None:
        """The interface of programs, with a key and without."""
        for key in (self.server.new_key(), "wrong"):
            for route in ROUTES:
                if route.access is Access.KEY:
                    body = {"apikey": key, "strategy": "x", "symbol": "SBIN", "exchange": "NSE"}
                    answer = client.request(route.method, route.path, json=body)
                    self.take(f"{route.method} {route.path} {key == 'wrong'}", answer)

    def live(self, strategy_id: str, client: httpx.Client) -> None:
        """The first message of every topic of the live socket."""
        cookie = {"Cookie": f"{SESSION_COOKIE}={client.cookies[SESSION_COOKIE]}"}
        address = f"{self.server.url.replace('http', 'ws')}/ws"
        sent = {"Origin": self.server.url, **cookie}
        kinds = ("log", "orders", "runs", "usage", "environment", "nothing")
        topics = ["strategies", *(f"{kind}:{strategy_id}" for kind in kinds)]
        with connect(address, additional_headers=sent, max_size=None) as socket:
            for topic in topics:
                socket.send(json.dumps({"op": "sub", "topic": topic}))
            seen: set[str] = set()
            while seen != set(topics):
                message = socket.recv(timeout=20)
                assert isinstance(message, str)
                seen.add(json.loads(message)["topic"])
                self.answers[f"live {len(self.answers)}"] = message.encode()

    def commands(self, strategy_id: str) -> None:
        """Every command that shows something, for people and for programs."""
        for words in (
            "status", "doctor", "config", "strategy list", "strategy show ID",
            "strategy settings ID", "strategy var list ID", "strategy secret list ID",
            "strategy logs ID", "strategy start ID", "strategy secret set ID PATH --value-stdin",
            "strategy secret remove ID NONE",
        ):  # fmt: skip
            for form in ((), ("--json",)):
                typed = [strategy_id if word == "ID" else word for word in words.split()]
                _, out, err = self.server.cli(*typed, *form, stdin=self.secret)
                self.answers[f"algohost {words} {form}"] = (out + err).encode()

    def take(self, name: str, answer: httpx.Response) -> None:
        headers = "".join(f"{key}: {value}\n" for key, value in answer.headers.items())
        assert answer.status_code < 500 or answer.status_code == 503, (name, answer.text)
        self.answers[name] = headers.encode() + answer.content


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path / "data") as started:
        yield started


def test_a_secret_is_nowhere_but_in_the_vault_and_in_its_run(server: RunningServer) -> None:
    secret = f'kanarie/{secrets.token_hex(8)}+"Ärger"&q=\\{secrets.token_hex(6)}'
    sweep = Sweep(server, secret)
    strategy_id = server.add(LOUD, "loud")
    told = server.cli(
        "strategy", "secret", "set", strategy_id, "BROKER_TOKEN", "--value-stdin", stdin=secret
    )
    assert told[0] == 0, told
    assert server.cli("strategy", "set", strategy_id, "may_start_processes=yes")[0] == 0
    crash(server, strategy_id)
    digest = server.data_dir / "work" / strategy_id / "digest"
    assert digest.read_text() == hashlib.sha256(secret.encode()).hexdigest(), "it had the secret"
    log = server.run_log(strategy_id)
    assert "said everything" in log, log
    for way in ("raw ***", "c ***", "child ***", 'File "***', "past Python"):
        assert way in log
    assert "RuntimeError: the broker refused ••••••" in log
    if "files" in kept_to(server):
        assert log.count("is shut") == 3, "the key, the database and the server's log (bar S17)"
    assert server.cli("keys", "rotate")[0] == 0
    server.kill(signal.SIGKILL)
    server.start()
    assert server.cli("strategy", "var", "set", strategy_id, "QUIET=yes")[0] == 0
    run_id = str(server.begin(strategy_id)["run_id"])
    until(lambda: "quiet" in server.run_log(strategy_id), "the second run is on")
    with closing(server.browser()) as client:
        sweep.pages({"strategy_id": strategy_id, "run_id": run_id}, client)
        sweep.errors(strategy_id, client)
        sweep.programs(client)
        sweep.live(strategy_id, client)
    sweep.commands(strategy_id)
    until(lambda: not what_holds(server.run_log(strategy_id).encode(), secret), "it is covered")
    assert len(sweep.answers) > 100
    assert sweep.leaks() == {}
    the_sweep_finds_what_is_there(sweep)
    assert sealed(server), "the vault has it"


def crash(server: RunningServer, strategy_id: str) -> None:
    with suppress(Exception):  # it may have ended before its start was told
        server.begin(strategy_id)
    until(lambda: server.row(strategy_id)["phase"] == "error", "the script has raised")


def sealed(server: RunningServer) -> list[bytes]:
    connection = sqlite3.connect(f"file:{server.data_dir}/algohost.db?mode=ro", uri=True)
    try:
        rows = connection.execute("SELECT sealed FROM variables WHERE sealed IS NOT NULL")
        return [row[0] for row in rows]
    finally:
        connection.close()


def kept_to(server: RunningServer) -> set[str]:
    """What the kernel held the newest run to."""
    connection = sqlite3.connect(f"file:{server.data_dir}/algohost.db?mode=ro", uri=True)
    try:
        newest = "SELECT enforced FROM runs ORDER BY created_at DESC LIMIT 1"
        (enforced,) = connection.execute(newest).fetchone()
    finally:
        connection.close()
    return {one["name"] for one in json.loads(enforced) if one["is_on"]}


def the_sweep_finds_what_is_there(sweep: Sweep) -> None:
    """A sweep that finds nothing must be one that could."""
    planted = sweep.server.data_dir / "planted"
    stamp = "2026-11-21 10:02:11 IST "
    half = len(sweep.secret) // 2
    for text, form in (
        (sweep.secret, "plain"),
        (f"{stamp}{sweep.secret[:half]}\n{stamp}{sweep.secret[half:]}\n", "plain"),
        (base64.b64encode(f"a{sweep.secret}!".encode()).decode(), "base64 1"),
        (json.dumps({"token": sweep.secret}), "json"),
    ):
        planted.write_text(text)
        assert form in sweep.leaks()["planted"]
    planted.unlink()


ALONE = """
import os, pathlib, time

while not pathlib.Path("go").exists():
    time.sleep(0.01)
os.write(1, b"raw " + os.environ["BROKER_TOKEN"].encode())
"""


def test_what_a_run_wrote_while_no_server_lived_is_covered_when_one_starts(
    server: RunningServer,
) -> None:
    """Until then it is in the file: a run writes it itself, so that nobody has to be alive."""
    secret = f"kanarie-{secrets.token_hex(12)}"
    strategy_id = server.add(ALONE, "alone")
    own = f"/v1/strategies/{strategy_id}"
    server.ask("POST", f"{own}/secrets", {"name": "BROKER_TOKEN", "value": secret})
    server.begin(strategy_id)
    server.kill(signal.SIGKILL)
    (server.data_dir / "work" / strategy_id / "go").touch()
    until(lambda: secret in server.run_log(strategy_id), "it has written")
    server.start()
    until(lambda: server.row(strategy_id)["phase"] == "stopped", "its end is known")
    assert server.run_log(strategy_id) == f"raw {'*' * len(secret)}"
    lines = server.cli("strategy", "logs", strategy_id)[1]
    assert lines.strip() == f"raw {'*' * len(secret)}"


def test_the_control_socket_answers_no_secret_either(server: RunningServer) -> None:
    secret = f"kanarie-{secrets.token_hex(12)}"
    strategy_id = server.add("print('namaste')\n", "calm")
    own = f"/v1/strategies/{strategy_id}"
    server.ask("POST", f"{own}/secrets", {"name": "TOKEN", "value": secret})
    paths = ("/v1/server", "/v1/status", "/v1/strategies", own, f"{own}/settings")
    answers = "".join(json.dumps(server.ask("GET", path)) for path in paths)
    assert "TOKEN" in answers
    assert what_holds(answers.encode(), secret) == []

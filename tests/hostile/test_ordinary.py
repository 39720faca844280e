"""Ordinary scripts must not notice that they are confined: both launchers, default limits."""

import http.server
import importlib.util
import itertools
import json
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve

from algohost.runner.bounds import Confinement, Limits
from algohost.runner.messages import Launcher
from tests.agent.driving import ENV, LAUNCHERS, Driver
from tests.semantics.test_side_by_side import CASES, SCRIPTS, normal, plain

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="confinement needs Linux"),
]

HERE = Path(__file__).parent / "scripts"
DEFAULTS = Limits(
    memory_bytes=2048 << 20, threads=1024, open_files=1024, disk_bytes=1 << 30, log_bytes=64 << 20
)
ORDINARY = {
    "frames": "400 395.00",
    "many_threads": "8000",
    "pool": "5050",
    "asyncio_client": "HTTP/1.0 200 OK",
    "http_by_httpx": "served",
    "http_by_urllib": "served",
    "http_by_requests": "served",
    "web_socket": "hello",
    "temporary_files": "True",
    "database": "1",
    "files": "1",
    "log_files": "3",
    "times": "EST IST",
    "certificates": "True",
    "itself": "1 True True",
    "own_signals": "2",
    "names": "127.0.0.1",
    "socket_pair": "x",
    "late_import": "colorsys html.parser",
    "randomness": "16",
}
PROCESSES = {
    "fork": "[1, 4, 9]",
    "spawn": "[1, 4, 9]",
    "forkserver": "[1, 4, 9]",
    "executor": "[16, 25]",
    "manager": "{'a': 1}",
    "memory": "ab",
    "program": "1",
    "shell": "2\nPermission denied",
    "ended": "-15",
}
_numbers = itertools.count()


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    driver = Driver(tmp_path_factory.mktemp("ordinary"), "--warm")
    yield driver
    driver.close()


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"served")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Says nothing."""


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    """Of a web server and of a WebSocket that says what it hears."""

    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    page = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    with page, serve(echo, "127.0.0.1", 0) as feed:
        for server in (page, feed):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        yield page.server_address[1], feed.socket.getsockname()[1]
        page.shutdown()
        feed.shutdown()


def confined(
    driver: Driver,
    script: Path | str,
    launcher: Launcher = "zygote",
    *,
    ports: tuple[int, ...] = (1,),
    may_start_processes: bool = False,
    readable: tuple[str, ...] = (),
    **parts: Any,
) -> tuple[str, int | None]:
    """Output and exit code of a script under confinement and the default limits."""
    number = next(_numbers)
    run_id, work = f"run{number}", driver.folder / f"work{number}"
    (work / "tmp").mkdir(parents=True)
    code = driver.folder / f"code{number}" / "main.py"
    if isinstance(script, str):
        code.parent.mkdir()
        code.write_text(script)
    else:
        shutil.copytree(script.parent, code.parent, ignore=shutil.ignore_patterns("__pycache__"))
        code = code.parent / script.name
    env = {**ENV, "HOME": str(work), "TMPDIR": str(work / "tmp"), **parts.pop("env", {})}
    confinement = Confinement(
        ports=ports, may_start_processes=may_start_processes, readable=readable
    )
    fact = driver.start(
        run_id, code, cwd=str(work), env=env, launcher=launcher, stamp=False,
        confinement=confinement, limits=DEFAULTS, **parts,
    )  # fmt: skip
    assert (fact.launcher, fact.error) == (launcher, None)
    end = driver.ended(run_id, seconds=60).exit
    assert end is not None
    text = driver.log_path(run_id).read_bytes().decode(errors="surrogateescape")
    return text, end.code if end.code is not None else -(end.signal or 0)


def results(text: str) -> Any:
    """What a script says of itself."""
    said = [line for line in text.splitlines() if line.startswith("RESULTS ")]
    assert said, text
    return json.loads(said[-1].removeprefix("RESULTS "))


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_an_ordinary_script_does_all_of_its_work(
    driver: Driver, launcher: Launcher, ports: tuple[int, int]
) -> None:
    """R22: 200 threads with numpy under the default limits, and everything else."""
    env = {"ALLOWED_PORT": str(ports[0]), "FEED_PORT": str(ports[1])}
    text, code = confined(driver, HERE / "ordinary.py", launcher, ports=ports, env=env)
    assert results(text) == ORDINARY
    assert code == 3


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_processes_work_where_they_are_allowed(driver: Driver, launcher: Launcher) -> None:
    text, code = confined(driver, HERE / "processes.py", launcher, may_start_processes=True)
    found = results(text)
    found.pop("shared")
    assert (found, code) == (PROCESSES, 0)


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case[0] != "module_facts.py"],  # it prints its environment
    ids=" ".join,
)
def test_a_confined_script_says_and_ends_as_under_plain_python(
    driver: Driver, case: tuple[str, ...]
) -> None:
    script, *args = case
    expected, status = plain(driver.folder, script, tuple(args))
    text, code = confined(
        driver, SCRIPTS / script, may_start_processes=True, args=tuple(args),
        readable=(str(SCRIPTS),),
    )  # fmt: skip
    places = [driver.folder, SCRIPTS, *driver.folder.glob("work*"), *driver.folder.glob("code*")]
    for place in sorted(map(str, places), key=len, reverse=True):
        text, expected = text.replace(place, "PLACE"), expected.replace(place, "PLACE")
    assert (normal(text), code) == (expected, status)


def test_a_picture_is_written_by_matplotlib(driver: Driver) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("matplotlib is not installed")
    script = (
        "import matplotlib\nmatplotlib.use('Agg')\nfrom matplotlib import pyplot\n"
        "pyplot.plot([1, 2])\npyplot.savefig('picture.png')\n"
    )
    assert confined(driver, script)[1] == 0


def test_a_readable_folder_can_be_read_and_not_written(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,b")
    script = (
        f"print(open('{tmp_path}/data.csv').read())\n"
        f"try:\n    open('{tmp_path}/data.csv', 'a')\n"
        "except PermissionError as error:\n    print(error.strerror)\n"
    )
    text, code = confined(driver, script, readable=(str(tmp_path),))
    assert (text, code) == ("a,b\nPermission denied\n", 0)


@pytest.mark.parametrize(
    ("ports", "may_send"), [((1,), False), ((1, 53), True), (None, True)], ids=str
)
def test_datagrams_are_open_only_where_names_must_be_looked_up(
    driver: Driver, ports: tuple[int, ...] | None, may_send: bool
) -> None:
    """A filter sees no ports: with name servers allowed, every datagram is."""
    script = (
        "import socket\ntry:\n    socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "except PermissionError:\n    print('no')\nelse:\n    print('yes')\n"
    )
    text, _ = confined(driver, script, ports=ports)  # type: ignore[arg-type]
    assert text == ("yes\n" if may_send else "no\n")


def test_with_every_address_allowed_any_port_can_be_reached(
    driver: Driver, ports: tuple[int, int]
) -> None:
    script = f"import socket\nsocket.create_connection(('127.0.0.1', {ports[0]}), 5)\n"
    assert confined(driver, script, ports=None) == ("", 0)  # type: ignore[arg-type]
    assert confined(driver, script)[1] == 1


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_exit_of_a_confined_run_is_in_its_record(driver: Driver, launcher: Launcher) -> None:
    """Promise 3: known even where nobody was its parent. The run can change nothing beside it."""
    _, code = confined(driver, "raise SystemExit(7)", launcher)
    records = driver.state_dir / "exits"
    newest = max(
        (path for path in records.iterdir() if path.is_file() and "." not in path.name),
        key=lambda path: path.stat().st_mtime_ns,
    )
    assert (code, json.loads(newest.read_text())["code"]) == (7, 7)


def test_what_is_enforced_is_known_to_a_new_agent(driver: Driver) -> None:
    """From the journal: the child says it once."""
    run_id = f"run{next(_numbers)}"
    driver.start(
        run_id, "import time\ntime.sleep(60)\n", confinement=Confinement(), limits=DEFAULTS
    )
    told = driver.facts()[run_id].enforced
    driver.kill(driver.status()["pid"])
    driver.connect()
    known = driver.facts()[run_id].enforced
    names = {one.name for one in told}
    assert {"files", "network", "signals", "system calls", "processes", "memory"} <= names
    assert {one.name: one for one in known} == {one.name: one for one in told}
    driver.stop(run_id, grace_seconds=0)

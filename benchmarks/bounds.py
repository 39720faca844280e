"""What confinement, idle, stubborn and greedy strategies, much output and long logs cost."""

import http.client
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import scripts
from benchmarks.figures import Figure, median, percentile
from benchmarks.measures import FULL, Amount, pss_mb
from benchmarks.server import Server

_IDLE_SECONDS = 20.0
_POLL_SECONDS = 0.01
_TICKS = os.sysconf("SC_CLK_TCK")


def confinement(server: Server, amount: Amount) -> list[Figure]:
    """From pressing Start to the first line, confined and not, in turn."""
    confined = server.upload_many("confined", scripts.FIRST_LINE, amount.single_starts)
    free = server.upload_many("free", scripts.FIRST_LINE, amount.single_starts)
    for one in free:
        server.set(one, "is_confined=false")
    press = server.start_button()
    times: dict[str, list[float]] = {"confined": [], "free": []}
    for pair in zip(confined, free, strict=True):
        for kind, one in zip(times, pair, strict=True):
            began = press(one)
            first = float(server.logged(one, "TIMES")[0])
            times[kind].append((first - began) * 1000)
    server.wait_for_phase([*confined, *free], "stopped")
    added = median(times["confined"]) - median(times["free"])
    return [
        Figure(name="Confinement, added to a start, p50", unit="ms", ours=max(added, 0.0), goal=3)
    ]


def idle(server: Server, amount: Amount) -> list[Figure]:
    """Two hundred strategies that have fetched their bars and wait: memory, processor time."""
    parents = server.own_pids()
    before = _cpu_seconds_in(parents, _IDLE_SECONDS)
    ids = server.upload_many("idle", scripts.DATA_FRAME, amount.strategies)
    for start in range(0, len(ids), 20):
        server.start_all(ids[start : start + 20])
    pids = [int(server.logged(one, "FETCHED")[1]) for one in ids]
    time.sleep(2)
    everyone = [*pids, *server.own_pids()]
    total_gb = sum(pss_mb(pid) for pid in everyone) / 1000
    runs = _cpu_seconds_in(pids, _IDLE_SECONDS)
    ours = _cpu_seconds_in(server.own_pids(), _IDLE_SECONDS)
    for one in ids:
        server.stop(one)
    server.wait_for_phase(ids, "stopped")
    added = max(0.0, runs + ours - before)
    count = len(ids)
    goals = (4.5, 3.0) if count == FULL.strategies else (None, None)
    return [
        Figure(name=f"{count} idle strategies, memory of everything (PSS)", unit="GB",
               ours=total_gb, goal=goals[0]),
        Figure(name=f"{count} idle strategies, share of one core added", unit="%",
               ours=100 * added / _IDLE_SECONDS, goal=goals[1]),
    ]  # fmt: skip


def stubborn(server: Server, amount: Amount) -> list[Figure]:
    """A hundred that ignore every request to stop, from the first press to the last one gone."""
    count = amount.starts_at_once
    ids = server.upload_many("stubborn", scripts.STUBBORN, count)
    server.start_all(ids)
    pids = [int(server.logged(one, "DEAF")[0]) for one in ids]
    began = time.monotonic()
    server.stop_all(ids)
    while any(_lives(pid) for pid in pids):
        time.sleep(0.02)
    took = time.monotonic() - began
    server.wait_for_phase(ids, "stopped")
    grace = server.grace_seconds
    return [
        Figure(name=f"Stop of {count} that ignore SIGTERM, beyond the grace of {grace:.0f} s",
               unit="s", ours=took - grace, goal=2)
    ]  # fmt: skip


def output(server: Server, amount: Amount) -> list[Figure]:
    """Lines a second that a script can print: hosted, against a plain file."""
    code = scripts.PRINTER.format(count=amount.lines)
    ours = []
    for number in range(max(3, amount.rounds)):
        one = server.upload(f"printer {number}", code)
        server.start(one)
        ours.append(float(server.logged(one, "RATE")[0]))
        server.wait_for_phase([one], "stopped")
    rivals = [_plain_rate(code) for _ in range(max(3, amount.rounds))]
    return [
        Figure(name="Lines printed a second", unit="lines/s", ours=median(ours),
               rival=median(rivals), goal=0.7 * median(rivals), more_is_better=True)
    ]  # fmt: skip


def greedy(server: Server, amount: Amount) -> list[Figure]:
    """Answers of the server, with a strategy per core that never waits, and without, in turn."""
    ids = server.upload_many("greedy", scripts.BUSY, os.cpu_count() or 1)
    alone, beside = [], []
    for _ in range(max(3, amount.rounds)):
        alone += _status_times(server, amount.answers)
        server.start_all(ids)
        for one in ids:
            server.logged(one, "BUSY", run=len(alone) // amount.answers)
        beside += _status_times(server, amount.answers)
        for one in ids:
            server.stop(one)
        server.wait_for_phase(ids, "stopped")
    before, after = percentile(alone, 99), percentile(beside, 99)
    name = "/python/status, p99, with a busy loop per core"
    return [
        Figure(name=f"{name} (without: {before:.1f} ms)", unit="ms", ours=after),
        Figure(name=f"{name}, against without", unit="times", ours=after / before, goal=1.2),
    ]


def _status_times(server: Server, count: int) -> list[float]:
    """Milliseconds of requests one after the other, with a pause, as pages and scripts poll."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    cookie = "; ".join(f"{name}={value}" for name, value in server.cookies.items())
    times = []
    for _ in range(count):
        began = time.perf_counter()
        connection.request("GET", "/python/status", headers={"Cookie": cookie})
        answer = connection.getresponse()
        answer.read()
        times.append((time.perf_counter() - began) * 1000)
        if answer.status != 200:
            raise SystemExit(f"/python/status answered {answer.status}.")
        time.sleep(_POLL_SECONDS)
    connection.close()
    return times


def search(server: Server, amount: Amount) -> list[Figure]:
    """A word that is nowhere, looked for in the logs of a strategy's runs."""
    megabytes = amount.searched_mb
    one = server.upload("searched", scripts.FILLER.format(megabytes=megabytes))
    server.set(one, "log_mb=1024")
    server.start(one)
    server.logged(one, "FILLED")
    server.wait_for_phase([one], "stopped")
    times = []
    for _ in range(5):
        began = time.perf_counter()
        answer = server.http.get(f"/python/search/{one}", params={"q": "order rejected"})
        times.append((time.perf_counter() - began) * 1000)
        found = answer.json()
        if found["hits"] or found["cursor"]:
            raise SystemExit(f"The search was not a whole one: {found}")
    goal = 200 if amount == FULL else None
    return [
        Figure(name=f"Search of {megabytes} MB of logs", unit="ms", ours=median(times), goal=goal)
    ]


def _plain_rate(code: str) -> float:
    """As ``python script.py > file`` with a line written at once, as a log must be."""
    with TemporaryDirectory(prefix="algohost-bench-") as folder:
        file, log = Path(folder) / "script.py", Path(folder) / "out.log"
        file.write_text(code)
        with log.open("wb") as out:
            command = [sys.executable, "-c", scripts.LINE_BUFFERED, str(file)]
            # set, it would have Python write each part of a line by itself
            by_line = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
            subprocess.run(command, stdout=out, env=by_line, check=True)
        found = re.search(r"RATE (\S+)", log.read_text())
    assert found is not None
    return float(found[1])


def _cpu_seconds_in(pids: list[int], seconds: float) -> float:
    before = {pid: _cpu_seconds(pid) for pid in pids}
    time.sleep(seconds)
    return sum(_cpu_seconds(pid) - before[pid] for pid in pids)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False

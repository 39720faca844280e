"""What confinement, idle, stubborn and greedy strategies, much output and long logs cost."""

import http.client
import os
import re
import secrets
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from algohost.runner import slices
from benchmarks import scripts
from benchmarks.figures import Figure, median, percentile
from benchmarks.measures import FULL, Amount, pss_mb
from benchmarks.server import Server

_IDLE_SECONDS = 20.0
_POLL_SECONDS = 0.01
_TICKS = os.sysconf("SC_CLK_TCK")


def confinement(server: Server, amount: Amount) -> list[Figure]:
    """What it adds to a start, confined and not, in turn.

    By the clock from pressing Start to the first line; and in processor time from the fork, which
    waits for nothing and is the steadier figure.
    """
    confined = server.upload_many("confined", scripts.USED_AT_FIRST, amount.single_starts)
    free = server.upload_many("free", scripts.USED_AT_FIRST, amount.single_starts)
    for one in free:
        server.set(one, "is_confined=false")
    press = server.start_button()
    times: dict[str, list[tuple[float, float]]] = {"confined": [], "free": []}
    for pair in zip(confined, free, strict=True):
        for kind, one in zip(times, pair, strict=True):
            began = press(one)
            first, used = map(float, server.logged(one, "USED"))
            times[kind].append(((first - began) * 1000, used * 1000))
    server.wait_for_phase([*confined, *free], "stopped")

    def added(place: int) -> float:
        with_it, without = (median([t[place] for t in times[k]]) for k in ("confined", "free"))
        return max(with_it - without, 0.0)

    return [
        Figure(name="Confinement, added to a start, p50", unit="ms", ours=added(0), goal=3),
        Figure(name="… in processor time", unit="ms", ours=added(1)),
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
    """Lines that a script can print: hosted, with secrets, and to a plain file, in turn.

    The plain file is written line by line, for a line must be there when ``print`` returns.
    Hosted scripts stand back behind everything else of the machine, so that by the clock they
    print the less the more it has to do; the processor time does not depend on that.
    """
    code = scripts.PRINTER.format(count=amount.lines)
    kinds = {"": (), " by a run with three secrets": ("TOKEN", "PASSWORD", "KEY")}
    rates: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    rivals = []
    for number in range(max(5, amount.rounds)):
        for kind, names in kinds.items():
            one = server.upload(f"printer {number} {len(names)}", code)
            for name in names:
                server.set_secret(one, name, secrets.token_urlsafe(12 + 4 * len(name)))
            server.start(one)
            by_clock, by_use = map(float, server.logged(one, "RATE"))
            rates[kind].append((by_clock, by_use))
            server.wait_for_phase([one], "stopped")
        rivals.append(_plain_rates(code))
    figures = []
    for place, name in enumerate(("Lines printed a second", "… a second of processor time")):
        rival = median([pair[place] for pair in rivals])
        goal = None if place else 0.7 * rival
        figures += [
            Figure(name=f"{name}{kind}", unit="lines/s", ours=median([p[place] for p in found]),
                   rival=rival, goal=None if kind else goal, more_is_better=True)
            for kind, found in rates.items()
        ]  # fmt: skip
    return figures


def greedy(server: Server, amount: Amount) -> list[Figure]:
    """Answers of the server, with a strategy per core that never waits, and without, in turn.

    Whoever asks is as prompt as the server, for it stands for browsers on other machines. What
    the kernel's scheduler adds is the server's time on the run queue; what the loops add by using
    the same hardware is seen in a computation that never waits.
    """
    slices.ask_for(slices.PROMPT)
    ids = server.upload_many("greedy", scripts.BUSY, os.cpu_count() or 1)
    alone, beside = _Answers(), _Answers()
    for number in range(1, max(5, amount.rounds) + 1):
        alone.take(server, amount.answers)
        server.start_all(ids)
        for one in ids:
            server.logged(one, "BUSY", run=number)
        beside.take(server, amount.answers)
        for one in ids:
            server.stop(one)
        server.wait_for_phase(ids, "stopped")
    slices.ask_for(slices.USUAL)
    before, after = percentile(alone.times, 99), percentile(beside.times, 99)
    name = "/python/status, p99, with a busy loop per core"
    return [
        Figure(name=f"{name} (without: {before:.1f} ms)", unit="ms", ours=after),
        Figure(name=f"{name}, against without", unit="times", ours=after / before, goal=1.2),
        Figure(name=f"Of each answer on the run queue (without: {alone.waited:.2f} ms)", unit="ms",
               ours=beside.waited),
        Figure(name="The same computation beside busy loops, processor time", unit="times",
               ours=median(beside.computed) / median(alone.computed)),
    ]  # fmt: skip


class _Answers:
    """Times of many answers, in milliseconds, and what else was seen meanwhile."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.computed: list[float] = []
        self._waited = 0.0

    @property
    def waited(self) -> float:
        """How long the server waited for a processor, for each answer."""
        return 1000 * self._waited / len(self.times)

    def take(self, server: Server, count: int) -> None:
        """So many more."""
        before = _run_queue_seconds(server.pid)
        self.times += _status_times(server, count)
        self._waited += _run_queue_seconds(server.pid) - before
        for _ in range(5):
            began = time.thread_time()
            sum(number * number for number in range(100_000))
            self.computed.append(time.thread_time() - began)


def _run_queue_seconds(pid: int) -> float:
    """Of all threads that it has now."""
    waited = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # it has ended
            waited += int((task / "schedstat").read_text().split()[1])
    return waited / 1e9


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
    words, levels = (
        [_search_ms(server, one, asked) for _ in range(6)]
        for asked in ({"q": "order rejected"}, {"level": "warning"})
    )
    goal = 200 if amount == FULL else None
    name = f"Search of {megabytes} MB of logs"
    return [
        Figure(name=f"{name} for a text, the first", unit="ms", ours=words[0], goal=goal),
        Figure(name=f"{name} for a text, the next", unit="ms", ours=median(words[1:]), goal=goal),
        Figure(name=f"{name} for warnings", unit="ms", ours=median(levels)),
    ]


def _search_ms(server: Server, strategy_id: str, asked: dict[str, str]) -> float:
    began = time.perf_counter()
    answer = server.http.get(f"/python/search/{strategy_id}", params=asked)
    took = (time.perf_counter() - began) * 1000
    found = answer.json()
    if found["hits"] or found["cursor"]:
        raise SystemExit(f"The search was not a whole one: {found}")
    return took


def _plain_rates(code: str) -> tuple[float, float]:
    """As ``python script.py > file`` with a line written at once, as a log must be."""
    with TemporaryDirectory(prefix="algohost-bench-") as folder:
        file, log = Path(folder) / "script.py", Path(folder) / "out.log"
        file.write_text(code)
        with log.open("wb") as out:
            command = [sys.executable, "-c", scripts.LINE_BUFFERED, str(file)]
            # set, it would have Python write each part of a line by itself
            by_line = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
            subprocess.run(command, stdout=out, env=by_line, check=True)
        found = re.search(r"RATE (\S+) (\S+)", log.read_text())
    assert found is not None
    return float(found[1]), float(found[2])


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

"""Confines itself as on a kernel with an older Landlock; says what is on and what it can do."""

import fcntl
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from algohost.runner import confine, records
from algohost.runner.bounds import Confinement, Limits
from algohost.runner.confine import landlock

version, folder, port = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
landlock.abi = lambda: version  # type: ignore[assignment]
foreign, work, record = folder / "foreign", folder / "work", folder / "record"
code = folder / "code" / "main.py"
code.write_text("pass")
os.chdir(work)
records.make_room(str(record))
told = confine.apply(
    confine.Run(
        script=str(code), work=str(work), record=str(record),
        search_path=tuple(sys.path), confinement=Confinement(ports=(1,)), limits=Limits(),
    )
)  # fmt: skip


def can(work: Callable[[], object]) -> bool:
    try:
        work()
    except OSError:
        return False
    return True


def signal_by_a_file() -> None:
    """Has a pipe send ``SIGCONT`` to its parent when something comes in."""
    reading, writing = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETOWN, os.getppid())
    fcntl.fcntl(reading, fcntl.F_SETSIG, signal.SIGCONT)
    fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.write(writing, b"x")


records.write(str(record), records.Record(code=5))
print(
    json.dumps(
        {
            "on": sorted(one.name for one in told if one.is_on),
            "reads": can(foreign.read_text),
            "truncates": can(lambda: os.truncate(foreign, 1)),
            "truncates_by_opening": can(lambda: os.close(os.open(code, os.O_RDONLY | os.O_TRUNC))),
            "connects": can(lambda: socket.create_connection(("127.0.0.1", port), 5).close()),
            "signals": can(lambda: os.kill(os.getppid(), signal.SIGCONT)),
            "signals_by_a_file": version < 6 and can(signal_by_a_file),  # from 6: not delivered
            "signals_itself": can(lambda: os.kill(os.getpid(), signal.SIGCONT)),
            "works": can(lambda: Path("own").write_text("x")),
        }
    )
)

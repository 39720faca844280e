"""A data directory with neighbours, and an agent that runs the attacks in it."""

import json
import shutil
import socket
import subprocess
import sys
import sysconfig
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from os import getpid
from pathlib import Path
from typing import Any, Final, Self

from algohost.runner.bounds import Confinement, Limits
from algohost.runner.messages import RunFact
from tests.agent.driving import ENV, Driver
from tests.hostile.table import ATTACKS

MODES: Final = ("plain", "confined", "processes")
"""Without confinement; as by default; as by default, and it may start processes."""
LIMITS: Final = Limits(memory_bytes=512 << 20, threads=64, open_files=512)
_SCRIPT: Final = Path(__file__).parent / "scripts" / "attack.py"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """How one attack went in one mode."""

    is_open: bool
    detail: str


@dataclass(frozen=True, kw_only=True)
class Round:
    """All attacks of one run, and what the agent said that it is held to."""

    fact: RunFact
    attempts: dict[str, Attempt]


class World:
    """What there is to attack. A context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._stack = ExitStack()
        self._facts: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._make_files()
        self.driver = Driver(self.folder / "agent", "--warm")
        self._stack.callback(self.driver.close)
        neighbour = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)"],
            env={"NEIGHBOUR_SECRET": "s3cret"},
        )
        self._stack.callback(neighbour.wait)
        self._stack.callback(neighbour.kill)
        run = self.driver.start("neighbour", "import time\ntime.sleep(600)\n")
        self._facts = {
            "data": str(self.data),
            "home": str(self.folder / "home"),
            "state": str(self.driver.state_dir),
            "packages": sysconfig.get_paths()["purelib"],
            "neighbour": neighbour.pid,
            "run": run.pid,
            "record": str(self.driver.state_dir / "exits" / "neighbour"),
            "agent": self.driver.status()["pid"],
            "server": getpid(),
            "zygote_door": str(next(self.driver.state_dir.glob("zygote-*.sock"))),
            "other_port": self._listen(socket.AF_INET, ("127.0.0.1", 0))[1],
            "abstract": self._listen(socket.AF_UNIX, f"\0hostile-{getpid()}"),
            "attacks": [attack.name for attack in ATTACKS],
        }
        self._listen(socket.AF_UNIX, str(self.data / "other.sock"))
        datagrams = self._stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        datagrams.bind(("127.0.0.1", 0))
        self._facts["udp_port"] = datagrams.getsockname()[1]
        letters = self._stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        letters.bind(str(self.data / "datagrams.sock"))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def attack(self, mode: str) -> Round:
        """One run that tries everything."""
        run_id = f"attack-{mode}"
        folders = [self.data / "code" / mode, self.data / "work" / mode]
        for folder in folders:
            folder.mkdir()
        script = Path(shutil.copy(_SCRIPT, folders[0] / "main.py"))
        log = self.driver.log_path(run_id)
        lines = self.driver.state_dir / "exits" / f"{run_id}.lines"
        world = {**self._facts, "log": str(log), "lines": str(lines)}
        confinement = Confinement(ports=(1,), may_start_processes=mode == "processes")
        env = {
            **ENV, "WORLD": json.dumps(world), "TMPDIR": str(folders[1]),
            "IS_CONFINED": "no" if mode == "plain" else "yes",
        }  # fmt: skip
        self.driver.start(
            run_id, script, cwd=str(folders[1]), env=env, stamp=False,
            confinement=None if mode == "plain" else confinement,
            limits=Limits() if mode == "plain" else LIMITS,
        )  # fmt: skip
        fact = self.driver.ended(run_id, seconds=90)
        said = [one for one in self.driver.log(run_id).splitlines() if one.startswith("RESULTS ")]
        assert said, f"the attacks did not come to their end: {self.driver.log(run_id)[-2000:]}"
        found = json.loads(said[0].removeprefix("RESULTS "))
        attempts = {n: Attempt(is_open=o, detail=d) for n, (o, d) in found.items()}
        return Round(fact=fact, attempts=attempts)

    def _make_files(self) -> None:
        files = {
            "data/keys/.encryption_key": "FERNET",
            "data/algohost.db": "SQLite format 3\0",
            "data/app.py": "pass\n",
            "data/code/other/main.py": "secret = 1\n",
            "data/log/other.log": "a line\n",
            "data/work/other/state.json": "{}",
            "data/deletable": "x",
            "home/.profile": "",
        }
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o600)

    def _listen(self, family: int, address: Any) -> Any:
        door = self._stack.enter_context(socket.socket(family))
        door.bind(address)
        door.listen(64)
        threading.Thread(target=_accept, args=(door,), daemon=True).start()
        name = door.getsockname()
        return name.decode() if isinstance(name, bytes) else name


def _accept(door: socket.socket) -> None:
    kept = []
    while True:
        try:
            kept.append(door.accept())
        except OSError:  # the test is over
            return

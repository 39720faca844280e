"""Turns a run into what the agent needs to launch it: folders, code on disk, environment."""

import os
import stat
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakValueDictionary

from algohost.domain.errors import Unavailable
from algohost.domain.ids import IST, StrategyId
from algohost.domain.runs import Run
from algohost.domain.strategies import Strategy
from algohost.domain.strategy_settings import StrategySettings
from algohost.host import bundles
from algohost.host.reach import refuse_own_folders
from algohost.runner.bounds import Confinement, Limits
from algohost.runner.messages import Launcher, LaunchSpec

_INHERITED = ("PATH", "LANG", "LC_ALL", "SSL_CERT_FILE", "SYSTEMROOT")
"""Of the server's own environment a run sees these and nothing else."""
_CERTIFICATES = ("SSL_CERT_FILE",)
_DNS_PORT = 53
"""Whoever may connect beyond the server must be able to look up names."""
_TEMPORARY = "tmp"
"""In the working folder: temporary files count to its quota and are nobody else's."""


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Where things lie under the data directory."""

    data: Path

    @property
    def database(self) -> Path:
        """The database file."""
        return self.data / "algohost.db"

    @property
    def agent(self) -> Path:
        """The agent's socket, journal and log."""
        return self.data / "agent"

    @property
    def keys(self) -> Path:
        """The key under which secrets are sealed; no run may ever read here."""
        return self.data / "keys"

    @property
    def logs(self) -> Path:
        """One file a run."""
        return self.data / "log" / "strategies"

    @property
    def environments(self) -> Path:
        """The environments of strategies, one folder each."""
        return self.data / "environments"

    def code(self, version_id: str) -> Path:
        """The read-only folder of one version."""
        return self.data / "code" / version_id

    def work(self, strategy_id: StrategyId) -> Path:
        """The folder in which a strategy's runs begin, and may keep files."""
        return self.data / "work" / strategy_id

    def refuse_lost_database(self) -> None:
        """Raises ``Unavailable`` for versions that have run and a database that knows none.

        A server with a new, empty one would end them all.
        """
        path = self.database
        is_there = path.exists() and path.stat().st_size > 0
        if not is_there and any(self.data.glob("code/*")):
            raise Unavailable(
                f"The database {path} is missing or empty, although strategies have run from"
                f" {self.data}. Put a backup in its place; to begin anew instead, move the folder"
                " away or choose another with --data-dir.",
                code="DATABASE_LOST",
            )


@dataclass(frozen=True, kw_only=True)
class Launching:
    """What every launch of this server has in common."""

    folders: Folders
    host: str
    port: int
    feed_port: int
    launcher: Launcher
    accelerate: bool
    _placing: "_Locks" = field(default_factory=lambda: _Locks(), init=False, repr=False)

    def log_name(self, run: Run) -> str:
        """``{strategy}_{YYYYMMDD_HHMMSS}_IST.log``; a second run of one second adds its id."""
        stamp = run.created_at.astimezone(IST).strftime("%Y%m%d_%H%M%S")
        name = f"{run.strategy_id}_{stamp}_IST.log"
        if (self.folders.logs / name).exists():
            name = f"{run.strategy_id}_{stamp}_{run.id}_IST.log"
        return name

    def spec(
        self,
        run: Run,
        strategy: Strategy,
        content: bytes,
        token: str,
        *,
        variables: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        interpreter: str | None = None,
    ) -> LaunchSpec:
        """The launch of ``run``; puts its code and folders in place first."""
        with self._placing.of(run.version_id):  # two strategies may have the very same code
            script = self._materialise(run, strategy, content)
        work = self.folders.work(strategy.id)
        work.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileExistsError):  # a strategy may have put something else there
            (work / _TEMPORARY).mkdir(mode=0o700)
        self.folders.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        return LaunchSpec(
            run_id=run.id,
            script=str(script),
            cwd=str(work),
            log_path=str(self.folders.logs / run.log_name),
            env={**(variables or {}), **self._environment(strategy, work, token)},
            launcher=self.launcher,
            interpreter=interpreter,
            accelerate=self._accelerated(),
            secrets=dict(secrets or {}),
            confinement=self._confinement(strategy.settings),
            limits=_limits(strategy.settings),
        )

    def check(self, settings: StrategySettings) -> None:
        """Raises ``Invalid`` for settings that no run may be launched with."""
        refuse_own_folders(settings.readable, self.folders.data)

    def _confinement(self, settings: StrategySettings) -> Confinement | None:
        if not settings.is_confined:
            return None
        self.check(settings)  # where a path leads may have changed since it was set
        ports = None
        if not settings.may_connect_anywhere:
            names = {_DNS_PORT} if settings.ports else set()
            ports = tuple(sorted({self.port, self.feed_port, *settings.ports, *names}))
        certificates = [os.environ[name] for name in _CERTIFICATES if name in os.environ]
        return Confinement(
            ports=ports,
            may_start_processes=settings.may_start_processes,
            readable=(*settings.readable, *filter(os.path.isabs, certificates)),
        )

    def _materialise(self, run: Run, strategy: Strategy, content: bytes) -> Path:
        """Puts the code on disk, unless the very same is there: a full disk, a crash or a
        strategy may have left something else."""
        folder = self.folders.code(run.version_id)
        if bundles.is_bundle(content):
            return bundles.materialise(
                folder, content, partial=folder.with_name(f".{run.id}.partial")
            )
        script = folder / strategy.file_name
        if not _holds(script, content):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial = folder / f".{run.id}"
            partial.unlink(missing_ok=True)
            partial.write_bytes(content)
            partial.chmod(0o400)
            partial.replace(script)
        return script

    def _environment(self, strategy: Strategy, work: Path, token: str) -> dict[str, str]:
        reachable = "127.0.0.1" if self.host in {"0.0.0.0", "::", ""} else self.host  # noqa: S104
        url = f"http://{reachable}:{self.port}"
        return {
            **{name: os.environ[name] for name in _INHERITED if name in os.environ},
            "HOME": str(work),
            "TMPDIR": str(work / _TEMPORARY),
            "TZ": "Asia/Kolkata",
            "PYTHONUNBUFFERED": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "OPENALGO_API_KEY": token,
            "OPENALGO_HOST": url,
            "HOST_SERVER": url,
            "WEBSOCKET_URL": f"ws://{reachable}:{self.feed_port}",
            "STRATEGY_ID": strategy.id,
            "STRATEGY_NAME": strategy.name,
            "OPENALGO_STRATEGY_EXCHANGE": strategy.exchange,
        }

    def _accelerated(self) -> tuple[str, ...]:
        if not self.accelerate:
            return ()
        return tuple(f"{name}:{self.port}" for name in ("127.0.0.1", "localhost"))


class _Locks:
    """A lock for each name, for as long as anybody holds it or waits for it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()

    def of(self, name: str) -> threading.Lock:
        with self._guard:
            lock = self._locks.get(name)
            if lock is None:
                lock = self._locks[name] = threading.Lock()
            return lock


def _limits(settings: StrategySettings) -> Limits:
    return Limits(
        memory_bytes=settings.memory_mb << 20,
        threads=settings.threads,
        open_files=settings.open_files,
        disk_bytes=settings.disk_mb << 20,
        log_bytes=settings.log_mb << 20,
        cpu_percent=settings.cpu_percent,
    )


def _holds(script: Path, content: bytes) -> bool:
    try:
        found = script.lstat()
        return (
            stat.S_ISREG(found.st_mode)
            and found.st_size == len(content)
            and script.read_bytes() == content
        )
    except OSError:
        return False

"""The server's own corner of a data directory: its lock, its control socket and its log.

``run/`` is for its owner only (0700). ``server.lock`` is held by the one live server; the kernel
lets it go when that process ends, however it ends.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from algohost.domain.errors import Conflict, Invalid
from algohost.runner.system import system

_LONGEST_SOCKET_PATH: Final = 100  # sun_path is 104 or 108 bytes, by system


class RunDir:
    """The paths of one data directory that only the running server and its clients use."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.path = data_dir / "run"
        self.socket = self.path / "control.sock"
        self.token = self.path / "control.json"
        self.lock_file = self.path / "server.lock"
        self.server_log = data_dir / "server.log"

    @property
    def speaks_unix(self) -> bool:
        """Whether control goes over a Unix socket; else over loopback TCP with a token."""
        fits = len(os.fsencode(self.socket)) <= _LONGEST_SOCKET_PATH
        return hasattr(socket, "AF_UNIX") and fits

    def make(self) -> None:
        """Makes the folders. Raises ``Invalid`` where the data directory cannot be written."""
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
            self.path.chmod(0o700)
            probe = self.path / f"write-test.{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            reason = error.strerror or str(error)
            message = (
                f"The data directory {self.data_dir} cannot be written ({reason}); "
                "let your user write there, or choose another with --data-dir."
            )
            raise Invalid(message, code="DATA_DIR") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the data directory as its only server.

        Raises ``Conflict`` with the holder's pid where another process holds it.
        """
        with self.lock_file.open("a+", encoding="ascii") as file:
            if not system.try_lock(file.fileno()):
                raise self._held()
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def is_held(self) -> bool:
        """Whether a server lives that holds this data directory."""
        try:
            with self.locked_for_a_look():
                return False
        except Conflict:
            return True
        except OSError:
            return False  # no folder, no lock, no server

    @contextmanager
    def locked_for_a_look(self) -> Iterator[None]:
        """``locked`` without making anything or writing who holds it."""
        with self.lock_file.open("r+", encoding="ascii") as file:
            if not system.try_lock(file.fileno()):
                raise self._held()
            yield

    def holder_pid(self) -> int | None:
        """The pid that the live or last server wrote down."""
        try:
            return int(self.lock_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def _held(self) -> Conflict:
        pid = self.holder_pid()
        who = f"process {pid}" if pid else "another process"
        return Conflict(
            f"A server already runs on the data directory {self.data_dir} ({who}); stop it with "
            f"'algohost down --data-dir {self.data_dir}', or choose another --data-dir.",
            code="ALREADY_RUNNING",
            details={"pid": pid},
        )

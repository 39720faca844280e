"""Where server and agent meet: a Unix socket, or TCP on the loopback where there is none.

Unix: ``agent.sock``, mode 0600 in a 0700 folder, and the peer's user is checked. TCP, for
systems without ``AF_UNIX``: a port of 127.0.0.1 that the system chose and a random token, both
in ``agent.port``, mode 0600; the token is part of the first frame.
"""

import contextlib
import json
import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from algohost.runner.processes import belongs_to_a_run

Kind = Literal["unix", "tcp"]
SOCKET_NAME: Final = "agent.sock"
PORT_NAME: Final = "agent.port"
_LONGEST_PATH: Final = 100  # sun_path holds 108 bytes, 104 on some systems


def default_kind() -> Kind:
    """The transport of this system."""
    return "unix" if hasattr(socket, "AF_UNIX") else "tcp"


@dataclass(frozen=True, kw_only=True)
class Listener:
    """An open door, and the token that a peer must show, if any."""

    door: socket.socket
    token: str | None

    def admits(self, connection: socket.socket) -> bool:
        """Whether the peer is of our own user and no run, as far as the transport can tell."""
        if self.token is not None or sys.platform != "linux":
            return True
        size = struct.calcsize("3i")
        found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        pid, uid, _ = struct.unpack("3i", found)
        return bool(uid == os.getuid()) and not belongs_to_a_run(pid)

    def knows(self, token: object) -> bool:
        """Whether the token of a first frame is ours."""
        if self.token is None:
            return True
        import hmac  # not for a Unix socket: it brings a megabyte of cryptography

        return isinstance(token, str) and hmac.compare_digest(token.encode(), self.token.encode())


def listen(state_dir: Path, kind: Kind) -> Listener:
    """Opens the door, replacing what a dead agent has left. Raises ``OSError``."""
    if kind == "unix":
        if sys.platform == "win32":
            raise NotImplementedError("there are no Unix sockets")
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.suppress(FileNotFoundError):
            (state_dir / SOCKET_NAME).unlink()
        with _short(state_dir, SOCKET_NAME) as address:
            earlier = os.umask(0o177)
            try:
                door.bind(address)
            finally:
                os.umask(earlier)
        token = None
    else:
        door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        door.bind(("127.0.0.1", 0))
        token = os.urandom(32).hex()
        _write_port(state_dir / PORT_NAME, door.getsockname()[1], token)
    door.listen(64)
    door.settimeout(0)
    return Listener(door=door, token=token)


def connect(state_dir: Path, *, timeout_seconds: float) -> tuple[socket.socket, str | None]:
    """A connection to the agent and the token to show. Raises ``OSError`` where none answers."""
    port_file = state_dir / PORT_NAME
    if port_file.exists():
        facts = json.loads(port_file.read_text(encoding="ascii"))
        connection = socket.create_connection(("127.0.0.1", facts["port"]), timeout_seconds)
        return connection, str(facts["token"])
    if sys.platform == "win32":
        raise FileNotFoundError(f"There is no {port_file}.")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_seconds)
    try:
        with _short(state_dir, SOCKET_NAME) as address:
            connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection, None


def close(state_dir: Path, listener: Listener) -> None:
    """Shuts the door and takes its sign down."""
    listener.door.close()
    for name in (SOCKET_NAME, PORT_NAME):
        with contextlib.suppress(OSError):
            (state_dir / name).unlink()


@contextmanager
def _short(folder: Path, name: str) -> Iterator[str]:
    """An address for a socket whose path may be longer than an address can be."""
    path = str(folder / name)
    if len(os.fsencode(path)) <= _LONGEST_PATH or not Path("/proc/self/fd").exists():
        yield path
        return
    if sys.platform == "win32":
        raise NotImplementedError("there are no Unix sockets")
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


def _write_port(path: Path, port: int, token: str) -> None:
    temporary = path.with_name(f"{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="ascii") as file:
        json.dump({"port": port, "token": token}, file)
    temporary.replace(path)

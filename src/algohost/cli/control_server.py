"""The server's end of the control socket: who may connect, and the listening itself.

On Unix a socket in ``run/`` of the data directory (0600 in a 0700 folder), and every peer's user
is asked of the kernel besides. Elsewhere, or where the path is too long for a socket, a loopback
port with a random token in a file that only the owner can read.
"""

import asyncio
import json
import logging
import os
import secrets
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from algohost.cli.control_app import create_control_app
from algohost.cli.rundir import RunDir
from algohost.runner.processes import belongs_to_a_run
from algohost.web.serving import EmbeddedServer

if TYPE_CHECKING:
    from algohost.web.services import Host

log = logging.getLogger(__name__)

_UCRED: Final = struct.Struct("3i")


class ControlServer:
    """Answers the command line for one host. Its holder has the data directory's lock."""

    def __init__(
        self, host: "Host", data_dir: Path, *, end: Callable[[], None] | None = None
    ) -> None:
        self._host = host
        self._run_dir = RunDir(data_dir)
        self._end = end
        self._server: EmbeddedServer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listens from now on."""
        self._run_dir.make()
        token = None if self._run_dir.speaks_unix else secrets.token_urlsafe(32)
        listening = self._unix_socket() if token is None else self._token_socket(token)
        config = uvicorn.Config(
            create_control_app(self._host, token=token, end=self._end),
            http=_OwnUserOnly if token is None else "h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        self._server = EmbeddedServer(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]), name="control")
        listens = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait({self._task, listens}, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            listens.cancel()
            await self._task

    async def stop(self) -> None:
        """Stops listening, cuts streams short, and takes the socket away."""
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        await self._task
        self._run_dir.socket.unlink(missing_ok=True)
        self._run_dir.token.unlink(missing_ok=True)

    def _unix_socket(self) -> socket.socket:
        if sys.platform == "win32":
            raise NotImplementedError("there are no Unix sockets")
        path = self._run_dir.socket
        path.unlink(missing_ok=True)  # of a server that died: the lock says it is gone
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(str(path))
        path.chmod(0o600)
        listening.listen(64)
        return listening

    def _token_socket(self, token: str) -> socket.socket:
        listening = socket.create_server(("127.0.0.1", 0))
        known = json.dumps({"port": listening.getsockname()[1], "token": token})
        self._run_dir.token.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(self._run_dir.token, flags, 0o600), "w", encoding="ascii") as file:
            file.write(known)
        return listening


class _OwnUserOnly(H11Protocol):
    """Hangs up on every peer that is neither this process's user nor root, and on every run."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        uid, pid = _peer_uid(transport), _peer_pid(transport)
        is_other = sys.platform != "win32" and uid is not None and uid not in {os.getuid(), 0}
        if is_other or (pid is not None and belongs_to_a_run(pid)):
            log.warning("control_refused peer_uid=%s peer_pid=%s", uid, pid)
            transport.abort()


def _peer_uid(transport: asyncio.Transport) -> int | None:
    """The user at the other end, as the kernel knows it; None where the kernel cannot say."""
    peer = _peer(transport)
    return None if peer is None else peer[1]


def _peer_pid(transport: asyncio.Transport) -> int | None:
    """The process that connected; None where the kernel cannot say."""
    peer = _peer(transport)
    return None if peer is None else peer[0]


def _peer(transport: asyncio.Transport) -> tuple[int, int] | None:
    if sys.platform != "linux":
        return None  # the folder's rights are the guard there
    peer = transport.get_extra_info("socket")
    duplicate = socket.socket(fileno=os.dup(peer.fileno()))  # uvloop's own cannot be asked
    with duplicate:
        credentials = duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, _ = _UCRED.unpack(credentials)
    return pid, uid

"""One connection to a zygote: datagrams of JSON, with descriptors beside them."""

import json
import os
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Any, Final

from algohost.runner.frames import ZYGOTE_PROTOCOL, protocol_problem

IS_POSSIBLE: Final = sys.platform == "linux" and hasattr(socket, "SOCK_SEQPACKET")
NO_ZYGOTES: Final = "This system cannot fork from a warm process."


class Link:
    """The agent's end."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.is_closed = False
        self.has_answered = False

    def peer_pid(self) -> int:
        """Who listens at the other end."""
        if sys.platform != "linux":
            raise NotImplementedError(NO_ZYGOTES)
        size = struct.calcsize("3i")
        found = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        return int(struct.unpack("3i", found)[0])

    def is_answering(self, *, timeout_seconds: float) -> bool:
        """Says hello and waits for the answer: after it, the journal is the truth."""
        self.socket.settimeout(timeout_seconds)
        try:
            self.socket.send(b'{"do":"hello"}')
            answer = json.loads(self.socket.recv(65536) or b"{}")
        except (OSError, ValueError):
            return False
        is_known = protocol_problem(answer, ZYGOTE_PROTOCOL) is None
        self.has_answered = answer.get("told") == "hello" and is_known
        return self.has_answered

    def send(self, message: dict[str, Any]) -> bool:
        """Sends a message without waiting; whether it went."""
        return self._send([json.dumps(message).encode("ascii")], [])

    def send_request(self, message: dict[str, Any], request: bytes) -> bool:
        """Sends a launch without waiting; whether it went.

        Its secret part goes in a memory file that the zygote does not read. Raises ``OSError``
        where there can be no such file.
        """
        if sys.platform != "linux":
            raise NotImplementedError(NO_ZYGOTES)
        descriptor = os.memfd_create("request", os.MFD_CLOEXEC)
        try:
            view = memoryview(request)
            while view:
                view = view[os.write(descriptor, view) :]
            return self._send([json.dumps(message).encode("ascii")], [descriptor])
        finally:
            os.close(descriptor)

    def _send(self, data: list[bytes], descriptors: list[int]) -> bool:
        if sys.platform == "win32":
            raise NotImplementedError(NO_ZYGOTES)
        try:
            socket.send_fds(self.socket, data, descriptors)
        except OSError:  # full, or dead: then its end is read as well
            return False
        return True

    def receive(self) -> Iterator[tuple[dict[str, Any], list[int]]]:
        """What has come in; sets ``is_closed`` when the zygote is gone."""
        if sys.platform == "win32":
            raise NotImplementedError(NO_ZYGOTES)
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self.socket, 65536, 4)
            except BlockingIOError:
                return
            except OSError:  # ECONNRESET: killed with something unread
                data, descriptors = b"", []
            if not data:
                self.is_closed = True
                return
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)  # noqa: FBT003 - os's own
            yield json.loads(data), descriptors

    def close(self) -> None:
        """Hangs up."""
        self.is_closed = True
        self.socket.close()


def connect(name: str, *, timeout_seconds: float) -> Link:
    """A link to the zygote that listens there. Raises ``OSError``."""
    if sys.platform == "win32":
        raise NotImplementedError(NO_ZYGOTES)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(timeout_seconds)
    try:
        connection.connect(name)
    except BaseException:
        connection.close()
        raise
    return Link(connection)


def problem_of(announcement: bytes) -> str | None:
    """Why a zygote that has said this cannot serve; ``None`` where it can."""
    try:
        message = json.loads(announcement)
    except ValueError:
        return "The zygote has died while it was warming; its words are in agent.log."
    if "ready" in message:
        return None
    return str(message.get("refused", "The zygote did not say that it is ready."))

"""What the zygote asks about a connection."""

import os
import socket
import struct
import sys

assert sys.platform != "win32"


def has_more(connection: socket.socket) -> bool:
    """Whether a datagram is waiting; an end of file is none."""
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except OSError:
        return False


def is_same_user(connection: socket.socket) -> bool:
    """Whether a process of our own user is at the other end."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    return bool(uid == os.getuid())

"""Whether a port can be had, who has it if not, and which one is free instead."""

import contextlib
import errno
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from algohost.domain.errors import AlgohostError, Conflict, Invalid

_LISTEN = "0A"  # TCP_LISTEN in the state column of /proc/net/tcp


@dataclass(frozen=True, kw_only=True)
class Listener:
    """The process that listens on a port."""

    pid: int
    command: str


def refuse_if_taken(host: str, ports: dict[str, int]) -> None:
    """Raises where one of ``ports`` (setting name: port) cannot be listened on at ``host``.

    ``Conflict`` says who has it and suggests the next free one; ``Invalid`` says that the
    address is not one of this machine, or that two settings name one port.
    """
    if len(set(ports.values())) < len(ports):
        names = " and ".join(ports)
        message = f"{names} are the same port; give each its own."
        raise Invalid(message, code="PORT")
    for name, port in ports.items():
        reason = why_not(host, port)
        if reason is not None:
            raise _refusal(host, name, port, reason, taken=set(ports.values()))


def why_not(host: str, port: int) -> OSError | None:
    """The error that listening on ``port`` meets; None where it would do."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            if sys.platform != "win32":  # there it would let two listen on one port
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        return error
    return None


def next_free(host: str, after: int, *, but_not: set[int]) -> int | None:
    """The next port above ``after`` that can be listened on; None if none of a hundred can."""
    for port in range(after + 1, min(after + 101, 65536)):
        if port not in but_not and why_not(host, port) is None:
            return port
    return None


def listener_on(port: int) -> Listener | None:
    """Who listens on ``port``, as far as this user may see it. Linux only; else None."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _holds_one_of(entry / "fd", wanted):
            return Listener(pid=int(entry.name), command=_command_of(entry))
    return None


def _refusal(host: str, name: str, port: int, reason: OSError, *, taken: set[int]) -> AlgohostError:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(reason, socket.gaierror) or reason.errno == errno.EADDRNOTAVAIL:
        message = f"{host} is not an address of this machine; give one with --host."
        return Invalid(message, code="HOST")
    if reason.errno != errno.EADDRINUSE:
        message = f"Port {port} cannot be used ({reason.strerror}); choose another with {flag}."
        return Conflict(message, code="PORT_IN_USE")
    who = listener_on(port)
    by = f" by process {who.pid} ({who.command})" if who else ""
    free = next_free(host, port, but_not=taken)
    hint = f"'{flag} {free}' is free" if free else f"choose another with {flag}"
    return Conflict(
        f"Port {port} is in use{by}; {hint}.",
        code="PORT_IN_USE",
        details={"port": port, "pid": who.pid if who else None, "suggested": free},
    )


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                columns = line.split()
                if columns[3] == _LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                    found.add(columns[9])
    return found


def _holds_one_of(fd_dir: Path, wanted: set[str]) -> bool:
    try:
        names = os.listdir(fd_dir)
    except OSError:
        return False
    for name in names:
        with contextlib.suppress(OSError):
            if os.readlink(fd_dir / name) in wanted:
                return True
    return False


def _command_of(entry: Path) -> str:
    try:
        words = (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return "?"
    if b"algohost.cli.background" in words:
        return "an algohost server"  # its settings, in JSON, tell nobody anything
    text = b" ".join(words).decode(errors="replace").strip()
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return printable[:120] or "?"

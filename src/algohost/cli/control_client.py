"""Talks to the server of a data directory: JSON over HTTP over its control socket.

Standard library only and light, so that a command answers at once.
"""

import http.client
import json
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from algohost.cli.console import NotReachable
from algohost.cli.rundir import RunDir
from algohost.domain.errors import AlgohostError

ASK_SECONDS = 60.0


class Control:
    """The running server of a data directory, asked on behalf of one of its users."""

    def __init__(self, data_dir: Path, *, user: str | None = None) -> None:
        self.run_dir = RunDir(data_dir)
        self._user = user

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout_seconds: float = ASK_SECONDS,
        **query: str | int | None,
    ) -> dict[str, Any]:
        """The server's answer. Raises what it refused with, ``NotReachable`` without a server."""
        connection = self._connect(timeout_seconds)
        try:
            response = self._send(connection, method, path, body, query)
            return self._decoded(response)
        except TimeoutError as error:
            message = f"The server does not answer within {timeout_seconds:.0f} s; look at its log."
            raise NotReachable(message) from error
        except (OSError, http.client.HTTPException) as error:
            message = f"The server went away while it was asked ({error or 'connection closed'})."
            raise NotReachable(message) from error
        finally:
            connection.close()

    def stream(self, path: str, **query: str | int | None) -> Iterator[dict[str, Any]]:
        """The server's answer as a stream of JSON objects, for as long as it goes on."""
        connection = self._connect(None)
        try:
            response = self._send(connection, "GET", path, None, query)
            if response.status >= 400:
                self._decoded(response)
            for line in response:
                yield json.loads(line)
        except (OSError, http.client.HTTPException) as error:
            message = f"The server went away ({error or 'connection closed'})."
            raise NotReachable(message) from error
        finally:
            connection.close()

    def server(self) -> dict[str, Any] | None:
        """What the running server says of itself; ``None`` where none answers."""
        try:
            return self.ask("GET", "/v1/server", timeout_seconds=5)
        except AlgohostError:
            return None

    def is_answering(self) -> bool:
        """Whether a server is there."""
        return self.server() is not None

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, str | int | None],
    ) -> http.client.HTTPResponse:
        given = {k: v for k, v in {"user": self._user, **query}.items() if v is not None}
        # a terminal of another encoding gives bytes that are no text: then nothing is found
        asked = urlencode(given, errors="replace")
        target = quote(path, errors="replace") + (f"?{asked}" if asked else "")
        headers = {"Content-Type": "application/json"}
        if isinstance(connection, _TokenConnection):
            headers["Authorization"] = f"Bearer {connection.token}"
        sent = None if body is None else json.dumps(body).encode()
        connection.request(method, target, body=sent, headers=headers)
        return connection.getresponse()

    def _decoded(self, response: http.client.HTTPResponse) -> dict[str, Any]:
        text = response.read()
        try:
            data = json.loads(text)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            message = f"The server answered with {response.status} and no JSON; look at its log."
            raise NotReachable(message)
        if response.status >= 400:
            raise AlgohostError(
                str(data.get("message", f"The server refused with {response.status}.")),
                code=str(data.get("error_code", "REFUSED")),
                details=data.get("details"),
            )
        return data

    def _connect(self, timeout_seconds: float | None) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection
        try:
            if self.run_dir.speaks_unix:
                connection = _UnixConnection(self.run_dir.socket, timeout_seconds)
            else:
                known = json.loads(self.run_dir.token.read_text(encoding="ascii"))
                connection = _TokenConnection(known["port"], known["token"], timeout_seconds)
            connection.connect()
        except (OSError, ValueError, KeyError) as error:
            raise self._unreachable() from error
        return connection

    def _unreachable(self) -> NotReachable:
        data_dir = self.run_dir.data_dir
        if self.run_dir.is_held():
            return NotReachable(
                f"The server of {data_dir} is starting, stopping or stuck "
                f"(process {self.run_dir.holder_pid()}); try again, or look at "
                f"{self.run_dir.server_log}."
            )
        return NotReachable(f"No server runs on {data_dir}; start one with 'algohost up'.")


def running_ports(server: Mapping[str, Any] | None) -> dict[str, int]:
    """The ports on which a server listens that says so of itself, by the names of the settings."""
    addresses = {} if server is None else {"port": server["web"], "feed_port": server["feed"]}
    ports = {name: urlsplit(str(url)).port for name, url in addresses.items()}
    return {name: port for name, port in ports.items() if port is not None}


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_seconds: float | None) -> None:
        super().__init__("control", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        if sys.platform == "win32":
            raise NotImplementedError("there are no Unix sockets")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(str(self._path))
        except OSError:
            self.sock.close()
            raise


class _TokenConnection(http.client.HTTPConnection):
    def __init__(self, port: int, token: str, timeout_seconds: float | None) -> None:
        super().__init__("127.0.0.1", port, timeout=timeout_seconds)
        self.token = token

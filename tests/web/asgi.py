"""A browser without a network: speaks ASGI to an application, and keeps cookies."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any, TypeVar
from urllib.parse import quote

from starlette.types import ASGIApp, Message

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, Any]], Any]


@dataclass
class Answer:
    """What came back."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first header of that name, in any case."""
        return next((v for n, v in self.headers if n == name.lower()), None)

    @property
    def text(self) -> str:
        """The body, unpacked."""
        is_packed = self.header("content-encoding") == "gzip"
        return (gzip.decompress(self.body) if is_packed else self.body).decode()

    def json(self) -> Any:
        """The body, which must be JSON."""
        assert self.header("content-type") == "application/json", self.text
        return json.loads(self.text)


async def chunks_of(body: bytes) -> AsyncIterator[bytes]:
    """The body in one piece."""
    yield body


async def exchange(
    app: ASGIApp,
    method: str,
    path: str,
    headers: Iterable[tuple[str, str]],
    body: AsyncIterator[bytes],
    *,
    query: str = "",
    scheme: str = "http",
    peer: str = "127.0.0.1",
) -> Answer:
    """One request and its answer; ``path`` as it is after percent decoding."""
    answer = Answer()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": scheme,
        "path": path,
        "raw_path": quote(path).encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in headers],
        "client": (peer, 50_000),
        "server": ("127.0.0.1", 5_000),
        "state": {},
    }

    has_all = asyncio.Event()

    async def receive() -> Message:
        try:
            return {"type": "http.request", "body": await anext(body), "more_body": True}
        except StopAsyncIteration:
            if has_all.is_set():  # it stays, and says nothing more
                await asyncio.get_running_loop().create_future()
            has_all.set()
            return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = [(n.decode().lower(), v.decode()) for n, v in message["headers"]]
        else:
            answer.body += message.get("body", b"")

    await app(scope, receive, send)
    return answer


async def knock(app: ASGIApp, path: str, headers: Iterable[tuple[str, str]]) -> int:
    """Opens a WebSocket and leaves: 101 where it was accepted, else the status of the refusal."""
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": quote(path).encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in headers],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 5_000),
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
        "state": {},
    }
    said: list[Message] = []
    waiting: list[Message] = [{"type": "websocket.connect"}]

    async def receive() -> Message:
        return waiting.pop() if waiting else {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Message) -> None:
        said.append(message)

    await asyncio.wait_for(app(scope, receive, send), 10)
    first = said[0]
    return 101 if first["type"] == "websocket.accept" else int(first["status"])


class Browser:
    """Asks like a page of the server itself, unless told otherwise; keeps its cookies."""

    def __init__(self, app: ASGIApp, run: Run, *, peer: str = "127.0.0.1") -> None:
        self.app = app
        self.cookies: dict[str, str] = {}
        self.csrf = ""
        self._run = run
        self._peer = peer

    def headers(
        self, method: str = "GET", extra: Mapping[str, str | None] | None = None
    ) -> list[tuple[str, str]]:
        """What a browser would send; ``extra`` adds, replaces, or with ``None`` leaves out."""
        sent: dict[str, str | None] = {"host": "localhost:5000", "accept": "application/json"}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if method != "GET":
            sent |= {"origin": "http://localhost:5000", "sec-fetch-site": "same-origin"}
            sent["x-csrftoken"] = self.csrf or None
        sent |= extra or {}
        return [(name, value) for name, value in sent.items() if value is not None]

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str | None] | None = None,
        **how: Any,
    ) -> Answer:
        """Sends a request, keeps what cookies come back."""
        sent = self.headers(method, headers)
        answer: Answer = self._run(
            exchange(self.app, method, path, sent, chunks_of(body), peer=self._peer, **how)
        )
        for name, value in answer.headers:
            if name == "set-cookie":
                for cookie in SimpleCookie(value).values():
                    self.cookies[cookie.key] = cookie.value
                    if not cookie.value:
                        del self.cookies[cookie.key]
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        """A GET that wants JSON."""
        return self.ask("GET", path, headers={n.replace("_", "-"): v for n, v in headers.items()})

    def page(self, path: str, **how: Any) -> Answer:
        """A GET that wants a page to look at."""
        return self.ask("GET", path, headers={"accept": "text/html"}, **how)

    def post(self, path: str, value: Any = None, **headers: str) -> Answer:
        """A POST of JSON."""
        sent = {"content-type": "application/json"}
        sent |= {n.replace("_", "-"): v for n, v in headers.items()}
        return self.ask("POST", path, json.dumps({} if value is None else value).encode(), sent)

    def upload(self, path: str, content: bytes, file_name: str = "ema.py", **fields: str) -> Answer:
        """A POST of a form with one file."""
        parts = [
            f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
        ]
        parts.append(
            b'--edge\r\nContent-Disposition: form-data; name="file"; filename="'
            + file_name.encode()
            + b'"\r\nContent-Type: text/x-python\r\n\r\n'
            + content
            + b"\r\n--edge--\r\n"
        )
        kind = {"content-type": "multipart/form-data; boundary=edge"}
        return self.ask("POST", path, b"".join(parts), kind)

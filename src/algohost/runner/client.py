"""The unmodified ``openalgo`` client, made quick towards our own server.

Client 1.x sends every call through module-level ``httpx.post`` and ``httpx.get``, which build
a TLS context and a connection each time: some 20 ms of processor time a call. Here those
modules see an ``httpx`` whose ``post`` and ``get`` go through one pooled client, for plain
HTTP to the given addresses and for the arguments that the client uses; everything else, and
anything unexpected, goes to the original. Client 2.x pools by itself and is left alone.

**No request is ever sent twice.** The pool looks at a kept connection before it uses it, and
takes another where the server has closed it: nothing has been sent then. Once a byte may have
been sent, an error is raised as the original raises it, and is never answered by a retry. A
connection idle for longer than ``_KEPT_SECONDS`` is not used again; servers close theirs
later than that. Each call carries a number besides, by which the server knows one that somebody
on the way has sent again.
"""

import importlib
import os
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from itertools import count
from typing import Any, Final

_KEPT_SECONDS: Final = 2.0
_KNOWN_ARGUMENTS: Final = frozenset({"json", "headers", "params", "timeout"})
_MODULES: Final = ("account", "data", "options", "orders", "strategy", "telegram", "utilities")
CALL_HEADER: Final = "X-Algohost-Call"
"""Which call of which process this is: the server takes none of a run's twice."""
_PROXIES: Final = ("http_proxy", "all_proxy")
_DEFAULT_TLS: Final = {"verify": True, "cert": None, "trust_env": True}
_built: Final[list[Any]] = []
_spare: Final[list[Any]] = []
"""A client without a connection that a zygote has made, for a fork to take."""
_TLS_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


def accelerate(addresses: Sequence[str]) -> None:
    """From now on, calls of client 1.x to these ``host:port`` addresses are pooled.

    Works before the client is imported as well as after. Nothing happens for no addresses.
    """
    if not addresses:
        return
    if "openalgo" in sys.modules:
        _install(frozenset(addresses))
    else:
        sys.meta_path.insert(0, _WhenImported(frozenset(addresses)))


def rehearse(addresses: frozenset[str]) -> None:
    """Makes what ``accelerate`` makes, and changes no module."""
    httpx = sys.modules.get("httpx")
    if httpx is not None:
        _QuickHttpx(httpx, addresses)


class _WhenImported:
    """Finds ``openalgo`` as anyone would, once, and installs after it has been imported."""

    def __init__(self, addresses: frozenset[str]) -> None:
        self._addresses = addresses

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the protocol's
        target: types.ModuleType | None = None,  # noqa: ARG002 - the protocol's
    ) -> ModuleSpec | None:
        if fullname != "openalgo":
            return None
        sys.meta_path.remove(self)
        util: Any = importlib.import_module("importlib.util")
        spec: ModuleSpec | None = util.find_spec(fullname)
        loader: Any = None if spec is None else spec.loader
        if loader is None:
            return spec
        execute, addresses = loader.exec_module, self._addresses

        def exec_module(module: types.ModuleType) -> None:
            execute(module)
            _install(addresses)

        loader.exec_module = exec_module
        return spec


def _install(addresses: frozenset[str]) -> None:
    httpx = sys.modules.get("httpx")
    base = sys.modules.get("openalgo.base")
    if httpx is None or base is None or hasattr(base.BaseAPI, "_post"):
        return  # not there, or the pooling client of 2.x
    cache_tls_context()
    _replace(httpx, _QuickHttpx(httpx, addresses))


def _replace(httpx: types.ModuleType, quick: "_QuickHttpx") -> list[Any]:
    """Has the client's modules see ``quick``; returns those that saw ``httpx``."""
    modules: list[Any] = [sys.modules.get(f"openalgo.{name}") for name in _MODULES]
    found = [one for one in modules if getattr(one, "httpx", None) is httpx]
    for module in found:
        module.httpx = quick
    return found


class _QuickHttpx(types.ModuleType):
    """``httpx`` as the client's modules see it: the real one, but for ``post`` and ``get``."""

    def __init__(self, real: Any, addresses: frozenset[str]) -> None:
        super().__init__("httpx")
        self._real = real
        self._originals = {"POST": real.post, "GET": real.get}
        self._prefixes = tuple(f"http://{address}/" for address in addresses)
        self._lock = threading.Lock()
        self._pooled: Any = None
        self._owner = 0
        self._process = ""
        self._calls = count(1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def post(self, *args: Any, **kwargs: Any) -> Any:
        """``httpx.post``."""
        return self._call("POST", self._real.post, args, kwargs)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """``httpx.get``."""
        return self._call("GET", self._real.get, args, kwargs)

    def _call(self, method: str, now: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self._is_ours(args, kwargs) or now is not self._originals[method]:
            return now(*args, **kwargs)
        kwargs.setdefault("timeout", 5.0)  # what the module-level functions take
        client = self._client()
        headers = kwargs.get("headers") or {}
        if isinstance(headers, dict):
            kwargs["headers"] = {**headers, CALL_HEADER: f"{self._process}-{next(self._calls)}"}
        return client.request(method, args[0], **kwargs)

    def _is_ours(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        return (
            len(args) == 1
            and isinstance(args[0], str)
            and args[0].startswith(self._prefixes)
            and kwargs.keys() <= _KNOWN_ARGUMENTS
            and not any(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXIES)
        )

    def take(self, pooled: Any) -> None:
        """Uses this client of ``httpx`` in this process."""
        self._process, self._calls = os.urandom(8).hex(), count(1)
        self._pooled, self._owner = pooled, os.getpid()

    def _client(self) -> Any:
        if self._pooled is None or self._owner != os.getpid():
            with self._lock:
                if self._pooled is None or self._owner != os.getpid():
                    self.take(_spare.pop() if _spare else _pooling_client(self._real))
        return self._pooled


def _pooling_client(httpx: Any) -> Any:
    from http.cookiejar import CookieJar, DefaultCookiePolicy

    limits = httpx.Limits(
        max_connections=None, max_keepalive_connections=10, keepalive_expiry=_KEPT_SECONDS
    )
    # a call of the module-level functions remembers no cookie of an earlier one
    jar = CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
    # no TLS settings are built: only plain HTTP goes through this client
    return httpx.Client(limits=limits, cookies=jar, trust_env=False, verify=False)


def cache_tls_context() -> None:
    """Makes ``httpx`` build its default TLS context once instead of once a client.

    Only the default one, and only while the environment names no certificates of its own.
    """
    transports = _transports()
    build = getattr(transports, "create_ssl_context", None)
    if transports is None or build is None or getattr(build, "is_cached", False):
        return

    def create_ssl_context(*args: Any, **kwargs: Any) -> Any:
        is_default = not args and {**_DEFAULT_TLS, **kwargs} == _DEFAULT_TLS
        if not is_default or any(name in os.environ for name in _TLS_VARIABLES):
            return build(*args, **kwargs)
        if not _built:
            _built.append(build(**kwargs))
        return _built[0]

    create_ssl_context.is_cached = True  # type: ignore[attr-defined]
    transports.create_ssl_context = create_ssl_context


def prepare() -> None:
    """Builds the default TLS context and a pooling client now, so that forks share them."""
    transports = _transports()
    if transports is None:
        return
    if not _built:
        _built.append(transports.create_ssl_context(**_DEFAULT_TLS))
    if not _spare:
        _spare.append(_pooling_client(sys.modules["httpx"]))


@contextmanager
def answered_by_mock(body: bytes) -> Iterator[None]:
    """Has one call of client 1.x answered with the JSON ``body`` through the whole pool, but
    without a socket."""
    httpx, httpcore = sys.modules["httpx"], importlib.import_module("httpcore")
    quick = _QuickHttpx(httpx, frozenset({"127.0.0.1:9"}))
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with _pooling_client(httpx) as pooled:
        pooled._transport._pool._network_backend = httpcore.MockBackend([head, body])  # noqa: SLF001 - no public way to give one
        quick.take(pooled)
        changed = _replace(httpx, quick)
        try:
            yield
        finally:
            for module in changed:
                module.httpx = httpx


def _transports() -> Any:
    try:
        return importlib.import_module("httpx._transports.default")
    except ImportError:
        return None

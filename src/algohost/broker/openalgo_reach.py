"""Connecting to an OpenAlgo server by the addresses that were judged, and by no others.

A name is resolved here, each of its addresses is judged, and the connection is made to one that
passed: a name that resolves otherwise a moment later changes nothing. TLS is checked against the
name all the same. Whoever may connect anywhere goes the same way.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

import httpx

from algohost.domain.errors import Invalid
from algohost.domain.reach import Reach, refused

ReachOf = Callable[[], Reach]
"""Asked at each connection: who stops being an administrator stops reaching the network."""
Resolve = Callable[[str], Awaitable[Sequence[str]]]

_MOST_ADDRESSES: Final = 4


class NotReachable(httpx.ConnectError):
    """Every address of the name is one that may not be connected to."""


async def resolved(host: str) -> Sequence[str]:
    """The IP addresses of a name. Raises ``OSError``."""
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(one[4][0]) for one in found))


async def allowed(host: str, reach: Reach, *, resolve: Resolve = resolved) -> Sequence[str]:
    """The addresses of a name that may be connected to: one at least.

    Raises ``Invalid`` where there is none, ``OSError`` where the name is not known.
    """
    good = [one for one in await resolve(host) if reach.allows(one)]
    if not good:
        raise refused(host)
    return good[:_MOST_ADDRESSES]


class JudgedTransport(httpx.AsyncBaseTransport):
    """Sends each request to an allowed address of its host."""

    def __init__(
        self,
        reach: ReachOf,
        *,
        resolve: Resolve = resolved,
        within: httpx.AsyncBaseTransport,
    ) -> None:
        self._reach = reach
        self._resolve = resolve
        self._within = within

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As the library's. Raises ``NotReachable`` before anything was sent."""
        host = request.url.host
        try:
            addresses = await allowed(host, self._reach(), resolve=self._resolve)
        except OSError as error:
            raise httpx.ConnectError(f"{host[:100]} is not known", request=request) from error
        except Invalid as error:
            raise NotReachable(error.message, request=request) from error
        named = {**request.extensions, "sni_hostname": host}
        for number, address in enumerate(addresses, start=1):
            to = httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,  # among them the name, as Host
                stream=request.stream,
                extensions=named,
            )
            try:
                return await self._within.handle_async_request(to)
            except httpx.ConnectError:  # nothing was sent: another address may do
                if number == len(addresses):
                    raise
        raise AssertionError("there is one address at least")

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._within.aclose()


async def address_of(url: str, reach: Reach) -> str:
    """An address of an URL's host that may be connected to.

    Raises ``Invalid`` and ``OSError`` as ``allowed``.
    """
    return (await allowed(urlsplit(url).hostname or "", reach))[0]

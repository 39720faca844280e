"""Which addresses this host may connect to on somebody's behalf.

The server of a live account is where its owner says it is. Were that any address, whoever has a
login could have the host ask services that answer this machine alone: its own network, other
servers on it, the address at which clouds keep their credentials.
"""

import ipaddress
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from algohost.domain.errors import Invalid

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 addresses as IPv6 ones, RFC 6052."""

NOT_ALLOWED: Final = "ADDRESS_NOT_ALLOWED"


@dataclass(frozen=True, kw_only=True)
class Reach:
    """The addresses that somebody may have the host connect to."""

    is_wide: bool = False
    """Whether private networks and this host itself are among them, for an administrator."""
    networks: Collection[Network] = ()
    """What is allowed besides, whatever it is."""

    def allows(self, address: str) -> bool:
        """Whether an IP address may be connected to; a text that is none may not.

        Link-local ones, where clouds keep credentials, need to be among ``networks``.
        """
        try:
            ip = _plain(ipaddress.ip_address(address.partition("%")[0]))
        except ValueError:
            return False
        if any(ip in network for network in self.networks):
            return True
        if ip.is_multicast or ip.is_unspecified or ip.is_link_local:
            return False
        return ip.is_global or (self.is_wide and (ip.is_private or ip.is_loopback))


PUBLIC_ONLY: Final = Reach()
WIDE: Final = Reach(is_wide=True)


def refused(host: str) -> Invalid:
    """That an address may not be connected to, and what to do about it."""
    return Invalid(
        f"{host[:100]} is on this machine or a private network, where only accounts of"
        " administrators may connect to. An administrator can allow its address with the setting"
        " live_networks.",
        code=NOT_ALLOWED,
        details={"field": "base_url"},
    )


def host_of(url: str) -> str:
    """Where an address leads: a name, or an IP address; empty where it says nothing."""
    host = urlsplit(url).hostname or ""
    return "127.0.0.1" if host == "localhost" else host


def is_written_out(host: str) -> bool:
    """Whether it is an IP address, so that nothing has to be resolved to judge it."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def networks_of(text: str) -> Sequence[Network]:
    """The networks in a text that separates them by commas. Raises ``ValueError``."""
    return tuple(ipaddress.ip_network(one.strip()) for one in text.split(",") if one.strip())


def _plain(ip: _Address) -> _Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip

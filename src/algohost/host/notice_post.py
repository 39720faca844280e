"""A program that delivers messages through apprise; the server itself never imports it.

It reads one ``Job`` as JSON from its input and writes one answer. A process of its own, so that

* the library, which is large, is in memory only while something is sent,
* addresses, which hold passwords, are in no argument, environment or log,
* every connection can be judged: an audit hook sees the address at the moment of connecting, when
  no name can be resolved anew, and refuses those of the host's own networks (unless allowed), and
* redirects are not followed.

What services answered is not repeated, save the number of their refusal.
"""

import ipaddress
import json
import logging
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

_AT_ONCE: Final = 8
_NUMBER: Final = re.compile(r"\berror=(\d{3})\b")
_CONNECTS: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})

PRIVATE: Final = (
    "Its address is of a private network or of this host, which notifications may not reach here;"
    " an administrator can allow it with the setting notice_private_networks."
)
NO_ANSWER: Final = "The service did not take it or did not answer."


class _Turned(PermissionError):
    """The address is not one to connect to."""


@dataclass
class _Try:
    """What happened while one letter was delivered, in whichever thread."""

    was_private: bool = False
    said: str = ""


_try: ContextVar[_Try] = ContextVar("try")


def is_public(address: object) -> bool:
    """Whether an address as a socket is given it is an IP address that is everybody's."""
    if not isinstance(address, tuple) or not address:
        return False
    try:
        ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
    except ValueError:
        return False  # a name, which would be resolved behind our back
    mapped = getattr(ip, "ipv4_mapped", None)
    ip = mapped or ip
    return ip.is_global and not ip.is_multicast


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if event in _CONNECTS and args[1] is not None and not is_public(args[1]):
        _try.get(_Try()).was_private = True
        raise _Turned(PRIVATE)


class _Ear(logging.Handler):
    """Hears what the library says about a delivery, which is logged nowhere."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the text with the try that it is about."""
        _try.get(_Try()).said += f"{record.getMessage()[:500]}\n"


def main(_search_path: list[str] | None = None) -> None:
    """The program."""
    job = json.loads(sys.stdin.buffer.read())
    import apprise  # only here: it takes half a second and 30 MB

    _quieten()
    _try.set(_Try())
    if not job["private"]:
        sys.addaudithook(_watch)
    if "url" in job:
        answer: object = _service(apprise, job["url"])
    else:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            answer = list(pool.map(lambda one: _delivered(apprise, one), job["letters"]))
    sys.stdout.write(json.dumps(answer))


def _quieten() -> None:
    import requests  # what apprise speaks HTTP with

    def nowhere(_self: requests.Session, _response: requests.Response) -> None:
        return None

    requests.Session.get_redirect_target = nowhere  # type: ignore[assignment, method-assign]
    said = logging.getLogger("apprise")
    said.handlers, said.propagate = [_Ear()], False
    said.setLevel(logging.WARNING)


def _service(apprise: Any, url: str) -> str:
    """The name of the service that an address is of; empty for none."""
    found = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    return "" if found is None else str(found.service_name)[:60]


def _delivered(apprise: Any, letter: dict[str, Any]) -> str:
    """Why a letter did not arrive; empty where it did."""
    this = _Try()
    _try.set(this)  # apprise takes it along into its own threads
    kinds = apprise.NotifyType
    priority = letter["priority"]
    kind = kinds.FAILURE if priority > 8 else kinds.WARNING if priority > 6 else kinds.INFO
    service = apprise.Apprise()
    if not service.add(letter["url"]):
        return "The address is none that apprise knows; remove the target and add it anew."
    try:
        arrived = service.notify(
            body=letter["body"],
            title=letter["title"],
            notify_type=kind,
            body_format=apprise.NotifyFormat.TEXT,
        )
    except Exception:  # noqa: BLE001 - the fault of one service must not end the others' letters
        arrived = False
    if arrived:
        return ""
    if this.was_private:
        return PRIVATE
    number = _NUMBER.search(this.said)
    return f"{NO_ANSWER} It answered with {number[1]}." if number else NO_ANSWER

"""Delivers messages by a process of its own, ``notice_post``, which ends when it has answered."""

import asyncio
import json
import os
from collections.abc import Sequence
from typing import Any, Final

from algohost.domain.errors import Invalid, Unavailable
from algohost.domain.notices import Delivery, Letter
from algohost.runner import bootstrap

_MODULE: Final = "algohost.host.notice_post"
_SECONDS: Final = 90.0
_ENVIRONMENT: Final = ("LANG", "LC_ALL", "SSL_CERT_DIR", "SSL_CERT_FILE", "SYSTEMROOT", "TMPDIR")


class AppriseCourier:
    """The ``Courier`` of a server. ``private`` lets it connect to the host's own networks."""

    def __init__(self, *, private: bool) -> None:
        self._private = private

    async def look_at(self, url: str) -> str:
        """As ``Courier.look_at``; connects nowhere."""
        service = await self._ask({"url": url})
        if not isinstance(service, str) or not service:
            raise Invalid(
                "apprise does not know that address, or something in it is missing; its form is"
                " on the service's page of apprise's documentation.",
                code="BAD_TARGET",
            )
        return service

    async def deliver(self, letters: Sequence[Letter]) -> Sequence[Delivery]:
        """As ``Courier.deliver``."""
        given = [
            {"url": one.url, "title": one.title, "body": one.body, "priority": one.priority}
            for one in letters
        ]
        answer = await self._ask({"letters": given})
        return [Delivery(reason=str(reason)) for reason in answer]

    async def _ask(self, job: dict[str, Any]) -> Any:
        question = json.dumps({"private": self._private, **job}).encode()
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        child = await asyncio.create_subprocess_exec(
            *bootstrap.command(None, _MODULE),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**environment, "PYTHONUTF8": "1"},
        )
        try:
            async with asyncio.timeout(_SECONDS):
                out, _ = await child.communicate(question)
        except BaseException as error:
            child.kill()
            await child.wait()
            if isinstance(error, TimeoutError):
                raise _no_answer("took too long") from None
            raise
        if child.returncode != 0:
            raise _no_answer("ended without an answer")
        return json.loads(out)


def _no_answer(what: str) -> Unavailable:
    return Unavailable(
        f"The program that delivers notifications {what}; try again, and look whether the package"
        " apprise is installed beside algohost.",
        code="NOTICES",
    )

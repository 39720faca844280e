"""What the server answers to the command line about the master contract."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from algohost.domain.users import User
from algohost.web.bodies import json_object
from algohost.web.master_contracts import found_json, report_json

if TYPE_CHECKING:
    from algohost.web.services import Host

Act = Callable[[Request], Awaitable[Response]]


class ContractControl:
    """The answers, over one host; ``actor`` says as whom a request acts."""

    def __init__(self, host: "Host", actor: Callable[[Request], User]) -> None:
        self._host = host
        self._actor = actor
        self.table: list[tuple[str, str, Act]] = [
            ("GET", "/v1/contracts", self.status),
            ("POST", "/v1/contracts/download", self.download),
            ("GET", "/v1/contracts/search", self.search),
        ]

    async def status(self, request: Request) -> Response:  # noqa: ARG002
        """How the list stands; ``is_busy`` while a download is on its way."""
        return self._told()

    async def download(self, request: Request) -> Response:
        """Asks for a new list; ``{force}`` for one that is not due."""
        self._actor(request)
        force = (await json_object(request)).get("force") is True
        failures = self._host.master_contracts.failures
        asked = self._host.master_contracts.download(force=force)
        return self._told(failures, message=asked.message, started=asked.is_started)

    async def search(self, request: Request) -> Response:
        """What fits every word of ``q``."""
        asked = request.query_params
        rows = found_json(
            self._host, asked.get("q", ""), asked.get("exchange", ""), asked.get("limit", "")
        )
        return JSONResponse({"success": True, "instruments": rows})

    def _told(self, failures: int | None = None, **fields: object) -> Response:
        contracts = self._host.master_contracts
        return JSONResponse(
            {
                "success": True,
                "contracts": report_json(self._host),
                "is_busy": contracts.is_busy,
                "failures": contracts.failures if failures is None else failures,
                **fields,
            }
        )

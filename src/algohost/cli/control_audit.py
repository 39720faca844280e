"""What the server answers to the command line about the audit."""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from algohost.web.auditing import MOST_ROWS, PAGE_ROWS, link_json, number_of

if TYPE_CHECKING:
    from algohost.host.auditing import Audit
    from algohost.web.services import Host

Act = Callable[[Request], Awaitable[Response]]


def shown(audit: "Audit", *, limit: int, subject: str) -> list[dict[str, Any]]:
    """The newest entries, oldest first."""
    links = audit.newest(limit=min(limit, MOST_ROWS), subject=subject)
    return [link_json(link) for link in links]


def checked(audit: "Audit") -> dict[str, Any]:
    """What a look at the whole chain has found."""
    verdict = audit.verify()
    return {
        "entries": verdict.links,
        "newest_hash": verdict.newest_hash,
        "problem": verdict.problem,
    }


class AuditControl:
    """The answers, over one host. The command line's user reads the file anyway."""

    def __init__(self, host: "Host") -> None:
        self._host = host
        self.table: list[tuple[str, str, Act]] = [
            ("GET", "/v1/audit", self.show),
            ("GET", "/v1/audit/check", self.check),
            ("GET", "/v1/audit/export", self.export),
        ]

    async def show(self, request: Request) -> Response:
        """The newest entries; ``limit`` and ``subject`` in the query."""
        asked = request.query_params
        limit = number_of(asked, "limit", PAGE_ROWS)
        rows = await run_in_threadpool(
            shown, self._host.audit, limit=limit, subject=asked.get("subject", "")
        )
        return JSONResponse({"success": True, "entries": rows})

    async def check(self, request: Request) -> Response:  # noqa: ARG002
        """The whole chain, computed anew."""
        return JSONResponse({"success": True, **await run_in_threadpool(checked, self._host.audit)})

    async def export(self, request: Request) -> Response:  # noqa: ARG002
        """The whole chain as CSV, in JSON objects of some lines each."""
        pieces = (json.dumps({"csv": text}) + "\n" for text in self._host.audit.csv())
        return StreamingResponse(pieces, media_type="application/x-ndjson")

"""The audit for administrators: a page, its rows as data, the whole as CSV."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from algohost.domain.audit import Link
from algohost.domain.errors import Invalid
from algohost.web.access import Access, Route, host_of
from algohost.web.answers import done
from algohost.web.pages import inner_page
from algohost.web.shown import iso

PAGE_ROWS: Final = 100
MOST_ROWS: Final = 1_000


def link_json(link: Link) -> dict[str, Any]:
    """One link as pages and programs read it."""
    entry = link.entry
    return {
        "number": link.number,
        "at": iso(entry.at),
        "by": entry.by,
        "act": entry.act,
        "subject": entry.subject,
        "detail": dict(entry.detail),
        "hash": link.hash,
    }


async def audit_page(request: Request) -> Response:
    """``GET /audit?before=N&subject=ID&check=1``: the newest entries, newest first."""
    host, asked = host_of(request), request.query_params
    subject = asked.get("subject", "")
    before = number_of(asked, "before", 0)
    links = await run_in_threadpool(
        host.audit.newest, before=before or None, limit=PAGE_ROWS, subject=subject
    )
    verdict = await run_in_threadpool(host.audit.verify) if asked.get("check") else None
    return inner_page(
        request,
        "audit.html",
        nav="audit",
        rows=[link_json(link) for link in reversed(links)],
        older=links[0].number if links and links[0].number > 1 else 0,
        is_newest=not before,
        subject=subject,
        verdict=verdict,
    )


async def audit_entries(request: Request) -> Response:
    """``GET /audit/entries?before=N&limit=N&subject=ID``: entries as data, oldest first."""
    host, asked = host_of(request), request.query_params
    links = await run_in_threadpool(
        host.audit.newest,
        before=number_of(asked, "before", 0) or None,
        limit=min(number_of(asked, "limit", PAGE_ROWS), MOST_ROWS),
        subject=asked.get("subject", ""),
    )
    return done("", entries=[link_json(link) for link in links])


async def audit_export(request: Request) -> Response:
    """``GET /audit/export``: everything, with the hashes."""
    return StreamingResponse(
        host_of(request).audit.csv(),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": 'attachment; filename="audit.csv"'},
    )


def number_of(asked: Mapping[str, str], name: str, default: int) -> int:
    """A whole number from 0 in a query. Raises ``Invalid`` for anything else."""
    text = asked.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise Invalid(f"{name} is {text[:20]!r}; write a whole number from 0.", code="BAD_NUMBER")
    return int(text)


ROUTES: Final[list[Route]] = [
    Route(method="GET", path="/audit", endpoint=audit_page, access=Access.ADMIN),
    Route(method="GET", path="/audit/entries", endpoint=audit_entries, access=Access.ADMIN),
    Route(method="GET", path="/audit/export", endpoint=audit_export, access=Access.ADMIN),
]

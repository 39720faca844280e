"""The logs of a strategy's runs: as a file, around one line, and searched through."""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from algohost.domain.errors import Invalid, NotFound
from algohost.domain.ids import RunId, is_run_id
from algohost.domain.runs import Run
from algohost.domain.users import User
from algohost.host.log_search import Page, Query, moment, search
from algohost.web import shown
from algohost.web.access import Access, HttpEndpoint, Route, host_of, user_of
from algohost.web.answers import done

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from algohost.web.services import Host

MOST_RUNS: Final = 1_000
"""Of one strategy; older ones are found in the database only."""


async def download(request: Request) -> Response:
    """``GET /python/log/<id>/<run_id>``: a run's whole log as a file, with its secrets covered.

    What was dropped of it is one line at its beginning.
    """
    host = host_of(request)
    run = await run_in_threadpool(_run, host, user_of(request), request)
    pieces = host.logs.pieces(run)
    try:
        first = await run_in_threadpool(_first, pieces)
    except NotFound as error:
        raise _no_log() from error
    return StreamingResponse(
        chain((first,), pieces),
        media_type="text/plain; charset=utf-8",
        headers={"content-disposition": f"attachment; filename*=UTF-8''{quote(run.log_name)}"},
    )


async def lines(request: Request) -> Response:
    """``GET /python/lines/<id>/<run_id>[?at=BYTE]``: lines around a place, or a run's last ones.

    ``{lines, offsets, kept, has_log}``: the byte at which each line begins, or none of them
    where the lines are those that were kept with the outcome (``kept``).
    """
    host = host_of(request)
    run = await run_in_threadpool(_run, host, user_of(request), request)
    at = request.query_params.get("at", "")
    if at and not at.isdecimal():
        message = f"“{at[:40]}” is no place in a log; a place is a number of bytes."
        raise Invalid(message)
    return done("", **await run_in_threadpool(_lines, host, run, int(at[:18]) if at else None))


def _lines(host: "Host", run: Run, at: int | None) -> dict[str, object]:
    about = {"run": shown.run_row(run), "has_log": bool(run.log_name)}
    if at is not None:
        chunk = host.logs.around(run, at)
        return {**about, "lines": chunk.lines, "offsets": chunk.offsets, "kept": False}
    last = host.logs.last_lines(run)
    kept = None if last or run.is_live else host.logs.kept_lines(run.id)
    return {**about, "lines": kept or last, "offsets": [], "kept": kept is not None}


async def find(request: Request) -> Response:
    """``GET /python/search/<id>?q=&regex=&level=&from=&to=&limit=&cursor=``: all runs' logs.

    ``{hits, cursor}``, newest first; ``cursor`` is given back for more, and ``null`` at the end.
    """
    host, user = host_of(request), user_of(request)
    strategy_id = request.path_params["strategy_id"]
    runs = await run_in_threadpool(host.strategies.runs, user, strategy_id, limit=MOST_RUNS)
    query, logs = query_of(request.query_params), host.logs
    page = await search(logs.folder, runs, query, secrets_of=logs.secrets_of)
    return done("", **page_json(page, runs))


def query_of(given: "Mapping[str, str]") -> Query:
    """What an address's query asks for. Raises ``Invalid``."""
    limit = given.get("limit", "200")
    if not limit.isdecimal() or len(limit) > 6:
        message = f"“{limit[:40]}” is no number of lines; leave it out, or give a whole number."
        raise Invalid(message)
    return Query(
        text=given.get("q", ""),
        is_expression=given.get("regex", "") in {"1", "true", "on"},
        level=given.get("level", ""),
        since=moment(given.get("from", "")),
        until=moment(given.get("to", "")),
        limit=int(limit),
        cursor=given.get("cursor", ""),
    )


def page_json(page: Page, runs: "Sequence[Run]") -> dict[str, object]:
    """A page of findings in JSON values, each with the beginning of its run."""
    begun = {run.id: shown.iso(run.started_at or run.created_at) for run in runs}
    hits = [{**asdict(hit), "run_started_at": begun.get(hit.run_id)} for hit in page.hits]
    return {"hits": hits, "cursor": page.cursor}


def _run(host: "Host", user: User, request: Request) -> Run:
    strategy_id, run_id = request.path_params["strategy_id"], request.path_params["run_id"]
    known = host.strategies.runs(user, strategy_id, limit=MOST_RUNS) if is_run_id(run_id) else ()
    for run in known:
        if run.id == RunId(run_id):
            return run
    raise _no_log()


def _first(pieces: Iterator[bytes]) -> bytes:
    return next(pieces, b"")


def _no_log() -> NotFound:
    return NotFound("This run has no log, or it was cleared away.", code="NO_LOG")


def _owner(path: str, endpoint: HttpEndpoint) -> Route:
    return Route(method="GET", path=path, endpoint=endpoint, access=Access.OWNER)


ROUTES: Final[list[Route]] = [
    _owner("/python/search/{strategy_id}", find),
    _owner("/python/lines/{strategy_id}/{run_id}", lines),
    _owner("/python/log/{strategy_id}/{run_id}", download),
]

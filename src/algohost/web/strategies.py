"""The JSON routes of ``/python``: what pages and scripts do with strategies."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Final, cast

from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from algohost.host.bundles import MOST_PACKED_BYTES
from algohost.web.access import Access, HttpEndpoint, Route, host_of, user_of
from algohost.web.answers import done
from algohost.web.bodies import json_as, uploaded
from algohost.web.packing import accepts_gzip
from algohost.web.rows import row

if TYPE_CHECKING:
    from algohost.web.rows import StatusBoard

MOST_FILE_BYTES: Final = 1_048_576
_FORM_BYTES: Final = MOST_PACKED_BYTES + 65_536
_SAVE_BYTES: Final = 2 * MOST_FILE_BYTES + 65_536
"""JSON writes a line's end with two bytes; the file's own limit is checked after decoding."""


class _Source(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    source: str = Field(max_length=MOST_FILE_BYTES)
    file: str = Field(default="", max_length=200)


async def status(request: Request) -> Response:
    """``GET /python/status``: what the user may see, and how many are in each phase."""
    board = cast("StatusBoard", request.app.state.status_board)
    made = board.status(user_of(request))
    headers = {"vary": "accept-encoding"}
    if not accepts_gzip(request):
        return Response(made.body, media_type="application/json", headers=headers)
    headers["content-encoding"] = "gzip"
    return Response(made.packed, media_type="application/json", headers=headers)


async def upload(request: Request) -> Response:
    """``POST /python/upload``, ``/python/new``: a form with ``file``, ``name``, ``exchange``."""
    form = await uploaded(request, "file")
    host = host_of(request)
    view = await host.strategies.add(
        owner=user_of(request),
        name=form.text("name"),
        file_name=form.file_name,
        content=form.content,
        exchange=form.text("exchange", "NSE"),
    )
    problem = view.strategy.problem
    message = (
        f"“{view.strategy.name}” was uploaded."
        if problem is None
        else f"“{view.strategy.name}” was kept as a draft: {problem.where} does not compile."
    )
    return done(message, strategy_id=view.strategy.id, strategy=row(view, host))


async def start(request: Request) -> Response:
    """``POST /python/start/<id>``: the start is on disk when this answers."""
    host = host_of(request)
    view = await host.strategies.start(user_of(request), request.path_params["strategy_id"])
    return done(f"“{view.strategy.name}” is starting.", strategy=row(view, host))


async def stop(request: Request) -> Response:
    """``POST /python/stop/<id>``: the end is on its way when this answers."""
    host = host_of(request)
    view = await host.strategies.stop(user_of(request), request.path_params["strategy_id"])
    return done(f"“{view.strategy.name}” is stopping.", strategy=row(view, host))


async def delete(request: Request) -> Response:
    """``POST /python/delete/<id>``: runs, logs and orders stay on record."""
    host, user, strategy_id = host_of(request), user_of(request), request.path_params["strategy_id"]
    name = host.strategies.get(user, strategy_id).strategy.name
    await host.strategies.delete(user, strategy_id)
    return done(f"“{name}” was deleted.")


async def save(request: Request) -> Response:
    """``POST /python/save/<id>`` with ``{source, file?}``: makes a new version of all files."""
    body = await json_as(request, _Source)
    host = host_of(request)
    view = await host.strategies.save_text(
        user_of(request), request.path_params["strategy_id"], body.source, file=body.file
    )
    problem = view.strategy.problem
    message = "Saved." if problem is None else f"Saved as a draft: {view.sentence}"
    return done(message, strategy=row(view, host))


async def replace(request: Request) -> Response:
    """``POST /python/replace/<id>``, a form with ``file``: a new version of all files."""
    form = await uploaded(request, "file")
    host = host_of(request)
    view = await host.strategies.save(
        user_of(request),
        request.path_params["strategy_id"],
        form.content,
        file_name=form.file_name,
    )
    problem = view.strategy.problem
    message = "Saved." if problem is None else f"Saved as a draft: {view.sentence}"
    return done(message, strategy=row(view, host))


async def source(request: Request) -> Response:
    """``GET /python/source/<id>?file=…``: the text of a file of the current version."""
    host, user, strategy_id = host_of(request), user_of(request), request.path_params["strategy_id"]
    view = host.strategies.get(user, strategy_id)
    file = request.query_params.get("file", "")
    return done(
        "",
        source=await run_in_threadpool(host.strategies.source, user, strategy_id, file),
        files=[
            asdict(one) for one in await run_in_threadpool(host.strategies.files, user, strategy_id)
        ],
        file_name=view.strategy.file_name,
        version_id=view.strategy.version_id,
        strategy=row(view, host),
    )


async def new_key(request: Request) -> Response:
    """``POST /python/key``: a new API key of the asker's own account; the earlier one dies."""
    key = await host_of(request).identity.new_key(user_of(request).id)
    return done("Copy the key now: it is not shown again. The earlier key is dead.", api_key=key)


def _owner(method: str, path: str, endpoint: HttpEndpoint, most_bytes: int = 4_096) -> Route:
    return Route(
        method=method,
        path=f"{path}/{{strategy_id}}",
        endpoint=endpoint,
        access=Access.OWNER,
        max_body_bytes=most_bytes,
    )


ROUTES: Final[list[Route]] = [
    Route(method="GET", path="/python/status", endpoint=status, access=Access.USER),
    *(
        Route(
            method="POST",
            path=path,
            endpoint=upload,
            access=Access.USER,
            max_body_bytes=_FORM_BYTES,
        )
        for path in ("/python/upload", "/python/new")
    ),
    Route(method="POST", path="/python/key", endpoint=new_key, access=Access.USER),
    _owner("POST", "/python/start", start),
    _owner("POST", "/python/stop", stop),
    _owner("POST", "/python/delete", delete),
    _owner("POST", "/python/save", save, _SAVE_BYTES),
    _owner("POST", "/python/replace", replace, _FORM_BYTES),
    _owner("GET", "/python/source", source),
]

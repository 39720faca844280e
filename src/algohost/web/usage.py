"""What a strategy's newest run uses and how it is: for its page, for scripts, live."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from algohost.domain.health import Flag
from algohost.domain.ids import RunId, StrategyId, UserId
from algohost.domain.users import User
from algohost.host.usage import KEPT, WINDOW, Point
from algohost.host.views import StrategyView
from algohost.store.samples import Sample
from algohost.web.access import Access, Route, host_of, user_of
from algohost.web.answers import done

if TYPE_CHECKING:
    from algohost.web.live_hub import LiveHub
    from algohost.web.services import Host

MOST_POINTS: Final = 240
"""A line on a page has no room for more; the last of each stretch stands for it."""
_GAP_SECONDS: Final = 120.0
"""Between two samples further apart nothing was measured: no processor share is made up."""
_PAUSE_SECONDS: Final = 0.2

Send = Callable[[Mapping[str, Any]], Awaitable[None]]


async def usage(request: Request) -> Response:
    """``GET /python/usage/<id>``: the newest run of the last day, and its events.

    ``points`` are ``{at, cpu, memory, threads, written}``, oldest first: milliseconds since the
    epoch, per cent of one core since the point before, bytes, a number, bytes. ``now`` has the
    newest of a live run, or is ``null``.
    """
    host = host_of(request)
    view = host.strategies.get(user_of(request), request.path_params["strategy_id"])
    return done("", **await run_in_threadpool(figures, host, view, window=KEPT))


def figures(host: "Host", view: StrategyView, *, window: timedelta = WINDOW) -> dict[str, Any]:
    """The answer of ``usage`` in JSON values. Reads the database."""
    run = view.latest
    if run is None:
        return {"run_id": None, "is_live": False, "points": [], "now": None, "events": []}
    samples = host.usage.history(run.id, since=host.clock.now() - window)
    events = host.usage.events(run.id)
    return {
        "run_id": run.id,
        "is_live": run.is_live,
        "points": points_of(samples),
        "now": _now(host, run.id) if run.is_live else None,
        "events": [
            {"at": _ms(one.at), "kind": one.kind, "sentence": one.sentence} for one in events
        ],
    }


def points_of(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """At most ``MOST_POINTS``; the processor's share is between each and the one before."""
    chosen = _thinned(samples)
    made = []
    for earlier, later in pairwise(chosen):
        seconds = (later.at - earlier.at).total_seconds()
        used = later.cpu_seconds - earlier.cpu_seconds
        is_known = 0 < seconds <= max(_GAP_SECONDS, _stretch(samples) * 2)
        made.append(
            {
                "at": _ms(later.at),
                "cpu": round(max(0.0, used) / seconds * 100, 1) if is_known else None,
                "memory": later.memory_bytes,
                "threads": later.threads,
                "written": later.written_bytes,
            }
        )
    return made


async def topic(hub: "LiveHub", user: User, strategy_id: StrategyId, send: Send) -> None:
    """``{reset, …}`` with all of ``figures``, then ``{point, now}`` whenever it was measured.

    A new run, and a flag that came or went, begin with a new reset. Raises ``NotFound`` once the
    strategy is deleted.
    """
    host = hub.host
    measured = asyncio.Event()
    shown: tuple[RunId | None, tuple[Flag, ...]] | None = None

    def heard(run_id: RunId) -> None:
        if not host.strategies.owns(user, strategy_id):
            return  # deleted; the loop below is on its way to find that out
        latest = host.strategies.get(user, strategy_id).latest
        if latest is not None and latest.id == run_id:
            measured.set()

    def gone(removed: StrategyId, _owner: UserId) -> None:
        if removed == strategy_id:
            measured.set()

    unlisten = host.usage.listen(heard)
    unlisten_removed = host.strategies.listen_removed(gone)
    try:
        while True:
            measured.clear()
            view = host.strategies.get(user, strategy_id)
            latest = view.latest
            at_hand = (None if latest is None else latest.id, view.flags)
            if latest is None or at_hand != shown:
                shown = at_hand
                await send({"reset": True, **await asyncio.to_thread(figures, host, view)})
            else:
                await send({"point": _point(host, latest.id), "now": _now(host, latest.id)})
            await measured.wait()
            await asyncio.sleep(_PAUSE_SECONDS)  # what this look has led to is written by then
    finally:
        unlisten()
        unlisten_removed()


def _point(host: "Host", run_id: RunId) -> dict[str, Any] | None:
    newest, before = host.usage.newest(run_id), host.usage.before(run_id)
    if newest is None or before is None:
        return None
    return {
        "at": _ms(newest.at),
        "cpu": _share(before, newest),
        "memory": newest.reading.memory_bytes,
        "threads": newest.threads,
        "written": newest.written_bytes,
    }


def _now(host: "Host", run_id: RunId) -> dict[str, Any] | None:
    newest, before = host.usage.newest(run_id), host.usage.before(run_id)
    if newest is None:
        return None
    return {
        "cpu": None if before is None else _share(before, newest),
        "memory": newest.reading.memory_bytes,
        "memory_kind": newest.memory_kind,
        "threads": newest.threads,
        "processes": newest.processes,
        "folder": newest.folder_bytes,
        "log": newest.log_bytes,
    }


def _share(before: Point, newest: Point) -> float | None:
    seconds = newest.reading.at - before.reading.at
    used = newest.cpu_seconds - before.cpu_seconds
    return round(max(0.0, used) / seconds * 100, 1) if 0 < seconds <= _GAP_SECONDS else None


def _thinned(samples: Sequence[Sample]) -> list[Sample]:
    if len(samples) <= MOST_POINTS + 1:
        return list(samples)
    stretch = _stretch(samples)
    chosen = [samples[0]]
    for one in samples[1:-1]:
        if (one.at - chosen[-1].at).total_seconds() >= stretch:
            chosen.append(one)
    return [*chosen, samples[-1]]


def _stretch(samples: Sequence[Sample]) -> float:
    return (samples[-1].at - samples[0].at).total_seconds() / MOST_POINTS


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


ROUTES: Final[list[Route]] = [
    Route(method="GET", path="/python/usage/{strategy_id}", endpoint=usage, access=Access.OWNER),
]

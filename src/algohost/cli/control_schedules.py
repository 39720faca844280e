"""What the server answers to the command line about schedules."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from algohost.domain.errors import Invalid
from algohost.domain.users import User
from algohost.web import schedules as shown
from algohost.web.agenda import agenda_json, day_of, default_day
from algohost.web.bodies import json_object

if TYPE_CHECKING:
    from algohost.web.services import Host

Act = Callable[[Request], Awaitable[Response]]

_SCHEDULE: Final = "/v1/strategies/{id}/schedule"


class ScheduleControl:
    """The answers, over one host; ``actor`` says as whom a request acts."""

    def __init__(self, host: "Host", actor: Callable[[Request], User]) -> None:
        self._host = host
        self._actor = actor
        self.table: list[tuple[str, str, Act]] = [
            ("GET", _SCHEDULE, self.show),
            ("POST", _SCHEDULE, self.put),
            ("POST", f"{_SCHEDULE}/clear", self.clear),
            ("GET", f"{_SCHEDULE}/history", self.history),
            ("GET", "/v1/schedule", self.preview),
        ]

    async def show(self, request: Request) -> Response:
        """The schedule, and its next starts."""
        return await self._told(request, "")

    async def put(self, request: Request) -> Response:
        """Keeps the schedule in the body, in either form."""
        body = await json_object(request)
        view = await shown.keep(self._host, *self._asked(request), body)
        return await self._told(request, shown.kept_sentence(view))

    async def clear(self, request: Request) -> Response:
        """Takes the schedule away."""
        await self._host.timetables.clear_schedule(*self._asked(request))
        return await self._told(request, shown.CLEARED)

    async def history(self, request: Request) -> Response:
        """What became of the last ``limit`` starts."""
        limit = request.query_params.get("limit", str(shown.PAGE))
        if not limit.isdecimal() or not 1 <= int(limit) <= shown.MOST_HISTORY:
            raise Invalid(f"Give a limit from 1 to {shown.MOST_HISTORY}.", code="BAD_FIELDS")
        user, strategy_id = self._asked(request)
        self._host.strategies.get(user, strategy_id)
        found = await run_in_threadpool(
            shown.told_json, self._host.timetables, user, strategy_id, int(limit)
        )
        return JSONResponse({"success": True, **found})

    async def preview(self, request: Request) -> Response:
        """What starts on ``date``, by default on the next day with a start."""
        user = self._actor(request)
        day = day_of(request.query_params.get("date", ""))
        found = await agenda_json(self._host, user, day or default_day(self._host, user))
        return JSONResponse({"success": True, **found})

    def _asked(self, request: Request) -> tuple[User, str]:
        return self._actor(request), request.path_params["id"]

    async def _told(self, request: Request, message: str) -> Response:
        user, strategy_id = self._asked(request)
        found = await run_in_threadpool(shown.state, self._host, user, strategy_id)
        kept: dict[str, Any] = {name: found[name] for name in _TOLD}
        return JSONResponse({"success": True, "message": message, **kept})


_TOLD: Final = (
    "schedule",
    "exchange",
    "is_set",
    "set_by",
    "set_at",
    "sentence",
    "next_at",
    "next_sentence",
    "warning",
    "locked",
    "preview",
)

"""What the server answers to the command line about calendars."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from algohost.domain.errors import Invalid
from algohost.domain.users import User
from algohost.web.bodies import json_object
from algohost.web.calendar import exchange_of, month_json, month_of

if TYPE_CHECKING:
    from algohost.host.calendars import CalendarService
    from algohost.web.services import Host

Act = Callable[[Request], Awaitable[Response]]


class CalendarControl:
    """The answers, over one host; ``actor`` says as whom a request acts."""

    def __init__(self, host: "Host", actor: Callable[[Request], User]) -> None:
        self._host = host
        self._actor = actor
        self.table: list[tuple[str, str, Act]] = [
            ("GET", "/v1/calendar", self.show),
            ("GET", "/v1/calendar/export", self.export),
            ("POST", "/v1/calendar/import", self.import_),
        ]

    async def show(self, request: Request) -> Response:
        """One month of one exchange."""
        asked = request.query_params
        found = show(self._host.calendars, asked.get("exchange", "NSE"), asked.get("month", ""))
        return JSONResponse({"success": True, **found})

    async def export(self, request: Request) -> Response:  # noqa: ARG002
        """Everything that is listed, as the text of a CSV."""
        return JSONResponse({"success": True, "csv": self._host.calendars.export_csv()})

    async def import_(self, request: Request) -> Response:
        """Takes every row of ``{csv}``, or none."""
        text = (await json_object(request)).get("csv")
        if not isinstance(text, str):
            raise Invalid("Send the text of the file as csv.")
        imported = await self._host.calendars.import_csv(self._actor(request), text)
        return JSONResponse({"success": True, **told(imported)})


def show(calendars: "CalendarService", exchange: str, month: str) -> dict[str, Any]:
    """One month of one exchange in JSON values. Raises ``Invalid``."""
    wanted = month_of(month, calendars.today())
    return month_json(calendars, exchange_of(exchange), wanted)


def told(imported: Any) -> dict[str, Any]:
    """What came of an import, in JSON values."""
    return {
        "message": imported.sentence,
        "days": imported.days,
        "years": imported.years,
        "same": imported.same,
    }

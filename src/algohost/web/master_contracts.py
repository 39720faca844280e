"""The master contract on our own routes: how it stands, a new one, a search for the pages."""

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from algohost.domain.errors import Invalid
from algohost.domain.instruments import Exchange, Instrument
from algohost.web.access import Access, Route, host_of
from algohost.web.answers import done
from algohost.web.bodies import json_as
from algohost.web.shown import iso

if TYPE_CHECKING:
    from algohost.web.services import Host

MOST_FOUND: Final = 200
_USUALLY_FOUND: Final = 50


class _Forced(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    force: bool = False


async def status(request: Request) -> Response:
    """``GET /api/master-contract/status``: how the list stands."""
    shown = report_json(host_of(request))
    return done(shown.pop("message"), **shown)


async def ready(request: Request) -> Response:
    """``GET /api/master-contract/ready``: whether symbols of today can be looked up."""
    report = host_of(request).master_contracts.report()
    return done(report.message, ready=report.is_ready)


async def download(request: Request) -> Response:
    """``POST /api/master-contract/download``, ``{force}`` for one that is not due.

    It answers at once; ``status`` says how far it is.
    """
    is_forced = (await json_as(request, _Forced)).force if await request.body() else False
    asked = host_of(request).master_contracts.download(force=is_forced)
    return done(
        asked.message,
        status="success" if asked.is_started else "skipped",
        started=asked.is_started,
        should_download=asked.is_started,
    )


async def search(request: Request) -> Response:
    """``GET /api/master-contract/search?q=nifty 24500 ce&exchange=NFO&limit=50``."""
    asked = request.query_params
    rows = found_json(
        host_of(request), asked.get("q", ""), asked.get("exchange", ""), asked.get("limit", "")
    )
    return done(f"{len(rows)} found.", instruments=rows)


def report_json(host: "Host") -> dict[str, Any]:
    """How the list stands, in JSON values."""
    report = host.master_contracts.report()
    return {
        "message": report.message,
        "broker": report.broker,
        "status": report.status.value,
        "last_updated": iso(report.last_updated),
        "total_symbols": report.total_symbols,
        "is_ready": report.is_ready,
        "percent": report.percent,
    }


def found_json(host: "Host", text: str, exchange: str, limit: str = "") -> list[dict[str, Any]]:
    """What a search finds, best first, in JSON values. Raises ``Invalid``."""
    found = host.master_contracts.search(text, _exchange(exchange), limit=_limit(limit))
    return [_row(host, one) for one in found]


def _row(host: "Host", one: Instrument) -> dict[str, Any]:
    return {
        "exchange": one.key.exchange.value,
        "symbol": one.key.symbol,
        "name": one.name,
        "kind": one.instrument_type,
        "expiry": None if one.expiry is None else one.expiry.isoformat(),
        "strike": None if one.strike is None else f"{one.strike:f}",
        "lot": one.lot_size,
        "tick": f"{one.tick_size:f}",
        "freeze": one.freeze_quantity,
        "token": one.token,
        "has_prices": host.market.has_prices(one),
    }


def _exchange(text: str) -> Exchange | None:
    if not text:
        return None
    try:
        return Exchange(text)
    except ValueError:
        known = ", ".join(Exchange)
        raise Invalid(f"{text[:20]!r} is no exchange; write one of {known}.") from None


def _limit(text: str) -> int:
    if not text:
        return _USUALLY_FOUND
    is_number = text.isascii() and text.isdigit() and len(text) <= 6
    if not (is_number and 1 <= int(text) <= MOST_FOUND):
        raise Invalid(f"The limit {text[:20]!r} is not a whole number from 1 to {MOST_FOUND}.")
    return int(text)


ROUTES: Final[list[Route]] = [
    Route(method="GET", path="/api/master-contract/status", endpoint=status, access=Access.USER),
    Route(method="GET", path="/api/master-contract/ready", endpoint=ready, access=Access.USER),
    Route(method="GET", path="/api/master-contract/search", endpoint=search, access=Access.USER),
    Route(
        method="POST",
        path="/api/master-contract/download",
        endpoint=download,
        access=Access.USER,
        max_body_bytes=1_024,
    ),
]

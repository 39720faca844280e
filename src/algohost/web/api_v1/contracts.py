"""The master contract: one row, a search, expiries, whole exchanges.

Rows are those of the broker's list; what this server's market trades is answered before there is
a list as well. A recording has prices of what it recorded alone: ``has_prices`` says which has.
"""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson
from starlette.responses import Response, StreamingResponse

from algohost.domain.accounts import mode_of
from algohost.domain.errors import NotFound, Unavailable
from algohost.domain.instruments import Instrument, InstrumentKey
from algohost.domain.strategies import Mode
from algohost.web.api_v1.answers import expiry_text, mode_fields, price, success
from algohost.web.api_v1.call import Call
from algohost.web.api_v1.requests import (
    Asked,
    AskedOfInstrument,
    Expiry,
    Instruments,
    ListFormat,
    Search,
)

if TYPE_CHECKING:
    from algohost.domain.master_contracts import ContractList
    from algohost.web.services import Host

M = TypeVar("M", bound=Asked)

MOST_MATCHES: Final = 500
"""Instruments that ``search`` answers with."""
_ROWS_AT_A_TIME: Final = 250
_COLUMNS: Final = (
    "symbol", "brsymbol", "name", "exchange", "brexchange", "token", "expiry", "strike",
    "lotsize", "instrumenttype", "tick_size",
)  # fmt: skip


async def symbol(call: Call[AskedOfInstrument]) -> Response:
    """``symbol``: one row of the master contract."""
    host, key = call.host, call.asked.key
    found = host.master_contracts.find(key) or host.market.find(key)
    if found is None:
        raise _unknown(key)
    return success(data=instrument_row(host, found))


async def search(call: Call[Search]) -> Response:
    """``search``: the best matches, at most 500."""
    found = _matches(call.host, call.asked)
    said = f"Found {len(found)} matching symbols" if found else "No matching symbols found"
    return success(message=said, data=[instrument_row(call.host, one) for one in found])


async def expiry(call: Call[Expiry]) -> Response:
    """``expiry``: when an underlying's futures or options expire, in order."""
    asked = call.asked
    base, kind = asked.symbol.upper(), asked.instrumenttype.value
    days = the_list(call.host).expiries(asked.exchange, base, of_options=kind == "options")
    said = f"Found {len(days)} expiry dates" if days else "No expiry dates found"
    return success(
        message=f"{said} for {base} {kind} in {asked.exchange}",
        data=[expiry_text(day) for day in days],
    )


async def instruments(call: Call[Instruments]) -> Response:
    """``instruments``: all of an exchange or of every one, as JSON or, with ``format=csv``, so."""
    asked, found = call.asked, the_list(call.host)
    places = found.places(asked.exchange)
    if asked.format is ListFormat.JSON:
        return StreamingResponse(_json(call.host, found, places), media_type="application/json")
    name = asked.exchange or "all"
    return StreamingResponse(
        _csv(call.host, found, places),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="instruments_{name}.csv"'},
    )


def refuse_unpriced(host: "Host", key: InstrumentKey) -> None:
    """Raises ``NotFound`` for what the broker lists and this server's market has no prices of:
    of a recording, all that it did not record."""
    if host.market.find(key) is None and host.master_contracts.find(key) is not None:
        raise NotFound(
            f"{key} is in the master contract, but the {host.market.name} market has no prices of"
            " it, so here it can be neither quoted nor ordered.",
            code="NOT_PRICED",
        )


def refuse_untradable(call: Call[M], key: InstrumentKey) -> None:
    """``refuse_unpriced`` for orders on paper; a live broker knows itself what it trades."""
    if mode_of(call.principal.account_id) is Mode.PAPER:
        refuse_unpriced(call.host, key)


def listed(host: "Host", key: InstrumentKey) -> Instrument:
    """The instrument of that name, with prices. Raises ``NotFound``."""
    refuse_unpriced(host, key)
    found = host.market.find(key)
    if found is None:
        raise _unknown(key)
    return found


def instrument_row(host: "Host", instrument: Instrument) -> dict[str, Any]:
    """An instrument as ``symbol`` and ``search`` show it; no broker has other names for it."""
    key = instrument.key
    return {
        "symbol": key.symbol,
        "brsymbol": key.symbol,
        "name": instrument.name,
        "exchange": key.exchange.value,
        "brexchange": key.exchange.value,
        "token": instrument.token,
        "expiry": expiry_text(instrument.expiry),
        "strike": price(instrument.strike) if instrument.strike is not None else 0.0,
        "lotsize": instrument.lot_size,
        "instrumenttype": instrument.instrument_type,
        "tick_size": price(instrument.tick_size),
        "freeze_qty": instrument.freeze_quantity or 0,
        "has_prices": host.market.has_prices(instrument),
    }


def _matches(host: "Host", asked: Search) -> Sequence[Instrument]:
    if host.master_contracts.current is None:
        return host.market.search(asked.query, asked.exchange)[:MOST_MATCHES]
    return host.master_contracts.search(asked.query, asked.exchange, limit=MOST_MATCHES)


def the_list(host: "Host") -> "ContractList":
    """The broker's list in use. Raises ``Unavailable`` before there is one."""
    found = host.master_contracts.current
    if found is None:
        raise Unavailable(
            f"{host.master_contracts.report().message} Ask again in a few seconds.",
            code="MASTER_CONTRACT",
        )
    return found


async def _pieces(
    host: "Host", found: "ContractList", places: Sequence[int]
) -> AsyncIterator[list[dict[str, Any]]]:
    """The rows, some at a time; in between, others get their turn."""
    for first in range(0, len(places), _ROWS_AT_A_TIME):
        chosen = places[first : first + _ROWS_AT_A_TIME]
        yield [instrument_row(host, found.at(place)) for place in chosen]
        await asyncio.sleep(0)


async def _json(host: "Host", found: "ContractList", places: Sequence[int]) -> AsyncIterator[bytes]:
    said = f"Found {len(places)} instruments" if places else "No instruments found"
    yield orjson.dumps({"status": "success", **mode_fields(), "message": said})[:-1] + b',"data":['
    comma = b""
    async for rows in _pieces(host, found, places):
        yield comma + orjson.dumps(rows)[1:-1]
        comma = b","
    yield b"]}"


async def _csv(host: "Host", found: "ContractList", places: Sequence[int]) -> AsyncIterator[str]:
    yield ",".join(_COLUMNS) + "\r\n"
    async for rows in _pieces(host, found, places):
        text = io.StringIO()
        csv.DictWriter(text, _COLUMNS, extrasaction="ignore").writerows(rows)
        yield text.getvalue()


def _unknown(key: InstrumentKey) -> NotFound:
    return NotFound(
        f"{key} is not listed in this market; search for its symbol and exchange.",
        code="INSTRUMENT_NOT_FOUND",
    )

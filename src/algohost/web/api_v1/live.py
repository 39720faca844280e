"""What is answered for live accounts by their own OpenAlgo server instead of by this one.

Prices, instruments and options of a live account are its broker's: this host's market knows
nothing of them. The fields are checked here first and the rate counts here; the answer is the
server's, passed on as it came.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from functools import wraps
from typing import Any, Final, TypeVar

import orjson
from starlette.responses import Response

from algohost.domain.accounts import mode_of
from algohost.domain.contract_symbols import MONTHS
from algohost.domain.errors import Invalid
from algohost.domain.strategies import Mode
from algohost.web.api_v1.answers import json_response
from algohost.web.api_v1.call import Call, Endpoint
from algohost.web.api_v1.requests import Asked

M = TypeVar("M", bound=Asked)
Handler = Callable[[Call[M]], Awaitable[Response]]

PASSED_ON: Final = frozenset(
    {
        "quotes",
        "multiquotes",
        "depth",
        "history",
        "intervals",
        "symbol",
        "search",
        "expiry",
        "optionsymbol",
        "optionchain",
        "optiongreeks",
        "multioptiongreeks",
        "syntheticfuture",
        "margin",
        "ping",
    }
)
"""Endpoints whose answer for a live account is its server's."""
NOT_LIVE: Final[Mapping[str, str]] = {
    "ticker": "Ask history: a live account's bars are its broker's.",
    **dict.fromkeys(
        ("placegttorder", "modifygttorder", "cancelgttorder", "gttorderbook"),
        "GTT orders are on paper only here; place a live account's at its broker.",
    ),
}
"""Endpoints that a live account does not have here, with what to do instead."""


def expiry_word(day: date) -> str:
    """A day of expiry as OpenAlgo takes it: ``28OCT25``."""
    return f"{day.day:02d}{MONTHS[day.month - 1]}{day.year % 100:02d}"


def as_sent(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that were read, as the values that were sent: another server reads them again."""
    return {name: _as_sent(name, value) for name, value in fields.items()}


def _as_sent(name: str, value: object) -> object:
    match value:
        case Mapping():
            return as_sent(value)
        case list() | tuple():
            return [_as_sent(name, one) for one in value]
        case datetime():
            return value.isoformat()
        case date():
            return expiry_word(value) if name == "expiry_date" else value.isoformat()
        case time():
            return f"{value:%H:%M}"
        case Decimal():
            return float(value)
        case Enum():
            return value.value
        case _:
            return value


def for_live_accounts(table: Mapping[str, Endpoint[Any]]) -> dict[str, Endpoint[Any]]:
    """The table of endpoints, with those that live accounts have answered elsewhere."""
    return {name: with_live(name, one) for name, one in table.items()}


def with_live(name: str, one: Endpoint[M]) -> Endpoint[M]:
    """The endpoint of that name as it is for both."""
    if name in PASSED_ON:
        return replace(one, handler=_passed_on(name, one.handler))
    if name in NOT_LIVE:
        return replace(one, handler=_refused(NOT_LIVE[name], one.handler))
    return one


def _passed_on(name: str, handler: Handler[M]) -> Handler[M]:
    @wraps(handler)
    async def answer(call: Call[M]) -> Response:
        if mode_of(call.principal.account_id) is not Mode.LIVE:
            return await handler(call)
        fields = as_sent(call.asked.model_dump(exclude_unset=True, exclude={"apikey"}))
        told = await call.host.gateway.ask_broker(call.principal.account_id, name, fields)
        told = {key: value for key, value in told.items() if key != "mode"}
        return json_response(orjson.dumps(told, default=float))

    return answer


def _refused(sentence: str, handler: Handler[M]) -> Handler[M]:
    @wraps(handler)
    async def answer(call: Call[M]) -> Response:
        if mode_of(call.principal.account_id) is Mode.LIVE:
            raise Invalid(sentence, code="NOT_LIVE")
        return await handler(call)

    return answer

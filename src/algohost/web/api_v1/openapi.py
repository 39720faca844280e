"""The OpenAPI document of ``/api/v1``, made from what the endpoints themselves check and promise.

Requests are the models that read them, successes and refusals the shapes that the tests hold the
answers to. It describes paper accounts: what is different for live ones is said in words.
"""

import inspect
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from algohost import __version__
from algohost.domain.instruments import Exchange
from algohost.web.api_v1.call import KEY_FIELD, KEY_HEADER, MOST_KEY, Endpoint
from algohost.web.api_v1.limits import Kind
from algohost.web.api_v1.live import NOT_LIVE, PASSED_ON
from algohost.web.api_v1.openapi_schemas import Json, Schemas, as_text
from algohost.web.api_v1.refusals import refusal_of

_JSON: Final = "application/json"
_ABOUT: Final = (
    "The interface that the openalgo client speaks. The key is in the body's `apikey` or in the"
    ' header `X-API-KEY`. A failure is `{"status": "error", "message": …}`, and never a 200. On'
    ' paper a success has `"mode": "analyze"`. Fields that are not named here are ignored.'
)
_REFUSALS: Final[Mapping[int, str]] = {
    400: "A field cannot be accepted, or an order was rejected; the message says which and why.",
    403: "The key is not known.",
    404: "There is no such order, instrument or calendar.",
    409: "It does not fit the state that things are in.",
    413: "The body is larger than is taken here.",
    429: "Too many calls with this key in one second.",
    500: "A fault of the server; its log knows it by the request id.",
    503: "A part does not answer now, such as a live account's broker.",
}
_OTHER_FORMATS: Final[Mapping[str, str]] = {"instruments": "text/csv", "ticker": "text/plain"}
_TICKER: Final[Json] = {
    "type": "string",
    "pattern": f"^(?:{'|'.join(Exchange)}):[A-Za-z0-9&_-]{{1,40}}$",
    "description": "EXCHANGE:SYMBOL, such as NSE:RELIANCE.",
}
_RETRY_AFTER: Final[Json] = {
    "Retry-After": {
        "description": "Seconds to wait.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    }
}
_APIKEY: Final[Json] = {
    "type": ["string", "null"],
    "description": "The key, where it is not in the header X-API-KEY.",
}
_ONCE: Final[Json] = {
    "type": "string",
    "maxLength": MOST_KEY,
    "pattern": "^[ -~]*$",
    "description": "What is sent again with the same key is not done again.",
}
_KEYS: Final[Json] = {
    "header": {"type": "apiKey", "in": "header", "name": "X-API-KEY"},
    "address": {
        "type": "apiKey",
        "in": "query",
        "name": "apikey",
        "description": "Only where existing programs put it: addresses are kept in more logs.",
    },
}
_ITSELF: Final[Json] = {
    "operationId": "get_openapi",
    "summary": "This document.",
    "security": [],
    "responses": {
        "200": {"description": "OpenAPI 3.1.", "content": {_JSON: {"schema": {"type": "object"}}}}
    },
}


@dataclass(frozen=True, kw_only=True)
class Described:
    """What the document describes."""

    prefix: str
    endpoints: Mapping[str, Endpoint[Any]]
    ticker: Endpoint[Any]
    by_get: Collection[str]
    key_in_query: Collection[str]


def document(of: Described) -> Json:
    """The document, as JSON values."""
    table = {**of.endpoints, "ticker": of.ticker}
    schemas = Schemas(
        asked=[one.model for one in table.values()],
        said=[one.shape for one in table.values() if one.shape is not None],
        refused=[refusal_of(name) for name in table],
    )
    paths = {
        f"{of.prefix}/{name}": _path(name, one, of, schemas)
        for name, one in sorted(of.endpoints.items())
    }
    ticker = _by_get("ticker", of.ticker, schemas, ("header", "address"))
    paths[f"{of.prefix}/ticker/{{ticker}}"] = {"get": ticker}
    paths[f"{of.prefix}/openapi.json"] = {"get": _ITSELF}
    return {
        "openapi": "3.1.0",
        "info": {"title": "algohost", "version": __version__, "description": _ABOUT},
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": _KEYS},
    }


def _path(name: str, one: Endpoint[Any], of: Described, schemas: Schemas) -> Json:
    path = {"post": _by_post(name, one, schemas)}
    if name in of.by_get:
        keys = ("header", "address") if name in of.key_in_query else ("header",)
        path["get"] = _by_get(name, one, schemas, keys)
    return path


def _by_post(name: str, one: Endpoint[Any], schemas: Schemas) -> Json:
    body = schemas.request(one.model)
    properties = {**body.get("properties", {}), "apikey": _APIKEY}
    parameters = []
    if one.kind is not Kind.API:
        properties[KEY_FIELD] = {"anyOf": [_ONCE, {"type": "null"}]}
        once = {"name": KEY_HEADER, "in": "header", "required": False, "schema": _ONCE}
        parameters.append(once)
    content = {_JSON: {"schema": {**body, "properties": properties}}}
    return {
        **_words(name, one, "post"),
        "parameters": parameters,
        "requestBody": {"required": True, "content": content},
        "security": [{"header": []}, {}],
        "responses": _responses(name, one, schemas, _REFUSALS),
    }


def _by_get(name: str, one: Endpoint[Any], schemas: Schemas, keys: Iterable[str]) -> Json:
    fields = schemas.request(one.model)
    required = fields.get("required", [])
    parameters = [
        {"name": field, "in": "query", "required": field in required, "schema": as_text(schema)}
        for field, schema in fields.get("properties", {}).items()
        if field != "ticker"
    ]
    if name == "ticker":
        parameters.append({"name": name, "in": "path", "required": True, "schema": _TICKER})
    return {
        **_words(name, one, "get"),
        "parameters": parameters,
        "security": [{key: []} for key in keys],
        "responses": _responses(name, one, schemas, sorted(_REFUSALS.keys() - {413})),
    }


def _words(name: str, one: Endpoint[Any], method: str) -> Json:
    said = inspect.getdoc(one.handler) or ""
    notes = [" ".join(said.split()).replace("``", "`")]
    if name in PASSED_ON:
        notes.append("For a live account the answer is its own server's, as that gives it.")
    if name in NOT_LIVE:
        notes.append(f"For a live account this is refused: {NOT_LIVE[name]}")
    return {
        "operationId": f"{method}_{name.replace('/', '_')}",
        "summary": inspect.getdoc(one.model) or "",
        "description": "\n\n".join(notes),
    }


def _responses(
    name: str, one: Endpoint[Any], schemas: Schemas, statuses: Iterable[int]
) -> dict[str, Json]:
    other = {_OTHER_FORMATS[name]: {"schema": {"type": "string"}}} if name in _OTHER_FORMATS else {}
    answer = {_JSON: {"schema": schemas.answer(one.shape)}, **other}
    refusal = {_JSON: {"schema": schemas.answer(refusal_of(name))}}
    if name == "ticker":
        refusal |= other
    made: dict[str, Json] = {"200": {"description": "It was done.", "content": answer}}
    for status in statuses:
        made[str(status)] = {"description": _REFUSALS[status], "content": refusal}
    made["429"]["headers"] = _RETRY_AFTER
    return made

"""The API's document says what the server does: schemathesis calls every operation with what the
document allows and with what it forbids, over HTTP, and holds each answer against it.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import httpx
import orjson
import pytest
import requests
import schemathesis
from schemathesis import GenerationMode

from algohost.domain.errors import Invalid
from algohost.web.api_v1 import DESCRIBED, ENDPOINTS, PREFIX, ROUTES
from algohost.web.api_v1.openapi import document
from algohost.web.api_v1.requests import parse
from tests.api.served import ACCOUNT_KEY, Served, running

HEADERS: Final = {"X-API-KEY": ACCOUNT_KEY}
CONFIG: Final = schemathesis.Config.from_dict(
    {
        "generation": {
            "max-examples": 4,
            "deterministic": True,
            # fields that are not named are ignored, which the document says and OpenAlgo does
            "allow-extra-parameters": False,
            # the key is sent by the test itself; without it every call would end with 403
            "with-security-parameters": False,
        },
        "phases": {"stateful": {"enabled": False}},  # the document has no links
        "checks": {
            # an order that fits the document may still be rejected, which is a 400 here as in
            # OpenAlgo; that none is refused for its fields is checked below
            "positive_data_acceptance": {
                "expected-statuses": ["2xx", "400", "403", "404", "409", "503"]
            }
        },
    }
)
BEYOND_SCHEMAS: Final = (
    "must be a date of",  # no schema knows that there is no 31 June
    "must be a day written like",
    "must have at most 8 decimals",  # of a binary fraction, no multiple can be asked
    "message is empty",  # no pattern has a class for what is printable in all scripts
)
"""What fits the document and is refused all the same."""
DAY: Final = re.compile(r"20[0-9]{2}-0[1-9]-0[1-9]")
NAME: Final = re.compile(r"[!-~]{1,64}")
GOOD: Final = {
    "symbol": NAME,
    "underlying": NAME,
    "exchange": re.compile("NSE|BSE|NSE_INDEX|BSE_INDEX|CRYPTO"),
    "expiry_date": re.compile("[0-2][1-9]-?[A-Za-z]{3}-?[0-9]{2}"),
    "start_date": DAY,
    "end_date": DAY,
}
REAL: Final = (
    {
        "symbol": "TCS",
        "exchange": "NSE",
        "start_date": "2025-06-02",
        "end_date": "2025-06-02",
    },
    {"symbol": "TCS", "exchange": "NSE"},
    {"underlying": "NIFTY", "exchange": "NSE_INDEX", "expiry_date": "26JUN25"},
)
"""What is put in the place of generated names that mean nothing here, so that more is reached."""
DOCUMENT: Final = document(DESCRIBED)
SCHEMA: Final = schemathesis.openapi.from_dict(DOCUMENT, config=CONFIG)
Case = schemathesis.Case[Any]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server whose lists of instruments end after some rows: each is sent a hundred times."""
    with running() as one, pytest.MonkeyPatch.context() as patch:
        lists: Any = type(one.host.master_contracts.current)
        places = lists.places
        patch.setattr(lists, "places", lambda self, exchange: places(self, exchange)[:20])
        asha = one.keys.known[ACCOUNT_KEY].user
        one.wait_for(one.host.notices.add(asha, "phone", "fake://phone"))
        yield one


@pytest.fixture(scope="module")
def kept_open() -> Iterator[requests.Session]:
    """One connection for thousands of calls."""
    with requests.Session() as session:
        yield session


@SCHEMA.hook("map_body")
def known_to_this_server(_context: object, body: object) -> object:
    """Names of what is listed, for generated ones; and no key, as the header has the right one."""
    if not isinstance(body, dict):
        return body
    kept = {
        name: [known_to_this_server(_context, one) for one in value]
        if isinstance(value, list)
        else value
        for name, value in body.items()
        if name != "apikey" or not isinstance(value, str)
    }
    for real in REAL:
        if all(is_good(name, kept.get(name)) for name in real):
            return {**kept, **real}
    return kept


def is_good(name: str, value: object) -> bool:
    """Whether the field is such that another value in its place changes nothing for the check."""
    return isinstance(value, str) and GOOD[name].fullmatch(value) is not None


@SCHEMA.parametrize()
def test_the_server_does_what_the_document_says(
    case: Case, served: Served, kept_open: requests.Session
) -> None:
    """Every check of schemathesis, over what the document allows and what it forbids."""
    answer = case.call(base_url=served.url, headers=HEADERS, session=kept_open)
    case.validate_response(answer)
    is_allowed = case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE
    if answer.status_code == 400 and is_allowed:
        refused_for_more_than_fields(case)


def refused_for_more_than_fields(case: Case) -> None:
    """Fails where the fields of a request that fits the document are refused."""
    name = case.path.removeprefix(f"{PREFIX}/")
    if case.method != "POST" or not isinstance(case.body, dict):
        return
    said = ""
    try:
        parse(ENDPOINTS[name].model, case.body)
    except Invalid as error:
        said = error.message
    assert said == "" or any(phrase in said for phrase in BEYOND_SCHEMAS), (name, said)


def test_the_document_is_served_to_anybody(shared_server: Served) -> None:
    answer = httpx.get(f"{shared_server.url}{PREFIX}/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == DOCUMENT


def test_the_document_is_openapi() -> None:
    """By the schema that OpenAPI has for its documents."""
    assert DOCUMENT["openapi"] == "3.1.0"
    SCHEMA.validate()


def test_the_document_has_every_route_and_no_other() -> None:
    routes = {
        (route.method, route.path) for route in ROUTES if not route.path.endswith("{rest:path}")
    }
    said = {(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item}
    assert said == routes


def test_every_field_that_is_read_is_in_the_document() -> None:
    for name, one in ENDPOINTS.items():
        said = DOCUMENT["paths"][f"{PREFIX}/{name}"]["post"]["requestBody"]["content"]
        fields = {field.alias or key for key, field in one.model.model_fields.items()}
        assert said["application/json"]["schema"]["properties"].keys() >= fields


def test_every_operation_says_what_it_does() -> None:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            assert operation["summary"], (method, path)
            assert not operation.get("description", "-").startswith("\n"), (method, path)


def test_names_in_the_document_are_short_and_in_use() -> None:
    text = orjson.dumps(DOCUMENT).decode()
    for name in DOCUMENT["components"]["schemas"]:
        assert "__" not in name
        assert f'"#/components/schemas/{name}"' in text


BY_OTHER_METHODS = [
    ("GET", "placeorder", "POST"),
    ("PUT", "placeorder", "POST"),
    ("OPTIONS", "placeorder", "POST"),
    ("DELETE", "instruments", "GET, HEAD, POST"),
    ("POST", "ticker/NSE:TCS", "GET, HEAD"),
    ("POST", "openapi.json", "GET, HEAD"),
]


@pytest.mark.parametrize(("method", "name", "allowed"), BY_OTHER_METHODS)
def test_another_method_is_refused_with_those_that_are_there(
    shared_server: Served, method: str, name: str, allowed: str
) -> None:
    answer = httpx.request(method, f"{shared_server.url}{PREFIX}/{name}", headers=HEADERS)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.json()["status"] == "error"


def test_what_the_limits_and_the_guard_refuse_is_in_the_document(server: Served) -> None:
    """Schemathesis is let through both."""
    server.limit(API=1)
    url = f"{server.url}{PREFIX}/funds"
    answers = [
        requests.post(url, json={"apikey": "wrong"}, timeout=30),
        requests.post(url, data=b" " * 2_000_000, timeout=30),
        *(requests.post(url, json={}, headers=HEADERS, timeout=30) for _ in range(2)),
    ]
    assert [answer.status_code for answer in answers] == [403, 413, 200, 429]
    for answer in answers:
        SCHEMA[f"{PREFIX}/funds"]["POST"].validate_response(answer)
    assert answers[-1].headers["retry-after"] == "1"


ODD_BODIES = [
    b"", b"null", b"NaN", b'{"symbol":NaN}', b'{"quantity":Infinity}', b"{} {}", b"\xef\xbb\xbf{",
    "{}".encode("utf-16"), b'{"symbol":"\\ud800"}', b'{"symbol":"\xed\xa0\x80"}',
    b"[" * 100_000, b'{"orders":' * 50_000, b'{"a":' * 900 + b"1" + b"}" * 900,
]  # fmt: skip
ODD_VALUES = [
    b'"A\\u0000B"', b'"\\u202eA"', b'"\\ufffe"', b"1e999", b"-1e999", b"9" * 400, b"1" + b"0" * 30,
    b'"' + b"9" * 5_000 + b'"', b"1e-320", b"-0.0", b"[[[[]]]]", b'{"a":{"a":{}}}', b"true",
    b"null",
]  # fmt: skip


def assert_answered(answer: httpx.Response, about: object) -> None:
    """A success or a sentence, never a fault."""
    assert answer.status_code < 500, (about, answer.text)
    body = answer.json()
    assert body["status"] == ("success" if answer.status_code == 200 else "error"), about
    if answer.status_code != 200:
        assert re.fullmatch(r"[^\x00]{8,}\.", body["message"]), (about, body)


@pytest.mark.parametrize("name", sorted(ENDPOINTS))
def test_odd_input_gets_a_sentence(served: Served, name: str) -> None:
    """NUL, endless numbers, half surrogates, a thousand levels: in a body, and in each field."""
    with httpx.Client(base_url=f"{served.url}{PREFIX}/", headers=HEADERS) as client:
        for body in ODD_BODIES:
            assert_answered(client.post(name, content=body), (name, body[:40]))
        fields = [*ENDPOINTS[name].model.model_fields, "idempotency_key"]
        for first, value in enumerate(ODD_VALUES):
            body = b'{"symbol":"TCS","exchange":"NSE","action":"BUY","quantity":1,"%b":%b}'
            one = body % (fields[first % len(fields)].encode(), value)
            turned = [ODD_VALUES[(first + place) % len(ODD_VALUES)] for place in range(len(fields))]
            pairs = (b'"%b":%b' % (f.encode(), v) for f, v in zip(fields, turned, strict=True))
            for sent in (one, b"{%b}" % b",".join(pairs)):
                assert_answered(client.post(name, content=sent), (name, sent[:400]))

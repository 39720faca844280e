"""The page of compatibility is true: of the client's methods, their parameters and their fields."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Final

import openalgo
import pytest

from algohost.web.api_v1 import ENDPOINTS
from tests.api.client_methods import BOTH, FEED, FIELDS, NOT_HERE, SECOND_ONLY
from tests.api.compatibility import BEHAVIOUR, PAGE, WHY, here, page, unexplained

OTHER_PYTHON: Final = os.environ.get("ALGOHOST_OTHER_CLIENT")
OTHER_NAMES: Final = {"order_id": "orderid", "price_type": "pricetype"}
"""Parameters that the client sends by another name."""
IGNORED: Final = {
    ("optionsymbol", "strategy"),
    ("optionsymbol", "strike_int"),
    ("optionsorder", "strike_int"),
    ("optionsmultiorder", "strike_int"),
}
"""Parameters that are sent and not read; the page says so of each."""
OF_THE_CLIENT: Final = {("whatsapp", name) for name in ("to", "image", "document")} | {
    ("whatsapp", "caption"),
    ("whatsapp", "filename"),
}
"""Parameters that the client makes other fields of, which are refused with a sentence."""
LISTING: Final = """
import inspect, json, openalgo
methods = {
    name: list(inspect.signature(one).parameters)[1:]
    for name, one in inspect.getmembers(openalgo.api, inspect.isfunction)
    if not name.startswith("_")
}
print(json.dumps({"version": openalgo.__version__, "methods": methods}))
"""


def listed(python: str) -> dict[str, Any]:
    """The public methods of that interpreter's client, with their parameters."""
    ran = subprocess.run([python, "-c", LISTING], capture_output=True, text=True, check=True)
    said: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return said


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(sys.executable, id="this"),
        pytest.param(
            OTHER_PYTHON,
            id="other",
            marks=pytest.mark.skipif(
                OTHER_PYTHON is None, reason="ALGOHOST_OTHER_CLIENT names no other Python"
            ),
        ),
    ],
)
def client(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A client's methods."""
    return listed(request.param)


def methods_of(version: str) -> Mapping[str, str]:
    """What the page says that the client of that version has."""
    return BOTH if version.startswith("1.") else {**BOTH, **SECOND_ONLY}


def test_the_page_is_what_these_facts_make_of_it() -> None:
    """Write it anew with ``python -m tests.api.compatibility``."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_the_page_has_every_method_of_the_client_and_no_other(client: dict[str, Any]) -> None:
    assert sorted(client["methods"]) == sorted(methods_of(client["version"]))


def test_every_parameter_is_read_or_said_to_be_ignored(client: dict[str, Any]) -> None:
    unread = set()
    for name, endpoint in methods_of(client["version"]).items():
        if endpoint in {FEED, NOT_HERE}:
            continue
        model = ENDPOINTS[endpoint].model
        fields = {field.alias or key for key, field in model.model_fields.items()}
        sent = {OTHER_NAMES.get(one, one) for one in client["methods"][name] if one != "kwargs"}
        unread |= {(name, one) for one in sent - fields}
    expected = {one for one in IGNORED | OF_THE_CLIENT if one[0] in client["methods"]}
    assert unread == expected


@pytest.mark.parametrize(("method", "parameter"), sorted(IGNORED))
def test_the_page_says_what_is_ignored(method: str, parameter: str) -> None:
    assert f"`{parameter}`" in BEHAVIOUR[method]
    assert "ignored" in BEHAVIOUR[method]


@pytest.mark.parametrize("endpoint", sorted(FIELDS))
def test_every_field_that_differs_says_why(endpoint: str) -> None:
    assert unexplained(endpoint) == []


def test_every_endpoint_that_a_method_reaches_has_its_fields() -> None:
    reached = set({**BOTH, **SECOND_ONLY}.values()) - {FEED, NOT_HERE}
    assert reached == set(FIELDS)
    assert all(here(endpoint) for endpoint in reached)


def test_no_reason_is_left_over() -> None:
    """What was explained and is the same by now would be a lie."""
    text = page()
    assert [reason for reason in WHY.values() if reason not in text] == []
    assert set(BEHAVIOUR) <= {**BOTH, **SECOND_ONLY}.keys()


def test_the_version_of_the_head_is_the_one_that_is_installed() -> None:
    assert openalgo.__version__ in page()

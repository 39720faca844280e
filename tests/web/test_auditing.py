"""The audit's page and routes, without a browser; who may see it is in the table of routes."""

import csv
import io

import pytest

from algohost.domain.errors import Unauthorized
from tests.web.conftest import People
from tests.web.world import World


def test_what_people_do_is_there_with_their_names_and_no_secret(
    world: World, people: People
) -> None:
    browser, strategy_id = world.browser(people.admin), people.strategy.strategy.id
    for kind, name, value in (("variable", "LOTS", "2"), ("secret", "PIN", "canary-4711-secret")):
        answer = browser.post(f"/python/{kind}/{strategy_id}", {"name": name, "value": value})
        assert answer.status == 200
    page = browser.page("/audit", query=f"subject={strategy_id}").text
    for shown in ("strategy added", "variables set", "secret set", "user:asha", "LOTS", "PIN"):
        assert shown in page, shown
    exported = browser.page("/audit/export").text
    assert "canary-4711" not in page + exported
    acts = [row["act"] for row in csv.DictReader(io.StringIO(exported))]
    assert acts[:2] == ["user_added", "user_added"]
    assert "login" in acts


def test_the_chain_is_checked_on_the_page(world: World, people: People) -> None:
    page = world.browser(people.admin).page("/audit", query="check=1").text
    assert "entries are as they were written" in page


def test_entries_come_page_by_page(world: World, people: People) -> None:
    browser = world.browser(people.admin)
    newest = browser.page("/audit/entries", query="limit=2").json()["entries"]
    before = newest[0]["number"]
    older = browser.page("/audit/entries", query=f"limit=2&before={before}").json()["entries"]
    assert [one["number"] for one in older + newest] == list(range(before - 2, before + 2))


def test_a_number_that_is_none_is_refused_in_a_sentence(world: World, people: People) -> None:
    answer = world.browser(people.admin).page("/audit", query="before=x")
    assert answer.status == 400
    assert "write a whole number from 0" in answer.text


def test_a_failed_login_is_there_and_its_password_is_not(world: World, people: People) -> None:
    browser, identity = world.browser(people.admin), world.host.identity
    for name in ("ravi", "nobody"):
        with pytest.raises(Unauthorized):
            world.run(identity.log_in(name, "canary-4711 was wrong", "10.0.0.9"))
    world.run(identity.close())  # what is written later is written
    found = browser.page("/audit/entries", query="limit=2").json()["entries"]
    assert [(one["act"], one["by"], one["subject"]) for one in found] == [
        ("login_failed", "peer:10.0.0.9", "ravi"),
        ("login_failed", "peer:10.0.0.9", "nobody"),
    ]
    assert "canary-4711" not in browser.page("/audit/export").text


def test_a_new_strategy_was_not_stopped_by_anybody(world: World, people: People) -> None:
    """Its first intent is that it rests, which nobody has asked for."""
    world.run(world.host.audit.catch_up())
    query = f"subject={people.strategy.strategy.id}"
    found = world.browser(people.admin).page("/audit/entries", query=query).json()["entries"]
    assert [one["act"] for one in found] == ["strategy_added"]

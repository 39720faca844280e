"""Notification targets over HTTP: write-only addresses, each user's own."""

from typing import Any

import pytest

from tests.web.conftest import People
from tests.web.world import World

NOTICES = "/api/notices"
CANARY = "canary-5e0d-in-the-mine"
TARGET = {"name": "phone", "url": f"fake://{CANARY}"}


def test_a_target_is_added_tested_and_removed_and_its_address_never_shown(
    world: World, people: People
) -> None:
    browser, other = world.browser(people.owner), world.browser(people.other)
    said = []
    added = browser.post(f"{NOTICES}/targets", TARGET)
    said.append(added.text)
    (target,) = added.json()["targets"]
    assert added.json()["message"].startswith("Messages go to phone (Fake) from now on.")
    assert (target["name"], target["service"]) == ("phone", "Fake")
    assert set(target) == {"id", "name", "service", "added_at"}
    tested = browser.post(f"{NOTICES}/targets/test", {})
    assert tested.json()["message"] == "1 of 1 targets took the test message."
    world.courier.reason = "The service is down."
    failed = browser.post(f"{NOTICES}/targets/test", {"name": "phone"}).json()["tested"]
    assert failed == [{"name": "phone", "arrived": False, "reason": "The service is down."}]
    world.run(world.host.notices.send(people.owner.id, "ema", "Bought.", 7))
    world.run(world.host.notices.step())
    shown = browser.get(NOTICES)
    (latest,) = shown.json()["latest"]
    assert (latest["target"], latest["title"], latest["state"], latest["tries"]) == (
        "phone", "ema", "waiting", 1,
    )  # fmt: skip
    assert "body" not in latest
    said += [shown.text, tested.text]
    assert other.get(NOTICES).json()["targets"] == []
    assert other.post(f"{NOTICES}/targets/remove", {"name": target["id"]}).status == 404
    removed = browser.post(f"{NOTICES}/targets/remove", {"name": "phone"})
    assert (removed.status, removed.json()["targets"]) == (200, [])
    assert CANARY not in "".join(said)
    assert world.courier.letters[0].url == TARGET["url"]


BAD: list[tuple[str, dict[str, Any], int, str]] = [
    ("targets", {"name": "phone"}, 400, "url is missing"),
    ("targets", {"name": "phone", "url": 5}, 400, "url"),
    ("targets", {"name": "phone", "url": f"other://{CANARY}"}, 400, "not one of fake"),
    ("targets", {"name": " ", "url": TARGET["url"]}, 400, "a name of 1 to 60"),
    ("targets/remove", {"name": "nobody"}, 404, "no notification target of that name"),
    ("targets/test", {}, 409, "add a notification target"),
]


@pytest.mark.parametrize(("path", "body", "status", "part"), BAD)
def test_what_is_refused_repeats_no_address(
    world: World, people: People, path: str, body: dict[str, Any], status: int, part: str
) -> None:
    answer = world.browser(people.owner).post(f"{NOTICES}/{path}", body)
    assert answer.status == status
    assert part in answer.json()["message"]
    assert CANARY not in answer.text

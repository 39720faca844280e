"""The JSON routes of settings, variables and secrets (S4, S14; S7 and S12 are in test_access)."""

import json

import pytest

from algohost.domain.strategy_settings import StrategySettings
from algohost.web.app import ROUTES
from algohost.web.settings import complete
from tests.web.asgi import Answer, Browser
from tests.web.conftest import People
from tests.web.world import World

CANARY = "canary-5e0d-in-the-mine"


@pytest.fixture
def strategy_id(people: People) -> str:
    return str(people.strategy.strategy.id)


@pytest.fixture
def browser(world: World, people: People) -> Browser:
    """The owner's, who is no administrator."""
    return world.browser(people.owner)


def test_a_new_strategy_has_the_defaults_and_nothing_else(
    browser: Browser, strategy_id: str
) -> None:
    answer = browser.get(f"/python/settings/{strategy_id}").json()
    assert answer == {
        "success": True,
        "message": "",
        "settings": complete(StrategySettings()),
        "variables": [],
        "secrets": [],
    }


def test_settings_that_are_sent_change_and_others_stay(
    world: World, people: People, browser: Browser, strategy_id: str
) -> None:
    path = f"/python/settings/{strategy_id}"
    first = browser.post(path, {"ports": [443], "memory_mb": 512})
    assert first.json()["message"] == "The settings were saved. This applies from the next start."
    second = browser.post(path, {"restart": "always"}).json()
    wanted = StrategySettings.from_json({"ports": [443], "memory_mb": 512, "restart": "always"})
    assert second["settings"] == complete(wanted)
    assert world.host.strategies.get(people.owner, strategy_id).strategy.settings == wanted


@pytest.mark.parametrize(
    ("body", "status", "field", "sentence"),
    [
        ({"memory_mb": -1}, 400, "memory_mb", "The memory limit in MB must be a whole number"),
        ({"memory_mb": None}, 400, "memory_mb", "The memory limit in MB must be a whole number"),
        ({"memory_mb": True}, 400, "memory_mb", "The memory limit in MB must be a whole number"),
        ({"memory_mb": 1.5}, 400, "memory_mb", "The memory limit in MB must be a whole number"),
        ({"ports": [0]}, 400, "ports", "“0” is not a TCP port; a port is 1 to 65535."),
        ({"ports": ["http"]}, 400, "ports", "“http” is not a TCP port"),
        ({"ports": 443}, 400, "ports", "The setting ports is not a list."),
        ({"ports": [*range(1, 70)]}, 400, "ports", "At most 64 can be listed"),
        ({"readable": ["data"]}, 400, "readable", "give an absolute path below /"),
        ({"readable": ["/"]}, 400, "readable", "give an absolute path below /"),
        ({"readable": [1]}, 400, "readable", "A readable folder is given as text."),
        ({"restart": "often"}, 400, "restart", "choose never, on_failure, always"),
        ({"restart": ["never"]}, 400, "restart", "choose never, on_failure, always"),
        ({"restart": {}}, 400, "restart", "choose never, on_failure, always"),
        ({"memory_mb": 0}, 403, "memory_mb", "can be set to 8192 MB at most; 0, which is no limit"),
        ({"log_mb": 1_048_576}, 403, "log_mb", "can be set to 1024 MB at most; 1048576 MB is more"),
        ({"is_confined": "no"}, 400, "is_confined", "is not true or false"),
        ({"is_confined": False}, 403, "is_confined", "Only an administrator may switch"),
        ({"readable": ["/srv"]}, 403, "readable", "Only an administrator may let"),
        ({"colour": "red"}, 400, None, "There is no setting “colour”."),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_its_field(
    browser: Browser,
    strategy_id: str,
    body: dict[str, object],
    status: int,
    field: str | None,
    sentence: str,
) -> None:
    answer = browser.post(f"/python/settings/{strategy_id}", body)
    refusal = answer.json()
    assert answer.status == status
    assert sentence in refusal["message"]
    assert refusal.get("details", {}).get("field") == field
    kept = browser.get(f"/python/settings/{strategy_id}").json()["settings"]
    assert kept == complete(StrategySettings())


def test_an_administrator_may_name_folders_but_not_the_servers_own(
    world: World, people: People, strategy_id: str
) -> None:
    browser = world.browser(people.admin)
    path = f"/python/settings/{strategy_id}"
    assert browser.post(path, {"readable": ["/srv/data"]}).status == 200
    data = str(world.host.settings.data_dir)
    refused = browser.post(path, {"readable": [data]})
    assert (refused.status, refused.json()["details"]) == (400, {"field": "readable"})


def test_variables_are_shown_and_secrets_only_named(browser: Browser, strategy_id: str) -> None:
    browser.post(f"/python/variable/{strategy_id}", {"name": "SYMBOL", "value": "SBIN"})
    told = browser.post(f"/python/secret/{strategy_id}", {"name": "TOKEN", "value": CANARY}).json()
    at = "2025-06-02T04:00:00.000+00:00"
    assert told["message"] == "The secret TOKEN was set. This applies from the next start."
    assert told["variables"] == [{"name": "SYMBOL", "value": "SBIN", "changed_at": at}]
    assert told["secrets"] == [{"name": "TOKEN", "changed_at": at}]
    assert browser.get(f"/python/settings/{strategy_id}").json()["secrets"] == told["secrets"]
    removed = browser.post(f"/python/secret/{strategy_id}/delete", {"name": "TOKEN"}).json()
    assert (removed["message"].split(".")[0], removed["secrets"]) == (
        "The secret TOKEN was removed",
        [],
    )
    removed = browser.post(f"/python/variable/{strategy_id}/delete", {"name": "SYMBOL"}).json()
    assert removed["variables"] == []


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("variable", {"name": "2FA", "value": "x"}, 400, "BAD_NAME"),
        ("variable", {"name": "PATH", "value": "x"}, 400, "BAD_NAME"),
        ("variable", {"name": "A", "value": "x" * 32_769}, 400, "BAD_VALUE"),
        ("variable", {"name": "A", "value": "x" * 300_000}, 413, "TOO_LARGE"),
        ("variable", {"name": "A", "value": 1}, 400, "BAD_FIELDS"),
        ("variable", {"name": "A"}, 400, "BAD_FIELDS"),
        ("secret", {"name": "A", "value": "12345"}, 400, "BAD_VALUE"),
        ("secret", {"name": "SYMBOL", "value": CANARY}, 409, "OTHER_KIND"),
        ("secret/delete", {"name": "SYMBOL"}, 404, "NO_SECRET"),
        ("variable/delete", {"name": "NONE"}, 404, "NO_VARIABLE"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_a_code(
    browser: Browser, strategy_id: str, path: str, body: dict[str, object], status: int, code: str
) -> None:
    browser.post(f"/python/variable/{strategy_id}", {"name": "SYMBOL", "value": "SBIN"})
    kind, _, verb = path.partition("/")
    answer = browser.post(f"/python/{kind}/{strategy_id}" + (f"/{verb}" if verb else ""), body)
    assert (answer.status, answer.json()["error_code"]) == (status, code)


def test_a_change_while_it_runs_says_that_the_run_keeps_what_it_has(
    world: World, people: People, browser: Browser, strategy_id: str
) -> None:
    browser.post(f"/python/start/{strategy_id}")
    world.settle(people.strategy.strategy.id)
    told = browser.post(f"/python/variable/{strategy_id}", {"name": "SYMBOL", "value": "SBIN"})
    assert "The run that is on keeps what it has" in told.json()["message"]


def test_a_secret_is_in_no_answer_of_any_route(
    world: World, people: People, strategy_id: str
) -> None:
    """Bar S4: every route of the table as its owner, the answers to bad requests among them."""
    browser = world.browser(people.admin)
    answers: list[Answer] = []
    for name, value in (("TOKEN", CANARY), (CANARY, "123456"), ("A", f"{CANARY}\0"), ("2", CANARY)):
        answers.append(
            browser.post(f"/python/secret/{strategy_id}", {"name": name, "value": value})
        )
    browser.post(f"/python/start/{strategy_id}")
    world.settle(people.strategy.strategy.id)
    assert [spec.secrets for spec in world.keeper.specs.values()] == [{"TOKEN": CANARY}]
    for body in (f'{{"name": "A", "value": ["{CANARY}"]}}', f'"{CANARY}"', f"{{{CANARY}"):
        kind = {"content-type": "application/json"}
        answers.append(browser.ask("POST", f"/python/secret/{strategy_id}", body.encode(), kind))
    for route in ROUTES:
        if route.method == "GET":
            path = route.path.replace("{strategy_id}", strategy_id).replace("{run_id}", "0" * 16)
            answers += [browser.get(path), browser.page(path)]
    assert {200, 303, 400, 404} <= {answer.status for answer in answers}
    leaks = [a for a in answers if CANARY in a.text or CANARY in json.dumps(a.headers)]
    assert leaks == []

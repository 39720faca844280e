"""The logs of runs over HTTP: download, lines around a place, search; for their owner only."""

import os
from pathlib import Path
from urllib.parse import quote

import pytest

from algohost.domain.runs import Run
from algohost.host.logs import Logs
from algohost.runner.log_holes import drop_before
from tests.web.asgi import Answer, Browser
from tests.web.conftest import People
from tests.web.world import World

LINES = [f"2025-06-02 09:30:{i:02d} IST line {i}" for i in range(60)]
TEXT = "".join(f"{line}\n" for line in LINES)


@pytest.fixture
def run(world: World, people: People) -> Run:
    """A live run with a log of sixty lines."""
    strategy_id = people.strategy.strategy.id
    world.run(world.host.strategies.start(people.owner, strategy_id))
    world.settle(strategy_id)
    found = world.host.strategies.get(people.owner, strategy_id).latest
    assert found is not None
    path_of(world, found).write_text(TEXT)
    return found


def get(browser: Browser, address: str) -> Answer:
    """The answer to an address with a query."""
    path, _, query = address.partition("?")
    return browser.ask("GET", path, query=query)


def path_of(world: World, run: Run) -> Path:
    return world.host.logs.path(run)


def test_a_log_is_downloaded_as_a_text_file(world: World, people: People, run: Run) -> None:
    answer = get(world.browser(people.owner), f"/python/log/{run.strategy_id}/{run.id}")
    assert (answer.status, answer.text) == (200, TEXT)
    assert answer.header("content-type") == "text/plain; charset=utf-8"
    expected = f"attachment; filename*=UTF-8''{quote(run.log_name)}"
    assert answer.header("content-disposition") == expected


def test_a_download_says_what_was_dropped_and_has_no_hole_in_it(
    world: World, people: People, run: Run
) -> None:
    path = path_of(world, run)
    path.write_text(TEXT * 10)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    drop_before(descriptor, len(TEXT) * 9)
    os.close(descriptor)
    answer = get(world.browser(people.owner), f"/python/log/{run.strategy_id}/{run.id}")
    words = f"[{len(TEXT) * 9} bytes of earlier output were dropped]\n"
    assert answer.text == words + TEXT


def test_a_place_in_a_log_is_shown_with_the_lines_around_it(
    world: World, people: People, run: Run
) -> None:
    at = TEXT.index(LINES[30])
    path = f"/python/lines/{run.strategy_id}/{run.id}"
    answer = get(world.browser(people.owner), f"{path}?at={at}").json()
    assert answer["lines"] == LINES
    assert answer["offsets"][30] == at
    assert (answer["has_log"], answer["kept"]) == (True, False)
    refused = get(world.browser(people.owner), f"{path}?at=-1")
    assert (refused.status, refused.json()["error_code"]) == (400, "INVALID")


def test_the_last_lines_of_a_run_whose_log_is_gone_are_those_that_were_kept(
    world: World, people: People, run: Run
) -> None:
    """Promise 7."""
    path = f"/python/lines/{run.strategy_id}/{run.id}"
    browser = world.browser(people.owner)
    assert get(browser, path).json()["lines"] == LINES
    world.keeper.exits(run.id, code=1)
    world.settle(run.strategy_id)
    path_of(world, run).unlink()
    logs = Logs(world.host.logs.folder, world.watcher, kept=lambda _id: ["the end"])
    world.host.logs = logs  # type: ignore[misc]
    answer = get(browser, path).json()
    assert (answer["lines"], answer["kept"]) == (["the end"], True)
    gone = get(browser, f"/python/log/{run.strategy_id}/{run.id}")
    assert (gone.status, gone.json()["error_code"]) == (404, "NO_LOG")


def test_a_search_finds_lines_of_all_runs_page_by_page(
    world: World, people: People, run: Run
) -> None:
    browser, path = world.browser(people.owner), f"/python/search/{run.strategy_id}"
    page = get(browser, f"{path}?q=line%205&limit=2&from=2025-06-02%2009:30&to=2025-06-03").json()
    assert [hit["text"] for hit in page["hits"]] == ["line 59", "line 58"]
    hit = page["hits"][0]
    assert (hit["run_id"], hit["at"], hit["offset"]) == (
        run.id,
        "2025-06-02 09:30:59",
        TEXT.index(LINES[59]),
    )
    more = get(browser, f"{path}?q=line%205&limit=2&cursor={page['cursor']}").json()
    assert [hit["text"] for hit in more["hits"]] == ["line 57", "line 56"]
    found = get(browser, f"{path}?q={quote('line [12]$')}&regex=1").json()
    assert [hit["text"] for hit in found["hits"]] == ["line 2", "line 1"]


REFUSED = ["", "q=x&level=loud", "q=x&limit=0", "q=x&limit=many", "q=(&regex=1", "q=x&from=then"]


@pytest.mark.parametrize("query", REFUSED)
def test_a_search_that_cannot_be_is_refused_in_a_sentence(
    world: World, people: People, run: Run, query: str
) -> None:
    answer = get(world.browser(people.owner), f"/python/search/{run.strategy_id}?{query}")
    assert answer.status == 400
    assert answer.json()["message"].endswith((".", ":"))


def test_nobody_but_the_owner_and_administrators_sees_a_line(
    world: World, people: People, run: Run
) -> None:
    ways = ("log/{}/{}", "lines/{}/{}", "search/{}?q=line")
    paths = [f"/python/{way.format(run.strategy_id, run.id)}" for way in ways]
    for path in paths:
        assert get(world.browser(people.other), path).status == 404
        assert get(world.browser(people.admin), path).status == 200
        assert get(world.browser(), path).status in {303, 401}


def test_a_run_of_another_strategy_is_not_reached_through_ones_own(
    world: World, people: People, run: Run
) -> None:
    own = world.strategy(people.other, "Mine").strategy.id
    for way in ("log", "lines"):
        answer = get(world.browser(people.other), f"/python/{way}/{own}/{run.id}")
        assert (answer.status, answer.json()["error_code"]) == (404, "NO_LOG")

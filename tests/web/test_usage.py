"""What a run uses, over HTTP: who may see it, and what is in it."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from algohost.domain.errors import NotFound
from algohost.domain.ids import RunId
from algohost.runner.measures import Usage, UsageSample
from algohost.store.samples import Sample
from algohost.web import usage
from algohost.web.live_hub import LiveHub
from algohost.web.usage import MOST_POINTS, points_of
from tests.web.conftest import People
from tests.web.world import World

AT = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


def samples(count: int, *, every: float = 30.0, share: float = 0.5) -> list[Sample]:
    return [
        Sample(
            run_id=RunId("r"),
            at=AT + timedelta(seconds=n * every),
            cpu_seconds=n * every * share,
            memory_bytes=1000 + n,
            threads=2,
            written_bytes=n,
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("who", ["owner", "admin"])
def test_the_owner_and_an_administrator_see_what_a_strategy_uses(
    world: World, people: People, who: str
) -> None:
    answer = world.browser(getattr(people, who)).get(f"/python/usage/{people.strategy.strategy.id}")
    assert answer.status == 200
    body = answer.json()
    assert (body["run_id"], body["is_live"], body["points"], body["events"]) == (
        None,
        False,
        [],
        [],
    )


def test_nobody_else_learns_that_there_is_such_a_strategy(world: World, people: People) -> None:
    """The owner rule of the table of routes."""
    path = f"/python/usage/{people.strategy.strategy.id}"
    assert world.browser(people.other).get(path).status == 404


def test_a_page_of_a_strategy_without_a_run_says_that_nothing_was_measured(
    world: World, people: People
) -> None:
    page = world.browser(people.owner).get(f"/python/{people.strategy.strategy.id}")
    assert "Measured while a run lives." in page.text
    assert "not measured yet" in page.text


def test_the_share_is_between_each_point_and_the_one_before() -> None:
    points = points_of(samples(3))
    assert [point["cpu"] for point in points] == [50.0, 50.0]
    assert points[-1] == {
        "at": int((AT.timestamp() + 60) * 1000),
        "cpu": 50.0,
        "memory": 1002,
        "threads": 2,
        "written": 2,
    }


def test_a_day_is_thinned_and_keeps_its_shares_and_its_end() -> None:
    day = samples(2880)
    points = points_of(day)
    assert MOST_POINTS // 2 < len(points) <= MOST_POINTS + 1
    assert all(point["cpu"] == 50.0 for point in points)
    assert points[-1]["memory"] == day[-1].memory_bytes


def test_where_nothing_was_measured_no_share_is_made_up() -> None:
    """The server was down for an hour."""
    before, after = samples(3), samples(3)
    later = [
        Sample(
            run_id=one.run_id,
            at=one.at + timedelta(hours=1),
            cpu_seconds=one.cpu_seconds + 1000,
            memory_bytes=1,
            threads=1,
            written_bytes=1,
        )
        for one in after
    ]
    assert [point["cpu"] for point in points_of([*before, *later])] == [
        50.0,
        50.0,
        None,
        50.0,
        50.0,
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_one_look_makes_no_line(count: int) -> None:
    assert points_of(samples(count)) == []


def test_a_tab_on_a_deleted_strategy_ends_and_spoils_nothing_for_the_others(
    world: World, people: People
) -> None:
    """R29: what is measured of every other run is still heard."""
    host, gone = world.host, people.strategy.strategy.id
    lives = world.strategy(people.owner, "Lives").strategy.id
    sent: list[Mapping[str, Any]] = []

    async def send(data: Mapping[str, Any]) -> None:
        sent.append(data)

    async def scenario() -> None:
        tab = asyncio.create_task(usage.topic(LiveHub(host), people.owner, gone, send))
        while not sent:
            await asyncio.sleep(0)
        view = await host.strategies.start(people.owner, lives)
        assert view.latest is not None
        await host.strategies.delete(people.owner, gone)
        sample = UsageSample(
            run_id=view.latest.id,
            cpu_seconds=1,
            waited_seconds=0,
            memory_bytes=1,
            memory_kind="pss",
            threads=1,
            processes=1,
            folder_bytes=0,
            log_bytes=0,
        )
        look = Usage(at=world.clock.now().timestamp(), monotonic=5.0, samples=(sample,))
        assert host.usage.hear(look) == (view.latest.id,)
        assert host.usage.failures == 0
        with pytest.raises(NotFound, match="deleted"):
            await asyncio.wait_for(tab, 10)
        assert host.usage.hear(look) == (view.latest.id,)

    world.run(scenario())
    assert len(sent) == 1

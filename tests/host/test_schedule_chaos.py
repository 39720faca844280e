"""Promise 5 over the real scheduler, reconciler and database: days of trouble, drawn at random.

``tests/domain/test_five_years`` lives through years with the decisions alone; this holds what is
around them to the same: memory, transactions, locks, restarts of the server.
"""

import asyncio
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from algohost.domain.errors import AlgohostError
from algohost.domain.expected import expected
from algohost.domain.instruments import Exchange
from algohost.domain.ledger import OccurrenceState
from algohost.domain.schedules import Schedule
from algohost.domain.strategies import Phase as StrategyPhase
from algohost.domain.strategies import Wanted
from algohost.store.tables import intents, runs
from tests.domain.test_timetable import schedule
from tests.host.harness import ASHA
from tests.host.scheduled import ScheduledHost

ACTS = (
    "next", "next", "next", "next", "next", "later", "crash", "long crash", "reboot",
    "back an hour", "ahead an hour", "gate", "gate", "start", "stop", "exit", "agent away",
    "agent back", "calendar",
)  # fmt: skip
SCHEDULES = [
    schedule("09:15 15:30"),
    schedule("09:15 11:00", "11:00 13:00", "22:00 02:00+", late="wait"),
    schedule("open+5 close-10"),
]


async def one_act(host: ScheduledHost, strategy_id: str, act: str) -> None:
    alive = host.keeper.alive()
    try:
        match act:
            case "next":
                known = host.scheduler._memory.find(host.view(strategy_id).strategy.id)
                look_at = known.look_at if known is not None else None
                if look_at is not None and look_at > host.clock.now():
                    host.clock.advance(look_at - host.clock.now())
            case "later":
                host.clock.advance(timedelta(minutes=47))
            case "crash":
                await host.crash(away=timedelta(seconds=2))
            case "long crash":
                await host.crash(away=timedelta(hours=29))
            case "reboot":
                host.keeper.reboots()
                await host.crash(away=timedelta(minutes=3))
            case "back an hour":
                host.clock.set(host.clock.now() - timedelta(hours=1))
            case "ahead an hour":
                host.clock.set(host.clock.now() + timedelta(hours=1))
            case "gate":
                host.broker.is_closed = not host.broker.is_closed
                host.gates.changed()
            case "start":
                await host.service.start(ASHA, strategy_id)
            case "stop":
                await host.service.stop(ASHA, strategy_id)
            case "exit" if alive:
                host.keeper.exits(alive[0], code=1, at=host.clock.now())
            case "agent away":
                host.keeper.is_away = True
            case "agent back":
                host.keeper.returns()
            case "calendar":
                host.calendars.fails = not host.calendars.fails
    except AlgohostError:
        pass  # refusals are right answers here


async def settled(host: ScheduledHost, strategy_id: str) -> None:
    """Everything answers: what is wanted comes to be, at this instant of the clock."""
    host.calendars.fails = host.broker.is_closed = False
    host.keeper.returns()

    def is_settled() -> bool:
        host.reconciler.look_at_all()
        for run_id in host.keeper.alive():
            if host.keeper.known[run_id].state == "stopping":
                host.keeper.exits(run_id, at=host.clock.now())
        view = host.view(strategy_id)
        is_wanted = view.strategy.intent.wanted is Wanted.RUNNING
        return view.phase in (
            {StrategyPhase.RUNNING, StrategyPhase.ERROR, StrategyPhase.STOPPED}
            if is_wanted
            else {StrategyPhase.STOPPED, StrategyPhase.ERROR}
        )

    for _ in range(3):  # what was lost is restored at the look after it was seen
        await host.look(host.clock.now() + timedelta(seconds=61))
        await host.until(is_settled, "what is wanted")


def check(host: ScheduledHost, made: Schedule, strategy_id: str) -> None:
    now, rows = host.clock.now(), {row.key: row for row in host.rows(strategy_id)}
    calendar = host.calendars.of(Exchange.NSE)
    strategy = host.view(strategy_id).strategy
    set_at = strategy.schedule_set_at
    assert set_at is not None
    due = [one for one in expected(made, calendar, set_at, set_at, now) if one.start_at < now]
    assert {one.key for one in due} <= rows.keys()
    for row in rows.values():
        assert (row.run_id is not None) == (row.state is OccurrenceState.STARTED), row
        assert row.state is not OccurrenceState.DUE or row.start_at <= now, row
    started = host.database.read(
        lambda c: c.execute(
            select(runs.c.intent_number)
            .join(
                intents,
                (intents.c.strategy_id == runs.c.strategy_id)
                & (intents.c.number == runs.c.intent_number),
            )
            .where(intents.c.by == "schedule", runs.c.attempt == 0)
        ).all()
    )
    assert len(started) == len(set(started)) <= sum(row.run_id is not None for row in rows.values())
    held = [one for one in due if one.holds(now)]
    alive = host.keeper.alive()
    assert len(alive) <= 1
    if alive and not held:
        assert strategy.intent.by.startswith("user:"), strategy.intent


@pytest.mark.timeout(180)
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(st.sampled_from(SCHEDULES), st.lists(st.sampled_from(ACTS), min_size=8, max_size=30))
def test_days_of_trouble_leave_one_outcome_for_each_start(made: Schedule, acts: list[str]) -> None:
    async def main() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with ScheduledHost(Path(folder)) as host:
                strategy_id = await host.scheduled(made)
                for act in acts:
                    await one_act(host, strategy_id, act)
                    await host.look()
                    assert len(host.keeper.alive()) <= 1, acts
                    await asyncio.sleep(0.003)
                await settled(host, strategy_id)
                check(host, made, strategy_id)

    asyncio.run(main())

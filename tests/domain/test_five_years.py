"""Promise 5 over five simulated years: a server that dies at any point, a clock that jumps, time
zones, closed gates, crashes, reboots and people: every expected start has exactly one outcome,
nothing runs outside of its window for more than a tick, and never two at once (R9, R10, R11)."""

from datetime import UTC, datetime

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from algohost.domain.calendars import Calendar
from algohost.domain.schedules import Late, Schedule
from algohost.domain.strategy_settings import Restart, StrategySettings
from tests.domain.five_years import Life, World
from tests.domain.test_timetable import CRYPTO, MCX, NSE, a_schedule, schedule

LIVES = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a life of years is not made shorter
)
START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2028, 12, 31, tzinfo=UTC)

SCHEDULES = [
    (schedule("09:15 15:30"), NSE),
    (schedule("09:15 11:00", "11:00 15:00", late="wait"), NSE),
    (schedule("open+5 close-10", special_days="follow"), MCX),
    (schedule("22:00 02:00+", zone="Europe/London"), CRYPTO),
    (schedule("01:30 02:30 sun mon", "20:00 23:59", zone="America/New_York"), CRYPTO),
    (schedule("01:45 04:00 sat sun", zone="Australia/Lord_Howe"), CRYPTO),
    (schedule("09:20 -"), NSE),
    (schedule(kind="always"), CRYPTO),
    (schedule(kind="always", last_day="2026-03-01"), CRYPTO),
]


def live_through(
    made: Schedule, calendar: Calendar, *, seed: int, restart: Restart, trouble: float
) -> World:
    world = World(made, calendar, START, seed, StrategySettings(restart=restart))
    Life(world, trouble=trouble).until(END)
    world.check_all(START)
    return world


@settings(LIVES, max_examples=12)
@given(
    chosen=st.sampled_from(SCHEDULES),
    seed=st.integers(0, 1 << 32),
    restart=st.sampled_from(Restart),
)
def test_every_expected_start_has_exactly_one_outcome(
    chosen: tuple[Schedule, Calendar], seed: int, restart: Restart
) -> None:
    live_through(*chosen, seed=seed, restart=restart, trouble=0.1)


@settings(LIVES, max_examples=6)
@given(
    drawn=a_schedule(),
    late=st.sampled_from(Late),
    seed=st.integers(0, 1 << 32),
    restart=st.sampled_from(Restart),
)
def test_that_holds_for_any_schedule_and_calendar(
    drawn: tuple[Schedule, Calendar], late: Late, seed: int, restart: Restart
) -> None:
    live_through(drawn[0], drawn[1], seed=seed, restart=restart, trouble=0.2)


def test_without_trouble_every_start_is_made_at_its_time() -> None:
    """And nothing is blocked, missed or stopped by anybody but the schedule."""
    world = live_through(schedule("09:15 15:30"), NSE, seed=1, restart=Restart.NEVER, trouble=0.0)
    published = [row for row in world.disk.rows.values() if row.start_at.year < 2028]
    assert {row.state.value for row in published} == {"started", "skipped"}
    lateness = [row.lateness_ms for row in published if row.lateness_ms is not None]
    assert max(lateness) <= 40
    unknown = [row for row in world.disk.rows.values() if row.start_at.year == 2028]
    assert {(row.state.value, row.gate_code) for row in unknown} == {("blocked", "TRADING_DAY")}

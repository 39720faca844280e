"""The list of the day: made when it is due, kept while a new one is made, tried again."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algohost.domain.errors import TooMany, Unavailable
from algohost.domain.ids import IST
from algohost.domain.instruments import Exchange, Instrument, InstrumentKey
from algohost.domain.master_contracts import ContractReport, ContractStatus, is_of_today
from algohost.domain.strategies import Gate, GateAction, Strategy
from algohost.host.master_contracts import (
    MASTER_CONTRACT,
    MASTER_CONTRACT_FAILED,
    MasterContracts,
)
from algohost.store import host_events
from algohost.store import master_contracts as kept
from algohost.store.database import Database, open_database
from algohost.testing.clock import FakeClock
from algohost.testing.contracts import FakeContracts, MemoryList

MONDAY_0915 = datetime(2026, 11, 23, 9, 15, tzinfo=IST)
RELIANCE = Instrument(
    key=InstrumentKey(exchange=Exchange.NSE, symbol="RELIANCE"), token="1037", name="Reliance"
)
ANY_STRATEGY: Strategy = None  # type: ignore[assignment] # the gate is the same for all


class World:
    """A host's list over a source that the test plays."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock(MONDAY_0915)
        self.database: Database = open_database(folder / "algohost.db")
        self.source = FakeContracts(self.clock, instruments=(RELIANCE,))
        self.restart()

    def restart(self) -> None:
        """Another server on the same data directory."""
        self.contracts = MasterContracts(
            clock=self.clock,
            database=self.database,
            source=self.source,
            first_look_seconds=0,
        )

    def step(self) -> ContractReport:
        asyncio.run(self.contracts.step())
        return self.contracts.report()

    def at(self, text: str) -> None:
        """Jumps the wall clock to a time of 23 November 2026, or to a date and time, in IST."""
        moment = datetime.fromisoformat(text if " " in text else f"2026-11-23 {text}")
        self.clock.set(moment.replace(tzinfo=IST))

    def gate(self) -> Gate | None:
        closed = asyncio.run(self.contracts.closed(ANY_STRATEGY))
        return closed[0] if closed else None

    def events(self) -> list[str]:
        return [one.kind for one in self.database.read(lambda c: host_events.of_subject(c, ""))]

    def row(self) -> ContractReport | None:
        return self.database.read(lambda c: kept.of(c, "paper"))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.database.close()


def test_a_first_server_makes_a_list_and_then_leaves_it_alone(world: World) -> None:
    assert world.contracts.report().status is ContractStatus.PENDING
    report = world.step()
    assert (report.status, report.is_ready, report.total_symbols) == (
        ContractStatus.SUCCESS,
        True,
        1,
    )
    assert report.last_updated == MONDAY_0915
    assert report.message == (
        "1 instruments, made 23 Nov 2026 09:15 IST; the next list is due 24 Nov 2026 08:00 IST."
    )
    assert world.row() == report
    world.step()
    assert world.source.fetched == 1


def test_symbols_can_be_searched_as_soon_as_the_list_is_there(world: World) -> None:
    assert (world.contracts.search("RELI"), world.contracts.find(RELIANCE.key)) == ([], None)
    world.step()
    assert world.contracts.search("RELI") == [RELIANCE]
    assert world.contracts.find(RELIANCE.key) == RELIANCE


def test_a_server_that_starts_again_takes_over_the_list_of_today(world: World) -> None:
    world.step()
    world.at("15:00")
    world.restart()
    assert world.step().is_ready
    assert world.source.fetched == 1


@pytest.mark.parametrize(
    ("made", "now", "fetched"),
    [
        ("08:00", "2026-11-24 07:59", 0),
        ("08:00", "2026-11-24 08:00", 1),
        ("07:59", "08:00", 1),
        ("09:15", "2026-11-28 11:00", 1),  # a Saturday
        ("2026-11-22 20:00", "2026-11-23 07:00", 0),  # made on a Sunday evening
        ("2026-11-25 10:00", "2026-11-23 10:00", 1),  # the clock was set back
    ],
)
def test_a_new_list_is_made_when_that_of_before_is_not_of_today(
    world: World, made: str, now: str, fetched: int
) -> None:
    world.at(made)
    world.source.kept = MemoryList(world.clock.now(), (RELIANCE,))
    world.at(now)
    assert world.step().is_ready
    assert world.source.fetched == fetched


def test_at_eight_the_list_of_yesterday_is_replaced_by_itself(world: World) -> None:
    world.step()
    world.at("2026-11-24 07:59")
    assert world.step().is_ready
    assert world.source.fetched == 1
    world.at("2026-11-24 08:00")
    assert not world.contracts.report().is_ready
    assert world.step().is_ready
    assert world.source.fetched == 2


def test_a_failed_download_keeps_the_old_list_for_search_and_says_so(world: World) -> None:
    world.step()
    world.at("2026-11-24 08:00")
    world.source.fail()
    report = world.step()
    assert (report.status, report.is_ready, report.total_symbols) == (
        ContractStatus.ERROR,
        False,
        1,
    )
    assert report.message == (
        "The master contract could not be downloaded: The broker does not answer. It is tried"
        " again by itself. The list of 23 Nov 2026 09:15 IST is used meanwhile."
    )
    assert world.contracts.search("RELI") == [RELIANCE]
    assert world.row() == report
    assert world.gate() is not None


def test_what_failed_is_tried_again_after_longer_and_longer_whiles(world: World) -> None:
    world.source.fail(6)
    for count, wait in enumerate((5, 15, 60, 300, 300, 300), start=1):
        world.step()
        assert world.source.fetched == count
        world.clock.advance(wait - 1)
        world.step()
        assert world.source.fetched == count
        world.clock.advance(1)
    assert world.step().is_ready
    assert world.source.fetched == 7


def test_asking_in_vain_again_and_again_makes_nobody_wait_longer(world: World) -> None:
    """Else who presses Download while the disk is full waits five minutes once it is not."""
    world.source.fail(5)
    world.step()
    for _ in range(4):
        world.contracts.download()
        world.step()
    world.clock.advance(5)
    assert world.step().is_ready
    assert world.events() == [MASTER_CONTRACT_FAILED]


def test_a_row_of_failures_is_one_event(world: World) -> None:
    world.source.fail(3)
    for _ in range(3):
        world.step()
        world.clock.advance(300)
    assert world.events() == [MASTER_CONTRACT_FAILED]
    assert world.step().is_ready
    world.source.fail()
    world.clock.advance(timedelta(days=1))
    world.step()
    assert world.events() == [MASTER_CONTRACT_FAILED] * 2


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Unavailable("The broker does not answer."), "The broker does not answer."),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device."),
        (KeyError("x"), "something went wrong in the server (KeyError)."),
    ],
)
def test_whatever_a_source_raises_is_a_failure_and_not_the_end(
    world: World, error: Exception, said: str
) -> None:
    world.source.failures = [error]
    report = world.step()
    assert report.status is ContractStatus.ERROR
    assert f"could not be downloaded: {said}" in report.message
    world.clock.advance(5)
    assert world.step().is_ready


def test_what_is_kept_and_cannot_be_read_is_made_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse() -> None:
        raise MemoryError

    monkeypatch.setattr(world.source, "stored", refuse)
    assert world.step().is_ready
    assert world.source.fetched == 1


def test_a_database_that_fails_keeps_no_list_from_being_used(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_write: object) -> None:
        raise Unavailable("The database is locked.")

    monkeypatch.setattr(world.database, "write", refuse)
    assert world.step().is_ready
    assert world.gate() is None


def test_the_gate_says_how_far_it_is_and_opens_by_itself(world: World) -> None:
    heard: list[ContractReport] = []

    async def watch() -> tuple[Gate | None, Gate | None, Gate | None]:
        world.source.gate = asyncio.Event()
        world.contracts.listen(heard.append)
        before = await world.contracts.closed(ANY_STRATEGY)
        job = asyncio.create_task(world.contracts.run())
        while not (heard and heard[-1].percent == 50):
            await asyncio.sleep(0)
        during = await world.contracts.closed(ANY_STRATEGY)
        world.source.gate.set()
        while not heard[-1].is_ready:
            await asyncio.sleep(0)
        after = await world.contracts.closed(ANY_STRATEGY)
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
        return before[0], during[0], after[0] if after else None

    before, during, after = asyncio.run(watch())
    assert before == Gate(
        code=MASTER_CONTRACT,
        sentence="Waiting for the master contract of today. The master contract has not been"
        " downloaded yet.",
        action=GateAction.DOWNLOAD,
    )
    assert during is not None
    assert "(50 %: half of it)" in during.sentence
    assert after is None
    assert [report.status for report in heard if report.is_ready] == [ContractStatus.SUCCESS]


def test_the_gate_waits_a_moment_for_what_is_kept_to_be_read(world: World) -> None:
    """A server that starts with a list of today never shows a closed gate for it."""
    world.step()
    contracts = MasterContracts(clock=world.clock, database=world.database, source=world.source)

    async def look() -> tuple[Gate, ...]:
        looking = asyncio.create_task(contracts.closed(ANY_STRATEGY))
        await asyncio.sleep(0)
        await contracts.step()
        return await looking

    assert asyncio.run(look()) == ()


def test_a_list_that_people_ask_for_is_made_one_at_a_time(world: World) -> None:
    async def ask() -> list[bool]:
        world.source.gate = asyncio.Event()
        job = asyncio.create_task(world.contracts.run())
        while not world.source.fetched:
            await asyncio.sleep(0)
        asked = [world.contracts.download(force=True).is_started for _ in range(3)]
        world.source.gate.set()
        while world.contracts.is_busy:
            await asyncio.sleep(0)
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
        return asked

    assert asyncio.run(ask()) == [False, False, False]
    assert world.source.fetched == 1


def test_a_list_of_today_is_made_anew_only_by_force_and_not_at_once_again(world: World) -> None:
    world.step()
    asked = world.contracts.download()
    assert (asked.is_started, "Nothing was downloaded" in asked.message) == (False, True)
    with pytest.raises(TooMany, match="only just now; ask again in 20 s"):
        world.contracts.download(force=True)
    world.clock.advance(19.9)
    with pytest.raises(TooMany, match="ask again in 1 s"):
        world.contracts.download(force=True)
    world.clock.advance(0.1)
    assert world.contracts.download(force=True).is_started
    assert not world.contracts.download(force=True).is_started
    world.step()
    assert world.source.fetched == 2


def test_a_list_by_force_that_failed_is_tried_again_while_that_of_today_serves(
    world: World,
) -> None:
    """The message promises it, and “error” must not stand until tomorrow."""
    world.step()
    world.clock.advance(20)
    world.source.fail()
    world.contracts.download(force=True)
    report = world.step()
    assert (report.status, report.is_ready, world.gate()) == (ContractStatus.ERROR, True, None)
    assert "tried again by itself" in report.message
    world.step()
    assert world.source.fetched == 2
    world.clock.advance(5)
    assert world.step().status is ContractStatus.SUCCESS
    assert world.source.fetched == 3


def test_asking_does_not_wait_for_the_next_attempt(world: World) -> None:
    world.source.fail()
    assert world.step().status is ContractStatus.ERROR
    assert world.contracts.download().is_started
    assert world.step().is_ready
    assert world.source.fetched == 2


def test_a_listener_that_fails_is_not_the_end(world: World) -> None:
    def broken(_report: ContractReport) -> None:
        raise RuntimeError("broken")

    world.contracts.listen(broken)
    assert world.step().is_ready


def ready_or_said(world: World) -> None:
    report = world.contracts.report()
    now, found = world.clock.now(), world.contracts.current
    assert report.is_ready == (found is not None and is_of_today(found.made_at, now))
    assert (world.gate() is None) == report.is_ready
    assert report.is_ready or report.status is not ContractStatus.SUCCESS


@settings(max_examples=25, deadline=None)
@given(
    moves=st.lists(
        st.one_of(
            st.tuples(st.just("advance"), st.integers(0, 200_000)),
            st.tuples(st.just("jump"), st.integers(-400_000, 400_000)),
            st.tuples(st.just("fail"), st.integers(1, 3)),
            st.tuples(st.just("restart"), st.just(0)),
        ),
        max_size=20,
    )
)
def test_whatever_the_clock_does_a_look_leaves_a_list_of_today_or_a_reason(
    moves: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = World(tmp_path_factory.mktemp("world"))
    acts: dict[str, Callable[[int], object]] = {
        "advance": world.clock.advance,
        "jump": lambda n: world.clock.set(world.clock.now().astimezone(UTC) + timedelta(seconds=n)),
        "fail": world.source.fail,
        "restart": lambda _: world.restart(),
    }
    for name, amount in moves:
        acts[name](amount)
        ready_or_said(world)
        world.step()
        ready_or_said(world)
    world.source.failures.clear()
    world.clock.advance(300)
    assert world.step().is_ready
    world.database.close()

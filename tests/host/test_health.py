"""Resource use as the server keeps it, and the flags that it puts on runs."""

import asyncio
import functools
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from algohost.agent.client import AgentUnavailable, Whereabouts
from algohost.domain.errors import Unavailable
from algohost.domain.health import Rules
from algohost.domain.ids import RunId
from algohost.domain.runs import Run
from algohost.domain.strategies import Phase
from algohost.domain.strategy_settings import StrategySettings
from algohost.host import usage
from algohost.host.health import Activity, HealthWatch
from algohost.host.usage import KEPT, UsageLog
from algohost.host.views import StrategyView
from algohost.runner.measures import CodeLine, Usage, UsageSample
from algohost.store import events as stored_events
from algohost.store import samples as stored_samples
from tests.host.harness import ASHA, HostUnderTest

MB = 1 << 20


def played(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs a test on an event loop of its own."""

    @functools.wraps(test)
    def run(**fixtures: object) -> None:
        async def main() -> None:
            await test(**fixtures)

        asyncio.run(main())

    return run


class PlayedAgent:
    """Says where a run is, and remembers what it was asked to stop."""

    def __init__(self) -> None:
        self.found = Whereabouts(stacks=(), problem="The run did not answer.")
        self.is_away = False
        self.meanwhile: Callable[[], None] = lambda: None
        """Happens while it is asked where a run is."""
        self.breaches: list[tuple[str, str]] = []

    async def where(self, run_id: RunId) -> Whereabouts:
        if self.is_away:
            raise AgentUnavailable("The agent does not answer.")
        self.meanwhile()
        return self.found

    async def breach(self, run_id: RunId, *, why: str) -> None:
        if self.is_away:
            raise AgentUnavailable("The agent does not answer.")
        self.breaches.append((run_id, why))


class Ward:
    """A host with one running strategy, whose figures a test makes up."""

    def __init__(self, host: HostUnderTest) -> None:
        self.host = host
        self.agent = PlayedAgent()
        self.activity = Activity(host.clock.monotonic)
        self.usage = UsageLog(host.clock, host.database, host.registry)
        self.health = HealthWatch(
            clock=host.clock,
            database=host.database,
            registry=host.registry,
            usage=self.usage,
            activity=self.activity,
            agent=self.agent,
            code_folder=lambda _run: "/data/code/v1",
            rules=Rules(busy_seconds=60),
        )
        self.cpu = 0.0

    async def start(self, **settings: object) -> StrategyView:
        view = await self.host.add()
        chosen = StrategySettings(**settings)  # type: ignore[arg-type]
        await self.host.service.configure(ASHA, view.strategy.id, asdict(chosen))
        await self.host.service.start(ASHA, view.strategy.id)
        await self.host.until(lambda: self.view.phase is Phase.RUNNING, "it runs")
        return self.view

    @property
    def view(self) -> StrategyView:
        (view,) = self.host.registry
        return view

    @property
    def run(self) -> Run:
        run = self.view.latest
        assert run is not None
        return run

    async def measure(
        self,
        seconds: float,
        *,
        share: float = 0.0,
        memory: float = 50,
        log: int = 10,
        is_throttled: bool = False,
    ) -> None:
        """Lets so much time pass and has the agent say what was used in it."""
        self.look(seconds, share=share, memory=memory, log=log, is_throttled=is_throttled)
        await self.health.settled()

    def look(
        self,
        seconds: float,
        *,
        share: float = 0.0,
        memory: float = 50,
        log: int = 10,
        is_throttled: bool = False,
    ) -> None:
        """The same, and what it leads to has not happened yet."""
        self.host.clock.advance(seconds)
        self.cpu += seconds * share
        sample = UsageSample(
            run_id=self.run.id,
            cpu_seconds=self.cpu,
            waited_seconds=0.0,
            memory_bytes=int(memory * MB),
            memory_kind="pss",
            threads=3,
            processes=1,
            folder_bytes=5,
            log_bytes=log,
            is_throttled=is_throttled,
        )
        self.health.hear(
            Usage(
                at=self.host.clock.now().timestamp(),
                monotonic=self.host.clock.monotonic(),
                samples=(sample,),
            )
        )

    def events(self) -> list[str]:
        """Kinds, oldest first."""
        rows: Sequence[stored_events.Event] = self.usage.events(self.run.id)
        return [row.kind for row in reversed(rows)]


@played
async def test_a_run_that_says_nothing_is_flagged_after_its_own_time(tmp_path: Path) -> None:
    async with HostUnderTest(tmp_path) as host:
        ward = Ward(host)
        await ward.start(silent_minutes=5)
        await ward.measure(5)
        await ward.measure(299)
        assert ward.view.flags == ()
        await ward.measure(5)
        assert "Silent for 5 min" in ward.view.sentence
        assert ward.view.phase is Phase.RUNNING
        assert ward.events() == ["silent"]


@pytest.mark.parametrize("sign", ["log", "call"])
@played
async def test_output_or_a_call_ends_the_silence(tmp_path: Path, sign: str) -> None:
    async with HostUnderTest(tmp_path) as host:
        ward = Ward(host)
        await ward.start(silent_minutes=5)
        await ward.measure(5)
        await ward.measure(301)
        if sign == "call":
            ward.activity.touch(ward.run.id)
        await ward.measure(1, log=20 if sign == "log" else 10)
        await ward.measure(31, log=20 if sign == "log" else 10)
        assert ward.view.flags == ()
        assert ward.events() == ["silent", "silent_over"]


@played
async def test_without_a_time_of_its_own_silence_is_no_ailment(tmp_path: Path) -> None:
    """A strategy may wait for a whole day."""
    async with HostUnderTest(tmp_path) as host:
        ward = Ward(host)
        await ward.start()
        for _ in range(3):
            await ward.measure(20_000)
        assert (ward.view.flags, ward.events()) == ((), [])


@played
async def test_a_busy_loop_is_flagged_with_its_file_and_line(tmp_path: Path) -> None:
    async with HostUnderTest(tmp_path) as host:
        ward = Ward(host)
        at_12 = (CodeLine(file="/data/code/v1/ema.py", line=12, function="spin"),)
        ward.agent.found = Whereabouts(stacks=(at_12, at_12), problem=None)
        await ward.start()
        for _ in range(14):
            await ward.measure(5, share=1.0)
        assert ward.view.sentence == (
            "Keeps a core busy: 100% or more for 60 s."
            " Most often at line 12 of ema.py, in spin (2 of 2 looks)."
        )
        assert ward.events() == ["busy"]
        assert ward.agent.breaches == []


@pytest.mark.parametrize("is_away", [True, False])
@played
async def test_a_busy_loop_whose_line_cannot_be_found_is_flagged_all_the_same(
    tmp_path: Path, is_away: bool
) -> None:
    async with HostUnderTest(tmp_path) as host:
        ward = Ward(host)
        ward.agent.is_away = is_away
        await ward.start()
        for _ in range(14):
            await ward.measure(5, share=1.0)
        why = "The agent does not answer." if is_away else "The run did not answer."
        assert ward.view.sentence.endswith(f"Its line is not known: {why}")


@played
async def test_a_throttled_run_says_so_until_it_is_let_go_and_is_not_stopped_for_it(
    tmp_path: Path,
) -> None:
    """R22. Being throttled is no illness, also where an unhealthy run is to be stopped."""
    async with HostUnderTest(tmp_path) as host:
        ward = Ward(host)
        await ward.start(stop_when_unhealthy=True)
        await ward.measure(5)
        await ward.measure(5, share=1.0, is_throttled=True)
        assert ward.view.sentence == (
            "It keeps a core busy, so it gets only what others leave until it has calmed down."
        )
        await ward.measure(5)
        assert (ward.view.flags, ward.agent.breaches) == ((), [])
        assert ward.events() == ["throttled", "throttled_over"]


@played
async def test_memory_that_grows_is_flagged_and_an_older_server_s_figures_count(
    tmp_path: Path,
) -> None:
    """The half hour before a restart of the server is on disk."""
    async with HostUnderTest(tmp_path) as host:
        ward = Ward(host)
        await ward.start()
        for minute in range(20):
            await ward.measure(60, memory=100 + 10 * minute)
        await ward.usage.flush()
        again = Ward(host)
        for minute in range(20, 33):
            await again.measure(60, memory=100 + 10 * minute)
        assert "Memory grows" in again.view.sentence


@played
async def test_a_run_is_stopped_for_its_health_only_where_its_settings_say_so(
    tmp_path: Path,
) -> None:
    async with HostUnderTest(tmp_path) as host:
        ward = Ward(host)
        await ward.start(silent_minutes=1, stop_when_unhealthy=True)
        await ward.measure(5)
        await ward.measure(61)
        ((run_id, why),) = ward.agent.breaches
        assert run_id == ward.run.id
        assert why.startswith("Stopped because it was unhealthy. Silent for 61 s")


@played
async def test_the_setting_counts_for_a_flag_that_is_up_already(tmp_path: Path) -> None:
    async with HostUnderTest(tmp_path) as host:
        ward = Ward(host)
        view = await ward.start(silent_minutes=1)
        await ward.measure(5)
        await ward.measure(61)
        assert (len(ward.view.flags), ward.agent.breaches) == (1, [])
        chosen = StrategySettings(silent_minutes=1, stop_when_unhealthy=True)
        await host.service.configure(ASHA, view.strategy.id, asdict(chosen))
        await ward.measure(5)
        assert [run_id for run_id, _ in ward.agent.breaches] == [ward.run.id]


@played
async def test_a_stop_that_the_agent_did_not_hear_is_asked_again(tmp_path: Path) -> None:
    async with HostUnderTest(tmp_path) as host:
        ward = Ward(host)
        await ward.start(silent_minutes=1, stop_when_unhealthy=True)
        ward.agent.is_away = True
        await ward.measure(5)
        await ward.measure(61)
        assert ward.agent.breaches == []
        ward.agent.is_away = False
        await ward.measure(5)
        assert [run_id for run_id, _ in ward.agent.breaches] == [ward.run.id]


@played
async def test_a_flag_that_only_lingers_stops_nothing(tmp_path: Path) -> None:
    """It was heard again: the flag stays for half a minute, the run goes on."""
    async with HostUnderTest(tmp_path) as host:
        ward = Ward(host)
        view = await ward.start(silent_minutes=1)
        await ward.measure(5)
        await ward.measure(61)
        chosen = StrategySettings(silent_minutes=1, stop_when_unhealthy=True)
        await host.service.configure(ASHA, view.strategy.id, asdict(chosen))
        await ward.measure(5, log=20)
        assert (len(ward.view.flags), ward.agent.breaches) == (1, [])


@played
async def test_a_run_that_is_no_longer_busy_is_neither_flagged_nor_stopped(tmp_path: Path) -> None:
    """It calmed down while the agent was asked for its line."""
    async with HostUnderTest(tmp_path) as host:
        ward = Ward(host)
        await ward.start(stop_when_unhealthy=True)
        ward.agent.meanwhile = lambda: ward.look(5, share=0.0)
        for _ in range(14):
            await ward.measure(5, share=1.0)
        assert (ward.view.flags, ward.agent.breaches) == ((), [])
        assert "busy" not in ward.events()


@played
async def test_a_listener_that_raises_does_not_end_the_watch(tmp_path: Path) -> None:
    """R29: one tab that went wrong must not blind the server to every run."""

    def broken(_run_id: RunId) -> None:
        raise RuntimeError("gone")

    async with HostUnderTest(tmp_path) as host:
        ward = Ward(host)
        await ward.start(silent_minutes=1)
        heard: list[RunId] = []
        ward.usage.listen(broken)
        ward.usage.listen(heard.append)
        await ward.measure(5)
        await ward.measure(61)
        assert (len(heard), ward.usage.failures) == (2, 2)
        assert [flag.ailment for flag in ward.view.flags] == ["silent"]


@pytest.mark.parametrize("is_written", [True, False])
@played
async def test_what_comes_during_a_write_is_neither_lost_nor_written_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_written: bool
) -> None:
    """Also where what waits is over its bound: then the oldest go."""
    async with HostUnderTest(tmp_path) as host:
        ward = Ward(host)
        await ward.start()
        began, run_id = host.clock.now(), ward.run.id
        for _ in range(4):
            await ward.measure(40)
        bound = ward.usage._waiting = deque(ward.usage._waiting, maxlen=4)
        assert len(bound) == 4
        monkeypatch.setattr(usage, "_MOST_WAITING", 4)
        real = host.database.write

        async def slow(work: Callable[[Connection], None]) -> None:
            for _ in range(2):
                ward.look(40)
            if not is_written:
                raise Unavailable("The disk is full.")
            await real(work)

        monkeypatch.setattr(host.database, "write", slow)
        await ward.usage.flush()
        monkeypatch.setattr(host.database, "write", real)
        await ward.usage.flush()
        rows = host.database.read(lambda c: stored_samples.of_run(c, run_id, since=began))
        written = [round((row.at - began).total_seconds()) for row in rows]
        assert written == ([40, 80, 120, 160, 200, 240] if is_written else [120, 160, 200, 240])


@played
async def test_a_flag_goes_with_its_run(tmp_path: Path) -> None:
    async with HostUnderTest(tmp_path) as host:
        ward = Ward(host)
        await ward.start(silent_minutes=1)
        await ward.measure(5)
        await ward.measure(61)
        assert ward.view.flags
        host.keeper.exits(ward.run.id, code=0)
        await host.until(lambda: not ward.run.is_live, "it ended")
        assert ward.view.flags == ()
        assert "Silent" not in ward.view.sentence


@played
async def test_rows_are_few_and_kept_for_a_day(tmp_path: Path) -> None:
    """One each half minute on disk, all of them in memory."""
    async with HostUnderTest(tmp_path) as host:
        ward = Ward(host)
        await ward.start()
        began = host.clock.now()
        for _ in range(25):
            await ward.measure(5, share=0.1)
        await ward.usage.flush()
        run_id = ward.run.id
        rows = host.database.read(lambda c: stored_samples.of_run(c, run_id, since=began))
        assert len(rows) == 5
        assert len(ward.usage.history(run_id, since=began)) == 25
        old = host.clock.now() + timedelta(seconds=1)
        gone = await host.database.write(lambda c: stored_samples.prune(c, before=old))
        assert gone == 5
        assert timedelta(days=1) == KEPT


@played
async def test_what_a_stranger_uses_is_not_kept(tmp_path: Path) -> None:
    """A run of the agent that no row stands for would break the batch of all others."""
    async with HostUnderTest(tmp_path) as host:
        ward = Ward(host)
        await ward.start()
        stranger = UsageSample(
            run_id="stranger",
            cpu_seconds=0,
            waited_seconds=0,
            memory_bytes=1,
            memory_kind="pss",
            threads=1,
            processes=1,
            folder_bytes=0,
            log_bytes=0,
        )
        look = Usage(at=0.0, monotonic=0.0, samples=(stranger,))
        assert ward.usage.hear(look) == ()
        await ward.measure(5)
        await ward.usage.flush()
        assert ward.usage.newest(ward.run.id) is not None


@played
async def test_the_loop_that_writes_ends_with_what_waited_on_disk(tmp_path: Path) -> None:
    async with HostUnderTest(tmp_path) as host:
        ward = Ward(host)
        await ward.start()
        began = host.clock.now()
        await ward.measure(5)
        task = asyncio.create_task(ward.usage.run())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        run_id = ward.run.id
        assert host.database.read(lambda c: stored_samples.of_run(c, run_id, since=began))

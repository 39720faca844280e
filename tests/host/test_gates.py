"""Gates of starts over a fake agent: they hold back, open by themselves, and stop nothing (R26)."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from algohost.domain.errors import Conflict, Unavailable
from algohost.domain.ids import StrategyId
from algohost.domain.runs import Run
from algohost.domain.strategies import Gate, Phase, Strategy
from algohost.host.checking import Checking
from algohost.host.gates import GATE_TROUBLE, Gates
from algohost.host.preparing import Preparing
from algohost.runner.messages import LaunchSpec
from tests.host.harness import ASHA, RAVI, HostUnderTest

CLOSED = Gate(code="CLOSED", sentence="It is closed.")


class PlayedGate:
    """A source that is open, closed, fails or hangs, and notes what it last answered."""

    def __init__(self, state: str = "open") -> None:
        self.state = state
        self.answered: dict[StrategyId, str] = {}
        self.looks = 0
        self._moved = asyncio.Event()

    def turn(self, state: str) -> None:
        self.state = state
        self._moved.set()
        self._moved = asyncio.Event()

    async def closed(self, strategy: Strategy) -> tuple[Gate, ...]:
        self.looks += 1
        while self.state == "hang":
            await self._moved.wait()
        self.answered[strategy.id] = self.state
        if self.state == "fail":
            raise OSError("the disk is gone")
        return (CLOSED,) if self.state == "closed" else ()


Scenario = Callable[[HostUnderTest, PlayedGate], Awaitable[None]]


def play(folder: Path, scenario: Scenario, *, state: str = "open") -> None:
    async def main() -> None:
        gate = PlayedGate(state)
        async with HostUnderTest(folder, gates={"the gate": gate}, look_seconds=0.05) as host:
            await scenario(host, gate)

    asyncio.run(main())


def phase(host: HostUnderTest, strategy_id: str) -> Phase:
    return host.service.get(ASHA, strategy_id).phase


async def until(host: HostUnderTest, strategy_id: str, wanted: Phase) -> None:
    await host.until(lambda: phase(host, strategy_id) is wanted, f"{strategy_id} {wanted}")


def test_a_start_waits_with_its_gate_and_happens_once_when_the_gate_opens(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, gate: PlayedGate) -> None:
        made = (await host.add()).strategy.id
        view = await host.service.start(ASHA, made)
        assert (view.phase, view.gates, view.sentence) == (
            Phase.WAITING,
            (CLOSED,),
            "It is closed.",
        )
        with pytest.raises(Conflict):
            await host.service.start(ASHA, made)
        gate.turn("open")
        host.gates.changed()
        await until(host, made, Phase.RUNNING)
        assert len(host.keeper.launches) == 1

    play(tmp_path, scenario, state="closed")


class KnowingGate(PlayedGate):
    """A source that knows its answer by heart in some states, and notes who asked how."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.glances = 0

    def glance(self, strategy: Strategy) -> tuple[Gate, ...] | None:
        self.glances += 1
        if self.state == "broken":
            raise OSError("the memory is gone")
        if self.state == "unknown":
            return None
        return (CLOSED,) if self.state == "closed" else ()


@pytest.mark.parametrize(
    ("state", "is_looked_at", "phase_after"),
    [
        ("open", False, Phase.RUNNING),
        ("closed", False, Phase.WAITING),
        ("unknown", True, Phase.RUNNING),
        ("broken", True, Phase.RUNNING),
    ],
)
def test_who_knows_the_answer_is_asked_for_no_look(
    tmp_path: Path, state: str, is_looked_at: bool, phase_after: Phase
) -> None:
    gate = KnowingGate(state)

    async def scenario(host: HostUnderTest, _: PlayedGate) -> None:
        made = (await host.add()).strategy.id
        await host.service.start(ASHA, made)
        await until(host, made, phase_after)
        assert (gate.glances > 0, gate.looks > 0) == (True, is_looked_at)

    async def main() -> None:
        async with HostUnderTest(tmp_path, gates={"the gate": gate}) as host:
            await scenario(host, gate)

    asyncio.run(main())


def test_a_launch_is_on_its_way_when_its_start_is_answered(tmp_path: Path) -> None:
    """Making the answer must not keep the script waiting; its token is good from then on."""

    async def main() -> None:
        async with HostUnderTest(tmp_path, gates={"the gate": KnowingGate("open")}) as host:
            made = (await host.add()).strategy.id
            view = await host.service.start(ASHA, made)
            assert view.latest is not None
            assert list(host.tokens.live) == [view.latest.id]  # what it does before it may wait
            await until(host, made, Phase.RUNNING)
            assert host.keeper.launches == [view.latest.id]

    asyncio.run(main())


def test_a_gate_that_closes_at_the_last_moment_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill switch that is engaged while secrets are opened covers what is not launched yet."""
    gate = KnowingGate("open")
    made_spec = Preparing.spec

    async def closing(self: Preparing, run: Run, strategy: Strategy, token: str) -> LaunchSpec:
        spec = await made_spec(self, run, strategy, token)
        gate.state = "closed"
        return spec

    monkeypatch.setattr(Preparing, "spec", closing)

    async def main() -> None:
        async with HostUnderTest(tmp_path, gates={"the gate": gate}) as host:
            made = (await host.add()).strategy.id
            view = await host.service.start(ASHA, made)
            await host.until(lambda: host.service.get(ASHA, made).gates == (CLOSED,), "it says why")
            assert host.keeper.launches == []
            monkeypatch.undo()
            gate.state = "open"
            host.gates.changed()
            await until(host, made, Phase.RUNNING)
            assert view.latest is not None
            assert host.keeper.launches == [view.latest.id]
            assert len(host.tokens.live) == 1

    asyncio.run(main())


def test_a_gate_that_opens_without_a_word_is_found_by_the_next_look(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, gate: PlayedGate) -> None:
        made = (await host.add()).strategy.id
        await host.service.start(ASHA, made)
        gate.turn("open")
        await until(host, made, Phase.RUNNING)

    play(tmp_path, scenario, state="closed")


@pytest.mark.parametrize("state", ["closed", "fail", "hang"])
def test_whatever_a_gate_does_what_runs_runs_on(tmp_path: Path, state: str) -> None:
    async def scenario(host: HostUnderTest, gate: PlayedGate) -> None:
        made = (await host.add()).strategy.id
        await host.service.start(ASHA, made)
        await until(host, made, Phase.RUNNING)
        gate.turn(state)
        looks = gate.looks
        host.gates.changed()
        host.reconciler.look_at_all()
        await idle(host)
        latest = host.service.get(ASHA, made).latest
        assert latest is not None
        assert (phase(host, made), latest.stop_asked_by) == (Phase.RUNNING, None)
        assert gate.looks == looks  # it is not even asked

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("fail", "The gate could not be looked at (OSError: the disk is gone); it is tried again."),
        ("hang", "The gate could not be looked at (it does not answer); it is tried again."),
    ],
)
def test_a_source_in_trouble_is_a_gate_of_its_own_and_no_closed_market(
    tmp_path: Path, state: str, sentence: str
) -> None:
    async def scenario(host: HostUnderTest, gate: PlayedGate) -> None:
        made = (await host.add()).strategy.id
        view = await host.service.start(ASHA, made)
        assert view.phase is Phase.WAITING
        assert [(one.code, one.sentence) for one in view.gates] == [(GATE_TROUBLE, sentence)]
        gate.turn("open")
        host.gates.changed()
        await until(host, made, Phase.RUNNING)
        assert len(host.keeper.launches) == 1

    play(tmp_path, scenario, state=state)


def test_while_a_look_hangs_no_second_one_is_begun_and_a_stop_is_quick(tmp_path: Path) -> None:
    """A thousand hanging looks would be the next trouble."""

    async def scenario(host: HostUnderTest, gate: PlayedGate) -> None:
        made = (await host.add()).strategy.id
        await host.service.start(ASHA, made)
        for _ in range(20):
            host.reconciler.look_at(made)
            await idle(host)
        assert gate.looks == 1
        assert (await host.service.stop(ASHA, made)).phase is Phase.STOPPED

    play(tmp_path, scenario, state="hang")


def test_a_start_that_waits_still_waits_after_a_restart_and_starts_once(tmp_path: Path) -> None:
    """Bar R26: the waiting state survives the server."""

    async def scenario(host: HostUnderTest, gate: PlayedGate) -> None:
        made = (await host.add()).strategy.id
        await host.service.start(ASHA, made)
        for _ in range(2):
            await host.kill_and_restart()
            await until(host, made, Phase.WAITING)
        assert host.keeper.launches == []
        gate.turn("open")
        await host.kill_and_restart()
        await until(host, made, Phase.RUNNING)
        assert len(host.keeper.launches) == 1

    play(tmp_path, scenario, state="closed")


def test_a_gate_that_closes_between_row_and_launch_holds_the_launch(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, gate: PlayedGate) -> None:
        made = (await host.add()).strategy.id
        await host.halt()  # the row is written by the start, the launch is the loop's
        await host.service.start(ASHA, made)
        gate.turn("closed")
        await host.kill_and_restart()
        await host.until(lambda: host.service.get(ASHA, made).gates == (CLOSED,), "held")
        assert host.keeper.launches == []
        gate.turn("open")
        host.gates.changed()
        await until(host, made, Phase.RUNNING)
        assert len(host.keeper.launches) == 1

    play(tmp_path, scenario)


def test_a_hundred_that_wait_start_when_the_gate_opens_each_once(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, gate: PlayedGate) -> None:
        ids = [(await host.add(f"S{n}")).strategy.id for n in range(100)]
        for made in ids:
            await host.service.start(ASHA, made)
        assert host.keeper.launches == []
        gate.turn("open")
        host.gates.changed()
        await host.until(lambda: len(host.keeper.launches) >= 100, "all started")
        await idle(host)
        runs = [host.service.get(ASHA, made).latest for made in ids]
        assert sorted(host.keeper.launches) == sorted(run.id for run in runs if run is not None)

    play(tmp_path, scenario, state="closed")


# ---- "Check & start"


def test_check_and_start_looks_at_once_and_says_what_it_found(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, gate: PlayedGate) -> None:
        made = (await host.add()).strategy.id
        checking = Checking(registry=host.registry, reconciler=host.reconciler)
        assert (await checking.check_and_start(ASHA)).sentence == "Nothing waits."
        await host.service.start(ASHA, made)
        waiting = await checking.check_and_start(ASHA)
        assert waiting.sentence == "1 strategy still waiting: It is closed."
        gate.turn("open")
        found = await asyncio.gather(*(checking.check_and_start(ASHA) for _ in range(5)))
        assert found[0].sentence == "1 strategy started."
        assert {one.started[0].strategy.id for one in found if one.started} == {made}
        await until(host, made, Phase.RUNNING)
        assert len(host.keeper.launches) == 1

    play(tmp_path, scenario, state="closed")


def test_a_user_checks_their_own_strategies_only(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, gate: PlayedGate) -> None:
        mine = (await host.add("Mine", owner=RAVI)).strategy.id
        other = (await host.add("Other")).strategy.id
        await host.service.start(RAVI, mine)
        await host.service.start(ASHA, other)
        checking = Checking(registry=host.registry, reconciler=host.reconciler)
        found = {
            user.name: {view.strategy.id for view in (await checking.check_and_start(user)).waiting}
            for user in (RAVI, ASHA)
        }
        assert found == {"ravi": {mine}, "asha": {mine, other}}

    play(tmp_path, scenario, state="closed")


# ---- gates by themselves


def test_an_error_of_ours_is_told_in_its_own_words(tmp_path: Path) -> None:
    class Refusing:
        async def closed(self, strategy: Strategy) -> tuple[Gate, ...]:
            raise Unavailable("The database is locked.")

    async def scenario(host: HostUnderTest, _gate: PlayedGate) -> None:
        strategy = (await host.add()).strategy
        gates = Gates({"the trading day": Refusing(), "the gate": PlayedGate("closed")})
        trouble, closed = await gates.closed(strategy)
        assert trouble.sentence == (
            "The trading day could not be looked at (The database is locked); it is tried again."
        )
        assert closed == CLOSED

    play(tmp_path, scenario)


def test_of_two_looks_at_once_that_hang_one_goes_on_and_its_end_is_told(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, gate: PlayedGate) -> None:
        strategy = (await host.add()).strategy
        told: list[StrategyId | None] = []
        host.gates.listen(told.append)
        found = await asyncio.gather(*(host.gates.closed(strategy) for _ in range(3)))
        assert [[one.code for one in gates] for gates in found] == [[GATE_TROUBLE]] * 3
        gate.turn("open")
        await host.until(lambda: told == [strategy.id], "told once")
        assert await host.gates.closed(strategy) == ()

    play(tmp_path, scenario, state="hang")


def test_a_look_that_is_given_up_makes_room_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look may hang for ever on a line that is dead; the next one may be answered."""
    monkeypatch.setattr("algohost.host.gates._ABANDON_SECONDS", 0.01)

    async def scenario(host: HostUnderTest, gate: PlayedGate) -> None:
        made = (await host.add()).strategy.id
        await host.service.start(ASHA, made)
        await host.until(lambda: gate.looks > 1, "looked again")
        gate.state = "open"  # and the looks that hang are told nothing
        await until(host, made, Phase.RUNNING)
        assert len(host.keeper.launches) == 1

    play(tmp_path, scenario, state="hang")


# ---- whatever happens

NAMES = ("first", "second")
ACTS = st.one_of(
    st.tuples(st.sampled_from(["start", "stop", "exit"]), st.integers(0, 1)),
    st.tuples(st.sampled_from(["open", "closed", "fail", "hang"]), st.integers(0, 1)),
    st.tuples(st.sampled_from(["restart", "check"]), st.just(0)),
)


async def idle(host: HostUnderTest) -> None:
    """Waits until the reconciler has nothing on its list."""
    reconciler = host.reconciler
    await host.until(lambda: not reconciler._visits and not reconciler._dirty, "idle")


class Model:
    """What should be: per strategy at rest, waiting or running, and how often it was launched."""

    def __init__(self, host: HostUnderTest, gates: list[PlayedGate], ids: list[StrategyId]) -> None:
        self.host, self.gates, self.ids = host, gates, ids
        self.state = dict.fromkeys(ids, "at rest")
        self.runs: dict[StrategyId, list[str]] = {made: [] for made in ids}

    async def act(self, what: str, which: int) -> None:
        host, made = self.host, self.ids[which]
        match what:
            case "start" if self.state[made] == "at rest":
                await host.service.start(ASHA, made)
                self.state[made] = "waiting"
            case "stop" if self.state[made] == "waiting":
                await host.service.stop(ASHA, made)
                self.state[made] = "at rest"
            case "exit" if self.state[made] == "running":
                host.keeper.exits(self.runs[made][-1])
                self.state[made] = "at rest"
            case "open" | "closed" | "fail" | "hang":
                self.gates[which].turn(what)
                host.gates.changed()
            case "restart":
                await host.kill_and_restart()
            case "check":
                await Checking(registry=host.registry, reconciler=host.reconciler).check_and_start(
                    ASHA
                )
        await self.agree()

    async def agree(self) -> None:
        all_open = all(gate.state == "open" for gate in self.gates)
        for made in self.ids:
            if self.state[made] == "waiting" and all_open:
                self.state[made] = "running"
                await until(self.host, made, Phase.RUNNING)
                latest = self.host.service.get(ASHA, made).latest
                assert latest is not None
                self.runs[made].append(latest.id)
        wanted = {"at rest": Phase.STOPPED, "waiting": Phase.WAITING, "running": Phase.RUNNING}
        for made in self.ids:
            await until(self.host, made, wanted[self.state[made]])
        await idle(self.host)
        for made in self.ids:
            latest = self.host.service.get(ASHA, made).latest
            newest = self.runs[made][-1] if self.runs[made] else None
            assert (latest.id if latest else None) == newest
            assert latest is None or latest.stop_asked_by is None
        launched = sorted(self.host.keeper.launches)
        assert launched == sorted(run for runs in self.runs.values() for run in runs)


@pytest.mark.timeout(180)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ACTS, min_size=4, max_size=14))
def test_starts_happen_exactly_when_all_gates_are_open_each_once(
    acts: list[tuple[str, int]],
) -> None:
    """And no run is ever stopped by a gate, whatever opens, closes, fails, hangs or restarts."""

    async def main() -> None:
        gates = [PlayedGate(), PlayedGate()]
        named = {"the first": gates[0], "the second": gates[1]}
        with tempfile.TemporaryDirectory() as folder:
            async with HostUnderTest(Path(folder), gates=named, look_seconds=0.05) as host:
                ids = [(await host.add(name)).strategy.id for name in NAMES]
                model = Model(host, gates, ids)
                for what, which in acts:
                    await model.act(what, which)
                for which in (0, 1):
                    await model.act("open", which)
                assert "waiting" not in model.state.values()

    asyncio.run(main())

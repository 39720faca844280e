"""What the reconciler does next, as a table, and what must hold for every input."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.decide import (
    AGENT_AWAY,
    Action,
    Conclude,
    Launch,
    Sighting,
    Start,
    Stop,
    Wait,
    decide,
)
from algohost.domain.ids import StrategyId, UserId, VersionId
from algohost.domain.runs import Outcome, OutcomeKind, ProcessIdentity, Run, RunState
from algohost.domain.strategies import Gate, Intent, Mode, Phase, Strategy, Wanted, phase_of
from tests.domain.test_runs import new_run

AT = datetime(2026, 11, 23, 3, 45, tzinfo=UTC)
PROCESS = ProcessIdentity(boot_id="b", pid=100, start_ticks=7)
HOLIDAY = Gate(code="HOLIDAY", sentence="NSE is closed today.")


def strategy(wanted: Wanted, number: int = 1) -> Strategy:
    return Strategy(
        id=StrategyId("ema_20261123091500"),
        owner_id=UserId("u"),
        name="EMA",
        file_name="ema.py",
        exchange="NSE",
        mode=Mode.PAPER,
        version_id=VersionId("ab" * 32),
        problem=None,
        intent=Intent(number=number, wanted=wanted, by="user:asha", at=AT),
        created_at=AT,
    )


def run(state: RunState, *, seen: bool = True, number: int = 1, code: int = 0) -> Run:
    outcome = Outcome(kind=OutcomeKind.EXITED, exit_code=code)
    return replace(
        new_run(),
        state=state,
        intent_number=number,
        process=PROCESS if seen else None,
        outcome=outcome if state is RunState.ENDED else None,
        ended_at=AT if state is RunState.ENDED else None,
    )


RUN, STOP = strategy(Wanted.RUNNING), strategy(Wanted.STOPPED, number=2)
ID = new_run().id
UNKNOWN, ALIVE, STOPPING, UNSEEN = (
    Sighting.UNKNOWN,
    Sighting.ALIVE,
    Sighting.STOPPING,
    Sighting.UNSEEN,
)

TABLE: list[tuple[str, Strategy, Run | None, Sighting, Action | type[Conclude]]] = [
    ("wanted, never run", RUN, None, UNKNOWN, Start()),
    ("wanted, agent away", RUN, None, UNSEEN, Wait(gates=(AGENT_AWAY,))),
    ("not wanted, never run", STOP, None, UNKNOWN, Wait()),
    ("answered, ended by itself", RUN, run(RunState.ENDED), UNKNOWN, Wait()),
    ("wanted again", strategy(Wanted.RUNNING, 3), run(RunState.ENDED), UNKNOWN, Start()),
    ("row, not launched", RUN, run(RunState.STARTING, seen=False), UNKNOWN, Launch(run_id=ID)),
    ("row, agent away", RUN, run(RunState.STARTING, seen=False), UNSEEN, Wait()),
    ("row, launched", RUN, run(RunState.STARTING, seen=False), ALIVE, Wait()),
    ("running", RUN, run(RunState.RUNNING), ALIVE, Wait()),
    ("running, agent away", RUN, run(RunState.RUNNING), UNSEEN, Wait()),
    ("seen once, unknown now", RUN, run(RunState.RUNNING), UNKNOWN, Conclude),
    ("stop wanted", STOP, run(RunState.RUNNING), ALIVE, Stop(run_id=ID)),
    ("stop wanted, on its way", STOP, run(RunState.STOPPING), STOPPING, Wait()),
    ("stop asked, agent restarted", STOP, run(RunState.STOPPING), ALIVE, Stop(run_id=ID)),
    ("stop before launch", STOP, run(RunState.STARTING, seen=False), UNKNOWN, Conclude),
]


@pytest.mark.parametrize(
    ("subject", "latest", "sighting", "action"),
    [row[1:] for row in TABLE],
    ids=[r[0] for r in TABLE],
)
def test_one_step_towards_the_intent(
    subject: Strategy, latest: Run | None, sighting: Sighting, action: Action | type[Conclude]
) -> None:
    decided = decide(subject, latest, sighting, now=AT)
    assert decided == action or decided.__class__ is action


def test_a_closed_gate_holds_a_start_back_and_nothing_else() -> None:
    assert decide(RUN, None, UNKNOWN, (HOLIDAY,), now=AT) == Wait(gates=(HOLIDAY,))
    assert decide(RUN, run(RunState.RUNNING), ALIVE, (HOLIDAY,), now=AT) == Wait()


runs = st.one_of(
    st.none(),
    st.builds(
        run,
        st.sampled_from(RunState),
        seen=st.booleans(),
        number=st.integers(1, 4),
        code=st.integers(0, 2),
    ),
)
strategies = st.builds(strategy, st.sampled_from(Wanted), st.integers(1, 4))


@given(strategies, runs, st.sampled_from(Sighting), st.sampled_from([(), (HOLIDAY,)]))
def test_never_a_second_life_and_nothing_done_blind(
    subject: Strategy, latest: Run | None, sighting: Sighting, gates: tuple[Gate, ...]
) -> None:
    decided = decide(subject, latest, sighting, gates, now=AT)
    if latest is not None and latest.is_live:
        assert not isinstance(decided, Start)
    if sighting is UNSEEN:
        assert isinstance(decided, Wait)
    if isinstance(decided, Launch):
        assert latest is not None
        assert latest.process is None


@pytest.mark.parametrize(
    ("subject", "latest", "gates", "phase"),
    [
        (STOP, None, (), Phase.STOPPED),
        (RUN, None, (), Phase.PENDING),
        (RUN, None, (HOLIDAY,), Phase.WAITING),
        (RUN, run(RunState.STARTING), (), Phase.STARTING),
        (RUN, run(RunState.RUNNING), (), Phase.RUNNING),
        (STOP, run(RunState.STOPPING), (), Phase.STOPPING),
        (RUN, run(RunState.ENDED), (), Phase.STOPPED),
        (RUN, run(RunState.ENDED, code=1), (), Phase.ERROR),
        (STOP, run(RunState.ENDED, code=1), (), Phase.STOPPED),
        (strategy(Wanted.RUNNING, 2), run(RunState.ENDED, code=1), (), Phase.PENDING),
    ],
)
def test_the_word_for_how_it_stands(
    subject: Strategy, latest: Run | None, gates: tuple[Gate, ...], phase: Phase
) -> None:
    assert phase_of(subject, latest, gates) is phase

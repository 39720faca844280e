"""The life of a run: every arrow, and what holds whatever the order in which facts arrive."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from algohost.domain.ids import RunId, StrategyId, VersionId
from algohost.domain.runs import (
    Ended,
    Outcome,
    OutcomeKind,
    ProcessIdentity,
    Run,
    RunEvent,
    RunState,
    Started,
    StopAsked,
    apply,
)

AT = datetime(2026, 11, 23, 3, 45, tzinfo=UTC)
PROCESS = ProcessIdentity(boot_id="b", pid=100, start_ticks=7)
EXITED = Outcome(kind=OutcomeKind.EXITED, exit_code=0)


def new_run() -> Run:
    return Run(
        id=RunId("00" * 8),
        strategy_id=StrategyId("ema_20261123091500"),
        version_id=VersionId("ab" * 32),
        intent_number=1,
        created_at=AT,
    )


STARTED = Started(at=AT, process=PROCESS)
ASKED = StopAsked(at=AT, by="user:asha")
ENDED = Ended(at=AT, outcome=EXITED)

ARROWS = [
    ((), RunState.STARTING),
    ((STARTED,), RunState.RUNNING),
    ((STARTED, STARTED), RunState.RUNNING),
    ((ASKED,), RunState.STOPPING),
    ((ASKED, STARTED), RunState.STOPPING),
    ((STARTED, ASKED), RunState.STOPPING),
    ((STARTED, ASKED, ASKED), RunState.STOPPING),
    ((ENDED,), RunState.ENDED),
    ((STARTED, ENDED), RunState.ENDED),
    ((STARTED, ASKED, ENDED), RunState.ENDED),
    ((ENDED, STARTED), RunState.ENDED),
    ((STARTED, ENDED, ASKED), RunState.ENDED),
]


@pytest.mark.parametrize(("events", "state"), ARROWS)
def test_events_lead_to_a_state(events: tuple[RunEvent, ...], state: RunState) -> None:
    run = new_run()
    for event in events:
        run = apply(run, event)
    assert run.state is state


def test_a_second_exit_does_not_change_the_first() -> None:
    run = apply(new_run(), ENDED)
    later = Ended(at=AT + timedelta(hours=1), outcome=Outcome(kind=OutcomeKind.LOST))
    assert apply(run, later) is run


@pytest.mark.parametrize(
    ("outcome", "text", "is_failure"),
    [
        (Outcome(kind=OutcomeKind.EXITED, exit_code=0), "exited(0)", False),
        (Outcome(kind=OutcomeKind.EXITED, exit_code=3), "exited(3)", True),
        (Outcome(kind=OutcomeKind.SIGNALLED, signal=11), "signalled(11)", True),
        (Outcome(kind=OutcomeKind.STOPPED), "stopped", False),
        (Outcome(kind=OutcomeKind.STOPPED, exit_code=1), "stopped", False),
        (Outcome(kind=OutcomeKind.KILLED_AFTER_GRACE, signal=9), "killed_after_grace", False),
        (Outcome(kind=OutcomeKind.OUT_OF_MEMORY), "out_of_memory", True),
        (Outcome(kind=OutcomeKind.FAILED_TO_START), "failed_to_start", True),
        (Outcome(kind=OutcomeKind.LOST), "lost", True),
    ],
)
def test_an_outcome_is_written_and_judged(outcome: Outcome, text: str, *, is_failure: bool) -> None:
    assert (str(outcome), outcome.is_failure) == (text, is_failure)


class RunLife(RuleBasedStateMachine):
    """Facts arrive in any order and more than once; a run's life stays one life."""

    def __init__(self) -> None:
        super().__init__()
        self.run = new_run()
        self.history = [self.run]

    def _apply(self, event: RunEvent) -> None:
        self.run = apply(self.run, event)
        self.history.append(self.run)

    @rule(pid=st.integers(1, 9))
    def started(self, pid: int) -> None:
        process = ProcessIdentity(boot_id="b", pid=pid, start_ticks=pid)
        self._apply(Started(at=AT, process=process))

    @rule(by=st.sampled_from(["user:asha", "schedule", "host"]))
    def stop_asked(self, by: str) -> None:
        self._apply(StopAsked(at=AT, by=by))

    @rule(kind=st.sampled_from(OutcomeKind), code=st.integers(0, 255))
    def ended(self, kind: OutcomeKind, code: int) -> None:
        self._apply(Ended(at=AT, outcome=Outcome(kind=kind, exit_code=code)))

    @invariant()
    def states_only_move_forward(self) -> None:
        order = list(RunState)
        ranks = [order.index(run.state) for run in self.history]
        assert ranks == sorted(ranks)

    @invariant()
    def an_outcome_is_there_exactly_when_it_has_ended(self) -> None:
        assert (self.run.outcome is not None) == (self.run.state is RunState.ENDED)
        assert (self.run.ended_at is not None) == (self.run.state is RunState.ENDED)

    @invariant()
    def what_is_known_is_never_replaced(self) -> None:
        for field in ("process", "outcome", "started_at", "stop_asked_by", "ended_at"):
            values = [getattr(run, field) for run in self.history]
            known = [value for value in values if value is not None]
            assert len(set(map(repr, known))) <= 1


TestRunLife = RunLife.TestCase

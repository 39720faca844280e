"""What the words beside a strategy's figures mean."""

from datetime import UTC, datetime

import pytest

from algohost.domain.ids import RunId, StrategyId, VersionId
from algohost.domain.runs import Outcome, OutcomeKind, Run, RunState
from algohost.web import shown


@pytest.mark.parametrize(
    ("phase", "outcome", "word"),
    [
        ("running", None, "Up for"),
        ("starting", None, "Since"),
        ("waiting", None, "Since"),
        ("stopped", "stopped", "Ended"),
        ("error", "exited(3)", "Ended"),
        ("stopped", None, "Uploaded"),  # it has never run, so nothing has ended
    ],
)
def test_the_time_of_a_strategy_has_the_word_that_fits(
    phase: str, outcome: str | None, word: str
) -> None:
    assert shown.since_word({"phase": phase, "outcome": outcome}) == word


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (Outcome(kind=OutcomeKind.SIGNALLED, signal=11), "signalled(SIGSEGV)"),
        (Outcome(kind=OutcomeKind.SIGNALLED, signal=50), "signalled(signal 50)"),
        (Outcome(kind=OutcomeKind.EXITED, exit_code=3), "exited(3)"),
        (Outcome(kind=OutcomeKind.OUT_OF_MEMORY, signal=9), "out_of_memory"),
    ],
)
def test_an_outcome_names_its_signal(outcome: Outcome, word: str) -> None:
    assert shown.outcome_word(outcome) == word


@pytest.mark.parametrize(
    ("peak", "has_started", "has_ended", "word"),
    [
        (60_083_404, True, True, "57.3 MB"),
        (None, True, True, "not known"),  # it ended while nobody of ours was there to measure
        (0, True, True, "not known"),
        (None, True, False, "–"),  # it lives
        (None, False, True, "–"),  # it never ran
    ],
)
def test_a_peak_that_nobody_measured_is_not_known(
    peak: int | None, word: str, *, has_started: bool, has_ended: bool
) -> None:
    """Bar R2: after server, agent and zygote were killed together the kernel tells no more."""
    at = datetime(2026, 11, 23, tzinfo=UTC)
    run = Run(
        id=RunId("r"),
        strategy_id=StrategyId("s"),
        version_id=VersionId("v"),
        intent_number=1,
        state=RunState.ENDED if has_ended else RunState.RUNNING,
        created_at=at,
        started_at=at if has_started else None,
        ended_at=at if has_ended else None,
        peak_memory_bytes=peak,
    )
    assert shown.peak_memory(run) == word
    assert shown.peak_memory(None) == "–"

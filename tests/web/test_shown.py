"""What the words beside a strategy's figures mean."""

import pytest

from algohost.domain.runs import Outcome, OutcomeKind
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

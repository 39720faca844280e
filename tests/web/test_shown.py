"""What the words beside a strategy's figures mean."""

import pytest

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

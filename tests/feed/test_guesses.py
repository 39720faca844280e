"""Wrong keys are answered ever later, so that guessing them costs time."""

from algohost.testing.clock import FakeClock
from algohost.web import feed_guesses
from algohost.web.feed_guesses import Guesses
from tests.api.served import MONDAY_0930


def test_the_answer_to_each_further_wrong_key_waits_longer_up_to_four_seconds() -> None:
    """The openalgo client waits five seconds for it."""
    guesses = Guesses(FakeClock(MONDAY_0930).monotonic)
    waits = [guesses.wrong("10.0.0.7") for _ in range(12)]
    assert waits == [0, 0, 0, 0, 0, 0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
    assert guesses.wrong("10.0.0.8") == 0


def test_a_minute_without_a_wrong_key_is_forgiven() -> None:
    clock = FakeClock(MONDAY_0930)
    guesses = Guesses(clock.monotonic)
    assert [guesses.wrong("::1") for _ in range(6)][-1] > 0
    clock.advance(61)
    assert guesses.wrong("::1") == 0


def test_what_is_kept_of_addresses_is_bounded() -> None:
    guesses = Guesses(FakeClock(MONDAY_0930).monotonic)
    for number in range(3 * feed_guesses._MOST_ADDRESSES):
        guesses.wrong(str(number))
    assert len(guesses._tallies) == feed_guesses._MOST_ADDRESSES

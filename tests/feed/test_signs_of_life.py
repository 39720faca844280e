"""Calls and ticks count as signs of life of the run whose token they carry, and of no other."""

from tests.api.served import RUN_TOKEN, Served
from tests.feed.conftest import Opens
from tests.feed.test_server import RELIANCE, becomes

RUN_ID = "0123456789abcdef"


def test_a_call_of_the_api_is_a_sign_of_life(server: Served) -> None:
    activity = server.host.activity
    server.post("ping")
    assert activity.last(RUN_ID) is None, "the key of an account belongs to no run"
    server.post("ping", apikey=RUN_TOKEN)
    assert activity.last(RUN_ID) == server.clock.monotonic()


def test_a_tick_that_a_run_is_sent_is_a_sign_of_life(server: Served, client: Opens) -> None:
    """A connection that is merely open is none."""
    activity = server.host.activity
    speaker = client(RUN_TOKEN)
    speaker.ask(action="ping")
    assert activity.last(RUN_ID) is None
    speaker.ask(action="subscribe", **RELIANCE, mode=1)
    server.tick(30)
    assert becomes(lambda: activity.last(RUN_ID) == server.clock.monotonic())

"""Which limit a thread met that could not be started."""

import pytest

from algohost.runner import reasons
from algohost.runner.bounds import Limits
from algohost.runner.reasons import reason_of

MB = 1 << 20
NO_THREAD = RuntimeError("can't start new thread")
SAID = "RuntimeError: can't start new thread"


@pytest.mark.parametrize(
    ("error", "has_room", "limits", "text"),
    [
        (NO_THREAD, True, Limits(threads=64, memory_bytes=512 * MB),
         f"{SAID}: all 64 threads and processes that it may have are in use."),
        (NO_THREAD, False, Limits(threads=64, memory_bytes=512 * MB),
         f"{SAID}: its limit of memory, 512 MB, has no room for another thread's stack."),
        (NO_THREAD, True, Limits(memory_bytes=512 * MB), SAID),  # a limit that is not ours
        (NO_THREAD, False, Limits(threads=64), SAID),
        (RuntimeError("of my own"), True, Limits(threads=64), "RuntimeError: of my own"),
        (ValueError("can't start new thread"), True, Limits(threads=64),
         "ValueError: can't start new thread"),
    ],
)  # fmt: skip
def test_the_limit_that_was_met_is_named(
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    limits: Limits,
    text: str,
    *,
    has_room: bool,
) -> None:
    monkeypatch.setattr(reasons, "_has_room_for_a_stack", lambda: has_room)
    reason = reason_of(error)
    assert reason is not None
    assert (reason.beside(limits).kept([]), reason.is_out_of_memory) == (text, False)

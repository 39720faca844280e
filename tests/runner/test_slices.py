"""R22: whoever serves is woken at once, whatever keeps the processors busy."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from algohost.runner import slices

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/sched").exists() or slices.ask_for(slices.USUAL) == 0,
    reason="slices can be asked for on Linux 6.12 and later",
)


def in_a_thread(work: object) -> list[object]:
    """What ``work`` gives in a thread of its own, so that this one keeps its slices."""
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(work()))  # type: ignore[operator]
    thread.start()
    thread.join()
    return found


def test_a_shorter_slice_is_given_and_taken_back() -> None:
    usual = slices.ask_for(slices.USUAL)

    def both() -> tuple[int, int]:
        return slices.ask_for(slices.PROMPT), slices.ask_for(slices.USUAL)

    assert in_a_thread(both) == [(slices.PROMPT, usual)]
    assert usual > slices.PROMPT


def test_threads_and_programs_have_the_slice_of_who_started_them() -> None:
    """The server asks once, before it starts a thread; the agent that it starts has it too."""
    look = "from pathlib import Path; print(Path('/proc/self/sched').read_text())"

    def descendants() -> list[int]:
        slices.ask_for(slices.PROMPT)
        thread = in_a_thread(lambda: Path("/proc/thread-self/sched").read_text())
        done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True)
        return [_slice_in(str(thread[0])), _slice_in(done.stdout)]

    assert in_a_thread(descendants) == [[slices.PROMPT, slices.PROMPT]]


def test_niceness_and_policy_stay_what_they_are() -> None:
    def kept() -> tuple[int, int]:
        os.nice(3)
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        slices.ask_for(slices.PROMPT)
        return os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0)

    assert in_a_thread(kept) == [(os.nice(0) + 3, os.SCHED_BATCH)]


def test_a_thread_without_slices_is_left_alone() -> None:
    def idle() -> tuple[int, int]:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        return slices.ask_for(slices.PROMPT), os.sched_getscheduler(0)

    assert in_a_thread(idle) == [(0, os.SCHED_IDLE)]


def _slice_in(text: str) -> int:
    line = next(line for line in text.splitlines() if line.startswith("se.slice"))
    return int(line.split(":")[1])

"""What an agent remembers of a journal, in whatever state the journal is."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from algohost.agent.runs import remember
from algohost.runner.messages import RunFact

AT = 1795263277.0
INTENT = {
    "fact": "intent", "run": "a", "mark": 5, "boot": "b", "launcher": "zygote", "at": AT,
    "note": None,
}  # fmt: skip
STARTED = {"fact": "started", "run": "a", "pid": 9, "ticks": 90, "at": AT, "zygote": 3}
STOP = {"fact": "stop", "run": "a", "signal": 15, "by": "user", "deadline": 7.0}
SIGNALLED = {"fact": "signalled", "run": "a"}
KILL = {"fact": "kill", "run": "a"}
EXITED = {"fact": "exited", "run": "a", "code": 1, "signal": None, "at": AT, "peak": 2, "cpu": 0.1}
ENDED = {"fact": "ended", "run": "a", "exit": None, "error": "No.", "note": None}
FORGOTTEN = {"fact": "forgotten", "run": "a"}
FACTS = [INTENT, STARTED, STOP, SIGNALLED, KILL, EXITED, ENDED, FORGOTTEN]


def test_a_run_is_where_its_facts_have_brought_it() -> None:
    runs, problems = remember([INTENT, STARTED, STOP, SIGNALLED, KILL, EXITED])
    run = runs["a"]
    assert problems == []
    assert (run.state, run.pid, run.start_ticks, run.zygote) == ("stopping", 9, 90, 3)
    assert (run.is_signalled, run.is_killed) == (True, True)
    assert run.exited is not None
    assert (run.exited.code, run.exited.how) == (1, "reaped")
    end = run.final_exit(now=AT)
    assert end is not None
    assert (end.code, end.stop_step, end.stop_by, end.peak_memory_bytes) == (1, "kill", "user", 2)


def test_the_first_exit_that_was_seen_stays() -> None:
    later = {**EXITED, "code": None, "how": "unknown"}
    runs, _ = remember([INTENT, STARTED, EXITED, later])
    assert runs["a"].exited is not None
    assert runs["a"].exited.code == 1


def test_a_new_signal_of_a_stop_has_not_been_sent_yet() -> None:
    runs, _ = remember([INTENT, STARTED, STOP, SIGNALLED, {**STOP, "signal": 2}])
    assert not runs["a"].is_signalled


def test_facts_that_make_no_sense_are_told_and_skipped() -> None:
    wrong: list[dict[str, Any]] = [
        {"fact": "intent", "run": "x"},
        {"fact": "started", "run": "a"},
        {"fact": "ended", "run": "a", "exit": {"how": "magic"}, "error": None, "note": None},
    ]
    runs, problems = remember([INTENT, *wrong, STARTED])
    assert (set(runs), runs["a"].pid, len(problems)) == ({"a"}, 9, 3)


@given(st.lists(st.sampled_from(FACTS), max_size=12))
def test_any_order_of_facts_is_survived_and_can_be_told(facts: list[dict[str, Any]]) -> None:
    runs, _ = remember(facts)
    for run in runs.values():
        assert RunFact.from_json(run.fact().to_json()) == run.fact()

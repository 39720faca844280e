"""From what the agent says of an end to the outcome and the sentence that a person reads."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from algohost.domain.runs import OutcomeKind, Run, apply
from algohost.host.outcomes import events_of, has_words, hidden, outcome_of
from algohost.host.views import StrategyView, ending
from algohost.runner.messages import ExitFact, RunFact
from tests.domain.test_decide import RUN
from tests.domain.test_runs import new_run

AT = 1_795_405_560.0  # 2026-11-23 09:16 IST
NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
EXIT = ExitFact(code=0, signal=None, how="reaped", ended_at=AT)
LINE = "KeyError: 'close'"


def fact(exit_: ExitFact | None = EXIT, *, error: str | None = None, boot: str = "b") -> RunFact:
    return RunFact(
        run_id="r", state="ended", pid=100, start_ticks=7, boot_id=boot, launched_at=AT - 60,
        exit=exit_, error=error,
    )  # fmt: skip


def crash(**parts: object) -> ExitFact:
    return replace(EXIT, **{"code": 1, "reason": LINE, **parts})  # type: ignore[arg-type]


def by_signal(number: int, **parts: object) -> ExitFact:
    return replace(EXIT, **{"code": None, "signal": number, **parts})  # type: ignore[arg-type]


ASKED = {"stop_by": "user:asha", "stop_step": "signal"}
KILLED = {"stop_by": "user:asha", "stop_step": "kill"}
AFTER = " at 23 Nov 09:16:00 IST"
OUTCOMES = [
    ("clean", fact(), "exited(0)", f"Finished by itself{AFTER}."),
    ("crash", fact(crash()), "exited(1)", f"Exited with code 1{AFTER}: {LINE}."),
    ("code", fact(replace(EXIT, code=3)), "exited(3)", f"Exited with code 3{AFTER}."),
    ("crash in C", fact(by_signal(11)), "signalled(11)",
     f"Ended by SIGSEGV (it touched memory that is not its own){AFTER}."),
    ("abort", fact(by_signal(6)), "signalled(6)",
     f"Ended by SIGABRT (native code gave up){AFTER}."),
    ("kill -9", fact(by_signal(9)), "signalled(9)",
     f"Ended by SIGKILL (somebody outside, or the kernel, killed it){AFTER}."),
    ("a signal without a name", fact(by_signal(50)), "signalled(50)",
     f"Ended by signal 50{AFTER}."),
    ("stopped", fact(by_signal(15, **ASKED)), "stopped", f"Stopped by asha{AFTER}."),
    ("stopped, as by Ctrl-C", fact(by_signal(2, reason="KeyboardInterrupt", **ASKED)), "stopped",
     f"Stopped by asha{AFTER}."),
    ("stopped badly", fact(crash(**ASKED)), "stopped", f"Stopped by asha{AFTER}: {LINE}."),
    ("stopped with a code", fact(crash(reason=None, **ASKED)), "stopped",
     f"Stopped by asha{AFTER}: It ended with code 1."),
    ("crashed in C as it stopped", fact(by_signal(11, **ASKED)), "stopped",
     f"Stopped by asha{AFTER}: It ended by SIGSEGV while it was stopping."),
    ("killed", fact(by_signal(9, **KILLED)), "killed_after_grace",
     f"Killed, because it did not stop in time when asha asked,{AFTER}."),
    ("stopped by a schedule", fact(by_signal(15, stop_by="schedule", stop_step="signal")),
     "stopped", f"Stopped by the schedule{AFTER}."),
    ("leftovers", fact(replace(EXIT, leftovers_killed=2)), "exited(0)",
     f"Finished by itself{AFTER}: 2 processes that it left behind were ended with it."),
    ("crash with one leftover", fact(crash(leftovers_killed=1)), "exited(1)",
     f"Exited with code 1{AFTER}: {LINE}. A process that it left behind was ended with it."),
    ("MemoryError", fact(crash(reason="MemoryError", is_out_of_memory=True)), "out_of_memory",
     f"Ran out of memory{AFTER}: MemoryError."),
    ("the kernel had no memory", fact(by_signal(9, is_out_of_memory=True)), "out_of_memory",
     f"Ran out of memory{AFTER}: The kernel ended it to have memory for others."),
    ("the memory limit", fact(by_signal(9, stop_by="limit: memory", reason="It used 3 GB of 2.")),
     "out_of_memory", f"Ran out of memory{AFTER}: It used 3 GB of 2."),
    ("the disk limit", fact(by_signal(9, stop_by="limit: disk", reason="It wrote 2 GB of 1.")),
     "stopped", f"Stopped by the disk limit{AFTER}: It wrote 2 GB of 1."),
    ("unhealthy", fact(by_signal(15, stop_by="limit: health", stop_step="signal",
     reason="It has said nothing for 10 minutes.")), "stopped",
     f"Stopped by the health check{AFTER}: It has said nothing for 10 minutes."),
    ("failed to start", fact(None, error="Could not read the script: EACCES."), "failed_to_start",
     f"Failed to start (Could not read the script: EACCES){AFTER}."),
    ("unseen", fact(by_signal(0, signal=None, how="unknown")), "lost",
     f"Lost: the process vanished unseen{AFTER}."),
    ("another boot", fact(by_signal(0, signal=None, how="unknown"), boot="a"), "lost",
     f"Interrupted by a restart of the machine; seen{AFTER}."),
]  # fmt: skip


def told(one: RunFact) -> Run:
    run = new_run()
    for event in events_of(one, now=NOW, boot_id="b"):
        run = apply(run, event)
    return run


@pytest.mark.parametrize(
    ("one", "outcome", "sentence"), [row[1:] for row in OUTCOMES], ids=[r[0] for r in OUTCOMES]
)
def test_an_end_is_told_exactly(one: RunFact, outcome: str, sentence: str) -> None:
    """Bars R5, R16, R18."""
    run = told(replace(one))
    if one.error is not None:  # it has no end of its own: the moment it was heard of
        sentence = sentence.replace("09:16:00", "09:30:00")
    assert (str(run.outcome), StrategyView(strategy=RUN, latest=run).sentence) == (
        outcome,
        sentence,
    )


def test_only_an_exit_with_zero_that_somebody_saw_is_a_clean_one() -> None:
    clean = [row[0] for row in OUTCOMES if str(told(row[1]).outcome) == "exited(0)"]
    assert clean == ["clean", "leftovers"]
    failures = {row[0] for row in OUTCOMES if told(row[1]).has_failed}
    wanted = {row[0] for row in OUTCOMES if row[2] in {"exited(0)", "stopped"}}
    assert failures & wanted == {"the disk limit", "unhealthy"}


def test_who_stopped_it_is_known_where_only_the_agent_was_asked() -> None:
    run = told(fact(by_signal(15, **ASKED)))
    assert (run.stop_asked_by, ending(run)) == ("user:asha", "Stopped by asha")


def test_an_unseen_end_of_a_run_that_was_being_stopped_is_a_stop() -> None:
    exit_ = by_signal(0, signal=None, how="unknown", **ASKED)
    assert outcome_of(fact(exit_)).kind is OutcomeKind.STOPPED


def test_what_a_run_said_of_itself_goes_through_what_hides_its_secrets() -> None:
    """S3: a reason that the run did not mask, or an error with its words."""
    crashed = fact(crash(reason="ValueError: s3cr3t"))

    def hide(text: str) -> str:
        return text.replace("s3cr3t", "******")

    assert has_words(crashed)
    assert outcome_of(hidden(crashed, hide)).reason == "ValueError: ******"
    failed = fact(None, error="No s3cr3t.")
    assert outcome_of(hidden(failed, hide)).reason == "No ******."
    assert not has_words(fact())

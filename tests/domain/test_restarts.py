"""The restart policy: who is restarted, when, how often, and that a stop always wins."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from algohost.domain.decide import (
    AGENT_AWAY,
    Action,
    Conclude,
    Launch,
    Sighting,
    Start,
    Stop,
    Wait,
    decide,
)
from algohost.domain.ids import RunId
from algohost.domain.restarts import Again, Backoff, FolderFull, GivenUp, share_of_run, verdict
from algohost.domain.runs import (
    DISK_LIMIT,
    INTERRUPTED,
    VANISHED,
    Ended,
    Outcome,
    OutcomeKind,
    ProcessIdentity,
    Run,
    RunState,
    Started,
    StopAsked,
    apply,
    lost,
)
from algohost.domain.strategies import (
    Intent,
    Phase,
    SourceProblem,
    Strategy,
    Wanted,
    phase_of,
    restart_of,
)
from algohost.domain.strategy_settings import Restart, StrategySettings
from tests.domain.test_decide import AT, PROCESS, strategy
from tests.domain.test_runs import new_run

NEVER, ON_FAILURE, ALWAYS = (StrategySettings(restart=one) for one in Restart)
FULL = Backoff(jitter=lambda _: 1.0)
"""The longest waits."""

CLEAN = Outcome(kind=OutcomeKind.EXITED, exit_code=0)
CRASH = Outcome(kind=OutcomeKind.EXITED, exit_code=1, reason="ValueError: no candles")
STOPPED = Outcome(kind=OutcomeKind.STOPPED)


def ended(
    outcome: Outcome = CRASH, *, at: float = 60, attempt: int = 0, number: int = 1, lived: float = 1
) -> Run:
    """A run that ended ``at`` seconds, having lived so many."""
    began = AT + timedelta(seconds=at - lived)
    return replace(
        new_run(),
        id=RunId(f"{number:08x}{attempt:08x}"),
        state=RunState.ENDED,
        intent_number=number,
        attempt=attempt,
        created_at=began,
        started_at=began,
        ended_at=AT + timedelta(seconds=at),
        process=PROCESS,
        outcome=outcome,
    )


def wanting(settings: StrategySettings, *, number: int = 1) -> Strategy:
    return replace(strategy(Wanted.RUNNING, number), settings=settings)


def seconds(after: float) -> datetime:
    return AT + timedelta(seconds=after)


WHO = [  # outcome, stopped by, restarted on failure, restarted always
    (CLEAN, None, False, True),
    (CRASH, None, True, True),
    (Outcome(kind=OutcomeKind.SIGNALLED, signal=11), None, True, True),
    (Outcome(kind=OutcomeKind.OUT_OF_MEMORY, exit_code=1), None, True, True),
    (Outcome(kind=OutcomeKind.FAILED_TO_START, reason="no file"), None, True, True),
    (Outcome(kind=OutcomeKind.LOST, reason=VANISHED), None, True, True),
    (Outcome(kind=OutcomeKind.LOST, reason=INTERRUPTED), None, True, True),
    (STOPPED, "user:asha", False, False),
    (STOPPED, "schedule", False, False),
    (STOPPED, None, False, False),
    (Outcome(kind=OutcomeKind.KILLED_AFTER_GRACE, signal=9), "host", False, False),
    (Outcome(kind=OutcomeKind.OUT_OF_MEMORY, signal=9), "limit: memory", True, True),
    (STOPPED, "limit: disk", False, False),
    (Outcome(kind=OutcomeKind.KILLED_AFTER_GRACE, signal=9), "limit: disk", False, False),
    (STOPPED, "health", True, True),
]


@pytest.mark.parametrize(("outcome", "by", "on_failure", "always"), WHO)
def test_a_policy_restarts_what_ended_without_anybody_wanting_it(
    outcome: Outcome, by: str | None, *, on_failure: bool, always: bool
) -> None:
    run = replace(ended(outcome), stop_asked_by=by)
    verdicts = [verdict(settings, run, ()) for settings in (NEVER, ON_FAILURE, ALWAYS)]
    assert [isinstance(one, Again) for one in verdicts] == [False, on_failure, always]


def test_a_full_folder_is_not_restarted_but_started_by_whoever_asks() -> None:
    """Bar R24: what filled it is still there, and would end the next run at once."""
    full = replace(ended(STOPPED), stop_asked_by=DISK_LIMIT)
    assert verdict(ON_FAILURE, full, ()) == verdict(ALWAYS, full, ()) == FolderFull()
    assert verdict(NEVER, full, ()) is None
    assert look(wanting(ALWAYS), [full], now=seconds(1e6)) == Wait()
    assert phase_of(wanting(ALWAYS), full) is Phase.ERROR
    assert look(wanting(ALWAYS, number=2), [full], now=seconds(61)) == Start(attempt=0)


WAITS = [(0, 1), (1, 2), (2, 4), (5, 32), (8, 256), (9, 300), (1000, 300)]


@pytest.mark.parametrize(("streak", "longest"), WAITS)
def test_the_wait_doubles_up_to_a_cap(streak: int, longest: float) -> None:
    """Bar R24."""
    run = ended(at=60)
    assert FULL.due_at(run, streak, seconds(60)) == seconds(60 + longest)
    half = Backoff(jitter=lambda _: 0.5)
    assert half.due_at(run, streak, seconds(60)) == seconds(60 + longest / 2)


CLOCKS = [  # now, the run ended at 60 s, and the wait is 1 s
    ("just ended", 60, 61),
    ("the host was down for an hour", 3660, 61),
    ("the clock was set forward by a day", 86_460, 61),
    ("the clock was set back by a minute", 0, 61),
    ("the clock was set back by a day", -86_340, -86_340),
]


@pytest.mark.parametrize(("now", "due"), [row[1:] for row in CLOCKS], ids=[r[0] for r in CLOCKS])
def test_a_restart_is_never_further_away_than_the_cap(now: float, due: float) -> None:
    assert FULL.due_at(ended(at=60), 0, seconds(now)) == seconds(due)


@given(st.text(alphabet="0123456789abcdef", min_size=16, max_size=16).map(RunId))
def test_the_jitter_of_a_run_is_a_share_and_stays_the_same(run_id: RunId) -> None:
    assert 0 <= share_of_run(run_id) < 1
    assert share_of_run(run_id) == share_of_run(run_id)


def test_the_jitter_of_many_runs_is_spread_evenly() -> None:
    shares = sorted(share_of_run(RunId(f"{i:016x}")) for i in range(1000))
    assert all(abs(share - i / 1000) < 0.06 for i, share in enumerate(shares))


def crashes(*at: float, lived: float = 1) -> list[Run]:
    """Runs of one intent that crashed at these seconds, newest first."""
    return [ended(at=one, attempt=i, lived=lived) for i, one in enumerate(at)][::-1]


THREE_IN_TEN = StrategySettings(restart=Restart.ON_FAILURE, most_restarts=3)
COUNTS = [
    ("the first crash", crashes(60), Again(attempt=1, most=3, streak=0)),
    ("the third", crashes(60, 70, 80), Again(attempt=3, most=3, streak=2)),
    ("the fourth", crashes(60, 70, 80, 90), GivenUp(restarts=3, minutes=10)),
    ("spread over hours", crashes(60, 1060, 2060, 3060, 4060), Again(attempt=2, most=3, streak=4)),
    (
        "after a stable run",
        [*crashes(60, 70, 80), ended(at=90, attempt=3, lived=300)][::-1],
        Again(attempt=1, most=3, streak=0),
    ),
    (
        "runs of an earlier intent",
        [ended(at=90, number=2), *crashes(60, 70, 80)],
        Again(attempt=1, most=3, streak=0),
    ),
]


@pytest.mark.parametrize(
    ("runs", "said"), [row[1:] for row in COUNTS], ids=[row[0] for row in COUNTS]
)
def test_so_many_restarts_in_the_window_and_it_is_given_up(
    runs: list[Run], said: Again | GivenUp
) -> None:
    """Bar R24: the counter is visible, begins anew after a stable time, and ends."""
    runs = sorted(runs, key=lambda run: (run.intent_number, run.attempt), reverse=True)
    assert verdict(THREE_IN_TEN, runs[0], runs[1:]) == said


def test_what_was_given_up_stays_given_up_however_late_one_looks() -> None:
    """The window ends with the last end: time alone brings nothing back to life."""
    runs = crashes(60, 70, 80, 90)
    subject = wanting(THREE_IN_TEN)
    much_later = AT + timedelta(days=3)
    assert look(subject, runs, now=much_later) == Wait()
    assert phase_of(subject, runs[0], earlier=runs[1:]) is Phase.ERROR


def look(
    subject: Strategy,
    runs: list[Run],
    *,
    now: datetime,
    sighting: Sighting = Sighting.UNKNOWN,
    boot_id: str = "b",
) -> Action:
    return decide(
        subject, runs[0], sighting, now=now, earlier=runs[1:], backoff=FULL, boot_id=boot_id
    )


BROKEN = SourceProblem(line=3, column=1, message="'(' was never closed")
TABLE = [
    ("waits", wanting(ON_FAILURE), 60.5, Wait(until=seconds(61))),
    ("is due", wanting(ON_FAILURE), 61, Start(attempt=1)),
    ("was due while the host was down", wanting(ON_FAILURE), 9999, Start(attempt=1)),
    ("never", wanting(NEVER), 61, Wait()),
    ("a user's stop", replace(wanting(ON_FAILURE), intent=strategy(Wanted.STOPPED, 2).intent), 61,
     Wait()),
    ("a user's start", wanting(ON_FAILURE, number=2), 60.5, Start()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("subject", "now", "action"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_after_a_crash(subject: Strategy, now: float, action: Action) -> None:
    assert look(subject, crashes(60), now=seconds(now)) == action


@pytest.mark.parametrize("by", ["schedule", "user:asha", "kill switch", "host"])
@pytest.mark.parametrize("settings", [ON_FAILURE, ALWAYS])
def test_a_stop_wins_over_every_policy_whoever_wants_it(
    settings: StrategySettings, by: str
) -> None:
    """A schedule's end is an intent like another; nothing that ended after it is restarted."""
    intent = Intent(number=2, wanted=Wanted.STOPPED, by=by, at=seconds(60))
    subject = replace(wanting(settings), intent=intent)
    assert look(subject, crashes(60), now=seconds(9999)) == Wait()
    # the end of a window is nobody's look at the crash: it would else show as scheduled
    shown = Phase.ERROR if by == "schedule" else Phase.STOPPED
    assert phase_of(subject, crashes(60)[0]) is shown


def test_a_restart_waits_for_the_agent_and_for_code_that_compiles() -> None:
    subject, runs = wanting(ON_FAILURE), crashes(60)
    assert look(subject, runs, now=seconds(61), sighting=Sighting.UNSEEN) == Wait(
        gates=(AGENT_AWAY,)
    )
    held = look(replace(subject, problem=BROKEN), runs, now=seconds(61))
    assert isinstance(held, Wait)
    assert [gate.code for gate in held.gates] == ["SOURCE_PROBLEM"]
    assert phase_of(subject, runs[0], held.gates) is Phase.WAITING


@pytest.mark.parametrize(("boot_id", "reason"), [("b", VANISHED), ("c", INTERRUPTED)])
def test_a_run_of_an_earlier_boot_was_interrupted_and_its_policy_decides(
    boot_id: str, reason: str
) -> None:
    """Bar R4: no pid is looked for across boots."""
    live = replace(new_run(), state=RunState.RUNNING, process=PROCESS)
    outcome = lost(live.process, boot_id=boot_id)
    assert outcome == Outcome(kind=OutcomeKind.LOST, reason=reason)
    subject = wanting(NEVER)
    assert look(subject, [live], now=AT, boot_id=boot_id) == Conclude(
        run_id=live.id, outcome=outcome
    )
    over = ended(outcome)
    assert phase_of(subject, over) is Phase.ERROR
    assert phase_of(wanting(ON_FAILURE), over) is Phase.BACKING_OFF


class Policies(RuleBasedStateMachine):
    """One strategy under a policy, its runs ending as they like and its clock being wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.now = AT
        self.runs: list[Run] = []
        self.subject = strategy(Wanted.STOPPED, 0)
        self.starts_after_stop = 0

    @initialize(
        policy=st.sampled_from([Restart.ON_FAILURE, Restart.ALWAYS]),
        most=st.integers(1, 4),
        window=st.integers(1, 20),
    )
    def choose(self, policy: Restart, most: int, window: int) -> None:
        settings = StrategySettings(
            restart=policy, most_restarts=most, restart_window_minutes=window, stable_minutes=5
        )
        self.subject = replace(self.subject, settings=settings)

    @property
    def latest(self) -> Run | None:
        return self.runs[-1] if self.runs else None

    def _change(self, *events: Started | StopAsked | Ended) -> None:
        for event in events:
            self.runs[-1] = apply(self.runs[-1], event)

    @rule(wanted=st.sampled_from(Wanted), by=st.sampled_from(["user:asha", "schedule"]))
    def intend(self, wanted: Wanted, by: str) -> None:
        number = self.subject.intent.number + 1
        intent = Intent(number=number, wanted=wanted, by=by, at=self.now)
        self.subject = replace(self.subject, intent=intent)

    @rule(after=st.floats(0, 900))
    def later(self, after: float) -> None:
        self.now += timedelta(seconds=after)

    @rule(days=st.integers(-2, 2))
    def clock_jumps(self, days: int) -> None:
        self.now += timedelta(days=days)

    @rule(outcome=st.sampled_from([row[0] for row in WHO if row[1] is None]))
    def ends(self, outcome: Outcome) -> None:
        if self.runs and self.runs[-1].is_live:
            self._change(Ended(at=self.now, outcome=outcome))

    @rule()
    def look(self) -> None:
        """One step of the reconciler; the agent answers and does what it is told."""
        live = self.latest is not None and self.latest.is_live
        seen = live and self.latest is not None and self.latest.process is not None
        action = decide(
            self.subject,
            self.latest,
            Sighting.ALIVE if seen else Sighting.UNKNOWN,
            now=self.now,
            earlier=self.runs[-2::-1],
            backoff=FULL,
        )
        match action:
            case Start(attempt=attempt):
                assert not live
                self._start(attempt)
            case Launch():
                process = ProcessIdentity(boot_id="b", pid=len(self.runs), start_ticks=1)
                self._change(Started(at=self.now, process=process))
            case Stop():
                self._change(
                    StopAsked(at=self.now, by=self.subject.intent.by),
                    Ended(at=self.now, outcome=STOPPED),
                )
            case Conclude(outcome=outcome):
                self._change(Ended(at=self.now, outcome=outcome))
            case Wait(until=until):
                assert until is None or until <= self.now + timedelta(seconds=FULL.cap_seconds)

    def _start(self, attempt: int) -> None:
        self.starts_after_stop += self.subject.intent.wanted is Wanted.STOPPED
        run = replace(
            new_run(),
            id=RunId(f"{len(self.runs):016x}"),
            intent_number=self.subject.intent.number,
            attempt=attempt,
            created_at=self.now,
        )
        self.runs.append(run)

    @invariant()
    def there_is_one_life(self) -> None:
        assert all(not run.is_live for run in self.runs[:-1])

    @invariant()
    def nothing_starts_after_a_stop(self) -> None:
        assert self.starts_after_stop == 0

    @invariant()
    def attempts_count_up_within_an_intent(self) -> None:
        for before, after in zip(self.runs, self.runs[1:], strict=False):
            is_same = before.intent_number == after.intent_number
            assert after.attempt == (before.attempt + 1 if is_same else 0)

    @invariant()
    def restarts_in_the_window_are_bounded(self) -> None:
        """Of ``most`` restarts in a row before another, one began before the window."""
        settings = self.subject.settings
        most, window = settings.most_restarts, timedelta(minutes=settings.restart_window_minutes)
        for at in range(most, len(self.runs)):
            before = self.runs[at - most : at]
            is_row = all(run.attempt > 0 and run.lived_seconds < 300 for run in before)
            if is_row and self.runs[at].attempt == before[-1].attempt + 1:
                last_end = before[-1].ended_at
                assert last_end is not None
                assert min(run.created_at for run in before) <= last_end - window

    @invariant()
    def backing_off_is_a_promise_of_another_run(self) -> None:
        latest = self.latest
        earlier = self.runs[-2::-1]
        if phase_of(self.subject, latest, earlier=earlier) is Phase.BACKING_OFF:
            assert isinstance(restart_of(self.subject, latest, earlier), Again)
            later = self.now + timedelta(days=30)
            action = decide(
                self.subject, latest, Sighting.UNKNOWN, now=later, earlier=earlier, backoff=FULL
            )
            assert isinstance(action, Start)

    def teardown(self) -> None:
        """Crashing at once from now on, it is given up after at most so many restarts."""
        self.intend(Wanted.RUNNING, "user:asha")
        for _ in range(60):  # the waits of four restarts are 15 s in all
            self.look()
            if self.latest is not None and self.latest.is_live:
                self._change(Ended(at=self.now, outcome=CRASH))
            self.now += timedelta(seconds=1)
        assert self.latest is not None
        assert phase_of(self.subject, self.latest, earlier=self.runs[-2::-1]) is Phase.ERROR
        assert self.latest.attempt <= self.subject.settings.most_restarts


TestPolicies = Policies.TestCase

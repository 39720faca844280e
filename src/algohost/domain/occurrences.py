"""What a schedule makes of the present moment: a pure function of what is expected, what the
ledger knows, what is wanted, what runs, and now.

Level-triggered: it may be asked at any moment, any number of times, after any crash or jump of
the clock. What it decides is committed whole, or not at all and asked for again.

- An expected start without a row gets one: it is started, blocked, missed or skipped.
- Where no window holds, what a schedule started is stopped, and so is what somebody started
  before the end of a window. What somebody starts outside of all windows runs on, to the end
  of the next one.
- Inside a window that was started, what is lost is started again by ``restore``; somebody's
  stop holds until the next window.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from algohost.domain.expected import Expected
from algohost.domain.ledger import (
    TIMETABLE,
    LedgerRow,
    OccurrenceState,
    moment_of,
)
from algohost.domain.restarts import Again
from algohost.domain.runs import INTERRUPTED, OutcomeKind, Run, RunState
from algohost.domain.schedule_draft import Draft
from algohost.domain.schedule_looks import (
    ALERT_AFTER,
    ON_TIME,
    RESTORE_AFTER,
    Alert,
    Decision,
    Facts,
    late_sentence,
)
from algohost.domain.schedules import Late
from algohost.domain.strategies import (
    RESTORE,
    SCHEDULE,
    Gate,
    Wanted,
    draft_gate,
    restart_of,
)
from algohost.domain.timetable import Occurrence, Skipped


def look(facts: Facts, now: datetime) -> Decision:
    """What follows from ``facts`` at the instant ``now``."""
    strategy = facts.strategy
    if not strategy.is_armed or strategy.schedule_set_at is None:
        return Decision(at=now)
    if strategy.schedule_set_at > now:  # by a clock that ran ahead: all would be too early
        return Decision(at=now, set_at=now, look_at=now)
    looking = _Looking(facts, now, strategy.schedule_set_at)
    looking.settle_due()
    looking.begin()
    looking.end()
    looking.restore()
    looking.alert()
    return looking.decision()


class _Looking(Draft):
    """One look, step by step."""

    # ---- rows that wait

    def settle_due(self) -> None:
        for row in tuple(self.rows.values()):
            if row.state is not OccurrenceState.DUE or row.start_at > self.now:
                continue  # the clock may have been set back since
            if self.first_run(row.intent_number) is not None:
                continue  # it has started, and whoever keeps the run says so: ``answered``
            if self.intent.number != row.intent_number:
                self._superseded(row)
            else:
                self._waits(row)

    def _superseded(self, row: LedgerRow) -> None:
        """Somebody wants something else; or the schedule did, when its clock was set back."""
        by = self.intent.by
        if by == SCHEDULE:
            if row.ends_at is not None and row.ends_at <= self.now:
                self.change(row, OccurrenceState.MISSED, sentence=_CLOCK)
            return  # else it is decided about once more
        who = by.partition(":")[2] or f"the {by}"
        self.change(
            row,
            OccurrenceState.SKIPPED,
            by=by,
            sentence=f"{who[:1].upper()}{who[1:]} stopped it while it waited. {row.sentence}",
        )

    def _waits(self, row: LedgerRow) -> None:
        """The window may have ended before its gate opened, or does not come after all."""
        known = next((one for one in self.facts.expected if one.key == row.key), None)
        if known is not None and isinstance(known.entry, Skipped):
            self.change(row, OccurrenceState.SKIPPED, by=TIMETABLE, sentence=known.entry.sentence)
            self.want(Wanted.STOPPED, by=SCHEDULE)
            return
        ends_at = row.ends_at if known is None else known.ends_at
        if ends_at is not None and ends_at <= self.now:
            gate = self._gate(row)
            self.change(row, OccurrenceState.BLOCKED, gate=gate)
            self.want(Wanted.STOPPED, by=SCHEDULE)

    def _gate(self, row: LedgerRow) -> Gate:
        if self.facts.gates:
            return self.facts.gates[0]
        if row.gate_code:
            return Gate(code=row.gate_code, sentence=row.sentence)
        said = "Its start was on its way when the window ended; see the server's log."
        return Gate(code="HOST_TROUBLE", sentence=said)

    # ---- what is expected and has no row

    def begin(self) -> None:
        for one in self.facts.expected:
            if one.start_at > self.now:
                break
            if not self._is_settled(one):
                self._begin_one(one)

    def _is_settled(self, one: Expected) -> bool:
        row = self.rows.get(one.key)
        if row is None:
            started = {OccurrenceState.DUE, OccurrenceState.STARTED}
            return one.occurrence is not None and any(
                row.start_at == one.start_at and row.state in started for row in self.rows.values()
            )
        if not one.holds(self.now):
            return True
        if row.state is OccurrenceState.SKIPPED:  # the calendar was changed since
            return row.by != TIMETABLE
        if row.state is OccurrenceState.DUE:
            return row.intent_number == self.intent.number or self.intent.by != SCHEDULE
        if row.state is OccurrenceState.STARTED:
            return not self._was_dead_already(row)
        # what was given up by a clock that ran ahead is not given up
        gone = {OccurrenceState.MISSED, OccurrenceState.BLOCKED}
        return row.state not in gone or row.decided_at <= self.now

    def _was_dead_already(self, row: LedgerRow) -> bool:
        """Whether what was running already had ended by then, as was heard only afterwards."""
        run = self.latest
        if run is None or run.id != row.run_id or run.ended_at is None:
            return False
        return run.created_at < row.start_at and run.ended_at < row.start_at

    def _begin_one(self, one: Expected) -> None:
        occurrence = one.occurrence
        if one.start_at < self.set_at:
            if occurrence is not None and occurrence.holds(self.set_at):
                self._set_too_late(one)
        elif isinstance(one.entry, Skipped):
            self.put(one, OccurrenceState.SKIPPED, by=TIMETABLE, sentence=one.entry.sentence)
        elif occurrence is not None and one.is_over(self.now):
            self.put(one, OccurrenceState.MISSED, sentence=self._why_late(one))
        elif occurrence is not None:
            self._start(one, occurrence)

    def _set_too_late(self, one: Expected) -> None:
        said = (
            f"The schedule was set at {moment_of(self.set_at)}, after this start; nothing is"
            " started before the next one. Press Start to run it now."
        )
        by = self.strategy.schedule_set_by or SCHEDULE
        self.put(one, OccurrenceState.SKIPPED, by=by, sentence=said)

    def _start(self, one: Expected, occurrence: Occurrence) -> None:
        run, strategy = self.latest, self.strategy
        is_wanted = self.intent.wanted is Wanted.RUNNING and not self._has_ended_since()
        is_answered = run is not None and run.intent_number >= self.intent.number
        if is_wanted and run is not None and is_answered and run.is_live and _runs_on(run):
            self.put(
                one,
                OccurrenceState.STARTED,
                run_id=run.id,
                number=run.intent_number,
                sentence="It was running already.",
            )
        elif is_wanted and not is_answered:
            self.put(one, OccurrenceState.DUE, number=self.intent.number)
        elif strategy.problem is not None:
            self.put(one, OccurrenceState.BLOCKED, gate=draft_gate(strategy.problem))
        elif self.now - one.start_at > ON_TIME and strategy.schedule.late is Late.WAIT:
            said = f"{self._why_late(one)} The schedule waits for the next start."
            self.put(one, OccurrenceState.MISSED, sentence=said)
            if self.intent.wanted is Wanted.RUNNING and self._has_life():  # since an earlier one
                self.want(Wanted.STOPPED, by=SCHEDULE)
        else:
            self.want(Wanted.RUNNING, by=SCHEDULE)
            is_late = self.now - one.start_at > ALERT_AFTER
            said = self._why_late(one) if is_late else occurrence.note
            self.put(one, OccurrenceState.DUE, number=self.intent.number, sentence=said)

    def _why_late(self, one: Expected) -> str:
        gap = self.facts.gap
        if gap is not None and gap.holds(one.start_at):
            return gap.sentence
        return f"It was not expected when its time came, {moment_of(one.start_at)}. {_CLOCK}"

    # ---- the end of a window

    def end(self) -> None:
        """The end wins over restarts as well. What has come to rest by itself is left as it is:
        a crash stays visible."""
        if self.holding is not None or self.intent.wanted is Wanted.STOPPED:
            return
        of_schedule = self.intent.by in {SCHEDULE, RESTORE} and self._is_one_that_stops()
        if (of_schedule or self._has_ended_since()) and self._has_life():
            self.want(Wanted.STOPPED, by=SCHEDULE)

    def _is_one_that_stops(self) -> bool:
        """Whether the window that the schedule started it in is one with an end."""
        came = (one.occurrence for one in self.facts.expected if one.start_at <= self.now)
        begun = [one for one in came if one is not None]
        if begun:
            return begun[-1].stops
        by_intent = (r for r in self.rows.values() if r.intent_number == self.intent.number)
        row = next(by_intent, None)
        if row is not None:
            return row.stops
        return all(window.stop is not None for window in self.strategy.schedule.windows)

    def _has_ended_since(self) -> bool:
        """Whether a window that stops has ended since it was wanted, and none followed at once."""
        since = max(min(self.facts.wanted_since, self.now), self.set_at)
        ended = [
            one.ends_at
            for one in self.facts.expected
            if one.ends_at is not None
            and since < one.ends_at <= self.now
            and one.occurrence is not None
            and one.occurrence.stops
        ]
        return any(not self._holds_any(ends_at) for ends_at in ended)

    def _holds_any(self, at: datetime) -> bool:
        return any(one.holds(at) for one in self.facts.expected)

    def _has_life(self) -> bool:
        run = self.latest
        if run is None or run.intent_number < self.intent.number or run.is_live:
            return True
        return isinstance(restart_of(self.strategy, run, self.facts.earlier), Again)

    # ---- what should be running, and is not

    def restore(self) -> None:
        is_new = self.intent is not self.strategy.intent
        if is_new or self.holding is None or self.strategy.problem is not None:
            return
        row = self.rows.get(self.holding.key)
        if row is None:
            return
        if self.intent.wanted is Wanted.STOPPED:
            # by its own end, and yet it holds: the clock or the calendar was changed since
            if self.intent.by == SCHEDULE and row.state is OccurrenceState.STARTED:
                self.want(Wanted.RUNNING, by=RESTORE)
            return
        due_at = self._restore_at()
        if due_at is not None and due_at <= self.now:
            self.want(Wanted.RUNNING, by=RESTORE)
        elif due_at is not None:
            self.again_at.append(due_at)

    def _restore_at(self) -> datetime | None:
        """When a lost run is followed by another; ``None`` where none was, or its policy acts."""
        run = self.latest
        if run is None or run.is_live or run.outcome is None:
            return None
        if run.outcome.kind is not OutcomeKind.LOST or run.intent_number < self.intent.number:
            return None
        if restart_of(self.strategy, run, self.facts.earlier) is not None:
            return None
        if run.outcome.reason == INTERRUPTED:
            return self.now
        return min(run.created_at, self.now) + RESTORE_AFTER

    # ---- telling

    def alert(self) -> None:
        for row in tuple(self.rows.values()):
            if row.alerted_at is not None:
                continue
            match row.state:
                case OccurrenceState.MISSED | OccurrenceState.BLOCKED:
                    self._tell(row, f"{row.state}_start", row.sentence)
                case OccurrenceState.DUE | OccurrenceState.STARTED:
                    self._tell_if_late(row)

    def _tell_if_late(self, row: LedgerRow) -> None:
        told_at = row.start_at + ALERT_AFTER
        run = self.first_run(row.intent_number)
        if row.state is OccurrenceState.STARTED:
            if run is None or run.id != row.run_id:  # another intent's by now
                return
            if run.started_at is not None and run.started_at <= told_at:
                return
        if self.now < told_at:
            self.again_at.append(told_at)
            return
        gate = self.facts.gates[0] if self.facts.gates else None
        if gate is not None and row.state is OccurrenceState.DUE:
            row = replace(row, gate_code=gate.code, sentence=gate.sentence[:500])
        self._tell(row, "late_start", late_sentence(row, run, gate))

    def _tell(self, row: LedgerRow, kind: str, sentence: str) -> None:
        if row.state in {OccurrenceState.MISSED, OccurrenceState.BLOCKED}:
            sentence = f"The start at {moment_of(row.start_at)} was {row.state}. {sentence}"
        self.alerts.append(Alert(kind=kind, sentence=sentence))
        self.rows[row.key] = replace(row, alerted_at=self.now)


_CLOCK: Final = (
    "The calendar or the clock was changed since, or the server could not decide in time."
)


def _runs_on(run: Run) -> bool:
    """Whether nobody has asked for its end."""
    return run.state is not RunState.STOPPING

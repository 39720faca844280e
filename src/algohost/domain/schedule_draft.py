"""A look at a schedule in the making: the rows and the intent as they become."""

from dataclasses import replace
from datetime import datetime

from algohost.domain.expected import Expected
from algohost.domain.ids import RunId
from algohost.domain.ledger import LedgerRow, OccurrenceState
from algohost.domain.runs import Run
from algohost.domain.schedule_looks import Alert, Decision, Facts
from algohost.domain.strategies import SCHEDULE, Gate, Intent, Wanted


class Draft:
    """What ``occurrences.look`` fills in, step by step; nothing of it counts before it is whole."""

    def __init__(self, facts: Facts, now: datetime, set_at: datetime) -> None:
        self.facts, self.now, self.set_at = facts, now, set_at
        self.strategy, self.latest = facts.strategy, facts.latest
        self.intent = facts.strategy.intent
        self.rows = dict(facts.rows)
        self.alerts: list[Alert] = []
        self.again_at: list[datetime] = []
        self.holding = next((one for one in facts.expected if one.holds(now)), None)

    def decision(self) -> Decision:
        """What has come of it."""
        before = self.facts.rows
        changed = tuple(row for key, row in self.rows.items() if before.get(key) is not row)
        is_new = self.intent is not self.strategy.intent
        return Decision(
            at=self.now,
            intent=self.intent if is_new else None,
            rows=changed,
            alerts=tuple(self.alerts),
            look_at=self._look_at(),
        )

    def first_run(self, number: int | None) -> Run | None:
        """The run that answered the intent, where it is still among the newest."""
        runs = (*reversed(self.facts.earlier), *((self.latest,) if self.latest else ()))
        return next((run for run in runs if run.intent_number == number), None)

    def want(self, wanted: Wanted, *, by: str) -> None:
        """The next intent; of several in one look the last counts."""
        number = self.strategy.intent.number + 1
        self.intent = Intent(number=number, wanted=wanted, by=by, at=self.now)

    def put(
        self,
        one: Expected,
        state: OccurrenceState,
        *,
        by: str = SCHEDULE,
        sentence: str = "",
        gate: Gate | None = None,
        number: int | None = None,
        run_id: RunId | None = None,
    ) -> None:
        """A new row for what was expected; a closed ``gate`` gives it code and sentence."""
        occurrence = one.occurrence
        self.rows[one.key] = LedgerRow(
            strategy_id=self.strategy.id,
            key=one.key,
            start_at=one.start_at,
            ends_at=None if occurrence is None else occurrence.ends_at,
            stops=occurrence is not None and occurrence.stops,
            state=state,
            intent_number=number,
            run_id=run_id,
            gate_code="" if gate is None else gate.code,
            sentence=(sentence if gate is None else gate.sentence)[:500],
            decided_at=self.now,
            by=by,
        )

    def change(
        self,
        row: LedgerRow,
        state: OccurrenceState,
        *,
        by: str = SCHEDULE,
        sentence: str | None = None,
        gate: Gate | None = None,
    ) -> None:
        """Another state of a row; its sentence stays where nothing else is said."""
        said = gate.sentence if gate is not None else row.sentence if sentence is None else sentence
        is_blocked = state is OccurrenceState.BLOCKED
        self.rows[row.key] = replace(
            row,
            state=state,
            by=by,
            gate_code=row.gate_code if gate is None else gate.code,
            sentence=said.strip()[:500],
            decided_at=self.now,
            alerted_at=None if is_blocked else row.alerted_at,
        )

    def _look_at(self) -> datetime | None:
        times, now = self.again_at, self.now
        for one in self.facts.expected:
            if one.start_at > now:
                times.append(one.start_at)
                break
            if one.ends_at is not None and one.ends_at > now:
                times.append(one.ends_at)
        return min(times, default=None)

"""The table of runs and its journal: every change goes to disk, then to memory, then to others."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from algohost.agent.loop import Loop
from algohost.agent.runs import Run, intent
from algohost.runner import whereabouts
from algohost.runner.journal import Fact, Journal
from algohost.runner.processes import errno_words
from algohost.runner.records import Record, read, record_path
from algohost.runner.request import SETUP_FAILED

log = logging.getLogger(__name__)

_RETRY_SECONDS = 2.0


class Table:
    """All runs that nobody has forgotten yet."""

    def __init__(
        self, state_dir: Path, journal: Journal, loop: Loop, *, compact_above_bytes: int
    ) -> None:
        self.state_dir = state_dir
        self.journal = journal
        self.runs: dict[str, Run] = {}
        self._loop = loop
        self._compact_above_bytes = compact_above_bytes
        self._unwritten: list[Fact] = []
        self._gone: set[str] = set()
        self._listeners: list[Callable[[Run], None]] = []

    def listen(self, listener: Callable[[Run], None]) -> None:
        """Calls ``listener`` after each change that others may see."""
        self._listeners.append(listener)

    def changed(self, run: Run) -> None:
        """Tells the listeners."""
        for listener in self._listeners:
            listener(run)

    def live(self) -> list[Run]:
        """The runs that have not ended."""
        return [run for run in self.runs.values() if not run.has_ended]

    def intend(self, run: Run) -> None:
        """Takes a new run in. Raises ``OSError`` where its intent cannot be kept on disk."""
        self._gone.discard(run.run_id)
        self.require(intent(run))
        self.runs[run.run_id] = run

    def require(self, fact: Fact) -> None:
        """Writes a fact that something is about to depend on. Raises ``OSError``."""
        self._write_what_waits()
        self.journal.append(fact)

    def note(self, run: Run, fact: Fact) -> None:
        """Writes a fact and applies it.

        It holds even where the disk is full: then it is written as soon as there is space.
        """
        fact = {**fact, "run": run.run_id}
        self._unwritten.append(fact)
        self._try_to_write()
        run.apply(fact)

    def conclude(self, run: Run) -> None:
        """No process of the run's tree is left: its one end is written and told."""
        record = read(record_path(self.state_dir, run.run_id))
        if run.error is None:  # it may have failed while no agent lived
            run.error = self._failure(run, record)
        ending = run.final_exit(now=time.time(), record=record)
        exit_json = None if ending is None else ending.to_json()
        fact = {"fact": "ended", "exit": exit_json, "error": run.error, "note": run.note}
        self.note(run, fact)
        log.info(
            "run_ended run=%s code=%s signal=%s error=%r",
            run.run_id,
            None if ending is None else ending.code,
            None if ending is None else ending.signal,
            run.error,
        )
        self.changed(run)

    def read_ready(self, runs: Iterable[Run]) -> None:
        """Applies what the journal has of their set-up, for each that has not been heard.

        The children write that themselves.
        """
        unheard = {run.run_id: run for run in runs if not run.has_told_ready}
        if not unheard:
            return
        for fact in self.journal.read().facts:
            run = unheard.get(str(fact.get("run"))) if fact["fact"] == "ready" else None
            if run is not None:
                with contextlib.suppress(KeyError, TypeError, ValueError):  # told at a recovery
                    run.apply(fact)

    def _failure(self, run: Run, record: Record | None) -> str | None:
        """Why its script has not begun; a record that cannot be true of that is not believed."""
        if record is None or record.error is None:
            return None
        main = run.exited
        code = record.code if main is None or main.how == "unknown" else main.code
        if code != SETUP_FAILED:
            return None
        self.read_ready([run])
        return None if run.has_told_ready else record.error

    def drop(self, run: Run) -> None:
        """Forgets a run as if it had never been asked for."""
        self.note(run, {"fact": "forgotten"})
        self.runs.pop(run.run_id, None)
        self._gone.add(run.run_id)
        with contextlib.suppress(OSError):
            record_path(self.state_dir, run.run_id).unlink()
        with contextlib.suppress(OSError):
            Path(whereabouts.path_of(str(record_path(self.state_dir, run.run_id)))).unlink()

    def forget(self, run_ids: Iterable[str]) -> list[str]:
        """Drops runs that have ended; returns the ids that were kept because they live."""
        kept = []
        for run_id in run_ids:
            run = self.runs.get(run_id)
            if run is not None and not run.has_ended:
                kept.append(run_id)
            elif run is not None:
                self.drop(run)
        if self._gone and self.journal.size() > self._compact_above_bytes:
            self._compact()
        return kept

    def _compact(self) -> None:
        try:
            self.journal.compact(self._gone)
        except OSError as error:
            log.warning("journal_not_compacted why=%r", errno_words(error))
            return
        self._gone.clear()

    def _try_to_write(self) -> None:
        try:
            self._write_what_waits()
        except OSError as error:
            log.warning("journal_waits facts=%d why=%r", len(self._unwritten), errno_words(error))
            self._loop.later(_RETRY_SECONDS, self._try_to_write)

    def _write_what_waits(self) -> None:
        while self._unwritten:
            self.journal.append(self._unwritten[0])
            self._unwritten.pop(0)

"""Search in the logs of a strategy's runs: newest line first, a page at a time, in bounded time.

It is done in a process of its own, which is ended when its time is over: an expression may be one
that takes for ever, and whatever is looked for, the server's interpreter has other things to do.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from algohost.domain.errors import Invalid
from algohost.domain.ids import IST, RunId, StrategyId
from algohost.domain.runs import Run
from algohost.host.log_scan import RANKS, Findings, Found, Job
from algohost.host.log_searchers import LOG_SEARCHERS, NoAnswer
from algohost.host.logs import neutralise

MOST_FOUND: Final = 500
_LONGEST_QUERY: Final = 500
_SCAN_SECONDS: Final = 1.0
_PROCESS_SECONDS: Final = 3.0
"""The time of the process; longer than a scan, which counts its own."""
_SEARCHERS: Final = ThreadPoolExecutor(4, thread_name_prefix="log-search")
"""They wait for the processes, so that launches have the loop's own threads for themselves."""
_LONGEST_OFFSET: Final = 19
"""Digits of the largest offset that a file can have."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is looked for. Raises ``Invalid`` for what cannot be.

    Text without capital letters is found in either case; with one, exactly as it is.
    """

    text: str = ""
    is_expression: bool = False
    level: str = ""
    """The lowest level that counts: ``debug``, ``info``, ``warning``, ``error``; empty for all."""
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 200
    cursor: str = ""
    """From an earlier answer: goes on where that one stopped."""

    def __post_init__(self) -> None:
        if not (self.text or self.level or self.since or self.until):
            raise Invalid("Say what to look for: a text, a level or a time.", code="NO_QUERY")
        if len(self.text) > _LONGEST_QUERY:
            raise Invalid(f"A search has at most {_LONGEST_QUERY} characters; shorten it.")
        if self.level not in RANKS:
            words = ", ".join(name for name in RANKS if name)
            raise Invalid(f"“{self.level[:20]}” is no level; choose one of {words}.")
        if not 1 <= self.limit <= MOST_FOUND:
            raise Invalid(f"Ask for 1 to {MOST_FOUND} lines at a time, not {self.limit}.")


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One line that was found."""

    run_id: RunId
    offset: int
    """The byte of its log at which the line begins; its name within the run."""
    at: str
    """``YYYY-MM-DD HH:MM:SS`` in IST; empty where neither it nor a line before it says."""
    level: str
    text: str
    """Without the time, made harmless for showing, at most 2,000 bytes of it."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """The newest lines that were found, and where to go on."""

    hits: list[Hit]
    cursor: str | None
    """``None`` where everything was looked through."""


def moment(text: str) -> datetime | None:
    """A day or a second in IST, as people type it: ``2026-11-23``, ``2026-11-23 09:15[:30]``.

    Nothing is ``None``. Raises ``Invalid``.
    """
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text.removesuffix(" IST").strip())
    except ValueError as error:
        message = f"“{text[:40]}” is no time; write it like 2026-11-23 09:15, in IST."
        raise Invalid(message, code="NO_TIME") from error
    return at.astimezone(IST) if at.tzinfo else at.replace(tzinfo=IST)


async def search(
    folder: Path,
    runs: Sequence[Run],
    query: Query,
    *,
    secrets_of: Callable[[StrategyId], Sequence[str]] = lambda _id: (),
) -> Page:
    """Looks through the logs of ``runs``, which come newest first. Raises ``Invalid``.

    What ``secrets_of`` their strategy tells, in a thread, is covered and is not found.
    """
    job, names = _job(folder, runs, query)
    if not names:
        return Page(hits=[], cursor=None)

    def scanned() -> Findings:
        of = {
            secret for strategy in {r.strategy_id for r in runs} for secret in secrets_of(strategy)
        }
        return _scan_apart(replace(job, secrets=sorted(of)))

    findings = await asyncio.get_running_loop().run_in_executor(_SEARCHERS, scanned)
    hits = [
        Hit(
            run_id=names[one.file],
            offset=one.offset,
            at=one.at,
            level=one.level,
            text=neutralise(one.line.decode("utf-8", "backslashreplace")),
        )
        for one in findings.found
    ]
    stopped = findings.stopped
    return Page(hits=hits, cursor=None if stopped is None else f"{names[stopped[0]]}.{stopped[1]}")


def _job(folder: Path, runs: Sequence[Run], query: Query) -> tuple[Job, list[RunId]]:
    chosen = [run for run in runs if run.log_name and _overlaps(run, query)]
    before = None
    if query.cursor:
        run_id, _, offset = query.cursor.partition(".")
        if not offset.isdecimal() or len(offset) > _LONGEST_OFFSET:
            message = (
                f"“{query.cursor[:40]}” is no place to go on from;"
                " give back a cursor as it was told, or search anew without one."
            )
            raise Invalid(message, code="NO_CURSOR")
        places = [i for i, run in enumerate(chosen) if run.id == run_id]
        if not places:
            message = "The search cannot go on: that run's log is gone. Search again."
            raise Invalid(message, code="NO_CURSOR")
        chosen, before = chosen[places[0] :], int(offset)
    paths = [folder / run.log_name for run in chosen]
    if any(path.parent != folder for path in paths):
        raise Invalid("A log lies outside its folder; it is not searched.")
    job = Job(
        paths=[str(path) for path in paths],
        text=query.text,
        is_expression=query.is_expression,
        level=query.level,
        since=_written(query.since),
        until=_written(query.until),
        before=before,
        limit=query.limit,
        seconds=_SCAN_SECONDS,
    )
    return job, [run.id for run in chosen]


def _overlaps(run: Run, query: Query) -> bool:
    if query.until is not None and run.created_at.replace(microsecond=0) > query.until:
        return False
    return query.since is None or run.ended_at is None or run.ended_at >= query.since


def _written(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(IST).strftime("%Y-%m-%d %H:%M:%S")


def _too_slow(job: Job) -> Invalid:
    if not job.is_expression:
        message = "The search did not end in time; try again, or search in a shorter span of time."
        return Invalid(message, code="SLOW_SEARCH")
    message = (
        "This expression takes too long; make it simpler (a repetition inside a repetition,"
        " such as (a+)+, is what usually does it)."
    )
    return Invalid(message, code="SLOW_EXPRESSION")


def _scan_apart(job: Job) -> Findings:
    try:
        said = LOG_SEARCHERS.ask(json.dumps(job.__dict__).encode(), seconds=_PROCESS_SECONDS)
        answer: dict[str, Any] = json.loads(said)
    except TimeoutError as error:
        raise _too_slow(job) from error
    except (NoAnswer, ValueError) as error:
        message = "The search ended without an answer; try again, or search for a plain text."
        raise Invalid(message, code="SEARCH_FAILED") from error
    if "error" in answer:
        message = (
            f"That is no regular expression: {answer['error']}. Correct it, or search as text."
        )
        raise Invalid(message, code="BAD_EXPRESSION")
    found = [Found(**{**one, "line": one["line"].encode("latin-1")}) for one in answer["found"]]
    stopped = answer["stopped"]
    return Findings(found=found, stopped=None if stopped is None else (stopped[0], stopped[1]))

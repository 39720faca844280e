"""``algohost strategy schedule`` and ``algohost schedule``: asked of the running server."""

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from algohost.cli.console import answer, ist, table
from algohost.cli.options import AsUser, with_options
from algohost.cli.strategies import StrategyIdArgument, read_text
from algohost.cli.strategies import app as strategy_app
from algohost.domain.errors import Invalid
from algohost.domain.schedules import WEEKDAYS

app = typer.Typer(no_args_is_help=True, help="What starts by the clock, and what became of it.")

_DAYS = [day.value for day in WEEKDAYS]
_WORKDAYS = "mon-fri"
_SHORT_TIME = re.compile(r"\d:\d\d(:\d\d)?")


@strategy_app.command("schedule")
@with_options
def schedule(
    strategy_id: StrategyIdArgument,
    common: AsUser,
    at: Annotated[
        str | None,
        typer.Option("--at", help="Start at 09:20, or by the session: open+5."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Stop then; without it nothing stops it.")
    ] = None,
    days: Annotated[
        str | None, typer.Option("--days", help="mon-fri, sat,sun or daily. [default: mon-fri]")
    ] = None,
    next_day: Annotated[
        bool, typer.Option("--next-day", help="The stop is on the next day.")
    ] = False,
    always: Annotated[bool, typer.Option("--always", help="Around the clock, every day.")] = False,
    exchange: Annotated[
        str | None, typer.Option("--exchange", help="Whose days and hours count.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json-file", help="All of a schedule, as --json shows it.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take the schedule away.")] = False,
) -> int:
    """Show a strategy's schedule; or set one, in place of what it had, or take it away."""
    control, path = common.control(), f"/v1/strategies/{strategy_id}/schedule"
    parts = {"--until": until, "--days": days, "--next-day": next_day or None}
    body = _wanted(at, parts, always=always, json_file=json_file, clear=clear)
    if exchange is not None:
        if body is None:
            message = "Give --exchange with --at, --always or --json-file."
            raise Invalid(message, code="BAD_OPTIONS")
        body["exchange"] = exchange
    if clear:
        found = control.ask("POST", f"{path}/clear", {})
    elif body is not None:
        found = control.ask("POST", path, body)
    else:
        found = control.ask("GET", path)
    found.pop("success", None)
    answer(common.as_json, found, *_described(found))
    return 0


@app.command("preview")
@with_options
def preview(
    common: AsUser,
    date: Annotated[
        str,
        typer.Option(
            "--date", metavar="YYYY-MM-DD", help="Which day. [default: the next with a start]"
        ),
    ] = "",
) -> int:
    """Show what starts on a day, what holds it back now, and what is left out and why."""
    found = common.control().ask("GET", "/v1/schedule", date=date)
    found.pop("success", None)
    answer(common.as_json, found, *_day(found))
    return 0


@app.command("history")
@with_options
def history(
    strategy_id: StrategyIdArgument,
    common: AsUser,
    limit: Annotated[int, typer.Option("--limit", help="At most so many, the newest.")] = 25,
) -> int:
    """Show what became of each start that a strategy's schedule expected."""
    path = f"/v1/strategies/{strategy_id}/schedule/history"
    told = common.control().ask("GET", path, limit=limit)
    found = told["occurrences"]
    rows = [
        (ist(one["at"]), one["word"], _late(one), one["run_id"], one["sentence"] or " ")
        for one in found
    ]
    heads = ["START", "RESULT", "LATE BY", "RUN", ""]
    lines = table(heads, rows) if rows else ["Nothing was due yet."]
    answer(common.as_json, {"occurrences": found, "events": told["events"]}, *lines)
    return 0


def _wanted(
    at: str | None,
    parts: dict[str, Any],
    *,
    always: bool,
    json_file: Path | None,
    clear: bool,
) -> dict[str, Any] | None:
    """The schedule that the options say; None where they say none, and for ``--clear``."""
    ways = {"--at": at is not None, "--always": always, "--json-file": json_file, "--clear": clear}
    given = [name for name, is_given in ways.items() if is_given]
    if len(given) > 1:
        raise Invalid(f"Give one of {' and '.join(given)}.", code="BAD_OPTIONS")
    loose = [name for name, value in parts.items() if value is not None]
    if loose and at is None:
        raise Invalid(f"Give {loose[0]} with --at, the time of the start.", code="BAD_OPTIONS")
    if at is not None:
        return {"kind": "windows", "windows": [_window(at, parts)]}
    if always:
        return {"kind": "always"}
    return None if json_file is None else _of_file(json_file)


def _window(at: str, parts: dict[str, Any]) -> dict[str, Any]:
    until = parts["--until"]
    return {
        "start": _clock(at),
        "stop": None if until is None else _clock(until),
        "weekdays": weekdays(_WORKDAYS if parts["--days"] is None else parts["--days"]),
        "ends_next_day": bool(parts["--next-day"]),
    }


def _clock(text: str) -> str:
    return f"0{text}" if _SHORT_TIME.fullmatch(text) else text


def weekdays(text: str) -> list[str]:
    """``mon-fri``, ``sat,sun``, ``fri-mon``, ``daily``. Raises ``Invalid`` for anything else."""
    if text.strip().casefold() in {"daily", "all"}:
        return list(_DAYS)
    found: set[str] = set()
    for part in text.casefold().split(","):
        first, dash, last = (one.strip() for one in part.partition("-"))
        last = last if dash else first
        if first not in _DAYS or last not in _DAYS:
            message = f"There is no weekday {part.strip()[:20]!r}; write mon-fri, sat,sun or daily."
            raise Invalid(message, code="BAD_SCHEDULE")
        begin = _DAYS.index(first)
        length = (_DAYS.index(last) - begin) % len(_DAYS) + 1
        found |= {_DAYS[(begin + n) % len(_DAYS)] for n in range(length)}
    return [day for day in _DAYS if day in found]


def _of_file(file: Path) -> dict[str, Any]:
    """The schedule of a file: itself, or inside what ``--json`` printed."""
    try:
        read = json.loads(read_text(file))
    except json.JSONDecodeError as error:
        message = f"{file} is not JSON (line {error.lineno}); write one object."
        raise Invalid(message, code="NOT_JSON") from error
    except RecursionError:
        message = f"{file} is nested too deeply for a schedule; write one object."
        raise Invalid(message, code="NOT_JSON") from None
    inner = read.get("schedule", read) if isinstance(read, dict) else None
    if not isinstance(inner, dict):
        message = f"{file} holds no schedule; write one JSON object, as --json shows it."
        raise Invalid(message, code="NOT_JSON")
    return dict(inner)


def _described(found: dict[str, Any]) -> list[str]:
    lines = [found.get("message") or found["sentence"]]
    if found["next_sentence"] and not found.get("message"):
        lines.append(found["next_sentence"])
    lines += [found["warning"]] if found["warning"] else []
    rows = [
        (one["day"], one["span"], one["in"] or "left out", one["sentence"])
        for one in found["preview"]["entries"]
    ]
    return [*lines, "", *table(["NEXT", "TIME (IST)", "", ""], rows)] if rows else lines


def _late(one: dict[str, Any]) -> str | None:
    late = one["late_ms"]
    if one["state"] != "started" or late is None:
        return None
    return f"{late} ms" if late < 1000 else f"{late / 1000:.1f} s"


def _day(found: dict[str, Any]) -> list[str]:
    title = "" if found["title"] == found["day"] else f" ({found['title'].lower()})"
    lines = [f"{found['day']}{title}, times in IST"]
    for one in found["exchanges"]:
        said = "  ".join(part for part in (one["hours"], one["sentence"]) if part)
        lines.append(f"  {one['exchange']:8}{said}")
    heads = ["TIME", "STRATEGY", "NAME", "EXCHANGE", "RESULT", ""]
    for name, rows in (("Starts", found["starts"]), ("Left out", found["skipped"])):
        if rows:
            lines += ["", name, *table(heads, [_planned(one) for one in rows])]
    if found["always"]:
        rows = [(one["strategy_id"], one["name"], one["phase"]) for one in found["always"]]
        lines += ["", "Around the clock", *table(["STRATEGY", "NAME", "PHASE"], rows)]
    if not (found["starts"] or found["skipped"] or found["always"]):
        lines += ["", "Nothing is scheduled for that day."]
    return lines


def _planned(one: dict[str, Any]) -> tuple[object, ...]:
    gates = [gate["sentence"] for gate in one["gates"] if gate["sentence"] != one["sentence"]]
    late = _late(one)
    said = [one["sentence"], *gates, f"{late} late" if late else ""]
    return (
        one["span"],
        one["strategy_id"],
        one["name"],
        one["exchange"],
        one["word"],
        " ".join(part for part in said if part) or " ",
    )

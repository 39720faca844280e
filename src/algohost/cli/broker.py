"""``algohost broker`` and ``algohost kill``."""

import getpass
import sys
import time
from typing import Annotated, Any, Final

import typer

from algohost.cli.console import answer, ist, say, table
from algohost.cli.options import AsUser, with_options

app = typer.Typer(no_args_is_help=True, help="The broker session of an account, and its gates.")
kill_app = typer.Typer(no_args_is_help=True, help="The kill switch: no starts, no new orders.")
_LOOK_SECONDS: Final = 0.1

WholeServer = Annotated[bool, typer.Option("--all", help="The whole server; for administrators.")]
OneStrategy = Annotated[
    str | None, typer.Option("--strategy", metavar="ID", help="One strategy only.")
]


@app.command("status")
@with_options
def status(common: AsUser) -> int:
    """Show whether the account is logged in to its broker, and until when."""
    told = common.control().ask("GET", "/v1/broker")
    told.pop("success", None)
    events = [(ist(one["at"]), one["sentence"]) for one in told["events"]]
    lines = ["", *table(["WHEN", "WHAT"], events)] if events else []
    answer(common.as_json, told, *_session_lines(told["session"]), *lines)
    return 0


@app.command("login")
@with_options
def log_in(common: AsUser) -> int:
    """Log in to the broker; whatever waits for that starts by itself."""
    control = common.control()
    fields = control.ask("GET", "/v1/broker")["session"]["fields"]
    session = control.ask("POST", "/v1/broker/login", _typed(fields))["session"]
    answer(common.as_json, {"session": session}, *_session_lines(session))
    return 0


@app.command("logout")
@with_options
def log_out(common: AsUser) -> int:
    """Log out of the broker: starts wait from now on, what runs runs on."""
    session = common.control().ask("POST", "/v1/broker/logout", {})["session"]
    answer(common.as_json, {"session": session}, *_session_lines(session))
    return 0


@app.command("check")
@with_options
def check(common: AsUser) -> int:
    """Look at all gates now, start what nothing holds back, and say what waits for what."""
    told = common.control().ask("POST", "/v1/broker/check", {})
    told.pop("success", None)
    waiting = [
        f"{one['name']}: {gate['sentence']}" for one in told["waiting"] for gate in one["gates"]
    ]
    answer(common.as_json, told, str(told["message"]), *waiting)
    return 0


@kill_app.command("engage")
@with_options
def engage(
    common: AsUser,
    everything: WholeServer = False,
    strategy: OneStrategy = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; shown to whoever waits.")] = "",
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel open orders, too.")] = False,
    flatten: Annotated[
        bool, typer.Option("--flatten", help="Cancel, and close positions at the market.")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop strategies, too.")] = False,
    drill: Annotated[bool, typer.Option("--drill", help="Only say what it would do.")] = False,
    wait: Annotated[
        float, typer.Option("--wait", metavar="SECONDS", help="Wait until it is quiet.", min=0)
    ] = 0.0,
) -> int:
    """Hold back starts and new orders: of your account, one strategy, or with --all everybody.

    With --wait it ends with 1 where it is not quiet by then; what was asked for goes on.
    """
    text = reason.encode(errors="replace").decode()  # no terminal's encoding keeps it from holding
    asked = {"cancel": cancel, "flatten": flatten, "stop": stop}
    steps = [step for step, is_wanted in asked.items() if is_wanted]
    target = _target(everything, strategy)
    body = {**target, "reason": text, "steps": steps, "drill": drill}
    told = common.control().ask("POST", "/v1/kill/engage", body)
    if drill:
        answer(common.as_json, {"drill": told["drill"]}, *_drill_lines(told["drill"]))
        return 0
    if steps and wait:
        told = _when_quiet(common, wait)
    _say_switches(common, told)
    return 1 if steps and wait and _unfinished(told) else 0


@kill_app.command("release")
@with_options
def release(common: AsUser, everything: WholeServer = False, strategy: OneStrategy = None) -> int:
    """Let starts and new orders go on; what waits for that starts by itself."""
    told = common.control().ask("POST", "/v1/kill/release", _target(everything, strategy))
    return _say_switches(common, told)


@kill_app.command("status")
@with_options
def switches(common: AsUser) -> int:
    """List the engaged switches that concern you, and how far is what they were asked for."""
    return _say_switches(common, common.control().ask("GET", "/v1/kill"))


def _target(everything: bool, strategy: str | None) -> dict[str, str]:
    if everything and strategy is not None:
        raise typer.BadParameter("Give --all or --strategy, not both.")
    if everything:
        return {"scope": "host"}
    # an id that is empty is a mistake of a script, and must not turn the whole account
    return {"scope": "account"} if strategy is None else {"scope": "strategy", "id": strategy}


def _when_quiet(common: AsUser, seconds: float) -> dict[str, Any]:
    """What the switches say once nothing is left to do, or after that time."""
    until = time.monotonic() + seconds
    told = common.control().ask("GET", "/v1/kill")
    while _unfinished(told) and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
        told = common.control().ask("GET", "/v1/kill")
    return told


def _unfinished(told: dict[str, Any]) -> bool:
    return any(one["state"] in {"working", "pending"} for one in told.get("kill_tasks", []))


def _drill_lines(drill: dict[str, Any]) -> list[str]:
    orders = [
        (one["id"], one["action"], str(one["quantity"]), one["symbol"], one["strategy_id"] or "–")
        for one in drill["orders"]
    ]
    positions = [
        (one["symbol"], one["product"], str(one["quantity"]), one["strategy_id"] or "–")
        for one in drill["positions"]
    ]
    strategies = [(one["name"], one["phase"]) for one in drill["strategies"]]
    return [
        str(drill["sentence"]),
        *(["", *table(["CANCEL", "SIDE", "OPEN", "SYMBOL", "STRATEGY"], orders)] if orders else []),
        *(
            ["", *table(["CLOSE", "PRODUCT", "QUANTITY", "STRATEGY"], positions)]
            if positions
            else []
        ),
        *(["", *table(["STOP", "PHASE"], strategies)] if strategies else []),
    ]


def _say_switches(common: AsUser, told: dict[str, Any]) -> int:
    found, tasks = told["kill_switches"], told.get("kill_tasks", [])
    rows = [(one["covers"], one["by"], ist(one["at"]), one["reason"]) for one in found]
    lines = table(["ENGAGED FOR", "BY", "SINCE", "REASON"], rows)
    none = ["No kill switch is engaged."]
    said = [one["sentence"] for one in tasks]
    shown = {"kill_switches": found, "kill_tasks": tasks}
    answer(common.as_json, shown, *(lines if rows else none), *said)
    return 0


def _session_lines(session: dict[str, Any]) -> list[str]:
    is_on = session["state"] == "logged_in"
    since = f" since {ist(session['since'])}" if session["since"] else ""
    until = f", until {ist(session['expires_at'])}" if is_on and session["expires_at"] else ""
    lines = [f"{session['account_id']} ({session['broker']}): {session['word']}{since}{until}."]
    if not is_on:
        lines.append(
            f"{session['running']} running, which go on; {session['waiting']} waiting."
            " Log in with 'algohost broker login'."
        )
    return lines


def _typed(fields: list[dict[str, Any]]) -> dict[str, str]:
    """What a person types, or a script sends, a line for each field."""
    answers = {}
    for field in fields:
        if not sys.stdin.isatty():
            answers[field["name"]] = sys.stdin.readline().rstrip("\n")
        elif field["is_secret"]:
            answers[field["name"]] = getpass.getpass(f"{field['label']}: ")
        else:
            say(f"{field['label']}:")
            answers[field["name"]] = sys.stdin.readline().rstrip("\n")
    return answers

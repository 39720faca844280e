"""``algohost environments`` and ``algohost strategy environment``."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from algohost.cli.console import Exit, answer, note, table
from algohost.cli.control_client import Control
from algohost.cli.options import AsUser, with_options
from algohost.cli.strategies import StrategyIdArgument, read_text
from algohost.cli.strategies import app as strategy_app
from algohost.domain.errors import Conflict, Invalid
from algohost.domain.ids import IST, is_strategy_id

app = typer.Typer(no_args_is_help=True, help="Environments that strategies have asked for.")

_MOST_DAYS = 3650
_LEAST_KEY = 12


@strategy_app.command("environment")
@with_options
def show(
    strategy_id: StrategyIdArgument,
    common: AsUser,
    requirements: Annotated[
        Path | None, typer.Option("--requirements", help="Set them from this file first.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Resolve anew and make it again, whatever it is.")
    ] = False,
) -> int:
    """Show a strategy's environment: its packages, or why it could not be made."""
    control, path = common.control(), f"/v1/strategies/{strategy_id}/environment"
    if requirements is not None:
        control.ask("POST", path, {"requirements": read_text(requirements)})
    found = control.ask("POST", f"{path}/again") if again else control.ask("GET", path)
    environment = found["environment"]
    answer(common.as_json, {"environment": environment}, *_lines(environment))
    return 0


@app.command("list")
@with_options
def list_all(common: AsUser) -> int:
    """List the environments on disk, which strategies ask for them, and what waits."""
    told = common.control().ask("GET", "/v1/environments")
    found, waiting = told["environments"], told["waiting"]
    rows = [
        (
            one["key"][:12],
            one["python"],
            one["packages"],
            f"{one['size_bytes'] / 1_000_000:.0f} MB",
            datetime.fromisoformat(one["used_at"]).astimezone(IST).strftime("%d %b %Y"),
            ", ".join(one["wanted_by"]) or "nobody",
        )
        for one in found
    ]
    heads = ["KEY", "PYTHON", "PACKAGES", "SIZE", "LAST USED", "ASKED FOR BY"]
    lines = (
        table(heads, rows) if rows else ["No environments: every strategy uses the built-in one."]
    )
    if waiting:
        heads = ["KEY", "PYTHON", "PACKAGES", "ASKED FOR BY"]
        waits = [
            (one["key"][:12], one["python"], len(one["packages"]), ", ".join(one["wanted_by"]))
            for one in waiting
        ]
        lines = [*lines, "", "Waiting to be allowed:", *table(heads, waits)]
    answer(common.as_json, {"environments": found, "waiting": waiting}, *lines)
    return 0


@app.command("allow")
@with_options
def allow(
    what: Annotated[
        str, typer.Argument(metavar="KEY", help="A key of the list, or the id of a strategy.")
    ],
    common: AsUser,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether to allow them.")] = False,
) -> int:
    """Allow packages that a strategy waits for: they run with the rights of the server."""
    control = common.control()
    key, packages = _to_allow(control, what)
    listed = [f"  {name} {version}" for name, version in packages]
    if not yes and not common.as_json:
        note("\n".join([f"Packages of {key[:12]}:", *listed]))
        if not sys.stdin.isatty():
            raise Invalid("Look at the packages, and allow them with --yes.", code="NO_TERMINAL")
        if not typer.confirm("Allow strategies of every user to use them?", err=True):
            return Exit.REFUSED
    control.ask("POST", "/v1/environments/allow", {"key": key})
    said = [f"Allowed {key[:12]}:", *listed]
    answer(common.as_json, {"allowed": key, "packages": packages}, *said)
    return 0


def _to_allow(control: Control, what: str) -> tuple[str, list[list[str]]]:
    """Key and packages of what is to be allowed, as they are now."""
    if is_strategy_id(what):
        found = control.ask("GET", f"/v1/strategies/{what}/environment")["environment"]
        if found["state"] == "not_allowed":
            return found["key"], found["packages"]
        raise Conflict(f"The packages of {what} do not wait to be allowed.", code="NOT_WAITING")
    waiting = control.ask("GET", "/v1/environments")["waiting"]
    fits = [one for one in waiting if len(what) >= _LEAST_KEY and one["key"].startswith(what)]
    if len({one["key"] for one in fits}) == 1:
        return fits[0]["key"], fits[0]["packages"]
    message = f"No packages of the key {what} wait; “algohost environments list” shows what does."
    raise Conflict(message, code="NOT_WAITING")


@app.command("prune")
@with_options
def prune(
    common: AsUser,
    days: Annotated[
        int, typer.Option("--days", min=0, max=_MOST_DAYS, help="Unused for so many days.")
    ] = 0,
) -> int:
    """Remove environments that no strategy asks for and no run uses."""
    removed = common.control().ask("POST", "/v1/environments/prune", {"days": days})["removed"]
    count = len(removed)
    said = (
        f"Removed {count} environment{'' if count == 1 else 's'}."
        if count
        else "Nothing to remove."
    )
    answer(common.as_json, {"removed": removed}, said)
    return 0


def _lines(environment: dict[str, Any]) -> list[str]:
    asked = ", ".join(environment["asked"]) or "nothing of its own"
    lines = [
        f"state     {environment['word'].lower()}",
        f"asked     {asked}" + (f" (in {environment['origin']})" if environment["origin"] else ""),
        f"python    {environment['python'] or '-'}",
    ]
    if environment["allowed_by"]:
        lines.append(f"allowed   by {environment['allowed_by']}")
    if environment["state"] == "not_allowed":
        lines.append(f"key       {environment['key'][:12]}, for an administrator to allow")
    if environment["line"]:
        lines.append(f"now       {environment['line']}")
    if environment["packages"]:
        lines += ["", *(f"  {name} {version}" for name, version in environment["packages"])]
    if environment["error"]:
        lines += ["", *environment["error"].splitlines()]
    return lines

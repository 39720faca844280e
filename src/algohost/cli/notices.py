"""``algohost notify``."""

import getpass
import sys
from typing import Annotated

import typer

from algohost.cli.console import Exit, answer, ist, table
from algohost.cli.options import AsUser, with_options

app = typer.Typer(no_args_is_help=True, help="Where messages of your strategies are sent.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="What you call the target.")]


@app.command("add")
@with_options
def add(common: AsUser, name: Name) -> int:
    """Add a target; its address is asked for, or read from the input, and never shown again."""
    told = common.control().ask("POST", "/v1/notices/targets", {"name": name, "url": _typed()})
    said = (
        f"Messages go to {told['added']} ({told['service']}) from now on. Send a test with"
        " 'algohost notify test'."
    )
    answer(common.as_json, {"added": told["added"], "service": told["service"]}, said)
    return 0


@app.command("list")
@with_options
def show(common: AsUser) -> int:
    """List the targets, and how the last messages fared."""
    told = common.control().ask("GET", "/v1/notices")
    told.pop("success", None)
    rows = [(one["name"], one["service"], ist(one["added_at"])) for one in told["targets"]]
    lines = table(["TARGET", "SERVICE", "SINCE"], rows)
    none = ["There is no notification target; add one with 'algohost notify add'."]
    sent = [
        (ist(one["at"]), one["target"], one["title"], one["state"], one["reason"])
        for one in told["latest"]
    ]
    more = ["", *table(["WHEN", "TARGET", "TITLE", "STATE", "REASON"], sent)] if sent else []
    answer(common.as_json, told, *(lines if rows else none), *more)
    return 0


@app.command("remove")
@with_options
def remove(common: AsUser, name: Name) -> int:
    """Forget a target and what waits for it."""
    common.control().ask("POST", "/v1/notices/targets/remove", {"name": name})
    answer(common.as_json, {"removed": name}, f"Nothing is sent to {name} any more.")
    return 0


@app.command("test")
@with_options
def send_test(
    common: AsUser,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One target only.")] = None,
) -> int:
    """Send a test message to all targets, or to one, and say whether it arrived."""
    body = {} if name is None else {"name": name}
    told = common.control().ask("POST", "/v1/notices/targets/test", body)["tested"]
    lines = [f"{one['name']}: {'arrived' if one['arrived'] else one['reason']}" for one in told]
    answer(common.as_json, {"tested": told}, *lines)
    return Exit.DONE if all(one["arrived"] for one in told) else Exit.REFUSED


def _typed() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("Address in apprise's form: ")
    return sys.stdin.readline().rstrip("\n")

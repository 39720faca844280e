"""``algohost account`` and ``algohost strategy mode``."""

import getpass
import sys
from typing import Annotated, Any

import typer

from algohost.cli.console import answer, say, table
from algohost.cli.options import AsUser, with_options

app = typer.Typer(no_args_is_help=True, help="Accounts: paper ones, and live ones at a broker.")

AccountArgument = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="Its name or id.", show_default=False)
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]


@app.command("list")
@with_options
def list_all(common: AsUser) -> int:
    """List your accounts: name, broker, mode, and what trades in them."""
    return _say_accounts(common, common.control().ask("GET", "/v1/accounts")["accounts"])


@app.command("add")
@with_options
def add(
    name: NameArgument,
    common: AsUser,
    broker: Annotated[str, typer.Option("--broker", help="paper, openalgo, …")] = "openalgo",
    url: Annotated[
        str, typer.Option("--url", help="Where the OpenAlgo server answers, of a live account.")
    ] = "",
    feed: Annotated[
        str, typer.Option("--feed", help="Where its feed answers: orders are seen sooner.")
    ] = "",
) -> int:
    """Add an account. The API key of a live one is asked for, or read from standard input."""
    body = {"name": name, "broker": broker, "base_url": url, "feed_url": feed}
    if broker != "paper":
        body["api_key"] = _typed_key()
    made = common.control().ask("POST", "/v1/accounts", body)["account"]
    answer(common.as_json, {"account": made}, made["id"])
    return 0


@app.command("key")
@with_options
def set_key(account: AccountArgument, common: AsUser) -> int:
    """Give a live account another API key, asked for or read from standard input."""
    return _change(common, "key", {"id": account, "api_key": _typed_key()})


@app.command("rename")
@with_options
def rename(account: AccountArgument, name: NameArgument, common: AsUser) -> int:
    """Call an account something else."""
    return _change(common, "rename", {"id": account, "name": name})


@app.command("disable")
@with_options
def disable(account: AccountArgument, common: AsUser) -> int:
    """Have nothing start in an account, and no new order taken."""
    return _change(common, "disable", {"id": account})


@app.command("enable")
@with_options
def enable(account: AccountArgument, common: AsUser) -> int:
    """Undo 'account disable'; what waits for it starts by itself."""
    return _change(common, "enable", {"id": account})


@app.command("remove")
@with_options
def remove(account: AccountArgument, common: AsUser) -> int:
    """Remove an account that nothing uses; its orders stay on record."""
    return _change(common, "remove", {"id": account})


@app.command("reset")
@with_options
def reset(
    account: AccountArgument,
    common: AsUser,
    cash: Annotated[str, typer.Option("--cash", metavar="RUPEES", help="Begin with so much.")] = "",
) -> int:
    """Have a paper account begin anew: no orders, no positions, its opening cash."""
    told = common.control().ask("POST", "/v1/accounts/reset", {"id": account, "cash": cash})
    answer(common.as_json, {"sentence": told["sentence"]}, told["sentence"])
    return 0


@app.command("test")
@with_options
def test(account: AccountArgument, common: AsUser) -> int:
    """Ask the server of a live account whether its key is good and what is behind it."""
    told = common.control().ask("POST", "/v1/accounts/test", {"id": account})
    told.pop("success", None)
    answer(common.as_json, told, told["sentence"], f"Available: ₹{told['available']}.")
    return 0


@with_options
def mode(
    strategy_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    common: AsUser,
    wanted: Annotated[
        str | None, typer.Argument(metavar="[paper|live]", show_default=False)
    ] = None,
    account: Annotated[
        str, typer.Option("--account", help="In which account, by name or id.")
    ] = "",
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", metavar="NAME", help="The strategy's name, to go live."),
    ] = None,
) -> int:
    """Show where a strategy's orders go, or change it; to go live, type the strategy's name."""
    control, path = common.control(), f"/v1/strategies/{strategy_id}/mode"
    if wanted is None:
        told = control.ask("GET", path)
    else:
        if wanted == "live" and confirm is None and sys.stdin.isatty():
            say("It would trade with real money. To confirm, type the strategy's name:")
            confirm = sys.stdin.readline().rstrip("\n")
        body = {"mode": wanted, "account": account, "confirmation": confirm or ""}
        told = control.ask("POST", path, body)
    told.pop("success", None)
    answer(common.as_json, told, told["sentence"])
    return 0


def _change(common: AsUser, act: str, body: dict[str, str]) -> int:
    told = common.control().ask("POST", f"/v1/accounts/{act}", body)
    return _say_accounts(common, told["accounts"])


def _say_accounts(common: AsUser, found: list[dict[str, Any]]) -> int:
    rows = [
        (
            one["name"],
            one["broker"],
            f"{one['mode']} (disabled)" if one["is_disabled"] else one["mode"],
            str(len(one["strategies"])),
            one["base_url"],
            one["id"],
        )
        for one in found
    ]
    lines = table(["NAME", "BROKER", "MODE", "STRATEGIES", "SERVER", "ID"], rows)
    answer(common.as_json, {"accounts": found}, *lines)
    return 0


def _typed_key() -> str:
    """The key, from a person without showing it, or a line of standard input."""
    if sys.stdin.isatty():
        return getpass.getpass("API key: ")
    return sys.stdin.readline().rstrip("\n")

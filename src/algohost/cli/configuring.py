"""``algohost strategy set, settings, var, secret`` and ``algohost keys``."""

import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import Annotated, Any

import typer

from algohost.cli.console import answer, ist, table
from algohost.cli.options import AsUser, Common, with_options
from algohost.cli.strategies import StrategyIdArgument
from algohost.cli.strategies import app as strategy_app
from algohost.domain.errors import Invalid
from algohost.domain.strategy_settings import StrategySettings

variable_app = typer.Typer(no_args_is_help=True, help="Variables that its script finds.")
secret_app = typer.Typer(no_args_is_help=True, help="Secrets that only its script finds.")
keys_app = typer.Typer(no_args_is_help=True, help="The key under which secrets are sealed.")
strategy_app.add_typer(variable_app, name="var")
strategy_app.add_typer(secret_app, name="secret")

Names = Annotated[list[str], typer.Argument(metavar="NAME...", show_default=False)]

_MOST_VALUE_CHARACTERS = 65_536  # more is not even sent; the server's own limit is lower
_YES_NO = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@keys_app.callback()
def _keys() -> None:
    pass


@strategy_app.command("settings")
@with_options
def settings(
    strategy_id: StrategyIdArgument,
    common: AsUser,
) -> int:
    """Show how a strategy is run, and what its script finds."""
    found = common.control().ask("GET", _path(strategy_id, "settings"))
    normal = StrategySettings()
    rows = [
        (name, shown(value), "default" if shown(value) == shown(getattr(normal, name)) else " ")
        for name, value in found["settings"].items()
    ]
    lines = table(["SETTING", "VALUE", ""], rows)
    for kind in ("variables", "secrets"):
        lines.append(f"{kind:10} {', '.join(one['name'] for one in found[kind]) or '-'}")
    answer(common.as_json, _kept(found), *lines)
    return 0


@strategy_app.command("set")
@with_options
def change(
    strategy_id: StrategyIdArgument,
    pairs: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...", show_default=False)],
    common: AsUser,
) -> int:
    """Change settings of a strategy; lists are separated by commas."""
    changes = {name: _typed(name, text) for name, text in _pairs(pairs, "KEY=VALUE").items()}
    control = common.control()
    return _tell(control.ask("POST", _path(strategy_id, "settings"), changes), common.as_json)


@variable_app.command("set")
@with_options
def set_variables(
    strategy_id: StrategyIdArgument,
    pairs: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", show_default=False)],
    common: AsUser,
) -> int:
    """Set variables: all of them, or none."""
    body = {"values": _pairs(pairs, "NAME=VALUE")}
    control = common.control()
    return _tell(control.ask("POST", _path(strategy_id, "variables"), body), common.as_json)


@variable_app.command("list")
@with_options
def list_variables(
    strategy_id: StrategyIdArgument,
    common: AsUser,
) -> int:
    """List variables with their values."""
    control = common.control()
    found = control.ask("GET", _path(strategy_id, "settings"))["variables"]
    rows = [(one["name"], one["value"], ist(one["changed_at"])) for one in found]
    lines = table(["NAME", "VALUE", "CHANGED"], rows) if rows else ["No variables."]
    answer(common.as_json, {"variables": found}, *lines)
    return 0


@variable_app.command("remove")
@with_options
def remove_variables(
    strategy_id: StrategyIdArgument,
    names: Names,
    common: AsUser,
) -> int:
    """Remove variables: all of them, or none."""
    control, path = common.control(), _path(strategy_id, "variables/delete")
    return _tell(control.ask("POST", path, {"names": names}), common.as_json)


@secret_app.command("set")
@with_options
def set_secret(
    strategy_id: StrategyIdArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    common: AsUser,
    value_stdin: Annotated[
        bool, typer.Option("--value-stdin", help="Read the value from the input.")
    ] = False,
) -> int:
    """Set a secret. Nothing shows it again, and it is masked in the output of runs."""
    body = {"name": name, "value": _secret(value_stdin)}
    control = common.control()
    return _tell(control.ask("POST", _path(strategy_id, "secrets"), body), common.as_json)


@secret_app.command("list")
@with_options
def list_secrets(
    strategy_id: StrategyIdArgument,
    common: AsUser,
) -> int:
    """List the names of secrets and when each was set."""
    control = common.control()
    found = control.ask("GET", _path(strategy_id, "settings"))["secrets"]
    rows = [(one["name"], "••••••••", ist(one["changed_at"])) for one in found]
    lines = table(["NAME", "VALUE", "CHANGED"], rows) if rows else ["No secrets."]
    answer(common.as_json, {"secrets": found}, *lines)
    return 0


@secret_app.command("remove")
@with_options
def remove_secrets(
    strategy_id: StrategyIdArgument,
    names: Names,
    common: AsUser,
) -> int:
    """Remove secrets: all of them, or none."""
    control, path = common.control(), _path(strategy_id, "secrets/delete")
    return _tell(control.ask("POST", path, {"names": names}), common.as_json)


@keys_app.command("rotate")
@with_options
def rotate(common: AsUser) -> int:
    """Make a new key, seal every secret under it, and drop the old one. Works without a server."""
    control = common.control()
    if control.run_dir.is_held():
        count = int(control.ask("POST", "/v1/keys/rotate")["resealed"])
    else:
        count = _rotate_without_server(common)
    said = f"The key is new; secrets sealed under it: {count}."
    answer(common.as_json, {"resealed": count}, said)
    return 0


def _rotate_without_server(common: Common) -> int:
    import asyncio

    from algohost.cli.offline import open_vault
    from algohost.host.clock import SystemClock
    from algohost.host.variables import rotate_keys

    with open_vault(common.data_dir, common.config) as (database, vault):
        return asyncio.run(rotate_keys(database, vault, at=SystemClock().now()))


def _path(strategy_id: str, what: str) -> str:
    return f"/v1/strategies/{strategy_id}/{what}"


def _kept(found: dict[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in ("settings", "variables", "secrets")}


def _tell(found: dict[str, Any], as_json: bool) -> int:
    answer(as_json, {"message": found["message"], **_kept(found)}, found["message"])
    return 0


def _pairs(words: Sequence[str], form: str) -> dict[str, str]:
    pairs = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise Invalid(f"Each word must be {form}; one of them is not.", code="BAD_PAIR")
        pairs[name] = value
    return pairs


def _typed(name: str, text: str) -> object:
    """``text`` as the setting has it; what does not fit goes as text, for the server to refuse."""
    known = {one.name for one in fields(StrategySettings)}
    normal = getattr(StrategySettings(), name) if name in known else ""
    match normal:
        case bool():
            return _YES_NO.get(text.casefold(), text)
        case int():
            return int(text) if text.lstrip("-").isdecimal() else text
        case tuple():
            parts = [part.strip() for part in text.split(",") if part.strip()]
            is_ports = name == "ports"
            return [int(p) if is_ports and p.isdecimal() else p for p in parts]
        case _:
            return text


def shown(value: object) -> str:
    """A setting as a person reads it, and as ``set`` takes it but for an empty list."""
    match value:
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ",".join(map(str, value)) or "none"
        case _:
            return str(value)


def _secret(from_stdin: bool) -> str:
    if from_stdin:
        text = sys.stdin.read(_MOST_VALUE_CHARACTERS)
        return text.removesuffix("\n").removesuffix("\r")
    if not sys.stdin.isatty():
        message = "There is no terminal to ask for the value; give it with --value-stdin."
        raise Invalid(message, code="NO_TERMINAL")
    import getpass

    return getpass.getpass("Value: ")

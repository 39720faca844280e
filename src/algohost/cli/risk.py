"""``algohost risk``."""

from typing import Annotated, Any, Final

import typer

from algohost.cli.console import answer, ist, table
from algohost.cli.options import AsUser, with_options
from algohost.domain.risk_draft import NAMES

app = typer.Typer(no_args_is_help=True, help="Limits of what may be traded, and the governor.")

WholeServer = Annotated[bool, typer.Option("--all", help="The whole server; for administrators.")]
OneStrategy = Annotated[
    str | None, typer.Option("--strategy", metavar="ID", help="One strategy; else your account.")
]
Text = str | None

_NONE: Final = {"", "none", "off"}
"""What takes a limit away."""


@app.command("show")
@with_options
def show(common: AsUser, everything: WholeServer = False, strategy: OneStrategy = None) -> int:
    """Show limits: of your account, one strategy, or with --all the host's, and today's figures."""
    told = common.control().ask("POST", "/v1/risk/show", _target(everything, strategy))
    told.pop("success", None)
    lines = _lines(told["target"])
    for one in told["above"]:
        if one["is_set"]:
            lines += ["", *_lines(one)]
    events = [(ist(one["at"]), one["sentence"]) for one in told["events"]]
    more = ["", *table(["WHEN", "WHAT"], events)] if events else []
    answer(common.as_json, told, *lines, *more)
    return 0


@app.command("list")
@with_options
def list_(common: AsUser) -> int:
    """List everything with limits that concerns you, and the orders that wait for their turn."""
    told = common.control().ask("GET", "/v1/risk")
    told.pop("success", None)
    limits = [
        (one["whose"], one["id"] or "–", _said(one["limits"]), one["by"]) for one in told["limits"]
    ]
    queues = [
        (
            one["account_id"],
            one["exchange"],
            str(one["waiting"]),
            f"{one['oldest_seconds']:.1f} s",
            str(one["refused"]),
        )
        for one in told["queues"]
    ]
    lines = table(["LIMITS OF", "ID", "LIMITS", "SET BY"], limits) if limits else ["No limits."]
    heads = ["ACCOUNT", "EXCHANGE", "WAITING", "OLDEST", "REFUSED"]
    answer(common.as_json, told, *lines, *(["", *table(heads, queues)] if queues else []))
    return 0


@app.command("set")
@with_options
def set_(
    common: AsUser,
    everything: WholeServer = False,
    strategy: OneStrategy = None,
    quantity: Annotated[Text, typer.Option("--quantity", help="Most units in one order.")] = None,
    value: Annotated[Text, typer.Option("--value", help="Most rupees in one order.")] = None,
    open_orders: Annotated[
        Text, typer.Option("--open-orders", help="Most orders that are open at one time.")
    ] = None,
    orders: Annotated[Text, typer.Option("--orders", help="Most orders in a day.")] = None,
    loss: Annotated[Text, typer.Option("--loss", help="Most rupees that a day may lose.")] = None,
    band: Annotated[
        Text, typer.Option("--band", help="Most per cent between a limit and the last price.")
    ] = None,
    symbols: Annotated[
        Text, typer.Option("--symbols", help="What may be traded: NSE:INFY,NFO:NIFTY*.")
    ] = None,
    products: Annotated[
        Text, typer.Option("--products", help="Products that may be used: MIS,NRML.")
    ] = None,
    stop_at_loss: Annotated[
        bool | None, typer.Option("--stop-at-loss/--no-stop-at-loss", help="Stop strategies then.")
    ] = None,
) -> int:
    """Set limits; those that are not given stay, and 'none' takes one away."""
    given = {
        "most_quantity": quantity,
        "most_value": value,
        "most_open_orders": open_orders,
        "most_orders_a_day": orders,
        "most_daily_loss": loss,
        "price_band_percent": band,
        "symbols": symbols,
        "products": products,
    }
    limits: dict[str, Any] = {
        name: None if text.strip().lower() in _NONE else text
        for name, text in given.items()
        if text is not None
    }
    if stop_at_loss is not None:
        limits["stops_at_loss"] = stop_at_loss
    if not limits:
        raise typer.BadParameter("Give at least one limit, such as --quantity 100.")
    body = {**_target(everything, strategy), "limits": limits}
    return _say(common, common.control().ask("POST", "/v1/risk/set", body)["target"])


@app.command("clear")
@with_options
def clear(common: AsUser, everything: WholeServer = False, strategy: OneStrategy = None) -> int:
    """Take all limits away: of your account, one strategy, or with --all of the host."""
    body = _target(everything, strategy)
    return _say(common, common.control().ask("POST", "/v1/risk/clear", body)["target"])


def _target(everything: bool, strategy: str | None) -> dict[str, Any]:
    if everything and strategy is not None:
        raise typer.BadParameter("Give --all or --strategy, not both.")
    if everything:
        return {"scope": "host"}
    return {"scope": "account"} if strategy is None else {"scope": "strategy", "id": strategy}


def _say(common: AsUser, target: dict[str, Any]) -> int:
    answer(common.as_json, {"target": target}, *_lines(target))
    return 0


def _lines(one: dict[str, Any]) -> list[str]:
    """A target's limits, and what it has done of them today."""
    if not one["is_set"]:
        return [f"{one['whose'].capitalize()} has no limits of its own."]
    rows = [
        (NAMES.get(name, name), _text(value), _today(one, name))
        for name, value in one["limits"].items()
        if value not in (None, [], False)
    ]
    head = f"Limits of {one['whose']}, set by {one['by']} at {ist(one['at'])}:"
    lines = [head, *table(["LIMIT", "VALUE", "TODAY"], rows)]
    if one["loss_reached"] is not None:
        at, lost = ist(one["loss_reached"]["at"]), one["loss_reached"]["lost"]
        lines.append(f"The daily loss was reached at {at} with {lost}: no entries today.")
    return lines


def _today(one: dict[str, Any], name: str) -> str:
    figure = {
        "most_open_orders": "open_orders",
        "most_orders_a_day": "orders_today",
        "most_daily_loss": "pnl",
    }.get(name)
    found = one[figure] if figure else None
    return "" if found is None else str(found)


def _said(limits: dict[str, Any]) -> str:
    set_ones = {name: value for name, value in limits.items() if value not in (None, [], False)}
    return "; ".join(f"{NAMES.get(name, name)}: {_text(v)}" for name, v in set_ones.items())


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(str(one) for one in value)
    return "yes" if value is True else str(value)

"""``algohost strategy pnl`` and ``trades``: what a strategy's book has gained."""

import sys
from typing import Annotated, Any

import typer

from algohost.cli.console import answer, table
from algohost.cli.options import AsUser, with_options
from algohost.cli.strategies import StrategyIdArgument

AsCsv = Annotated[bool, typer.Option("--csv", help="The days as CSV, all of them.")]
_DAYS_SHOWN = 10


@with_options
def pnl(strategy_id: StrategyIdArgument, common: AsUser, csv: AsCsv = False) -> int:
    """Show what a strategy gained: today, in all, by day; after charges, drawdown and win rate."""
    told = common.control().ask("GET", f"/v1/strategies/{strategy_id}/performance")
    told.pop("success", None)
    if csv:
        sys.stdout.write(str(told["csv"]))
        return 0
    told.pop("csv")
    answer(common.as_json, told, *_lines(told))
    return 0


@with_options
def trades(strategy_id: StrategyIdArgument, common: AsUser) -> int:
    """Print every trade of a strategy's book as CSV."""
    told = common.control().ask("GET", f"/v1/strategies/{strategy_id}/trades")
    sys.stdout.write(str(told["csv"]))
    return 0


def _lines(told: dict[str, Any]) -> list[str]:
    totals, today = told["totals"], told["today"]
    rate = totals["win_rate"]
    won = "-" if rate is None else f"{rate:.0%} of {totals['round_trips']} round trips"
    lines = [
        f"today         {today['total']}, {today['unrealised']} of it open, before charges",
        f"realised      {totals['realised']}",
        f"charges       {totals['charges']}",
        f"net           {totals['net']}",
        f"win rate      {won}",
        f"drawdown      {totals['drawdown']}",
        f"turnover      {totals['turnover']} in {totals['fills']} fills",
    ]
    if not told["days"]:
        return lines
    heads = ["DAY", "REALISED", "CHARGES", "NET", "FILLS", "ROUND TRIPS", "WON"]
    names = ("date", "realised", "charges", "net", "fills", "round_trips", "wins")
    shown = [[day[name] for name in names] for day in told["days"][-_DAYS_SHOWN:]]
    return [*lines, "", *table(heads, shown)]

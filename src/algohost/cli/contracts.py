"""``algohost contracts``."""

import time
from typing import Annotated, Any

import typer

from algohost.cli.console import answer, ist, note, table
from algohost.cli.control_client import Control
from algohost.cli.options import AsUser, Common, with_options
from algohost.domain.errors import Unavailable

app = typer.Typer(
    no_args_is_help=True, help="The master contract: the list of the broker's instruments."
)

_PAUSE_SECONDS = 0.2
_MOST_SECONDS = 300.0


@app.command("status")
@with_options
def status(common: Common) -> int:
    """Show whether the list is of today, how long it is and when it was made."""
    told = common.control().ask("GET", "/v1/contracts")["contracts"]
    answer(common.as_json, {"contracts": told}, *_lines(told))
    return 0


@app.command("download")
@with_options
def download(
    common: AsUser,
    force: Annotated[
        bool, typer.Option("--force", help="Also where the list in use is of today.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Return when it is done, or at once.")
    ] = True,
) -> int:
    """Download a new list, and wait until it is there."""
    control = common.control()
    asked = control.ask("POST", "/v1/contracts/download", {"force": force})
    told = _settled(control, was_failed_at=asked["failures"]) if wait else asked["contracts"]
    said = {"message": asked["message"], "started": asked["started"], "contracts": told}
    answer(common.as_json, said, f"{asked['message'].rstrip('.')}.", *_lines(told))
    return 0


@app.command("search")
@with_options
def search(
    words: Annotated[list[str], typer.Argument(metavar="WORD...", show_default=False)],
    common: Common,
    exchange: Annotated[
        str | None, typer.Option("--exchange", help="Of this exchange only.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200, help="At most so many.")] = 20,
) -> int:
    """Search the list by symbol, name, expiry, strike and kind: nifty nov 24500 ce."""
    asked: dict[str, Any] = {"q": " ".join(words), "exchange": exchange, "limit": limit}
    found = common.control().ask("GET", "/v1/contracts/search", **asked)["instruments"]
    heads = ["EXCHANGE", "SYMBOL", "NAME", "EXPIRY", "LOT", "TICK", "PRICES"]
    rows = [
        (
            one["exchange"],
            one["symbol"],
            one["name"],
            one["expiry"],
            one["lot"],
            one["tick"],
            "here" if one["has_prices"] else "none here",
        )
        for one in found
    ]
    lines = table(heads, rows) if rows else ["Nothing fits all of these words."]
    answer(common.as_json, {"instruments": found}, *lines)
    return 0


def _settled(control: Control, *, was_failed_at: int) -> dict[str, Any]:
    """The list once nothing is being downloaded. Raises ``Unavailable`` where that failed."""
    end, last = time.monotonic() + _MOST_SECONDS, ""
    while True:
        found = control.ask("GET", "/v1/contracts")
        told: dict[str, Any] = found["contracts"]
        if not found["is_busy"]:
            break
        if told["message"] != last:
            last = told["message"]
            note(last)
        if time.monotonic() > end:
            raise Unavailable(f"It takes longer than expected: {last}", code="STILL_DOWNLOADING")
        time.sleep(_PAUSE_SECONDS)
    if told["status"] == "error" and found["failures"] != was_failed_at:
        raise Unavailable(str(told["message"]), code="MASTER_CONTRACT_FAILED")
    return told


def _lines(told: dict[str, Any]) -> list[str]:
    return [
        f"broker       {told['broker']}",
        f"state        {told['status']}",
        f"of today     {'yes' if told['is_ready'] else 'no: starts wait for a new list'}",
        f"instruments  {told['total_symbols']:,}",
        f"made         {ist(told['last_updated']) or '-'}",
        f"             {told['message']}",
    ]

"""``algohost strategy`` and ``algohost status``: asked of the running server."""

import base64
import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from algohost import locate
from algohost.cli.console import answer, note, table
from algohost.cli.control_client import Control
from algohost.cli.options import ConfigFile, DataDir, Json, User
from algohost.domain.errors import Invalid, TooLarge
from algohost.domain.ids import IST

app = typer.Typer(no_args_is_help=True, help="Strategies: add, look at, start and stop them.")

StrategyIdArgument = Annotated[str, typer.Argument(metavar="ID", show_default=False)]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Return at once instead of when it has happened.")
]

_MOST_BYTES = 16 * 1024 * 1024  # more is not even sent; the server's own limit is lower
_START_SECONDS = 700.0


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    name: Annotated[str, typer.Option("--name", help="What to call it.")],
    exchange: Annotated[str, typer.Option("--exchange", help="Its exchange.")] = "NSE",
    user: User = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> int:
    """Add a strategy from a .py file and print its id."""
    body = {
        "name": name,
        "file_name": file.name,
        "exchange": exchange,
        "content": base64.b64encode(_read(file)).decode("ascii"),
    }
    added = _control(data_dir, config, user).ask("POST", "/v1/strategies", body)["strategy"]
    if added.get("problem"):
        note(f"algohost: added as a draft, because it does not compile: {_problem(added)}.")
    answer(as_json, {"strategy": added}, added["id"])
    return 0


@app.command("list")
def list_all(
    user: User = None, data_dir: DataDir = None, config: ConfigFile = None, as_json: Json = False
) -> int:
    """List strategies and how they stand."""
    found = _control(data_dir, config, user).ask("GET", "/v1/strategies")["strategies"]
    lines = _listing(found) if found else ["No strategies yet; add one: algohost strategy add."]
    answer(as_json, {"strategies": found}, *lines)
    return 0


@app.command("show")
def show(
    strategy_id: StrategyIdArgument,
    user: User = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> int:
    """Show one strategy and its last runs."""
    found = _control(data_dir, config, user).ask("GET", f"/v1/strategies/{strategy_id}")
    runs = [
        (r["id"], r["outcome"] or r["state"], _ist(r["started_at"]), _ist(r["ended_at"]), r["pid"])
        for r in found["runs"]
    ]
    lines = _details(found["strategy"])
    if runs:
        lines += ["", *table(["RUN", "OUTCOME", "STARTED", "ENDED", "PID"], runs)]
    answer(as_json, {"strategy": found["strategy"], "runs": found["runs"]}, *lines)
    return 0


@app.command("start")
def start(
    strategy_id: StrategyIdArgument,
    no_wait: NoWait = False,
    user: User = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> int:
    """Start a strategy, and wait until it runs."""
    return _act("start", strategy_id, no_wait, _control(data_dir, config, user), as_json)


@app.command("stop")
def stop(
    strategy_id: StrategyIdArgument,
    no_wait: NoWait = False,
    user: User = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> int:
    """Stop a strategy, and wait until it is gone."""
    return _act("stop", strategy_id, no_wait, _control(data_dir, config, user), as_json)


@app.command("logs")
def logs(
    strategy_id: StrategyIdArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")
    ] = False,
    user: User = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> int:
    """Print the log of the newest run. With --json, one object per piece."""
    control = _control(data_dir, config, user)
    pieces = control.stream(f"/v1/strategies/{strategy_id}/log", follow=1 if follow else 0)
    for piece in pieces:
        if as_json:
            print(json.dumps(piece), flush=True)
        elif piece["lines"]:
            print("\n".join(piece["lines"]), flush=True)
    return 0


@app.command("delete")
def delete(
    strategy_id: StrategyIdArgument,
    user: User = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> int:
    """Delete a strategy that is not running."""
    _control(data_dir, config, user).ask("DELETE", f"/v1/strategies/{strategy_id}")
    answer(as_json, {"deleted": strategy_id}, f"Deleted {strategy_id}.")
    return 0


def status(user: str | None, *, data_dir: Path | None, config: Path | None, as_json: bool) -> int:
    """Shows the server and how each strategy stands."""
    found = _control(data_dir, config, user).ask("GET", "/v1/status")
    counts = ", ".join(f"{n} {phase.replace('_', ' ')}" for phase, n in found["counts"].items())
    lines = [
        f"Server   {found['web']} (process {found['pid']}, version {found['version']})",
        f"Feed     {found['feed']}",
        f"Data     {found['data_dir']}",
        f"Market   {found['market']}",
        f"Agent    {'answers' if found['agent'] else 'does not answer'}",
        f"         {counts or 'no strategies yet'}",
    ]
    if found["strategies"]:
        lines += ["", *_listing(found["strategies"])]
    answer(as_json, found, *lines)
    return 0


def _act(verb: str, strategy_id: str, no_wait: bool, control: Control, as_json: bool) -> int:
    path = f"/v1/strategies/{strategy_id}/{verb}"
    wait = 0 if no_wait else 1
    found = control.ask("POST", path, timeout_seconds=_START_SECONDS, wait=wait)["strategy"]
    pid = f" (process {found['pid']})" if found.get("pid") and found["phase"] == "running" else ""
    said = f" {found['sentence']}" if found["sentence"] else ""
    phase = found["phase"].replace("_", " ")
    answer(as_json, {"strategy": found}, f"{found['name']} is {phase}{pid}.{said}")
    return 0


def _control(data_dir: Path | None, config: Path | None, user: str | None) -> Control:
    return Control(locate.data_dir(data_dir, config=config), user=user)


def _read(file: Path) -> bytes:
    try:
        size = file.stat().st_size
        if size > _MOST_BYTES:
            message = f"{file.name} has {size:,} bytes, which is too large for a strategy."
            raise TooLarge(message, code="TOO_LARGE")
        return file.read_bytes()
    except OSError as error:
        message = f"{file} cannot be read ({error.strerror or error}); check its path."
        raise Invalid(message, code="NO_FILE") from error


def _listing(rows: list[dict[str, Any]]) -> list[str]:
    heads = ["ID", "NAME", "PHASE", "PID", "ORDERS", "P&L", ""]
    return table(
        heads,
        [
            (
                r["id"],
                r["name"],
                r["phase"].replace("_", " "),
                r.get("pid"),
                r.get("order_count"),
                r.get("pnl"),
                r.get("sentence") or " ",
            )
            for r in rows
        ],
    )


def _details(row: dict[str, Any]) -> list[str]:
    lines = [
        f"{row['name']} ({row['id']})",
        f"  phase     {row['phase'].replace('_', ' ')}",
        f"  file      {row['file_name']}",
        f"  exchange  {row['exchange']}",
        f"  mode      {row['mode']}",
    ]
    if row.get("sentence"):
        lines.append(f"  last      {row['sentence']}")
    if row.get("problem"):
        lines.append(f"  problem   {_problem(row)}")
    return lines


def _ist(at: str | None) -> str | None:
    if at is None:
        return None
    return datetime.fromisoformat(at).astimezone(IST).strftime("%d %b %Y %H:%M:%S IST")


def _problem(row: dict[str, Any]) -> str:
    problem = row["problem"]
    return f"line {problem['line']}, column {problem['column']}: {problem['message']}"

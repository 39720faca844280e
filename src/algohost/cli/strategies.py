"""``algohost strategy`` and ``algohost status``: asked of the running server."""

import base64
import io
import json
import zipfile
from pathlib import Path
from typing import Annotated, Any

import typer

from algohost.cli.console import answer, ist, note, table
from algohost.cli.options import AsUser, with_options
from algohost.domain.errors import Invalid, TooLarge
from algohost.host import bundles

app = typer.Typer(no_args_is_help=True, help="Strategies: add, look at, start and stop them.")

StrategyIdArgument = Annotated[str, typer.Argument(metavar="ID", show_default=False)]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Return at once instead of when it has happened.")
]

_MEGABYTE = 1024 * 1024
_MOST_BYTES = 24 * 1024 * 1024  # more is not even sent; the server's own limit is lower
_START_SECONDS = 700.0


@app.command("add")
@with_options
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    name: Annotated[str, typer.Option("--name", help="What to call it.")],
    common: AsUser,
    exchange: Annotated[str, typer.Option("--exchange", help="Its exchange.")] = "NSE",
    requirements: Annotated[
        Path | None, typer.Option("--requirements", help="Packages it asks for, one a line.")
    ] = None,
) -> int:
    """Add a strategy from a .py file, a .zip or a folder with a main.py, and print its id."""
    file_name, content = _packed(file) if file.is_dir() else (file.name, _read(file))
    body = {
        "name": name,
        "file_name": file_name,
        "exchange": exchange,
        "content": base64.b64encode(content).decode("ascii"),
    }
    if requirements is not None:
        body["requirements"] = read_text(requirements)
    added = common.control().ask("POST", "/v1/strategies", body)["strategy"]
    if added.get("problem"):
        note(f"algohost: added as a draft, because it does not compile: {_problem(added)}.")
    answer(common.as_json, {"strategy": added}, added["id"])
    return 0


@app.command("list")
@with_options
def list_all(
    common: AsUser,
) -> int:
    """List strategies and how they stand."""
    found = common.control().ask("GET", "/v1/strategies")["strategies"]
    lines = _listing(found) if found else ["No strategies yet; add one: algohost strategy add."]
    answer(common.as_json, {"strategies": found}, *lines)
    return 0


@app.command("show")
@with_options
def show(
    strategy_id: StrategyIdArgument,
    common: AsUser,
) -> int:
    """Show one strategy and its last runs."""
    found = common.control().ask("GET", f"/v1/strategies/{strategy_id}")
    runs = [_run(one) for one in found["runs"]]
    lines = [*_details(found["strategy"]), *_use(found["usage"])]
    if runs:
        lines += ["", *table(_RUN_HEADS, runs)]
    told = {"strategy": found["strategy"], "runs": found["runs"], "usage": found["usage"]}
    answer(common.as_json, told, *lines)
    return 0


@app.command("start")
@with_options
def start(
    strategy_id: StrategyIdArgument,
    common: AsUser,
    no_wait: NoWait = False,
) -> int:
    """Start a strategy, and wait until it runs."""
    return _act("start", strategy_id, no_wait, common)


@app.command("stop")
@with_options
def stop(
    strategy_id: StrategyIdArgument,
    common: AsUser,
    no_wait: NoWait = False,
) -> int:
    """Stop a strategy, and wait until it is gone."""
    return _act("stop", strategy_id, no_wait, common)


@app.command("logs")
@with_options
def logs(
    strategy_id: StrategyIdArgument,
    common: AsUser,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")
    ] = False,
    text: Annotated[
        str | None, typer.Option("--search", help="Find this in the logs of all runs instead.")
    ] = None,
    regex: Annotated[
        bool, typer.Option("--regex", help="What is searched for is a regular expression.")
    ] = False,
    level: Annotated[
        str | None, typer.Option("--level", help="Only lines of this level and above.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Only lines from this time in IST on.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Only lines up to this time in IST.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="At most so many lines, the newest.")] = 200,
) -> int:
    """Print the log of the newest run, or find lines in the logs of all. --json gives objects."""
    path = f"/v1/strategies/{strategy_id}"
    if text or level or since or until:
        query = {"q": text, "level": level, "from": since, "to": until, "limit": limit}
        return _find(common, f"{path}/search", {**query, "regex": 1 if regex else None})
    return _print_log(common, f"{path}/log", follow=follow)


@app.command("delete")
@with_options
def delete(
    strategy_id: StrategyIdArgument,
    common: AsUser,
) -> int:
    """Delete a strategy that is not running."""
    common.control().ask("DELETE", f"/v1/strategies/{strategy_id}")
    answer(common.as_json, {"deleted": strategy_id}, f"Deleted {strategy_id}.")
    return 0


def status(common: AsUser) -> int:
    """Shows the server and how each strategy stands."""
    found = common.control().ask("GET", "/v1/status")
    counts = ", ".join(f"{n} {phase.replace('_', ' ')}" for phase, n in found["counts"].items())
    lines = [
        f"Server   {found['web']} (process {found['pid']}, version {found['version']})",
        f"Feed     {found['feed']}",
        f"Data     {found['data_dir']}",
        f"Market   {found['market']}",
        f"Agent    {'answers' if found['agent'] else 'does not answer'}",
        f"         {counts or 'no strategies yet'}",
    ]
    if found.get("secrets_trouble"):
        lines += ["", found["secrets_trouble"]]
    if found["strategies"]:
        lines += ["", *_listing(found["strategies"])]
    answer(common.as_json, found, *lines)
    return 0


def _find(common: AsUser, path: str, query: dict[str, Any]) -> int:
    found = common.control().ask("GET", path, **query)
    lines = [f"{hit['run_id']} {hit['at']} {hit['text']}" for hit in found["hits"]]
    if found["cursor"]:
        lines.append("There is more; give an earlier time with --until, or a higher --limit.")
    fields = {"hits": found["hits"], "cursor": found["cursor"]}
    answer(common.as_json, fields, *(lines or ["Nothing was found."]))
    return 0


def _print_log(common: AsUser, path: str, *, follow: bool) -> int:
    for piece in common.control().stream(path, follow=1 if follow else 0):
        if common.as_json:
            print(json.dumps(piece), flush=True)
        elif piece["lines"]:
            print("\n".join(piece["lines"]), flush=True)
    return 0


def _act(verb: str, strategy_id: str, no_wait: bool, common: AsUser) -> int:
    path = f"/v1/strategies/{strategy_id}/{verb}"
    wait = 0 if no_wait else 1
    said = common.control().ask("POST", path, timeout_seconds=_START_SECONDS, wait=wait)
    found = said["strategy"]
    pid = f" (process {found['pid']})" if found.get("pid") and found["phase"] == "running" else ""
    why = f" {found['sentence']}" if found["sentence"] else ""
    phase = found["phase"].replace("_", " ")
    answer(common.as_json, {"strategy": found}, f"{found['name']} is {phase}{pid}.{why}")
    return 0


def read_text(file: Path) -> str:
    """The text of a file. Raises ``Invalid`` where it cannot be read as UTF-8."""
    try:
        return _read(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{file} is not text in UTF-8; save it as that."
        raise Invalid(message, code="WRONG_ENCODING") from error


def _packed(folder: Path) -> tuple[str, bytes]:
    """A zip of a folder's files, without links and what tools have left in it."""
    files: dict[str, bytes] = {}
    room = bundles.MOST_BYTES
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if bundles.is_junk(name) or path.is_symlink() or not path.is_file():
            continue
        room -= path.stat().st_size
        if room < 0 or len(files) == bundles.MOST_FILES:
            message = f"The folder {folder} is too large for a strategy; leave data out of it."
            raise TooLarge(message, code="TOO_LARGE")
        files[name] = _read(path)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return f"{folder.resolve().name}.zip", made.getvalue()


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
    heads = ["ID", "NAME", "PHASE", "NEXT START", "PID", "ORDERS", "P&L", ""]
    return table(
        heads,
        [
            (
                r["id"],
                r["name"],
                r["phase"].replace("_", " "),
                ist(r.get("next_start")),
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


def _use(usage: dict[str, Any]) -> list[str]:
    """What a live run uses, and what was noted about it lately."""
    now = usage["now"]
    lines = []
    if now is not None:
        share = "not known yet" if now["cpu"] is None else f"{now['cpu']:.1f} % of a core"
        lines.append(f"  cpu       {share}")
        lines.append(f"  memory    {now['memory'] / _MEGABYTE:.1f} MB")
        lines.append(f"  threads   {now['threads']}")
        lines.append(f"  on disk   {(now['folder'] + now['log']) / _MEGABYTE:.1f} MB")
    lines += [f"  note      {event['sentence']}" for event in usage["events"][:3]]
    return lines


_RUN_HEADS = ["RUN", "OUTCOME", "STARTED", "ENDED", "PID", "CPU", "PEAK", "ACCOUNT"]


def _run(run: dict[str, Any]) -> tuple[object, ...]:
    """The cells of one run; the last says which restart it was, who ended it, and why it ended."""
    cpu, peak = run["cpu_seconds"], run["peak_memory_bytes"]
    unmeasured = "not known" if run["started_at"] and run["ended_at"] else None
    account = [
        f"restart {run['attempt']}" if run["attempt"] else "",
        f"stopped by {run['stopped_by']}" if run["stopped_by"] and run["ended_at"] else "",
        str(run["signal"] or ""),
        run["reason"],
    ]
    return (
        run["id"],
        run["outcome"] or run["state"],
        ist(run["started_at"]),
        ist(run["ended_at"]),
        run["pid"],
        unmeasured if cpu is None else f"{cpu:.2f} s",
        unmeasured if peak is None else f"{peak / 1_048_576:.1f} MB",
        "; ".join(one for one in account if one),
    )


def _problem(row: dict[str, Any]) -> str:
    problem = row["problem"]
    file = f"{problem['file']}, " if problem.get("file") else ""
    return f"{file}line {problem['line']}, column {problem['column']}: {problem['message']}"

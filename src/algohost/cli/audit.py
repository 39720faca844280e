"""``algohost audit``: through the server, or without one."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from algohost.cli.console import Exit, answer, ist, table
from algohost.cli.options import Common, with_options

if TYPE_CHECKING:
    from algohost.host.auditing import Audit

app = typer.Typer(no_args_is_help=True, help="Who did what and when, in a chain of hashes.")


@app.command("show")
@with_options
def show(
    common: Common,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 30,
    subject: Annotated[
        str, typer.Option("--subject", metavar="ID", help="Of one strategy, account or order.")
    ] = "",
) -> int:
    """Show the newest entries, the newest last."""
    control = common.control()
    if control.run_dir.is_held():
        rows = control.ask("GET", "/v1/audit", limit=limit, subject=subject)["entries"]
    else:
        from algohost.cli.control_audit import shown

        with _without_server(common) as audit:
            rows = shown(audit, limit=limit, subject=subject)
    answer(common.as_json, {"entries": rows}, *_lines(rows))
    return Exit.DONE


@app.command("check")
@with_options
def check(common: Common) -> int:
    """Compute every hash anew; exit code 1 where an entry is not as it was written."""
    control = common.control()
    if control.run_dir.is_held():
        said = control.ask("GET", "/v1/audit/check", timeout_seconds=600)
        said.pop("success", None)
    else:
        from algohost.cli.control_audit import checked

        with _without_server(common) as audit:
            said = checked(audit)
    whole = f"All {said['entries']:,} entries are as they were written."
    answer(
        common.as_json, said, str(said["problem"] or whole), f"newest hash  {said['newest_hash']}"
    )
    return Exit.REFUSED if said["problem"] else Exit.DONE


@app.command("export")
@with_options
def export(common: Common) -> int:
    """Print everything as CSV, with the hashes."""
    control = common.control()
    if control.run_dir.is_held():
        for piece in control.stream("/v1/audit/export"):
            sys.stdout.write(str(piece["csv"]))
    else:
        with _without_server(common) as audit:
            for text in audit.csv():
                sys.stdout.write(text)
    return Exit.DONE


def _lines(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return ["Nothing is written here yet."]
    heads = ["NO.", "WHEN", "WHO", "WHAT", "OF WHAT", "PARTICULARS"]
    return table(
        heads,
        [
            (one["number"], ist(one["at"]), one["by"], one["act"], one["subject"], _detail(one))
            for one in rows
        ],
    )


def _detail(row: dict[str, Any]) -> str:
    shown = (f"{name}={value}" for name, value in row["detail"].items() if name != "sha256")
    return " ".join(shown)


@contextmanager
def _without_server(common: Common) -> "Iterator[Audit]":
    from algohost.cli.offline import open_audit

    with open_audit(common.data_dir, common.config) as opened:
        yield opened

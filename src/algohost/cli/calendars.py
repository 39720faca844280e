"""``algohost calendar``: through the server, or without one."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from algohost.cli.console import answer, say, table
from algohost.cli.options import AsUser, Common, with_options
from algohost.domain.errors import Invalid, Unauthorized

if TYPE_CHECKING:
    from algohost.domain.users import User
    from algohost.host.calendars import CalendarService
    from algohost.host.identity import Identity

app = typer.Typer(no_args_is_help=True, help="Trading days, holidays and hours of the exchanges.")

_MOST_BYTES = 1_048_576


@app.callback()
def _calendars() -> None:
    pass


@app.command("show")
@with_options
def show(
    common: Common,
    exchange: Annotated[str, typer.Option("--exchange", help="Whose calendar.")] = "NSE",
    month: Annotated[
        str, typer.Option("--month", metavar="YYYY-MM", help="Which month. [default: this one]")
    ] = "",
) -> int:
    """Show a month of an exchange: its days, hours and holidays, and how sure they are."""
    control = common.control()
    if control.run_dir.is_held():
        found = control.ask("GET", "/v1/calendar", exchange=exchange, month=month)
        found.pop("success", None)
    else:
        from algohost.cli.control_calendars import show as show_month

        with _without_server(common) as (calendars, _):
            found = show_month(calendars, exchange, month)
    answer(common.as_json, found, *_lines(found))
    return 0


@app.command("export")
@with_options
def export(common: Common) -> int:
    """Print everything that is listed as CSV, in the form that import takes."""
    control = common.control()
    if control.run_dir.is_held():
        text = str(control.ask("GET", "/v1/calendar/export")["csv"])
    else:
        with _without_server(common) as (calendars, _):
            text = calendars.export_csv()
    if common.as_json:
        answer(True, {"csv": text})
    else:
        say(*text.splitlines())
    return 0


@app.command("import")
@with_options
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    common: AsUser,
) -> int:
    """Import days from a CSV, - for the input: every row, or none."""
    text, control = _text(file), common.control()
    if control.run_dir.is_held():
        said = control.ask("POST", "/v1/calendar/import", {"csv": text})
        said.pop("success", None)
    else:
        import asyncio

        from algohost.cli.control_calendars import told

        with _without_server(common) as (calendars, identity):
            actor = _administrator(identity, common.user)
            said = told(asyncio.run(calendars.import_csv(actor, text)))
    answer(common.as_json, said, str(said["message"]))
    return 0


@contextmanager
def _without_server(common: Common) -> "Iterator[tuple[CalendarService, Identity]]":
    from algohost.cli.offline import open_calendars

    with open_calendars(common.data_dir, common.config) as opened:
        yield opened


def _administrator(identity: "Identity", name: str | None) -> "User":
    """Whoever opens the data directory could write the database anyway; the name is signed."""
    for user in identity.users():
        if user.name.casefold() == name.casefold() if name else user.is_admin:
            return user
    message = "There is no administrator yet, or none of that name; run 'algohost user add'."
    raise Unauthorized(message, code="NO_USER")


def _text(file: Path) -> str:
    try:
        if str(file) == "-":
            content = sys.stdin.buffer.read(_MOST_BYTES + 1)
        else:
            with file.open("rb") as opened:
                content = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        message = f"The file {file} cannot be read: {error.strerror}."
        raise Invalid(message, code="NO_FILE") from error
    if len(content) > _MOST_BYTES:
        message = f"The file has more than {_MOST_BYTES:,} bytes; split it."
        raise Invalid(message, code="FILE_TOO_LARGE")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"The file is not UTF-8 (byte {error.start}); save it as CSV UTF-8."
        raise Invalid(message, code="WRONG_ENCODING") from error


def _lines(found: dict[str, Any]) -> list[str]:
    rows = [
        (
            f"{day['weekday']} {day['date']}",
            day["kind"],
            day["hours"],
            day["name"],
            "edited" if day["is_edited"] else "",
            day["knowledge"],
        )
        for day in found["days"]
    ]
    heads = [found["exchange"], "KIND", "HOURS (IST)", "NAME", "", "HOW SURE"]
    warning = [found["warning"]] if found["warning"] else []
    return [*table(heads, rows), *warning]

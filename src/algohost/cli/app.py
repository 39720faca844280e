"""The words of the command line. What they do is in the modules beside this one.

Nothing heavy is imported here: a command that only asks the server answers in a third of a
second on a slow machine.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from algohost import __version__
from algohost.cli import (
    accounts,
    audit,
    broker,
    calendars,
    configuring,
    contracts,
    environments,
    notices,
    people,
    performance,
    risk,
    scheduling,
    strategies,
)
from algohost.cli.console import Exit, print_refusal, refuse, say
from algohost.cli.options import AsUser, Common, ServerFlags, with_options
from algohost.domain.errors import AlgohostError

app = typer.Typer(
    name="algohost",
    help="A self-hosted home for Python trading strategies.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(people.user_app, name="user")
app.add_typer(people.key_app, name="key")
app.add_typer(accounts.app, name="account")
app.add_typer(audit.app, name="audit")
app.add_typer(broker.app, name="broker")
app.add_typer(broker.kill_app, name="kill")
app.add_typer(risk.app, name="risk")
app.add_typer(calendars.app, name="calendar")
app.add_typer(contracts.app, name="contracts")
app.add_typer(configuring.keys_app, name="keys")
app.add_typer(strategies.app, name="strategy")
app.add_typer(scheduling.app, name="schedule")
app.add_typer(notices.app, name="notify")
app.add_typer(environments.app, name="environments")
strategies.app.command("mode")(accounts.mode)
strategies.app.command("pnl")(performance.pnl)
strategies.app.command("trades")(performance.trades)


def run(words: list[str]) -> int:
    """Does what the words say; returns the exit code."""
    try:
        code = app(words, prog_name="algohost", standalone_mode=False)
    except AlgohostError as error:
        return refuse(error, as_json="--json" in words)
    except typer.Exit as ended:
        return ended.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone (| head); nothing is left to say it to
        return Exit.DONE
    except Exception as error:
        shown = getattr(error, "show", None)  # typer's own errors: the usage and a sentence
        if shown is None:
            raise
        said = getattr(error, "format_message", None)
        if "--json" in words and said is not None:
            print_refusal(said(), code="WRONG_USAGE")
        shown()
        return int(getattr(error, "exit_code", Exit.WRONG_USAGE))
    return code if isinstance(code, int) else Exit.DONE


def _version(asked: bool) -> None:
    if asked:
        say(f"algohost {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
@with_options
def up(
    flags: ServerFlags,
    common: Common,
) -> int:
    """Start the server in the background, if none runs, and say where it is."""
    from algohost.cli import launch

    return launch.up(flags.given(), **vars(common))


@app.command()
@with_options
def serve(
    flags: ServerFlags,
    common: Common,
) -> int:
    """Run the server in the foreground. SIGTERM ends it and leaves strategies running."""
    from algohost.cli import serving

    return serving.serve(flags.given(data_dir=common.data_dir), config=common.config)


@app.command()
@with_options
def down(
    common: Common,
    everything: Annotated[
        bool, typer.Option("--all", help="Stop every strategy and the agent too.")
    ] = False,
) -> int:
    """Stop the server. Strategies go on running, unless --all is given."""
    from algohost.cli import launch

    return launch.down(everything, **vars(common))


@app.command()
@with_options
def status(
    common: AsUser,
) -> int:
    """Show the server and how each strategy stands."""
    return strategies.status(common)


@app.command()
@with_options
def doctor(common: Common) -> int:
    """Check this machine and this installation, one line each."""
    from algohost.cli import doctor as checks

    return checks.doctor(**vars(common))


@app.command("config")
@with_options
def show_config(
    flags: ServerFlags,
    common: Common,
) -> int:
    """Show every setting, its value and where the value came from."""
    from algohost.cli import settings_table

    given = flags.given(data_dir=common.data_dir)
    return settings_table.show(given, config=common.config, as_json=common.as_json)


@app.command(
    context_settings={
        "ignore_unknown_options": True,
        "allow_extra_args": True,
        "help_option_names": [],
    }
)
def test(context: typer.Context) -> int:
    """Run the tests of a checkout; every further word goes to pytest."""
    from algohost.cli import checkout

    return checkout.test(Path(__file__), list(context.args))

"""The words of the command line. What they do is in the modules beside this one.

Nothing heavy is imported here: a command that only asks the server answers in a third of a
second on a slow machine.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from algohost import __version__
from algohost.cli import people, strategies
from algohost.cli.console import Exit, refuse, say
from algohost.cli.options import ConfigFile, DataDir, Json, User
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
app.add_typer(strategies.app, name="strategy")

Host = Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")]
Port = Annotated[int | None, typer.Option(help="Port of pages and API. [default: 5000]")]
FeedPort = Annotated[int | None, typer.Option(help="Port of the feed. [default: 8765]")]
Market = Annotated[
    str | None, typer.Option(help="synthetic, or recorded:FILE. [default: synthetic]")
]


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
def up(
    host: Host = None,
    port: Port = None,
    feed_port: FeedPort = None,
    market: Market = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> int:
    """Start the server in the background, if none runs, and say where it is."""
    from algohost.cli import launch

    flags = {"host": host, "port": port, "feed_port": feed_port, "market": market}
    return launch.up(flags, data_dir=data_dir, config=config, as_json=as_json)


@app.command()
def serve(
    host: Host = None,
    port: Port = None,
    feed_port: FeedPort = None,
    market: Market = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Json = False,  # noqa: ARG001 - read by run, for a refusal
) -> int:
    """Run the server in the foreground. SIGTERM ends it and leaves strategies running."""
    from algohost.cli import serving

    flags = {"host": host, "port": port, "feed_port": feed_port, "market": market}
    return serving.serve({**flags, "data_dir": data_dir}, config=config)


@app.command()
def down(
    everything: Annotated[
        bool, typer.Option("--all", help="Stop every strategy and the agent too.")
    ] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> int:
    """Stop the server. Strategies go on running, unless --all is given."""
    from algohost.cli import launch

    return launch.down(everything, data_dir=data_dir, config=config, as_json=as_json)


@app.command()
def status(
    user: User = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> int:
    """Show the server and how each strategy stands."""
    return strategies.status(user, data_dir=data_dir, config=config, as_json=as_json)


@app.command()
def doctor(data_dir: DataDir = None, config: ConfigFile = None, as_json: Json = False) -> int:
    """Check this machine and this installation, one line each."""
    from algohost.cli import doctor as checks

    return checks.doctor(data_dir, config=config, as_json=as_json)


@app.command("config")
def show_config(
    host: Host = None,
    port: Port = None,
    feed_port: FeedPort = None,
    market: Market = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> int:
    """Show every setting, its value and where the value came from."""
    from algohost.cli import settings_table

    flags = {"host": host, "port": port, "feed_port": feed_port, "market": market}
    return settings_table.show({**flags, "data_dir": data_dir}, config=config, as_json=as_json)


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

"""``algohost user`` and ``algohost key``: through the server, or without one."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from algohost import locate
from algohost.cli.console import answer
from algohost.cli.control_client import Control
from algohost.cli.options import ConfigFile, DataDir, Json
from algohost.domain.errors import Invalid, NotFound

if TYPE_CHECKING:
    from algohost.domain.users import User
    from algohost.host.identity import Identity

user_app = typer.Typer(no_args_is_help=True, help="Users of this server.")
key_app = typer.Typer(no_args_is_help=True, help="API keys of accounts.")

_MOST_PASSWORD_BYTES = 4096


@user_app.callback()
def _users() -> None:
    pass


@key_app.callback()
def _keys() -> None:
    pass


@user_app.command("add")
def add(
    name: str,
    admin: Annotated[bool, typer.Option("--admin", help="Make an administrator.")] = False,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from the input.")
    ] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> int:
    """Add a user. Works with and without a running server."""
    body = {"name": name, "password": _password(password_stdin), "is_admin": admin}
    control = Control(locate.data_dir(data_dir, config=config))
    if control.run_dir.is_held():
        user = control.ask("POST", "/v1/users", body)["user"]
    else:
        import asyncio

        user = asyncio.run(_add_without_server(data_dir, config, body))
    kind = "administrator" if user["is_admin"] else "user"
    answer(as_json, {"user": user}, f"Added the {kind} {user['name']}.")
    return 0


@user_app.command("password")
def password(
    name: str,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from the input.")
    ] = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> int:
    """Give a user another password; all their sessions end. Works without a server too."""
    secret = _password(password_stdin)
    control = Control(locate.data_dir(data_dir, config=config))
    if control.run_dir.is_held():
        body = {"name": name, "password": secret}
        user = str(control.ask("POST", "/v1/passwords", body)["user"])
    else:
        import asyncio

        user = asyncio.run(_set_password_without_server(data_dir, config, name, secret))
    answer(as_json, {"user": user}, f"{user} has another password; their sessions have ended.")
    return 0


@key_app.command("new")
def new(
    user: Annotated[str, typer.Option("--user", help="Whose account the key is for.")],
    data_dir: DataDir = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> int:
    """Make a new API key for an account and print it once. The earlier key ends."""
    control = Control(locate.data_dir(data_dir, config=config))
    if control.run_dir.is_held():
        key = control.ask("POST", "/v1/keys", {"name": user})["key"]
    else:
        import asyncio

        key = asyncio.run(_new_key_without_server(data_dir, config, user))
    answer(as_json, {"user": user, "key": key}, key)
    return 0


def _password(from_stdin: bool) -> str:
    if from_stdin:
        text = sys.stdin.read(_MOST_PASSWORD_BYTES)
        return text.removesuffix("\n").removesuffix("\r")
    if not sys.stdin.isatty():
        message = "There is no terminal to ask for the password; give it with --password-stdin."
        raise Invalid(message, code="NO_TERMINAL")
    import getpass

    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        message = "The two passwords differ; nothing was changed."
        raise Invalid(message, code="PASSWORDS_DIFFER")
    return password


async def _add_without_server(
    data_dir: Path | None, config: Path | None, body: dict[str, Any]
) -> dict[str, Any]:
    from algohost.cli.offline import open_identity

    with open_identity(data_dir, config) as identity:
        user = await identity.create_user(body["name"], body["password"], is_admin=body["is_admin"])
    return {"id": user.id, "name": user.name, "is_admin": user.is_admin}


async def _new_key_without_server(data_dir: Path | None, config: Path | None, name: str) -> str:
    from algohost.cli.offline import open_identity

    with open_identity(data_dir, config) as identity:
        return str(await identity.new_key(_named(identity, name).id))


async def _set_password_without_server(
    data_dir: Path | None, config: Path | None, name: str, password: str
) -> str:
    from algohost.cli.offline import open_identity

    with open_identity(data_dir, config) as identity:
        user = _named(identity, name)
        await identity.set_password(user.id, password)
        return user.name


def _named(identity: "Identity", name: str) -> "User":
    for user in identity.users():
        if user.name.casefold() == name.casefold():
            return user
    message = f"There is no user {name[:80]!r}; make one with 'algohost user add'."
    raise NotFound(message, code="NO_USER")

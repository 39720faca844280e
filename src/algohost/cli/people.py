"""``algohost user`` and ``algohost key``: through the server, or without one."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from algohost.cli.console import answer
from algohost.cli.options import Common, with_options
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
@with_options
def add(
    name: str,
    common: Common,
    admin: Annotated[bool, typer.Option("--admin", help="Make an administrator.")] = False,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from the input.")
    ] = False,
) -> int:
    """Add a user. Works with and without a running server."""
    body = {"name": name, "password": _password(password_stdin), "is_admin": admin}
    control = common.control()
    if control.run_dir.is_held():
        user = control.ask("POST", "/v1/users", body)["user"]
    else:
        import asyncio

        user = asyncio.run(_add_without_server(common, body))
    kind = "administrator" if user["is_admin"] else "user"
    answer(common.as_json, {"user": user}, f"Added the {kind} {user['name']}.")
    return 0


@user_app.command("password")
@with_options
def password(
    name: str,
    common: Common,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from the input.")
    ] = False,
) -> int:
    """Give a user another password; all their sessions end. Works without a server too."""
    secret = _password(password_stdin)
    control = common.control()
    if control.run_dir.is_held():
        body = {"name": name, "password": secret}
        user = str(control.ask("POST", "/v1/passwords", body)["user"])
    else:
        import asyncio

        user = asyncio.run(_set_password_without_server(common, name, secret))
    said = f"{user} has another password; their sessions have ended."
    answer(common.as_json, {"user": user}, said)
    return 0


@key_app.command("new")
@with_options
def new(
    user: Annotated[str, typer.Option("--user", help="Whose account the key is for.")],
    common: Common,
) -> int:
    """Make a new API key for an account and print it once. The earlier key ends."""
    control = common.control()
    if control.run_dir.is_held():
        key = control.ask("POST", "/v1/keys", {"name": user})["key"]
    else:
        import asyncio

        key = asyncio.run(_new_key_without_server(common, user))
    answer(common.as_json, {"user": user, "key": key}, key)
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


async def _add_without_server(common: Common, body: dict[str, Any]) -> dict[str, Any]:
    from algohost.cli.offline import open_identity

    with open_identity(common.data_dir, common.config) as identity:
        user = await identity.create_user(body["name"], body["password"], is_admin=body["is_admin"])
    return {"id": user.id, "name": user.name, "is_admin": user.is_admin}


async def _new_key_without_server(common: Common, name: str) -> str:
    from algohost.cli.offline import open_identity

    with open_identity(common.data_dir, common.config) as identity:
        return str(await identity.new_key(_named(identity, name).id))


async def _set_password_without_server(common: Common, name: str, password: str) -> str:
    from algohost.cli.offline import open_identity

    with open_identity(common.data_dir, common.config) as identity:
        user = _named(identity, name)
        await identity.set_password(user.id, password)
        return user.name


def _named(identity: "Identity", name: str) -> "User":
    for user in identity.users():
        if user.name.casefold() == name.casefold():
            return user
    message = f"There is no user {name[:80]!r}; make one with 'algohost user add'."
    raise NotFound(message, code="NO_USER")

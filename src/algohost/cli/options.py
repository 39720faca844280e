"""The options that commands share, each written once.

A command takes a group of them as one parameter, ``common: Common``; ``with_options`` makes the
single options of it that the command line shows.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from algohost import locate
from algohost.cli.control_client import Control

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder with the data. [default: ~/.local/share/algohost]"),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration file. [default: ~/.config/algohost/config.toml]"),
]
Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")]
User = Annotated[
    str | None, typer.Option("--user", help="Act as this user. [default: the only one, or admin]")
]


@dataclass(frozen=True, kw_only=True)
class Common:
    """What every command takes."""

    data_dir: DataDir = None
    config: ConfigFile = None
    as_json: Json = False

    def control(self, user: str | None = None) -> Control:
        """The running server of the data directory, asked on behalf of ``user``."""
        return Control(locate.data_dir(self.data_dir, config=self.config), user=user)


@dataclass(frozen=True, kw_only=True)
class AsUser(Common):
    """What every command takes that acts on behalf of a user."""

    user: User = None

    def control(self, user: str | None = None) -> Control:
        """The running server of the data directory, asked on behalf of the user."""
        return super().control(self.user if user is None else user)


@dataclass(frozen=True, kw_only=True)
class ServerFlags:
    """The settings of a server that flags set, too."""

    host: Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")] = (
        None
    )
    port: Annotated[int | None, typer.Option(help="Port of pages and API. [default: 5000]")] = None
    feed_port: Annotated[int | None, typer.Option(help="Port of the feed. [default: 8765]")] = None
    market: Annotated[
        str | None, typer.Option(help="synthetic, or recorded:FILE. [default: synthetic]")
    ] = None

    def given(self, **more: object) -> Mapping[str, object]:
        """Every flag by the name of its setting; ``None`` where it was not given."""
        return {**asdict(self), **more}


def with_options(command: Callable[..., int]) -> Callable[..., int]:
    """The command with each option of its groups as a parameter of its own."""
    groups: dict[str, type] = {}
    shown = []
    for parameter in inspect.signature(command).parameters.values():
        group = parameter.annotation
        if isinstance(group, type) and is_dataclass(group):
            groups[parameter.name] = group
            shown += _options(group)
        else:
            shown.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def called(**given: Any) -> int:
        made = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        return command(**given, **made)

    called.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return called


def _options(group: type) -> list[inspect.Parameter]:
    kinds = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=kinds[field.name],
        )
        for field in fields(group)
    ]

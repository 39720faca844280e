"""The options that every command takes."""

from pathlib import Path
from typing import Annotated

import typer

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

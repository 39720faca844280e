"""From the plain name of a browser asset to the address under which it is served.

The build names each file by its content (``app-1f21a637.css``), so that browsers may keep it
for good, and writes ``manifest.json`` with the names.
"""

import json
import logging
from pathlib import Path
from typing import Final

from algohost.web.static_files import FOLDER

log = logging.getLogger(__name__)

PREFIX: Final = "/static/"


class Assets:
    """The manifest, read once, when the server starts."""

    def __init__(self, folder: Path = FOLDER) -> None:
        try:
            self._names: dict[str, str] = json.loads((folder / "manifest.json").read_text("utf-8"))
        except FileNotFoundError:
            self._names = {}  # static_files has said so in the log; pages are plain, not broken

    def url(self, name: str) -> str:
        """The address of ``app.css`` and the like.

        Raises ``KeyError`` for a name that the build does not make. A server without built
        assets gives the plain address, under which there is nothing.
        """
        return PREFIX + (self._names[name] if self._names else name)

"""The built browser assets, served from memory.

They are a few hundred kilobytes that change only with a new version. What is not in the
dictionary does not exist, so there is no path to escape from.
"""

import gzip
import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from algohost.web.access import Access, Route
from algohost.web.packing import accepts_gzip

log = logging.getLogger(__name__)

FOLDER: Final = Path(__file__).parent / "static"
_HASHED: Final = re.compile(r".*-[0-9A-Za-z]{8}\.[A-Za-z0-9.]+")
_FOREVER: Final = "public, max-age=31536000, immutable"
_PACKED_FROM_BYTES: Final = 1_024
_TYPES: Final = {
    ".css": "text/css",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".woff2": "font/woff2",
}
_ALREADY_PACKED: Final = frozenset({".woff2", ".png", ".ico"})


@dataclass(frozen=True, kw_only=True)
class _Asset:
    body: bytes
    packed: bytes | None
    headers: dict[str, str]


class StaticFiles:
    """Every file of the folder as it was when the server started."""

    def __init__(self, folder: Path = FOLDER) -> None:
        files = (
            sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
        )
        self._assets = {
            path.relative_to(folder).as_posix(): _load(path)
            for path in files
            if path.suffix in _TYPES
        }
        if not self._assets:
            log.warning(
                "assets_missing folder=%s: the pages have no style and no scripts; build them"
                " with: python hatch_build.py",
                folder,
            )

    async def answer(self, request: Request) -> Response:
        """One file; 404 for what is not there, 304 for what the browser has."""
        asset = self._assets.get(request.path_params["name"])
        if asset is None:
            raise HTTPException(404)
        if request.headers.get("if-none-match") == asset.headers["etag"]:
            return Response(status_code=304, headers=asset.headers)
        if asset.packed is None or not accepts_gzip(request):
            return Response(asset.body, headers=asset.headers)
        return Response(asset.packed, headers={**asset.headers, "content-encoding": "gzip"})

    @property
    def routes(self) -> list[Route]:
        """The one row of the table."""
        return [
            Route(
                method="GET",
                path="/static/{name:path}",
                endpoint=self.answer,
                access=Access.PUBLIC,
            )
        ]


def _load(path: Path) -> _Asset:
    body = path.read_bytes()
    kind = _TYPES[path.suffix]
    packable = path.suffix not in _ALREADY_PACKED and len(body) >= _PACKED_FROM_BYTES
    return _Asset(
        body=body,
        packed=gzip.compress(body, mtime=0) if packable else None,
        headers={
            "content-type": f"{kind}; charset=utf-8" if kind.startswith("text/") else kind,
            "cache-control": _FOREVER if _HASHED.fullmatch(path.name) else "no-cache",
            "etag": f'"{hashlib.sha256(body).hexdigest()[:16]}"',
            "vary": "accept-encoding",
        },
    )

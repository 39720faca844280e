"""Pages are sent packed: a list of some hundred strategies is twenty times smaller so."""

import gzip
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

_FROM_BYTES: Final = 1_024


def accepts_gzip(request: Request) -> bool:
    """Whether the client can unpack."""
    return "gzip" in request.headers.get("accept-encoding", "")


def pack_page(request: Request, response: Response) -> None:
    """Packs an HTML answer in place, if it is worth it and the client can unpack it.

    JSON answers pack themselves where they are large, and keys are only in those: what a page
    holds besides a session's own token is not chosen by whoever leads a browser there.
    """
    body = getattr(response, "body", b"")
    is_page = response.headers.get("content-type", "").startswith("text/html")
    if not is_page or len(body) < _FROM_BYTES or "content-encoding" in response.headers:
        return
    response.headers["vary"] = "accept-encoding"
    if accepts_gzip(request):
        response.body = gzip.compress(body, compresslevel=4, mtime=0)
        response.headers["content-encoding"] = "gzip"
        response.headers["content-length"] = str(len(response.body))

"""The one form of a success on our own JSON routes."""

from typing import Any

import orjson
from starlette.responses import Response


def done(message: str, **fields: Any) -> Response:
    """``{"success": true, "message": …, …fields}``."""
    body = orjson.dumps({"success": True, "message": message, **fields})
    return Response(body, media_type="application/json")

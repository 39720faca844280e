"""How refusals are answered: a sentence and a stable code, never the inside of the server.

Programs get JSON: ``{"success": false, "message", "error_code", "details"?}`` from our own
routes, ``{"status": "error", "message"}`` from those that the openalgo client calls. A browser
that asked for a page gets a page.
"""

import logging
import math
from collections.abc import Callable
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response

from algohost.domain.errors import AlgohostError

log = logging.getLogger(__name__)

ErrorPage = Callable[[HTTPConnection, int, str, str], str]
"""Makes the HTML of an error from the request, the status, the sentence and the request's id."""

_SENTENCES: Final = {
    404: "There is no such page; check the address.",
    405: "This address does not answer that method; see the manual for the right one.",
}
_UNEXPECTED: Final = (
    "Something went wrong inside the server and was written to its log; try again,"
    " and report the request id if it stays."
)


class ErrorStyle(StrEnum):
    """The two envelopes."""

    OURS = "ours"
    OPENALGO = "openalgo"


class Errors:
    """Turns what was raised into an answer."""

    def __init__(self, page: ErrorPage | None = None) -> None:
        self._page = page

    def response(
        self,
        connection: HTTPConnection,
        error: AlgohostError | HTTPException,
        style: ErrorStyle | None = None,
    ) -> Response:
        """The answer to a refusal. Without ``style`` the path decides."""
        if isinstance(error, HTTPException):
            status, code, details = error.status_code, _code(error.status_code), {}
            message = _SENTENCES.get(status) or _as_sentence(error.detail)
        else:
            status, code = error.http_status, error.code
            message, details = error.message, error.details
        return self._write(connection, style, status, code, message, details)

    def unexpected(self, connection: HTTPConnection, style: ErrorStyle | None = None) -> Response:
        """The answer to a fault of ours: a request id, and nothing of the fault."""
        details = {"request_id": self.request_id(connection)}
        return self._write(connection, style, 500, "INTERNAL", _UNEXPECTED, details)

    def wants_page(self, connection: HTTPConnection) -> bool:
        """Whether a person's browser asked for a page to look at."""
        return "text/html" in connection.headers.get("accept", "")

    def request_id(self, connection: HTTPConnection) -> str:
        """The id under which the log knows this request."""
        return str(connection.scope.get("algohost.request_id", ""))

    def _write(
        self,
        connection: HTTPConnection,
        style: ErrorStyle | None,
        status: int,
        code: str,
        message: str,
        details: dict[str, Any],
    ) -> Response:
        if style is None:
            api = connection.scope["path"].startswith("/api/v1/")
            style = ErrorStyle.OPENALGO if api else ErrorStyle.OURS
        if style is ErrorStyle.OURS and self.wants_page(connection):
            response = self._as_page(connection, status, message)
        else:
            response = Response(
                _envelope(style, code, message, details), status, media_type="application/json"
            )
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            response.headers["connection"] = "close"  # the rest of the body is not waited for
        wait = details.get("retry_after_seconds")
        if isinstance(wait, int | float):
            response.headers["retry-after"] = str(max(1, math.ceil(wait)))
        return response

    def _as_page(self, connection: HTTPConnection, status: int, message: str) -> Response:
        request_id = self.request_id(connection)
        if self._page is not None:
            try:
                html = self._page(connection, status, message, request_id)
                return Response(html, status, media_type="text/html")
            except Exception:
                log.exception("error_page_failed request_id=%s", request_id)
        return PlainTextResponse(f"{message}\n\nRequest {request_id}\n", status)


def _envelope(style: ErrorStyle, code: str, message: str, details: dict[str, Any]) -> bytes:
    body: dict[str, Any]
    if style is ErrorStyle.OPENALGO:
        body = {"status": "error", "message": message}
        if "request_id" in details:
            body["request_id"] = details["request_id"]
    else:
        body = {"success": False, "message": message, "error_code": code}
        if details:
            body["details"] = details
    return orjson.dumps(body, default=str)


def _code(status: int) -> str:
    try:
        return HTTPStatus(status).name
    except ValueError:
        return "HTTP_ERROR"


def _as_sentence(detail: str) -> str:
    text = detail.strip()[:200] or "The request cannot be answered"
    return text if text.endswith(".") else f"{text}."

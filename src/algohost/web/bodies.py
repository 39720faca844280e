"""Reading what was sent: never more than is allowed, and always as what it should be."""

import asyncio
from contextlib import suppress
from typing import Any, Final, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.types import Message, Receive, Scope

from algohost.domain.errors import Invalid, TooLarge

M = TypeVar("M", bound=BaseModel)

_MOST_DRAINED: Final = 4 << 20
_DRAIN_SECONDS: Final = 2.0
_MOST_FIELDS: Final = 16
_MOST_FIELD_BYTES: Final = 4_096


class WrongContentType(Invalid):
    """The body is not of the kind that this route reads."""

    code = "WRONG_CONTENT_TYPE"
    http_status = 415


class CappedBody:
    """``receive`` that raises ``TooLarge`` as soon as the body is known to be too long."""

    def __init__(self, scope: Scope, receive: Receive, most_bytes: int) -> None:
        self._receive = receive
        self._most_bytes = most_bytes
        self._announced = 0
        self._waits_for_word = False
        for name, value in scope["headers"]:
            if name == b"content-length":  # more digits cannot make it small
                self._announced = int(value[:18]) if value.isdigit() else 0
            elif name == b"expect":
                self._waits_for_word = True
        self._seen = 0

    async def __call__(self) -> Message:
        """The next message of the request."""
        if self._announced > self._most_bytes:
            raise _too_large(self._most_bytes)
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen > self._most_bytes:
            raise _too_large(self._most_bytes)
        return message

    async def drain(self) -> None:
        """Takes the rest of a refused body where little was announced, for 2 s at most.

        A connection that is closed on unread bytes is reset, and the sender may never see why.
        """
        if self._waits_for_word or not self._most_bytes < self._announced <= _MOST_DRAINED:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while (await self._receive()).get("more_body", False):
                    pass


def _too_large(most_bytes: int) -> TooLarge:
    return TooLarge(
        f"The request is larger than the {most_bytes:,} bytes accepted here; shorten it."
    )


async def json_object(request: Request) -> dict[str, Any]:
    """The JSON object in the body. Raises ``Invalid`` for anything else."""
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        raise Invalid("The body is not JSON; send one JSON object.", code="NOT_JSON") from None
    if not isinstance(body, dict):
        raise Invalid("The body is JSON but no object; send one JSON object.", code="NOT_JSON")
    return body


async def json_as(request: Request, model: type[M]) -> M:
    """The JSON object in the body as a ``model``.

    Raises ``WrongContentType`` where the body does not say that it is JSON (a plain form of
    another site cannot say so), and ``Invalid`` with one sentence over all bad fields.
    """
    if _content_type(request) != "application/json":
        raise WrongContentType("Send the body as JSON, with the content type application/json.")
    try:
        return model.model_validate(await json_object(request))
    except ValidationError as error:
        raise Invalid(_sentence(error), code="BAD_FIELDS") from None


class Upload:
    """The fields and the one file of a multipart form."""

    def __init__(self, form: FormData, file: UploadFile, content: bytes) -> None:
        self._form = form
        self.file_name = file.filename or ""
        self.content = content

    def text(self, name: str, default: str = "") -> str:
        """The text field of that name, without spaces around it."""
        value = self._form.get(name)
        return value.strip() if isinstance(value, str) and value.strip() else default


async def uploaded(request: Request, field: str) -> Upload:
    """The multipart form with its file ``field``.

    Raises ``WrongContentType`` for another kind of body and ``Invalid`` where the file is missing
    or the form has more parts than any page of ours sends.
    """
    if _content_type(request) != "multipart/form-data":
        raise WrongContentType(
            "Send the file as a form, with the content type multipart/form-data."
        )
    async with request.form(
        max_files=1, max_fields=_MOST_FIELDS, max_part_size=_MOST_FIELD_BYTES
    ) as form:
        file = form.get(field)
        if not isinstance(file, UploadFile) or not file.filename:
            raise Invalid("There is no file in the form; choose a Python file.", code="NO_FILE")
        return Upload(form, file, await file.read())


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _sentence(error: ValidationError) -> str:
    phrases = []
    for problem in error.errors(include_url=False, include_input=False)[:8]:
        name = ".".join(str(part) for part in problem["loc"]) or "the body"
        said = problem["msg"].removeprefix("Value error, ")
        missing = problem["type"] == "missing"
        phrases.append(f"{name} is missing" if missing else f"{name}: {said[:1].lower()}{said[1:]}")
    return f"{'; '.join(phrases)}."

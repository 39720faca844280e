"""Every way in which algohost refuses, on one page.

    AlgohostError
    ├── Invalid        what was sent cannot be accepted            HTTP 400
    ├── Unauthorized   nobody is known to be asking                HTTP 401
    ├── Forbidden      somebody is, but may not                    HTTP 403
    ├── NotFound       there is no such thing for this asker       HTTP 404
    ├── Conflict       it does not fit the state that things are in HTTP 409
    ├── TooLarge       more bytes than are accepted                HTTP 413
    ├── TooMany        more requests than are accepted for now     HTTP 429
    └── Unavailable    a part that is needed does not answer       HTTP 503

A message is a sentence for the person who meets it: what was wrong, and what to do.
``code`` is for programs and never changes once published.
"""

from collections.abc import Mapping
from typing import ClassVar


class AlgohostError(Exception):
    """The root: a sentence for a person, a stable code for a program, and data for both."""

    code: str = "error"
    http_status: ClassVar[int] = 500

    def __init__(
        self, message: str, *, code: str | None = None, details: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, object] = dict(details or {})
        if code is not None:
            self.code = code


class Invalid(AlgohostError):
    """What was sent cannot be accepted as it stands."""

    code = "INVALID"
    http_status = 400


class Unauthorized(AlgohostError):
    """Nobody is known to be asking."""

    code = "UNAUTHORIZED"
    http_status = 401


class Forbidden(AlgohostError):
    """The asker is known and may not do this."""

    code = "FORBIDDEN"
    http_status = 403


class NotFound(AlgohostError):
    """There is no such thing, or none that this asker may know of."""

    code = "NOT_FOUND"
    http_status = 404


class Conflict(AlgohostError):
    """It does not fit the state that things are in; ``details`` says which."""

    code = "CONFLICT"
    http_status = 409


class TooLarge(AlgohostError):
    """More bytes than are accepted."""

    code = "TOO_LARGE"
    http_status = 413


class TooMany(AlgohostError):
    """More requests than are accepted for now; ``details`` has ``retry_after_seconds``."""

    code = "TOO_MANY"
    http_status = 429


class Unavailable(AlgohostError):
    """A part that is needed does not answer now."""

    code = "UNAVAILABLE"
    http_status = 503

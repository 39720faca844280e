"""``telegram/notify`` and ``whatsapp/notify``: messages to the caller's own targets.

In OpenAlgo these reach one bot each. Here both reach the notification targets that the user has
set up, whatever services those are of, so that a script that tells somebody something need not
know how. A message can go to nobody else: a script's key is no licence to write to strangers.
"""

from typing import Annotated, Final

from starlette.responses import Response

from algohost.domain.errors import NotFound
from algohost.domain.notices import MOST_BODY
from algohost.web.api_v1.answers import success
from algohost.web.api_v1.call import Call
from algohost.web.api_v1.field_schemas import any_text, taken
from algohost.web.api_v1.fields import Symbol, YesOrNo, none_but, refuse, whole_of
from algohost.web.api_v1.requests import Asked

_NOTHING: Final = frozenset({"", "none", "[]"})
_OWN_TARGETS: Final = (
    "cannot be chosen here: a message goes to the notification targets of the user whose key it"
    " is; leave it out"
)
_NO_FILES: Final = "is not sent here: messages are text; leave it out"


def _message(value: object) -> str:
    if not isinstance(value, str):
        raise refuse("must be text")
    text = "".join(c for c in value if c.isprintable() or c in "\n\t").strip()
    if not text:
        raise refuse("is empty")
    if len(value) > MOST_BODY:
        raise refuse(f"must be at most {MOST_BODY:,} characters; it has {len(value):,}")
    return text


Message = Annotated[str, taken(_message, any_text(MOST_BODY))]


class Notify(Asked):
    """A message to the user of that name, who is the one whose key it is."""

    username: Symbol
    message: Message
    priority: Annotated[int, whole_of(1, 10)] = 5


class WhatsAppNotify(Asked):
    """A message as the client's ``whatsapp`` sends it, of which only the text is sent."""

    message: Message
    username: Symbol | None = None
    phone: Annotated[None, none_but(_NOTHING, _OWN_TARGETS)] = None
    phones: Annotated[None, none_but(_NOTHING, _OWN_TARGETS)] = None
    image_path: Annotated[None, none_but(_NOTHING, _NO_FILES)] = None
    document_path: Annotated[None, none_but(_NOTHING, _NO_FILES)] = None
    wait_for_delivery: YesOrNo = False


async def telegram_notify(call: Call[Notify]) -> Response:
    """``telegram/notify``: taken once it is on disk; how it fares is in the user's list."""
    asked = call.asked
    _own_name(call, asked.username)
    count = await call.host.notices.send(
        call.principal.user.id, _title(call), asked.message, asked.priority
    )
    return success(message=_taken(count), queued=count)


async def whatsapp_notify(call: Call[WhatsAppNotify]) -> Response:
    """``whatsapp/notify``: as ``telegram/notify``; nobody waits for the delivery."""
    if call.asked.username is not None:
        _own_name(call, call.asked.username)
    count = await call.host.notices.send(call.principal.user.id, _title(call), call.asked.message)
    return success(message=_taken(count), queued=count)


def _own_name(call: Call[Notify] | Call[WhatsAppNotify], username: str) -> None:
    user = call.principal.user
    if username.casefold() != user.name.casefold():
        raise NotFound(
            f"username is the login name of the user whose key it is, {user.name}; messages to"
            " others are not sent.",
            code="NOT_YOUR_NAME",
        )


def _title(call: Call[Notify] | Call[WhatsAppNotify]) -> str:
    return call.principal.strategy_id or "algohost"


def _taken(count: int) -> str:
    targets = "1 target" if count == 1 else f"{count} targets"
    return f"The message is on its way to {targets}."

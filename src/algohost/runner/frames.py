"""The wire between server and agent: a 4-byte big-endian length, then that many bytes of JSON.

A frame is one JSON object of at most ``MAX_FRAME_BYTES``. The first frame of a connection is
``hello`` with the protocol that its sender speaks; a peer refuses a major number that it does
not know with a sentence and its own protocol, and ignores a higher minor number. ``shutdown`` is
the same in every protocol, so that an agent of an earlier release can be asked to leave.
"""

import json
import struct
from collections.abc import Iterator
from typing import Any, Final

Version = tuple[int, int]

PROTOCOL: Final = (2, 0)
"""2 confines and limits what it launches; an agent of 1 would refuse every launch of ours."""
FIRST_PROTOCOL: Final = (1, 0)
"""That of agents that do not tell theirs with a refusal."""
ZYGOTE_PROTOCOL: Final = (1, 0)
"""Between agent and zygote: one of an earlier release stays the parent of its runs."""
MAX_FRAME_BYTES: Final = 1 << 20
_LENGTH: Final = struct.Struct(">I")


class FrameError(ValueError):
    """Bytes that are not a frame; the connection they came from cannot be used further."""


def encode(message: dict[str, Any]) -> bytes:
    """One frame. Raises ``FrameError`` where it would be larger than a peer accepts."""
    body = json.dumps(message, separators=(",", ":")).encode("ascii")
    if len(body) > MAX_FRAME_BYTES:
        raise FrameError(f"A message of {len(body)} bytes is over the {MAX_FRAME_BYTES} accepted.")
    return _LENGTH.pack(len(body)) + body


class Decoder:
    """Turns bytes, however they are cut, into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """The messages completed by ``data``. Raises ``FrameError`` at the first that is none.

        Holds at most one frame and its length in memory beyond ``data`` itself.
        """
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_FRAME_BYTES:
                raise FrameError(
                    f"A frame of {length} bytes is over the {MAX_FRAME_BYTES} accepted."
                )
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield _parse(body)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FrameError("A frame does not hold JSON.") from error
    if not isinstance(message, dict):
        raise FrameError("A frame holds JSON that is not an object.")
    return message


def protocol_problem(message: dict[str, Any], ours: Version = PROTOCOL) -> str | None:
    """Why a ``hello`` cannot be answered with our protocol; ``None`` where it can."""
    version = message.get("protocol")
    if (
        not isinstance(version, list)
        or len(version) != 2
        or not all(isinstance(part, int) and not isinstance(part, bool) for part in version)
    ):
        return "The hello does not say which protocol it speaks; two numbers are needed."
    if version[0] != ours[0]:
        return (
            f"Protocol {version[0]}.{version[1]} is not spoken here,"
            f" {ours[0]}.{ours[1]} is: server and agent are of different releases."
            " Restart the agent; its runs go on."
        )
    return None

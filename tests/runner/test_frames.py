"""S24: frames, however they are cut, and bytes that are none."""

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.runner.frames import (
    MAX_FRAME_BYTES,
    PROTOCOL,
    Decoder,
    FrameError,
    encode,
    protocol_problem,
)

messages = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9), max_size=5)


@given(st.lists(messages, max_size=6), st.data())
def test_messages_come_out_as_they_went_in_wherever_the_bytes_are_cut(
    sent: list[dict[str, Any]], data: st.DataObject
) -> None:
    stream = b"".join(encode(message) for message in sent)
    decoder = Decoder()
    received: list[dict[str, Any]] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        received += decoder.feed(stream[:size])
        stream = stream[size:]
    assert received == sent


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_a_frame_error(data: bytes) -> None:
    words = "."
    try:
        assert all(isinstance(message, dict) for message in Decoder().feed(data))
    except FrameError as error:
        words = str(error)
    assert words.endswith(".")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[]", "not an object"),
        (b"null", "not an object"),
        (b"{", "does not hold JSON"),
        (b"", "does not hold JSON"),
        (b"\xff\xfe", "does not hold JSON"),
        (b"[" * 100_000, "does not hold JSON"),
    ],
)
def test_a_frame_that_holds_no_object_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(FrameError, match=words):
        list(Decoder().feed(struct.pack(">I", len(body)) + body))


def test_a_huge_frame_is_refused_by_its_length_alone() -> None:
    with pytest.raises(FrameError, match="over the 1048576 accepted"):
        list(Decoder().feed(struct.pack(">I", MAX_FRAME_BYTES + 1)))
    with pytest.raises(FrameError):
        encode({"text": "x" * MAX_FRAME_BYTES})


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (list(PROTOCOL), None),
        ([PROTOCOL[0], 99], None),
        ([99, 0], "Protocol 99.0 is not spoken here"),
        ([1], "does not say which protocol"),
        ([True, 0], "does not say which protocol"),
        ("1.0", "does not say which protocol"),
        (None, "does not say which protocol"),
    ],
)
def test_a_hello_is_answered_or_refused_by_its_major_number(
    version: object, words: str | None
) -> None:
    problem = protocol_problem(json.loads(json.dumps({"protocol": version})))
    assert (problem is None) == (words is None)
    assert (words or "") in (problem or "")

"""S3: what went past Python's streams is covered where it is read, byte for byte."""

import base64
import re
import tempfile
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from algohost.host.log_cover import Cover
from algohost.host.tokens import mint
from tests.runner.test_mask import FORMS, PLAIN, RICH, STAMP

MULTILINE = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQ\nEF\n-----END KEY-----\n"


def covered(*secrets: str, text: str) -> str:
    """``text`` as it is given out; of the same length, always."""
    raw = text.encode()
    shown = Cover(secrets).over(raw)
    assert len(shown) == len(raw)
    return shown.decode()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", [PLAIN, RICH, "?>?>?>~~~~", "\\\\server\\share"])
def test_each_usual_form_of_a_secret_is_covered(secret: str, form: str) -> None:
    written = FORMS[form](secret)
    shown = covered(secret, text=f"a {written} b\n")
    assert "*****" in shown
    left = shown.replace("*", "").removeprefix("a ").removesuffix(" b\n")
    if form.startswith("base64"):  # "us:" before, "tail" behind, and parts of a byte
        assert len(left) <= 14
    else:
        assert re.sub(r"key|^b(?=['\"])|[\"'\\{}: ]", "", left) == ""


def stars(text: str) -> str:
    return re.sub(r"[^\n]", "*", text)


@given(
    cuts=st.lists(st.tuples(st.integers(0, len(PLAIN)), st.sampled_from(["\n", "\r\n"]))),
    stamped=st.booleans(),
)
@example(cuts=[(i, "\n") for i in range(len(PLAIN))], stamped=True)
def test_a_secret_that_is_cut_into_lines_is_covered_and_the_lines_stay(
    cuts: list[tuple[int, str]], stamped: bool
) -> None:
    """One character a line, too: neither line ends nor times count."""
    stamp = STAMP if stamped else ""
    text, at = stamp, 0
    expected = stamp
    for cut, end in sorted(cuts):
        text += PLAIN[at:cut] + end + stamp
        expected += "*" * (cut - at) + end + stamp
        at = cut
    text += f"{PLAIN[at:]} and more\n"
    expected += "*" * (len(PLAIN) - at) + " and more\n"
    assert covered(PLAIN, text=text) == expected


@pytest.mark.parametrize("stamp", ["", STAMP])
@pytest.mark.parametrize("is_open", [False, True])
def test_numbers_one_a_line_are_no_short_secret(stamp: str, *, is_open: bool) -> None:
    """What is taken for one is lost in the file: a PIN is in every count to ten."""
    cover = Cover(["123456", "789101112131415"[:9]])
    text = "".join(f"{stamp}{number}\n" for number in range(13)).encode()
    assert cover.over(text, is_open=is_open) == text
    assert cover.over(b"pin=123456\n") == b"pin=******\n"


def test_base64_that_was_wrapped_is_covered() -> None:
    """As ``base64`` and ``openssl`` write it."""
    secret = PLAIN * 9
    wrapped = base64.encodebytes(secret.encode()).decode()
    assert wrapped.count("\n") > 2
    left = covered(secret, text=wrapped).replace("*", "").replace("\n", "")
    assert len(left) <= 4


@pytest.mark.parametrize("change", [str, lambda s: s.replace("\n", "\r\n"), str.strip])
def test_a_secret_of_several_lines_is_covered_line_by_line(change: Callable[[str], str]) -> None:
    """Its shortest line, too, which could not be told from a word by itself."""
    text = f"EF before\n{change(MULTILINE)}\nafter EF\n"
    shown = covered(MULTILINE, text=text).replace("\r", "")
    assert shown.startswith("EF before\n")
    assert shown.endswith("\nafter EF\n")
    assert [line for line in shown.splitlines()[1:-1] if line.strip("*")] == []


def test_a_runs_own_key_is_covered_whatever_is_known() -> None:
    token = mint()[0]
    assert covered(text=f"key={token}\n") == f"key={'*' * len(token)}\n"
    assert covered(PLAIN, text=f"key={token[:30]}\n{token[30:]}!") == f"key={'*' * 30}\n{'*' * 36}!"
    for other in (token[:-1], token.upper(), "Zkoda"):
        assert covered(text=f"{other} x") == f"{other} x"


def test_the_end_of_a_log_that_begins_a_secret_is_covered_from_six_characters_on() -> None:
    """It may go on in what is written next, which nobody has seen yet."""
    cover = Cover([PLAIN])
    for size in range(1, len(PLAIN)):
        text = f"the key: {PLAIN[:size]}".encode()
        expected = text if size < 6 else b"the key: " + b"*" * size
        assert (cover.over(text, is_open=True), cover.over(text)) == (expected, text)
    assert Cover([]).over(b"Zk0", is_open=True) == b"Zk0"


PARTS = [PLAIN, PLAIN[:7], PLAIN[7:], "\n", STAMP, "x" * 40, FORMS["base64"](PLAIN)]


@given(parts=st.lists(st.sampled_from(PARTS), max_size=30), step=st.integers(1, 200))
def test_what_is_read_in_pieces_is_what_is_read_at_once(parts: list[str], step: int) -> None:
    """S3: a secret lies across the edge of two chunks."""
    raw = "".join(parts).encode()
    cover = Cover([PLAIN])
    with tempfile.TemporaryFile() as file:
        file.write(raw)
        file.flush()
        number = file.fileno()
        pieces = [cover.read(number, step, at, len(raw)) for at in range(0, len(raw), step)]
    assert b"".join(pieces) == cover.over(raw, is_open=True)


@given(st.binary(max_size=300))
def test_whatever_is_in_a_log_nothing_but_secrets_changes(text: bytes) -> None:
    assert Cover(["never-in-there-1"]).over(text) == text

"""S3: a strategy's secrets do not reach its log, however they are written and cut up."""

import base64
import html
import itertools
import json
import os
import random
import re
import shlex
import string
import tempfile
import threading
import traceback
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from algohost.host.tokens import mint
from algohost.runner import mask_search
from algohost.runner.log_writer import LogWriter
from algohost.runner.mask import MARKER, SHORTEST_MASKABLE, Mask, mask_of
from algohost.runner.stream import StampedBuffer, StampedStream

AT = 1795263277.4
STAMP = "2026-11-21 17:44:37 IST "
SHOWN = MARKER.decode()
PLAIN = "s3cr3t-T0ken_value"
RICH = "p@ss/w0rd+1 x\"q'\\&<é₹😀>%\tz"


class Output:
    """Both streams of a run on one file."""

    def __init__(self, *secrets: str) -> None:
        handle, self._path = tempfile.mkstemp()
        os.close(handle)
        self._file = open(self._path, "a+b", buffering=0)  # noqa: SIM115 - finish closes
        number = self._file.fileno()
        writer = LogWriter(number, clock=lambda: AT, mask=mask_of(secrets))
        self.out = StampedStream(StampedBuffer(writer, number, "<stdout>"))
        self.err = StampedStream(StampedBuffer(writer, number, "<stderr>"))

    @property
    def text(self) -> str:
        """What is in the log by now."""
        self._file.seek(0)
        return self._file.read().decode()

    def finish(self) -> str:
        """All of the log, after the end of the run."""
        self.out.finish()
        self.err.finish()
        text = self.text
        self._file.close()
        os.remove(self._path)
        return text


def shown(*secrets: str, write: Callable[[Output], object]) -> str:
    output = Output(*secrets)
    write(output)
    return output.finish().replace(STAMP, "")


# What GitLab's masker is held to (``masker_test.go``), with a mark of our own.
WRITTEN = [
    (["empty"], [""], ""),
    ([], ["no secrets at all"], "no secrets at all\n"),
    (["secret"], ["this is a secret"], "this is a X\n"),
    (["secret"], ["secret at the beginning"], "X at the beginning\n"),
    (["secret"], ["this is a sec", "ret and more"], "this is a X and more\n"),
    (["secret"], ["s", "e", "c", "r", "e", "t"], "X\n"),
    (["secret"], ["this is a sec"], "this is a sec\n"),
    (["secret"], ["secrsecret"], "secrX\n"),
    (["secret"], ["secr", "secret"], "secrX\n"),
    (["secret"], ["sesecretcret"], "seXcret\n"),
    (["secret"], ["secretsecret"], "XX\n"),
    (["secret", "secret_longer"], ["secret_longer and secret"], "X and X\n"),
    (["secret_longer", "secret"], ["secret", "_longer"], "X\n"),
    (["secret", "secret_longer"], ["secret", "_lo!"], "X_lo!\n"),
    (["abcdefgh", "efghijkl"], ["abcdefghijkl."], "X.\n"),
    (["abcdefgh", "efghijkl"], ["abcdefgh", "ijkl."], "X.\n"),
    (["aaaaaa"], ["aaaaaaaaaa"], "X\n"),
    (["first1", "second2"], ["first1 then second2"], "X then X\n"),
    (["prefix_one", "prefix_two"], ["prefix_", "two prefix_", "one"], "X X\n"),
    (["under€score"], ["under\N{EURO SIGN}score"], "X\n"),
    (["line one\nline two"], ["a line one\nline two b"], "a X\nX b\n"),
    (["line one\nline two"], ["a line one\n", "b line two\n"], "a X\nb X\n"),
    (["one\ntwo\nthree"], ["a one\ntwo\nthree b"], "a X b\n"),
    (["one\ntwo\nthree"], ["a one\n", "two\n", "three b"], "a X b\n"),
    (["one\ntwo\nthree"], ["a one\r\ntwo\r\nthree b"], "a X b\n"),
    (["one\ntwo\nthree"], ["a one\n", "two\n", "four"], "a one\ntwo\nfour\n"),
    (["short"], ["short values are not masked"], "short values are not masked\n"),
]


@pytest.mark.parametrize(("secrets", "parts", "expected"), WRITTEN)
def test_a_secret_is_masked_whole_and_split_over_flushed_writes(
    secrets: list[str], parts: list[str], expected: str
) -> None:
    def write(output: Output) -> None:
        for part in parts:
            print(part, end="", file=output.out, flush=True)

    assert shown(*secrets, write=write) == expected.replace("X", SHOWN)


FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 for URLs": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "base64 after one byte": lambda s: base64.b64encode(b":" + s.encode()).decode(),
    "base64 of basic authentication": lambda s: base64.b64encode(b"me:" + s.encode()).decode(),
    "base64 for URLs after two": lambda s: base64.urlsafe_b64encode(b"u:" + s.encode()).decode(),
    "base64 inside": lambda s: base64.b64encode(b"us:" + s.encode() + b"tail").decode(),
    "base64 in JSON": lambda s: base64.b64encode(s.encode()).decode().replace("/", "\\/"),
    "hexadecimal": lambda s: s.encode().hex(),
    "hexadecimal, upper case": lambda s: s.encode().hex().upper(),
    "URL": lambda s: quote(s),
    "URL, everything": lambda s: quote(s, safe=""),
    "URL, lower case": lambda s: (
        quote(s, safe="").replace("%C3%A9", "%c3%a9").replace("%2F", "%2f")
    ),
    "URL form": quote_plus,
    "every byte of a URL": lambda s: "".join(f"%{b:02x}" for b in s.encode()),
    "JSON": lambda s: json.dumps(s),
    "JSON, unescaped": lambda s: json.dumps(s, ensure_ascii=False),
    "JSON of PHP": lambda s: json.dumps(s).replace("/", "\\/"),
    "JSON for HTML": lambda s: json.dumps(s).replace("&", "\\u0026").replace("<", "\\u003C"),
    "JSON in JSON": lambda s: json.dumps(json.dumps({"key": s})),
    "repr": repr,
    "repr in ASCII": ascii,
    "repr of bytes": lambda s: repr(s.encode()),
    "HTML": html.escape,
    "shell": shlex.quote,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", [PLAIN, RICH, "?>?>?>~~~~", "\\\\server\\share"])
def test_a_secret_is_masked_in_each_usual_form(secret: str, form: str) -> None:
    """What remains around a base64 form is less than one byte of the secret at either end."""
    written = FORMS[form](secret)
    text = shown(secret, write=lambda o: print(f"a {written} b", file=o.out))
    assert SHOWN in text
    left = text.replace(SHOWN, "").removeprefix("a ").removesuffix(" b\n")
    if form.startswith("base64"):  # "us:" before, "tail" behind, and parts of a byte
        assert len(left) <= 14
    else:  # nothing but the quotes around
        assert re.sub(r"key|^b(?=['\"])|[\"'\\{}: ]", "", left) == ""


def test_a_traceback_and_both_streams_and_bytes_are_masked() -> None:
    def write(output: Output) -> None:
        try:
            raise ValueError(f"bad key {PLAIN!r}")
        except ValueError:
            traceback.print_exc(file=output.err)
        output.out.buffer.write(PLAIN[:7].encode())
        output.out.buffer.flush()
        output.out.buffer.write(PLAIN[7:].encode() + b"\n")

    text = shown(PLAIN, write=write)
    assert text.count(SHOWN) >= 2
    assert PLAIN not in text


def test_only_what_may_begin_a_secret_waits_for_the_rest_of_its_line() -> None:
    output = Output("secret-value")
    print("Loading ", end="", file=output.out, flush=True)
    assert output.text == f"{STAMP}Loading "
    print("done, secret-", end="", file=output.out, flush=True)
    assert output.text == f"{STAMP}Loading done, "
    print("another", file=output.err)
    print("agent", file=output.out)
    lines = [f"{STAMP}Loading done, ", f"{STAMP}another", f"{STAMP}secret-agent", ""]
    assert output.finish() == "\n".join(lines)


def test_a_secret_across_the_cut_of_an_endless_line_is_masked() -> None:
    """A line is written in parts of 64 KB; a secret lies across such a cut."""

    def write(output: Output) -> None:
        for part in ("x" * 65_530, PLAIN, "y" * 10, PLAIN, "\n"):
            output.out.write(part)
            output.text  # noqa: B018 - takes it out of the pipe, which holds 64 KB

    assert shown(PLAIN, write=write) == "x" * 65_530 + SHOWN + "y" * 10 + SHOWN + "\n"


def test_what_is_too_short_cannot_be_masked() -> None:
    assert mask_of(["12345", ""]) is None
    assert mask_of(["1" * SHORTEST_MASKABLE]) is not None


def test_a_long_key_is_masked_whole_line_by_line_and_encoded() -> None:
    key = "-----BEGIN KEY-----\n" + "\n".join(os.urandom(48).hex() for _ in range(40))
    encoded = base64.b64encode(key.encode()).decode()
    text = shown(key, write=lambda o: print(key, encoded, key.splitlines()[7], file=o.out))
    for one in (*key.splitlines(), encoded):
        assert [one[i : i + 8] for i in range(len(one) - 8) if one[i : i + 8] in text] == []


@pytest.mark.parametrize("more", [(), (PLAIN,), (RICH, "~~~~~~"), ("abcde\n",)])
@pytest.mark.parametrize("form", FORMS)
def test_the_first_look_at_a_line_lets_no_form_of_a_secret_pass(
    form: str, more: tuple[str, ...]
) -> None:
    """Most lines are written after a look at their length and for one byte, as with a token."""
    token = mint()[0]
    mask = mask_of([token, *more])
    assert mask is not None
    for secret in (token, *more):
        line = f"{FORMS[form](secret)}\n".encode()
        if MARKER in mask._replaced(line, mask._spans(line)):
            assert len(line) >= mask.shortest or mask.seldom in line
            assert mask.classes is None or mask.run in line.translate(mask.classes)
            assert mask.may_hold(line) is not None


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text("aZk~%9\n", min_size=6, max_size=9), min_size=1, max_size=3),
    st.text("aZk~%9", max_size=12),
)
def test_a_line_that_passes_the_first_look_is_none_that_would_be_masked(
    secrets: list[str], text: str
) -> None:
    mask = mask_of(secrets)
    assert mask is not None
    line = text.encode() + b"\n"
    if len(line) < mask.shortest and mask.seldom not in line:
        assert mask._spans(line) == []


@given(
    st.lists(st.text('aZk9-&. "é', min_size=6, max_size=30), min_size=1, max_size=2),
    st.lists(st.sampled_from([" ", "a", "-", "&", "."]), max_size=6),
    st.sampled_from(sorted(FORMS)),
)
def test_a_line_without_a_long_row_of_bytes_holds_no_form_of_a_secret(
    secrets: list[str], around: list[str], form: str
) -> None:
    mask = mask_of(secrets)
    assert mask is not None
    line = f"{''.join(around)}{FORMS[form](secrets[0])}{''.join(around)}\n".encode()
    if mask.classes is not None and mask.run not in line.translate(mask.classes):
        assert mask._spans(line) == []


def test_a_word_of_ordinary_length_is_no_long_row() -> None:
    mask = mask_of([mint()[0], "hunter2secretpassword", "correct-horse-battery"])
    assert mask is not None
    assert mask.classes is not None
    assert len(mask.run) == 21
    assert mask.run not in b"2026-11-21 RELIANCE NIFTY24NOV24500CE\n".translate(mask.classes)
    for short in ("hunter2", "a phrase of short words", "a.b.c.d.e.f.g.h"):
        too_short = mask_of([short])
        assert too_short is not None
        assert too_short.classes is None, "it would look at nearly every line in vain"


@given(
    st.lists(st.sampled_from([PLAIN, PLAIN[:9], "x" * 50, " ", PLAIN.encode().hex()]), max_size=9)
)
def test_a_long_text_is_looked_at_as_closely_as_a_short_one(parts: list[str]) -> None:
    mask = mask_of([PLAIN])
    assert mask is not None
    text = "".join(parts).encode()
    assert mask.spans(text) == mask._spans(text)


@pytest.mark.parametrize("form", FORMS)
def test_a_text_that_ends_in_a_secret_says_where_it_begins(form: str) -> None:
    """In every form; from six characters on, for fewer are in ordinary words."""
    mask = mask_of([RICH])
    assert mask is not None
    written = FORMS[form](RICH).encode()
    begin, end = max(mask._spans(written), key=lambda span: span[1] - span[0])
    if not written[begin:end].endswith(b"="):  # a little more may be covered than the form
        assert mask.begun(b"so " + written[begin:end][: (end - begin) * 3 // 4]) <= 3 + 8
    assert mask.begun(b"so " + written[begin : begin + 3]) == 6
    assert mask.begun(b"so that") == 7


def test_most_lines_need_no_search_for_the_token_of_a_run() -> None:
    """The token begins with a byte that is seldom printed, and its other forms are long."""
    for _ in range(20):
        mask = mask_of([mint()[0]])
        assert mask is not None
        assert (chr(mask.seldom), mask.shortest >= 85) == ("Z", True)


def keys(count: int) -> dict[str, str]:
    """Secrets of that many characters, of kinds that are long in practice."""
    source = random.Random(count)

    def some(letters: str, size: int) -> str:
        return "".join(source.choice(letters) for _ in range(size))

    lines = [some(string.ascii_letters + "+/=", 64) for _ in range(count // 65)]
    pairs = {f"key {n}": some(string.ascii_letters, 30) for n in range(count // 46)}
    return {
        "one line": some(string.ascii_letters + string.digits, count),
        "punctuation": some(string.punctuation + " é", count),
        "a key in lines": "\n".join(["-----BEGIN KEY-----", *lines, "-----END KEY-----"]),
        "an account in JSON": json.dumps(pairs, indent=1),
    }


@cache
def masks(kind: str) -> tuple[Mask, Mask]:
    """One as it is, and one with all of a form in its expression."""
    secret = keys(500)[kind]
    usual, whole = mask_of([secret]), mask_of([secret])
    assert usual is not None
    assert whole is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mask_search, "_HEAD", 10_000)
        patch.setattr(mask_search, "_MOST", 10**9)
        whole._search = mask_search.FormSearch(whole._forms)
    return usual, whole


@pytest.mark.parametrize("kind", keys(70))
@pytest.mark.parametrize("form", FORMS)
def test_of_a_long_secret_the_same_is_masked_as_by_a_whole_expression(kind: str, form: str) -> None:
    usual, whole = masks(kind)
    written = FORMS[form](keys(500)[kind])
    for text in (written, written[:-1], written[len(written) // 2 :] + written):
        line = f"a {text} b\n".encode()
        assert _covered(usual._spans(line)) == _covered(whole._spans(line))
    assert len(_covered(usual._spans(line))) >= 300


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text('ab"\\ %\n', min_size=6, max_size=14), min_size=1, max_size=3),
    st.text('ab"\\ %\n', max_size=30),
    st.sampled_from([6, 8, 12]),
)
def test_a_beginning_in_an_expression_finds_what_a_whole_one_finds(
    secrets: list[str], text: str, head: int
) -> None:
    whole, begun = mask_of(secrets), mask_of(secrets)
    assert whole is not None
    assert begun is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mask_search, "_HEAD", head)
        patch.setattr(mask_search, "_SHORT_HEAD", head)
        begun._search = mask_search.FormSearch(begun._forms)
    line = (text + secrets[0] + text).encode()
    assert _covered(begun._spans(line)) == _covered(whole._spans(line))


def _covered(spans: list[tuple[int, int]]) -> set[int]:
    return {at for start, end in spans for at in range(start, end)}


def test_a_text_that_begins_a_long_secret_over_and_over_is_masked_in_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the work is used up, a beginning is taken to be a secret; other text stays."""
    mask = mask_of(["ab" * 2000 + "c"])
    assert mask is not None
    calls = 0
    compare = mask_search._places_after

    def counted(*given: Any) -> set[int]:
        nonlocal calls
        calls += 1
        return compare(*given)

    monkeypatch.setattr(mask_search, "_places_after", counted)
    other = b" and " + b"another word " * 1000 + b"\n"
    shown = mask.redact(b"x " + b"ab" * 100_000 + b"c" + other)
    assert MARKER in shown
    assert shown.endswith(other[4001:])
    assert len(shown) < 1000 + len(other)  # the beginnings that were compared and are none
    assert calls < 1000


def test_masking_takes_time_in_proportion_to_the_text() -> None:
    """What made other maskers slow: rows of a secret's first letters, and of backslashes."""
    mask = mask_of(["aaaaaaaaaaab", '\\\\\\\\"\\\\\\\\"x', "\\" * 30 + "x"])
    assert mask is not None
    for text in (b"a" * 200_000, b"\\" * 200_000, b'\\"' * 100_000):
        assert mask.redact(text) == text
        done, held = mask.split(text)
        assert done + held == text


secrets_ = st.lists(st.text('ab\\"/é \n%', min_size=6, max_size=12), min_size=1, max_size=3)


@settings(max_examples=150, deadline=None)
@given(secrets=secrets_, data=st.data())
@example(secrets=["ababab", "babbba"], data=None)
def test_no_split_into_writes_flushes_and_streams_shows_a_secret(
    secrets: list[str], data: st.DataObject | None
) -> None:
    """S3: random split points; what is shown is what one write of it all would show."""
    secrets = [secret.strip("\n") for secret in secrets]
    body = "x".join(secrets) + " " + "".join(secrets)
    cuts = [3, 7] if data is None else data.draw(st.lists(st.integers(0, len(body)), max_size=6))
    places = [0, *sorted(cuts), len(body)]
    flushes = [True] * 20 if data is None else data.draw(st.lists(st.booleans(), min_size=8))
    output = Output(*secrets)
    for i, (start, end) in enumerate(itertools.pairwise(places)):
        print(body[start:end], end="", file=output.out, flush=flushes[i % len(flushes)])
    text = output.finish()
    for secret in secrets:
        if len(secret) >= SHORTEST_MASKABLE and "\n" not in secret:
            assert secret not in text


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["secret", "s", "ec", "ret", "cret", "x", " "]), max_size=12))
def test_flushed_parts_show_the_same_as_one_write(parts: list[str]) -> None:
    def in_parts(output: Output) -> None:
        for part in parts:
            print(part, end="", file=output.out, flush=True)

    one = shown("secret", write=lambda o: print("".join(parts), end="", file=o.out))
    assert shown("secret", write=in_parts) == one


def test_threads_that_print_and_flush_at_once_show_no_secret() -> None:
    output = Output(PLAIN, "another-secret")
    texts: list[str] = []

    def work(stream: StampedStream, secret: str) -> None:
        for i in range(100):
            print(i, secret, flush=i % 2 == 0, file=stream)

    threads = [
        threading.Thread(target=work, args=pair)
        for pair in ((output.out, PLAIN), (output.err, "another-secret"))
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        texts.append(output.text)
    text = output.finish()
    assert (PLAIN in text, "another-secret" in text, text.count(SHOWN)) == (False, False, 200)

"""What crosses the fence is checked where it enters, and comes out as it went in."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.runner.messages import ExitFact, LaunchSpec, RunFact
from algohost.runner.parse import MessageError

GOOD: dict[str, Any] = {
    "run_id": "0123456789abcdef",
    "script": "/s/strategy.py",
    "cwd": "/s",
    "log_path": "/l/log",
    "env": {"OPENALGO_API_KEY": "secret"},
}

texts = st.text(st.characters(exclude_characters="\0"), max_size=20)
paths = texts.map(lambda text: f"/{text}")
specs = st.builds(
    LaunchSpec,
    run_id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True),
    script=paths, args=st.lists(texts).map(tuple), cwd=paths, log_path=paths,
    env=st.dictionaries(texts.filter(lambda name: name and "=" not in name), texts),
    launcher=st.sampled_from(["zygote", "subprocess"]),
    interpreter=st.none() | paths,
    accelerate=st.lists(texts).map(tuple), stamp=st.booleans(),
)  # fmt: skip
whole = st.none() | st.integers(0, 1 << 40)
numbers = st.floats(0, 1e12, allow_nan=False)
exits = st.builds(
    ExitFact, code=whole, signal=whole,
    how=st.sampled_from(["reaped", "pidfd", "record", "unknown"]),
    peak_memory_bytes=whole, cpu_seconds=st.none() | numbers, ended_at=numbers,
    leftovers_killed=st.integers(0, 99), stop_step=st.sampled_from([None, "signal", "kill"]),
    stop_by=st.none() | texts,
)  # fmt: skip
facts = st.builds(
    RunFact, run_id=texts, state=st.sampled_from(["starting", "running", "stopping", "ended"]),
    pid=whole, start_ticks=whole, boot_id=texts, launched_at=numbers,
    exit=st.none() | exits, error=st.none() | texts,
    launcher=st.sampled_from(["zygote", "subprocess"]), note=st.none() | texts,
)  # fmt: skip
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
)


@given(specs)
def test_a_spec_survives_the_wire(spec: LaunchSpec) -> None:
    assert LaunchSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@given(facts)
def test_a_fact_survives_the_wire(fact: RunFact) -> None:
    assert RunFact.from_json(json.loads(json.dumps(fact.to_json()))) == fact


@given(anything, st.sampled_from([field.name for field in dataclasses.fields(LaunchSpec)]))
def test_a_part_of_any_kind_is_accepted_or_refused_with_a_sentence(value: Any, name: str) -> None:
    whole_spec = {**LaunchSpec(**GOOD).to_json(), name: value}
    for message in (whole_spec, value):
        words = "."
        try:
            LaunchSpec.from_json(message)
        except MessageError as error:
            words = str(error)
        assert words.endswith(".")


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("run_id", "../escape", "run_id"),
        ("run_id", "", "run_id"),
        ("run_id", "x" * 65, "run_id"),
        ("script", "relative.py", "script 'relative.py' is not an absolute path."),
        ("cwd", "", "cwd"),
        ("interpreter", "python3", "interpreter"),
        ("launcher", "docker", "launcher"),
        ("args", ("a\0b",), "NUL"),
        ("env", {"A": "b\0"}, "NUL"),
        ("env", {"A=B": "c"}, "which no variable can have"),
        ("env", {"": "c"}, "which no variable can have"),
    ],
)
def test_what_no_process_could_be_started_with_is_refused(
    part: str, value: object, words: str
) -> None:
    with pytest.raises(MessageError, match=words):
        LaunchSpec(**{**GOOD, part: value})


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(MessageError, match="surprise"):
        LaunchSpec.from_json({**LaunchSpec(**GOOD).to_json(), "surprise": 1})


def test_the_environment_is_in_no_representation() -> None:
    assert "secret" not in repr(LaunchSpec(**GOOD))

"""When a live run is flagged, and when it must not be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.health import Ailment, Reading, Rules, blame, busy, growing, judge, silent

MB = 1 << 20
RULES = Rules(silent_seconds=300)


def readings(
    *, minutes: float, every: float = 5.0, share: float = 0.0, memory: list[float] | None = None
) -> list[Reading]:
    """Evenly spaced readings with a constant processor share; memory in MB, over the time."""
    count = int(minutes * 60 / every) + 1
    levels = memory or [100.0]
    return [
        Reading(
            at=1000.0 + index * every,
            wanted_seconds=index * every * share,
            memory_bytes=int(levels[min(len(levels) - 1, index * len(levels) // count)] * MB),
        )
        for index in range(count)
    ]


@pytest.mark.parametrize(
    ("quiet", "limit", "is_flagged"),
    [(299.9, 300, False), (300, 300, True), (90_000, 0, False), (0, 60, False)],
)
def test_silence_is_flagged_only_where_its_author_has_said_how_long_is_too_long(
    quiet: float, limit: float, is_flagged: bool
) -> None:
    assert (silent(quiet, Rules(silent_seconds=limit)) is not None) is is_flagged


def test_the_sentence_of_silence_says_how_long_and_what_was_missing() -> None:
    flag = silent(312, RULES)
    assert flag is not None
    assert flag.sentence == "Silent for 5 min: no output, no API call, no tick."


@pytest.mark.parametrize(
    ("minutes", "share", "is_flagged"),
    [
        (0.9, 1.0, False),  # not long enough yet
        (1.0, 1.0, True),
        (5.0, 0.95, True),
        (5.0, 0.94, False),
        (5.0, 3.9, True),  # four cores are at least one
        (5.0, 0.0, False),
    ],
)
def test_a_busy_loop_is_one_core_for_a_minute(
    minutes: float, share: float, is_flagged: bool
) -> None:
    """R22."""
    assert (busy(readings(minutes=minutes, share=share), RULES) is not None) is is_flagged


def test_one_idle_interval_within_the_minute_is_no_busy_loop() -> None:
    """Four cores for a while are not a core all the time."""
    measured = readings(minutes=2, share=4.0)
    idle = [
        Reading(at=one.at, wanted_seconds=min(one.wanted_seconds, 440), memory_bytes=0)
        for one in measured
    ]
    assert busy(idle, RULES) is None


@given(st.lists(st.floats(0, 0.94), min_size=2, max_size=60))
def test_what_never_uses_a_whole_core_is_never_busy(shares: list[float]) -> None:
    used = 0.0
    measured = [Reading(at=0.0, wanted_seconds=0.0, memory_bytes=0)]
    for index, share in enumerate(shares, start=1):
        used += share * 5
        measured.append(Reading(at=index * 5.0, wanted_seconds=used, memory_bytes=0))
    assert busy(measured, RULES) is None


def test_memory_that_grows_for_half_an_hour_is_flagged_with_its_growth() -> None:
    flag = growing(readings(minutes=31, memory=[100 + n for n in range(311)]), RULES)
    assert flag is not None
    assert flag.ailment is Ailment.GROWING
    assert "by 300 MB in 30 min" in flag.sentence


@pytest.mark.parametrize(
    "levels",
    [
        [100.0],
        [100.0, 900.0],  # a cache that was filled once
        [100.0, 400.0] * 15,  # up and down
        [900.0 - n for n in range(310)],
        [100 + n / 10 for n in range(310)],  # 31 MB in half an hour: too little to speak of
    ],
    ids=["flat", "a step", "a saw", "falling", "creeping"],
)
def test_memory_that_does_not_grow_steadily_is_not_flagged(levels: list[float]) -> None:
    assert growing(readings(minutes=31, memory=levels), RULES) is None


def test_twenty_minutes_are_too_short_to_tell_a_leak() -> None:
    assert growing(readings(minutes=20, memory=[100 + n for n in range(311)]), RULES) is None


@given(
    base=st.integers(20, 2000),
    noise=st.lists(st.integers(0, 50), min_size=400, max_size=400),
)
def test_noise_without_a_trend_is_never_called_growth(base: int, noise: list[int]) -> None:
    levels = [float(base + one) for one in noise]
    assert growing(readings(minutes=31, memory=levels), RULES) is None


@given(
    base=st.integers(20, 500),
    noise=st.lists(st.integers(0, 20), min_size=372, max_size=372),
)
def test_a_leak_is_seen_through_noise(base: int, noise: list[int]) -> None:
    """300 MB in half an hour, with 20 MB of ups and downs."""
    levels = [base + one + index * 300 / 372 for index, one in enumerate(noise)]
    assert growing(readings(minutes=31, memory=levels), RULES) is not None


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0, 1 << 40)), max_size=60),
    st.floats(0, 1e6),
)
def test_whatever_was_measured_is_judged_without_an_error(
    rows: list[tuple[float, float, int]], quiet: float
) -> None:
    """Clocks that stand still, counters that fall back, nothing at all."""
    measured = [
        Reading(at=at, wanted_seconds=wanted, memory_bytes=memory) for at, wanted, memory in rows
    ]
    flags = judge(measured, quiet_seconds=quiet, rules=RULES)
    assert len({flag.ailment for flag in flags}) == len(flags)


def test_the_line_to_blame_is_the_innermost_one_of_the_strategys_own_code() -> None:
    own, lib = "/data/code/abc/ema.py", "/usr/lib/python3/json/decoder.py"
    stacks = [
        [(lib, 350, "raw_decode"), (own, 12, "on_bar"), (own, 40, "<module>")],
        [(own, 12, "on_bar"), (own, 40, "<module>")],
        [(own, 13, "on_bar"), (own, 40, "<module>")],
        [],
    ]
    place = blame(stacks, "/data/code/abc")
    assert str(place) == "line 12 of ema.py, in on_bar (2 of 3 looks)"


def test_where_nothing_is_of_the_strategys_own_the_innermost_frame_is_named() -> None:
    place = blame([[("/usr/lib/x.py", 5, "f")]], "/data/code/abc")
    assert str(place) == "line 5 of /usr/lib/x.py, in f (1 of 1 looks)"
    assert blame([], "/data/code/abc") is None

"""The text that names a market."""

from datetime import date, time
from pathlib import Path

import pytest

from algohost.domain.errors import Invalid
from algohost.market.spec import RecordedSpec, SyntheticSpec, parse


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("synthetic", SyntheticSpec(seed=3)),
        ("synthetic:0", SyntheticSpec(seed=0)),
        (" synthetic:42 ", SyntheticSpec(seed=42)),
        (
            "recorded:may.parquet",
            RecordedSpec(file=Path("may.parquet"), day=None, speed=1.0, start=None),
        ),
        (
            "recorded:/data/a b.parquet?day=2021-05-27&speed=0.5&from=10:00",
            RecordedSpec(
                file=Path("/data/a b.parquet"),
                day=date(2021, 5, 27),
                speed=0.5,
                start=time(10, 0),
            ),
        ),
        (
            "recorded:x?from=09:15:30",
            RecordedSpec(file=Path("x"), day=None, speed=1.0, start=time(9, 15, 30)),
        ),
    ],
)
def test_a_spec_is_read(spec: str, expected: object) -> None:
    assert expected == parse(spec, seed=3)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("", "names no market"),
        ("live", "names no market"),
        ("recorded", "names no market"),
        ("recorded:", "names no market"),
        ("recorded:?day=2021-05-27", "names no file"),
        ("synthetic:", "not a whole number"),
        ("synthetic:-1", "not a whole number"),
        ("synthetic:abc", "not a whole number"),
        ("recorded:x?speed=0", "speed '0' is not a number above 0"),
        ("recorded:x?speed=-2", "speed '-2' is not a number above 0"),
        ("recorded:x?speed=nan", "speed 'nan' is not a number above 0"),
        ("recorded:x?speed=inf", "speed 'inf' is not a number above 0"),
        ("recorded:x?speed=fast", "speed 'fast' is not a number above 0"),
        ("recorded:x?speed=", "speed '' is not a number above 0"),
        ("recorded:x?day=yesterday", "not a date like 2021-05-27"),
        ("recorded:x?day=2021-02-30", "not a date like 2021-05-27"),
        ("recorded:x?from=25:00", "not a time of day like 10:00"),
        ("recorded:x?from=10:00%2B01:00", "not a time of day like 10:00"),
        ("recorded:x?pace=3", "'pace' is no option"),
        ("recorded:x?day", "not of the form name=value"),
    ],
)
def test_a_bad_spec_is_refused_with_the_forms_to_write(spec: str, says: str) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        parse(spec, seed=1)
    assert "Write synthetic, synthetic:SEED or recorded:FILE" in refused.value.message
    assert refused.value.code == "MARKET_SPEC"


def test_a_seed_below_zero_is_refused() -> None:
    with pytest.raises(Invalid, match="below 0"):
        parse("synthetic", seed=-1)

"""A table laid over another is what a changed copy would be, and leaves the other alone."""

from hypothesis import given
from hypothesis import strategies as st

from algohost.exchange.layers import Layer

KEYS = st.integers(0, 5)
CHANGES = st.lists(st.tuples(KEYS, st.one_of(st.none(), st.integers())), max_size=20)


@given(st.dictionaries(KEYS, st.integers()), CHANGES, CHANGES)
def test_a_layer_over_a_layer_is_a_changed_copy(
    below: dict[int, int], first: list[tuple[int, int | None]], second: list[tuple[int, int | None]]
) -> None:
    expected, untouched = dict(below), dict(below)
    layer = Layer[int, int](below)
    _change(expected, layer, first)
    middle = dict(layer)
    top = Layer(layer)
    _change(expected, top, second)
    assert (dict(top), len(top)) == (expected, len(expected))
    assert dict(layer) == middle
    assert below == untouched


def _change(
    expected: dict[int, int], layer: Layer[int, int], changes: list[tuple[int, int | None]]
) -> None:
    for key, value in changes:
        if value is None:
            assert layer.pop(key, None) == expected.pop(key, None)
        else:
            layer[key] = expected[key] = value
        assert (key in layer) is (key in expected)

"""The audit's chain: whatever is changed in it, its hashes tell."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.audit import BEGINNING, Entry, Link, break_in, linked

NOON = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
TEXTS = st.text(max_size=12)
ENTRIES = st.builds(
    Entry,
    at=st.timedeltas(timedelta(0), timedelta(days=400)).map(lambda after: NOON + after),
    by=TEXTS,
    act=TEXTS,
    subject=TEXTS,
    detail=st.dictionaries(TEXTS, TEXTS | st.integers() | st.none(), max_size=3),
)


def chain(entries: list[Entry]) -> list[Link]:
    links: list[Link] = []
    for entry in entries:
        links.append(linked(entry, after=links[-1] if links else None))
    return links


@given(st.lists(ENTRIES, max_size=8), st.integers(0, 8))
def test_a_chain_fits_whole_and_from_any_link_on(entries: list[Entry], cut: int) -> None:
    links = chain(entries)
    assert break_in(links) is None
    if 0 < cut < len(links):
        assert break_in(links[cut:], after=links[cut - 1]) is None


@given(st.lists(ENTRIES, min_size=1, max_size=6), ENTRIES, st.data())
def test_every_change_removal_and_insertion_is_found(
    entries: list[Entry], other: Entry, data: st.DataObject
) -> None:
    links = chain(entries)
    at = data.draw(st.integers(0, len(links) - 1))
    changed = [*links]
    changed[at] = replace(links[at], entry=other)
    assert (break_in(changed) is None) == (other == links[at].entry)
    if at < len(links) - 1:  # the last one's removal only the hash that is kept elsewhere tells
        assert break_in(links[:at] + links[at + 1 :]) is not None
    assert break_in([*links[:at], links[at], *links[at:]]) is not None


def test_the_form_that_is_hashed_never_changes() -> None:
    """Chains of earlier versions must go on being right."""
    entry = Entry(
        at=NOON, by="user:asha", act="code_saved", subject="ema_1", detail={"é": "₹1", "n": 2}
    )
    link = linked(entry, after=None)
    assert (link.number, link.previous) == (1, BEGINNING)
    parts = ("0e399e617cbb8463", "041b3fbd886bd358", "d3118b6aec448e2d", "aefdd2874666ab39")
    assert link.hash == "".join(parts)

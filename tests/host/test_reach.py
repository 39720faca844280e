"""What users may set for their strategies, how changes meet, and that no value is a fault."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.errors import Forbidden, Invalid
from algohost.domain.strategy_settings import StrategySettings
from algohost.host.reach import Ceilings, refuse_own_folders, refuse_wider_limits
from tests.host.harness import ASHA, CEILINGS, RAVI, HostUnderTest

NAMES = [one.name for one in fields(StrategySettings)]
LIMITS = [one.name for one in fields(Ceilings)]
UNLIMITED = {"memory_mb": 0, "threads": 0, "disk_mb": 0, "open_files": 0, "log_mb": 1 << 20}


def play(folder: Path, scenario: Callable[[HostUnderTest, str], Awaitable[None]]) -> None:
    """Lets ``scenario`` act on a host with one strategy of Ravi's, who is no administrator."""

    async def main() -> None:
        async with HostUnderTest(folder) as host:
            view = await host.add(owner=RAVI)
            await scenario(host, view.strategy.id)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"memory_mb": 0}, "The memory limit can be set to 8192 MB at most; 0, which is no limit,"),
        ({"threads": 0}, "The limit of threads can be set to 4096 at most; 0, which is no limit,"),
        ({"disk_mb": 0}, "The disk quota can be set to 10240 MB at most; 0, which is no limit,"),
        ({"open_files": 0}, "The limit of open files can be set to 16384 at most; 0, which"),
        ({"log_mb": 1 << 20}, "The size of a log can be set to 1024 MB at most; 1048576 MB is"),
        ({"memory_mb": 8193}, "8193 MB is more. Choose less, or ask an administrator."),
        ({"threads": 4097}, "4097 is more. Choose less, or ask an administrator."),
    ],
)
def test_only_an_administrator_lifts_a_limit_over_the_ceiling(
    tmp_path: Path, changes: dict[str, int], sentence: str
) -> None:
    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        with pytest.raises(Forbidden) as refusal:
            await host.service.configure(RAVI, strategy_id, changes)
        assert sentence in refusal.value.message
        name = next(iter(changes))
        assert refusal.value.details == {"field": name, "most": getattr(CEILINGS, name)}
        assert host.service.get(RAVI, strategy_id).strategy.settings == StrategySettings()

    play(tmp_path, scenario)


def test_a_user_has_everything_up_to_the_ceilings_and_an_administrator_more(tmp_path: Path) -> None:
    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        highest = StrategySettings().with_changes(asdict(CEILINGS))
        view = await host.service.configure(RAVI, strategy_id, asdict(CEILINGS))
        assert view.strategy.settings == highest
        view = await host.service.configure(ASHA, strategy_id, UNLIMITED)
        assert view.strategy.settings == StrategySettings().with_changes(UNLIMITED)
        kept = await host.service.configure(RAVI, strategy_id, {"memory_mb": 20_000})
        assert kept.strategy.settings.threads == 0  # what an administrator has allowed stays
        with pytest.raises(Forbidden, match="20001 MB is more"):
            await host.service.configure(RAVI, strategy_id, {"memory_mb": 20_001})

    play(tmp_path, scenario)


def test_a_new_strategy_has_no_more_than_the_ceilings() -> None:
    low = Ceilings(memory_mb=512, threads=0, open_files=64, disk_mb=4096, log_mb=8)
    made = low.of_a_new_strategy()
    assert made == StrategySettings(memory_mb=512, open_files=64, log_mb=8)
    assert CEILINGS.of_a_new_strategy() == StrategySettings()


limit = st.one_of(st.just(0), st.integers(1, 20_000))


@given(st.data())
def test_no_row_of_changes_takes_a_user_over_the_ceilings(data: st.DataObject) -> None:
    """Whatever is tried, in whatever order: what got through is within the ceiling or the start."""
    size = st.integers(1, 20_000)
    ceilings = Ceilings(**{name: data.draw(limit, label=f"most {name}") for name in LIMITS})
    start = settings = StrategySettings().with_changes({n: data.draw(size) for n in LIMITS})
    for _ in range(data.draw(st.integers(1, 6))):
        name = data.draw(st.sampled_from(LIMITS))
        wanted = data.draw(size if name == "log_mb" else limit)
        after = settings.with_changes({name: wanted})
        try:
            refuse_wider_limits(settings, after, ceilings)
        except Forbidden:
            continue
        settings = after
    for name in LIMITS:
        most, value = getattr(ceilings, name), getattr(settings, name)
        assert most == 0 or 0 < value <= max(most, getattr(start, name))


def test_changes_that_arrive_together_are_all_kept(tmp_path: Path) -> None:
    """Each was laid over what was read before the lock, and the last one undid the others."""
    changes: list[Mapping[str, object]] = [
        {"memory_mb": 512},
        {"restart": "always"},
        {"ports": [443]},
        {"silent_minutes": 7},
    ]

    async def scenario(host: HostUnderTest, strategy_id: str) -> None:
        for _ in range(5):
            await host.service.configure(RAVI, strategy_id, asdict(StrategySettings()))
            await asyncio.gather(*(host.service.configure(RAVI, strategy_id, c) for c in changes))
            expected = StrategySettings()
            for one in changes:
                expected = expected.with_changes(one)
            assert host.service.get(RAVI, strategy_id).strategy.settings == expected

    play(tmp_path, scenario)


def test_a_circle_of_links_is_a_path_like_another(tmp_path: Path) -> None:
    data, link = tmp_path / "data", tmp_path / "link"
    data.mkdir()
    link.symlink_to(link)
    refuse_own_folders([str(link)], data)
    with pytest.raises(Invalid, match="leads to the data of this server"):
        refuse_own_folders([str(data / "keys")], data)


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
json_values = st.recursive(
    plain | st.sampled_from(["never", "always", "/srv", 443]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), json_values, max_size=3))
def test_any_value_of_any_setting_is_taken_or_refused_in_words(values: dict[str, object]) -> None:
    with suppress(Invalid):
        settings = StrategySettings.from_json(values)
        assert StrategySettings.from_json(settings.to_json()) == settings

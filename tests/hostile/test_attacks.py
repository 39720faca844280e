"""Each attack open without confinement, stopped with it; and the skips say why."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from algohost.runner.confine import SUBJECTS
from tests.hostile.excuses import why_shut
from tests.hostile.table import ATTACKS, Attack
from tests.hostile.world import MODES, Round, World

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="confinement needs Linux"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def rounds(folder: Path) -> Iterator[dict[str, Round]]:
    with World(folder) as world:
        yield {mode: world.attack(mode) for mode in MODES}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_open_without_confinement_or_it_is_known_why_not(
    rounds: dict[str, Round], attack: Attack
) -> None:
    """S25: a suite of attacks that fail anyway would prove nothing."""
    attempt = rounds["plain"].attempts[attack.name]
    if not attempt.is_open:
        assert why_shut(attack.excuse, attempt.detail), attempt.detail


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
@pytest.mark.parametrize("mode", MODES[1:])
def test_what_is_told_to_be_enforced_stops_the_attack(
    rounds: dict[str, Round], attack: Attack, mode: str
) -> None:
    """S17, S25, S6: and where the kernel cannot, the run says so."""
    if mode == "processes" and attack.is_open_with_processes:
        pytest.skip("a run that may start processes may do this")
    if attack.name == "bomb_of_threads" and os.getuid() == 0:
        pytest.skip("the kernel does not limit the threads of root, and the run says so")
    held = {one.name: one for one in rounds[mode].fact.enforced}[attack.subject]
    attempt = rounds[mode].attempts[attack.name]
    if not held.is_on:
        pytest.skip(f"not enforced on this kernel: {held.how}")
    assert not attempt.is_open, attempt.detail


def test_at_least_forty_attacks_are_tried_and_each_runs_in_every_mode(
    rounds: dict[str, Round],
) -> None:
    assert len(ATTACKS) >= 40
    names = [attack.name for attack in ATTACKS]
    assert [list(one.attempts) for one in rounds.values()] == [names] * len(MODES)


def test_a_run_without_confinement_says_that_nothing_is_enforced(
    rounds: dict[str, Round],
) -> None:
    told = {one.name: one for one in rounds["plain"].fact.enforced}
    assert [told[name].is_on for name in SUBJECTS] == [False] * len(SUBJECTS)
    assert {told[name].how for name in SUBJECTS} == {
        "Switched off in the settings of the strategy."
    }


def test_what_the_attacks_wanted_is_unharmed(rounds: dict[str, Round], folder: Path) -> None:
    key = folder / "data" / "keys" / ".encryption_key"
    assert (key.read_text(), key.stat().st_mode & 0o777) == ("FERNET", 0o600)
    assert sorted(path.name for path in (folder / "data" / "work").iterdir()) == sorted(
        ["other", *rounds]
    )

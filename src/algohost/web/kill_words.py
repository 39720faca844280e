"""What a kill switch does, has done and would do, in sentences."""

from collections.abc import Sequence
from typing import Final

from algohost.domain.kill_switch import KillState, KillStep, KillTask
from algohost.host.kill_actions import Left
from algohost.host.kill_tasks import done_sentence

_STEPS: Final = {
    KillStep.CANCEL: "cancel open orders",
    KillStep.FLATTEN: "close positions",
    KillStep.STOP: "stop strategies",
}


def steps_sentence(steps: Sequence[KillStep]) -> str:
    """``cancel open orders, close positions and stop strategies``."""
    return _and([_STEPS[step] for step in steps])


def left_sentence(left: Left) -> str:
    """What a drill found."""
    found = _parts(len(left.orders) + left.gtts, len(left.positions), len(left.strategies))
    said = f"A drill: nothing was done. It would {_and(found)}." if found else _NOTHING
    return " ".join([said, *left.troubles])


def task_sentence(task: KillTask) -> str:
    """How far a task is."""
    report = task.report
    if task.state is KillState.DONE:
        return done_sentence(task)
    left = _and(
        [
            *_some(report.orders_left, "open order"),
            *_some(report.positions_left, "position"),
            *_some(report.runs_left, "strategy"),
        ]
    )
    if task.state is KillState.RELEASED:
        return f"It was released before all was done; left: {left or 'nothing that is known'}."
    begun = f"Asked to {steps_sentence(task.steps)}."
    said = f"{begun} Left: {left}." if left else begun
    return " ".join([said, *report.troubles])


_NOTHING: Final = "A drill: nothing was done, and there is nothing to do."


def _parts(orders: int, positions: int, strategies: int) -> list[str]:
    return [
        *(f"cancel {one}" for one in _some(orders, "open order")),
        *(f"close {one}" for one in _some(positions, "position")),
        *(f"stop {one}" for one in _some(strategies, "strategy")),
    ]


def _some(number: int, word: str) -> list[str]:
    if not number:
        return []
    plural = f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
    return [f"{number} {word if number == 1 else plural}"]


def _and(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)

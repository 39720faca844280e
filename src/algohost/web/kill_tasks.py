"""What kill switches were asked to do, have done and would do, in JSON values."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from algohost.domain.errors import Invalid
from algohost.domain.kill_switch import KillStep, KillTask, steps_of
from algohost.domain.users import User
from algohost.host.kill_actions import Left
from algohost.web.kill_words import left_sentence, task_sentence
from algohost.web.shown import iso

if TYPE_CHECKING:
    from algohost.web.services import Host


def tasks_json(host: "Host", user: User) -> list[dict[str, Any]]:
    """What switches that concern the user were asked to do, the newest first."""
    switch = host.kill_switch
    found = [one for one in switch.tasks.all() if switch.concerns(user, one.target)]
    found.sort(key=lambda one: one.at, reverse=True)
    return [task_json(one) for one in found]


def task_json(task: KillTask) -> dict[str, Any]:
    """A task, what it has done and what is left, with a sentence for people."""
    report = task.report
    return {
        "scope": task.target.scope.value,
        "id": task.target.id,
        "by": task.by,
        "at": iso(task.at),
        "ended_at": iso(task.ended_at),
        "steps": [step.value for step in task.steps],
        "state": task.state.value,
        "cancelled": report.cancelled,
        "closed": report.closed,
        "stopped": report.stopped,
        "orders_left": report.orders_left,
        "positions_left": report.positions_left,
        "runs_left": report.runs_left,
        "troubles": list(report.troubles),
        "sentence": task_sentence(task),
    }


def drill_json(left: Left) -> dict[str, Any]:
    """What there is to cancel, flatten and stop."""
    return {
        "orders": [
            {
                "id": order.id,
                "strategy_id": order.book.strategy_id,
                "account_id": order.book.account_id,
                "symbol": str(order.request.key),
                "action": order.request.action.value,
                "quantity": order.open_quantity,
                "status": order.status.value,
            }
            for order in left.orders
        ],
        "gtts": left.gtts,
        "positions": [
            {
                "strategy_id": one.book.strategy_id,
                "account_id": one.book.account_id,
                "symbol": str(one.key),
                "product": one.product.value,
                "quantity": one.quantity,
            }
            for one in left.positions
        ],
        "strategies": [
            {"id": v.strategy.id, "name": v.strategy.name, "phase": v.phase.value}
            for v in left.strategies
        ],
        "troubles": list(left.troubles),
        "sentence": left_sentence(left),
    }


def steps_asked(names: Sequence[object]) -> tuple[KillStep, ...]:
    """The steps of those names. Raises ``Invalid`` for one that there is not."""
    if unknown := [name for name in names if name not in set(KillStep)]:
        known = ", ".join(KillStep)
        said = str(unknown[0])[:20]
        raise Invalid(f"“{said}” is not a step of the kill switch; use {known}.")
    return steps_of(KillStep(str(name)) for name in names)

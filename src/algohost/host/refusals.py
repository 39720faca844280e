"""When a command does not fit the state that a strategy is in, in sentences."""

from algohost.domain.errors import Conflict, Invalid
from algohost.domain.strategies import Phase, Strategy
from algohost.host.views import StrategyView


def refuse_draft(strategy: Strategy) -> None:
    """Raises ``Invalid`` for code that does not compile."""
    if strategy.problem is not None:
        problem = strategy.problem
        raise Invalid(
            f"{problem.where[:1].upper()}{problem.where[1:]} does not compile ({problem.message});"
            " mend it and save, then start.",
            code="SOURCE_PROBLEM",
            details={"line": problem.line, "column": problem.column, "file": problem.file},
        )


def refuse_second_start(view: StrategyView) -> None:
    """Raises ``Conflict`` with the run's id where one lives or is on its way."""
    if view.phase in {Phase.STOPPED, Phase.ERROR, Phase.BACKING_OFF}:
        return
    run_id = view.latest.id if view.latest is not None and view.latest.is_live else None
    said = f"run {run_id}" if run_id else "its start is on the way"
    raise Conflict(
        f"“{view.strategy.name}” is {view.phase.value} already ({said}); stop it first.",
        code="ALREADY_RUNNING",
        details={"run_id": run_id},
    )


def refuse_while_running(view: StrategyView, done: str) -> None:
    """Raises ``Conflict`` unless it is at rest; ``done`` is what was to be done to it."""
    if view.phase not in {Phase.STOPPED, Phase.ERROR}:
        raise Conflict(
            f"“{view.strategy.name}” is {view.phase.value}; it can be {done} once it is stopped.",
            code="STRATEGY_RUNNING",
        )

"""Whether the data directory lies where every strategy may read."""

from pathlib import Path

from algohost.domain.errors import Invalid
from algohost.runner import confine


def problem_of(data_dir: Path) -> str | None:
    """A sentence for a data directory inside of the interpreter's or the system's folders."""
    place = confine.open_place_over(str(data_dir))
    if place is None:
        return None
    return (
        f"The data directory {data_dir} lies in {place}, which every strategy may read because "
        "its interpreter or libraries are there; choose another place with --data-dir."
    )


def refuse(data_dir: Path) -> None:
    """Raises ``Invalid`` with that sentence."""
    problem = problem_of(data_dir)
    if problem is not None:
        raise Invalid(problem)

"""Figures, and the table they are shown in."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table."""

    name: str
    unit: str
    ours: float
    rival: float | None = None
    """The same with plain ``python``, where there is such a thing."""
    goal: float | None = None
    more_is_better: bool = False

    @property
    def ratio(self) -> float | None:
        """How many times better than the rival."""
        if self.rival is None or not self.ours or not self.rival:
            return None
        return self.ours / self.rival if self.more_is_better else self.rival / self.ours

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        if self.goal is None:
            return None
        return self.ours >= self.goal if self.more_is_better else self.ours <= self.goal


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that ``percent`` of all are not above (nearest rank)."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]


def as_markdown(figures: Sequence[Figure]) -> str:
    """The table."""
    lines = [
        "| figure | algohost | plain python | better | goal | met |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for figure in figures:
        rival = "" if figure.rival is None else f"{figure.rival:,.1f} {figure.unit}"
        ratio = "" if figure.ratio is None else f"×{figure.ratio:.1f}"
        sign = "≥" if figure.more_is_better else "≤"
        amount = "" if figure.goal is None else f"{figure.goal:,.1f}".removesuffix(".0")
        goal = "" if figure.goal is None else f"{sign} {amount} {figure.unit}"
        met = {None: "", True: "yes", False: "NO"}[figure.is_met]
        ours = f"{figure.ours:,.1f} {figure.unit}"
        lines.append(f"| {figure.name} | {ours} | {rival} | {ratio} | {goal} | {met} |")
    return "\n".join(lines)

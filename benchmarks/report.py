"""The table of a run: each figure's three sides, its ratio, its target and whether it is reached."""

from collections.abc import Mapping
from typing import NamedTuple

from benchmarks.api import OURS, REFERENCE
from benchmarks.figures import FIGURES, Figure, Target
from benchmarks.harness import Medians, Outcome
from benchmarks.worker import BARE

Results = Mapping[str, Mapping[str, Outcome]]
"""Outcomes by workload and side."""

HEADINGS = ("row", "what", "reference", "limit", "ours", "ratio", "target", "reached")
NOTHING = Outcome({}, "not run")


class Judged(NamedTuple):
    """A figure with the values of a run. `margin` says how many times over a target is met; below 1 not."""

    figure: Figure
    reference: float | None
    limit: float | None
    ours: float | None
    margin: float | None

    @property
    def ratio(self) -> float | None:
        if self.ours is None or not self.reference:
            return None
        return self.ours / self.reference


def judge(results: Results, quick: bool) -> list[Judged]:
    return [
        judged(figure, results[figure.workload], quick) for figure in FIGURES if figure.workload in results
    ]


def judged(figure: Figure, outcomes: Mapping[str, Outcome], quick: bool) -> Judged:
    reference, limit, ours = (
        value(outcomes.get(side, NOTHING).medians, figure.metric) for side in (REFERENCE, BARE, OURS)
    )
    margins = [
        margin(figure, target, limit if target.of_limit else reference, ours) for target in figure.targets
    ]
    known = [found for found in margins if found is not None]
    worst = min(known) if known and len(known) == len(margins) and not (quick and figure.full_only) else None
    return Judged(figure, reference, limit, ours, worst)


def value(medians: Medians, metric: str) -> float | None:
    upper, _, lower = metric.partition("/")
    if not lower:
        return medians.get(upper)
    if upper not in medians or not medians.get(lower):
        return None
    return medians[upper] / medians[lower]


def margin(figure: Figure, target: Target, other: float | None, ours: float | None) -> float | None:
    if not ours or (not target.absolute and not other):
        return None
    bound = target.bound if target.absolute else target.bound * (other or 0)
    return ours / bound if figure.more_is_better else bound / ours


def cells(row: Judged) -> tuple[str, ...]:
    figure = row.figure
    return (
        figure.workload,
        figure.what,
        amount(row.reference, figure.unit),
        amount(row.limit, figure.unit),
        amount(row.ours, figure.unit),
        times(row.ratio),
        ", ".join(target_text(figure, target) for target in figure.targets) or "–",
        verdict(row),
    )


def verdict(row: Judged) -> str:
    if row.margin is None:
        return "–"
    return "yes" if row.margin >= 1 else f"no ({row.margin:.2f})"


def amount(number: float | None, unit: str) -> str:
    if number is None:
        return "–"
    digits = 0 if number >= 100 else 1 if number >= 10 else 2
    return f"{number:,.{digits}f} {unit}"


def times(ratio: float | None) -> str:
    if ratio is None:
        return "–"
    return f"{ratio:.1f}×" if ratio >= 1 else f"1/{1 / ratio:.1f}"


def target_text(figure: Figure, target: Target) -> str:
    sign = "≥" if figure.more_is_better else "≤"
    if target.absolute:
        return f"{sign} {target.bound:g} {figure.unit}"
    if target.of_limit:
        return f"{sign} {target.bound:g}× limit"
    return f"{sign} {target.bound:g}×" if target.bound >= 1 else f"{sign} 1/{1 / target.bound:g}"


def plain(rows: list[Judged]) -> str:
    table = [HEADINGS, *map(cells, rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    )


def markdown(rows: list[Judged]) -> str:
    lines = [HEADINGS, ("---",) * len(HEADINGS), *map(cells, rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def failures(results: Results) -> list[str]:
    return [
        f"{workload}: {outcome.failure}"
        for workload, outcomes in results.items()
        for outcome in outcomes.values()
        if outcome.failure
    ]


def worst(rows: list[Judged], count: int = 2) -> list[Judged]:
    """The rows that stand worst against their target."""
    return sorted((row for row in rows if row.margin is not None), key=lambda row: row.margin or 0)[:count]

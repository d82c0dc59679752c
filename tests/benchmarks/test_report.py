"""The table of the benchmarks: what counts as reached, and that it names only rows that exist."""

from benchmarks.figures import FIGURES, Figure, Target
from benchmarks.harness import Outcome, medians
from benchmarks.report import cells, failures, judge, judged, worst
from benchmarks.workloads import WORKLOADS

RATE = Figure("put-1", "steps_per_s", "puts", "steps/s", (Target(6),), more_is_better=True)
TIME = Figure("pause", "cycle_ms", "pause", "ms", (Target(1 / 4),))
GROWTH = Figure(
    "chat-dicts", "late_ms/early_ms", "growth", "×", (Target(1.5, absolute=True),), full_only=True
)


def outcomes(metric: str, reference: float, ours: float) -> dict[str, Outcome]:
    return {"langgraph": Outcome({metric: reference}), "threadkeep": Outcome({metric: ours})}


def test_every_figure_names_a_workload_and_every_workload_has_a_figure() -> None:
    assert {figure.workload for figure in FIGURES} == set(WORKLOADS)


def test_a_rate_reaches_its_target_at_the_wanted_multiple_of_the_reference() -> None:
    assert judged(RATE, outcomes("steps_per_s", 100, 600), quick=False).margin == 1
    assert judged(RATE, outcomes("steps_per_s", 100, 300), quick=False).margin == 0.5


def test_a_time_reaches_its_target_at_the_wanted_fraction_of_the_reference() -> None:
    assert judged(TIME, outcomes("cycle_ms", 8, 2), quick=False).margin == 1
    assert judged(TIME, outcomes("cycle_ms", 8, 4), quick=False).margin == 0.5


def test_a_quotient_of_two_metrics_is_judged_without_a_reference() -> None:
    found = judged(GROWTH, {"threadkeep": Outcome({"late_ms": 6, "early_ms": 2})}, quick=False)
    assert (found.ours, found.reference, found.ratio, found.margin) == (3, None, None, 0.5)


def test_a_chat_is_not_judged_in_a_quick_run() -> None:
    sides = {"threadkeep": Outcome({"late_ms": 6, "early_ms": 2})}
    assert judged(GROWTH, sides, quick=True).margin is None


def test_a_side_that_failed_is_never_reached_and_is_reported() -> None:
    sides = {"langgraph": Outcome({"cycle_ms": 8}), "threadkeep": Outcome({}, "threadkeep: died")}
    row = judged(TIME, sides, quick=False)
    assert cells(row) == ("pause", "pause", "8.00 ms", "–", "–", "–", "≤ 1/4", "–")
    assert failures({"pause": sides}) == ["pause: threadkeep: died"]


def test_the_worst_rows_are_those_farthest_below_their_target() -> None:
    rows = judge(
        {"line-sync": outcomes("supersteps_per_s", 1, 5), "pause": outcomes("cycle_ms", 1, 1)}, False
    )
    assert [row.figure.workload for row in worst(rows)] == ["pause", "line-sync"]


def test_medians_are_taken_by_metric_over_the_slices_that_have_it() -> None:
    assert medians([{"a": 1, "b": 5}, {"a": 2}, {}, {"a": 9}]) == {"a": 2, "b": 5}

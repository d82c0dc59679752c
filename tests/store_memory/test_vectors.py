"""Ranking rows: against plain float64 arithmetic over all of them, through growth, holes and compaction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threadkeep.errors import InvalidOpError
from threadkeep.store.memory import vectors as module
from threadkeep.store.memory.vectors import Vectors

DIMS = 5
by_distance = pytest.mark.parametrize("distance", ["cosine", "inner_product", "l2"])


class Owner:
    """Something that has rows."""

    def __init__(self, name: int) -> None:
        self.name = name
        self.rows: list[int] = []


def score(distance: str, vector: list[float], query: list[float]) -> float:
    a, b = np.array(vector, dtype=np.float64), np.array(query, dtype=np.float64)
    if distance == "inner_product":
        return float(a @ b)
    if distance == "l2":
        return -float(np.linalg.norm(a - b))
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / lengths if lengths else 0.0


def expected(
    distance: str, held: dict[int, list[list[float]]], query: list[float]
) -> list[tuple[int, float]]:
    best = {name: max(score(distance, row, query) for row in rows) for name, rows in held.items()}
    return sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))


def ranked(
    made: Vectors[Owner], query: list[float], expected: int, part: Any = None
) -> list[tuple[int, float]]:
    row = made.matrix([query])[0]
    return [(owner.name, s) for owner, s in made.ranked(row, part, expected, lambda owner: owner.name)]


def add(made: Vectors[Owner], owner: Owner, rows: list[list[float]]) -> None:
    owner.rows += made.add(made.matrix(rows), [owner] * len(rows))


def moved(owner: Owner, rows: list[int]) -> None:
    owner.rows = rows


def assert_same(found: list[tuple[int, float]], wanted: list[tuple[int, float]]) -> None:
    assert [round(s, 5) for _, s in found] == pytest.approx([round(s, 5) for _, s in wanted], abs=3e-5)
    assert {name for name, _ in found} == {name for name, _ in wanted}


# Numbers that float32 holds and whose products are exact, so that ties are ties.
numbers = st.integers(-8, 8).map(lambda n: n / 2)
rows = st.lists(numbers, min_size=DIMS, max_size=DIMS)
steps = st.lists(
    st.tuples(st.integers(0, 12), st.one_of(st.none(), st.lists(rows, min_size=1, max_size=3))), max_size=40
)


@by_distance
@given(steps=steps, query=rows, first=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_ranking_is_that_of_plain_arithmetic_after_any_changes(
    distance: str, steps: list[tuple[int, list[list[float]] | None]], query: list[float], first: int
) -> None:
    made: Vectors[Owner] = Vectors(DIMS, distance)
    made._per_chunk = 4
    held: dict[int, list[list[float]]] = {}
    owners: dict[int, Owner] = {}
    for name, vectors in steps:
        if name in owners:
            made.remove(owners.pop(name).rows)
            del held[name]
        if vectors is not None:
            owners[name], held[name] = Owner(name), vectors
            add(made, owners[name], vectors)
    wanted = expected(distance, held, query)
    assert_same(ranked(made, query, first), wanted)
    assert len(made) == sum(map(len, held.values()))
    part = made.part([row for owner in owners.values() for row in owner.rows])
    assert_same(ranked(made, query, first, part), wanted)


@by_distance
def test_equal_vectors_have_equal_scores_and_come_in_the_given_order(distance: str) -> None:
    made: Vectors[Owner] = Vectors(384, distance)
    made._per_chunk = 50
    vector = np.random.default_rng(1).standard_normal(384).tolist()
    owners = [Owner(name) for name in reversed(range(101))]
    for owner in owners:
        add(made, owner, [vector])
    found = ranked(made, np.random.default_rng(2).standard_normal(384).tolist(), 3)
    assert [name for name, _ in found] == list(range(101))
    assert len({s for _, s in found}) == 1


@by_distance
def test_near_scores_are_ordered_as_float64_has_them(distance: str) -> None:
    made: Vectors[Owner] = Vectors(384, distance)
    base = np.random.default_rng(3).standard_normal(384)
    rows = [(base * (1 + name * 1e-6) + name * 1e-7).astype(np.float32).tolist() for name in range(200)]
    for name, row in enumerate(rows):
        add(made, Owner(name), [row])
    kept = {name: [row] for name, row in enumerate(np.concatenate(made._chunks)[:200].tolist())}
    query = np.random.default_rng(4).standard_normal(384).tolist()
    used = made.matrix([query])[0].tolist()
    distance = "inner_product" if distance == "cosine" else distance  # the rows have length 1 already
    wanted = expected(distance, kept, used)
    assert [name for name, _ in ranked(made, query, 10)] == [name for name, _ in wanted]


def test_holes_are_filled_before_the_matrix_grows() -> None:
    made: Vectors[Owner] = Vectors(DIMS)
    owners = [Owner(name) for name in range(10)]
    for owner in owners:
        add(made, owner, [[1.0] * DIMS])
    made.remove([3, 7])
    again = Owner(11)
    add(made, again, [[2.0] * DIMS, [3.0] * DIMS, [4.0] * DIMS])
    assert again.rows == [7, 3, 10]
    assert (made.used, len(made)) == (11, 11)


def test_holes_are_closed_when_they_are_the_greater_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MIN_COMPACTED", 4)
    made: Vectors[Owner] = Vectors(DIMS)
    made._per_chunk = 3
    owners = [Owner(name) for name in range(10)]
    for owner in owners:
        add(made, owner, [[float(owner.name + 1), 1, 0, 0, 0], [0, 0, 1, float(owner.name), 0]])
    for owner in owners[:4]:
        made.remove(owner.rows)
    assert not made.compact(moved)
    made.remove(owners[4].rows)
    assert made.compact(moved)
    assert [owner.rows for owner in owners[5:]] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert (made.used, len(made), made.epoch) == (10, 10, 1)
    held = {o.name: [[o.name + 1.0, 1, 0, 0, 0], [0, 0, 1, float(o.name), 0]] for o in owners[5:]}
    query = [1.0, 2, 3, 4, 5]
    assert_same(ranked(made, query, 2), expected("cosine", held, query))


def test_rows_that_lie_side_by_side_are_not_copied() -> None:
    made: Vectors[Owner] = Vectors(DIMS)
    add(made, Owner(1), [[1.0] * DIMS] * 6)
    assert np.shares_memory(made.part([2, 3, 4]).matrix, made._chunks[0])
    assert not np.shares_memory(made.part([2, 4, 3]).matrix, made._chunks[0])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e39, "text", None])
def test_what_is_no_finite_number_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidOpError, match="The embedding made a vector"):
        Vectors[Owner](DIMS).matrix([[1.0, 2.0, bad, 4.0, 5.0]])


@by_distance
@pytest.mark.parametrize("scale", [2.0**-83, 2.0**-30, 2.0**10, 2.0**53])
def test_very_short_and_very_long_vectors_are_ranked_as_well(distance: str, scale: float) -> None:
    made: Vectors[Owner] = Vectors(2, distance)
    held = {name: [[scale * (name + 1), scale * (name % 7)]] for name in range(50)}
    for name, rows in held.items():
        add(made, Owner(name), rows)
    for reach in (scale, 1.0):
        query = [reach * 3, reach * 2]
        wanted = expected(distance, held, query)
        found = ranked(made, query, 3)
        assert [name for name, _ in found][:5] == [name for name, _ in wanted][:5]
        assert [s for _, s in found] == pytest.approx([s for _, s in wanted], rel=1e-5)


def test_a_vector_whose_products_would_overflow_is_refused() -> None:
    for vector in ([1e19, 1.0], np.array([1e300, 1.0])):
        with pytest.raises(InvalidOpError, match="longer than 1e\\+18"):
            Vectors[Owner](2).matrix([vector] if isinstance(vector, list) else vector[None])  # type: ignore[arg-type]


def test_arrays_of_any_number_type_are_taken() -> None:
    made: Vectors[Owner] = Vectors(2, "l2")
    for kind in (np.float16, np.float32, np.float64, np.int64):
        assert made.matrix(np.array([[1, 2], [3, 4]], dtype=kind)).tolist() == [[1.0, 2.0], [3.0, 4.0]]  # type: ignore[arg-type]
    assert made.matrix([np.array([1, 2]), (3, 4)]).tolist() == [[1.0, 2.0], [3.0, 4.0]]  # type: ignore[list-item]


def test_a_distance_that_does_not_exist_is_refused() -> None:
    with pytest.raises(
        ValueError, match="distance_type must be one of cosine, inner_product, l2, not 'hamming'"
    ):
        Vectors(3, "hamming")

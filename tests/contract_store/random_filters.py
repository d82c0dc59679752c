"""Random values, and random filters that some of them pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from hypothesis import strategies as st


class Case(NamedTuple):
    """Values, and filters to ask of them."""

    values: list[dict[str, Any]]
    asked: list[dict[str, Any]]


NAMES = st.sampled_from(["a", "b", "a.b", "é", "%", "_", "*", ":", "", "0", "\0", "$a", "a b", "\\"])
TEXTS = st.one_of(
    st.sampled_from(
        ["", "a", "b", "ab", "A", "é", "%", "_", "1", "\0", "\x01", "\x02", "\ue000", "😀", "true"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
)
NUMBERS = st.one_of(
    st.sampled_from([0, 1, -1, 1.0, 0.5, 0.1, 2**53, 2**53 + 1, 2.0**53, 1e23, 10**23, 10**22, -0.0, 1e-7]),
    st.integers(-3, 3),
    st.floats(-1e6, 1e6, allow_nan=False),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=5,
)


def escaped(name: str) -> str:
    """The name of a field in a filter."""
    safe = name.replace("\\", "\\\\").replace(".", "\\.")
    return f"\\{safe}" if safe.startswith("$") else safe


PATHS = st.lists(NAMES.map(escaped), min_size=1, max_size=2).map(".".join)
CONDITIONS: st.SearchStrategy[Any] = st.deferred(
    lambda: st.one_of(
        SCALARS,
        st.lists(SCALARS, max_size=2),
        st.builds(dict, st.dictionaries(PATHS, CONDITIONS, max_size=2)),
        st.dictionaries(st.sampled_from(["$eq", "$ne", "$contains"]), JSON, min_size=1, max_size=2),
        st.dictionaries(
            st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), st.one_of(NUMBERS, TEXTS), min_size=1, max_size=2
        ),
        st.dictionaries(st.sampled_from(["$in", "$nin"]), st.lists(JSON, max_size=3), min_size=1),
        st.builds(lambda there: {"$exists": there}, st.booleans()),
        st.builds(lambda condition: {"$not": condition}, CONDITIONS),
        st.dictionaries(st.sampled_from(["$and", "$or"]), st.lists(CONDITIONS, max_size=2), min_size=1),
    )
)
FILTERS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(PATHS, CONDITIONS, max_size=2),
    lambda inner: st.one_of(
        st.builds(lambda each: {"$not": each}, inner),
        st.builds(lambda each: {"$or": each}, st.lists(inner, max_size=2)),
        st.builds(lambda each: {"$and": each}, st.lists(inner, max_size=2)),
    ),
    max_leaves=3,
)


def fields(value: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every field in a value, as it is named in a filter, and what it holds."""
    for name, held in value.items():
        yield ".".join(map(escaped, (*path, name))), held
        if isinstance(held, dict):
            yield from fields(held, (*path, name))


def about(field: tuple[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Filters that have to do with what a field holds."""
    name, held = field
    same = {"$eq": held} if isinstance(held, dict) else held
    conditions: list[Any] = [same, {"$ne": held}, {"$in": ["a", held]}, {"$nin": [held, 1]}, {"$not": same}]
    conditions += [{"$exists": True}, {"$exists": False}, {"$or": [{"$eq": held}, None]}]
    if isinstance(held, str | int | float) and not isinstance(held, bool):
        conditions += [{operator: held} for operator in ("$gt", "$gte", "$lt", "$lte")]
    if isinstance(held, str):
        conditions += [{"$contains": held[:1]}, {"$contains": held[1:]}]
    if isinstance(held, list):
        conditions += [{"$contains": element} for element in held]
    return st.sampled_from(conditions).map(lambda condition: {name: condition})


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Up to eight values and six filters, most of them about fields that the values have."""
    values = draw(st.lists(st.dictionaries(NAMES, JSON, min_size=1, max_size=3), min_size=2, max_size=8))
    near = st.sampled_from([field for value in values for field in fields(value)]).flatmap(about)
    both = st.builds(lambda a, b: {"$and": [a, {"$not": b}]}, near, near)
    either = st.builds(lambda a, b: {"$or": [a, b]}, near, near)
    asked = st.one_of(near, near, both, either, FILTERS)
    return Case(values, draw(st.lists(asked, min_size=1, max_size=6)))

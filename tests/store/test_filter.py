"""The filter language without a store: the tree, which a backend compiles, and what the evaluator adds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.errors import InvalidFilterError
from threadkeep.store.filter import (
    And,
    Compare,
    Contains,
    Equals,
    Exists,
    In,
    IsObject,
    Node,
    Not,
    Or,
    equal,
    matches,
    parse,
    predicate,
    split,
)

A = ("a",)


@pytest.mark.parametrize(
    ("filter", "tree"),
    [
        (None, And(())),
        ({}, And(())),
        ({"a": 1}, Equals(A, 1)),
        ({"a": None}, Equals(A, None)),
        ({"a": (1, 2)}, Equals(A, [1, 2])),
        ({"a": 1, "b.c": "x"}, And((Equals(A, 1), Equals(("b", "c"), "x")))),
        ({"a": {}}, And((IsObject(A),))),
        ({"a": {"b": 1}}, And((IsObject(A), Equals(("a", "b"), 1)))),
        ({"a": {"b.c": 1}}, And((IsObject(A), Equals(("a", "b", "c"), 1)))),
        ({"a": {"$eq": {"b": 1}}}, Equals(A, {"b": 1})),
        ({"a": {"$ne": 1}}, Not(Equals(A, 1))),
        ({"a": {"$gt": 1, "$lte": 2.5}}, And((Compare(A, "$gt", 1), Compare(A, "$lte", 2.5)))),
        ({"a": {"$in": (1, "x")}}, In(A, (1, "x"))),
        ({"a": {"$nin": []}}, Not(In(A, ()))),
        ({"a": {"$exists": True}}, Exists(A)),
        ({"a": {"$exists": False}}, Not(Exists(A))),
        ({"a": {"$contains": {"x": [1]}}}, Contains(A, {"x": [1]})),
        ({"a": {"$not": {"$gt": 1}}}, Not(Compare(A, "$gt", 1))),
        ({"a": {"$not": 1}}, Not(Equals(A, 1))),
        ({"a": {"$or": [1, {"$lt": 0}]}}, Or((Equals(A, 1), Compare(A, "$lt", 0)))),
        ({"a": {"$and": [{"b": 1}]}}, And((And((IsObject(A), Equals(("a", "b"), 1))),))),
        ({"$and": [{"a": 1}, {}]}, And((Equals(A, 1), And(())))),
        ({"$or": [{"a": 1}, {"a": 2}]}, Or((Equals(A, 1), Equals(A, 2)))),
        ({"$or": []}, Not(And(()))),
        ({"$not": {"a": 1, "b": 2}}, Not(And((Equals(A, 1), Equals(("b",), 2))))),
        ({"a": {"b": 1, "$or": [2]}}, And((IsObject(A), Equals(("a", "b"), 1), Or((Equals(A, 2),))))),
    ],
)  # fmt: skip
def test_a_filter_becomes_a_small_tree(filter: Any, tree: Node) -> None:
    parsed = parse(filter)
    assert parsed == tree
    assert shape(parsed) == shape(tree)


def shape(node: Any) -> Any:
    """The classes of a tree: named tuples of different classes may be equal."""
    if isinstance(node, And | Or):
        return type(node), [shape(part) for part in node.parts]
    return (type(node), shape(node.part)) if isinstance(node, Not) else type(node)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a", ("a",)),
        ("", ("",)),
        ("a.b.c", ("a", "b", "c")),
        ("a..b", ("a", "", "b")),
        (".", ("", "")),
        (r"a\.b", ("a.b",)),
        (r"a\.b.c", ("a.b", "c")),
        (r"\$a", ("$a",)),
        (r"a.\$b", ("a", "$b")),
        (r"a\\b", ("a\\b",)),
        (r"a\\.b", ("a\\", "b")),
        ("a\\", ("a\\",)),
        ("a\\\n.b", ("a\n", "b")),
    ],
)
def test_a_name_is_parted_at_periods_without_a_backslash(name: str, path: tuple[str, ...]) -> None:
    assert split(name) == path


@given(st.lists(st.text(st.sampled_from("a.$\\é\n")), min_size=1))
def test_every_path_can_be_written_as_a_name(path: list[str]) -> None:
    written = ".".join(each.replace("\\", "\\\\").replace(".", "\\.").replace("$", "\\$") for each in path)
    assert split(written) == tuple(path)


NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([2**53, 2**53 + 1, 2.0**53, 1e23, 10**23, 0.1, -0.0, 5e-324, 1.7976931348623157e308]),
)


@given(NUMBERS, NUMBERS)
def test_numbers_compare_as_the_decimals_that_json_writes(a: float, b: float) -> None:
    x, y = Decimal(repr(a)), Decimal(repr(b))
    assert equal(a, b) is (x == y)
    for operator, expected in (("$gt", x > y), ("$gte", x >= y), ("$lt", x < y), ("$lte", x <= y)):
        assert matches(parse({"n": {operator: b}}), {"n": a}) is expected


def test_a_predicate_may_be_asked_of_many_values() -> None:
    test = predicate(parse({"n": {"$gte": 3}, "$or": [{"t": "a"}, {"t": {"$in": ["b", None]}}]}))
    values: list[dict[str, Any]] = [{"n": n, "t": t} for n in (2, 3, 4.5) for t in ("a", "b", "c", None)]
    assert [test(value) for value in values] == [
        value["n"] >= 3 and value["t"] in ("a", "b", None) for value in values
    ]


def test_a_filter_that_holds_itself_is_refused() -> None:
    filter: dict[str, Any] = {}
    filter["$not"] = filter
    with pytest.raises(InvalidFilterError, match="nested too deeply, or in itself"):
        parse(filter)
    operand: list[Any] = []
    operand.append(operand)
    with pytest.raises(InvalidFilterError, match="nested too deeply, or in itself"):
        parse({"a": {"$in": [operand]}})


def test_the_tree_keeps_no_hold_of_the_filter() -> None:
    operand = [1]
    tree = parse({"a": operand})
    operand.append(2)
    assert matches(tree, {"a": [1]})

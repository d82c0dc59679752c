"""Filters mean the same on every store: exact cases, and random filters beside the reference evaluator."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from tests.contract_store.backends import BACKENDS, Backend, Store, opened
from tests.contract_store.random_filters import Case, cases
from threadkeep.store.base import InvalidFilterError, PutOp, SearchOp
from threadkeep.store.filter import equal, matches, parse

NS = ("n",)

VALUES: dict[str, dict[str, Any]] = {
    "int": {"x": 1, "s": "b", "d": {"e": 1, "f": 2}, "l": [{"a": 1}, "t"]},
    "float": {"x": 1.0, "s": "B"},
    "true": {"x": True},
    "false": {"x": False},
    "null": {"x": None},
    "missing": {},
    "text": {"x": "1", "s": "b%c_d\\"},
    "zero": {"x": 0, "s": ""},
    "list": {"x": [1, 2], "l": [1, "é", None]},
    "list of texts": {"x": ["1", "2"]},
    "dict": {"x": {"a": 1, "b": 2}, "d": {"e": None}},
    "empty": {"x": {}, "l": [], "d": {}},
    "big": {"x": 2**53 + 1},
    "huge": {"x": 10**23},
    "decimal": {"x": 0.1},
    "odd names": {"a.b": 1, "$k": 2, "a": {"b": 3, "c.d": {"e": 4}}, "": 5},
    "nul": {"x": "a\0b", "s": "\x01"},
}

CASES: list[tuple[dict[str, Any], set[str]]] = [
    ({}, set(VALUES)),
    ({"x": 1}, {"int", "float"}),
    ({"x": True}, {"true"}),
    ({"x": False}, {"false"}),
    ({"x": 0}, {"zero"}),
    ({"x": None}, {"null"}),
    ({"x": "1"}, {"text"}),
    ({"x": [1, 2]}, {"list"}),
    ({"x": [1.0, 2]}, {"list"}),
    ({"x": [2, 1]}, set()),
    ({"x": [1]}, set()),
    ({"x": [True, 2]}, set()),
    ({"x": {}}, {"dict", "empty"}),
    ({"x": {"a": 1}}, {"dict"}),
    ({"x": {"a": 2}}, set()),
    ({"x": {"$eq": {"a": 1}}}, set()),
    ({"x": {"$eq": {"b": 2.0, "a": 1}}}, {"dict"}),
    ({"x": {"$eq": {}}}, {"empty"}),
    ({"x": {"$eq": 1}}, {"int", "float"}),
    ({"x": {"$ne": 1}}, set(VALUES) - {"int", "float"}),
    ({"x": {"$ne": None}}, set(VALUES) - {"null"}),
    ({"x": {"$gt": 0}}, {"int", "float", "big", "huge", "decimal"}),
    ({"x": {"$gte": 0, "$lt": 1}}, {"zero", "decimal"}),
    ({"x": {"$lte": 0.1}}, {"zero", "decimal"}),
    ({"x": {"$lt": 0.1}}, {"zero"}),
    ({"x": 2**53 + 1}, {"big"}),
    ({"x": 2.0**53}, set()),
    ({"x": {"$gt": 2**53}}, {"big", "huge"}),
    ({"x": {"$gt": 2.0**53, "$lt": 2**53 + 2}}, {"big"}),
    ({"x": 1e23}, {"huge"}),
    ({"x": {"$gt": ""}}, {"text", "nul"}),
    ({"x": {"$gte": "1"}}, {"text", "nul"}),
    ({"x": {"$lt": "a"}}, {"text"}),
    ({"s": {"$gt": "B"}}, {"int", "text"}),
    ({"s": {"$gte": "b", "$lt": "b%"}}, {"int"}),
    ({"s": {"$lte": ""}}, {"zero"}),
    ({"x": {"$in": [1, "1", None]}}, {"int", "float", "text", "null"}),
    ({"x": {"$in": []}}, set()),
    ({"x": {"$in": [[1, 2], {}]}}, {"list", "empty"}),
    ({"x": {"$nin": [1, "1", None]}}, set(VALUES) - {"int", "float", "text", "null"}),
    ({"x": {"$nin": []}}, set(VALUES)),
    ({"x": {"$exists": True}}, set(VALUES) - {"missing", "odd names"}),
    ({"x": {"$exists": False}}, {"missing", "odd names"}),
    ({"x": {"$contains": 1}}, {"list"}),
    ({"x": {"$contains": "1"}}, {"text", "list of texts"}),
    ({"x": {"$contains": True}}, set()),
    ({"l": {"$contains": {"a": 1}}}, {"int"}),
    ({"l": {"$contains": {}}}, set()),
    ({"l": {"$contains": None}}, {"list"}),
    ({"l": {"$contains": "é"}}, {"list"}),
    ({"s": {"$contains": "%"}}, {"text"}),
    ({"s": {"$contains": "_d\\"}}, {"text"}),
    ({"s": {"$contains": "b_"}}, set()),
    ({"s": {"$contains": ""}}, {"int", "float", "text", "zero", "nul"}),
    ({"s": {"$contains": "B"}}, {"float"}),
    ({"d.e": 1}, {"int"}),
    ({"d.e": None}, {"dict"}),
    ({"d": {"e": 1}}, {"int"}),
    ({"d": {"e": {"$gt": 0}, "f": 2}}, {"int"}),
    ({"d": {"e": {"$exists": False}}}, {"empty"}),
    ({"d.e": {"$exists": False}}, set(VALUES) - {"int", "dict"}),
    ({"l.0": {"$exists": True}}, set()),
    ({"l.a": 1}, set()),
    ({"a.b": 3}, {"odd names"}),
    ({"a\\.b": 1}, {"odd names"}),
    ({"a.c\\.d.e": 4}, {"odd names"}),
    ({"\\$k": 2}, {"odd names"}),
    ({"": 5}, {"odd names"}),
    ({"x": "a\0b"}, {"nul"}),
    ({"x": {"$contains": "\0"}}, {"nul"}),
    ({"x": {"$contains": "\x01"}}, set()),
    ({"s": "\x01"}, {"nul"}),
    ({"x": {"$not": {"$gt": 0}}}, set(VALUES) - {"int", "float", "big", "huge", "decimal"}),
    ({"x": {"$not": 1}}, set(VALUES) - {"int", "float"}),
    ({"x": {"$or": [None, {"$lt": 1}]}}, {"null", "zero", "decimal"}),
    ({"x": {"$and": [{"$gt": 0}, {"$lt": 1}]}}, {"decimal"}),
    ({"$and": [{"x": 1}, {"s": "b"}]}, {"int"}),
    ({"$and": []}, set(VALUES)),
    ({"$or": []}, set()),
    ({"$or": [{"x": 0}, {"s": "b"}]}, {"zero", "int"}),
    ({"$or": [{"x": 0}, {"$and": [{"x": 1}, {"d.f": 2}]}], "s": {"$ne": ""}}, {"int"}),
    ({"$not": {"x": {"$exists": True}}}, {"missing", "odd names"}),
    ({"$not": {}}, set()),
    ({"d": {"$or": [{"e": 1}, {"$eq": {}}]}}, {"int", "empty"}),
]


@pytest.fixture
async def filled(store: Store) -> Store:
    """A store that holds `VALUES`."""
    await store.batch([PutOp(NS, key, value) for key, value in VALUES.items()])
    return store


async def test_every_case_finds_exactly_its_items(filled: Store) -> None:
    found = {
        repr(asked): {item.key for item in await filled.search(NS, filter=asked, limit=100)}
        for asked, _ in CASES
    }
    assert found == {repr(asked): expected for asked, expected in CASES}


WRONG: list[tuple[Any, str]] = [
    ({"x": {"$near": 1}}, r"There is no operator '\$near' \(at 'x'\)\. There are: \$eq, \$ne"),
    ({"x": {"y": {"$near": 1}}}, "at 'x.y'"),
    ({"$gt": 1}, r"\$gt cannot stand at the top of a filter\. Allowed there: names, \$and, \$or, \$not"),
    ({"x": {"$gt": 1, "y": 2}}, r"\$gt cannot stand at 'x'"),
    ({"x": {"$gt": True}}, r"\$gt takes a number or a text, not True \(at 'x'\)"),
    ({"x": {"$lte": None}}, r"\$lte takes a number or a text"),
    ({"x": {"$lt": [1]}}, r"\$lt takes a number or a text"),
    ({"x": {"$in": "ab"}}, r"\$in takes a list, not 'ab'"),
    ({"x": {"$exists": 1}}, r"\$exists takes true or false, not 1"),
    ({"$and": {"x": 1}}, r"\$and takes a list"),
    ({"$or": [1]}, r"\$and, \$or and \$not at the top take filters, not 1"),
    ({"x": float("nan")}, "the number nan"),
    ({"x": {"$gt": float("inf")}}, "the number inf"),
    ({"x": object()}, "builtins.object"),
    ({1: 2}, "must be strings of Unicode text, not 1"),
    ({"a.\ud800": 2}, "must be strings of Unicode text"),
    ([("x", 1)], "A filter must be a dict, not list"),
]


async def test_a_filter_outside_the_language_is_refused(store: Store, subtests: pytest.Subtests) -> None:
    for asked, said in WRONG:
        with subtests.test(asked=asked), pytest.raises(InvalidFilterError, match=said):
            await store.search(NS, filter=asked)


async def test_a_filtered_page_is_full_while_items_are_left(store: Store) -> None:
    await store.batch([PutOp(NS, f"{n:04}", {"n": n, "third": n % 3 == 0}) for n in range(300)])
    for offset in (0, 1, 10, 90, 95, 99, 100, 500):
        page = await store.search(NS, filter={"third": True}, limit=10, offset=offset)
        assert [item.value["n"] for item in page] == list(range(0, 300, 3))[offset : offset + 10]


async def test_a_list_of_operands_may_be_of_any_length(store: Store) -> None:
    held = [1, 1.5, "é\0", None, [1], {"a": 1.0}, True]
    await store.batch([PutOp(NS, str(n), {"x": value}) for n, value in enumerate(held)])
    await store.put(NS, "missing", {})
    others: list[Any] = list(range(100, 70_000))
    operands: list[list[Any]] = [[1.0, "é\0", {"a": 1}], [None, [1.0], 1.5], ["1", "true", [1, 1], {}, True]]
    for asked in operands:
        found = {str(n) for n, value in enumerate(held) if any(equal(value, each) for each in asked)}
        assert {item.key for item in await store.search(NS, filter={"x": {"$in": asked + others}})} == found
        left = await store.search(NS, filter={"x": {"$nin": others + asked}})
        assert {item.key for item in left} == {"missing", *map(str, range(len(held)))} - found


@pytest.mark.parametrize("depth", [20, 80, 160, 240, 400])
async def test_a_filter_is_nested_100_deep_at_most(store: Store, depth: int) -> None:
    await store.put(NS, "k", {"a": 1})
    path: dict[str, Any] = {"a": {"$ne": 1}}
    turned: dict[str, Any] = {"a": 1}
    for _ in range(depth):
        path, turned = {"a": path}, {"$not": turned}
    for filter, found in ((path, []), (turned, ["k"])):
        if depth < 100:
            assert [item.key for item in await store.search(NS, filter=filter)] == found
        else:
            with pytest.raises(InvalidFilterError, match="nested too deeply"):
                await store.search(NS, filter=filter)


async def compare(store: Store, home: str, values: list[dict[str, Any]], asked: list[dict[str, Any]]) -> None:
    """Puts the values and asks every filter of them."""
    await store.batch([PutOp((home,), str(n), value) for n, value in enumerate(values)])
    results = await store.batch([SearchOp((home,), filter, limit=100) for filter in asked])
    for filter, found in zip(asked, results, strict=True):
        tree = parse(filter)
        expected = {str(n) for n, value in enumerate(values) if matches(tree, value)}
        assert {item.key for item in found} == expected, filter


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: f"{backend.name}-{backend.colour}")
def test_random_filters_find_what_the_reference_evaluator_finds(backend: Backend, tmp_path: Path) -> None:
    homes = (f"n{n}" for n in count())

    @settings(max_examples=100)
    @given(cases())
    def run(case: Case) -> None:
        runner.run(compare(store, next(homes), case.values, case.asked))

    with asyncio.Runner() as runner:
        opening = opened(backend, tmp_path / "store.db")
        store = runner.run(opening.__aenter__())
        try:
            run()
        finally:
            runner.run(opening.__aexit__(None, None, None))

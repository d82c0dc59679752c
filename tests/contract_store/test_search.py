"""The order of a search without a query, and its pages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract_store.backends import Store
from threadkeep.store.base import InvalidOpError, PutOp, SearchItem

NS = ("n",)


async def keys(store: Store, **asked: Any) -> list[str]:
    """The keys that a search of everything finds."""
    return [item.key for item in await store.search((), **asked)]


async def test_items_are_listed_by_their_last_write_newest_last(store: Store) -> None:
    for key in "zyx":
        await store.put(NS, key, {})
        store.clock.pass_by(seconds=1)
    await store.put(NS, "y", {"again": True})
    assert await keys(store) == ["z", "x", "y"]
    assert await keys(store, order="desc") == ["y", "x", "z"]
    assert await keys(store, order="desc", limit=1, offset=1) == ["x"]


async def test_items_of_one_time_are_listed_by_namespace_and_key(store: Store) -> None:
    homes = [(("b",), "1"), (("a", "b"), "1"), (("a",), "2"), (("a-b",), "1"), (("a",), "10"), (("B",), "é")]
    await store.batch([PutOp(namespace, key, {}) for namespace, key in homes])
    found = [(item.namespace, item.key) for item in await store.search(())]
    assert found == sorted(homes)
    turned = [(item.namespace, item.key) for item in await store.search((), order="desc")]
    assert turned == sorted(homes, reverse=True)


async def test_a_listed_item_has_no_score(store: Store) -> None:
    await store.put(NS, "k", {"a": 1})
    (item,) = await store.search(NS)
    assert type(item) is SearchItem and item.score is None
    assert item.dict() == {
        "namespace": ["n"],
        "key": "k",
        "value": {"a": 1},
        "created_at": "2026-01-01T12:00:00+00:00",
        "updated_at": "2026-01-01T12:00:00+00:00",
        "score": None,
    }


async def test_a_query_to_a_store_without_an_index_lists(store: Store) -> None:
    for key in "ba":
        await store.put(NS, key, {"text": key})
        store.clock.pass_by(seconds=1)
    assert [(item.key, item.score) for item in await store.search(NS, query="a")] == [
        ("b", None),
        ("a", None),
    ]


@pytest.fixture
async def many(store: Store) -> Store:
    """A store of 95 items in three namespaces, several of one time."""
    for n in range(0, 95, 5):
        ops = [PutOp(("n", "abc"[i % 3]), f"{i:02}", {"i": i}) for i in range(n, n + 5)]
        await store.batch(ops)
        store.clock.pass_by(seconds=1)
    return store


async def test_ten_are_returned_unless_asked_otherwise(many: Store) -> None:
    assert len(await many.search(NS)) == 10


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_by_offset_fit_together_whatever_their_size(many: Store, order: str) -> None:
    everything = await keys(many, limit=1000, order=order)
    assert sorted(everything) == [f"{i:02}" for i in range(95)]
    for limit in (1, 7, 10, 94, 95, 96):
        pages = [await keys(many, limit=limit, offset=offset, order=order) for offset in range(0, 100, limit)]
        assert [key for page in pages for key in page] == everything
    assert await keys(many, limit=0) == []
    assert await keys(many, offset=95) == [] and await keys(many, offset=10_000) == []


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("asked", [{}, {"filter": {"i": {"$gte": 40}}}], ids=["all", "filtered"])
async def test_pages_behind_an_item_fit_together(many: Store, order: str, asked: dict[str, Any]) -> None:
    everything = await keys(many, limit=1000, order=order, **asked)
    page = await many.search((), limit=7, order=order, **asked)
    got = []
    while page:
        got += [item.key for item in page]
        page = await many.search((), limit=7, order=order, after=page[-1], **asked)
    assert got == everything


async def test_a_page_behind_an_item_is_not_moved_by_other_writes(many: Store) -> None:
    everything = await keys(many, limit=1000)
    first = await many.search((), limit=10)
    await many.batch([PutOp(item.namespace, item.key, None) for item in first])
    second = await many.search((), limit=10, after=first[-1])
    assert [item.key for item in second] == everything[10:20]
    assert await keys(many, limit=2, offset=3, after=first[-1]) == everything[13:15]


@pytest.mark.parametrize("mode", ["lexical", "hybrid"])
async def test_a_search_by_words_is_refused_without_an_index(mode: Any, store: Store) -> None:
    with pytest.raises(InvalidOpError, match=f"mode='{mode}' needs a store with an index"):
        await store.search(("a",), query="pizza", mode=mode)
    assert await store.search(("a",), mode=mode) == []


async def test_a_list_goes_on_behind_an_item_that_a_query_found(store: Store) -> None:
    await store.batch([PutOp(NS, key, {}) for key in "abcd"])
    (second,) = await store.search((), limit=1, offset=1)
    second.score = 0.5
    assert await keys(store, after=second, limit=2) == ["c", "d"]


async def test_limit_and_offset_may_be_any_integers(store: Store) -> None:
    await store.batch([PutOp(NS, key, {}) for key in "abcd"])
    assert await keys(store, limit=2**70) == ["a", "b", "c", "d"]
    assert await keys(store, limit=2**70, offset=2) == ["c", "d"]
    assert await keys(store, offset=2**70) == []

"""Batches: what they see, what they change, what happens when one of their operations is bad."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.contract_store.backends import BACKENDS, Store
from threadkeep.store.base import (
    GetOp,
    InvalidFilterError,
    InvalidOpError,
    Item,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchItem,
    SearchOp,
)

NS = ("a",)


async def test_results_come_in_the_order_of_the_operations(store: Store) -> None:
    await store.put(NS, "1", {"n": 1})
    await store.put(NS, "2", {"n": 2})
    results = await store.batch(
        [
            GetOp(NS, "2"),
            PutOp(NS, "3", {"n": 3}),
            SearchOp(NS, filter={"n": 1}),
            GetOp(NS, "none"),
            ListNamespacesOp(),
            PutOp(NS, "1", None),
            GetOp(NS, "1"),
        ]
    )
    assert [type(result) for result in results] == [
        Item,
        type(None),
        list,
        type(None),
        list,
        type(None),
        Item,
    ]
    assert results[0].value == {"n": 2}
    assert [(type(item), item.key) for item in results[2]] == [(SearchItem, "1")]
    assert results[4] == [NS]
    assert results[6].value == {"n": 1}
    assert [item.key for item in await store.search(NS)] == ["2", "3"]


async def test_no_operations_have_no_results(store: Store) -> None:
    assert await store.batch([]) == []


async def test_operations_may_come_from_a_generator(store: Store) -> None:
    assert await store.batch(PutOp(NS, str(n), {"n": n}) for n in range(3)) == [None] * 3
    assert len(await store.search(NS)) == 3


async def test_reads_see_the_state_before_their_batch(store: Store) -> None:
    await store.put(NS, "k", {"n": 1})
    ops = [PutOp(NS, "k", {"n": 2}), GetOp(NS, "k"), PutOp(("b",), "k", {}), SearchOp(()), ListNamespacesOp()]
    results = await store.batch(ops)
    assert results[1].value == {"n": 1}
    assert [item.value for item in results[3]] == [{"n": 1}]
    assert results[4] == [NS]
    assert (await store.get(NS, "k")).value == {"n": 2}


async def test_of_several_puts_to_one_key_the_last_wins(store: Store) -> None:
    await store.batch([PutOp(NS, "k", {"n": 1}), PutOp(NS, "k", {"n": 2}), PutOp(NS, "k", {"n": 3})])
    assert (await store.get(NS, "k")).value == {"n": 3}
    await store.batch([PutOp(NS, "k", None), PutOp(NS, "k", {"n": 4})])
    assert (await store.get(NS, "k")).value == {"n": 4}
    await store.batch([PutOp(NS, "k", {"n": 5}), PutOp(NS, "k", None)])
    assert await store.get(NS, "k") is None


async def test_the_same_read_twice_gives_two_results_of_their_own(store: Store) -> None:
    await store.put(NS, "k", {"list": []})
    first, second, third, fourth = await store.batch([GetOp(NS, "k")] * 2 + [SearchOp(NS)] * 2)
    first["list"].append(1)
    third[0]["list"].append(1)
    assert second.value == {"list": []} and fourth[0].value == {"list": []}


async def test_a_batch_writes_at_one_time(store: Store) -> None:
    await store.batch([PutOp(NS, str(n), {}) for n in range(50)])
    assert {item.updated_at for item in await store.search(NS, limit=50)} == {store.clock.now}


BAD: list[Any] = [
    PutOp(("a.b",), "k", {}),
    PutOp(NS, 1, {}),  # type: ignore[arg-type]
    PutOp(NS, "k", [1]),  # type: ignore[arg-type]
    PutOp(NS, "k", {"a": object()}),
    PutOp(NS, "k", {}, index="a"),  # type: ignore[arg-type]
    PutOp(NS, "k", {}, index=True),  # type: ignore[arg-type]
    PutOp(NS, "k", {}, index=[1]),  # type: ignore[list-item]
    PutOp(NS, "k", {}, ttl=0),
    PutOp(NS, "k", {}, ttl=-1),
    PutOp(NS, "k", {}, ttl=float("nan")),
    PutOp(NS, "k", {}, ttl=float("inf")),
    PutOp(NS, "k", {}, ttl="5"),  # type: ignore[arg-type]
    GetOp(NS, None),  # type: ignore[arg-type]
    SearchOp(NS, limit=-1),
    SearchOp(NS, limit="3"),  # type: ignore[arg-type]
    SearchOp(NS, offset=-1),
    SearchOp(NS, query=5),  # type: ignore[arg-type]
    SearchOp(NS, mode="fuzzy"),  # type: ignore[arg-type]
    SearchOp(NS, order="up"),  # type: ignore[arg-type]
    SearchOp(NS, query="q", order="desc"),
    SearchOp(NS, after="k"),  # type: ignore[arg-type]
    SearchOp(NS, filter={"a": {"$near": 1}}),
    ListNamespacesOp(limit=-1),
    ListNamespacesOp((("prefix", NS),)),  # type: ignore[arg-type]
    MatchCondition("prefix", NS),
    None,
]


async def test_a_bad_operation_is_refused_and_nothing_of_its_batch_is_written(
    store: Store, subtests: pytest.Subtests
) -> None:
    for bad in BAD:
        with subtests.test(bad=bad), pytest.raises(InvalidOpError):
            await store.batch([PutOp(NS, "before", {}), bad, PutOp(NS, "behind", {})])
    assert await store.search(()) == []


async def test_a_bad_filter_is_refused_though_nothing_could_match(store: Store) -> None:
    with pytest.raises(
        InvalidFilterError, match=r"There is no operator '\$near' \(at 'a'\)\. There are: \$eq"
    ):
        await store.search(NS, filter={"a": {"$near": 1}})


async def test_64_callers_at_once_get_what_is_theirs(store: Store) -> None:
    async def caller(n: int) -> list[Any]:
        key = str(n)
        await store.put(NS, key, {"n": n})
        seen = [(await store.get(NS, key)).value["n"]]
        await store.put(NS, key, {"n": -n})
        seen.append((await store.get(NS, key)).value["n"])
        found = await store.search(NS, filter={"n": -n})
        if n % 2:
            await store.delete(NS, key)
            seen.append(await store.get(NS, key))
        return [*seen, found[0].key]

    results = await asyncio.gather(*(caller(n) for n in range(1, 65)))
    assert results == [[n, -n, *([None] if n % 2 else []), str(n)] for n in range(1, 65)]
    assert len(await store.search(NS, limit=100)) == 32


async def test_a_caller_that_fails_fails_alone(store: Store) -> None:
    async def put(n: int) -> None:
        await store.put(NS, str(n), {"n": object() if n == 7 else n})

    results = await asyncio.gather(*(put(n) for n in range(20)), return_exceptions=True)
    assert [n for n, result in enumerate(results) if result is not None] == [7]
    assert isinstance(results[7], InvalidOpError)
    assert sorted(item.value["n"] for item in await store.search(NS, limit=100)) == [
        n for n in range(20) if n != 7
    ]


SYNC = [backend for backend in BACKENDS if backend.colour != "async"]


@pytest.mark.parametrize("backend", SYNC, ids=lambda backend: f"{backend.name}-{backend.colour}")
async def test_many_threads_write_and_read_side_by_side(store: Store) -> None:
    def work(name: str) -> list[int]:
        for n in range(20):
            store.raw.put((*NS, name), str(n % 5), {"n": n})
            store.raw.put(NS, "shared", {"by": name, "n": n})
        return [item["n"] for item in store.raw.search((*NS, name), limit=100)]

    results = await asyncio.gather(*(asyncio.to_thread(work, f"thread {i}") for i in range(8)))
    assert [sorted(found) for found in results] == [[15, 16, 17, 18, 19]] * 8
    assert (await store.get(NS, "shared"))["n"] == 19
    assert len(await store.search(NS, limit=100)) == 41

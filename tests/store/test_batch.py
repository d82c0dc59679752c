"""Single operations that happen at the same time go to the database together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import Any

import pytest

from threadkeep.errors import InvalidOpError, StorageUnavailableError
from threadkeep.store.base import GetOp, InvalidNamespaceError, Op, PutOp, Result
from threadkeep.store.base.batch import AsyncBatchedBaseStore
from threadkeep.store.memory import InMemoryStore

NS = ("n",)


class Watched(AsyncBatchedBaseStore):
    """A store that writes down its batches, and waits or fails when told to."""

    supports_ttl = True

    def __init__(self) -> None:
        super().__init__()
        self.inner = InMemoryStore()
        self.batches: list[list[str]] = []
        self.gate: asyncio.Event | None = None
        self.failing: Exception | None = None

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Does the work, unless an operation is about the key "bad"."""
        asked = list(ops)
        self.batches.append([f"{type(op).__name__[:-2]} {getattr(op, 'key', '')}".strip() for op in asked])
        if self.gate is not None:
            await self.gate.wait()
        if self.failing is not None and any(getattr(op, "key", "") == "bad" for op in asked):
            raise self.failing
        return await self.inner.abatch(asked)


async def test_what_is_asked_at_once_is_one_batch() -> None:
    store = Watched()
    await asyncio.gather(*(store.aput(NS, str(n), {"n": n}) for n in range(64)))
    items = await asyncio.gather(*(store.aget(NS, str(n)) for n in range(64)))
    assert [item and item.value for item in items] == [{"n": n} for n in range(64)]
    assert [len(batch) for batch in store.batches] == [64, 64]


async def test_what_is_asked_while_a_batch_is_under_way_is_the_next() -> None:
    store = Watched()
    store.gate = asyncio.Event()
    first = asyncio.ensure_future(store.aput(NS, "1", {}))
    while not store.batches:
        await asyncio.sleep(0)
    later = [asyncio.ensure_future(store.aput(NS, str(n), {})) for n in (2, 3)]
    await asyncio.sleep(0)
    store.gate.set()
    await asyncio.gather(first, *later)
    assert store.batches == [["Put 1"], ["Put 2", "Put 3"]]


async def test_a_read_sees_the_writes_that_were_asked_before_it() -> None:
    store = Watched()
    results: list[Any] = await asyncio.gather(
        store.aget(NS, "k"),
        store.aput(NS, "k", {"n": 1}),
        store.aget(NS, "other"),
        store.aget(NS, "k"),
        store.aput(NS, "k", {"n": 2}),
        store.asearch(NS),
        store.adelete(NS, "k"),
        store.alist_namespaces(),
        store.aget(NS, "k"),
    )
    assert [result and result["n"] for result in (results[0], results[3], results[8])] == [None, 1, None]
    assert [item.value for item in results[5]] == [{"n": 2}]
    assert results[7] == []
    assert store.batches == [
        ["Get k", "Put k", "Get other"],
        ["Get k", "Put k"],
        ["Search", "Put k"],
        ["ListNamespaces", "Get k"],
    ]


async def test_an_operation_that_fails_fails_only_its_own_caller() -> None:
    store = Watched()
    store.failing = ValueError("broken")
    keys = ["a", "bad", "b"]
    results = await asyncio.gather(*(store.aput(NS, key, {}) for key in keys), return_exceptions=True)
    assert results == [None, store.failing, None]
    assert store.batches == [["Put a", "Put bad", "Put b"], ["Put a"], ["Put bad"], ["Put b"]]
    assert [item.key for item in await store.asearch(NS)] == ["a", "b"]


async def test_where_the_database_does_not_answer_all_callers_fail_at_once() -> None:
    store = Watched()
    store.failing = StorageUnavailableError("gone")
    keys = ["a", "bad", "b"]
    results = await asyncio.gather(*(store.aput(NS, key, {}) for key in keys), return_exceptions=True)
    assert results == [store.failing] * 3
    assert len(store.batches) == 1


async def test_an_operation_that_cannot_be_is_refused_before_it_joins_a_batch() -> None:
    store = Watched()
    results = await asyncio.gather(
        store.aput(NS, "a", {}),
        store.aput(("a.b",), "k", {}),
        store.aget(["n"], "k"),  # type: ignore[arg-type]
        store.asearch(NS, limit=-1),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [
        type(None), InvalidNamespaceError, InvalidNamespaceError, InvalidOpError,
    ]  # fmt: skip
    assert store.batches == [["Put a"]]


async def test_a_caller_that_is_cancelled_disturbs_nobody() -> None:
    store = Watched()
    store.gate = asyncio.Event()
    under_way = [asyncio.ensure_future(store.aput(NS, str(n), {"n": n})) for n in range(3)]
    while not store.batches:
        await asyncio.sleep(0)
    waiting = [asyncio.ensure_future(store.aput(NS, str(n), {"n": n})) for n in range(3, 6)]
    await asyncio.sleep(0)
    under_way[1].cancel()
    waiting[1].cancel()
    store.gate.set()
    results = await asyncio.gather(*under_way, *waiting, return_exceptions=True)
    assert [type(result).__name__ for result in results] == [
        "NoneType", "CancelledError", "NoneType", "NoneType", "CancelledError", "NoneType",
    ]  # fmt: skip
    assert store.batches == [["Put 0", "Put 1", "Put 2"], ["Put 3", "Put 5"]]
    assert [item.key for item in await store.asearch(NS)] == ["0", "1", "2", "3", "5"]


async def test_nothing_is_asked_for_callers_that_are_all_cancelled() -> None:
    store = Watched()
    asked = [asyncio.ensure_future(store.aput(NS, str(n), {})) for n in range(3)]
    await asyncio.sleep(0)
    for each in asked:
        each.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    await store.settled()
    assert store.batches == []


async def test_a_timeout_is_a_cancellation() -> None:
    store = Watched()
    store.gate = asyncio.Event()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(store.aget(NS, "k"), 0.001)
    store.gate.set()
    assert await store.aget(NS, "k") is None


def test_a_store_works_in_one_event_loop_after_another() -> None:
    store = Watched()
    asyncio.run(store.aput(NS, "k", {"n": 1}))
    for _ in range(3):
        item = asyncio.run(store.aget(NS, "k"))
        assert item is not None and item["n"] == 1
    assert store._queues == {}


def test_a_store_works_in_several_event_loops_at_once() -> None:
    store = Watched()
    ready = threading.Barrier(4)
    failed: list[BaseException] = []

    async def work(name: str) -> None:
        ready.wait()
        for n in range(50):
            await asyncio.gather(*(store.aput((name,), f"{n} {i}", {}) for i in range(5)))
            assert await store.aget((name,), f"{n} 4") is not None

    def run(name: str) -> None:
        try:
            asyncio.run(work(name))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(store.inner.search((), limit=2000)) == 1000
    assert store._queues == {}


def test_a_loop_that_ends_leaves_nobody_waiting() -> None:
    store = Watched()
    states: list[str] = []

    async def caller(key: str) -> None:
        try:
            await store.aput(NS, key, {})
        except asyncio.CancelledError:
            states.append(f"{key} cancelled")
            raise

    async def main() -> None:
        store.gate = asyncio.Event()
        tasks = [asyncio.ensure_future(caller(key)) for key in "ab"]
        while not store.batches:
            await asyncio.sleep(0)
        tasks.append(asyncio.ensure_future(caller("c")))
        await asyncio.sleep(0)

    asyncio.run(main())
    assert sorted(states) == ["a cancelled", "b cancelled", "c cancelled"]
    assert store._queues == {}
    store.gate = None
    asyncio.run(store.aput(NS, "k", {}))
    assert [item.key for item in store.inner.search(NS)] == ["k"]


async def test_no_task_is_left_when_nothing_is_asked() -> None:
    store = Watched()
    before = asyncio.all_tasks()
    await store.aput(NS, "k", {})
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    await store.settled()


async def test_settled_waits_for_what_was_asked() -> None:
    store = Watched()
    store.gate = asyncio.Event()
    asked = asyncio.ensure_future(store.aput(NS, "k", {}))
    await asyncio.sleep(0)
    waiting = asyncio.ensure_future(store.settled())
    await asyncio.sleep(0)
    assert not waiting.done()
    store.gate.set()
    await waiting
    await asked
    assert store.batches == [["Put k"]]


async def test_sync_operations_work_from_other_threads_and_raise_on_the_loops_own() -> None:
    store = Watched()

    def work() -> Any:
        store.put(NS, "k", {"n": 1})
        return store.get(NS, "k")

    assert (await asyncio.to_thread(work)).value == {"n": 1}
    with pytest.raises(asyncio.InvalidStateError, match="use the async one"):
        store.get(NS, "k")


def test_sync_operations_without_a_loop_say_what_to_do() -> None:
    with pytest.raises(asyncio.InvalidStateError, match="use the async one"):
        Watched().get(NS, "k")


async def test_batches_of_the_caller_are_not_cut() -> None:
    store = Watched()
    results = await store.abatch([PutOp(NS, "k", {"n": 1}), GetOp(NS, "k")])
    assert results == [None, None]
    assert store.batches == [["Put k", "Get k"]]

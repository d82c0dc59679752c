"""Stores in memory: 50,000 items in 100 namespaces; queries, ingest, single operations of 64 tasks."""

import asyncio
import itertools
import statistics
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import Any

from benchmarks.api import REFERENCE, Api
from benchmarks.scale import Bare, Bench, Sample, Scale, async_rate, milliseconds
from benchmarks.workloads.stores import COLOURS, NAMESPACES, Embedding, namespace, puts, value

BATCH = 500
TASKS = 64
LIMIT = 10


def items(scale: Scale) -> int:
    return 10_000 if scale.quick else 50_000


def batches(count: int) -> list[range]:
    return [range(start, start + BATCH) for start in range(0, count, BATCH)]


def filled(api: Api, scale: Scale, embedding: Embedding) -> Any:
    store = api.module("store.memory").InMemoryStore(index=embedding.index())
    for numbers in batches(items(scale)):
        store.batch(puts(api, numbers))
    return store


def queries(api: Api, scale: Scale) -> Iterator[Sample]:
    """The best ten of all, of a namespace, of those that pass a filter; each query is another text."""
    embedding = Embedding(items(scale))
    store, texts = filled(api, scale, embedding), itertools.count()
    slow = 20 if api.root == REFERENCE else 1

    def best(prefixes: Sequence[tuple[str, ...]], times: int, **options: Any) -> float:
        def once() -> None:
            number = next(texts)
            prefix, query = prefixes[number % len(prefixes)], f"{number % items(scale)} ?"
            assert len(store.search(prefix, query=query, limit=LIMIT, **options)) == LIMIT

        return statistics.median(milliseconds(once) for _ in range(max(1, times // slow)))

    while True:
        yield {
            "all_ms": best([()], 30),
            "namespace_ms": best([namespace(17)], 200),
            "turning_ms": best([namespace(number) for number in range(NAMESPACES)], 200),
            "filter_ms": best([()], 50, filter={"colour": "colour-3"}),
            "range_ms": best([()], 20, filter={"number": {"$gte": items(scale) * 9 // 50}}),
        }


def bare_queries(scale: Scale) -> Iterator[Sample]:
    """numpy: a product and its ten highest numbers; the rows of each namespace in a matrix of their own."""
    import numpy as np

    embedding, texts = Embedding(items(scale)), itertools.count()
    matrix = embedding.matrix
    namespaces = [np.ascontiguousarray(matrix[start::NAMESPACES]) for start in range(NAMESPACES)]
    numbers = np.arange(items(scale))
    coloured = np.flatnonzero(numbers // NAMESPACES % COLOURS == 3)

    def best(rows: Callable[[int], Any], times: int) -> float:
        def once() -> None:
            number = next(texts)
            query = np.array(embedding([f"{number % len(matrix)} ?"])[0], dtype=np.float32)
            scores = rows(number) @ query
            highest = np.argpartition(scores, -LIMIT)[-LIMIT:]
            assert len(highest[np.argsort(-scores[highest])]) == LIMIT

        return statistics.median(milliseconds(once) for _ in range(times))

    while True:
        yield {
            "all_ms": best(lambda _: matrix, 30),
            "namespace_ms": best(lambda _: namespaces[17], 200),
            "turning_ms": best(lambda number: namespaces[number % NAMESPACES], 200),
            "filter_ms": best(lambda _: matrix[coloured], 50),
        }


def ingest(api: Api, scale: Scale) -> Iterator[Sample]:
    """Batches of 500 into an empty store: the rate, and the longest batch against the median one."""
    embedding = Embedding(items(scale))
    work = batches(items(scale))
    while True:
        store = api.module("store.memory").InMemoryStore(index=embedding.index())
        times = []
        for numbers in work:
            ops = puts(api, numbers)
            times.append(milliseconds(partial(store.batch, ops)))
        yield {
            "items_per_s": items(scale) / sum(times) * 1e3,
            "longest": max(times) / statistics.median(times),
        }


def bare_ingest(scale: Scale) -> Iterator[Sample]:
    """The lists of floats into one matrix that was reserved before, the values into one dict."""
    import numpy as np

    embedding = Embedding(items(scale))
    work = batches(items(scale))
    while True:
        matrix, kept = np.empty_like(embedding.matrix), {}
        times = []
        for numbers in work:
            drafts = [(namespace(number), f"key-{number}", value(number)) for number in numbers]
            started = time.perf_counter()
            matrix[numbers.start : numbers.stop] = embedding([draft[2]["text"] for draft in drafts])
            for home, key, held in drafts:
                kept[home, key] = dict(held)
            times.append((time.perf_counter() - started) * 1e3)
        yield {
            "items_per_s": items(scale) / sum(times) * 1e3,
            "longest": max(times) / statistics.median(times),
        }


def single(method: str, calls: int) -> Bench:
    """64 tasks, each doing so many calls on items of its own, in a store without an index."""

    def bench(api: Api, scale: Scale) -> Iterator[Sample]:
        store = api.module("store.memory").InMemoryStore()
        homes = [namespace(task) for task in range(TASKS)]
        work = [(f"key-{number}", value(number)) for number in range(calls)]

        async def put(task: int) -> None:
            for key, held in work:
                await store.aput(homes[task], key, held)

        async def get(task: int) -> None:
            for key, _ in work:
                assert await store.aget(homes[task], key) is not None

        async def gathered(of: Callable[[int], Coroutine[Any, Any, None]]) -> None:
            await asyncio.gather(*[of(task) for task in range(TASKS)])

        with asyncio.Runner() as runner:
            runner.run(gathered(put))
            while True:
                once = partial(gathered, put if method == "aput" else get)
                yield {"calls_per_s": runner.run(async_rate(once, TASKS * calls, scale.seconds))}

    return bench


def bare_single(calls: int) -> Bare:
    """As many tasks, which await a coroutine that looks into a dict of dicts."""

    def bench(scale: Scale) -> Iterator[Sample]:
        homes = [namespace(task) for task in range(TASKS)]
        keys = [f"key-{number}" for number in range(calls)]
        kept = {home: dict.fromkeys(keys, 1) for home in homes}

        async def look(home: tuple[str, ...], key: str) -> int:
            return kept[home][key]

        async def get(task: int) -> None:
            for key in keys:
                assert await look(homes[task], key)

        async def once() -> None:
            await asyncio.gather(*[get(task) for task in range(TASKS)])

        with asyncio.Runner() as runner:
            while True:
                yield {"calls_per_s": runner.run(async_rate(once, TASKS * calls, scale.seconds))}

    return bench

"""A line of 50 trivial nodes over a state of one integer: what the engine costs a superstep."""

import asyncio
import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypedDict, cast

from benchmarks.api import Api
from benchmarks.scale import Bench, Sample, Scale, async_rate, rate

NODES = 50


class Count(TypedDict):
    n: int


def add_one(state: Count) -> Count:
    return {"n": state["n"] + 1}


async def add_one_async(state: Count) -> Count:
    return {"n": state["n"] + 1}


def line_graph(api: Api, node: Callable[[Count], Any], checkpointer: Any = None) -> Any:
    graph = api.module("graph")
    builder = graph.StateGraph(Count)
    names = [f"node_{i}" for i in range(NODES)]
    for name in names:
        builder.add_node(name, node)
    for start, end in itertools.pairwise([graph.START, *names, graph.END]):
        builder.add_edge(start, end)
    return builder.compile(checkpointer=checkpointer)


def config(thread: str | None = None) -> dict[str, Any]:
    return {"recursion_limit": NODES + 10, "configurable": {"thread_id": thread} if thread else {}}


def checked(result: Any) -> None:
    assert result["n"] == NODES, result


def line_sync(api: Api, scale: Scale) -> Iterator[Sample]:
    graph = line_graph(api, add_one)
    while True:
        per_second = rate(lambda: checked(graph.invoke({"n": 0}, config())), NODES, scale.seconds)
        yield {"supersteps_per_s": per_second}


def line_async(node: Callable[[Count], Any]) -> Bench:
    """The line under `ainvoke`, on one event loop for all slices."""

    def bench(api: Api, scale: Scale) -> Iterator[Sample]:
        graph = line_graph(api, node)

        async def once() -> None:
            checked(await graph.ainvoke({"n": 0}, config()))

        with asyncio.Runner() as runner:
            while True:
                yield {"supersteps_per_s": runner.run(async_rate(once, NODES, scale.seconds))}

    return bench


def on_new_threads(api: Api, scale: Scale, opened: AbstractContextManager[Any]) -> Iterator[Sample]:
    names = itertools.count()
    with opened as saver:
        graph = line_graph(api, add_one, saver)
        while True:
            per_second = rate(
                lambda: checked(graph.invoke({"n": 0}, config(f"thread-{next(names)}"))), NODES, scale.seconds
            )
            yield {"supersteps_per_s": per_second}


def line_memory(api: Api, scale: Scale) -> Iterator[Sample]:
    saver = api.module("checkpoint.memory").InMemorySaver()
    yield from on_new_threads(api, scale, nullcontext(saver))


def line_sqlite(api: Api, scale: Scale) -> Iterator[Sample]:
    yield from on_new_threads(api, scale, api.sqlite(scale.folder / "line.db"))


def bare_line(scale: Scale) -> Iterator[Sample]:
    """A loop with the same semantics: nodes see the state of the step's start, writes are applied after."""
    plan = [("add_one", add_one)] * NODES
    reducers: dict[str, Callable[[int, int], int]] = {"n": lambda old, new: new}

    def once() -> None:
        values, versions = {"n": 0}, {"n": 1}
        for _, node in plan:
            seen: Count = {"n": values["n"]}
            for key, written in node(seen).items():
                values[key] = reducers[key](values[key], cast(int, written))
                versions[key] += 1
        checked(values)

    while True:
        yield {"supersteps_per_s": rate(once, NODES, scale.seconds)}


def bare_line_sqlite(scale: Scale) -> Iterator[Sample]:
    """One transaction with one row of 200 bytes for every superstep."""
    connection = wal_connection(scale)
    connection.execute("CREATE TABLE step (id INTEGER PRIMARY KEY, body BLOB)")
    body = bytes(200)

    def once() -> None:
        for _ in range(NODES):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO step (body) VALUES (?)", (body,))
            connection.execute("COMMIT")

    while True:
        yield {"supersteps_per_s": rate(once, NODES, scale.seconds)}


def wal_connection(scale: Scale, name: str = "bare.db") -> sqlite3.Connection:
    """A bare connection with threadkeep's default settings; usable from any one thread at a time."""
    connection = sqlite3.connect(scale.folder / name, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection

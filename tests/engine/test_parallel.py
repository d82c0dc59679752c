"""Tasks of a step really run at the same time, within the limits that are set, and show what they do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest

from tests.engine.graphs import Log, awrites, line, parallel, writes
from threadkeep.config import get_stream_writer
from threadkeep.graph import START, StateGraph
from threadkeep.types import Send

TIMEOUT = 20
"""Seconds until a test that waits for something that never comes gives up."""


def meeting(barrier: threading.Barrier) -> Callable[[Any], dict[str, Any]]:
    """A node that ends only when as many run at once as the barrier wants."""

    def meet(state: Any) -> dict[str, Any]:
        barrier.wait(TIMEOUT)
        return {"log": ["met"]}

    return meet


class Gauge:
    """How many tasks run at once, at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1


def spread(node: Any, count: int) -> Any:
    """A graph that sends `count` packets to one node."""
    graph: Any = StateGraph(Log)
    graph.add_node("work", node)
    graph.add_conditional_edges(START, lambda state: [Send("work", n) for n in range(count)], ["work"])
    return graph.compile()


def test_branches_run_at_the_same_time_in_threads() -> None:
    meet = meeting(threading.Barrier(3))
    assert parallel({"a": meet, "b": meet, "c": meet}).compile().invoke({"log": []}) == {"log": ["met"] * 3}


async def test_sync_branches_run_at_the_same_time_on_an_event_loop() -> None:
    meet = meeting(threading.Barrier(3))
    graph = parallel({"a": meet, "b": meet, "c": meet}).compile()
    assert await graph.ainvoke({"log": []}) == {"log": ["met"] * 3}


async def test_async_branches_run_at_the_same_time_beside_sync_ones() -> None:
    barrier, both = asyncio.Barrier(2), threading.Barrier(2)

    async def meet(state: Any) -> dict[str, Any]:
        async with asyncio.timeout(TIMEOUT):
            await barrier.wait()
        return {"log": ["met"]}

    graph = parallel({"a": meet, "b": meet, "c": meeting(both), "d": meeting(both)}).compile()
    assert await graph.ainvoke({"log": []}) == {"log": ["met"] * 4}


def test_32_packets_to_one_node_run_at_the_same_time() -> None:
    assert spread(meeting(threading.Barrier(32)), 32).invoke({"log": []}) == {"log": ["met"] * 32}


def test_a_thousand_packets_are_worked_off_and_their_writes_keep_the_order_of_the_packets() -> None:
    graph = spread(lambda n: {"log": [n]}, 1000)
    assert graph.invoke({"log": []}) == {"log": list(range(1000))}


async def test_a_thousand_packets_are_worked_off_on_an_event_loop_too() -> None:
    async def work(n: int) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"log": [n]}

    assert await spread(work, 1000).ainvoke({"log": []}) == {"log": list(range(1000))}
    assert await spread(lambda n: {"log": [n]}, 1000).ainvoke({"log": []}) == {"log": list(range(1000))}


def test_max_concurrency_is_reached_and_never_passed() -> None:
    gauge, pairs = Gauge(), threading.Barrier(2)

    def work(n: int) -> dict[str, Any]:
        with gauge:
            pairs.wait(TIMEOUT)
            return {"log": [n]}

    result = spread(work, 10).invoke({"log": []}, {"max_concurrency": 2})
    assert result == {"log": list(range(10))}
    assert gauge.most == 2


async def test_max_concurrency_holds_on_an_event_loop_over_sync_and_async_tasks_together() -> None:
    gauge = Gauge()

    async def awork(state: Any) -> dict[str, Any]:
        with gauge:
            for _ in range(20):
                await asyncio.sleep(0.001)
            return {"log": ["async"]}

    release = threading.Event()

    def work(state: Any) -> dict[str, Any]:
        with gauge:
            release.wait(0.02)
            return {"log": ["sync"]}

    nodes = {"a": awork, "b": work, "c": awork, "d": work}
    result = await parallel(nodes).compile().ainvoke({"log": []}, {"max_concurrency": 2})
    assert result == {"log": ["async", "sync", "async", "sync"]}
    assert gauge.most == 2


async def test_max_concurrency_of_one_runs_async_tasks_one_after_the_other() -> None:
    gauge = Gauge()

    async def work(n: int) -> dict[str, Any]:
        with gauge:
            await asyncio.sleep(0)
            return {"log": [n]}

    assert await spread(work, 10).ainvoke({"log": []}, {"max_concurrency": 1}) == {"log": list(range(10))}
    assert gauge.most == 1


def test_a_custom_chunk_arrives_while_its_node_still_runs() -> None:
    seen = threading.Event()

    def node(state: Any) -> dict[str, Any]:
        get_stream_writer()("working")
        return {"log": [seen.wait(TIMEOUT)]}

    chunks = []
    for chunk in line({"node": node}).compile().stream({"log": []}, stream_mode=["custom", "updates"]):
        chunks.append(chunk)
        seen.set()
    assert chunks == [("custom", "working"), ("updates", {"node": {"log": [True]}})]


@pytest.mark.parametrize("colour", ["sync node", "async node"])
async def test_a_custom_chunk_arrives_on_the_event_loop_while_its_node_still_runs(colour: str) -> None:
    seen = threading.Event()
    aseen = asyncio.Event()

    def node(state: Any) -> dict[str, Any]:
        get_stream_writer()("working")
        return {"log": [seen.wait(TIMEOUT)]}

    async def anode(state: Any) -> dict[str, Any]:
        get_stream_writer()("working")
        async with asyncio.timeout(TIMEOUT):
            return {"log": [await aseen.wait()]}

    graph = line({"node": node if colour == "sync node" else anode}).compile()
    chunks = []
    async for chunk in graph.astream({"log": []}, stream_mode=["custom", "updates"]):
        chunks.append(chunk)
        seen.set()
        aseen.set()
    assert chunks == [("custom", "working"), ("updates", {"node": {"log": [True]}})]


def test_a_custom_chunk_of_a_subgraph_arrives_while_it_still_runs() -> None:
    seen = threading.Event()

    def node(state: Any) -> dict[str, Any]:
        get_stream_writer()("deep")
        return {"log": [seen.wait(TIMEOUT)]}

    inner = line({"node": node}).compile()
    chunks = []
    for ns, mode, chunk in (
        line({"inner": inner}).compile().stream({}, stream_mode=["custom", "updates"], subgraphs=True)
    ):
        chunks.append((len(ns), mode, chunk))
        seen.set()
    assert chunks == [
        (1, "custom", "deep"),
        (1, "updates", {"node": {"log": [True]}}),
        (0, "updates", {"inner": {"log": [True]}}),
    ]


def test_the_update_of_a_finished_branch_arrives_while_its_sibling_still_runs() -> None:
    seen = threading.Event()
    graph = parallel({"fast": writes("fast"), "slow": lambda state: {"log": [seen.wait(TIMEOUT)]}}).compile()
    chunks = []
    for chunk in graph.stream({}, stream_mode="updates"):
        chunks.append(chunk)
        seen.set()
    assert chunks == [{"fast": {"log": ["fast"]}}, {"slow": {"log": [True]}}]


async def test_the_update_of_a_finished_async_branch_arrives_while_its_sibling_still_runs() -> None:
    seen = asyncio.Event()

    async def slow(state: Any) -> dict[str, Any]:
        async with asyncio.timeout(TIMEOUT):
            return {"log": [await seen.wait()]}

    chunks = []
    async for chunk in parallel({"fast": awrites("fast"), "slow": slow}).compile().astream({}):
        chunks.append(chunk)
        seen.set()
    assert chunks == [{"fast": {"log": ["fast"]}}, {"slow": {"log": [True]}}]


def test_the_chunk_of_a_starting_task_comes_before_the_task_runs() -> None:
    ran: list[str] = []
    graph = line({"node": lambda state: ran.append("node")}).compile()
    chunks = graph.stream({"log": []}, stream_mode="tasks")
    assert next(chunks)["name"] == "node"
    assert ran == []
    assert [chunk["name"] for chunk in chunks] == ["node"]
    assert ran == ["node"]


colour: ContextVar[str] = ContextVar("colour", default="unset")


def painting(state: Any) -> dict[str, Any]:
    seen = colour.get()
    colour.set("painted")
    return {"log": [seen]}


async def apainting(state: Any) -> dict[str, Any]:
    return painting(state)


@pytest.mark.parametrize("build", [line, parallel])
def test_a_context_variable_that_a_node_sets_stays_in_its_task(build: Any) -> None:
    colour.set("caller's")
    graph = build({"a": painting, "b": painting, "c": painting}).compile()
    assert graph.invoke({}) == {"log": ["caller's"] * 3}
    assert list(graph.stream({}, stream_mode="custom")) == []
    assert colour.get() == "caller's"


@pytest.mark.parametrize("build", [line, parallel])
async def test_a_context_variable_that_a_node_sets_stays_in_its_task_on_an_event_loop(build: Any) -> None:
    colour.set("caller's")
    nodes = {"a": painting, "b": painting, "c": apainting, "d": apainting, "e": painting}
    graph = build(nodes).compile()
    assert await graph.ainvoke({}) == {"log": ["caller's"] * 5}
    assert colour.get() == "caller's"

"""Graphs within graphs: called from threads and event loops, with a thread of their own, 20 levels deep."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any, TypedDict

import pytest

from tests.engine.conftest import Saver
from tests.engine.graphs import line, parallel, thread, writes
from threadkeep.checkpoint.memory import InMemorySaver
from threadkeep.checkpoint.sqlite.aio import AsyncSqliteSaver
from threadkeep.graph import START, StateGraph
from threadkeep.types import Command, interrupt

DEPTH = 20
TIMEOUT = 20


class Count(TypedDict):
    n: int


def single(name: str, node: Any) -> Any:
    return StateGraph(Count).add_node(name, node).add_edge(START, name)


def called(graph: Any) -> Any:
    return lambda state: graph.invoke(state)


def acalled(graph: Any) -> Any:
    async def call(state: Any) -> Any:
        return await graph.ainvoke(state)

    return call


def as_node(graph: Any) -> Any:
    return graph


def deep(innermost: Any, within: Any) -> Any:
    """The node in `DEPTH` graphs around each other; the outermost is not compiled."""
    graph = single("count", innermost)
    for level in range(DEPTH):
        graph = single(f"level{level}", within(graph.compile()))
    return graph


def count(state: Count) -> Any:
    return {"n": state["n"] + 1}


async def acount(state: Count) -> Any:
    await asyncio.sleep(0)
    return {"n": state["n"] + 1}


@pytest.mark.parametrize("within", [as_node, called])
def test_twenty_levels_of_graphs_run(saver: Saver, within: Any) -> None:
    assert deep(count, within).compile().invoke({"n": 1}) == {"n": 2}
    assert deep(count, within).compile(checkpointer=saver).invoke({"n": 1}, thread()) == {"n": 2}


@pytest.mark.parametrize("within", [as_node, called, acalled])
@pytest.mark.parametrize("node", [count, acount])
async def test_twenty_levels_of_graphs_run_on_an_event_loop(asaver: Saver, within: Any, node: Any) -> None:
    if node is acount and within is called:
        with pytest.raises(TypeError, match="ainvoke"):
            await deep(node, within).compile().ainvoke({"n": 1})
        return
    assert await deep(node, within).compile().ainvoke({"n": 1}) == {"n": 2}
    assert await deep(node, within).compile(checkpointer=asaver).ainvoke({"n": 1}, thread()) == {"n": 2}


@pytest.mark.parametrize("within", [as_node, called])
def test_twenty_levels_down_a_node_asks_and_is_answered(saver: Saver, within: Any) -> None:
    graph = deep(lambda state: {"n": interrupt("how many?")}, within).compile(checkpointer=saver)
    asked = graph.invoke({"n": 1}, thread())["__interrupt__"]
    assert [one.value for one in asked] == ["how many?"]
    assert graph.invoke(Command(resume=7), thread()) == {"n": 7}


def test_twenty_levels_stream_their_namespaces() -> None:
    graph = deep(count, as_node).compile()
    chunks = list(graph.stream({"n": 1}, subgraphs=True))
    names = [[level.partition(":")[0] for level in ns] for ns, _ in chunks]
    path = [f"level{level}" for level in reversed(range(DEPTH))]
    assert names == [path[:depth] for depth in range(DEPTH, -1, -1)]


def test_parallel_nodes_call_graphs_with_parallel_nodes_at_the_same_time() -> None:
    barrier = threading.Barrier(9)

    def meet(state: Any) -> Any:
        barrier.wait(TIMEOUT)
        return {"log": ["met"]}

    inner = parallel({"a": meet, "b": meet, "c": meet}).compile()
    nodes: dict[str, Any] = {name: lambda state: inner.invoke({"log": []}) for name in "abc"}
    assert parallel(nodes).compile().invoke({"log": []}) == {"log": ["met"] * 9}


async def test_async_nodes_call_graphs_in_tasks_of_their_own() -> None:
    barrier = asyncio.Barrier(3)

    async def meet(state: Any) -> Any:
        async with asyncio.timeout(TIMEOUT):
            await barrier.wait()
        return {"log": ["met"]}

    inner = line({"meet": meet}).compile()

    async def call_three(state: Any) -> Any:
        results = await asyncio.gather(*(inner.ainvoke({"log": [n]}) for n in range(3)))
        return {"log": [result["log"] for result in results]}

    result = await line({"call": call_three}).compile().ainvoke({"log": []})
    assert result == {"log": [[0, "met"], [1, "met"], [2, "met"]]}


def test_a_graph_with_its_own_saver_and_thread_keeps_its_state_there(saver: Saver) -> None:
    own = InMemorySaver()
    inner = line({"x": writes("x")}).compile(checkpointer=own)

    def call(state: Any) -> Any:
        return {"log": [len(inner.invoke({"log": ["in"]}, thread("own"))["log"])]}

    graph = line({"call": call}).compile(checkpointer=saver)
    assert graph.invoke({}, thread("outer")) == {"log": [2]}
    assert graph.invoke({}, thread("outer")) == {"log": [2, 4]}
    assert inner.get_state(thread("own")).values == {"log": ["in", "x", "in", "x"]}
    assert graph.get_state(thread("outer")).values == {"log": [2, 4]}
    assert {point.config["configurable"]["thread_id"] for point in saver.list(None)} == {"outer"}
    assert {point.config["configurable"]["thread_id"] for point in own.list(None)} == {"own"}


async def test_a_sync_node_on_an_event_loop_calls_a_graph_with_a_saver(asaver: Saver) -> None:
    inner = line({"x": writes("x"), "y": writes("y")}).compile()
    graph = line({"call": lambda state: inner.invoke({"log": []})}).compile(checkpointer=asaver)
    assert await graph.ainvoke({}, thread()) == {"log": ["x", "y"]}
    assert (await graph.aget_state(thread())).values == {"log": ["x", "y"]}


async def test_a_sync_run_on_the_loop_of_an_async_saver_is_refused_with_the_way_out(tmp_path: Path) -> None:
    async with AsyncSqliteSaver.from_conn_string(tmp_path / "threads.db") as saver:
        graph = line({"x": writes("x")}).compile(checkpointer=saver)
        with pytest.raises(asyncio.InvalidStateError, match=r"await graph\.ainvoke"):
            graph.invoke({}, thread())
        with pytest.raises(asyncio.InvalidStateError, match=r"await graph\.ainvoke"):
            graph.get_state(thread())
        assert await asyncio.to_thread(graph.invoke, {}, thread()) == {"log": ["x"]}


def test_a_command_to_the_parent_leaves_twenty_graphs_one_by_one() -> None:
    """Each level hands its command to the next: a jump of one level at a time."""

    def leave(state: Count) -> Any:
        return Command(graph=Command.PARENT, update={"n": state["n"] + 1}, goto="after")

    inner = single("leave", leave)
    for _ in range(DEPTH):
        outer = single("inner", inner.compile())
        outer.add_node("after", leave)
        inner = outer
    inner = single("inner", inner.compile())
    inner.add_node("after", lambda state: {"n": state["n"] + 100})
    assert inner.compile().invoke({"n": 0}) == {"n": DEPTH + 1 + 100}


def test_what_siblings_finished_before_a_jump_to_the_parent_does_not_reach_it(saver: Saver) -> None:
    inner = parallel({"a": writes("a"), "b": lambda state: Command(graph=Command.PARENT, goto="after")})
    graph = line({"inner": inner.compile()})
    graph.add_node("after", writes("after"))
    compiled = graph.compile(checkpointer=saver)
    assert compiled.invoke({"log": ["in"]}, thread()) == {"log": ["in", "after"]}

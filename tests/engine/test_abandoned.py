"""A consumer that goes away, or a run that is cancelled, leaves a thread that can go on."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from tests.engine.conftest import Saver
from tests.engine.graphs import awrites, line, parallel, thread, writes
from threadkeep.checkpoint.memory import InMemorySaver
from threadkeep.checkpoint.sqlite import SqliteSaver
from threadkeep.checkpoint.sqlite.aio import AsyncSqliteSaver
from threadkeep.config import get_stream_writer
from threadkeep.types import Durability

TIMEOUT = 20


class Counted:
    """Nodes that count how often they ran."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def node(self, name: str) -> Any:
        def run(state: Any) -> dict[str, Any]:
            self.calls.append(name)
            return {"log": [name]}

        return run

    def anode(self, name: str) -> Any:
        run = self.node(name)

        async def arun(state: Any) -> dict[str, Any]:
            await asyncio.sleep(0)
            result: dict[str, Any] = run(state)
            return result

        return arun


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("mode", ["updates", "values", "tasks", "checkpoints", "debug"])
def test_a_stream_that_is_left_at_any_chunk_goes_on_where_it_stood(
    saver: Saver, durability: Durability, mode: Any
) -> None:
    counted = Counted()
    nodes = {name: counted.node(name) for name in "abc"}
    graph = line(nodes).compile(checkpointer=saver)
    total = len(list(graph.stream({"log": ["in"]}, thread("all"), stream_mode=mode)))
    assert total >= 3
    for left_at in range(1, total):
        counted.calls.clear()
        name = f"left at {left_at}"
        chunks: Any = graph.stream({"log": ["in"]}, thread(name), stream_mode=mode, durability=durability)
        for _ in range(left_at):
            next(chunks)
        chunks.close()
        given = None if graph.get_state(thread(name)).metadata else {"log": ["in"]}
        assert graph.invoke(given, thread(name)) == {"log": ["in", "a", "b", "c"]}
        assert counted.calls == ["a", "b", "c"]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("mode", ["updates", "values", "tasks", "checkpoints", "debug"])
@pytest.mark.parametrize("colour", ["sync nodes", "async nodes"])
async def test_an_async_stream_that_is_left_at_any_chunk_goes_on_where_it_stood(
    asaver: Saver, durability: Durability, mode: Any, colour: str
) -> None:
    counted = Counted()
    make = counted.node if colour == "sync nodes" else counted.anode
    graph = line({name: make(name) for name in "abc"}).compile(checkpointer=asaver)
    total = len([chunk async for chunk in graph.astream({"log": ["in"]}, thread("all"), stream_mode=mode)])
    assert total >= 3
    for left_at in range(1, total):
        counted.calls.clear()
        name = f"left at {left_at}"
        chunks: Any = graph.astream({"log": ["in"]}, thread(name), stream_mode=mode, durability=durability)
        for _ in range(left_at):
            await anext(chunks)
        await chunks.aclose()
        given = None if (await graph.aget_state(thread(name))).metadata else {"log": ["in"]}
        assert await graph.ainvoke(given, thread(name)) == {"log": ["in", "a", "b", "c"]}
        assert counted.calls == ["a", "b", "c"]


def test_a_stream_that_is_left_while_branches_run_waits_for_them_and_keeps_what_they_wrote(
    saver: Saver,
) -> None:
    counted, left = Counted(), threading.Event()

    def slow(state: Any) -> dict[str, Any]:
        assert left.wait(TIMEOUT)
        result: dict[str, Any] = counted.node("slow")(state)
        return result

    def talking(state: Any) -> dict[str, Any]:
        get_stream_writer()("started")
        result: dict[str, Any] = counted.node("talking")(state)
        return result

    graph = parallel({"slow": slow, "talking": talking}).compile(checkpointer=saver)
    chunks: Any = graph.stream({}, thread(), stream_mode="custom")
    assert next(chunks) == "started"
    threading.Timer(0, left.set).start()
    chunks.close()
    assert sorted(counted.calls) == ["slow", "talking"]
    assert graph.invoke(None, thread()) == {"log": ["slow", "talking"]}
    assert sorted(counted.calls) == ["slow", "talking"]


async def test_an_async_stream_that_is_left_while_branches_run_cancels_them(asaver: Saver) -> None:
    counted, ended = Counted(), list[str]()

    async def slow(state: Any) -> dict[str, Any]:
        try:
            if not ended:
                await asyncio.sleep(TIMEOUT)
        except asyncio.CancelledError:
            ended.append("slow")
            raise
        return {"log": ["slow"]}

    async def quick(state: Any) -> dict[str, Any]:
        result: dict[str, Any] = await counted.anode("quick")(state)
        return result

    graph = parallel({"quick": quick, "slow": slow}).compile(checkpointer=asaver)
    chunks: Any = graph.astream({}, thread())
    assert await anext(chunks) == {"quick": {"log": ["quick"]}}
    await chunks.aclose()
    assert ended == ["slow"]
    assert await graph.ainvoke(None, thread()) == {"log": ["quick", "slow"]}
    assert counted.calls == ["quick"]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("siblings", ["none", "async", "sync"])
async def test_a_cancelled_ainvoke_goes_on_at_the_cancelled_step_and_keeps_finished_siblings(
    asaver: Saver, durability: Durability, siblings: str
) -> None:
    counted, waits = Counted(), asyncio.Event()
    cancelled: list[str] = []

    async def slow(state: Any) -> dict[str, Any]:
        if not cancelled:
            waits.set()
            try:
                await asyncio.sleep(TIMEOUT)
            except asyncio.CancelledError:
                cancelled.append("slow")
                raise
        return {"log": ["slow"]}

    graph = line({"before": counted.anode("before")})
    graph.add_node("slow", slow).add_edge("before", "slow")
    if siblings != "none":
        graph.add_node("good", counted.anode("good") if siblings == "async" else counted.node("good"))
        graph.add_edge("before", "good")
    compiled = graph.compile(checkpointer=asaver)
    running = asyncio.create_task(compiled.ainvoke({}, thread(), durability=durability))
    await waits.wait()
    while siblings != "none" and "good" not in counted.calls:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert cancelled == ["slow"]
    state = await compiled.aget_state(thread())
    assert state.next == ("slow",)
    expected = ["before", "slow"] if siblings == "none" else ["before", "good", "slow"]
    assert await compiled.ainvoke(None, thread()) == {"log": expected}
    assert counted.calls == expected[:-1]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_a_cancelled_ainvoke_lets_the_sync_node_end_keeps_its_write_and_starts_no_other(
    asaver: Saver, durability: Durability
) -> None:
    counted, started, release = Counted(), asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(state: Any) -> dict[str, Any]:
        loop.call_soon_threadsafe(started.set)
        assert release.wait(TIMEOUT)
        result: dict[str, Any] = counted.node("slow")(state)
        return result

    nodes = {"before": counted.node("before"), "slow": slow, "after": counted.node("after")}
    graph = line(nodes).compile(checkpointer=asaver)
    running = asyncio.create_task(graph.ainvoke({}, thread(), durability=durability))
    await started.wait()
    running.cancel()
    await asyncio.sleep(0)
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert counted.calls == ["before", "slow"]
    assert (await graph.aget_state(thread())).next == ("after",)
    assert await graph.ainvoke(None, thread()) == {"log": ["before", "slow", "after"]}
    assert counted.calls == ["before", "slow", "after"]


@asynccontextmanager
async def sqlite_saver(file: Path) -> AsyncIterator[Saver]:
    with SqliteSaver.from_conn_string(file) as saver:
        yield saver


@pytest.mark.parametrize("opened", [sqlite_saver, AsyncSqliteSaver.from_conn_string])
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_a_run_that_is_cancelled_while_it_waits_for_the_file_stores_what_it_finished(
    tmp_path: Path, durability: Durability, opened: Any
) -> None:
    ran = asyncio.Event()

    async def node(state: Any) -> dict[str, Any]:
        ran.set()
        return {"log": ["node"]}

    file = tmp_path / "t.db"
    async with opened(file) as saver:
        graph = line({"node": node}).compile(checkpointer=saver)
        await graph.ainvoke({}, thread(), interrupt_before=["node"])
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            running = asyncio.create_task(graph.ainvoke(None, thread(), durability=durability))
            await ran.wait()
            for _ in range(50):
                await asyncio.sleep(0)
            running.cancel()
            for _ in range(50):
                await asyncio.sleep(0)
            assert not running.done()
        with pytest.raises(asyncio.CancelledError):
            await running
        state = await graph.aget_state(thread())
        assert (state.values, state.next) == ({"log": ["node"]}, ())


async def test_a_timeout_around_a_run_ends_it_in_time_and_the_thread_goes_on() -> None:
    slept: list[bool] = []

    async def sleeper(state: Any) -> dict[str, Any]:
        if not slept:
            slept.append(True)
            await asyncio.sleep(TIMEOUT)
        return {"log": ["woke"]}

    graph = line({"a": awrites("a"), "sleeper": sleeper}).compile(checkpointer=InMemorySaver())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await graph.ainvoke({}, thread())
    assert await graph.ainvoke(None, thread()) == {"log": ["a", "woke"]}


async def test_cancelling_one_of_many_runs_on_one_saver_disturbs_no_other(asaver: Saver) -> None:
    waiting = asyncio.Event()

    async def node(state: Any) -> dict[str, Any]:
        if state["log"] == [3]:
            waiting.set()
            await asyncio.sleep(TIMEOUT)
        await waiting.wait()
        return {"log": ["done"]}

    graph = line({"node": node}).compile(checkpointer=asaver)
    runs = [asyncio.create_task(graph.ainvoke({"log": [n]}, thread(str(n)))) for n in range(8)]
    await waiting.wait()
    runs[3].cancel()
    results = await asyncio.gather(*runs, return_exceptions=True)
    assert [type(result) for result in results].count(asyncio.CancelledError) == 1
    assert [result for n, result in enumerate(results) if n != 3] == [
        {"log": [n, "done"]} for n in range(8) if n != 3
    ]


def test_a_stream_that_was_never_started_changes_nothing(saver: Saver) -> None:
    graph = line({"a": writes("a")}).compile(checkpointer=saver)
    graph.stream({}, thread())
    assert graph.get_state(thread()).metadata is None


def test_a_subgraph_of_an_abandoned_stream_goes_on_where_it_stood(saver: Saver) -> None:
    counted = Counted()
    inner = line({"c": counted.node("c"), "d": counted.node("d")}).compile()
    graph = line({"a": counted.node("a"), "inner": inner, "b": counted.node("b")}).compile(checkpointer=saver)
    total = len(list(graph.stream({}, thread("all"), stream_mode="updates", subgraphs=True)))
    assert total == 5
    expected = graph.get_state(thread("all")).values
    assert total >= 3
    for left_at in range(1, total):
        counted.calls.clear()
        chunks: Any = graph.stream({}, thread(str(left_at)), stream_mode="updates", subgraphs=True)
        for _ in range(left_at):
            next(chunks)
        chunks.close()
        assert graph.invoke(None, thread(str(left_at))) == expected
        assert counted.calls == ["a", "c", "d", "b"]

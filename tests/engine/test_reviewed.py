"""What a review found: repeated cancellation, interrupted group commits, clocks, types, batches."""

import asyncio
import signal
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import pytest

from threadkeep.checkpoint.ids import uuid6
from threadkeep.checkpoint.memory import InMemorySaver
from threadkeep.checkpoint.sqlite import SqliteSaver
from threadkeep.checkpoint.sqlite.aio import AsyncSqliteSaver
from threadkeep.graph import END, START, StateGraph
from threadkeep.types import Command, interrupt

THREAD: Any = {"configurable": {"thread_id": "1"}}


class Sum(TypedDict):
    x: int


@dataclass
class Doc:
    text: str


class Papers(TypedDict, total=False):
    x: int
    doc: Doc


async def test_a_run_that_is_cancelled_again_and_again_keeps_what_its_node_finished(tmp_path: Path) -> None:
    started, release, paid = threading.Event(), threading.Event(), []

    def pay(state: Sum) -> dict[str, int]:
        started.set()
        release.wait(10)
        paid.append(1)
        return {"x": 1}

    builder = StateGraph(Sum)
    builder.add_sequence([pay, ("end", lambda state: {"x": state["x"] + 1})])
    builder.add_edge(START, "pay")
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "f.db")) as saver:
        graph = builder.compile(checkpointer=saver)
        run = asyncio.create_task(graph.ainvoke({"x": 0}, THREAD))
        await asyncio.to_thread(started.wait, 10)
        for _ in range(5):
            run.cancel()
            await asyncio.sleep(0)
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert await graph.ainvoke(None, THREAD) == {"x": 2}
        assert paid == [1]


def test_a_signal_while_a_commit_waits_for_its_group_blocks_no_later_commit(tmp_path: Path) -> None:
    class Alarm(Exception):
        pass

    def ring(*_: object) -> None:
        raise Alarm

    builder = StateGraph(Sum).add_node("a", lambda state: {"x": 1}).add_edge(START, "a")
    with SqliteSaver.from_conn_string(str(tmp_path / "f.db")) as saver:
        graph = builder.compile(checkpointer=saver)
        graph.invoke({"x": 0}, THREAD)
        with SqliteSaver.from_conn_string(str(tmp_path / "f.db")) as other, other.cursor() as cursor:
            cursor.execute("UPDATE thread SET epoch = epoch")  # holds the file
            leader = threading.Thread(
                target=graph.invoke, args=({"x": 0}, {"configurable": {"thread_id": "2"}})
            )
            leader.start()
            before = signal.signal(signal.SIGALRM, ring)
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            try:
                with pytest.raises(Alarm):
                    graph.invoke({"x": 0}, THREAD)
            finally:
                signal.signal(signal.SIGALRM, before)
        leader.join(10)
        assert not leader.is_alive()
        done = threading.Thread(target=graph.invoke, args=({"x": 0}, THREAD))
        done.start()
        done.join(10)
        assert not done.is_alive()


def test_a_thread_goes_on_though_its_head_was_written_by_a_clock_that_is_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ahead = uuid6()
    later = f"{int(ahead[:8], 16) + 0x10000:08x}{ahead[8:]}"
    assert uuid6(3, later) > later
    assert uuid6() < later
    saver = InMemorySaver()
    graph = (
        StateGraph(Sum)
        .add_node("a", lambda state: {"x": state["x"] + 1})
        .add_edge(START, "a")
        .compile(checkpointer=saver)
    )
    monkeypatch.setattr(
        "threadkeep.pregel.saving.uuid6", lambda step, after="": uuid6(step, max(after, later))
    )
    graph.invoke({"x": 0}, THREAD)
    monkeypatch.undo()
    graph.update_state(THREAD, {"x": 10})
    assert graph.get_state(THREAD).values == {"x": 10}
    assert graph.invoke({"x": 20}, THREAD) == {"x": 21}
    assert graph.get_state(THREAD).values == {"x": 21}


def test_the_types_of_a_graph_and_of_its_subgraphs_are_stored_and_read_by_the_programs_own_saver() -> None:
    inner = StateGraph(Papers).add_sequence(
        [("make", lambda state: {"doc": Doc("d")}), ("read", lambda state: {"x": len(state["doc"].text)})]
    )
    inner.add_edge(START, "make")
    outer = StateGraph(Sum).add_node("sub", inner.compile()).add_edge(START, "sub")
    saver = InMemorySaver()
    assert outer.compile(checkpointer=saver).invoke({"x": 0}, THREAD) == {"x": 1}
    inner.compile(checkpointer=saver).invoke({}, {"configurable": {"thread_id": "2"}})
    checkpoint = saver.get({"configurable": {"thread_id": "2"}})
    assert checkpoint is not None
    assert checkpoint["channel_values"]["doc"] == Doc("d")


def test_an_answer_survives_the_failure_of_its_node() -> None:
    class Free(TypedDict):
        x: Any

    fails = [True]

    def ask(state: Free) -> dict[str, Any]:
        answer = interrupt("?")
        if fails.pop() if fails else False:
            raise KeyError("later")
        return {"x": answer[0]}

    graph = StateGraph(Free).add_node(ask).add_edge(START, "ask").compile(checkpointer=InMemorySaver())
    graph.invoke({"x": 0}, THREAD)
    with pytest.raises(KeyError):
        graph.invoke(Command(resume=[1, 2]), THREAD)
    assert graph.invoke(None, THREAD) == {"x": 1}


async def test_a_slow_conditional_edge_leaves_the_event_loop_free() -> None:
    ticked, routed = threading.Event(), []

    async def node(state: Sum) -> dict[str, int]:
        return {"x": 1}

    def route(state: Sum) -> str:
        routed.append(ticked.wait(10))
        return END

    builder = StateGraph(Sum).add_node(node).add_edge(START, "node")
    graph = builder.add_conditional_edges("node", route, [END]).compile()
    run = asyncio.create_task(graph.ainvoke({"x": 0}))
    asyncio.get_running_loop().call_later(0.05, ticked.set)
    assert await run == {"x": 1}
    assert routed == [True]


NAME: ContextVar[str] = ContextVar("name", default="lost")


def test_a_batch_keeps_the_context_and_its_limit() -> None:
    running, most, lock = [0], [0], threading.Lock()

    def node(state: Sum) -> dict[str, Any]:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.01)
        with lock:
            running[0] -= 1
        return {"x": len(NAME.get())}

    graph = StateGraph(Sum).add_node(node).add_edge(START, "node").compile()
    NAME.set("kept!")
    assert graph.with_config(max_concurrency=2).batch([{"x": 0}] * 8) == [{"x": 5}] * 8
    assert most[0] <= 2

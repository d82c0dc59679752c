"""What is run again finds the memory of subgraphs (`checkpointer=True`) as it was at that point."""

from __future__ import annotations

import operator
import warnings
from typing import Annotated, Any, TypedDict

from tests.engine.conftest import Saver
from tests.engine.graphs import thread
from threadkeep.graph import START, StateGraph


class Visits(TypedDict):
    seen: Annotated[list[int], operator.add]


def counting_inner() -> Any:
    return (
        StateGraph(Visits)
        .add_node("visit", lambda state: {"seen": [len(state["seen"])]})
        .add_edge(START, "visit")
        .compile(checkpointer=True)
    )


def counter(saver: Saver) -> Any:
    """A graph each of whose runs asks its subgraph, which remembers its visits, how often it was asked."""
    inner = counting_inner()
    return (
        StateGraph(Visits)
        .add_node("ask", lambda state: {"seen": [len(inner.invoke({"seen": []})["seen"])]})
        .add_edge(START, "ask")
        .compile(checkpointer=saver)
    )


def acounter(saver: Saver) -> Any:
    inner = counting_inner()

    async def ask(state: Visits) -> Any:
        return {"seen": [len((await inner.ainvoke({"seen": []}))["seen"])]}

    return StateGraph(Visits).add_node("ask", ask).add_edge(START, "ask").compile(checkpointer=saver)


def test_a_replay_begins_with_the_memory_of_then_and_the_thread_goes_on_from_the_replay(saver: Saver) -> None:
    graph, config = counter(saver), thread("t")
    assert [graph.invoke({"seen": []}, config)["seen"][-1] for _ in range(3)] == [1, 2, 3]
    first, second, third = [s for s in graph.get_state_history(config) if s.next == ("ask",)][::-1]
    assert graph.invoke(None, second.config)["seen"] == [1, 2]
    assert graph.invoke(None, first.config)["seen"] == [1]
    assert graph.invoke(None, third.config)["seen"] == [1, 2, 3]
    assert graph.invoke({"seen": []}, config)["seen"] == [1, 2, 3, 4]


async def test_a_replay_on_an_event_loop_begins_with_the_memory_of_then(asaver: Saver) -> None:
    graph, config = acounter(asaver), thread("t")
    assert [(await graph.ainvoke({"seen": []}, config))["seen"][-1] for _ in range(3)] == [1, 2, 3]
    points = [s async for s in graph.aget_state_history(config) if s.next == ("ask",)]
    assert (await graph.ainvoke(None, points[1].config))["seen"] == [1, 2]
    assert (await graph.ainvoke({"seen": []}, config))["seen"] == [1, 2, 3]


def test_an_update_of_the_past_keeps_its_memory_however_often_it_is_updated(saver: Saver) -> None:
    graph, config = counter(saver), thread("t")
    for _ in range(3):
        graph.invoke({"seen": []}, config)
    second = [s for s in graph.get_state_history(config) if s.next == ("ask",)][1]
    once = graph.update_state(second.config, {"seen": [90]}, as_node=START)
    twice = graph.update_state(once, {"seen": [91]}, as_node=START)
    assert graph.invoke(None, twice)["seen"] == [1, 90, 91, 2]


def test_new_input_at_an_old_checkpoint_goes_on_with_the_newest_memory(saver: Saver) -> None:
    graph, config = counter(saver), thread("t")
    for _ in range(3):
        graph.invoke({"seen": []}, config)
    first = [s for s in graph.get_state_history(config) if s.next == ()][-1]
    assert graph.invoke({"seen": []}, first.config)["seen"] == [1, 4]


def test_within_a_replay_the_second_visit_sees_the_first(saver: Saver) -> None:
    inner = counting_inner()

    def ask_twice(state: Visits) -> Any:
        return {"seen": [len(inner.invoke({"seen": []})["seen"])]}

    builder = StateGraph(Visits).add_node("ask", ask_twice).add_edge(START, "ask")
    builder.add_conditional_edges("ask", lambda state: "ask" if len(state["seen"]) % 2 else "__end__")
    graph, config = builder.compile(checkpointer=saver), thread("t")
    for _ in range(2):
        graph.invoke({"seen": []}, config)
    first = [s for s in graph.get_state_history(config) if s.next == ("ask",)][-1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert graph.invoke(None, first.config)["seen"] == [1, 2]

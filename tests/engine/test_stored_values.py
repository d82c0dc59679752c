"""What reaches the checkpoints: changes in place, values that cannot be stored, each durability."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest

from tests.engine.conftest import Saver
from tests.engine.graphs import line, parallel, thread
from threadkeep.errors import GraphRecursionError, SerializationError
from threadkeep.graph import START, StateGraph
from threadkeep.types import Command, interrupt


class Stuff(TypedDict, total=False):
    items: list[Any]
    nested: dict[str, Any]
    other: Any
    log: Annotated[list[Any], operator.add]


class Secret:
    """A class that nobody registered."""


def stuff(nodes: dict[str, Callable[[Any], Any]]) -> StateGraph[Any, Any, Any, Any]:
    return line(nodes, Stuff)


def append_in_place(state: Any) -> Any:
    state["items"].append("appended")
    return {"items": state["items"]}


def change_element_in_place(state: Any) -> Any:
    state["nested"]["deep"]["list"][0]["x"] += 1
    return {"nested": state["nested"]}


def change_element_of_reducer_in_place(state: Any) -> Any:
    state["log"][0]["x"] += 1
    return {"log": []}


def history(graph: Any, key: str) -> list[Any]:
    return [state.values.get(key) for state in graph.get_state_history(thread())]


def test_a_list_changed_in_place_and_returned_is_in_the_next_checkpoint_and_not_in_the_last(
    saver: Saver,
) -> None:
    graph = stuff({"a": append_in_place, "b": append_in_place}).compile(checkpointer=saver)
    graph.invoke({"items": ["in"]}, thread())
    grown = ["in", "appended", "appended"]
    assert history(graph, "items") == [grown, grown[:2], grown[:1], None]


def test_an_element_changed_in_place_deep_inside_is_in_the_next_checkpoint(saver: Saver) -> None:
    graph = stuff({"a": change_element_in_place, "b": change_element_in_place}).compile(checkpointer=saver)
    graph.invoke({"nested": {"deep": {"list": [{"x": 0}]}}}, thread())
    assert history(graph, "nested") == [*({"deep": {"list": [{"x": n}]}} for n in (2, 1, 0)), None]


def test_an_element_of_a_reducer_changed_in_place_is_seen_when_its_channel_is_written(saver: Saver) -> None:
    graph = stuff({"a": change_element_of_reducer_in_place}).compile(checkpointer=saver)
    graph.invoke({"log": [{"x": 0}]}, thread())
    assert graph.get_state(thread()).values == {"log": [{"x": 1}]}
    graph.invoke({"log": [{"x": 5}]}, thread())
    assert graph.get_state(thread()).values == {"log": [{"x": 2}, {"x": 5}]}


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_value_of_a_class_that_cannot_be_stored_ends_the_run_and_names_class_and_place(
    saver: Saver, durability: Any
) -> None:
    kept = {"items": [1], "other": "before", "log": []}
    graph = stuff({"a": lambda state: {"other": {"key": [Secret()]}}, "b": lambda state: None})
    compiled = graph.compile(checkpointer=saver, interrupt_before=["a"])
    compiled.invoke(kept, thread())
    with pytest.raises(SerializationError, match="Secret") as raised:
        compiled.invoke(None, thread(), durability=durability)
    assert "register" in str(raised.value)
    state = compiled.get_state(thread())
    assert (state.values, state.next) == (kept, ("a",))


async def test_a_value_that_cannot_be_stored_ends_an_async_run(asaver: Saver) -> None:
    async def bad(state: Any) -> Any:
        return {"other": Secret()}

    graph = line({"bad": bad}, Stuff).compile(checkpointer=asaver)
    with pytest.raises(SerializationError, match="Secret"):
        await graph.ainvoke({"items": [1]}, thread())
    assert (await graph.aget_state(thread())).next == ("bad",)


@pytest.mark.parametrize("bad", ["a", "z"])
@pytest.mark.parametrize("durability", ["sync", "async"])
async def test_a_value_that_cannot_be_stored_does_not_take_its_siblings_writes_with_it(
    saver: Saver, bad: str, durability: Any
) -> None:
    calls: list[str] = []

    def good(state: Any) -> Any:
        calls.append("good")
        return {"items": ["good"]}

    graph = parallel({"good": good, bad: lambda state: {"other": Secret()}}, Stuff)
    compiled = graph.compile(checkpointer=saver)
    with pytest.raises(SerializationError, match="Secret"):
        compiled.invoke({}, thread(), durability=durability)
    assert compiled.get_state(thread()).next == (bad,)
    with pytest.raises(SerializationError, match="Secret"):
        compiled.invoke(None, thread(), durability=durability)
    assert calls == ["good"]
    with pytest.raises(SerializationError, match="Secret"):
        await compiled.ainvoke({}, thread("async"), durability=durability)
    assert (await compiled.aget_state(thread("async"))).next == (bad,)
    assert calls == ["good", "good"]


def test_an_input_that_cannot_be_stored_is_refused_and_the_thread_stays_as_it_was(saver: Saver) -> None:
    graph = stuff({"a": lambda state: {"items": ["a"]}}).compile(checkpointer=saver)
    with pytest.raises(SerializationError, match="Secret"):
        graph.invoke({"other": Secret()}, thread())
    assert graph.get_state(thread()).metadata is None
    graph.invoke({}, thread())
    before = graph.get_state(thread())
    with pytest.raises(SerializationError, match="Secret"):
        graph.invoke({"other": Secret()}, thread())
    assert graph.get_state(thread()) == before
    with pytest.raises(SerializationError, match="Secret"):
        graph.update_state(thread(), {"other": Secret()})
    assert graph.get_state(thread()) == before


def test_a_question_or_an_answer_that_cannot_be_stored_is_refused(saver: Saver) -> None:
    graph = stuff({"ask": lambda state: {"other": interrupt(Secret())}}).compile(checkpointer=saver)
    with pytest.raises(SerializationError, match="Secret"):
        graph.invoke({"items": []}, thread("question"))
    graph = stuff({"ask": lambda state: {"other": interrupt("?")}}).compile(checkpointer=saver)
    graph.invoke({"items": []}, thread("answer"))
    with pytest.raises(SerializationError, match="Secret"):
        graph.invoke(Command(resume=Secret()), thread("answer"))
    assert graph.invoke(Command(resume="yes"), thread("answer")) == {
        "items": [], "other": "yes", "log": [],
    }  # fmt: skip


def test_a_class_of_the_state_schema_needs_no_registration(saver: Saver) -> None:
    graph = stuff({"a": lambda state: {"other": Secret()}}).compile()
    result = graph.invoke({})
    assert type(result["other"]) is Secret


@pytest.mark.parametrize(
    ("durability", "stored"), [("sync", [-1, 0, 1, 2]), ("async", [-1, 0, 1, 2]), ("exit", [2])]
)
def test_what_each_durability_has_stored_after_a_run(saver: Saver, durability: Any, stored: Any) -> None:
    graph = stuff({"a": lambda state: None, "b": lambda state: None}).compile(checkpointer=saver)
    graph.invoke({"items": []}, thread(), durability=durability)
    assert sorted(point.metadata["step"] for point in saver.list(thread())) == stored


@pytest.mark.parametrize(("durability", "stored"), [("sync", [-1, 0, 1]), ("exit", [])])
def test_what_each_durability_has_stored_while_a_step_runs(
    saver: Saver, durability: Any, stored: Any
) -> None:
    seen: list[list[int]] = []

    def look(state: Any) -> None:
        seen.append(sorted(point.metadata["step"] for point in saver.list(thread())))

    graph = stuff({"a": lambda state: None, "look": look}).compile(checkpointer=saver)
    graph.invoke({"items": []}, thread(), durability=durability)
    assert seen == [stored]


def test_under_exit_a_second_turn_continues_the_first_and_keeps_one_checkpoint_a_turn(saver: Saver) -> None:
    graph = stuff({"a": lambda state: {"log": ["a"]}}).compile(checkpointer=saver)
    for turn in range(3):
        graph.invoke({"log": [turn]}, thread(), durability="exit")
    assert graph.get_state(thread()).values == {"log": [0, "a", 1, "a", 2, "a"]}
    points = list(saver.list(thread()))
    assert [point.metadata["step"] for point in points] == [7, 4, 1]
    ids = [point.config["configurable"]["checkpoint_id"] for point in points]
    assert [
        point.parent_config and point.parent_config["configurable"]["checkpoint_id"] for point in points
    ] == [*ids[1:], None]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_at_the_recursion_limit_the_thread_stands_after_the_last_step_and_can_go_on(
    saver: Saver, durability: Any
) -> None:
    graph: Any = StateGraph(Stuff).add_node("loop", lambda state: {"log": ["loop"]})
    graph.add_edge(START, "loop")
    graph.add_conditional_edges("loop", lambda state: "loop" if len(state["log"]) < 8 else "__end__")
    compiled = graph.compile(checkpointer=saver)
    with pytest.raises(GraphRecursionError, match="limit of 3"):
        compiled.invoke({}, {**thread(), "recursion_limit": 3}, durability=durability)
    state = compiled.get_state(thread())
    assert (state.values, state.next) == ({"log": ["loop"] * 3}, ("loop",))
    assert compiled.invoke(None, thread()) == {"log": ["loop"] * 8}


def test_a_registered_class_comes_back_as_itself(saver: Saver) -> None:
    graph = stuff({"a": lambda state: {"other": [{1, 2}, (3,), b"4", 5j.imag]}}).compile(checkpointer=saver)
    graph.invoke({"items": []}, thread())
    assert graph.get_state(thread()).values["other"] == [{1, 2}, (3,), b"4", 5j.imag]

"""Stream modes: the exact chunks, in order."""

import operator
from typing import Annotated, Any, TypedDict

from tests.reference.lab import Lab, thread


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[str], operator.add]


def _input() -> Any:
    return {"x": 1, "log": ["in"]}


def _chain(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda state: {"x": state["x"] + 1, "log": ["a"]})
    builder.add_node("b", lambda state: {"x": state["x"] * 10, "log": ["b"]})
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "b")
    builder.add_edge("b", lab.END)
    return builder


def _diamond(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    for name in "abcd":
        builder.add_node(name, lambda state, name=name: {"log": [name]})
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "b")
    builder.add_edge("a", "c")
    builder.add_edge(["b", "c"], "d")
    builder.add_edge("d", lab.END)
    return builder


def _nested(lab: Lab, **options: Any) -> Any:
    inner = lab.StateGraph(State)
    inner.add_node("in1", lambda state: {"x": state["x"] + 1})
    inner.add_node("in2", lambda state: {"log": ["in2"]})
    inner.add_edge(lab.START, "in1")
    inner.add_edge("in1", "in2")
    builder = lab.StateGraph(State)
    builder.add_node("first", lambda state: {"x": state["x"] * 2})
    builder.add_node("sub", inner.compile(**options))
    builder.add_edge(lab.START, "first")
    builder.add_edge("first", "sub")
    return builder


def default_mode(lab: Lab) -> Any:
    graph = lab.compile(_chain(lab))
    return {
        "mode": graph.graph.stream_mode,
        "chunks": graph.stream(_input()),
        "invoke": graph.invoke(_input()),
    }


def values(lab: Lab) -> Any:
    return lab.compile(_chain(lab)).stream(_input(), stream_mode="values")


def updates(lab: Lab) -> Any:
    return lab.compile(_chain(lab)).stream(_input(), stream_mode="updates")


def tasks(lab: Lab) -> Any:
    return lab.compile(_chain(lab)).stream(_input(), stream_mode="tasks")


def checkpoints(lab: Lab) -> Any:
    return lab.compile(_chain(lab), checkpointer=lab.saver()).stream(
        _input(), thread(), stream_mode="checkpoints"
    )


def checkpoints_without_saver(lab: Lab) -> Any:
    return lab.compile(_chain(lab)).stream(_input(), stream_mode="checkpoints")


def debug(lab: Lab) -> Any:
    return lab.compile(_chain(lab), checkpointer=lab.saver()).stream(_input(), thread(), stream_mode="debug")


def debug_without_saver(lab: Lab) -> Any:
    return lab.compile(_chain(lab)).stream(_input(), stream_mode="debug")


def custom_none(lab: Lab) -> Any:
    return lab.compile(_chain(lab)).stream(_input(), stream_mode="custom")


def all_modes(lab: Lab) -> Any:
    modes = ["values", "updates", "custom", "tasks", "checkpoints", "debug"]
    return lab.compile(_chain(lab), checkpointer=lab.saver()).stream(_input(), thread(), stream_mode=modes)


def list_of_one_mode(lab: Lab) -> Any:
    return lab.compile(_chain(lab)).stream(_input(), stream_mode=["values"])


def tuple_of_modes(lab: Lab) -> Any:
    return lab.compile(_chain(lab)).stream(_input(), stream_mode=("updates", "values"))


def subgraphs_flag_without_subgraph(lab: Lab) -> Any:
    return lab.compile(_chain(lab)).stream(_input(), stream_mode="updates", subgraphs=True)


def subgraphs_flag_list_without_subgraph(lab: Lab) -> Any:
    return lab.compile(_chain(lab)).stream(_input(), stream_mode=["updates"], subgraphs=True)


def diamond_updates(lab: Lab) -> Any:
    return sorted(lab.compile(_diamond(lab)).stream(_input(), stream_mode="updates"), key=str)


def diamond_values(lab: Lab) -> Any:
    return lab.compile(_diamond(lab)).stream(_input(), stream_mode="values")


def diamond_checkpoints(lab: Lab) -> Any:
    graph = lab.compile(_diamond(lab), checkpointer=lab.saver())
    return graph.stream(_input(), thread(), stream_mode="checkpoints")


def diamond_task_starts(lab: Lab) -> Any:
    chunks = lab.compile(_diamond(lab)).stream(_input(), stream_mode="tasks")
    return [chunk for chunk in chunks if "triggers" in chunk]


def nested_updates(lab: Lab) -> Any:
    graph = lab.compile(_nested(lab), checkpointer=lab.saver())
    return graph.stream(_input(), thread(), stream_mode="updates", subgraphs=True)


def nested_updates_hidden(lab: Lab) -> Any:
    return lab.compile(_nested(lab)).stream(_input(), stream_mode="updates")


def nested_values(lab: Lab) -> Any:
    return lab.compile(_nested(lab)).stream(_input(), stream_mode="values", subgraphs=True)


def nested_all_modes(lab: Lab) -> Any:
    modes = ["values", "updates", "tasks", "checkpoints"]
    graph = lab.compile(_nested(lab), checkpointer=lab.saver())
    return graph.stream(_input(), thread(), stream_mode=modes, subgraphs=True)


def nested_all_modes_hidden(lab: Lab) -> Any:
    modes = ["values", "updates", "tasks", "checkpoints"]
    graph = lab.compile(_nested(lab), checkpointer=lab.saver())
    return graph.stream(_input(), thread(), stream_mode=modes)


def nested_debug(lab: Lab) -> Any:
    graph = lab.compile(_nested(lab), checkpointer=lab.saver())
    return graph.stream(_input(), thread(), stream_mode="debug", subgraphs=True)


def nested_without_saver(lab: Lab) -> Any:
    modes = ["values", "updates", "tasks", "checkpoints"]
    return lab.compile(_nested(lab)).stream(_input(), stream_mode=modes, subgraphs=True)

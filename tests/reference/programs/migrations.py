"""Threads that outlive the code: nodes and keys that came, went or changed; unknown checkpoints."""

import operator
from typing import Annotated, Any, TypedDict

from tests.reference.lab import Lab, brief, sources, thread


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[Any], operator.add]


def _chain(lab: Lab, saver: Any, names: Any, schema: Any = State, **options: Any) -> Any:
    builder = lab.StateGraph(schema)
    last = lab.START
    for name in names:
        builder.add_node(name, lambda s, name=name: {"log": [name]})
        builder.add_edge(last, name)
        last = name
    return lab.compile(builder, checkpointer=saver, **options)


def pending_node_was_renamed(lab: Lab) -> Any:
    saver = lab.saver()
    _chain(lab, saver, ["a", "old", "c"], interrupt_before=["old"]).invoke({"log": []}, thread())
    graph = _chain(lab, saver, ["a", "new", "c"])
    return [brief(graph.state(thread())), graph.invoke(None, thread())]


def pending_node_stays_others_change(lab: Lab) -> Any:
    saver = lab.saver()
    _chain(lab, saver, ["a", "b"], interrupt_before=["b"]).invoke({"log": []}, thread())
    graph = _chain(lab, saver, ["start", "b", "more"])
    return [graph.state(thread()).next, graph.invoke(None, thread())]


def key_was_added(lab: Lab) -> Any:
    class More(TypedDict, total=False):
        x: int
        log: Annotated[list[Any], operator.add]
        extra: Annotated[list[int], operator.add]

    saver = lab.saver()
    _chain(lab, saver, ["a", "b"], interrupt_before=["b"]).invoke({"log": []}, thread())
    graph = _chain(lab, saver, ["a", "b"], More)
    return [graph.state(thread()).values, graph.invoke(None, thread())]


def key_was_removed(lab: Lab) -> Any:
    class Less(TypedDict, total=False):
        log: Annotated[list[Any], operator.add]

    saver = lab.saver()
    _chain(lab, saver, ["a", "b"], interrupt_before=["b"]).invoke({"x": 5, "log": []}, thread())
    graph = _chain(lab, saver, ["a", "b"], Less)
    return [graph.state(thread()).values, graph.invoke(None, thread())]


def key_got_a_reducer(lab: Lab) -> Any:
    class Adding(TypedDict, total=False):
        x: Annotated[int, operator.add]
        log: Annotated[list[Any], operator.add]

    saver = lab.saver()
    _chain(lab, saver, ["a"]).invoke({"x": 5, "log": []}, thread())
    graph = _chain(lab, saver, ["a"], Adding)
    return [graph.state(thread()).values, graph.invoke({"x": 2}, thread())]


def finished_thread_with_another_graph(lab: Lab) -> Any:
    saver = lab.saver()
    _chain(lab, saver, ["a", "b"]).invoke({"log": []}, thread())
    graph = _chain(lab, saver, ["p", "q"])
    return [graph.state(thread()).next, graph.invoke({"log": ["in"]}, thread()), sources(graph, thread())]


def branch_target_was_removed(lab: Lab) -> Any:
    saver = lab.saver()
    builder = lab.StateGraph(State)
    builder.add_node("w", lambda arg: {"log": [arg]})
    builder.add_conditional_edges(lab.START, lambda s: [lab.Send("w", 1)], ["w"])
    lab.compile(builder, checkpointer=saver, interrupt_before=["w"]).invoke({"log": []}, thread())
    graph = _chain(lab, saver, ["other"])
    return [
        lab.error(lambda: graph.state(thread()).next),
        lab.error(lambda: graph.invoke(None, thread()), "w"),
    ]


def unknown_checkpoint_with_none(lab: Lab) -> Any:
    graph = _chain(lab, lab.saver(), ["a"])
    graph.invoke({"log": []}, thread())
    config = thread(checkpoint_id="1ef4f797-8335-6428-8001-8a1503f9b875")
    return lab.error(lambda: graph.invoke(None, config))


def unknown_namespace(lab: Lab) -> Any:
    graph = _chain(lab, lab.saver(), ["a"])
    graph.invoke({"log": []}, thread())
    return lab.error(lambda: graph.state(thread(checkpoint_ns="ghost")), "ghost")


def same_thread_through_two_compilations(lab: Lab) -> Any:
    saver = lab.saver()
    first, second = (_chain(lab, saver, ["a", "b"]) for _ in range(2))
    first.invoke({"log": [1]}, thread())
    return [
        second.state(thread()).values,
        second.invoke({"log": [2]}, thread()),
        first.state(thread()).values,
    ]

"""Writers and their custom chunks, stores, `batch`."""

import operator
from typing import Annotated, Any, TypedDict

from tests.reference.lab import Lab, thread


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[Any], operator.add]


def _run(lab: Lab, node: Any, *args: Any, **options: Any) -> Any:
    builder = lab.StateGraph(State, **{k: options.pop(k) for k in ("context_schema",) if k in options})
    builder.add_node("a", node)
    builder.add_edge(lab.START, "a")
    compiled = {k: options.pop(k) for k in ("store", "checkpointer") if k in options}
    graph = lab.compile(builder, **compiled)
    return lab.error(lambda: graph.invoke({"log": []}, *args, **options))


def writer_by_name(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda state, writer: writer({"progress": 1}) or {"log": ["a"]})
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder)
    return [
        graph.stream({"log": []}, stream_mode="custom"),
        graph.stream({"log": []}, stream_mode=["custom", "updates"]),
        graph.stream({"log": []}, stream_mode=["custom", "updates"], subgraphs=True),
        graph.stream({"log": []}, stream_mode="updates"),
        graph.invoke({"log": []}),
    ]


def writer_by_get_stream_writer(lab: Lab) -> Any:
    def node(state: Any) -> Any:
        writer = lab.get_stream_writer()
        writer("one")
        writer(("two", 2))
        return {"log": ["a"]}

    builder = lab.StateGraph(State)
    builder.add_node("a", node)
    builder.add_edge(lab.START, "a")
    return lab.compile(builder).stream({"log": []}, stream_mode=["custom", "values"])


def writer_by_runtime(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda state, runtime: runtime.stream_writer("hi"))
    builder.add_edge(lab.START, "a")
    return lab.compile(builder).stream({"log": []}, stream_mode="custom")


def writer_in_subgraph(lab: Lab) -> Any:
    child = lab.StateGraph(State)
    child.add_node("c", lambda state, writer: writer("from child"))
    child.add_edge(lab.START, "c")
    builder = lab.StateGraph(State)
    builder.add_node("sub", child.compile())
    builder.add_edge(lab.START, "sub")
    graph = lab.compile(builder)
    return [
        graph.stream({}, stream_mode="custom"),
        graph.stream({}, stream_mode="custom", subgraphs=True),
        graph.stream({}, stream_mode=["custom", "updates"], subgraphs=True),
    ]


def writer_in_graph_called_in_a_node(lab: Lab) -> Any:
    child = lab.StateGraph(State)
    child.add_node("c", lambda state, writer: writer("from child"))
    child.add_edge(lab.START, "c")
    compiled = child.compile()
    builder = lab.StateGraph(State)
    builder.add_node("call", lambda state: compiled.invoke({"x": 1}) and None)
    builder.add_edge(lab.START, "call")
    graph = lab.compile(builder)
    return [graph.stream({}, stream_mode="custom"), graph.stream({}, stream_mode="custom", subgraphs=True)]


def writer_in_a_branch_function(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda state: {"log": ["a"]})
    builder.add_edge(lab.START, "a")
    builder.add_conditional_edges("a", lambda state, writer: writer("routing") or lab.END)
    return lab.compile(builder).stream({"log": []}, stream_mode="custom")


def store_is_absent(lab: Lab) -> Any:
    def node(state: Any) -> Any:
        return {"log": [lab.error(lab.get_store)]}

    return [_run(lab, node), _run(lab, lambda state, store: {"log": [store]})]


def previous_by_name(lab: Lab) -> Any:
    return _run(lab, lambda state, previous: {"log": [previous]})


def batch_of_inputs(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"x": s["x"] * 2})
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder)
    return [
        graph.batch([{"x": n} for n in range(5)]),
        graph.batch([{"x": 1}, {"x": 2}], {"max_concurrency": 1}),
        graph.batch([]),
    ]


def batch_with_failures(lab: Lab) -> Any:
    def node(state: Any) -> Any:
        if state["x"] == 1:
            raise ValueError("one")
        return {"x": state["x"] * 2}

    builder = lab.StateGraph(State)
    builder.add_node("a", node)
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder)
    given = [{"x": n} for n in range(3)]
    return [lab.error(lambda: graph.batch(given)), graph.batch(given, return_exceptions=True)]


def batch_on_threads(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"log": [s["x"]]})
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder, checkpointer=lab.saver())
    configs = [thread(str(n)) for n in range(3)]
    graph.batch([{"x": n, "log": []} for n in range(3)], configs)
    return [graph.state(config).values for config in configs]


def max_concurrency_one(lab: Lab) -> Any:
    running: list[int] = []
    most: list[int] = []

    def node(state: Any) -> Any:
        running.append(1)
        most.append(len(running))
        running.pop()

    builder = lab.StateGraph(State)
    for name in "abcd":
        builder.add_node(name, node)
        builder.add_edge(lab.START, name)
    lab.compile(builder).invoke({"log": []}, {"max_concurrency": 1})
    return max(most)

"""Building and compiling: which mistakes are refused, when, with which error."""

import operator
from typing import Annotated, Any, TypedDict

from tests.reference.lab import Lab, thread


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[Any], operator.add]


def _note(name: str) -> Any:
    return lambda state: {"log": [name]}


def _built(lab: Lab, nodes: str = "a", entry: bool = True) -> Any:
    builder = lab.StateGraph(State)
    for name in nodes:
        builder.add_node(name, _note(name))
    if entry:
        builder.add_edge(lab.START, nodes[0])
    return builder


def edge_from_unknown_node(lab: Lab) -> Any:
    builder = _built(lab)
    builder.add_edge("ghost", "a")
    return lab.error(lambda: builder.compile() and None, "ghost")


def edge_to_unknown_node(lab: Lab) -> Any:
    builder = _built(lab)
    builder.add_edge("a", "ghost")
    return lab.error(lambda: builder.compile() and None, "ghost")


def edge_list_with_unknown_node(lab: Lab) -> Any:
    builder = _built(lab)
    return lab.error(lambda: builder.add_edge(["a", "ghost"], "a").compile() and None, "ghost")


def edge_list_to_unknown_node(lab: Lab) -> Any:
    builder = _built(lab)
    return lab.error(lambda: builder.add_edge(["a"], "ghost").compile() and None, "ghost")


def edge_from_end(lab: Lab) -> Any:
    return lab.error(lambda: _built(lab).add_edge(lab.END, "a") and None, "END")


def edge_to_start(lab: Lab) -> Any:
    return lab.error(lambda: _built(lab).add_edge("a", lab.START) and None, "START")


def edge_list_with_end(lab: Lab) -> Any:
    return lab.error(lambda: _built(lab).add_edge(["a", lab.END], "a") and None, "END")


def edge_start_to_end(lab: Lab) -> Any:
    def build() -> Any:
        builder = lab.StateGraph(State)
        builder.add_edge(lab.START, lab.END)
        return builder.compile().invoke({"x": 1})

    return lab.error(build)


def edge_twice(lab: Lab) -> Any:
    builder = _built(lab, "ab")
    builder.add_edge("a", "b")
    builder.add_edge("a", "b")
    return lab.compile(builder).invoke({"log": []})


def no_entry_point(lab: Lab) -> Any:
    return lab.error(lambda: _built(lab, entry=False).compile() and None, "START")


def empty_graph(lab: Lab) -> Any:
    return lab.error(lambda: lab.StateGraph(State).compile() and None)


def duplicate_node(lab: Lab) -> Any:
    return lab.error(lambda: _built(lab).add_node("a", _note("a")) and None, "a")


def node_named_start_or_end(lab: Lab) -> Any:
    names = (lab.START, lab.END)
    return [lab.error(lambda n=n: lab.StateGraph(State).add_node(n, _note("n")) and None, n) for n in names]


def node_name_with_reserved_character(lab: Lab) -> Any:
    names = ("a|b", "a:b", "a b", "a.b", "a/b", "", "__a__", "ü", "a-b", "branch:to:a")
    return {n: lab.error(lambda n=n: lab.StateGraph(State).add_node(n, _note("n")) and None) for n in names}


def node_named_like_a_state_key(lab: Lab) -> Any:
    return lab.error(lambda: lab.StateGraph(State).add_node("x", _note("x")) and None, "x")


def node_without_function(lab: Lab) -> Any:
    return lab.error(lambda: lab.StateGraph(State).add_node("x1") and None, "x1")


def node_that_is_not_callable(lab: Lab) -> Any:
    return lab.error(lambda: lab.StateGraph(State).add_node("n", 5) and None)


def node_that_is_unreachable(lab: Lab) -> Any:
    def build() -> Any:
        builder = _built(lab, "ab")
        return builder.compile().invoke({"log": []})

    return lab.error(build, "b")


def node_reached_only_by_command(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: lab.Command(goto="b"))
    builder.add_node("b", _note("b"))
    builder.add_edge(lab.START, "a")
    return lab.compile(builder).invoke({"log": []})


def dead_end_cycle(lab: Lab) -> Any:
    builder = _built(lab, "ab")
    builder.add_edge("a", "b")
    builder.add_edge("b", "a")
    return lab.error(lambda: builder.compile() and None)


def branch_twice_under_one_name(lab: Lab) -> Any:
    def route(state: Any) -> Any:
        return "a"

    builder = _built(lab)
    builder.add_conditional_edges("a", route)
    return lab.error(lambda: builder.add_conditional_edges("a", route) and None, "route", "a")


def branch_from_unknown_node(lab: Lab) -> Any:
    builder = _built(lab)
    return lab.error(
        lambda: builder.add_conditional_edges("ghost", lambda s: "a").compile() and None, "ghost"
    )


def branch_map_to_unknown_node(lab: Lab) -> Any:
    builder = _built(lab)
    build = lambda: builder.add_conditional_edges("a", lambda s: "k", {"k": "ghost"}).compile() and None  # noqa: E731
    return lab.error(build, "ghost")


def branch_from_end(lab: Lab) -> Any:
    builder = _built(lab)
    return lab.error(lambda: builder.add_conditional_edges(lab.END, lambda s: "a").compile() and None, "END")


def interrupt_at_unknown_node(lab: Lab) -> Any:
    return [
        lab.error(lambda: _built(lab).compile(interrupt_before=["ghost"]) and None, "ghost"),
        lab.error(lambda: _built(lab).compile(interrupt_after=["ghost"]) and None, "ghost"),
    ]


def interrupt_at_unknown_node_at_run(lab: Lab) -> Any:
    graph = lab.compile(_built(lab))
    return lab.error(lambda: graph.invoke({"log": []}, interrupt_before=["ghost"]), "ghost")


def node_added_after_compile(lab: Lab) -> Any:
    builder = _built(lab)
    graph = lab.compile(builder)
    builder.add_node("late", _note("late"))
    builder.add_edge("a", "late")
    return [graph.invoke({"log": []}), lab.compile(builder).invoke({"log": []})]


def checkpointer_of_wrong_type(lab: Lab) -> Any:
    return [lab.error(lambda c=c: _built(lab).compile(checkpointer=c) and None) for c in ("memory", dict, 5)]


def schema_missing(lab: Lab) -> Any:
    return lab.error(lambda: lab.StateGraph() and None)


def schema_of_odd_types(lab: Lab) -> Any:
    def run(schema: Any, given: Any) -> Any:
        builder = lab.StateGraph(schema)
        builder.add_node("n", lambda s: None)
        builder.add_edge(lab.START, "n")
        return builder.compile().invoke(given)

    return [lab.error(lambda s=s, g=g: run(s, g)) for s, g in ((dict, {"x": 1}), (list, [1]), (str, "s"))]


def sequence_empty(lab: Lab) -> Any:
    return lab.error(lambda: lab.StateGraph(State).add_sequence([]) and None)


def sequence_duplicate_names(lab: Lab) -> Any:
    steps = [("s", _note("1")), ("s", _note("2"))]
    return lab.error(lambda: lab.StateGraph(State).add_sequence(steps) and None, "s")


def chaining_returns_the_builder(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    results = [
        builder.add_node("a", _note("a")),
        builder.add_edge(lab.START, "a"),
        builder.add_conditional_edges("a", lambda s: lab.END),
        builder.add_sequence([("b", _note("b"))]),
        builder.set_entry_point("b"),
        builder.set_finish_point("b"),
        builder.validate(),
    ]
    return [result is builder for result in results]


def builder_fields(lab: Lab) -> Any:
    builder = _built(lab, "abc")
    builder.add_edge(["a", "b"], "c")
    builder.add_conditional_edges("a", lambda s: "b", ["b"])
    return {
        "nodes": list(builder.nodes),
        "edges": sorted(builder.edges),
        "waiting": sorted(builder.waiting_edges),
        "branches": {k: list(v) for k, v in builder.branches.items()},
        "channels": sorted(builder.channels),
    }


def compiled_fields(lab: Lab) -> Any:
    graph = _built(lab, "ab").add_edge("a", "b").compile(name="my graph", interrupt_before=["b"])
    return {
        "name": graph.name,
        "default name": _built(lab).compile().name,
        "nodes": list(graph.nodes),
        "channels": sorted(graph.channels),
        "interrupt_before": graph.interrupt_before_nodes,
        "interrupt_after": graph.interrupt_after_nodes,
        "input": graph.input_channels,
        "output": graph.output_channels,
        "stream_channels": graph.stream_channels,
    }


def node_specification(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", _note("a"), metadata={"m": 1}, defer=True, destinations=("b",))
    spec = builder.nodes["a"]
    return [spec.metadata, spec.defer, spec.ends, spec.input_schema.__name__]


def print_mode_prints(lab: Lab) -> Any:
    import contextlib
    import io

    graph = lab.compile(_built(lab))
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        result = graph.invoke({"log": []}, print_mode="updates")
    return [result, "a" in out.getvalue()]


def invoke_with_list_of_modes(lab: Lab) -> Any:
    graph = lab.compile(_built(lab))
    return [
        graph.invoke({"log": []}, stream_mode="updates"),
        graph.invoke({"log": []}, stream_mode=["updates", "values"]),
        graph.invoke({"log": []}, stream_mode="custom"),
        graph.invoke({"log": []}, stream_mode="values"),
    ]


def version_two_output(lab: Lab) -> Any:
    graph = lab.compile(_built(lab), checkpointer=lab.saver())
    return [
        lab.error(lambda: graph.invoke({"log": []}, thread("1"), version="v2")),
        lab.error(lambda: graph.stream({"log": []}, thread("2"), version="v2", stream_mode="values")),
        lab.error(
            lambda: graph.stream({"log": []}, thread("3"), version="v2", stream_mode=["updates", "tasks"])
        ),
    ]


def version_two_interrupt(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("ask", lambda s: {"log": [lab.interrupt("?")]})
    builder.add_edge(lab.START, "ask")
    graph = lab.compile(builder, checkpointer=lab.saver())
    result = graph.invoke({"log": []}, thread("1"), version="v2")
    chunks = graph.stream(
        {"log": []}, thread("2"), version="v2", stream_mode=["values", "updates"], subgraphs=True
    )
    return [type(result).__name__, result.value, result.interrupts, chunks]


def node_interrupt_exception(lab: Lab) -> Any:
    def node(state: Any) -> Any:
        if not state.get("x"):
            raise lab.NodeInterrupt("need x")
        return {"log": ["done"]}

    builder = lab.StateGraph(State)
    builder.add_node("a", node)
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder, checkpointer=lab.saver())
    first = graph.invoke({"log": []}, thread())
    graph.update(thread(), {"x": 1})
    return [
        [i.value for i in first["__interrupt__"]],
        graph.state(thread()).next,
        graph.invoke(None, thread()),
    ]

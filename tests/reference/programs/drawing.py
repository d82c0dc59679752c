"""`get_graph()`: nodes, edges, Mermaid and ASCII text."""

import operator
from typing import Annotated, Any, Literal, TypedDict

from tests.reference.lab import Lab


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[Any], operator.add]


def _built(lab: Lab, names: str = "abc") -> Any:
    builder = lab.StateGraph(State)
    for name in names:
        builder.add_node(name, lambda s, name=name: {"log": [name]})
    return builder


def _shown(drawable: Any) -> Any:
    return {
        "nodes": [[key, node.id, node.name, node.metadata] for key, node in drawable.nodes.items()],
        "edges": [[edge.source, edge.target, edge.data, edge.conditional] for edge in drawable.edges],
        "mermaid": drawable.draw_mermaid().split("\n"),
    }


def _drawn(lab: Lab, builder: Any, **options: Any) -> Any:
    return _shown(builder.compile().get_graph(**options))


def chain(lab: Lab) -> Any:
    builder = _built(lab)
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "b")
    builder.add_edge("b", "c")
    builder.add_edge("c", lab.END)
    return _drawn(lab, builder)


def chain_without_edge_to_end(lab: Lab) -> Any:
    builder = _built(lab, "ab")
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "b")
    return _drawn(lab, builder)


def fan_out_and_in(lab: Lab) -> Any:
    builder = _built(lab, "abcd")
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "b")
    builder.add_edge("a", "c")
    builder.add_edge(["b", "c"], "d")
    builder.add_edge("d", lab.END)
    return _drawn(lab, builder)


def conditional_with_map(lab: Lab) -> Any:
    builder = _built(lab)
    builder.add_edge(lab.START, "a")
    builder.add_conditional_edges("a", lambda s: "yes", {"yes": "b", "no": "c", "stop": lab.END})
    return _drawn(lab, builder)


def conditional_with_booleans(lab: Lab) -> Any:
    builder = _built(lab)
    builder.add_edge(lab.START, "a")
    builder.add_conditional_edges("a", lambda s: True, {True: "b", False: "c"})
    return _drawn(lab, builder)


def conditional_with_list(lab: Lab) -> Any:
    builder = _built(lab)
    builder.add_edge(lab.START, "a")
    builder.add_conditional_edges("a", lambda s: "b", ["b", "c"])
    return _drawn(lab, builder)


def conditional_with_literal(lab: Lab) -> Any:
    def route(state: Any) -> Literal["b", "__end__"]:
        return "b"

    builder = _built(lab, "ab")
    builder.add_edge(lab.START, "a")
    builder.add_conditional_edges("a", route)
    return _drawn(lab, builder)


def conditional_without_map(lab: Lab) -> Any:
    builder = _built(lab)
    builder.add_edge(lab.START, "a")
    builder.add_conditional_edges("a", lambda s: "b")
    builder.add_edge("b", "a")
    return _drawn(lab, builder)


def conditional_entry(lab: Lab) -> Any:
    builder = _built(lab)
    builder.set_conditional_entry_point(lambda s: "a", {"left": "a", "right": "b"})
    builder.add_edge("a", "c")
    builder.add_edge("b", "c")
    builder.set_finish_point("c")
    return _drawn(lab, builder)


def command_destinations(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: lab.Command(goto="b"), destinations=("b", "c"))
    builder.add_node("b", lambda s: lab.Command(goto="c"), destinations={"c": "label", lab.END: "done"})
    builder.add_node("c", lambda s: None)
    builder.add_edge(lab.START, "a")
    return _drawn(lab, builder)


def command_annotation(lab: Lab) -> Any:
    def jump(state: Any) -> Any:
        return lab.Command(goto="b")

    jump.__annotations__["return"] = lab.Command[Literal["b", "__end__"]]
    builder = lab.StateGraph(State)
    builder.add_node("jump", jump)
    builder.add_node("b", lambda s: None)
    builder.add_edge(lab.START, "jump")
    return _drawn(lab, builder)


def loop(lab: Lab) -> Any:
    builder = _built(lab, "ab")
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "b")
    builder.add_conditional_edges("b", lambda s: "a", {"again": "a", "done": lab.END})
    return _drawn(lab, builder)


def breakpoints_and_metadata(lab: Lab) -> Any:
    builder = _built(lab, "ab")
    builder.add_node("m", lambda s: None, metadata={"who": "me"})
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "b")
    builder.add_edge("b", "m")
    return _shown(builder.compile(interrupt_before=["b"], interrupt_after=["a"]).get_graph())


def deferred(lab: Lab) -> Any:
    builder = _built(lab, "a")
    builder.add_node("late", lambda s: None, defer=True)
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "late")
    return _drawn(lab, builder)


def _with_subgraph(lab: Lab) -> Any:
    inner = _built(lab, "pq")
    inner.add_edge(lab.START, "p")
    inner.add_edge("p", "q")
    inner.add_edge("q", lab.END)
    middle = _built(lab, "m")
    middle.add_node("inner", inner.compile())
    middle.add_edge(lab.START, "m")
    middle.add_edge("m", "inner")
    builder = _built(lab, "az")
    builder.add_node("sub", middle.compile())
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "sub")
    builder.add_edge("sub", "z")
    builder.add_edge("z", lab.END)
    return builder


def subgraph_closed(lab: Lab) -> Any:
    return _drawn(lab, _with_subgraph(lab))


def subgraph_open(lab: Lab) -> Any:
    return [_drawn(lab, _with_subgraph(lab), xray=True), _drawn(lab, _with_subgraph(lab), xray=1)]


def names_with_spaces_and_signs(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    for name in ("my node", "a-b", "c.d", "ü", "x/y"):
        builder.add_node(name, lambda s: None)
    builder.add_edge(lab.START, "my node")
    builder.add_edge("my node", "a-b")
    builder.add_edge("a-b", "c.d")
    builder.add_edge("c.d", "ü")
    builder.add_edge("ü", "x/y")
    return _drawn(lab, builder)


def as_json(lab: Lab) -> Any:
    builder = _built(lab, "ab")
    builder.add_edge(lab.START, "a")
    builder.add_conditional_edges("a", lambda s: "b", {"go": "b", "end": lab.END})
    shown = builder.compile().get_graph().to_json()
    for node in shown["nodes"]:
        if "data" in node:
            node["data"] = node["data"]["name"]
    return shown


def mermaid_options(lab: Lab) -> Any:
    builder = _built(lab, "ab")
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "b")
    drawable = builder.compile().get_graph()
    return [drawable.draw_mermaid(with_styles=False).split("\n"), drawable.draw_mermaid().split("\n")]


def ascii_chain(lab: Lab) -> Any:
    builder = _built(lab, "ab")
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "b")
    builder.add_edge("b", lab.END)
    return [line.rstrip() for line in builder.compile().get_graph().draw_ascii().split("\n")]


def ascii_branches(lab: Lab) -> Any:
    builder = _built(lab, "abc")
    builder.add_edge(lab.START, "a")
    builder.add_conditional_edges("a", lambda s: "b", ["b", "c"])
    return [line.rstrip() for line in builder.compile().get_graph().draw_ascii().split("\n")]


def first_and_last_node(lab: Lab) -> Any:
    builder = _built(lab, "ab")
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "b")
    drawable = builder.compile().get_graph()
    return [drawable.first_node().id, drawable.last_node().id]

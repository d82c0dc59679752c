"""Graphs whose drawings are compared with the reference's. Written against the shared API, so that the same
functions build them there (``record_drawings.py``) and here (``test_draw.py``)."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, TypedDict


class Api(NamedTuple):
    """The library that builds the graph."""

    StateGraph: Any
    Command: Any


class State(TypedDict):
    x: Annotated[list[int], operator.add]


START, END = "__start__", "__end__"
Case = tuple[Any, dict[str, Any]]
"""A compiled graph and the arguments of its `get_graph`."""

CASES: dict[str, Callable[[Api], Case]] = {}


def case(build: Callable[[Api], Case]) -> Callable[[Api], Case]:
    CASES[build.__name__] = build
    return build


def node(state: Any) -> Any:
    return {}


def route(state: Any) -> Any:
    return "b"


def builder(api: Api, *names: str) -> Any:
    graph = api.StateGraph(State)
    for name in names:
        graph.add_node(name, node)
    return graph


def chain(graph: Any, *names: str) -> Any:
    for start, end in itertools.pairwise(names):
        graph.add_edge(start, end)
    return graph


def inner(api: Api, **options: Any) -> Any:
    return chain(builder(api, "i1", "i2"), START, "i1", "i2", END).compile(**options)


def inner_fork(api: Api) -> Any:
    graph = chain(builder(api, "i1", "i2", "i3"), START, "i1")
    return graph.add_conditional_edges("i1", route, {"p": "i2", "q": "i3"}).compile()


def middle(api: Api) -> Any:
    graph = builder(api, "m1").add_node("deep", inner(api))
    return chain(graph, START, "m1", "deep", END).compile()


def outer(api: Api, sub: Any) -> Any:
    return chain(builder(api, "a", "z").add_node("sub", sub), START, "a", "sub", "z", END).compile()


@case
def linear(api: Api) -> Case:
    return chain(builder(api, "a", "b"), START, "a", "b", END).compile(), {}


@case
def without_an_edge_to_end(api: Api) -> Case:
    return chain(builder(api, "a", "b"), START, "a", "b").compile(), {}


@case
def fork_and_join(api: Api) -> Case:
    graph = chain(builder(api, "a", "b", "c", "d"), START, "a", "b")
    return chain(graph, "a", "c").add_edge(["b", "c"], "d").add_edge("d", END).compile(), {}


@case
def join_of_unequal_paths(api: Api) -> Case:
    graph = chain(builder(api, "a", "b", "b2", "c", "d"), START, "a", "b", "b2")
    return graph.add_edge(["a", "b2"], "c").add_edge("c", "d").compile(), {}


@case
def join_that_is_never_complete(api: Api) -> Case:
    graph = chain(builder(api, "a", "b", "c"), START, "a").add_edge(["a", "b"], "c")
    return graph.add_conditional_edges("a", route).compile(), {}


@case
def five_abreast(api: Api) -> Case:
    names = [f"w{n}" for n in range(5)]
    graph = chain(builder(api, "root", *names, "join"), START, "root")
    for name in names:
        chain(graph, "root", name, "join")
    return graph.add_edge("join", END).compile(), {}


@case
def edge_past_two_nodes(api: Api) -> Case:
    return chain(
        chain(builder(api, "a", "b", "c", "d"), START, "a", "b", "c", "d", END), "a", "d"
    ).compile(), {}


@case
def edge_to_end_beside_others(api: Api) -> Case:
    return chain(chain(builder(api, "a", "b"), START, "a", "b", END), "a", END).compile(), {}


@case
def branch_with_labels(api: Api) -> Case:
    graph = chain(chain(builder(api, "a", "b", "c"), START, "a"), "b", END)
    return graph.add_conditional_edges("a", route, {"yes": "b", "no": "c", "stop": END}).compile(), {}


@case
def branch_with_a_list(api: Api) -> Case:
    graph = chain(builder(api, "a", "b", "c"), START, "a")
    return graph.add_conditional_edges("a", route, ["b", "c"]).compile(), {}


@case
def branch_of_unknown_ends(api: Api) -> Case:
    graph = chain(builder(api, "a", "b", "c"), START, "a")
    return graph.add_conditional_edges("a", route).compile(), {}


@case
def branch_of_unknown_ends_beside_an_edge(api: Api) -> Case:
    graph = chain(builder(api, "a", "b", "c"), START, "a", "b", "c")
    return graph.add_conditional_edges("a", route).compile(), {}


@case
def branch_on_true_and_false(api: Api) -> Case:
    graph = chain(builder(api, "a", "b"), START, "a")
    return graph.add_conditional_edges("a", route, {True: "b", False: END}).compile(), {}


@case
def two_labels_for_one_target(api: Api) -> Case:
    graph = chain(builder(api, "a", "b"), START, "a")
    return graph.add_conditional_edges("a", route, {"q": "b", "p": "b", "r": END}).compile(), {}


@case
def label_equal_to_the_target(api: Api) -> Case:
    graph = chain(builder(api, "a", "b", "c"), START, "a")
    return graph.add_conditional_edges("a", route, {"b": "b", "other": "c"}).compile(), {}


@case
def branch_beside_an_edge_to_the_same_node(api: Api) -> Case:
    graph = chain(builder(api, "a", "b"), START, "a", "b")
    return graph.add_conditional_edges("a", route, {"x": "b"}).compile(), {}


@case
def branch_at_the_start(api: Api) -> Case:
    graph = builder(api, "a", "b").set_conditional_entry_point(route, {"l": "a", "r": "b"})
    return graph.set_finish_point("a").compile(), {}


@case
def branch_of_unknown_ends_at_the_start(api: Api) -> Case:
    return builder(api, "a", "b").add_conditional_edges(START, route).compile(), {}


@case
def strange_labels(api: Api) -> Case:
    graph = chain(builder(api, "a", "b", "c"), START, "a")
    labels = {"a long label with many words in it and a few more": "b", 'quo"te|x': "c", "ü<b>": END}
    return graph.add_conditional_edges("a", route, labels).compile(), {}


@case
def destinations(api: Api) -> Case:
    graph = builder(api, "b", "c").add_node("a", node, destinations=("b", "c"))
    return chain(graph, START, "a").compile(), {}


@case
def destinations_with_labels(api: Api) -> Case:
    ends = {"b": "go b", "c": "c", END: "stop"}
    graph = builder(api, "b", "c").add_node("a", node, destinations=ends)
    return chain(graph, START, "a").compile(), {}


@case
def loop_with_a_way_out(api: Api) -> Case:
    graph = chain(builder(api, "a"), START, "a")
    return graph.add_conditional_edges("a", route, {"again": "a", "done": END}).compile(), {}


@case
def agent_and_tools(api: Api) -> Case:
    graph = chain(chain(builder(api, "agent", "tools"), START, "agent"), "tools", "agent")
    return graph.add_conditional_edges("agent", route, {"tools": "tools", END: END}).compile(), {}


@case
def plan_act_check(api: Api) -> Case:
    graph = chain(builder(api, "plan", "act", "check", "report", "log"), START, "plan", "act", "check")
    chain(chain(graph, "act", "log", END), "report", END)
    ways = {"retry": "act", "replan": "plan", "ok": "report"}
    return graph.add_conditional_edges("check", route, ways).compile(), {}


@case
def loop_for_ever(api: Api) -> Case:
    return chain(builder(api, "l", "a", "b", "c"), START, "l", "a", "b", "c", "a").compile(), {}


@case
def loop_for_ever_through_a_branch(api: Api) -> Case:
    graph = chain(builder(api, "a", "b", "c"), START, "a", "b")
    return graph.add_conditional_edges("b", route, {"x": "c"}).add_edge("c", "a").compile(), {}


@case
def two_loops_for_ever(api: Api) -> Case:
    graph = chain(builder(api, "a", "b", "c", "d", "e"), START, "a", "b", "a")
    return chain(graph, START, "c", "d", "e", "c").compile(), {}


@case
def deferred(api: Api) -> Case:
    graph = builder(api, "a", "b", "c").add_node("d", node, defer=True)
    return chain(chain(graph, START, "a", "d", END), "a", "b", "c", "d").compile(), {}


@case
def metadata(api: Api) -> Case:
    facts = {
        "k": "v",
        "<n>": 1,
        "html": '<b>"q"</b> (x) [y] {z} #|',
        "list": [1, "a<"],
        "mixed": [{}],
        "none": None,
    }
    graph = builder(api, "b").add_node("a", node, metadata=facts, defer=True)
    return chain(graph, START, "a", "b", END).compile(interrupt_before=["a"]), {}


@case
def breakpoints(api: Api) -> Case:
    graph = chain(builder(api, "a", "b", "c"), START, "a", "b", "c", END)
    return graph.compile(interrupt_before=["a", "b"], interrupt_after=["b", "c"]), {}


@case
def breakpoints_everywhere(api: Api) -> Case:
    return chain(builder(api, "a", "b"), START, "a", "b", END).compile(interrupt_before="*"), {}


@case
def strange_names(api: Api) -> Case:
    names = [
        "my node",
        "nöde ü",
        "a-b",
        "1st",
        "a.b",
        'quote"s',
        "<tag>",
        "(x)",
        "*",
        "x#y",
        "_y_",
        "`q`",
        "end",
    ]
    return chain(builder(api, *names), START, *names, END).compile(), {}


@case
def names_of_many_widths(api: Api) -> Case:
    graph = chain(builder(api, "a_very_long_node_name_here", "b"), START, "a_very_long_node_name_here")
    return graph.add_conditional_edges(
        "a_very_long_node_name_here", route, {"some label": "b", "x": END}
    ).compile(), {}


@case
def subgraph_closed(api: Api) -> Case:
    return outer(api, inner(api)), {}


@case
def subgraph_open(api: Api) -> Case:
    return outer(api, inner(api)), {"xray": True}


@case
def subgraph_with_breakpoint(api: Api) -> Case:
    return outer(api, inner(api, interrupt_before=["i1"])), {"xray": True}


@case
def subgraph_with_two_ends(api: Api) -> Case:
    return outer(api, inner_fork(api)), {"xray": True}


@case
def subgraph_with_a_loop(api: Api) -> Case:
    graph = chain(builder(api, "i1", "i2"), START, "i1", "i2")
    graph.add_conditional_edges("i2", route, {"again": "i1", "done": END})
    return outer(api, graph.compile()), {"xray": True}


@case
def subgraph_of_one_node(api: Api) -> Case:
    return outer(api, chain(builder(api, "x y"), START, "x y", END).compile()), {"xray": True}


@case
def subgraph_that_cannot_be_opened(api: Api) -> Case:
    graph = chain(builder(api, "i1", "i2"), START, "i1").add_conditional_edges("i1", route)
    return outer(api, graph.compile()), {"xray": True}


@case
def subgraphs_one_level(api: Api) -> Case:
    return outer(api, middle(api)), {"xray": 1}


@case
def subgraphs_two_levels(api: Api) -> Case:
    return outer(api, middle(api)), {"xray": 2}


@case
def subgraphs_side_by_side(api: Api) -> Case:
    graph = builder(api, "a").add_node("s2", inner(api)).add_node("s1", inner_fork(api))
    single = chain(builder(api, "x"), START, "x", END).compile()
    chain(graph.add_node("s0", single), START, "a")
    ways = {"l": "s1", "r": "s2", "t": "s0"}
    return graph.add_conditional_edges("a", route, ways).compile(), {"xray": True}


@case
def subgraphs_in_a_row_inside_another(api: Api) -> Case:
    row = builder(api, "p", "q").add_node("zz", inner(api)).add_node("aa", inner(api))
    return outer(api, chain(row, START, "p", "zz", "aa", "q", END).compile()), {"xray": True}

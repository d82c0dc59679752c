"""Routing: fan-out, joins, branches, deferral; what runs when and in which order writes apply."""

import operator
from typing import Annotated, Any, Literal, TypedDict

from tests.reference.lab import Lab, brief, noting, sources, thread


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[Any], operator.add]


def _note(name: str) -> Any:
    def node(state: Any) -> Any:
        return {"log": [name]}

    node.__name__ = name
    return node


def _graph(lab: Lab, nodes: str, *edges: Any) -> Any:
    builder = lab.StateGraph(State)
    for name in nodes:
        builder.add_node(name, _note(name))
    for start, end in edges:
        builder.add_edge(lab.START if start == "<" else start, lab.END if end == ">" else end)
    return builder


def _steps(graph: Any, given: Any = None) -> Any:
    """Node names per superstep (in the order of the plan), and the final log."""
    steps: dict[int, list[str]] = {}
    for event in graph.stream({"log": []} if given is None else given, stream_mode="debug"):
        if event["type"] == "task":
            steps.setdefault(event["step"], []).append(event["payload"]["name"])
    return {"steps": steps, "end": graph.invoke({"log": []} if given is None else given)}


def fan_out_order_is_by_name(lab: Lab) -> Any:
    edges = [("<", "a"), *(("a", n) for n in "zmbq")]
    return _steps(lab.compile(_graph(lab, "azmbq", *edges)))


def fan_out_from_start(lab: Lab) -> Any:
    return _steps(lab.compile(_graph(lab, "cab", ("<", "c"), ("<", "a"), ("<", "b"))))


def fan_in_two_edges_same_length(lab: Lab) -> Any:
    edges = [("<", "a"), ("<", "b"), ("a", "c"), ("b", "c"), ("c", ">")]
    return _steps(lab.compile(_graph(lab, "abc", *edges)))


def fan_in_two_edges_uneven(lab: Lab) -> Any:
    edges = [("<", "a"), ("<", "b"), ("b", "d"), ("a", "c"), ("d", "c"), ("c", ">")]
    return _steps(lab.compile(_graph(lab, "abcd", *edges)))


def fan_in_list_uneven(lab: Lab) -> Any:
    edges = [("<", "a"), ("<", "b"), ("b", "d"), (["a", "d"], "c"), ("c", ">")]
    return _steps(lab.compile(_graph(lab, "abcd", *edges)))


def fan_in_list_twice(lab: Lab) -> Any:
    builder = _graph(lab, "abcr", ("<", "a"), ("<", "b"), (["a", "b"], "c"), ("c", "r"))
    builder.add_conditional_edges("r", lambda s: ["a", "b"] if s["log"].count("c") < 2 else lab.END)
    return _steps(lab.compile(builder))


def join_keeps_waiting_over_runs(lab: Lab) -> Any:
    builder = _graph(lab, "abc", (["a", "b"], "c"))
    builder.add_conditional_edges(lab.START, lambda s: s["log"][-1], ["a", "b"])
    graph = lab.compile(builder, checkpointer=lab.saver())
    return [graph.invoke({"log": ["a"]}, thread()), graph.invoke({"log": ["b"]}, thread())]


def join_of_list_to_end(lab: Lab) -> Any:
    return _steps(lab.compile(_graph(lab, "ab", ("<", "a"), ("<", "b"), (["a", "b"], ">"))))


def deferred_node(lab: Lab) -> Any:
    builder = _graph(lab, "abcd", ("<", "a"), ("a", "b"), ("a", "c"), ("b", "d"))
    builder.add_node("last", _note("last"), defer=True)
    builder.add_edge("c", "last")
    builder.add_edge("d", "last")
    return _steps(lab.compile(builder))


def deferred_node_with_list_edge(lab: Lab) -> Any:
    builder = _graph(lab, "abcde", ("<", "a"), ("a", "b"), ("a", "c"), ("b", "d"), ("a", "e"))
    builder.add_node("last", _note("last"), defer=True)
    builder.add_edge(["c", "e"], "last")
    return _steps(lab.compile(builder))


def two_deferred_nodes(lab: Lab) -> Any:
    builder = _graph(lab, "ab", ("<", "a"), ("a", "b"))
    for name in ("late1", "late2"):
        builder.add_node(name, _note(name), defer=True)
    builder.add_edge("a", "late1")
    builder.add_edge("late1", "late2")
    builder.add_edge("b", "late2")
    return _steps(lab.compile(builder))


def deferred_node_after_sends(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("worker", lambda arg: {"log": [arg]})
    builder.add_node("late", _note("late"), defer=True)
    builder.add_node("quick", _note("quick"))
    builder.add_conditional_edges(
        lab.START, lambda s: [lab.Send("worker", 1), lab.Send("worker", 2), "quick"], ["worker", "quick"]
    )
    builder.add_edge("worker", "late")
    builder.add_edge("quick", "late")
    return _steps(lab.compile(builder))


def deferred_with_saver(lab: Lab) -> Any:
    builder = _graph(lab, "abc", ("<", "a"), ("<", "c"), ("a", "b"))
    builder.add_node("last", _note("last"), defer=True)
    builder.add_edge("c", "last")
    builder.add_edge("b", "last")
    saver = lab.saver()
    graph = lab.compile(builder, checkpointer=saver)
    graph.invoke({"log": []}, thread())
    return lab.saved(saver, thread())


def conditional_by_name(lab: Lab) -> Any:
    builder = _graph(lab, "ab", ("a", ">"), ("b", ">"))
    builder.add_conditional_edges(lab.START, lambda s: "a" if s["x"] else "b")
    graph = lab.compile(builder)
    return [graph.invoke({"x": 1, "log": []}), graph.invoke({"x": 0, "log": []})]


def conditional_with_map(lab: Lab) -> Any:
    builder = _graph(lab, "rab", ("<", "r"))
    builder.add_conditional_edges("r", lambda s: s["x"] > 0, {True: "a", False: "b"})
    graph = lab.compile(builder)
    return [graph.invoke({"x": 1, "log": []}), graph.invoke({"x": 0, "log": []})]


def conditional_with_list_map(lab: Lab) -> Any:
    builder = _graph(lab, "rab", ("<", "r"))
    builder.add_conditional_edges("r", lambda s: ["b", "a"], ["a", "b"])
    return _steps(lab.compile(builder))


def conditional_with_literal_type(lab: Lab) -> Any:
    def route(state: Any) -> Literal["a", "__end__"]:
        return "a" if state["x"] else "__end__"

    builder = _graph(lab, "rab", ("<", "r"))
    builder.add_conditional_edges("r", route)
    builder.add_edge("a", "b")
    graph = lab.compile(builder)
    return [graph.invoke({"x": n, "log": []}) for n in (0, 1)]


def conditional_to_end(lab: Lab) -> Any:
    builder = _graph(lab, "r", ("<", "r"))
    builder.add_conditional_edges("r", lambda s: lab.END)
    return _steps(lab.compile(builder))


def conditional_end_and_node(lab: Lab) -> Any:
    builder = _graph(lab, "ra", ("<", "r"))
    builder.add_conditional_edges("r", lambda s: [lab.END, "a"])
    return _steps(lab.compile(builder))


def conditional_empty_list(lab: Lab) -> Any:
    builder = _graph(lab, "ra", ("<", "r"))
    builder.add_conditional_edges("r", lambda s: [], ["a"])
    return _steps(lab.compile(builder))


def conditional_none(lab: Lab) -> Any:
    builder = _graph(lab, "ra", ("<", "r"))
    builder.add_conditional_edges("r", lambda s: None, ["a"])
    graph = lab.compile(builder)
    return lab.error(lambda: graph.invoke({"log": []}), "r", "None")


def conditional_none_without_map(lab: Lab) -> Any:
    builder = _graph(lab, "ra", ("<", "r"))
    builder.add_conditional_edges("r", lambda s: None)
    graph = lab.compile(builder)
    return lab.error(lambda: graph.invoke({"log": []}), "r", "None")


def conditional_unknown_target(lab: Lab) -> Any:
    builder = _graph(lab, "ra", ("<", "r"))
    builder.add_conditional_edges("r", lambda s: "nowhere")
    graph = lab.compile(builder)
    return lab.error(lambda: graph.invoke({"log": []}), "nowhere")


def conditional_outside_map(lab: Lab) -> Any:
    builder = _graph(lab, "ra", ("<", "r"))
    builder.add_conditional_edges("r", lambda s: "other", {"yes": "a"})
    graph = lab.compile(builder)
    return lab.error(lambda: graph.invoke({"log": []}), "other")


def conditional_two_on_one_node(lab: Lab) -> Any:
    def first(state: Any) -> Any:
        return "a"

    def second(state: Any) -> Any:
        return ["b", "c"]

    builder = _graph(lab, "rabc", ("<", "r"))
    builder.add_conditional_edges("r", first)
    builder.add_conditional_edges("r", second)
    return _steps(lab.compile(builder))


def conditional_sees_new_state(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("r", lambda s: {"x": s["x"] + 1, "log": ["r"]})
    builder.add_node("a", _note("a"))
    builder.add_edge(lab.START, "r")
    seen: list[Any] = []
    builder.add_conditional_edges("r", noting(seen, "a"), ["a"])
    return [lab.compile(builder).invoke({"x": 1, "log": ["in"]}), seen]


def conditional_in_parallel_sees_own_writes_only(lab: Lab) -> Any:
    seen: dict[str, Any] = {}

    def route(name: str) -> Any:
        def chosen(state: Any) -> Any:
            seen[name] = list(state["log"])
            return lab.END

        return chosen

    builder = _graph(lab, "ab", ("<", "a"), ("<", "b"))
    builder.add_conditional_edges("a", route("a"))
    builder.add_conditional_edges("b", route("b"))
    return [lab.compile(builder).invoke({"log": ["in"]}), seen]


def conditional_and_edge_together(lab: Lab) -> Any:
    builder = _graph(lab, "rab", ("<", "r"), ("r", "a"))
    builder.add_conditional_edges("r", lambda s: "b")
    return _steps(lab.compile(builder))


def conditional_same_target_twice(lab: Lab) -> Any:
    builder = _graph(lab, "ra", ("<", "r"), ("r", "a"))
    builder.add_conditional_edges("r", lambda s: ["a", "a"])
    return _steps(lab.compile(builder))


def conditional_loop(lab: Lab) -> Any:
    builder = _graph(lab, "a", ("<", "a"))
    builder.add_conditional_edges("a", lambda s: "a" if len(s["log"]) < 4 else lab.END)
    return _steps(lab.compile(builder))


def conditional_with_then(lab: Lab) -> Any:
    builder = _graph(lab, "rabz", ("<", "r"))
    outcome = lab.error(
        lambda: builder.add_conditional_edges("r", lambda s: ["a", "b"], ["a", "b"], then="z") and None,
        "then",
    )
    return outcome if "$raised" in outcome else _steps(lab.compile(builder))


def sequence(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_sequence([_note("one"), _note("two"), ("three", _note("other"))])
    builder.add_edge(lab.START, "one")
    return _steps(lab.compile(builder))


def entry_and_finish_points(lab: Lab) -> Any:
    builder = _graph(lab, "ab", ("a", "b"))
    builder.set_entry_point("a")
    builder.set_finish_point("b")
    return _steps(lab.compile(builder))


def conditional_entry_point(lab: Lab) -> Any:
    builder = _graph(lab, "ab", ("a", ">"), ("b", ">"))
    builder.set_conditional_entry_point(lambda s: "left", {"left": "b", "right": "a"})
    return _steps(lab.compile(builder))


def node_without_outgoing_edge(lab: Lab) -> Any:
    return _steps(lab.compile(_graph(lab, "ab", ("<", "a"), ("a", "b"))))


def self_loop_and_exit_run_together(lab: Lab) -> Any:
    builder = _graph(lab, "ab", ("<", "a"))
    builder.add_conditional_edges("a", lambda s: ["a", "b"] if len(s["log"]) < 2 else "b")
    return _steps(lab.compile(builder))


def branches_of_uneven_length(lab: Lab) -> Any:
    edges = [("<", "a"), ("a", "b"), ("a", "x"), ("b", "c"), ("c", "z"), ("x", "z")]
    return _steps(lab.compile(_graph(lab, "abcxz", *edges)))


def saved_history_of_a_diamond(lab: Lab) -> Any:
    edges = [("<", "a"), ("a", "b"), ("a", "c"), (["b", "c"], "d")]
    graph = lab.compile(_graph(lab, "abcd", *edges), checkpointer=lab.saver())
    graph.invoke({"log": []}, thread())
    return [brief(s) for s in graph.history(thread())]


def node_name_from_function(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node(_note("named"))
    builder.add_edge(lab.START, "named")
    return _steps(lab.compile(builder))


def runs_again_on_every_turn(lab: Lab) -> Any:
    graph = lab.compile(_graph(lab, "ab", ("<", "a"), ("a", "b")), checkpointer=lab.saver())
    turns = [graph.invoke({"log": [str(n)]}, thread()) for n in range(3)]
    return {"turns": turns, "history": sources(graph, thread())}

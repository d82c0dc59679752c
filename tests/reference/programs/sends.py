"""`Send` and `Command`: fan-out with own input, jumps, and both mixed with edges."""

import operator
from typing import Annotated, Any, TypedDict

from tests.reference.lab import Lab, brief, noting, sources, thread
from tests.reference.programs.edges import State, _graph, _note, _steps


class Wide(TypedDict, total=False):
    x: int
    y: int
    log: Annotated[list[Any], operator.add]


def _workers(lab: Lab, items: Any, **more: Any) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("worker", lambda arg: {"log": [arg]})
    builder.add_node("end", _note("end"))
    builder.add_conditional_edges(lab.START, lambda s: [lab.Send("worker", i) for i in items], ["worker"])
    builder.add_edge("worker", "end")
    return builder


def sends_apply_in_order(lab: Lab) -> Any:
    return _steps(lab.compile(_workers(lab, [3, 1, 2])))


def sends_more_than_ten_apply_in_order(lab: Lab) -> Any:
    return _steps(lab.compile(_workers(lab, list(range(13)))))


def sends_task_events(lab: Lab) -> Any:
    graph = lab.compile(_workers(lab, ["p", {"k": 1}]), checkpointer=lab.saver())
    events = graph.stream({"log": []}, thread(), stream_mode=["tasks", "checkpoints"])
    return [e for e in events if "result" not in e[1]]


def sends_updates(lab: Lab) -> Any:
    graph = lab.compile(_workers(lab, ["p", "q"]))
    return sorted(graph.stream({"log": []}), key=str)


def sends_stored(lab: Lab) -> Any:
    saver = lab.saver()
    graph = lab.compile(_workers(lab, ["p", "q"]), checkpointer=saver)
    graph.invoke({"log": []}, thread())
    rows = lab.saved(saver, thread())
    return [r._replace(pending_writes=sorted(r.pending_writes, key=lambda w: str(w[1:]))) for r in rows]


def sends_empty_list(lab: Lab) -> Any:
    return _steps(lab.compile(_workers(lab, [])))


def sends_and_names_mixed(lab: Lab) -> Any:
    builder = _graph(lab, "abc", ("a", "c"))
    builder.add_conditional_edges(lab.START, lambda s: ["b", lab.Send("a", {"log": []}), "a"], ["a", "b"])
    return _steps(lab.compile(builder))


def sends_before_pulled_tasks(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", _note("a"))
    builder.add_node("z", lambda arg: {"log": [f"z{arg}"]})
    builder.add_edge(lab.START, "a")
    builder.add_conditional_edges(lab.START, lambda s: [lab.Send("z", 1), lab.Send("z", 2)], ["z"])
    return _steps(lab.compile(builder))


def sends_nested(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("outer", lambda arg: {"log": [f"outer{arg}"]})
    builder.add_node("inner", lambda arg: {"log": [f"inner{arg}"]})
    builder.add_conditional_edges(lab.START, lambda s: [lab.Send("outer", n) for n in (1, 2)], ["outer"])
    builder.add_conditional_edges(
        "outer", lambda s: [lab.Send("inner", len(s["log"])), lab.Send("inner", "x")]
    )
    return _steps(lab.compile(builder))


def send_branch_sees_what(lab: Lab) -> Any:
    seen: list[Any] = []
    builder = lab.StateGraph(State)
    builder.add_node("worker", lambda arg: {"log": [arg["n"]]})
    builder.add_conditional_edges(lab.START, lambda s: [lab.Send("worker", {"n": 1})], ["worker"])
    builder.add_conditional_edges("worker", noting(seen, lab.END))
    return [lab.compile(builder).invoke({"x": 5, "log": ["in"]}), seen]


def send_input_is_not_checked(lab: Lab) -> Any:
    seen: list[Any] = []
    builder = lab.StateGraph(State)
    builder.add_node("worker", lambda arg: seen.append(arg))
    builder.add_conditional_edges(
        lab.START, lambda s: [lab.Send("worker", {"alien": 1}), lab.Send("worker", 3)]
    )
    return [lab.compile(builder).invoke({"x": 5, "log": ["in"]}), sorted(seen, key=str)]


def send_to_unknown_node(lab: Lab) -> Any:
    builder = _graph(lab, "a")
    builder.add_conditional_edges(lab.START, lambda s: [lab.Send("nowhere", 1)], ["a"])
    graph = lab.compile(builder)
    return lab.error(lambda: graph.invoke({"log": []}), "nowhere")


def send_to_end(lab: Lab) -> Any:
    builder = _graph(lab, "a", ("<", "a"))
    builder.add_conditional_edges("a", lambda s: [lab.Send(lab.END, 1)])
    graph = lab.compile(builder)
    return lab.error(lambda: graph.invoke({"log": []}), "END")


def send_from_command(lab: Lab) -> Any:
    def start(state: Any) -> Any:
        return lab.Command(update={"log": ["start"]}, goto=[lab.Send("w", 1), lab.Send("w", 2)])

    builder = lab.StateGraph(State)
    builder.add_node("start", start, destinations=("w",))
    builder.add_node("w", lambda arg: {"log": [arg]})
    builder.add_edge(lab.START, "start")
    graph = lab.compile(builder, checkpointer=lab.saver())
    result = graph.stream({"log": []}, thread(), stream_mode=["updates", "values"])
    return [sorted(result, key=str), [brief(s) for s in graph.history(thread())]]


def send_single_from_command(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("start", lambda s: lab.Command(goto=lab.Send("w", 1)), destinations=("w",))
    builder.add_node("w", lambda arg: {"log": [arg]})
    builder.add_edge(lab.START, "start")
    return _steps(lab.compile(builder))


def map_reduce_with_join(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("plan", _note("plan"))
    builder.add_node("work", lambda arg: {"log": [arg * arg]})
    builder.add_node("sum", lambda s: {"x": sum(n for n in s["log"] if isinstance(n, int))})
    builder.add_edge(lab.START, "plan")
    builder.add_conditional_edges("plan", lambda s: [lab.Send("work", n) for n in range(1, 5)], ["work"])
    builder.add_edge("work", "sum")
    return _steps(lab.compile(builder))


def sends_two_conflict_on_a_plain_key(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("w", lambda arg: {"x": arg})
    builder.add_conditional_edges(lab.START, lambda s: [lab.Send("w", 1), lab.Send("w", 2)])
    graph = lab.compile(builder)
    return lab.error(lambda: graph.invoke({"log": []}), "x")


def command_update_and_goto(lab: Lab) -> Any:
    builder = _graph(lab, "bc", ("b", "c"))
    builder.add_node("a", lambda s: lab.Command(update={"log": ["a"], "x": 1}, goto="b"), destinations=("b",))
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder)
    return [_steps(graph), graph.stream({"log": []}), graph.stream({"log": []}, stream_mode="tasks")]


def command_goto_several(lab: Lab) -> Any:
    builder = _graph(lab, "bcd")
    builder.add_node("a", lambda s: lab.Command(goto=["d", "b", "c"]), destinations=("b", "c", "d"))
    builder.add_edge(lab.START, "a")
    return _steps(lab.compile(builder))


def command_goto_and_edge(lab: Lab) -> Any:
    builder = _graph(lab, "bc")
    builder.add_node("a", lambda s: lab.Command(goto="c"), destinations=("c",))
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "b")
    return _steps(lab.compile(builder))


def command_goto_end(lab: Lab) -> Any:
    builder = _graph(lab, "b")
    builder.add_node(
        "a", lambda s: lab.Command(update={"log": ["a"]}, goto=lab.END), destinations=("b", lab.END)
    )
    builder.add_edge(lab.START, "a")
    return _steps(lab.compile(builder))


def command_goto_unknown(lab: Lab) -> Any:
    builder = _graph(lab, "b")
    builder.add_node("a", lambda s: lab.Command(goto="nowhere"))
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder)
    return lab.error(lambda: graph.invoke({"log": []}), "nowhere")


def command_goto_undeclared(lab: Lab) -> Any:
    builder = _graph(lab, "b")
    builder.add_node("a", lambda s: lab.Command(goto="b"))
    builder.add_edge(lab.START, "a")
    return _steps(lab.compile(builder))


def command_empty(lab: Lab) -> Any:
    builder = _graph(lab, "b")
    builder.add_node("a", lambda s: lab.Command())
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder)
    return [_steps(graph), graph.stream({"log": []})]


def command_list(lab: Lab) -> Any:
    builder = _graph(lab, "bc")
    commands = [
        lab.Command(update={"log": ["one"]}, goto="c"),
        lab.Command(update={"log": ["two"]}, goto="b"),
    ]
    builder.add_node("a", lambda s: commands)
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder)
    return [_steps(graph), graph.stream({"log": []})]


def command_list_with_dict(lab: Lab) -> Any:
    builder = _graph(lab, "b")
    builder.add_node(
        "a", lambda s: [{"log": ["dict"]}, lab.Command(update={"log": ["two"], "x": 2}, goto="b")]
    )
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder)
    return [_steps(graph), graph.stream({"log": []}, stream_mode=["updates", "tasks"])]


def command_update_as_pairs(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: lab.Command(update=[("log", ["p"]), ("log", ["q"]), ("x", 4)]))
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder)
    return [graph.invoke({"log": []}), graph.stream({"log": []}, stream_mode=["updates", "tasks"])]


def command_as_input_update(lab: Lab) -> Any:
    builder = _graph(lab, "ab", ("<", "a"), ("a", "b"))
    graph = lab.compile(builder, checkpointer=lab.saver())
    result = lab.error(lambda: graph.invoke(lab.Command(update={"log": ["in"], "x": 1}), thread()))
    return [result, sources(graph, thread())]


def command_as_input_goto(lab: Lab) -> Any:
    builder = _graph(lab, "ab", ("<", "a"), ("a", "b"))
    graph = lab.compile(builder, checkpointer=lab.saver())
    graph.invoke({"log": ["in"]}, thread())
    result = lab.error(lambda: graph.invoke(lab.Command(goto="b"), thread()))
    return [result, sources(graph, thread())]


def command_as_input_goto_fresh(lab: Lab) -> Any:
    builder = _graph(lab, "ab", ("<", "a"), ("a", "b"))
    graph = lab.compile(builder, checkpointer=lab.saver())
    result = lab.error(lambda: graph.invoke(lab.Command(goto="b", update={"x": 3}), thread()))
    return [result, sources(graph, thread())]


def command_as_input_update_on_finished(lab: Lab) -> Any:
    builder = _graph(lab, "ab", ("<", "a"), ("a", "b"))
    graph = lab.compile(builder, checkpointer=lab.saver())
    graph.invoke({"log": ["in"]}, thread())
    result = lab.error(lambda: graph.invoke(lab.Command(update={"x": 9}), thread()))
    return [result, sources(graph, thread())]


def command_as_input_with_send(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("w", lambda arg: {"log": [arg]})
    builder.add_edge(lab.START, "w")
    graph = lab.compile(builder, checkpointer=lab.saver())
    result = lab.error(lambda: graph.invoke(lab.Command(goto=[lab.Send("w", 1), lab.Send("w", 2)]), thread()))
    return [result, sources(graph, thread())]


def command_as_input_without_saver(lab: Lab) -> Any:
    graph = lab.compile(_graph(lab, "ab", ("<", "a"), ("a", "b")))
    return [
        lab.error(lambda: graph.invoke(lab.Command(update={"log": ["in"]}))),
        lab.error(lambda: graph.invoke(lab.Command(goto="b"))),
    ]


def command_as_empty_input(lab: Lab) -> Any:
    graph = lab.compile(_graph(lab, "a", ("<", "a")), checkpointer=lab.saver())
    return lab.error(lambda: graph.invoke(lab.Command(), thread()))


def command_parent_at_the_root(lab: Lab) -> Any:
    builder = _graph(lab, "b")
    builder.add_node("a", lambda s: lab.Command(goto="b", graph=lab.Command.PARENT))
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder)
    return lab.error(lambda: graph.invoke({"log": []}))


def goto_with_a_join(lab: Lab) -> Any:
    builder = _graph(lab, "bcd", (["b", "c"], "d"))
    builder.add_node("a", lambda s: lab.Command(goto=["b", "c"]))
    builder.add_edge(lab.START, "a")
    return _steps(lab.compile(builder))


def send_and_edge_into_one_node(lab: Lab) -> Any:
    builder = lab.StateGraph(Wide)
    seen: list[Any] = []

    def node(state: Any) -> Any:
        seen.append(dict(state))
        return {"log": [state.get("y")]}

    builder.add_node("a", node)
    builder.add_edge(lab.START, "a")
    builder.add_conditional_edges(lab.START, lambda s: [lab.Send("a", {"y": 1})], ["a"])
    return [lab.compile(builder).invoke({"x": 0, "y": 7, "log": []}), sorted(seen, key=str)]

"""Graphs inside graphs, the rarer ways: time travel, retries, failures, other schemas, reuse."""

import dataclasses
import operator
from typing import Annotated, Any, TypedDict

from pydantic import BaseModel

from tests.reference.lab import Lab, brief, sources, thread


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[Any], operator.add]


class Plain(TypedDict, total=False):
    x: int
    text: str


@dataclasses.dataclass
class Data:
    x: int = 0
    text: str = "-"


class Model(BaseModel):
    x: int = 0
    text: str = "-"


def _child(lab: Lab, schema: Any = Plain, **options: Any) -> Any:
    builder = lab.StateGraph(schema)
    builder.add_node("one", lambda s: {"x": 1})
    builder.add_node("two", lambda s: {"x": 2})
    builder.add_edge(lab.START, "one")
    builder.add_edge("one", "two")
    return builder.compile(**options)


def _around(lab: Lab, child: Any, schema: Any = Plain, **options: Any) -> Any:
    builder = lab.StateGraph(schema)
    builder.add_node("sub", child)
    builder.add_node("after", lambda s: {"text": "after"})
    builder.add_edge(lab.START, "sub")
    builder.add_edge("sub", "after")
    return lab.compile(builder, checkpointer=lab.saver(), **options)


def replay_before_the_child(lab: Lab) -> Any:
    graph = _around(lab, _child(lab))
    graph.invoke({"x": 0}, thread())
    chosen = next(s for s in graph.history(thread()) if s.next == ("sub",))
    chunks = graph.stream(None, chosen.config, subgraphs=True)
    return [chunks, sources(graph, thread())]


def replay_inside_the_child(lab: Lab) -> Any:
    graph = _around(lab, _child(lab, interrupt_before=["two"]))
    graph.invoke({"x": 0}, thread())
    config = graph.state(thread()).tasks[0].state
    steps = graph.history(config)
    first = next(s for s in steps if s.next == ("one",))
    changed = graph.update(first.config, {"text": "changed"})
    return [
        [s.next for s in steps],
        graph.state(changed).values,
        lab.error(lambda: graph.stream(None, thread(), subgraphs=True)),
    ]


def history_of_the_child(lab: Lab) -> Any:
    graph = _around(lab, _child(lab, interrupt_before=["two"]))
    graph.invoke({"x": 0}, thread())
    config = graph.state(thread()).tasks[0].state
    return [graph.history(config), [brief(s) for s in graph.history(config, limit=1)]]


def task_states_in_the_parents_history(lab: Lab) -> Any:
    graph = _around(lab, _child(lab))
    graph.invoke({"x": 0}, thread())
    return [[t.state for t in s.tasks] for s in graph.history(thread())]


def one_child_as_two_nodes(lab: Lab) -> Any:
    child = lab.StateGraph(State)
    child.add_node("c", lambda s: {"log": [len(s["log"])]})
    child.add_edge(lab.START, "c")
    compiled = child.compile()
    builder = lab.StateGraph(State)
    builder.add_node("first", compiled)
    builder.add_node("second", compiled)
    builder.add_edge(lab.START, "first")
    builder.add_edge("first", "second")
    graph = lab.compile(builder, checkpointer=lab.saver())
    return graph.stream({"log": ["in"]}, thread(), subgraphs=True)


def retry_of_a_failing_child(lab: Lab) -> Any:
    runs: list[str] = []

    def one(state: Any) -> Any:
        runs.append("one")
        return {"x": 1}

    def two(state: Any) -> Any:
        runs.append("two")
        if runs.count("two") < 3:
            raise ValueError("again")
        return {"text": "done"}

    child = lab.StateGraph(Plain)
    child.add_node("one", one)
    child.add_node("two", two)
    child.add_edge(lab.START, "one")
    child.add_edge("one", "two")
    builder = lab.StateGraph(Plain)
    policy = lab.RetryPolicy(initial_interval=0.001, jitter=False, retry_on=ValueError)
    builder.add_node("sub", child.compile(), retry_policy=policy)
    builder.add_edge(lab.START, "sub")
    results = []
    for options in ({}, {"checkpointer": lab.saver()}):
        runs.clear()
        results.append([lab.compile(builder, **options).invoke({"x": 0}, thread()), list(runs)])
    return results


def failing_child_resumes_where_it_failed(lab: Lab) -> Any:
    runs: list[str] = []

    def node(name: str, fails: bool) -> Any:
        def run(state: Any) -> Any:
            runs.append(name)
            if fails and runs.count(name) == 1:
                raise ValueError("first time")
            return {"text": name}

        return run

    child = lab.StateGraph(Plain)
    child.add_node("one", node("one", False))
    child.add_node("two", node("two", True))
    child.add_edge(lab.START, "one")
    child.add_edge("one", "two")
    graph = _around(lab, child.compile())
    outcome = lab.error(lambda: graph.invoke({"x": 0}, thread()))
    return [outcome, graph.invoke(None, thread()), runs]


def child_of_another_kind_of_state(lab: Lab) -> Any:
    results = []
    for outer in (Plain, Data, Model):
        for inner in (Plain, Data, Model):
            builder = lab.StateGraph(outer)
            builder.add_node("sub", _child(lab, inner))
            builder.add_edge(lab.START, "sub")
            results.append([outer.__name__, inner.__name__, lab.compile(builder).invoke({"x": 0})])
    return results


def child_gets_only_its_keys(lab: Lab) -> Any:
    seen: list[Any] = []

    class Narrow(TypedDict, total=False):
        x: int

    child = lab.StateGraph(Narrow)
    child.add_node("c", lambda s: seen.append(dict(s)))
    child.add_edge(lab.START, "c")
    builder = lab.StateGraph(State)
    builder.add_node("sub", child.compile())
    builder.add_edge(lab.START, "sub")
    return [lab.compile(builder).stream({"x": 1, "log": [1]}, stream_mode=["updates", "tasks"]), seen]


def child_without_common_keys(lab: Lab) -> Any:
    class Foreign(TypedDict, total=False):
        z: int

    child = lab.StateGraph(Foreign)
    child.add_node("c", lambda s: {"z": 1})
    child.add_edge(lab.START, "c")
    builder = lab.StateGraph(State)
    builder.add_node("sub", child.compile())
    builder.add_edge(lab.START, "sub")
    graph = lab.compile(builder)
    return lab.error(lambda: graph.stream({"x": 1, "log": [1]}, stream_mode=["updates", "values"]))


def child_that_writes_nothing(lab: Lab) -> Any:
    child = lab.StateGraph(State)
    child.add_node("c", lambda s: None)
    child.add_edge(lab.START, "c")
    builder = lab.StateGraph(State)
    builder.add_node("sub", child.compile())
    builder.add_edge(lab.START, "sub")
    return lab.compile(builder).stream({"x": 1, "log": ["in"]}, stream_mode=["updates", "values"])


def child_in_a_conditional_loop(lab: Lab) -> Any:
    child = lab.StateGraph(Plain)
    child.add_node("c", lambda s: {"x": s["x"] + 1})
    child.add_edge(lab.START, "c")
    builder = lab.StateGraph(Plain)
    builder.add_node("sub", child.compile())
    builder.add_edge(lab.START, "sub")
    builder.add_conditional_edges("sub", lambda s: "sub" if s["x"] < 3 else lab.END)
    saver = lab.saver()
    graph = lab.compile(builder, checkpointer=saver)
    chunks = graph.stream({"x": 0}, thread(), subgraphs=True)
    rows = [
        [r.config["configurable"]["checkpoint_ns"], r.metadata["step"]] for r in lab.saved(saver, thread())
    ]
    return [chunks, len(rows)]


def children_in_parallel_with_memory(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    for name in "pq":
        child = lab.StateGraph(State)
        child.add_node("c", lambda s, name=name: {"x": s.get("x", 0) + 1})
        child.add_edge(lab.START, "c")
        compiled = child.compile(checkpointer=True)
        builder.add_node(name, lambda s, n=name, c=compiled: {"log": [[n, c.invoke({"log": []})["x"]]]})
        builder.add_edge(lab.START, name)
    graph = lab.compile(builder, checkpointer=lab.saver())
    return [graph.invoke({"log": []}, thread()) for _ in range(2)]


def child_with_memory_called_twice_in_a_node(lab: Lab) -> Any:
    child = lab.StateGraph(State)
    child.add_node("c", lambda s: {"x": s.get("x", 0) + 1})
    child.add_edge(lab.START, "c")
    compiled = child.compile(checkpointer=True)

    def call(state: Any) -> Any:
        return {"log": [compiled.invoke({"log": []})["x"], compiled.invoke({"log": []})["x"]]}

    builder = lab.StateGraph(State)
    builder.add_node("call", call)
    builder.add_edge(lab.START, "call")
    graph = lab.compile(builder, checkpointer=lab.saver())
    return lab.error(lambda: [graph.invoke({"log": []}, thread()) for _ in range(2)])


def child_called_on_another_thread(lab: Lab) -> Any:
    own = lab.InMemorySaver()
    child = lab.StateGraph(State)
    child.add_node("c", lambda s: {"log": ["c"]})
    child.add_edge(lab.START, "c")
    compiled = child.compile(checkpointer=own)
    builder = lab.StateGraph(State)
    builder.add_node("call", lambda s: {"log": compiled.invoke({"log": ["in"]}, thread("other"))["log"]})
    builder.add_edge(lab.START, "call")
    graph = lab.compile(builder, checkpointer=lab.saver())
    outcome = [graph.invoke({"log": []}, thread()) for _ in range(2)]
    return [outcome, [r.config["configurable"]["checkpoint_ns"] for r in own.list(thread("other"))]]


def child_called_with_a_config_of_its_own(lab: Lab) -> Any:
    """Which namespace and thread a called child gets, by the config it is given."""
    configs: list[Any] = [
        None,
        {"tags": ["t"]},
        {"configurable": {"user": "u"}},
        thread("1"),
        thread("2"),
        thread("2", checkpoint_ns="mine"),
    ]
    results = []
    for config in configs:
        seen: list[Any] = []
        child = lab.StateGraph(State)
        child.add_node("c", lambda s, config, seen=seen: seen.append(config["configurable"]))
        child.add_edge(lab.START, "c")
        compiled = child.compile()
        builder = lab.StateGraph(State)
        builder.add_node(
            "call", lambda s, child=compiled, given=config: child.invoke({"x": 1}, given) and None
        )
        builder.add_edge(lab.START, "call")
        saver = lab.saver()
        lab.compile(builder, checkpointer=saver).invoke({"log": []}, thread("1", user="root"))
        kept = {k: seen[0].get(k) for k in ("thread_id", "checkpoint_ns", "user", "checkpoint_map")}
        rows = {
            tuple(r.config["configurable"][k] for k in ("thread_id", "checkpoint_ns"))
            for r in lab.saved(saver, None)
        }
        results.append([config, kept, sorted(rows)])
    return results


def recursion_of_a_graph_into_itself(lab: Lab) -> Any:
    holder: list[Any] = []

    def node(state: Any) -> Any:
        if state["x"] == 0:
            return {"log": [0]}
        return {"log": [state["x"], *holder[0].invoke({"x": state["x"] - 1, "log": []})["log"]]}

    builder = lab.StateGraph(State)
    builder.add_node("a", node)
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder)
    holder.append(graph.graph)
    return graph.invoke({"x": 3, "log": []})


def parent_command_with_update_only(lab: Lab) -> Any:
    child = lab.StateGraph(State)
    child.add_node("c", lambda s: lab.Command(update={"log": ["up"]}, graph=lab.Command.PARENT))
    child.add_edge(lab.START, "c")
    builder = lab.StateGraph(State)
    builder.add_node("sub", child.compile())
    builder.add_node("after", lambda s: {"log": ["after"]})
    builder.add_edge(lab.START, "sub")
    builder.add_edge("sub", "after")
    return lab.compile(builder).stream({"log": ["in"]}, stream_mode=["updates", "values"])


def parent_command_beside_an_edge(lab: Lab) -> Any:
    child = lab.StateGraph(State)
    child.add_node("c", lambda s: lab.Command(goto="jumped", graph=lab.Command.PARENT))
    child.add_edge(lab.START, "c")
    builder = lab.StateGraph(State)
    builder.add_node("sub", child.compile(), destinations=("jumped",))
    builder.add_node("jumped", lambda s: {"log": ["jumped"]})
    builder.add_node("after", lambda s: {"log": ["after"]})
    builder.add_edge(lab.START, "sub")
    builder.add_edge("sub", "after")
    return lab.compile(builder).invoke({"log": ["in"]})


def parent_command_to_an_unknown_node(lab: Lab) -> Any:
    child = lab.StateGraph(State)
    child.add_node("c", lambda s: lab.Command(goto="nowhere", graph=lab.Command.PARENT))
    child.add_edge(lab.START, "c")
    builder = lab.StateGraph(State)
    builder.add_node("sub", child.compile())
    builder.add_edge(lab.START, "sub")
    graph = lab.compile(builder)
    return lab.error(lambda: graph.invoke({"log": ["in"]}), "nowhere")


def parent_command_from_a_called_child(lab: Lab) -> Any:
    child = lab.StateGraph(State)
    child.add_node(
        "c", lambda s: lab.Command(goto="jumped", update={"log": ["up"]}, graph=lab.Command.PARENT)
    )
    child.add_edge(lab.START, "c")
    compiled = child.compile()
    builder = lab.StateGraph(State)
    builder.add_node("call", lambda s: compiled.invoke({"log": []}), destinations=("jumped",))
    builder.add_node("jumped", lambda s: {"log": ["jumped"]})
    builder.add_edge(lab.START, "call")
    return lab.compile(builder).invoke({"log": ["in"]})


def durability_of_a_child(lab: Lab) -> Any:
    result = {}
    for mode in ("sync", "exit"):
        saver = lab.saver()
        graph = lab.compile(_around(lab, _child(lab)).graph.builder, checkpointer=saver)
        graph.invoke({"x": 0}, thread(), durability=mode)
        rows = lab.saved(saver, thread())
        spaces = [r.config["configurable"]["checkpoint_ns"].split(":")[0] for r in rows]
        result[mode] = [
            [n, r.metadata["source"], r.metadata["step"]] for n, r in zip(spaces, rows, strict=True)
        ]
    return result

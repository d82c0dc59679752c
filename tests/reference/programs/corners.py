"""Corners of streams, routing and state that programs lean on without noticing."""

import dataclasses
import operator
from typing import Annotated, Any, TypedDict

from pydantic import BaseModel

from tests.reference.lab import Lab, brief, noting, sources, thread


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[Any], operator.add]


class Model(BaseModel):
    x: int
    log: Annotated[list[Any], operator.add] = []


@dataclasses.dataclass
class Part:
    x: int
    y: int = 7


def _graph(lab: Lab, schema: Any, *nodes: tuple[str, Any], **options: Any) -> Any:
    """A chain of nodes."""
    builder = lab.StateGraph(schema)
    last = lab.START
    for name, node in nodes:
        builder.add_node(name, node)
        builder.add_edge(last, name)
        last = name
    return lab.compile(builder, **options)


def values_when_a_node_writes_nothing(lab: Lab) -> Any:
    graph = _graph(lab, State, ("a", lambda s: None), ("b", lambda s: {"x": 2}), ("c", lambda s: {}))
    return graph.stream({"x": 1}, stream_mode=["values", "updates"])


def values_when_a_node_writes_the_same(lab: Lab) -> Any:
    graph = _graph(lab, State, ("a", lambda s: {"x": 1}), ("b", lambda s: {"log": []}))
    return graph.stream({"x": 1}, stream_mode="values")


def checkpoints_when_a_node_writes_nothing(lab: Lab) -> Any:
    graph = _graph(lab, State, ("a", lambda s: None), ("b", lambda s: {}), checkpointer=lab.saver())
    chunks = graph.stream({"x": 1}, thread(), stream_mode=["checkpoints", "values"])
    return [chunks, [brief(s) for s in graph.history(thread())]]


def parallel_tasks_in_every_mode(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    for name in "ab":
        builder.add_node(name, lambda s, name=name: {"log": [name]})
        builder.add_edge(lab.START, name)
    graph = lab.compile(builder, checkpointer=lab.saver())
    chunks = graph.stream({"log": []}, thread(), stream_mode=["values", "updates", "tasks", "checkpoints"])
    starts = [i for i, (mode, c) in enumerate(chunks) if mode == "tasks" and "triggers" in c]
    results = [i for i, (mode, c) in enumerate(chunks) if mode == "tasks" and "result" in c]
    modes = [mode for mode, _ in chunks]
    return [modes, starts, results, [chunks[i][1]["name"] for i in starts]]


def private_key_is_in_the_result(lab: Lab) -> Any:
    class Secret(TypedDict):
        secret: int

    def second(state: Secret) -> Any:
        return {"x": state["secret"]}

    graph = _graph(lab, State, ("first", lambda s: {"secret": 4}), ("second", second))
    return [graph.invoke({"x": 1}), graph.stream({"x": 1}, stream_mode="values")]


def output_schema_in_every_mode(lab: Lab) -> Any:
    class Out(TypedDict, total=False):
        x: int

    builder = lab.StateGraph(State, output_schema=Out)
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_node("b", lambda s: {"x": 5})
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "b")
    graph = lab.compile(builder, checkpointer=lab.saver())
    chunks = graph.stream({"x": 1, "log": []}, thread("1"), stream_mode=["values", "updates", "tasks"])
    return [chunks, graph.invoke({"x": 1, "log": []}, thread("2")), graph.state(thread("2")).values]


def branch_function_gets_the_model(lab: Lab) -> Any:
    seen: list[Any] = []

    def route(state: Any) -> Any:
        seen.append(state)
        return "b"

    builder = lab.StateGraph(Model)
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_node("b", lambda s: {"log": ["b"]})
    builder.add_edge(lab.START, "a")
    builder.add_conditional_edges("a", route, ["b"])
    return [lab.compile(builder).invoke({"x": 1}), seen]


def branch_function_with_a_schema_of_its_own(lab: Lab) -> Any:
    seen: list[Any] = []

    def route(state: Part) -> Any:
        seen.append(state)
        return "b"

    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_node("b", lambda s: {"log": ["b"]})
    builder.add_edge(lab.START, "a")
    builder.add_conditional_edges("a", route, ["b"])
    return [lab.compile(builder).invoke({"x": 1, "log": []}), seen]


def node_annotated_with_a_part_of_the_state(lab: Lab) -> Any:
    seen: list[Any] = []

    def node(state: Part) -> Any:
        seen.append(state)
        return {"y": 3}

    graph = _graph(lab, State, ("a", node), ("b", lambda s: seen.append(dict(s))))
    return [graph.invoke({"x": 1, "log": []}), seen]


def send_to_a_node_with_a_model(lab: Lab) -> Any:
    seen: list[Any] = []

    def worker(state: Part) -> Any:
        seen.append(state)
        return {"log": [type(state).__name__]}

    builder = lab.StateGraph(State)
    builder.add_node("w", worker)
    builder.add_conditional_edges(lab.START, lambda s: [lab.Send("w", {"x": 1})], ["w"])
    return [lab.compile(builder).invoke({"log": []}), seen]


def send_of_a_model_object(lab: Lab) -> Any:
    seen: list[Any] = []
    builder = lab.StateGraph(State)
    builder.add_node("w", lambda arg: seen.append(arg))
    builder.add_conditional_edges(lab.START, lambda s: [lab.Send("w", Part(1, 2))], ["w"])
    return [lab.compile(builder).invoke({"log": []}), seen]


def send_with_a_branch_on_the_worker(lab: Lab) -> Any:
    seen: list[Any] = []
    builder = lab.StateGraph(State)
    builder.add_node("w", lambda arg: {"log": [arg["n"]]})
    builder.add_node("after", lambda s: {"log": ["after"]})
    builder.add_conditional_edges(lab.START, lambda s: [lab.Send("w", {"n": n}) for n in (1, 2)], ["w"])
    builder.add_conditional_edges("w", noting(seen, "after"), ["after"])
    return [lab.compile(builder).invoke({"x": 9, "log": []}), sorted(seen, key=str)]


def command_goto_forms(lab: Lab) -> Any:
    results = []
    for goto in ((), [], "b", ["b"], ("b", "c"), [lab.END], [lab.END, "b"], ["b", "b"]):
        builder = lab.StateGraph(State)
        builder.add_node("a", lambda s, goto=goto: lab.Command(goto=goto), destinations=("b", "c"))
        for name in "bc":
            builder.add_node(name, lambda s, name=name: {"log": [name]})
        builder.add_edge(lab.START, "a")
        graph = lab.compile(builder)
        results.append(lab.error(lambda g=graph: g.invoke({"log": []})))
    return results


def command_goto_send_and_name(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: lab.Command(goto=["b", lab.Send("w", 1)]), destinations=("b", "w"))
    builder.add_node("b", lambda s: {"log": ["b"]})
    builder.add_node("w", lambda arg: {"log": [arg]})
    builder.add_edge(lab.START, "a")
    return lab.compile(builder).invoke({"log": []})


def command_update_of_every_kind(lab: Lab) -> Any:
    updates: list[Any] = [None, {}, {"x": 2}, [("x", 3)], (("x", 4),), Part(5), Model(x=6), 7, {"alien": 1}]
    results = []
    for update in updates:
        graph = _graph(lab, State, ("a", lambda s, update=update: lab.Command(update=update)))
        results.append(lab.error(lambda g=graph: g.invoke({"x": 1, "log": []})))
    return results


def command_with_resume_returned_by_a_node(lab: Lab) -> Any:
    graph = _graph(lab, State, ("a", lambda s: lab.Command(resume="x", update={"x": 2})))
    return lab.error(lambda: graph.invoke({"x": 1, "log": []}))


def join_of_a_node_that_runs_twice(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    for name in "abcj":
        builder.add_node(name, lambda s, name=name: {"log": [name]})
    builder.add_edge(lab.START, "a")
    builder.add_edge(lab.START, "b")
    builder.add_conditional_edges("a", lambda s: "a" if s["log"].count("a") < 3 else lab.END)
    builder.add_edge("b", "c")
    builder.add_edge(["a", "c"], "j")
    return lab.compile(builder).invoke({"log": []})


def langchain_runnables_as_nodes(lab: Lab) -> Any:
    from langchain_core.runnables import RunnableLambda

    first: Any = RunnableLambda(lambda s: {"x": s["x"] + 1})
    second: Any = RunnableLambda(lambda s: {"x": s["x"] * 10}) | RunnableLambda(lambda s: {**s, "log": ["r"]})
    graph = _graph(lab, State, ("first", first), ("second", second))
    return graph.stream({"x": 1, "log": []}, stream_mode=["values", "updates"])


def graph_inside_a_langchain_chain(lab: Lab) -> Any:
    from langchain_core.runnables import RunnableLambda

    graph = _graph(lab, State, ("a", lambda s: {"x": s["x"] + 1})).graph
    chain: Any = (
        RunnableLambda(lambda n: {"x": n}) | RunnableLambda(graph.invoke) | RunnableLambda(lambda s: s["x"])
    )
    return chain.invoke(4)


def same_builder_compiled_twice(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_node("b", lambda s: {"log": ["b"]})
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "b")
    stopping = lab.compile(builder, checkpointer=lab.saver(), interrupt_before=["b"])
    free = lab.compile(builder)
    return [stopping.invoke({"log": []}, thread()), free.invoke({"log": []})]


def node_changes_the_input_of_the_caller(lab: Lab) -> Any:
    given = {"x": 1, "log": ["in"]}

    def node(state: Any) -> Any:
        state["x"] = 50
        return {}

    graph = _graph(lab, State, ("a", node), checkpointer=lab.saver())
    return [graph.invoke(given, thread()), given]


def siblings_do_not_see_each_others_changes(lab: Lab) -> Any:
    seen: list[Any] = []

    def node(state: Any) -> Any:
        seen.append(state["x"])
        state["x"] += 100
        return {}

    builder = lab.StateGraph(State)
    for name in "abc":
        builder.add_node(name, node)
        builder.add_edge(lab.START, name)
    return [lab.compile(builder).invoke({"x": 1, "log": []}), seen]


def step_numbers_over_interrupts_and_updates(lab: Lab) -> Any:
    nodes = [(n, lambda s, n=n: {"log": [n]}) for n in "abc"]
    graph = _graph(lab, State, *nodes, checkpointer=lab.saver(), interrupt_before=["b"])
    graph.invoke({"log": []}, thread())
    graph.update(thread(), {"x": 1})
    graph.update(thread(), {"x": 2})
    graph.invoke(None, thread())
    graph.invoke({"log": ["2"]}, thread())
    return sources(graph, thread())


def tags_metadata_and_names_in_streams(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"x": 2}, metadata={"own": 1, "both": "node"})
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder, checkpointer=lab.saver())
    config = {**thread(user="u"), "tags": ["t"], "metadata": {"both": "call", "m": [1]}, "run_name": "n"}
    chunks = graph.stream({"x": 1}, config, stream_mode=["tasks", "checkpoints"])
    return [chunks, graph.state(thread()).metadata]


def keys_that_look_special(lab: Lab) -> Any:
    schema: Any = TypedDict("schema", {"a b": int, "ü": int, "__x": int, "class": int, "": int}, total=False)
    graph = _graph(lab, schema, ("n", lambda s: {k: v + 1 for k, v in s.items()}), checkpointer=lab.saver())
    given = {"a b": 1, "ü": 2, "__x": 3, "class": 4, "": 5}
    return [graph.invoke(given, thread()), graph.state(thread()).values]


def schema_inherits(lab: Lab) -> Any:
    class Child(State, total=False):
        extra: Annotated[list[int], operator.add]

    graph = _graph(lab, Child, ("a", lambda s: {"log": ["a"], "extra": [1]}))
    return [graph.invoke({"x": 1, "log": [], "extra": [0]}), graph.graph.output_channels]


def thirty_steps_and_many_nodes(lab: Lab) -> Any:
    nodes = [(f"n{n}", lambda s, n=n: {"x": s["x"] + n}) for n in range(30)]
    graph = _graph(lab, State, *nodes, checkpointer=lab.saver())
    result = graph.invoke({"x": 0, "log": []}, {**thread(), "recursion_limit": 40})
    return [result, len(graph.history(thread()))]


def default_recursion_limit(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"x": s["x"] + 1})
    builder.add_edge(lab.START, "a")
    builder.add_conditional_edges("a", lambda s: "a" if s["x"] < 60 else lab.END)
    graph = lab.compile(builder)
    return lab.error(lambda: graph.invoke({"x": 0, "log": []}), "25", "recursion_limit")

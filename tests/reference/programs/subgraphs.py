"""Graphs inside graphs: as nodes, called in nodes, with every kind of checkpointer, paused, jumped out of."""

import operator
from typing import Annotated, Any, TypedDict

from tests.reference.lab import Lab, brief, sources, thread


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[Any], operator.add]


class Other(TypedDict, total=False):
    y: int
    notes: Annotated[list[Any], operator.add]


class Plain(TypedDict, total=False):
    x: int
    text: str


def _asking_child(lab: Lab, schema: Any = Plain, **options: Any) -> Any:
    builder = lab.StateGraph(schema)
    builder.add_node("c1", lambda s: {"x": s.get("x", 0) + 1})
    builder.add_node("c2", lambda s: {"text": f"answer {lab.interrupt('child?')}"})
    builder.add_edge(lab.START, "c1")
    builder.add_edge("c1", "c2")
    return builder.compile(**options)


def _parent(lab: Lab, child: Any, **options: Any) -> Any:
    builder = lab.StateGraph(Plain)
    builder.add_node("first", lambda s: {"x": 10})
    builder.add_node("child", child)
    builder.add_node("last", lambda s: {"x": s["x"] + 100})
    builder.add_edge(lab.START, "first")
    builder.add_edge("first", "child")
    builder.add_edge("child", "last")
    return lab.compile(builder, checkpointer=lab.saver(), **options)


def shared_keys_doubled_by_reducer(lab: Lab) -> Any:
    child = lab.StateGraph(State)
    child.add_node("c", lambda s: {"log": ["c"]})
    child.add_edge(lab.START, "c")
    builder = lab.StateGraph(State)
    builder.add_node("sub", child.compile())
    builder.add_edge(lab.START, "sub")
    return lab.compile(builder).invoke({"log": ["in"]})


def child_with_some_shared_keys(lab: Lab) -> Any:
    class Child(TypedDict, total=False):
        x: int
        own: int

    child = lab.StateGraph(Child)
    child.add_node("c", lambda s: {"own": s["x"] + 1})
    child.add_node("d", lambda s: {"x": s["own"] * 2})
    child.add_edge(lab.START, "c")
    child.add_edge("c", "d")
    builder = lab.StateGraph(State)
    builder.add_node("sub", child.compile())
    builder.add_edge(lab.START, "sub")
    return lab.compile(builder).stream({"x": 1}, stream_mode=["values", "updates"], subgraphs=True)


def child_with_output_schema(lab: Lab) -> Any:
    class Out(TypedDict, total=False):
        x: int

    child = lab.StateGraph(State, output_schema=Out)
    child.add_node("c", lambda s: {"x": 5, "log": ["c"]})
    child.add_edge(lab.START, "c")
    builder = lab.StateGraph(State)
    builder.add_node("sub", child.compile())
    builder.add_edge(lab.START, "sub")
    return lab.compile(builder).stream({"x": 1, "log": ["in"]}, stream_mode=["values", "updates"])


def called_in_a_node(lab: Lab) -> Any:
    child = lab.StateGraph(Other)
    child.add_node("c", lambda s: {"y": s["y"] * 2, "notes": ["c"]})
    child.add_edge(lab.START, "c")
    compiled = child.compile()

    def call(state: Any) -> Any:
        return {"x": compiled.invoke({"y": state["x"], "notes": []})["y"]}

    builder = lab.StateGraph(State)
    builder.add_node("call", call)
    builder.add_edge(lab.START, "call")
    saver = lab.saver()
    graph = lab.compile(builder, checkpointer=saver)
    chunks = graph.stream({"x": 4}, thread(), stream_mode=["updates", "values"], subgraphs=True)
    return [chunks, graph.state(thread()).values]


def called_in_a_node_async(lab: Lab) -> Any:
    child = lab.StateGraph(Other)
    child.add_node("c", lambda s: {"y": s["y"] * 2})
    child.add_edge(lab.START, "c")
    compiled = child.compile()

    async def call(state: Any) -> Any:
        return {"x": (await compiled.ainvoke({"y": state["x"]}))["y"]}

    builder = lab.StateGraph(State)
    builder.add_node("call", call)
    builder.add_edge(lab.START, "call")
    graph = lab.compile(builder)
    return lab.error(lambda: graph.stream({"x": 4}, stream_mode=["updates", "values"], subgraphs=True))


def called_with_config_passed_on(lab: Lab) -> Any:
    child = lab.StateGraph(Other)
    child.add_node("c", lambda s: {"y": s["y"] * 2})
    child.add_edge(lab.START, "c")
    compiled = child.compile()

    builder = lab.StateGraph(State)
    builder.add_node("call", lambda state, config: {"x": compiled.invoke({"y": state["x"]}, config)["y"]})
    builder.add_edge(lab.START, "call")
    graph = lab.compile(builder, checkpointer=lab.saver())
    return graph.stream({"x": 4}, thread(), stream_mode="updates", subgraphs=True)


def called_twice_in_a_node(lab: Lab) -> Any:
    child = lab.StateGraph(Other)
    child.add_node("c", lambda s: {"y": s["y"] * 2})
    child.add_edge(lab.START, "c")
    compiled = child.compile()

    def call(state: Any) -> Any:
        return {"x": compiled.invoke({"y": compiled.invoke({"y": state["x"]})["y"]})["y"]}

    builder = lab.StateGraph(State)
    builder.add_node("call", call)
    builder.add_edge(lab.START, "call")
    saver = lab.saver()
    graph = lab.compile(builder, checkpointer=saver)
    chunks = lab.error(lambda: graph.stream({"x": 4}, thread(), stream_mode=["updates"], subgraphs=True))
    rows = [[r.config, r.metadata] for r in lab.saved(saver, thread())]
    return [chunks, rows]


def paused_in_child_node(lab: Lab) -> Any:
    graph = _parent(lab, _asking_child(lab))
    first = graph.invoke({"text": "in"}, thread())
    outer, deep = graph.state(thread()), graph.state(thread(), subgraphs=True)
    last = graph.invoke(lab.Command(resume="yes"), thread())
    return {"first": first, "outer": outer, "deep": deep, "last": last, "history": sources(graph, thread())}


def paused_in_child_node_streams(lab: Lab) -> Any:
    graph = _parent(lab, _asking_child(lab))
    modes = ["values", "updates", "tasks", "checkpoints"]
    first = graph.stream({"text": "in"}, thread(), stream_mode=modes, subgraphs=True)
    second = graph.stream(lab.Command(resume="yes"), thread(), stream_mode=modes, subgraphs=True)
    return {"first": first, "second": second}


def paused_in_child_node_stored(lab: Lab) -> Any:
    saver = lab.saver()
    graph = lab.compile(_parent(lab, _asking_child(lab)).graph.builder, checkpointer=saver)
    graph.invoke({"text": "in"}, thread())
    paused = lab.saved(saver, thread())
    graph.invoke(lab.Command(resume="yes"), thread())
    done = [[r.config, r.metadata, r.parent_config, r.pending_writes] for r in lab.saved(saver, thread())]
    return {"paused": paused, "done": done}


def state_of_the_child_by_its_config(lab: Lab) -> Any:
    graph = _parent(lab, _asking_child(lab))
    graph.invoke({"text": "in"}, thread())
    config = graph.state(thread()).tasks[0].state
    return [graph.state(config), [brief(s) for s in graph.history(config)]]


def update_the_child_state(lab: Lab) -> Any:
    graph = _parent(lab, _asking_child(lab))
    graph.invoke({"text": "in"}, thread())
    config = graph.state(thread()).tasks[0].state
    changed = graph.update(config, {"x": 1000})
    state = graph.state(thread(), subgraphs=True)
    return [changed, state, graph.invoke(lab.Command(resume="yes"), thread())]


def update_the_child_as_its_node(lab: Lab) -> Any:
    graph = _parent(lab, _asking_child(lab))
    graph.invoke({"text": "in"}, thread())
    config = graph.state(thread()).tasks[0].state
    graph.update(config, {"text": "given"}, as_node="c2")
    state = graph.state(thread(), subgraphs=True)
    return [brief(state), brief(state.tasks[0].state), graph.invoke(None, thread())]


def update_the_parent_as_the_child(lab: Lab) -> Any:
    graph = _parent(lab, _asking_child(lab))
    graph.invoke({"text": "in"}, thread())
    graph.update(thread(), {"text": "skipped"}, as_node="child")
    return [brief(graph.state(thread())), graph.invoke(None, thread())]


def two_levels_paused(lab: Lab) -> Any:
    middle = lab.StateGraph(Plain)
    middle.add_node("inner", _asking_child(lab))
    middle.add_edge(lab.START, "inner")
    graph = _parent(lab, middle.compile())
    first = graph.invoke({"text": "in"}, thread())
    deep = graph.state(thread(), subgraphs=True)
    second = graph.stream(lab.Command(resume="yes"), thread(), subgraphs=True)
    return {"first": first, "deep": deep, "second": second}


def three_levels_namespaces(lab: Lab) -> Any:
    graph: Any = lab.StateGraph(Plain)
    graph.add_node("leaf", lambda s: {"x": 1})
    graph.add_edge(lab.START, "leaf")
    for name in ("low", "mid"):
        outer = lab.StateGraph(Plain)
        outer.add_node(name, graph.compile())
        outer.add_edge(lab.START, name)
        graph = outer
    return lab.compile(graph).stream({}, stream_mode="tasks", subgraphs=True)


def called_in_a_node_paused(lab: Lab) -> Any:
    child = _asking_child(lab)
    runs: list[str] = []

    def call(state: Any) -> Any:
        runs.append("call")
        return {"text": child.invoke({"x": state["x"]})["text"]}

    graph = _parent(lab, call)
    first = graph.invoke({"text": "in"}, thread())
    deep = graph.state(thread(), subgraphs=True)
    last = graph.invoke(lab.Command(resume="yes"), thread())
    return {"first": first, "deep": deep, "last": last, "runs": runs}


def child_steps_are_not_repeated_on_resume(lab: Lab) -> Any:
    runs: list[str] = []
    child = lab.StateGraph(Plain)

    def one(state: Any) -> Any:
        runs.append("one")
        return {"x": 1}

    def two(state: Any) -> Any:
        runs.append("two")
        return {"text": lab.interrupt("?")}

    child.add_node("one", one)
    child.add_node("two", two)
    child.add_edge(lab.START, "one")
    child.add_edge("one", "two")
    graph = _parent(lab, child.compile())
    graph.invoke({}, thread())
    return [graph.invoke(lab.Command(resume="!"), thread()), runs]


def _counting_child(lab: Lab, **options: Any) -> Any:
    builder = lab.StateGraph(Other)
    builder.add_node("count", lambda s: {"y": s.get("y", 0) + 1, "notes": ["run"]})
    builder.add_edge(lab.START, "count")
    return builder.compile(**options)


def _calls_counting_child(lab: Lab, **options: Any) -> Any:
    child = _counting_child(lab, **options)

    def call(state: Any) -> Any:
        result = child.invoke({"notes": ["call"]})
        return {"x": result["y"], "log": [result["notes"]]}

    builder = lab.StateGraph(State)
    builder.add_node("call", call)
    builder.add_edge(lab.START, "call")
    return builder


def _three_turns(lab: Lab, builder: Any) -> Any:
    saver = lab.saver()
    graph = lab.compile(builder, checkpointer=saver)
    turns = [lab.error(lambda: graph.invoke({"log": []}, thread())) for _ in range(3)]
    namespaces = sorted(
        {r.config["configurable"]["checkpoint_ns"].split(":")[0] for r in lab.saved(saver, None)}
    )
    return {"turns": turns, "namespaces": namespaces, "rows": len(lab.saved(saver, None))}


def checkpointer_of_the_child_unset(lab: Lab) -> Any:
    return _three_turns(lab, _calls_counting_child(lab))


def checkpointer_of_the_child_true(lab: Lab) -> Any:
    return _three_turns(lab, _calls_counting_child(lab, checkpointer=True))


def checkpointer_of_the_child_false(lab: Lab) -> Any:
    return _three_turns(lab, _calls_counting_child(lab, checkpointer=False))


def child_node_with_own_memory(lab: Lab) -> Any:
    class Shared(TypedDict, total=False):
        log: Annotated[list[Any], operator.add]
        y: int

    child = lab.StateGraph(Shared)
    child.add_node("count", lambda s: {"y": s.get("y", 0) + 1})
    child.add_edge(lab.START, "count")
    builder = lab.StateGraph(State)
    builder.add_node("sub", child.compile(checkpointer=True))
    builder.add_edge(lab.START, "sub")
    saver = lab.saver()
    graph = lab.compile(builder, checkpointer=saver)
    turns = [graph.stream({"log": [n]}, thread(), subgraphs=True) for n in (1, 2)]
    rows = [[r.config, r.metadata["source"], r.metadata["step"]] for r in lab.saved(saver, None)]
    return {"turns": turns, "rows": sorted(rows, key=str)}


def child_node_without_checkpointer_paused(lab: Lab) -> Any:
    graph = _parent(lab, _asking_child(lab, checkpointer=False))
    first = lab.error(lambda: graph.invoke({"text": "in"}, thread()))
    second = lab.error(lambda: graph.invoke(lab.Command(resume="yes"), thread()))
    return [first, brief(graph.state(thread())), second]


def root_checkpointer_true(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"x": 1})
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder, checkpointer=True)
    return lab.error(lambda: graph.invoke({"log": []}, thread()), "checkpointer")


def child_with_its_own_saver(lab: Lab) -> Any:
    own = lab.saver()
    return [_three_turns(lab, _calls_counting_child(lab, checkpointer=own)), len(lab.saved(own, None))]


def jump_to_the_parent(lab: Lab) -> Any:
    child = lab.StateGraph(State)
    child.add_node(
        "c", lambda s: lab.Command(update={"log": ["jump"], "x": 5}, goto="target", graph=lab.Command.PARENT)
    )
    child.add_node("never", lambda s: {"log": ["never"]})
    child.add_edge(lab.START, "c")
    child.add_edge("c", "never")
    builder = lab.StateGraph(State)
    builder.add_node("sub", child.compile(), destinations=("target",))
    builder.add_node("target", lambda s: {"log": ["target"]})
    builder.add_edge(lab.START, "sub")
    graph = lab.compile(builder, checkpointer=lab.saver())
    modes = ["values", "updates", "tasks"]
    chunks = graph.stream({"log": ["in"]}, thread(), stream_mode=modes, subgraphs=True)
    return [chunks, sources(graph, thread())]


def jump_to_the_parent_two_levels(lab: Lab) -> Any:
    leaf = lab.StateGraph(State)
    leaf.add_node("l", lambda s: lab.Command(update={"log": ["up"]}, goto="next", graph=lab.Command.PARENT))
    leaf.add_edge(lab.START, "l")
    middle = lab.StateGraph(State)
    middle.add_node("leaf", leaf.compile())
    middle.add_node("next", lambda s: {"log": ["middle next"]})
    middle.add_edge(lab.START, "leaf")
    builder = lab.StateGraph(State)
    builder.add_node("middle", middle.compile())
    builder.add_node("next", lambda s: {"log": ["root next"]})
    builder.add_edge(lab.START, "middle")
    graph = lab.compile(builder)
    return lab.error(lambda: graph.stream({"log": []}, subgraphs=True, stream_mode=["updates", "values"]))


def jump_to_the_parent_with_sends(lab: Lab) -> Any:
    child = lab.StateGraph(State)
    sends = [lab.Send("w", 1), lab.Send("w", 2)]
    child.add_node("c", lambda s: lab.Command(goto=sends, graph=lab.Command.PARENT))
    child.add_edge(lab.START, "c")
    builder = lab.StateGraph(State)
    builder.add_node("sub", child.compile())
    builder.add_node("w", lambda arg: {"log": [arg]})
    builder.add_edge(lab.START, "sub")
    return lab.compile(builder).invoke({"log": ["in"]})


def sends_to_a_subgraph(lab: Lab) -> Any:
    child = lab.StateGraph(Plain)
    child.add_node("c", lambda s: {"text": s["text"] * 2})
    child.add_edge(lab.START, "c")

    class Many(TypedDict, total=False):
        text: Annotated[str, operator.add]

    builder = lab.StateGraph(Many)
    builder.add_node("sub", child.compile())
    builder.add_conditional_edges(lab.START, lambda s: [lab.Send("sub", {"text": t}) for t in "ab"], ["sub"])
    graph = lab.compile(builder)
    return [
        graph.invoke({"text": "-"}),
        sorted(graph.stream({"text": "-"}, subgraphs=True), key=lambda c: str(c[1])),
    ]


def parallel_children_paused(lab: Lab) -> Any:
    builder = lab.StateGraph(Other)
    for name in ("p", "q"):
        child = lab.StateGraph(Other)
        child.add_node("ask", lambda s, name=name: {"notes": [f"{name}={lab.interrupt(name)}"]})
        child.add_edge(lab.START, "ask")
        builder.add_node(name, child.compile())
        builder.add_edge(lab.START, name)
    graph = lab.compile(builder, checkpointer=lab.saver())
    found = sorted(graph.invoke({"notes": []}, thread())["__interrupt__"], key=lambda i: i.value)
    answers = {item.id: item.value.upper() for item in found}
    last = graph.invoke(lab.Command(resume=answers), thread())
    return [found, last]


def failing_child(lab: Lab) -> Any:
    child = lab.StateGraph(Plain)

    def fail(state: Any) -> Any:
        raise ValueError("broken child")

    child.add_node("c1", lambda s: {"x": 5})
    child.add_node("c2", fail)
    child.add_edge(lab.START, "c1")
    child.add_edge("c1", "c2")
    graph = _parent(lab, child.compile())
    outcome = lab.error(lambda: graph.invoke({"text": "in"}, thread()))
    return [outcome, graph.state(thread(), subgraphs=True)]


def get_subgraphs(lab: Lab) -> Any:
    middle = lab.StateGraph(Plain)
    middle.add_node("inner", _asking_child(lab))
    middle.add_edge(lab.START, "inner")
    graph = _parent(lab, middle.compile())
    return [
        [name for name, _ in graph.graph.get_subgraphs()],
        [name for name, _ in graph.graph.get_subgraphs(recurse=True)],
        [name for name, _ in graph.graph.get_subgraphs(namespace="child")],
    ]

"""`get_state`, history, `update_state`, forks, replay: what each call shows and stores."""

import operator
from itertools import pairwise
from typing import Annotated, Any, TypedDict

from tests.reference.lab import Lab, brief, sources, thread


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[Any], operator.add]


def _running(runs: list[str], name: str) -> Any:
    def node(state: Any) -> Any:
        runs.append(name)
        return {"log": [name]}

    return node


def _chain(lab: Lab, names: str = "abc", **options: Any) -> Any:
    builder = lab.StateGraph(State)
    for name in names:
        builder.add_node(name, lambda s, name=name: {"log": [name], "x": s.get("x", 0) + 1})
    builder.add_edge(lab.START, names[0])
    for start, end in pairwise(names):
        builder.add_edge(start, end)
    saver = options.pop("saver", None)
    return lab.compile(builder, checkpointer=saver if saver is not None else lab.saver(), **options)


def _forked(lab: Lab) -> Any:
    """r routes to left or right by x."""
    builder = lab.StateGraph(State)
    for name in ("r", "left", "right"):
        builder.add_node(name, lambda s, name=name: {"log": [name]})
    builder.add_edge(lab.START, "r")
    builder.add_conditional_edges("r", lambda s: "left" if s["x"] < 0 else "right", ["left", "right"])
    return lab.compile(builder, checkpointer=lab.saver())


def documented_four_checkpoints(lab: Lab) -> Any:
    class Documented(TypedDict):
        foo: str
        bar: Annotated[list[str], operator.add]

    builder = lab.StateGraph(Documented)
    builder.add_node("node_a", lambda s: {"foo": "a", "bar": ["a"]})
    builder.add_node("node_b", lambda s: {"foo": "b", "bar": ["b"]})
    builder.add_edge(lab.START, "node_a")
    builder.add_edge("node_a", "node_b")
    builder.add_edge("node_b", lab.END)
    saver = lab.saver()
    graph = lab.compile(builder, checkpointer=saver)
    result = graph.invoke({"foo": ""}, thread())
    return {
        "result": result,
        "state": graph.state(thread()),
        "history": graph.history(thread()),
        "stored": lab.saved(saver, thread()),
    }


def state_of_unknown_thread(lab: Lab) -> Any:
    return _chain(lab).state(thread("nobody"))


def history_of_unknown_thread(lab: Lab) -> Any:
    return _chain(lab).history(thread("nobody"))


def state_of_unknown_checkpoint(lab: Lab) -> Any:
    graph = _chain(lab)
    graph.invoke({"log": []}, thread())
    return graph.state(thread(checkpoint_id="1ef4f797-8335-6428-8001-8a1503f9b875"))


def state_without_thread_id(lab: Lab) -> Any:
    graph = _chain(lab)
    return lab.error(lambda: graph.state({"configurable": {}}), "thread_id")


def state_without_saver(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {})
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder)
    return [
        lab.error(lambda: graph.state(thread()), "checkpointer"),
        lab.error(lambda: graph.history(thread()), "checkpointer"),
        lab.error(lambda: graph.update(thread(), {"x": 1}), "checkpointer"),
    ]


def invoke_without_thread_id(lab: Lab) -> Any:
    graph = _chain(lab)
    return [
        lab.error(lambda: graph.invoke({"log": []}), "thread_id"),
        lab.error(lambda: graph.invoke({"log": []}, {"configurable": {}}), "thread_id"),
    ]


def state_at_a_checkpoint(lab: Lab) -> Any:
    graph = _chain(lab)
    graph.invoke({"log": []}, thread())
    return [graph.state(snapshot.config) for snapshot in graph.history(thread())]


def history_filter_before_limit(lab: Lab) -> Any:
    graph = _chain(lab)
    for turn in range(2):
        graph.invoke(
            {"log": [turn]},
            thread(),
        )
    steps = [s.metadata["step"] for s in graph.history(thread())]
    before = graph.history(thread())[2].config
    return {
        "all": steps,
        "limit": [s.metadata["step"] for s in graph.history(thread(), limit=3)],
        "before": [s.metadata["step"] for s in graph.history(thread(), before=before)],
        "before and limit": [s.metadata["step"] for s in graph.history(thread(), before=before, limit=2)],
        "filter source": [s.metadata["step"] for s in graph.history(thread(), filter={"source": "input"})],
        "filter step": [s.metadata["step"] for s in graph.history(thread(), filter={"step": 1})],
        "filter none": [s.metadata["step"] for s in graph.history(thread(), filter={"source": "nothing"})],
        "limit 0": [s.metadata["step"] for s in graph.history(thread(), limit=0)],
    }


def history_filter_by_own_metadata(lab: Lab) -> Any:
    graph = _chain(lab)
    for who in ("ann", "bob"):
        graph.invoke({"log": [who]}, {**thread(), "metadata": {"who": who}})
    found = graph.history(thread(), filter={"who": "bob"})
    return [[s.metadata, s.values] for s in found]


def history_from_a_checkpoint(lab: Lab) -> Any:
    graph = _chain(lab)
    graph.invoke({"log": []}, thread())
    config = graph.history(thread())[2].config
    return [s.metadata["step"] for s in graph.history(config)]


def replay_from_checkpoint(lab: Lab) -> Any:
    runs: list[str] = []
    builder = lab.StateGraph(State)
    for name in "abc":
        builder.add_node(name, _running(runs, name))
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "b")
    builder.add_edge("b", "c")
    graph = lab.compile(builder, checkpointer=lab.saver())
    graph.invoke({"log": []}, thread())
    runs.clear()
    chosen = graph.history(thread())[2]
    chunks = graph.stream(None, chosen.config, stream_mode=["updates", "values", "tasks"])
    return {"runs": list(runs), "chunks": chunks, "history": sources(graph, thread())}


def replay_from_the_last_checkpoint(lab: Lab) -> Any:
    graph = _chain(lab)
    graph.invoke({"log": []}, thread())
    result = graph.invoke(None, graph.state(thread()).config)
    return [result, graph.invoke(None, thread()), len(graph.history(thread()))]


def replay_of_a_paused_head_by_its_id(lab: Lab) -> Any:
    runs: list[str] = []
    builder = lab.StateGraph(State)
    builder.add_node("good", _running(runs, "good"))
    builder.add_node("ask", lambda s: {"log": [lab.interrupt("?")]})
    builder.add_edge(lab.START, "good")
    builder.add_edge(lab.START, "ask")
    graph = lab.compile(builder, checkpointer=lab.saver())
    graph.invoke({"log": []}, thread())
    stages = []
    for _ in range(3):
        result = graph.invoke(None, graph.state(thread()).config)
        stages.append([result, list(runs), sources(graph, thread())])
    graph.invoke(lab.Command(resume="!"), thread())
    return [stages, graph.state(thread()).values, runs]


def replay_of_an_answered_head_by_its_id(lab: Lab) -> Any:
    fails = [True]

    def ask(state: Any) -> Any:
        answer = lab.interrupt("?")
        if fails:
            fails.pop()
            raise ValueError("after the answer")
        return {"log": [answer]}

    builder = lab.StateGraph(State)
    builder.add_node("ask", ask)
    builder.add_edge(lab.START, "ask")
    graph = lab.compile(builder, checkpointer=lab.saver())
    graph.invoke({"log": []}, thread())
    graph.invoke(None, graph.state(thread()).config)
    failed = lab.error(lambda: graph.invoke(lab.Command(resume="x"), thread()))
    again = graph.invoke(None, graph.state(thread()).config)
    return [failed, again, sources(graph, thread())]


def replay_of_an_update_by_its_id(lab: Lab) -> Any:
    graph = _chain(lab, "ab")
    graph.invoke({"log": []}, thread())
    config = graph.update(thread(), {"log": ["hand"]}, as_node="a")
    shown = []
    for _ in range(3):
        graph.invoke(None, config)
        shown.append(sources(graph, thread()))
    return shown


def replay_of_an_older_update_that_never_ran(lab: Lab) -> Any:
    graph = _chain(lab, "ab")
    graph.invoke({"log": []}, thread())
    first = graph.update(thread(), {"log": ["one"]}, as_node="a")
    graph.update(thread(), {"log": ["two"]}, as_node="a")
    graph.invoke(None, first)
    return sources(graph, thread())


def replay_of_an_update_that_ran_and_is_the_head(lab: Lab) -> Any:
    graph = _chain(lab, "ab", interrupt_before=["b"])
    graph.invoke({"log": []}, thread())
    config = graph.update(thread(), {"log": ["hand"]})
    shown = []
    for _ in range(3):
        graph.invoke(None, config)
        shown.append(sources(graph, thread()))
    return shown


def replay_with_input(lab: Lab) -> Any:
    graph = _chain(lab)
    graph.invoke({"log": []}, thread())
    chosen = graph.history(thread())[2]
    return [graph.invoke({"log": ["in"]}, chosen.config), sources(graph, thread())]


def replay_of_an_interrupt(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("ask", lambda s: {"log": [lab.interrupt("?")]})
    builder.add_node("after", lambda s: {"log": ["after"]})
    builder.add_edge(lab.START, "ask")
    builder.add_edge("ask", "after")
    graph = lab.compile(builder, checkpointer=lab.saver())
    graph.invoke({"log": []}, thread())
    graph.invoke(lab.Command(resume="one"), thread())
    chosen = [s for s in graph.history(thread()) if s.next == ("ask",)][-1]
    again = graph.invoke(None, chosen.config)
    state = brief(graph.state(thread()))
    other = lab.error(lambda: graph.invoke(lab.Command(resume="two"), chosen.config))
    return [again, state, other, sources(graph, thread())]


def replay_of_an_interrupt_resumed_on_head(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("ask", lambda s: {"log": [lab.interrupt("?")]})
    builder.add_edge(lab.START, "ask")
    graph = lab.compile(builder, checkpointer=lab.saver())
    graph.invoke({"log": []}, thread())
    graph.invoke(lab.Command(resume="one"), thread())
    chosen = [s for s in graph.history(thread()) if s.next == ("ask",)][-1]
    results = [graph.invoke(None, chosen.config)]
    results += [lab.error(lambda: graph.invoke(lab.Command(resume="two"), thread()))]
    return [results, sources(graph, thread())]


def static_breakpoints_at_compile(lab: Lab) -> Any:
    graph = _chain(lab, interrupt_before=["b"], interrupt_after=["b"])
    stages = []
    given: Any = {"log": []}
    for _ in range(4):
        stages.append([graph.stream(given, thread()), graph.state(thread()).next])
        given = None
    return stages


def static_breakpoints_streams(lab: Lab) -> Any:
    graph = _chain(lab, "ab", interrupt_before=["b"])
    modes = ["values", "updates", "tasks", "checkpoints"]
    return [
        graph.stream({"log": []}, thread(), stream_mode=modes),
        graph.stream(None, thread(), stream_mode=modes),
    ]


def static_breakpoints_at_run(lab: Lab) -> Any:
    graph = _chain(lab)
    first = graph.invoke({"log": []}, thread(), interrupt_before=["c"])
    state = brief(graph.state(thread()))
    return [first, state, graph.invoke(None, thread())]


def static_breakpoints_after_at_run(lab: Lab) -> Any:
    graph = _chain(lab)
    first = graph.invoke({"log": []}, thread(), interrupt_after=["a"])
    return [first, brief(graph.state(thread())), graph.invoke(None, thread(), interrupt_after=["b"])]


def static_breakpoints_everywhere(lab: Lab) -> Any:
    stages = []
    for option in ("interrupt_before", "interrupt_after"):
        graph = _chain(lab)
        given: Any = {"log": []}
        for _ in range(5):
            stages.append([graph.invoke(given, thread(), **{option: "*"}), graph.state(thread()).next])
            given = None
    return stages


def static_breakpoint_in_invoke_result(lab: Lab) -> Any:
    graph = _chain(lab, interrupt_before=["b"])
    return graph.invoke({"log": []}, thread())


def static_breakpoint_without_saver(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder, interrupt_before=["a"])
    return lab.error(lambda: graph.stream({"log": []}))


def static_breakpoint_loop(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_edge(lab.START, "a")
    builder.add_conditional_edges("a", lambda s: "a" if len(s["log"]) < 3 else lab.END)
    graph = lab.compile(builder, checkpointer=lab.saver(), interrupt_before=["a"])
    results = [graph.invoke({"log": []}, thread())]
    return results + [graph.invoke(None, thread()) for _ in range(4)]


def static_breakpoint_stored(lab: Lab) -> Any:
    saver = lab.saver()
    graph = _chain(lab, "ab", saver=saver, interrupt_before=["b"])
    graph.invoke({"log": []}, thread())
    graph.invoke(None, thread())
    return [[r.checkpoint["versions_seen"], r.metadata, r.pending_writes] for r in lab.saved(saver, thread())]


def turns_on_two_threads(lab: Lab) -> Any:
    graph = _chain(lab)
    results = [graph.invoke({"log": [t]}, thread(t)) for t in ("p", "q", "p")]
    return [results, graph.state(thread("q")).values]


def thread_id_as_integer(lab: Lab) -> Any:
    graph = _chain(lab)
    config: Any = {"configurable": {"thread_id": 7}}
    graph.invoke({"log": []}, config)
    return [brief(graph.state(config)), graph.state(config).config]


def config_metadata_is_stored(lab: Lab) -> Any:
    saver = lab.saver()
    graph = _chain(lab, "a", saver=saver)
    config = {
        **thread(user="u1", nested={"k": 1}),
        "metadata": {"who": "ann", "n": 1},
        "tags": ["t"],
        "run_name": "r",
    }
    graph.invoke({"log": []}, config)
    return [r.metadata for r in lab.saved(saver, thread())]


def get_state_returns_pending_sends(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("w", lambda arg: {"log": [arg]})
    builder.add_node("z", lambda s: {"log": ["z"]})
    builder.add_edge(lab.START, "z")
    builder.add_conditional_edges(lab.START, lambda s: [lab.Send("w", 1), lab.Send("w", 2)], ["w"])
    graph = lab.compile(builder, checkpointer=lab.saver(), interrupt_before=["w"])
    graph.invoke({"log": []}, thread())
    return [brief(graph.state(thread())), graph.invoke(None, thread())]


def order_of_tasks_in_a_snapshot(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    for name in ("m", "z", "a"):
        builder.add_node(name, lambda s, name=name: {"log": [name]})
        builder.add_edge(lab.START, name)
    graph = lab.compile(builder, checkpointer=lab.saver(), interrupt_before="*")
    graph.invoke({"log": []}, thread())
    chunks = graph.stream(None, thread(), stream_mode=["tasks", "checkpoints"])
    order = [c[1]["name"] for c in chunks if c[0] == "tasks" and "triggers" in c[1]]
    nexts = [c[1]["next"] for c in chunks if c[0] == "checkpoints"]
    history = [s.next for s in graph.history(thread())]
    return [order, nexts, history, graph.state(thread()).values]

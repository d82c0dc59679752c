"""`update_state`, `bulk_update_state` and forks: as which node, what follows, what is stored."""

import operator
from itertools import pairwise
from typing import Annotated, Any, TypedDict

from tests.reference.lab import Lab, brief, sources, thread


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[Any], operator.add]


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


def update_as_the_last_node(lab: Lab) -> Any:
    graph = _chain(lab, interrupt_after=["a"])
    graph.invoke({"log": []}, thread())
    config = graph.update(thread(), {"log": ["hand"]})
    return [config, graph.state(thread()), sources(graph, thread()), graph.invoke(None, thread())]


def update_as_a_node(lab: Lab) -> Any:
    graph = _chain(lab)
    graph.invoke({"log": []}, thread())
    graph.update(thread(), {"log": ["as a"]}, as_node="a")
    return [brief(graph.state(thread())), graph.invoke(None, thread())]


def update_stores_what_the_config_says(lab: Lab) -> Any:
    graph = _chain(lab)
    graph.invoke({"log": []}, thread())
    given = thread()
    config = graph.update(
        {"configurable": {**given["configurable"], "user": "u", "__own": 1}, "metadata": {"why": "test"}},
        {"log": ["hand"]},
    )
    metadata = graph.state(thread()).metadata
    return [sorted(config["configurable"]), metadata.get("user"), metadata.get("why"), "__own" in metadata]


def update_as_start(lab: Lab) -> Any:
    graph = _chain(lab)
    graph.update(thread(), {"log": ["seed"]}, as_node="__start__")
    return [brief(graph.state(thread())), graph.invoke(None, thread()), sources(graph, thread())]


def update_as_input(lab: Lab) -> Any:
    graph = _chain(lab)
    outcome = lab.error(lambda: graph.update(thread(), {"log": ["seed"]}, as_node="__input__"))
    return [outcome, sources(graph, thread()), lab.error(lambda: graph.invoke(None, thread()))]


def update_as_end(lab: Lab) -> Any:
    graph = _chain(lab, interrupt_after=["a"])
    graph.invoke({"log": []}, thread())
    outcome = lab.error(lambda: graph.update(thread(), None, as_node="__end__"))
    return [outcome, sources(graph, thread()), lab.error(lambda: graph.invoke(None, thread()))]


def update_values_as_end(lab: Lab) -> Any:
    graph = _chain(lab, interrupt_after=["a"])
    graph.invoke({"log": []}, thread())
    outcome = lab.error(lambda: graph.update(thread(), {"x": 5}, as_node="__end__"), "__end__")
    return [outcome, sources(graph, thread())]


def update_with_none(lab: Lab) -> Any:
    graph = _chain(lab, interrupt_after=["a"])
    graph.invoke({"log": []}, thread())
    outcome = lab.error(lambda: graph.update(thread(), None))
    return [outcome, sources(graph, thread())]


def update_as_copy(lab: Lab) -> Any:
    graph = _chain(lab)
    graph.invoke({"log": []}, thread())
    outcome = lab.error(lambda: graph.update(graph.history(thread())[1].config, None, as_node="__copy__"))
    return [outcome, [[brief(s)["metadata"], s.next, s.values] for s in graph.history(thread())]]


def update_as_unknown_node(lab: Lab) -> Any:
    graph = _chain(lab)
    graph.invoke({"log": []}, thread())
    return lab.error(lambda: graph.update(thread(), {"x": 1}, as_node="nobody"), "nobody")


def update_ambiguous(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    for name in "ab":
        builder.add_node(name, lambda s, name=name: {"log": [name]})
        builder.add_edge(lab.START, name)
    graph = lab.compile(builder, checkpointer=lab.saver())
    graph.invoke({"log": []}, thread())
    return lab.error(lambda: graph.update(thread(), {"x": 1}), "as_node")


def update_on_fresh_thread(lab: Lab) -> Any:
    graph = _chain(lab)
    outcome = lab.error(lambda: graph.update(thread(), {"log": ["seed"]}), "as_node")
    return [outcome, sources(graph, thread())]


def update_on_fresh_thread_as_node(lab: Lab) -> Any:
    graph = _chain(lab)
    config = graph.update(thread(), {"log": ["seed"], "x": 40}, as_node="b")
    return [config, graph.state(thread()), graph.invoke(None, thread()), sources(graph, thread())]


def update_single_node_graph_fresh(lab: Lab) -> Any:
    graph = _chain(lab, "a")
    outcome = lab.error(lambda: graph.update(thread(), {"log": ["seed"]}))
    return [outcome, sources(graph, thread())]


def update_of_a_finished_thread(lab: Lab) -> Any:
    graph = _chain(lab)
    graph.invoke({"log": []}, thread())
    graph.update(thread(), {"x": 50})
    return [
        brief(graph.state(thread())),
        graph.invoke({"log": ["again"]}, thread()),
        sources(graph, thread()),
    ]


def update_stored(lab: Lab) -> Any:
    saver = lab.saver()
    graph = _chain(lab, saver=saver, interrupt_before=["b"])
    graph.invoke({"log": []}, thread())
    graph.update(thread(), {"log": ["hand"], "x": 9}, as_node="a")
    return lab.saved(saver, thread())


def update_runs_the_branch(lab: Lab) -> Any:
    graph = _forked(lab)
    graph.update(thread(), {"x": -1}, as_node="r")
    return [graph.state(thread()).next, graph.invoke(None, thread())]


def update_with_unknown_key(lab: Lab) -> Any:
    graph = _chain(lab)
    graph.invoke({"log": []}, thread())
    outcome = lab.error(lambda: graph.update(thread(), {"alien": 1}), "alien")
    return [outcome, brief(graph.state(thread()))]


def update_with_wrong_type(lab: Lab) -> Any:
    graph = _chain(lab)
    graph.invoke({"log": []}, thread())
    outcome = lab.error(lambda: graph.update(thread(), 5), "c")
    return [outcome, brief(graph.state(thread()))]


def update_clears_an_interrupt(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("ask", lambda s: {"log": [lab.interrupt("?")]})
    builder.add_node("after", lambda s: {"log": ["after"]})
    builder.add_edge(lab.START, "ask")
    builder.add_edge("ask", "after")
    graph = lab.compile(builder, checkpointer=lab.saver())
    graph.invoke({"log": []}, thread())
    graph.update(thread(), {"log": ["by hand"]}, as_node="ask")
    return [brief(graph.state(thread())), graph.invoke(None, thread())]


def update_beside_an_interrupt(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("first", lambda s: {"log": ["first"]})
    builder.add_node("ask", lambda s: {"log": [f"{s.get('x')} {lab.interrupt('?')}"]})
    builder.add_edge(lab.START, "first")
    builder.add_edge("first", "ask")
    graph = lab.compile(builder, checkpointer=lab.saver())
    graph.invoke({"log": []}, thread())
    graph.update(thread(), {"x": 3})
    state = brief(graph.state(thread()))
    outcome = lab.error(lambda: graph.invoke(lab.Command(resume="!"), thread()))
    return [state, outcome, sources(graph, thread())]


def fork_by_checkpoint_id(lab: Lab) -> Any:
    graph = _chain(lab)
    graph.invoke({"log": []}, thread())
    chosen = graph.history(thread())[2]
    config = graph.update(chosen.config, {"log": ["fork"]})
    forked = graph.invoke(None, config)
    return {
        "config": config,
        "forked": forked,
        "history": [[s.metadata, s.next, s.values, s.parent_config] for s in graph.history(thread())],
    }


def bulk_update_two_supersteps(lab: Lab) -> Any:
    graph = _chain(lab)
    updates = [
        [lab.StateUpdate({"log": ["seed"]}, "__start__")],
        [lab.StateUpdate({"log": ["as a"], "x": 1}, "a")],
        [lab.StateUpdate({"log": ["as b"], "x": 2}, "b")],
    ]
    outcome = lab.error(lambda: graph.bulk_update(thread(), updates))
    return [outcome, sources(graph, thread()), graph.state(thread()).next]


def bulk_update_several_in_a_superstep(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    for name in "ab":
        builder.add_node(name, lambda s, name=name: {"log": [name]})
        builder.add_edge(lab.START, name)
    builder.add_node("j", lambda s: {"log": ["j"]})
    builder.add_edge(["a", "b"], "j")
    graph = lab.compile(builder, checkpointer=lab.saver())
    updates = [[lab.StateUpdate({"log": ["A"]}, "a"), lab.StateUpdate({"log": ["B"]}, "b")]]
    outcome = lab.error(lambda: graph.bulk_update(thread(), updates))
    return [outcome, [brief(s) for s in graph.history(thread())]]


def bulk_update_nothing(lab: Lab) -> Any:
    graph = _chain(lab)
    return [
        lab.error(lambda: graph.bulk_update(thread(), []), "superstep"),
        lab.error(lambda: graph.bulk_update(thread(), [[]]), "update"),
    ]


def partial_execution(lab: Lab) -> Any:
    graph = _chain(lab, "abcd")
    graph.update(thread(), {"log": ["start"]}, as_node="a")
    return [graph.invoke(None, thread(), interrupt_after=["c"]), graph.state(thread()).next]

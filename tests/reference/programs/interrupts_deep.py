"""Pausing in odd places: branch functions, loops of children, retries, values of every kind."""

import operator
from typing import Annotated, Any, TypedDict

from tests.reference.lab import Lab, brief, sources, thread


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[Any], operator.add]


class Outer(TypedDict):
    x: int


def _graph(lab: Lab, *nodes: tuple[str, Any], **options: Any) -> Any:
    """A chain of nodes."""
    builder = lab.StateGraph(State)
    last = lab.START
    for name, node in nodes:
        builder.add_node(name, node)
        builder.add_edge(last, name)
        last = name
    return lab.compile(builder, checkpointer=lab.saver(), **options)


def outside_of_a_node(lab: Lab) -> Any:
    return lab.error(lambda: lab.interrupt("?"))


def in_a_branch_function(lab: Lab) -> Any:
    runs: list[str] = []
    builder = lab.StateGraph(State)

    def node(state: Any) -> Any:
        runs.append("a")
        return {"log": ["a"]}

    builder.add_node("a", node)
    builder.add_node("b", lambda s: {"log": ["b"]})
    builder.add_edge(lab.START, "a")
    builder.add_conditional_edges("a", lambda s: lab.interrupt("where?"), ["b"])
    graph = lab.compile(builder, checkpointer=lab.saver())
    first = graph.invoke({"log": []}, thread())
    last = lab.error(lambda: graph.invoke(lab.Command(resume="b"), thread()))
    return [first["__interrupt__"], last, runs]


def in_the_entry_branch(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_conditional_edges(lab.START, lambda s: lab.interrupt("where?"), ["a"])
    graph = lab.compile(builder, checkpointer=lab.saver())
    first = lab.error(lambda: graph.invoke({"log": ["in"]}, thread()))
    return [first, lab.error(lambda: graph.invoke(lab.Command(resume="a"), thread()))]


def values_of_every_kind(lab: Lab) -> Any:
    questions: list[Any] = [None, 0, "", [], {"k": (1, 2)}, {1, 2}]
    shown = []
    for number, question in enumerate(questions):
        graph = _graph(lab, ("ask", lambda s, q=question: {"log": [lab.interrupt(q)]}))
        config = thread(str(number))
        shown.append(graph.invoke({"log": []}, config)["__interrupt__"][0].value)
    return shown


def answers_of_every_kind(lab: Lab) -> Any:
    answers: list[Any] = [1.5, "text", [1], {"k": 1}, (1, 2), {1}, {"a" * 32: 1}]
    results = []
    for number, answer in enumerate(answers):
        graph = _graph(lab, ("ask", lambda s: {"log": [lab.interrupt("?")]}))
        graph.invoke({"log": []}, thread(str(number)))
        results.append(
            lab.error(lambda g=graph, a=answer, n=number: g.invoke(lab.Command(resume=a), thread(str(n))))
        )
    return results


def answered_then_the_node_fails(lab: Lab) -> Any:
    fails = [True]

    def ask(state: Any) -> Any:
        answer = lab.interrupt("?")
        if fails:
            fails.pop()
            raise ValueError("after the answer")
        return {"log": [answer]}

    graph = _graph(lab, ("ask", ask))
    graph.invoke({"log": []}, thread())
    failed = lab.error(lambda: graph.invoke(lab.Command(resume="yes"), thread()))
    state = brief(graph.state(thread()))
    return [failed, state, lab.error(lambda: graph.invoke(None, thread()))]


def two_questions_second_run_fails(lab: Lab) -> Any:
    fails = [True]

    def ask(state: Any) -> Any:
        first = lab.interrupt("first?")
        if fails:
            fails.pop()
            raise ValueError("between")
        return {"log": [first, lab.interrupt("second?")]}

    graph = _graph(lab, ("ask", ask))
    results = [lab.error(lambda: graph.invoke({"log": []}, thread()))]
    for given in (lab.Command(resume="1"), None, lab.Command(resume="2")):
        results.append(lab.error(lambda g=given: graph.invoke(g, thread())))
    return results


def not_retried(lab: Lab) -> Any:
    runs: list[int] = []

    def ask(state: Any) -> Any:
        runs.append(1)
        return {"log": [lab.interrupt("?")]}

    builder = lab.StateGraph(State)
    policy = lab.RetryPolicy(initial_interval=0.001, jitter=False, retry_on=lambda error: True)
    builder.add_node("ask", ask, retry_policy=policy)
    builder.add_edge(lab.START, "ask")
    graph = lab.compile(builder, checkpointer=lab.saver())
    graph.invoke({"log": []}, thread())
    before = len(runs)
    return [graph.invoke(lab.Command(resume=1), thread()), before, len(runs)]


def in_a_loop_of_calls_to_a_child(lab: Lab) -> Any:
    child = lab.StateGraph(State)
    child.add_node("ask", lambda s: {"log": [lab.interrupt(f"item {s['x']}")]})
    child.add_edge(lab.START, "ask")
    compiled = child.compile()
    graph = _graph(lab, ("loop", lambda s: {"log": [compiled.invoke({"x": n})["log"] for n in range(3)]}))
    results = [graph.invoke({"log": []}, thread())]
    return results + [graph.invoke(lab.Command(resume=n), thread()) for n in "abc"]


def several_questions_in_a_child_called_in_a_node(lab: Lab) -> Any:
    child = lab.StateGraph(State)
    child.add_node("ask", lambda s: {"log": [lab.interrupt("1?"), lab.interrupt("2?")]})
    child.add_edge(lab.START, "ask")
    compiled = child.compile()
    graph = _graph(
        lab,
        ("call", lambda s: {"log": [compiled.invoke({"x": 1})["log"], lab.interrupt("own?")]}),
    )
    results = [graph.invoke({"log": []}, thread())]
    return results + [graph.invoke(lab.Command(resume=n), thread()) for n in "abc"]


def own_question_before_the_childs(lab: Lab) -> Any:
    child = lab.StateGraph(State)
    child.add_node("ask", lambda s: {"log": [lab.interrupt("child?")]})
    child.add_edge(lab.START, "ask")
    compiled = child.compile()

    def call(state: Any) -> Any:
        own = lab.interrupt("own?")
        return {"log": [own, compiled.invoke({"x": 1})["log"]]}

    graph = _graph(lab, ("call", call))
    results = [graph.invoke({"log": []}, thread())]
    return results + [graph.invoke(lab.Command(resume=n), thread()) for n in "ab"]


def two_levels_of_called_children(lab: Lab) -> Any:
    leaf = lab.StateGraph(State)
    leaf.add_node("ask", lambda s: {"log": [lab.interrupt("leaf?")]})
    leaf.add_edge(lab.START, "ask")
    low = leaf.compile()
    middle = lab.StateGraph(State)
    middle.add_node("call", lambda s: {"log": ["mid", *low.invoke({"x": 1})["log"]]})
    middle.add_edge(lab.START, "call")
    mid = middle.compile()
    graph = _graph(lab, ("top", lambda s: {"log": ["top", *mid.invoke({"x": 1})["log"]]}))
    first = graph.stream({"log": []}, thread(), subgraphs=True)
    deep = graph.state(thread(), subgraphs=True)
    return [first, deep.interrupts, graph.stream(lab.Command(resume="!"), thread(), subgraphs=True)]


def children_in_parallel_resumed_one_by_one(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    for name in ("p", "q"):
        child = lab.StateGraph(State)
        child.add_node("ask", lambda s, name=name: {"log": [f"{name}={lab.interrupt(name)}"]})
        child.add_edge(lab.START, "ask")
        compiled = child.compile()
        builder.add_node(name, lambda s, child=compiled: {"log": child.invoke({"x": 1})["log"]})
        builder.add_edge(lab.START, name)
    graph = lab.compile(builder, checkpointer=lab.saver())
    found = {i.value: i.id for i in graph.invoke({"log": []}, thread())["__interrupt__"]}
    second = graph.invoke(lab.Command(resume={found["q"]: "Q"}), thread())
    return [second, graph.invoke(lab.Command(resume="P"), thread())]


def sends_resumed_one_by_one(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("w", lambda arg: {"log": [f"{arg}={lab.interrupt(arg)}"]})
    builder.add_conditional_edges(lab.START, lambda s: [lab.Send("w", n) for n in "abc"], ["w"])
    graph = lab.compile(builder, checkpointer=lab.saver())
    found = {i.value: i.id for i in graph.invoke({"log": []}, thread())["__interrupt__"]}
    stages = []
    for name in "bca":
        result = graph.invoke(lab.Command(resume={found[name]: name.upper()}), thread())
        left = sorted(i.value for i in result.pop("__interrupt__", []))
        stages.append([result, left, graph.state(thread()).next])
    return stages


def static_breakpoint_in_the_child(lab: Lab) -> Any:
    child = lab.StateGraph(State)
    child.add_node("c1", lambda s: {"log": ["c1"]})
    child.add_node("c2", lambda s: {"log": ["c2"]})
    child.add_edge(lab.START, "c1")
    child.add_edge("c1", "c2")
    graph = _graph(
        lab, ("sub", child.compile(interrupt_before=["c2"])), ("after", lambda s: {"log": ["after"]})
    )
    first = graph.stream({"log": []}, thread(), subgraphs=True, stream_mode=["updates", "values"])
    paused = graph.state(thread(), subgraphs=True)
    inner = brief(paused.tasks[0].state)
    return [first, paused.next, inner, graph.stream(None, thread(), subgraphs=True)]


def command_resume_with_update_in_parallel(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("ask", lambda s: {"log": [lab.interrupt("?")]})
    builder.add_node("other", lambda s: {"log": ["other"]})
    builder.add_edge(lab.START, "ask")
    builder.add_edge(lab.START, "other")
    graph = lab.compile(builder, checkpointer=lab.saver())
    graph.invoke({"log": []}, thread())
    result = graph.invoke(lab.Command(resume="!", update={"x": 3}), thread())
    return [result, sources(graph, thread())]


def durability_exit_in_parallel(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("ask", lambda s: {"log": [lab.interrupt("?")]})
    builder.add_node("other", lambda s: {"log": ["other"]})
    builder.add_edge(lab.START, "ask")
    builder.add_edge(lab.START, "other")
    graph = lab.compile(builder, checkpointer=lab.saver())
    first = graph.invoke({"log": []}, thread(), durability="exit")
    return [
        first,
        graph.invoke(lab.Command(resume="!"), thread(), durability="exit"),
        sources(graph, thread()),
    ]


def with_stream_and_break(lab: Lab) -> Any:
    graph = _graph(lab, ("a", lambda s: {"log": ["a"]}), ("ask", lambda s: {"log": [lab.interrupt("?")]}))
    given: Any = {"log": []}
    seen = []
    for _ in range(2):
        for chunk in graph.stream(given, thread()):
            if "__interrupt__" in chunk:
                given = lab.Command(resume="answer")
                break
            seen.append(chunk)
    return seen


def interrupts_in_get_state_history(lab: Lab) -> Any:
    graph = _graph(lab, ("ask", lambda s: {"log": [lab.interrupt("?")]}))
    graph.invoke({"log": []}, thread())
    graph.invoke(lab.Command(resume="!"), thread())
    return [brief(s) for s in graph.history(thread())]


def child_with_own_memory_paused(lab: Lab) -> Any:
    child = lab.StateGraph(State)
    child.add_node("ask", lambda s: {"log": [lab.interrupt(len(s["log"]))]})
    child.add_edge(lab.START, "ask")
    builder = lab.StateGraph(Outer)
    compiled = child.compile(checkpointer=True)
    builder.add_node("call", lambda s: {"x": len(compiled.invoke({"log": ["in"]})["log"])})
    builder.add_edge(lab.START, "call")
    graph = lab.compile(builder, checkpointer=lab.saver())
    results = []
    for given in ({"x": 0}, lab.Command(resume="a"), {"x": 0}, lab.Command(resume="b")):
        results.append(graph.invoke(given, thread()))
    return results


def answer_without_a_question_yet(lab: Lab) -> Any:
    graph = _graph(
        lab,
        ("a", lambda s: {"log": ["a"]}),
        ("b", lambda s: {"log": [f"b={lab.interrupt('b?')}"]}),
        ("c", lambda s: {"log": [f"c={lab.interrupt('c?')}"]}),
        interrupt_before=["b"],
    )
    results = [graph.invoke({"log": []}, thread())]
    return results + [graph.invoke(lab.Command(resume=answer), thread()) for answer in "xy"]


def answer_before_a_node_that_does_not_ask(lab: Lab) -> Any:
    graph = _graph(
        lab,
        ("a", lambda s: {"log": ["a"]}),
        ("b", lambda s: {"log": ["b"]}),
        ("c", lambda s: {"log": [f"c={lab.interrupt('c?')}"]}),
        interrupt_before=["b"],
    )
    results = [graph.invoke({"log": []}, thread())]
    return results + [graph.invoke(lab.Command(resume=answer), thread()) for answer in "xy"]


def answer_given_again_after_a_failure(lab: Lab) -> Any:
    fails = [True]

    def first(state: Any) -> Any:
        answer = lab.interrupt("first?")
        if fails:
            fails.pop()
            raise ValueError("after the answer")
        return {"log": [f"first={answer}"]}

    graph = _graph(
        lab, ("first", first), ("second", lambda s: {"log": [f"second={lab.interrupt('second?')}"]})
    )
    results = [graph.invoke({"log": []}, thread())]
    for answer in "xyz":
        results.append(lab.error(lambda a=answer: graph.invoke(lab.Command(resume=a), thread())))
    return results

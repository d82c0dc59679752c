"""Failing, retrying, running out of steps, durability: what is stored and what runs again."""

import asyncio
import operator
import time
from typing import Annotated, Any, TypedDict

from tests.reference.lab import Lab, brief, sources, thread, with_keys


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[Any], operator.add]


class Fatal(BaseException):
    """Not an `Exception`."""


def _flaky(runs: list[str], failures: int, error: Any = ValueError, name: str = "flaky") -> Any:
    def node(state: Any) -> Any:
        runs.append(name)
        if runs.count(name) <= failures:
            raise error(f"failure {runs.count(name)}")
        return {"log": [f"{name} after {runs.count(name)}"]}

    return node


def _branches(lab: Lab, runs: list[str], failures: int, **options: Any) -> Any:
    """start → (good, flaky) → join"""

    def good(state: Any) -> Any:
        runs.append("good")
        return {"log": ["good"]}

    builder = lab.StateGraph(State)
    builder.add_node("good", good)
    builder.add_node("flaky", _after(runs, "good", _flaky(runs, failures)))
    builder.add_node("join", lambda s: {"log": ["join"]})
    builder.add_edge(lab.START, "good")
    builder.add_edge(lab.START, "flaky")
    builder.add_edge(["good", "flaky"], "join")
    return lab.compile(builder, **options)


def _after(runs: list[str], other: str, node: Any) -> Any:
    """The node, run only once `other` was seen to run (and had time to be written down)."""

    def waiting(state: Any) -> Any:
        for _ in range(200):
            if other in runs:
                break
            time.sleep(0.005)
        time.sleep(0.05)
        return node(state)

    return waiting


def node_fails(lab: Lab) -> Any:
    runs: list[str] = []
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_node("flaky", _flaky(runs, 1))
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "flaky")
    graph = lab.compile(builder, checkpointer=lab.saver())
    outcome = lab.error(lambda: graph.invoke({"log": []}, thread()))
    failed = graph.state(thread())
    return [outcome, failed, graph.invoke(None, thread()), sources(graph, thread())]


def node_fails_streams(lab: Lab) -> Any:
    runs: list[str] = []
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_node("flaky", _flaky(runs, 1))
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "flaky")
    graph = lab.compile(builder, checkpointer=lab.saver())
    modes = ["values", "updates", "tasks", "checkpoints"]
    first = graph.partial_stream({"log": []}, thread(), stream_mode=modes)
    return [first, graph.partial_stream(None, thread(), stream_mode=modes)]


def node_fails_stored(lab: Lab) -> Any:
    saver = lab.saver()
    builder = lab.StateGraph(State)
    builder.add_node("flaky", _flaky([], 1))
    builder.add_edge(lab.START, "flaky")
    graph = lab.compile(builder, checkpointer=saver)
    lab.error(lambda: graph.invoke({"log": []}, thread()))
    failed = [r.pending_writes for r in lab.saved(saver, thread())]
    graph.invoke(None, thread())
    return [failed, [r.pending_writes for r in lab.saved(saver, thread())]]


def node_fails_without_saver(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("flaky", _flaky([], 1))
    builder.add_edge(lab.START, "flaky")
    return lab.compile(builder).partial_stream({"log": []}, stream_mode=["updates", "values", "tasks"])


def error_stays_in_the_history(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("flaky", _flaky([], 1))
    builder.add_edge(lab.START, "flaky")
    graph = lab.compile(builder, checkpointer=lab.saver())
    lab.error(lambda: graph.invoke({"log": []}, thread()))
    graph.invoke(None, thread())
    return [brief(s) for s in graph.history(thread())]


def parallel_branch_fails(lab: Lab) -> Any:
    runs: list[str] = []
    graph = _branches(lab, runs, 1, checkpointer=lab.saver())
    outcome = lab.error(lambda: graph.invoke({"log": []}, thread()))
    failed = brief(graph.state(thread()))
    again = graph.stream(None, thread())
    return {"outcome": outcome, "failed": failed, "again": again, "runs": sorted(runs)}


def parallel_branch_fails_stored(lab: Lab) -> Any:
    saver = lab.saver()
    graph = _branches(lab, [], 1, checkpointer=saver)
    lab.error(lambda: graph.invoke({"log": []}, thread()))
    return [sorted(r.pending_writes, key=lambda w: str(w[1:])) for r in lab.saved(saver, thread())]


def parallel_branch_fails_new_input(lab: Lab) -> Any:
    runs: list[str] = []
    graph = _branches(lab, runs, 1, checkpointer=lab.saver())
    lab.error(lambda: graph.invoke({"log": []}, thread()))
    return [graph.invoke({"log": ["new"]}, thread()), sources(graph, thread()), sorted(runs)]


def failing_input_is_saved(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("flaky", _flaky([], 9))
    builder.add_edge(lab.START, "flaky")
    graph = lab.compile(builder, checkpointer=lab.saver())
    first = lab.error(lambda: graph.invoke({"log": ["one"]}, thread()))
    second = lab.error(lambda: graph.invoke({"log": ["two"]}, thread()))
    return [first, second, sources(graph, thread())]


def base_exception_in_a_node(lab: Lab) -> Any:
    def node(state: Any) -> Any:
        raise Fatal("fatal")

    builder = lab.StateGraph(State)
    builder.add_node("a", node)
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder)
    return lab.error(lambda: graph.invoke({"log": []}))


def _retried(lab: Lab, failures: int, policy: Any, error: Any = ValueError) -> Any:
    runs: list[str] = []
    builder = lab.StateGraph(State)
    builder.add_node("flaky", _flaky(runs, failures, error), retry_policy=policy)
    builder.add_edge(lab.START, "flaky")
    graph = lab.compile(builder)
    return [lab.error(lambda: graph.invoke({"log": []})), len(runs)]


def _policy(lab: Lab, **options: Any) -> Any:
    return lab.RetryPolicy(initial_interval=0.001, jitter=False, **options)


def retry_policy_defaults(lab: Lab) -> Any:
    return lab.RetryPolicy()._replace(retry_on=None)


def retry_three_attempts(lab: Lab) -> Any:
    return [_retried(lab, n, _policy(lab, max_attempts=3, retry_on=ValueError)) for n in (0, 2, 3)]


def retry_default_retry_on(lab: Lab) -> Any:
    kinds: list[type[Exception]] = [
        ValueError,
        TypeError,
        KeyError,
        RuntimeError,
        ConnectionError,
        OSError,
        ZeroDivisionError,
    ]
    kinds += [ImportError, LookupError, NameError, SyntaxError, ReferenceError, ArithmeticError]
    return {kind.__name__: _retried(lab, 1, _policy(lab, max_attempts=2), kind) for kind in kinds}


def retry_on_types(lab: Lab) -> Any:
    policy = _policy(lab, max_attempts=2, retry_on=(KeyError, ValueError))
    return [_retried(lab, 1, policy), _retried(lab, 1, policy, KeyError), _retried(lab, 1, policy, TypeError)]


def retry_on_callable(lab: Lab) -> Any:
    policy = _policy(lab, max_attempts=3, retry_on=lambda error: "failure 1" in str(error))
    return _retried(lab, 2, policy)


def retry_on_bad_value(lab: Lab) -> Any:
    return lab.error(lambda: _retried(lab, 1, _policy(lab, retry_on="nonsense")))


def retry_several_policies(lab: Lab) -> Any:
    policies = [
        _policy(lab, max_attempts=2, retry_on=KeyError),
        _policy(lab, max_attempts=4, retry_on=ValueError),
    ]
    return [_retried(lab, 3, policies), _retried(lab, 3, policies, KeyError)]


def retry_clears_writes_and_streams_once(lab: Lab) -> Any:
    runs: list[str] = []
    builder = lab.StateGraph(State)
    policy = _policy(lab, max_attempts=3, retry_on=ValueError)
    builder.add_node("flaky", _flaky(runs, 2), retry_policy=policy)
    builder.add_edge(lab.START, "flaky")
    return lab.compile(builder).stream({"log": []}, stream_mode=["updates", "tasks"])


def retry_custom_chunks_are_repeated(lab: Lab) -> Any:
    runs: list[str] = []

    def node(state: Any) -> Any:
        lab.get_stream_writer()(f"attempt {len(runs)}")
        return _flaky(runs, 1)(state)

    builder = lab.StateGraph(State)
    builder.add_node("a", node, retry_policy=_policy(lab, retry_on=ValueError))
    builder.add_edge(lab.START, "a")
    return lab.compile(builder).stream({"log": []}, stream_mode=["updates", "custom"])


def retry_attempt_numbers(lab: Lab) -> Any:
    runs: list[str] = []
    seen: list[Any] = []

    def node(state: Any) -> Any:
        seen.append(lab.get_runtime().execution_info.node_attempt)
        return _flaky(runs, 2)(state)

    builder = lab.StateGraph(State)
    builder.add_node("a", node, retry_policy=_policy(lab, max_attempts=3, retry_on=ValueError))
    builder.add_edge(lab.START, "a")
    return [lab.compile(builder).invoke({"log": []}), seen]


def _looping(lab: Lab, **options: Any) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"log": [len(s["log"])]})
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "a")
    return lab.compile(builder, **options)


def recursion_limit_in_config(lab: Lab) -> Any:
    outcomes = []
    for limit in (1, 2, 5):
        seen = _looping(lab).partial_stream({"log": []}, {"recursion_limit": limit}, stream_mode="values")
        outcomes.append([limit, seen])
    return outcomes


def recursion_limit_exactly_enough(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    for name in "abc":
        builder.add_node(name, lambda s, name=name: {"log": [name]})
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "b")
    builder.add_edge("b", "c")
    graph = lab.compile(builder)
    return {
        str(n): lab.error(
            lambda n=n: graph.invoke({"log": []}, {"recursion_limit": n}), "recursion_limit", str(n)
        )
        for n in (1, 2, 3, 4)
    }


def recursion_limit_with_branch_to_end(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_edge(lab.START, "a")
    builder.add_conditional_edges("a", lambda s: "a" if len(s["log"]) < 3 else lab.END)
    graph = lab.compile(builder)
    return {
        str(n): lab.error(lambda n=n: graph.invoke({"log": []}, {"recursion_limit": n})) for n in (2, 3, 4)
    }


def recursion_limit_saved(lab: Lab) -> Any:
    graph = _looping(lab, checkpointer=lab.saver())
    config = {**thread(), "recursion_limit": 3}
    first = lab.error(lambda: graph.invoke({"log": []}, config))
    stages = [first, sources(graph, thread())]
    second = lab.error(lambda: graph.invoke(None, config))
    return [*stages, second, sources(graph, thread())]


def recursion_limit_counts_from_each_run(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_node("b", lambda s: {"log": ["b"]})
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "b")
    graph = lab.compile(builder, checkpointer=lab.saver())
    config = {**thread(), "recursion_limit": 2}
    return [lab.error(lambda n=n: graph.invoke({"log": [n]}, config)) for n in range(3)]


def recursion_limit_on_resume(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    for name in "abcd":
        builder.add_node(name, lambda s, name=name: {"log": [name]})
    builder.add_edge(lab.START, "a")
    for start, end in ("ab", "bc", "cd"):
        builder.add_edge(start, end)
    graph = lab.compile(builder, checkpointer=lab.saver(), interrupt_before=["c"])
    config = {**thread(), "recursion_limit": 2}
    return [
        lab.error(lambda: graph.invoke({"log": []}, config)),
        lab.error(lambda: graph.invoke(None, config)),
    ]


def recursion_limit_invalid(lab: Lab) -> Any:
    graph = _looping(lab)
    return [
        lab.error(lambda n=n: graph.invoke({"log": []}, {"recursion_limit": n}), "recursion_limit")
        for n in (0, -1)
    ]


def recursion_limit_in_subgraph(lab: Lab) -> Any:
    child = lab.StateGraph(State)
    for name in "pqr":
        child.add_node(name, lambda s, name=name: {"x": 1})
    child.add_edge(lab.START, "p")
    child.add_edge("p", "q")
    child.add_edge("q", "r")
    builder = lab.StateGraph(State)
    builder.add_node("sub", child.compile())
    builder.add_edge(lab.START, "sub")
    graph = lab.compile(builder)
    return {str(n): lab.error(lambda n=n: graph.invoke({}, {"recursion_limit": n})) for n in (1, 2, 3)}


def managed_values(lab: Lab) -> Any:
    schema = with_keys(State, left=lab.RemainingSteps, last=lab.IsLastStep)
    builder = lab.StateGraph(schema)
    builder.add_node("a", lambda s: {"log": [[s["left"], s["last"]]]})
    builder.add_edge(lab.START, "a")
    builder.add_conditional_edges("a", lambda s: "a" if s["left"] > 1 else lab.END)
    graph = lab.compile(builder, checkpointer=lab.saver())
    first = graph.invoke({"log": []}, {**thread(), "recursion_limit": 5})
    return [
        first,
        graph.invoke({"log": []}, {**thread(), "recursion_limit": 3}),
        graph.state(thread()).values,
    ]


def step_timeout(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    if lab.colour == "sync":
        builder.add_node("slow", lambda s: time.sleep(0.3))
    else:

        async def slow(state: Any) -> None:
            await asyncio.sleep(0.3)

        builder.add_node("slow", slow)
    builder.add_edge(lab.START, "slow")
    graph = lab.compile(builder)
    graph.graph.step_timeout = 0.05
    outcome = lab.error(lambda: graph.invoke({"log": []}))
    return outcome.get("$raised", outcome)


def durability(lab: Lab) -> Any:
    result = {}
    for mode in ("sync", "async", "exit"):
        saver = lab.saver()
        builder = lab.StateGraph(State)
        builder.add_node("a", lambda s: {"log": ["a"]})
        builder.add_node("b", lambda s: {"log": ["b"]})
        builder.add_edge(lab.START, "a")
        builder.add_edge("a", "b")
        graph = lab.compile(builder, checkpointer=saver)
        graph.invoke({"log": []}, thread(), durability=mode)
        graph.invoke({"log": ["2"]}, thread(), durability=mode)
        rows = lab.saved(saver, thread())
        result[mode] = [[r.metadata, r.config, r.parent_config, r.pending_writes] for r in rows]
    return result


def durability_exit_streams(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder, checkpointer=lab.saver())
    return graph.stream({"log": []}, thread(), stream_mode=["checkpoints", "values"], durability="exit")


def durability_exit_failure(lab: Lab) -> Any:
    saver = lab.saver()
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_node("flaky", _flaky([], 1))
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "flaky")
    graph = lab.compile(builder, checkpointer=saver)
    outcome = lab.error(lambda: graph.invoke({"log": []}, thread(), durability="exit"))
    rows = [[r.metadata, r.parent_config, r.pending_writes] for r in lab.saved(saver, thread())]
    return [outcome, rows, graph.invoke(None, thread())]


def durability_exit_interrupt(lab: Lab) -> Any:
    saver = lab.saver()
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_node("ask", lambda s: {"log": [lab.interrupt("?")]})
    builder.add_edge(lab.START, "a")
    builder.add_edge("a", "ask")
    graph = lab.compile(builder, checkpointer=saver)
    outcome = graph.invoke({"log": []}, thread(), durability="exit")
    rows = [[r.metadata, r.parent_config, r.pending_writes] for r in lab.saved(saver, thread())]
    resumed = graph.invoke(lab.Command(resume="!"), thread(), durability="exit")
    after = [[r.metadata, r.parent_config, r.pending_writes] for r in lab.saved(saver, thread())]
    return [outcome, rows, resumed, after]


def durability_unknown(lab: Lab) -> Any:
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_edge(lab.START, "a")
    graph = lab.compile(builder, checkpointer=lab.saver())
    return lab.error(lambda: graph.invoke({"log": []}, thread(), durability="exit").get("log"))


def failing_branch_function(lab: Lab) -> Any:
    def route(state: Any) -> Any:
        raise ValueError("no way")

    saver = lab.saver()
    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_edge(lab.START, "a")
    builder.add_conditional_edges("a", route, ["a"])
    graph = lab.compile(builder, checkpointer=saver)
    seen = graph.partial_stream({"log": []}, thread(), stream_mode=["updates", "tasks"])
    return [seen, brief(graph.state(thread()))]


def failing_entry_branch(lab: Lab) -> Any:
    def route(state: Any) -> Any:
        raise ValueError("no way in")

    builder = lab.StateGraph(State)
    builder.add_node("a", lambda s: {"log": ["a"]})
    builder.add_conditional_edges(lab.START, route, ["a"])
    graph = lab.compile(builder, checkpointer=lab.saver())
    outcome = lab.error(lambda: graph.invoke({"log": ["in"]}, thread()))
    return [outcome, brief(graph.state(thread()))]

"""Chains made from numbers whose steps fail once, ask, retry or hold graphs of their own, driven to the end.

One task a step, so that what runs again after a failure is the same every time.
"""

import operator
from functools import partial
from typing import Annotated, Any, TypedDict

from tests.reference.lab import Lab, thread
from tests.reference.programs.generated import Draw

RUNS = 14


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[str], operator.add]


class Inner(TypedDict, total=False):
    item: str
    notes: Annotated[list[str], operator.add]


def _step(lab: Lab, draw: Draw, name: str, key: str, runs: list[str]) -> Any:
    """A node that may ask or may fail, once.

    All of one step of the chain (their names start alike) do the one or the other: where a question was
    answered and a failure follows in the same step, the reference gives the answer to the next question too.
    """
    asking = (ord(name[0]) + draw.seed) % 2 == 0
    asks = asking and draw.chance(50)
    fails = [True] if not asking and draw.chance(50) else []

    def run(state: Any) -> Any:
        runs.append(name)
        tail = f"({lab.interrupt(name)})" if asks else ""
        if fails:
            fails.pop()
            raise ValueError(name)
        return {key: [name + tail]}

    return run


def _child(lab: Lab, draw: Draw, name: str, runs: list[str], depth: int) -> Any:
    builder = lab.StateGraph(Inner)
    last = lab.START
    for index in range(1 + draw.below(3)):
        inner = f"{name}{index}"
        if depth and draw.chance(30):
            builder.add_node(inner, _child(lab, draw, inner, runs, depth - 1))
        else:
            builder.add_node(inner, _step(lab, draw, inner, "notes", runs))
        builder.add_edge(last, inner)
        last = inner
    options = draw.pick([{}, {}, {}, {"checkpointer": True}])
    return builder.compile(**options)


def _node(lab: Lab, draw: Draw, name: str, runs: list[str]) -> Any:
    """A plain step, or one that calls a graph."""
    if not draw.chance(45):
        return _step(lab, draw, name, "log", runs)
    child = _child(lab, draw, name, runs, 1)

    def call(state: Any) -> Any:
        runs.append(name)
        return {"log": child.invoke({"item": name, "notes": []})["notes"]}

    return call


def _chain(lab: Lab, draw: Draw, runs: list[str]) -> Any:
    builder = lab.StateGraph(State)
    last = lab.START
    for name in "pqrst"[: 2 + draw.below(4)]:
        policy = lab.RetryPolicy(initial_interval=0.001, jitter=False, max_attempts=2, retry_on=ValueError)
        node = _node(lab, draw, name, runs)
        retried = draw.chance(15) and node.__name__ == "run"
        builder.add_node(name, node, **({"retry_policy": policy} if retried else {}))
        builder.add_edge(last, name)
        last = name
    return lab.compile(builder, checkpointer=lab.saver())


def _drive(lab: Lab, graph: Any, durability: str) -> Any:
    """Resumes after every failure and answers every question, until nothing is left."""
    given: Any = {"x": 0, "log": []}
    shown = []
    for number in range(RUNS):
        chunks = graph.partial_stream(given, thread(), durability=durability, subgraphs=True)
        # The reference shows a task that fails after an answer as {name: None} first.
        shown.append([c for c in chunks if isinstance(c, dict) or None not in c[1].values()][-3:])
        state = graph.state(thread())
        if not state.next:
            break
        # After a failure nothing waits for an answer, whatever the task asked before it failed.
        failed = isinstance(chunks[-1], dict)
        given = None if failed or not state.interrupts else lab.Command(resume=f"!{number}")
    return shown


def _chains(lab: Lab, first: int, last: int) -> Any:
    results = {}
    for seed in range(first, last):
        draw = Draw(seed)
        runs: list[str] = []
        graph = _chain(lab, draw, runs)
        shown = _drive(lab, graph, draw.pick(["sync", "async", "exit"]))
        history = lab.error(partial(_history, graph))
        results[str(seed)] = {"shown": shown, "runs": runs, "history": history}
    return results


def _history(graph: Any) -> Any:
    shown = []
    for snapshot in graph.history(thread()):
        tasks = [[task.name, task.result, [i.value for i in task.interrupts]] for task in snapshot.tasks]
        shown.append([snapshot.metadata, snapshot.next, snapshot.values, tasks])
    return shown


def chains_000(lab: Lab) -> Any:
    return _chains(lab, 0, 40)


def chains_040(lab: Lab) -> Any:
    return _chains(lab, 40, 80)

"""Graphs made from numbers: nodes, edges, joins, branches, Sends, Commands, questions, children, all mixed.

Every seed gives one graph and one way to drive it to its end. A generator of our own, so that a seed means
the same graph on every version of Python.
"""

import operator
from functools import partial
from itertools import groupby
from typing import Annotated, Any, TypedDict

from tests.reference.lab import Lab, thread

NAMES = "fbdaecg"
RUNS = 8


def larger(old: int, new: int) -> int:
    """A reducer."""
    return max(old, new)


class State(TypedDict, total=False):
    x: int
    top: Annotated[int, larger]
    log: Annotated[list[str], operator.add]


class Draw:
    """A stream of pseudo-random choices (the multiplier of MINSTD)."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.state = seed * 7919 + 12345
        for _ in range(5):
            self.below(2)

    def below(self, limit: int) -> int:
        self.state = self.state * 48271 % 2147483647
        return self.state // 7 % limit

    def chance(self, percent: int) -> bool:
        return self.below(100) < percent

    def pick(self, items: Any) -> Any:
        return items[self.below(len(items))]

    def some(self, items: Any, most: int) -> list[Any]:
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(min(len(left), 1 + self.below(most)))]


def _node(lab: Lab, draw: Draw, name: str, targets: Any) -> Any:
    """What a node does: note its name, maybe ask, maybe write plain keys, maybe jump."""
    asks = draw.chance(15)
    extra = draw.pick([{}, {}, {"x": draw.below(9)}, {"top": draw.below(9)}])
    jumps = draw.some(targets, 2) if targets and draw.chance(20) else None

    def run(state: Any) -> Any:
        tail = f"({lab.interrupt(name + '?')})" if asks else ""
        update = {"log": [name + tail], **extra}
        return update if jumps is None else lab.Command(update=update, goto=jumps)

    return run, jumps


def _worker(lab: Lab, draw: Draw) -> Any:
    asks = draw.chance(20)

    def run(arg: Any) -> Any:
        tail = f"({lab.interrupt(arg['item'])})" if asks else ""
        return {"log": [f"w{arg['item']}{tail}"]}

    return run


def _child(lab: Lab, draw: Draw, name: str) -> Any:
    asks = draw.chance(30)

    def last(state: Any) -> Any:
        return {"log": [f"{name}2" + (f"({lab.interrupt(name + ' child?')})" if asks else "")]}

    builder = lab.StateGraph(State, input_schema=Narrow)
    builder.add_node("c1", lambda state: {"top": 5, "log": [f"{name}1"]})
    builder.add_node("c2", last)
    builder.add_edge(lab.START, "c1")
    builder.add_edge("c1", "c2")
    return builder.compile()


class Narrow(TypedDict, total=False):
    x: int


def _route(lab: Lab, draw: Draw, targets: Any, worker: bool) -> Any:
    """A branch function over the length of the log, and what it may lead to."""
    choices: list[Any] = [draw.some(targets, 2) for _ in range(2)] if targets else []
    choices.append(lab.END)
    if worker and draw.chance(50):
        choices.insert(0, [lab.Send("worker", {"item": i}) for i in range(1 + draw.below(3))])

    def route(state: Any) -> Any:
        return choices[len(state["log"]) % len(choices)]

    return route


def _build(lab: Lab, draw: Draw) -> Any:
    names = NAMES[: 2 + draw.below(5)]
    worker = draw.chance(40)
    builder = lab.StateGraph(State)
    reached = set(draw.some(names[:3], 2))
    for name in sorted(reached):
        builder.add_edge(lab.START, name)
    if worker:
        builder.add_node("worker", _worker(lab, draw))
    used: list[str] = []
    for index, name in enumerate(names):
        later = names[index + 1 :]
        if name not in reached:
            builder.add_edge(used[-1] if used else lab.START, name)
        used.append(name)
        reached |= _add(lab, draw, builder, name, later, worker)
    if worker:

        def fan_out(state: Any) -> Any:
            return [lab.Send("worker", {"item": "z"})]

        builder.add_conditional_edges(names[0], fan_out, ["worker"])
        builder.add_edge("worker", names[-1])
    if len(names) > 3 and draw.chance(40):
        builder.add_edge([names[0], names[1]], names[-1])
    return builder


def _add(lab: Lab, draw: Draw, builder: Any, name: str, later: str, worker: bool) -> set[str]:
    """Adds a node with what leads out of it; the names it surely declares an edge to."""
    defer = draw.chance(12)
    if draw.chance(15):
        builder.add_node(name, _child(lab, draw, name), defer=defer)
        jumps = None
    else:
        node, jumps = _node(lab, draw, name, later)
        builder.add_node(name, node, defer=defer, destinations=tuple(jumps or ()))
    declared: set[str] = set(jumps or ())
    if later and draw.chance(70):
        for target in draw.some(later, 2):
            builder.add_edge(name, target)
            declared.add(target)
    if draw.chance(35):
        ends = [*later, lab.END, *(["worker"] if worker else [])]
        builder.add_conditional_edges(name, _route(lab, draw, later, worker), ends)
        declared |= set(later)
    return declared


def _drive(lab: Lab, graph: Any, draw: Draw, given: Any, where: Any = None) -> Any:
    """Runs to the end, answering what is asked; what each run showed."""
    config = {**(where or thread()), "recursion_limit": 15}
    runs = []
    for _ in range(RUNS):
        chunks = graph.partial_stream(given, config, stream_mode=["values", "tasks"], durability="sync")
        runs.append(_shown(chunks))
        config = {**thread(), "recursion_limit": 15}
        waiting = graph.error_or_state(config)
        if not isinstance(waiting, list) or not waiting:
            break
        if len(waiting) == 1 and draw.chance(50):
            given = lab.Command(resume=f"!{waiting[0].value}")
        else:
            chosen = draw.some(sorted(waiting, key=lambda i: str(i.value)), len(waiting))
            given = lab.Command(resume={item.id: f"!{item.value}" for item in chosen})
    return runs


def _shown(chunks: Any) -> Any:
    """The chunks worth comparing; the tasks of a step by name (the plan's order has tests of its own)."""
    kept = [item for item in map(_chunk, chunks) if item is not None]
    shown: list[Any] = []
    for names, run in groupby(kept, key=lambda item: isinstance(item, str)):
        items = list(run)
        shown += sorted(items) if names else items
    return shown


def _chunk(chunk: Any) -> Any:
    """Values, names of started tasks, errors; questions in the order of their text."""
    if isinstance(chunk, dict):
        return chunk
    mode, data = chunk
    if mode == "tasks":
        return data["name"] if "triggers" in data else None
    if "__interrupt__" in data:
        return None
    return data


def _history(graph: Any) -> Any:
    shown = []
    for snapshot in graph.history(thread()):
        meta = snapshot.metadata
        shown.append([meta["source"], meta["step"], sorted(snapshot.next), snapshot.values.get("log")])
    return shown


def _seeds(lab: Lab, first: int, last: int) -> Any:
    results = {}
    for seed in range(first, last):
        draw = Draw(seed)
        graph = lab.compile(_build(lab, draw), checkpointer=lab.saver())
        runs = _drive(lab, graph, draw, {"x": 0, "log": []})
        results[str(seed)] = {"runs": runs, "history": lab.error(partial(_history, graph))}
    return results


def _travel(lab: Lab, graph: Any, draw: Draw, names: Any) -> Any:
    """A new turn, a change, a replay or a fork of a thread that has run; and what followed."""
    past = graph.history(thread())
    chosen = past[draw.below(len(past))]
    kind = draw.pick(["turn", "change", "replay", "fork", "input"])
    if kind == "turn":
        return [kind, _drive(lab, graph, draw, {"x": 1, "log": ["turn"]})]
    if kind == "input":
        return [kind, _drive(lab, graph, draw, {"x": 1, "log": ["turn"]}, chosen.config)]
    if kind == "replay":
        return [kind, _drive(lab, graph, draw, None, chosen.config)]
    as_node = draw.pick([None, *names])
    where = thread() if kind == "change" else chosen.config
    changed = lab.error(lambda: graph.update(where, {"log": [kind]}, as_node=as_node) and None)
    return [kind, as_node, changed, _drive(lab, graph, draw, None)]


def _travels(lab: Lab, first: int, last: int) -> Any:
    results = {}
    for seed in range(first, last):
        draw = Draw(seed)
        builder = _build(lab, draw)
        graph = lab.compile(builder, checkpointer=lab.saver())
        _drive(lab, graph, draw, {"x": 0, "log": []})
        travel = partial(_travel, lab, graph, draw, list(builder.nodes))
        steps = [lab.error(travel) for _ in range(3)]
        results[str(seed)] = {"steps": steps, "history": lab.error(partial(_history, graph))}
    return results


def travels_000(lab: Lab) -> Any:
    return _travels(lab, 1000, 1040)


def seeds_000(lab: Lab) -> Any:
    return _seeds(lab, 0, 40)


def seeds_040(lab: Lab) -> Any:
    return _seeds(lab, 40, 80)


def seeds_080(lab: Lab) -> Any:
    return _seeds(lab, 80, 120)


def seeds_120(lab: Lab) -> Any:
    return _seeds(lab, 120, 160)


def seeds_160(lab: Lab) -> Any:
    return _seeds(lab, 160, 200)

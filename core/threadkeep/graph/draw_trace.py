"""From a builder's nodes, edges and branches to a drawing.

A node that nothing leads to is drawn without edges, and a list of starts when all of them are reached. So
the graph is walked as a run that takes every branch at once. What can be reached is a matter of names only:
no node, no path function and no channel is touched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from threadkeep.constants import END, START
from threadkeep.graph.draw import Edge, Graph, Node

__all__ = ["NodeInfo", "build"]

# A graph that goes round for ever has no last step. It is followed this far, as the reference does: the node
# that runs then is drawn as the one that may end. (The reference also cuts off longer chains here.)
_STEPS = 250


class NodeInfo(NamedTuple):
    """What a drawing needs to know of a node.

    *data* is the node's function or subgraph, shown by its type in JSON. *ends* are the nodes that it may go
    to by ``Command``: names, or names with labels.
    """

    data: object = None
    metadata: Mapping[str, Any] | None = None
    defer: bool = False
    ends: Mapping[str, str | None] | Iterable[str] = ()


def build(
    nodes: Mapping[str, NodeInfo],
    edges: Iterable[tuple[str, str]],
    waiting_edges: Iterable[tuple[Sequence[str], str]] = (),
    branches: Mapping[str, Iterable[Mapping[Any, str] | None]] | None = None,
    interrupt_before: Sequence[str] = (),
    interrupt_after: Sequence[str] = (),
) -> Graph:
    """The drawing of a graph.

    *nodes* in the order they were added, without START and END; *waiting_edges* are those from a list of
    starts; *branches* gives for each source the ends of each of its branches, ``{what the path returns:
    node}``, None where they are not known. Interrupts of "*" are not shown.
    """
    walk = _Walk(nodes)
    for source, target in edges:
        walk.ways[source].append(_Way(target))
    for starts, target in waiting_edges:
        walk.joins.append(_Join(frozenset(starts), target))
    for source, ends in _choices(nodes, branches or {}):
        walk.ways[source].extend(_Way(target, label, True) for target, label in ends)
    found = walk.run()
    pauses = {"before": interrupt_before, "after": interrupt_after}
    drawn = {START: Node(START, START, START)}
    for name, info in nodes.items():
        drawn[name] = Node(name, name, info.data, _metadata(name, info, pauses))
    if any(edge.target == END for edge in found):
        drawn[END] = Node(END, END)
    return Graph(drawn, found)


def _choices(
    nodes: Mapping[str, NodeInfo], branches: Mapping[str, Iterable[Mapping[Any, str] | None]]
) -> Iterable[tuple[str, list[tuple[str, str | None]]]]:
    """For each node, the ends it chooses from and their labels."""
    for name, info in nodes.items():
        ends = info.ends
        yield name, list(ends.items()) if isinstance(ends, Mapping) else [(end, None) for end in ends]
    for source, group in branches.items():
        for known in group:
            yield source, [(target, str(value)) for value, target in (known or {}).items()]


def _metadata(name: str, info: NodeInfo, pauses: Mapping[str, Sequence[str]]) -> dict[str, Any] | None:
    shown = dict(info.metadata or {})
    if info.defer:
        shown["defer"] = True
    when = [word for word, names in pauses.items() if names != "*" and name in names]
    if when:
        shown["__interrupt"] = ",".join(when)
    return shown or None


class _Way(NamedTuple):
    target: str
    label: str | None = None
    conditional: bool = False


class _Join(NamedTuple):
    """A target that waits for all of its starts."""

    starts: frozenset[str]
    target: str


class _Walk:
    """A run in which every node takes all of its ways; the conditional ones when it first runs, not again."""

    def __init__(self, nodes: Mapping[str, NodeInfo]) -> None:
        self.nodes = nodes
        self.ways: dict[str, list[_Way]] = defaultdict(list)
        self.joins: list[_Join] = []
        self._ran = {START}
        self._taken: dict[tuple[str, str], tuple[int, _Way]] = {}
        self._now = 0
        self._asked: dict[str, set[tuple[str, _Way]]] = defaultdict(set)
        self._ready: set[str] = set()
        self._seen: dict[_Join, set[str]] = defaultdict(set)

    def run(self) -> list[Edge]:
        """The edges in drawing order: by source and target, then those to END that are only implied."""
        active = {START}
        self._step(active, first=active)
        for step in range(1, max(_STEPS, len(self.nodes)) + 1):
            self._now = step
            following = self._due()
            if not following:
                break
            active, first = following, following - self._ran
            self._ran |= first
            self._step(active, first)
        edges = [
            Edge(source, target, None if way.label == target else way.label, way.conditional)
            for (source, target), (_, way) in sorted(self._taken.items(), key=lambda item: item[0])
        ]
        leaving = {edge.source for edge in edges}
        edges.extend(Edge(name, END) for name in sorted(self._ran - leaving - {START}))
        if len(active) == 1 and all(edge.target != END for edge in edges):
            edges.append(Edge(active.pop(), END, conditional=True))
        return edges

    def _step(self, active: set[str], first: set[str]) -> None:
        for source in active:
            for way in self.ways.get(source, ()):
                if way.conditional and source not in first:
                    continue
                if way.target in self.nodes:
                    self._asked[way.target].add((source, way))
                    self._ready.add(way.target)
                elif way.target == END and way.conditional:
                    self._take(source, way)
        for join in self.joins:
            for source in join.starts & active:
                self._asked[join.target].add((source, _Way(join.target)))
                self._seen[join].add(source)
            if self._seen[join] == join.starts:
                self._ready.add(join.target)

    def _due(self) -> set[str]:
        """The nodes that run next. Deferred ones wait until no other is left."""
        now = {name for name in self._ready if not self.nodes[name].defer} or set(self._ready)
        self._ready -= now
        for name in now:
            for source, way in self._asked.pop(name, ()):
                self._take(source, way)
        for join in self.joins:
            if join.target in now and self._seen[join] == join.starts:
                self._seen[join].clear()
        return now

    def _take(self, source: str, way: _Way) -> None:
        """Of several edges between two nodes draw the last; of one step a conditional, the least label."""
        key = source, way.target
        step, other = self._taken.get(key, (-1, way))
        if step < self._now or _rank(way) < _rank(other):
            self._taken[key] = self._now, way


def _rank(way: _Way) -> tuple[bool, bool, str]:
    return not way.conditional, way.label is None, way.label or ""
